"""HTTP: the webhooks of Twilio, the media stream, the API for operators, health, and who may ask for what.

A route reads a request, asks `calls` and answers; it keeps no state of its own. Only `app.py` may use it.
"""
