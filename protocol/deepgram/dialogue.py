"""The order of things on one Voice Agent socket, seen from both ends.

`AgentDialogue` is the client's end: what we may say is strict, because the service ends a session over it; what we
take is generous, because a message that is early, late or new must not end a call. `AgentServerDialogue` is the
service's end, for the simulator, with the service's own error codes. Each is one table of states; a missing key is the
error, and an error changes nothing.
"""

import enum
from collections.abc import Iterable, Mapping
from typing import Generic, TypeAlias, TypeVar, get_args

import attrs

from protocol.deepgram.codec import Frame, decode_server, encode_client, encode_server
from protocol.deepgram.codes import RefusalCode
from protocol.deepgram.messages import (
    AgentAudio,
    ClientMessage,
    ConversationText,
    ErrorReported,
    FunctionCallCancelled,
    FunctionCallRequest,
    KeepAlive,
    LatencyReport,
    ServerMessage,
    ServiceWarning,
    SettingsApplied,
    UnknownMessage,
    UserStartedSpeaking,
    Welcome,
)
from protocol.deepgram.settings import Settings
from protocol.deepgram.strict import decode_client
from protocol.errors import LocalProtocolError, RemoteProtocolError


class DialogueState(enum.Enum):
    """How far one session has come, for the client."""

    AWAITING_WELCOME = enum.auto()
    CONFIGURING = enum.auto()
    APPLYING = enum.auto()
    CONVERSING = enum.auto()
    FAILED = enum.auto()
    CLOSED = enum.auto()


class ServerState(enum.Enum):
    """How far one session has come, for the service."""

    OPENING = enum.auto()
    CONFIGURING = enum.auto()
    APPLYING = enum.auto()
    CONVERSING = enum.auto()
    FAILED = enum.auto()
    CLOSED = enum.auto()


State = TypeVar("State", DialogueState, ServerState)
Request: TypeAlias = type[ClientMessage]
Report: TypeAlias = type[ServerMessage]

_REQUESTS: frozenset[Request] = frozenset(get_args(ClientMessage))
_REPORTS: frozenset[Report] = frozenset(get_args(ServerMessage))
_ANYTIME: frozenset[Report] = frozenset({ServiceWarning, LatencyReport, UnknownMessage})
_IGNORED: frozenset[Report] = _REPORTS - {
    AgentAudio,
    ConversationText,
    ErrorReported,
    FunctionCallCancelled,
    FunctionCallRequest,
    SettingsApplied,
    UserStartedSpeaking,
    Welcome,
}
"""Messages that may come at any time: a client does not act on them, or only goes on."""


@attrs.frozen
class Moves(Generic[State]):
    """One row of a table: where each message leads, by who says it. `FunctionCallResponse` is said by both."""

    requests: Mapping[Request, State]
    reports: Mapping[Report, State]


def _to(state: State, requests: Iterable[Request]) -> dict[Request, State]:
    return dict.fromkeys(requests, state)


def _staying(state: State, reports: Iterable[Report]) -> dict[Report, State]:
    return dict.fromkeys(reports, state)


TRANSITIONS: dict[DialogueState, Moves[DialogueState]] = {
    DialogueState.AWAITING_WELCOME: Moves(
        requests={},
        reports={
            **_staying(DialogueState.AWAITING_WELCOME, _IGNORED),
            Welcome: DialogueState.CONFIGURING,
            ErrorReported: DialogueState.FAILED,
        },
    ),
    DialogueState.CONFIGURING: Moves(
        requests={Settings: DialogueState.APPLYING},
        reports={
            **_staying(DialogueState.CONFIGURING, _REPORTS - {SettingsApplied}),
            ErrorReported: DialogueState.FAILED,
        },
    ),
    DialogueState.APPLYING: Moves(
        requests={KeepAlive: DialogueState.APPLYING},
        reports={
            **_staying(DialogueState.APPLYING, _REPORTS),
            SettingsApplied: DialogueState.CONVERSING,
            ErrorReported: DialogueState.FAILED,
        },
    ),
    DialogueState.CONVERSING: Moves(
        requests=_to(DialogueState.CONVERSING, _REQUESTS - {Settings}),
        reports={**_staying(DialogueState.CONVERSING, _REPORTS), ErrorReported: DialogueState.FAILED},
    ),
    DialogueState.FAILED: Moves(requests={}, reports=_staying(DialogueState.FAILED, _REPORTS)),
    DialogueState.CLOSED: Moves(requests={}, reports=_staying(DialogueState.CLOSED, _REPORTS)),
}

SERVER_TRANSITIONS: dict[ServerState, Moves[ServerState]] = {
    ServerState.OPENING: Moves(
        requests={Settings: ServerState.APPLYING},  # live clients send it without waiting, and are served
        reports={
            **_staying(ServerState.OPENING, _ANYTIME),
            Welcome: ServerState.CONFIGURING,
            ErrorReported: ServerState.FAILED,
        },
    ),
    ServerState.CONFIGURING: Moves(
        requests={Settings: ServerState.APPLYING},
        reports={**_staying(ServerState.CONFIGURING, _ANYTIME), ErrorReported: ServerState.FAILED},
    ),
    ServerState.APPLYING: Moves(
        requests=_to(ServerState.APPLYING, _REQUESTS - {Settings}),
        reports={
            **_staying(ServerState.APPLYING, _ANYTIME | {Welcome}),
            SettingsApplied: ServerState.CONVERSING,
            ErrorReported: ServerState.FAILED,
        },
    ),
    ServerState.CONVERSING: Moves(
        requests=_to(ServerState.CONVERSING, _REQUESTS - {Settings}),
        reports={
            **_staying(ServerState.CONVERSING, _REPORTS - {Welcome, SettingsApplied}),
            ErrorReported: ServerState.FAILED,
        },
    ),
    ServerState.FAILED: Moves(requests=_to(ServerState.FAILED, _REQUESTS), reports={}),
    ServerState.CLOSED: Moves(requests=_to(ServerState.CLOSED, _REQUESTS), reports={}),
}


@attrs.define
class AgentDialogue:
    """Our end of one session."""

    state: DialogueState = DialogueState.AWAITING_WELCOME

    def send(self, message: ClientMessage) -> Frame:
        """Write a message and move on.

        Raises `LocalProtocolError`, with nothing changed, when the service would end the session over it: anything
        before `Welcome`, anything but `Settings` next, speech before `SettingsApplied`, a second `Settings`, and
        anything at all after an `Error`.
        """
        following = TRANSITIONS[self.state].requests.get(type(message))
        if following is None:
            raise LocalProtocolError(f"{type(message).__name__} while {self.state.name}")
        frame = encode_client(message)
        self.state = following
        return frame

    def receive(self, frame: Frame) -> ServerMessage:
        """Read the next frame and move on.

        Raises `RemoteProtocolError`, with nothing changed, for a frame that cannot be read, for conversation before
        `Welcome`, and for `SettingsApplied` before there were any.
        """
        message = decode_server(frame)
        following = TRANSITIONS[self.state].reports.get(type(message))
        if following is None:
            raise RemoteProtocolError.about(frame, f"{type(message).__name__} while {self.state.name}")
        self.state = following
        return message

    def close(self) -> None:
        """Note that the connection is over; what still arrives means nothing."""
        self.state = DialogueState.CLOSED


@attrs.define
class AgentServerDialogue:
    """The service's end of one session. Lenient about haste, as the service is; `strict` is what its manual says."""

    strict: bool = False
    any_flux_version: bool = False
    """Whether a Flux recogniser may be asked for without its version."""
    state: ServerState = ServerState.OPENING

    def receive(self, frame: Frame) -> ClientMessage:
        """Read the next frame and move on.

        Raises `RemoteProtocolError`, with nothing changed; its `code` is the `Error` the service answers with.
        """
        message = decode_client(frame, any_flux_version=self.any_flux_version)
        following = SERVER_TRANSITIONS[self.state].requests.get(type(message))
        if following is None or (self.strict and self._is_hasty(message)):
            code: RefusalCode = "NON_SETTINGS_MESSAGE_BEFORE_SETTINGS"
            if isinstance(message, Settings) and self.state is not ServerState.OPENING:
                code = "SETTINGS_ALREADY_APPLIED"
            raise RemoteProtocolError.about(frame, f"{type(message).__name__} while {self.state.name}", code=code)
        self.state = following
        return message

    def send(self, message: ServerMessage) -> Frame:
        """Write a message and move on; `LocalProtocolError` when the service would not say it now."""
        following = SERVER_TRANSITIONS[self.state].reports.get(type(message))
        if following is None:
            raise LocalProtocolError(f"{type(message).__name__} while {self.state.name}")
        self.state = following
        return encode_server(message)

    def close(self) -> None:
        """Note that the connection is over."""
        self.state = ServerState.CLOSED

    def _is_hasty(self, message: ClientMessage) -> bool:
        unwelcomed = self.state is ServerState.OPENING
        return unwelcomed or (self.state is ServerState.APPLYING and not isinstance(message, KeepAlive))
