"""WebSockets as bytes: frames over a stream, hypercorn's connection, and limits on connections.

An `OpenSocket` is what the actors and the routes read and write; how its messages are carried stays in here.
Everything in `web/` may use it. It knows nothing of calls, Twilio or Deepgram.
"""
