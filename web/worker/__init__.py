"""The server process: logging, memory, watchdog, background tasks, recordings left behind, drain and exit.

`app.py`, `services.py` and `serving.py` start what is here, and the top level (`cli`, `server`) sets up the log.
It knows the slots of `calls`, and no route.
"""
