"""A Deepgram Voice Agent service that needs no network: the other half of every agent session.

`DeepgramExchange` runs it in memory under any clock, `serve_deepgram` on a real port, `converse` over any WebSocket.
`SpeakSimulator` is its text-to-speech beside it, which the fillers come from; `serve_speak` puts it on a port.
"""

from simulators.deepgram.exchange import DeepgramExchange
from simulators.deepgram.knobs import DeepgramKnobs
from simulators.deepgram.log import ExchangeLog, LogEntry
from simulators.deepgram.server import ServedAt, serve_deepgram
from simulators.deepgram.session import converse
from simulators.deepgram.speak import SpeakSimulator, serve_speak

__all__ = [
    "DeepgramExchange", "DeepgramKnobs", "ExchangeLog", "LogEntry", "ServedAt", "SpeakSimulator", "converse",
    "serve_deepgram", "serve_speak",
]  # fmt: skip
