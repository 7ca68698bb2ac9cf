"""Deepgram Voice Agent v1: one agent's ears, mind and voice, on one WebSocket per session."""

from protocol.deepgram.codec import *
from protocol.deepgram.dialogue import *
from protocol.deepgram.messages import *
from protocol.deepgram.settings import *
