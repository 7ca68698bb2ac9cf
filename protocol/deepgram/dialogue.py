"""The order of things on one Voice Agent socket, seen from our end.

What we may say is strict, because the service ends a session over it; what we take is generous, because a message that
is early, late or new must not end a call. `AgentDialogue` is one table of states; a missing key is the error, and an
error changes nothing. The service's end is the simulator's (`simulators/deepgram/dialogue.py`).
"""

import enum
from collections.abc import Mapping
from typing import Generic, TypeVar, get_args

import attrs

from protocol.deepgram import messages
from protocol.deepgram.codec import Frame, decode_server, encode_client
from protocol.deepgram.settings import Settings
from protocol.errors import LocalProtocolError, RemoteProtocolError


class DialogueState(enum.Enum):
    __hash__ = object.__hash__  # `Enum` has one in Python, and every frame looks its state up

    AWAITING_WELCOME = enum.auto()
    CONFIGURING = enum.auto()
    APPLYING = enum.auto()
    CONVERSING = enum.auto()
    FAILED = enum.auto()


State = TypeVar("State", bound=enum.Enum)
_REQUESTS: frozenset[type[messages.ClientMessage]] = frozenset(get_args(messages.ClientMessage))
_REPORTS: frozenset[type[messages.ServerMessage]] = frozenset(get_args(messages.ServerMessage))
_IGNORED: frozenset[type[messages.ServerMessage]] = _REPORTS - {
    messages.AgentAudio,
    messages.ConversationText,
    messages.ErrorReported,
    messages.FunctionCallCancelled,
    messages.FunctionCallRequest,
    messages.SettingsApplied,
    messages.UserStartedSpeaking,
    messages.Welcome,
}
"""Messages that may come at any time: a client does not act on them, or only goes on."""


@attrs.frozen
class Moves(Generic[State]):
    """One row of a table: where each message leads, by who says it. `FunctionCallResponse` is said by both."""

    requests: Mapping[type[object], State]
    reports: Mapping[type[object], State]


TRANSITIONS: dict[DialogueState, Moves[DialogueState]] = {
    DialogueState.AWAITING_WELCOME: Moves(
        requests={},
        reports={
            **dict.fromkeys(_IGNORED, DialogueState.AWAITING_WELCOME),
            messages.Welcome: DialogueState.CONFIGURING,
            messages.ErrorReported: DialogueState.FAILED,
        },
    ),
    DialogueState.CONFIGURING: Moves(
        requests={Settings: DialogueState.APPLYING},
        reports={
            **dict.fromkeys(_REPORTS - {messages.SettingsApplied}, DialogueState.CONFIGURING),
            messages.ErrorReported: DialogueState.FAILED,
        },
    ),
    DialogueState.APPLYING: Moves(
        requests={messages.KeepAlive: DialogueState.APPLYING},
        reports={
            **dict.fromkeys(_REPORTS, DialogueState.APPLYING),
            messages.SettingsApplied: DialogueState.CONVERSING,
            messages.ErrorReported: DialogueState.FAILED,
        },
    ),
    DialogueState.CONVERSING: Moves(
        requests=dict.fromkeys(_REQUESTS - {Settings}, DialogueState.CONVERSING),
        reports={**dict.fromkeys(_REPORTS, DialogueState.CONVERSING), messages.ErrorReported: DialogueState.FAILED},
    ),
    DialogueState.FAILED: Moves(requests={}, reports=dict.fromkeys(_REPORTS, DialogueState.FAILED)),
}


@attrs.define
class AgentDialogue:
    state: DialogueState = DialogueState.AWAITING_WELCOME

    def send(self, message: messages.ClientMessage) -> Frame:
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

    def receive(self, frame: Frame) -> messages.ServerMessage:
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
