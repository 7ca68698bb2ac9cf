"""Codecs and dialogues of Twilio Media Streams and Deepgram Voice Agent, without any I/O.

Codecs turn frames into values and back; dialogues hold one table of states each. Nothing here sleeps, logs or connects:
`actors/` owns the sockets, `simulators/` plays the other half.
"""
