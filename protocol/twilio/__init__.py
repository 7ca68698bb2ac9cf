"""Twilio Media Streams: the caller's audio, keys and marks, on one WebSocket per call."""

from protocol.twilio.codec import *
from protocol.twilio.dialogue import *
from protocol.twilio.messages import *
