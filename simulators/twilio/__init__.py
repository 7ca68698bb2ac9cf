"""Twilio, simulated: the caller's end of a Media Stream, and the REST service that places and ends calls."""

from simulators.twilio.caller import CallerTurns, Manners
from simulators.twilio.calls import CallStatus, SimulatedCall
from simulators.twilio.dialling import DialStream, StreamError, dial_stream
from simulators.twilio.exchange import TwilioKnobs
from simulators.twilio.frames import StreamIdentity
from simulators.twilio.log import (
    BufferCleared,
    CallerHungUp,
    CallLog,
    DigitSent,
    FaultInjected,
    LineSpoken,
    LogEntry,
    MarkEchoed,
    PersonActed,
    StatusReached,
    StreamClosed,
    StreamOpened,
    VerbExecuted,
    WarningRaised,
    WebhookAnswered,
)
from simulators.twilio.media import MediaCaller, StreamSummary
from simulators.twilio.playout import HeardRecording, Playout
from simulators.twilio.rest import TwilioSimulator
from simulators.twilio.serving import api_keys_from, credentials_from, serve_simulator, serve_twilio

__all__ = [
    "BufferCleared",
    "CallLog",
    "CallStatus",
    "CallerHungUp",
    "CallerTurns",
    "DialStream",
    "DigitSent",
    "FaultInjected",
    "HeardRecording",
    "LineSpoken",
    "LogEntry",
    "Manners",
    "MarkEchoed",
    "MediaCaller",
    "PersonActed",
    "Playout",
    "SimulatedCall",
    "StatusReached",
    "StreamClosed",
    "StreamError",
    "StreamIdentity",
    "StreamOpened",
    "StreamSummary",
    "TwilioKnobs",
    "TwilioSimulator",
    "VerbExecuted",
    "WarningRaised",
    "WebhookAnswered",
    "api_keys_from",
    "credentials_from",
    "dial_stream",
    "serve_simulator",
    "serve_twilio",
]
