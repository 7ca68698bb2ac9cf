"""The order of things on one Voice Agent socket, seen from the service's end, with the service's own error codes.

`AgentServerDialogue` is one table of states, as `protocol.deepgram.AgentDialogue` is for the client's end; a missing
key is the error, and an error changes nothing.
"""

import enum
from typing import get_args

import attrs

from protocol import fields
from protocol.deepgram import (
    AgentAudio,
    ConversationText,
    ErrorReported,
    Frame,
    KeepAlive,
    LatencyReport,
    Moves,
    ServiceWarning,
    Settings,
    SettingsApplied,
    UnknownMessage,
    Welcome,
)
from protocol.deepgram.codec import as_json
from protocol.errors import LocalProtocolError, RemoteProtocolError
from simulators.deepgram.messages import FromClient, FromService
from simulators.deepgram.strict import decode_client


class ServerState(enum.Enum):
    """How far one session has come, for the service."""

    OPENING = enum.auto()
    CONFIGURING = enum.auto()
    APPLYING = enum.auto()
    CONVERSING = enum.auto()
    FAILED = enum.auto()
    CLOSED = enum.auto()


_REQUESTS: frozenset[type[FromClient]] = frozenset(get_args(FromClient))
_REPORTS: frozenset[type[FromService]] = frozenset(get_args(FromService))
_ANYTIME: frozenset[type[FromService]] = frozenset({ServiceWarning, LatencyReport, UnknownMessage})

SERVER_TRANSITIONS: dict[ServerState, Moves[ServerState]] = {
    ServerState.OPENING: Moves(
        requests={Settings: ServerState.APPLYING},  # live clients send it without waiting, and are served
        reports={
            **dict.fromkeys(_ANYTIME, ServerState.OPENING),
            Welcome: ServerState.CONFIGURING,
            ErrorReported: ServerState.FAILED,
        },
    ),
    ServerState.CONFIGURING: Moves(
        requests={Settings: ServerState.APPLYING},
        reports={**dict.fromkeys(_ANYTIME, ServerState.CONFIGURING), ErrorReported: ServerState.FAILED},
    ),
    ServerState.APPLYING: Moves(
        requests=dict.fromkeys(_REQUESTS - {Settings}, ServerState.APPLYING),
        reports={
            **dict.fromkeys(_ANYTIME | {Welcome}, ServerState.APPLYING),
            SettingsApplied: ServerState.CONVERSING,
            ErrorReported: ServerState.FAILED,
        },
    ),
    ServerState.CONVERSING: Moves(
        requests=dict.fromkeys(_REQUESTS - {Settings}, ServerState.CONVERSING),
        reports={
            **dict.fromkeys(_REPORTS - {Welcome, SettingsApplied}, ServerState.CONVERSING),
            ErrorReported: ServerState.FAILED,
        },
    ),
    ServerState.FAILED: Moves(requests=dict.fromkeys(_REQUESTS, ServerState.FAILED), reports={}),
    ServerState.CLOSED: Moves(requests=dict.fromkeys(_REQUESTS, ServerState.CLOSED), reports={}),
}


@attrs.define
class AgentServerDialogue:
    """The service's end of one session. Lenient about haste, as the service is; `strict` is what its manual says."""

    strict: bool = False
    any_flux_version: bool = False
    """Whether a Flux recogniser may be asked for without its version."""
    state: ServerState = ServerState.OPENING

    def receive(self, frame: Frame) -> FromClient:
        """Read the next frame and move on.

        Raises `RemoteProtocolError`, with nothing changed; its `code` is the `Error` the service answers with.
        """
        message = decode_client(frame, any_flux_version=self.any_flux_version)
        following = SERVER_TRANSITIONS[self.state].requests.get(type(message))
        if following is None or (self.strict and self._is_hasty(message)):
            code = "NON_SETTINGS_MESSAGE_BEFORE_SETTINGS"
            if isinstance(message, Settings) and self.state is not ServerState.OPENING:
                code = "SETTINGS_ALREADY_APPLIED"
            raise RemoteProtocolError.about(frame, f"{type(message).__name__} while {self.state.name}", code=code)
        self.state = following
        return message

    def send(self, message: FromService) -> Frame:
        """Write a message and move on; `LocalProtocolError` when the service would not say it now."""
        following = SERVER_TRANSITIONS[self.state].reports.get(type(message))
        if following is None:
            raise LocalProtocolError(f"{type(message).__name__} while {self.state.name}")
        self.state = following
        return encode_server(message)

    def close(self) -> None:
        self.state = ServerState.CLOSED

    def _is_hasty(self, message: FromClient) -> bool:
        unwelcomed = self.state is ServerState.OPENING
        return unwelcomed or (self.state is ServerState.APPLYING and not isinstance(message, KeepAlive))


def encode_server(message: FromService) -> Frame:
    match message:
        case AgentAudio(data=data):
            return data
        case UnknownMessage(raw=raw):
            return fields.dump(raw)
        case ConversationText(conversational_behavior=behavior):  # "always sent" since September 2026
            return fields.dump({**as_json(message), "conversational_behavior": behavior})
        case _:
            return fields.dump({"type": type(message).__name__, **as_json(message)})
