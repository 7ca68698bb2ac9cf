"""One server process: its log, its memory, its watchdog, its background tasks, and how it drains and ends.

`app.py`, `services.py` and `serving.py` start what is here, and the top level (`cli`, `server`) sets up the log.
It knows the slots of `calls`, and no route.
"""
