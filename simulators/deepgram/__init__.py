"""A Deepgram Voice Agent service that needs no network: the other half of every agent session.

`DeepgramExchange` runs it in memory under any clock, `serve_deepgram` on a real port, `converse` over any WebSocket.
`SpeakSimulator` is its text-to-speech beside it, which the fillers come from.
"""

from simulators.deepgram.exchange import DeepgramExchange
from simulators.deepgram.knobs import DeepgramKnobs
from simulators.deepgram.log import ExchangeLog, LogEntry
from simulators.deepgram.server import serve_deepgram
from simulators.deepgram.session import converse
from simulators.deepgram.speak import SpeakSimulator

__all__ = [
    "DeepgramExchange", "DeepgramKnobs", "ExchangeLog", "LogEntry", "SpeakSimulator", "converse", "serve_deepgram",
]  # fmt: skip
