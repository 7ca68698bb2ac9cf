"""The server around the calls: its routes, its clients of Twilio, Deepgram and Groq, and its process.

Rooms, lower first: `sockets`, `clients`, `calls`, then `routes`, `console` and `worker` side by side. `app.py` puts
them together, `services.py` opens what they need, `serving.py` serves until the process is told to stop.
"""
