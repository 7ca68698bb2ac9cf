"""Each fault of a Voice Agent socket has one name, and no socket holds a session for longer than its deadline."""

import json
import math

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from trio_websocket import CloseReason, ConnectionClosed

from actors.errors import AgentUnavailable
from actors.session.wire import AgentWire
from protocol.deepgram import (
    AgentAudio,
    AgentAudioDone,
    CallerAudio,
    DialogueState,
    KeepAlive,
    SettingsApplied,
    UnknownMessage,
    Welcome,
)
from protocol.errors import LocalProtocolError
from protocol.wire import Take
from simulators.deepgram.dialogue import encode_server
from simulators.memory import MemoryWebSocket, memory_websocket_pair


@attrs.define
class Gone:
    """A socket that is over."""

    reason: CloseReason | None

    async def get_message(self) -> str | bytes:
        await trio.lowlevel.checkpoint()
        raise ConnectionClosed(self.reason)

    async def send_message(self, message: str | bytes) -> None:
        await trio.lowlevel.checkpoint()
        raise ConnectionClosed(self.reason)

    async def get_messages(self) -> list[str | bytes]:
        return [await self.get_message()]

    def send_nowait(self, *messages: str | bytes) -> bool:
        return False

    def gather(self, seconds: float, /, *, exactly: bool = False) -> None:
        pass

    def deliver(self, take: Take | None, /) -> None:
        pass

    def ping(self) -> None:
        pass

    @property
    def answered(self) -> float:
        return math.inf

    async def aclose(self, code: int = 1000, reason: str | None = None) -> None:
        await trio.lowlevel.checkpoint()


def wire(state: DialogueState = DialogueState.CONVERSING, *, buffer: int = 8) -> tuple[AgentWire, MemoryWebSocket]:
    ours, theirs = memory_websocket_pair(buffer)
    session = AgentWire(ours, send_stall=5.0)
    session.dialogue.state = state
    return session, theirs


async def test_messages_are_what_their_frames_say(autojump_clock: MockClock) -> None:
    session, service = wire()
    await service.send_message(b"\xff\xff")
    await service.send_message('{"type": "SomethingNew"}')

    assert await session.receive() == AgentAudio(b"\xff\xff")
    assert isinstance(await session.receive(), UnknownMessage)


async def test_waiting_for_one_message_passes_over_the_others(autojump_clock: MockClock) -> None:
    session, service = wire(DialogueState.APPLYING)
    for frame in (
        b"\xff",
        encode_server(UnknownMessage("SomethingNew", {"type": "SomethingNew"})),
        '{"type": "SettingsApplied"}',
    ):
        await service.send_message(frame)

    assert await session.receive_until(SettingsApplied) == SettingsApplied()
    assert session.dialogue.state is DialogueState.CONVERSING


async def test_a_message_is_sent_in_the_frame_of_its_kind(autojump_clock: MockClock) -> None:
    session, service = wire()

    await session.send(CallerAudio(b"\x7f"))
    await session.send(KeepAlive())

    assert await service.get_message() == b"\x7f"
    assert json.loads(await service.get_message()) == {"type": "KeepAlive"}


@pytest.mark.parametrize(
    ("reason", "why"),
    [
        (None, "no close frame"),
        (CloseReason(1006, None), "code 1006"),
        (CloseReason(1011, "internal error"), "code 1011, internal error"),
    ],
)
async def test_a_socket_that_is_gone_is_an_agent_that_is_unavailable(
    autojump_clock: MockClock, reason: CloseReason | None, why: str
) -> None:
    session = AgentWire(Gone(reason), send_stall=5.0)
    session.dialogue.state = DialogueState.CONVERSING

    with pytest.raises(AgentUnavailable) as receiving:
        await session.receive()
    with pytest.raises(AgentUnavailable) as sending:
        await session.send(KeepAlive())

    assert [raised.value.reason for raised in (receiving, sending)] == [f"the session was closed ({why})"] * 2
    assert receiving.value.retryable
    assert isinstance(receiving.value.__cause__, ConnectionClosed)


@pytest.mark.parametrize(
    ("code", "description", "reason", "retryable"),
    [
        ("INVALID_SETTINGS", "no such voice", "INVALID_SETTINGS: no such voice", False),
        ("CLIENT_MESSAGE_TIMEOUT", "", "CLIENT_MESSAGE_TIMEOUT", True),
        ("NON_EXISTENT_FUNCTION_CALLED", "fly", "NON_EXISTENT_FUNCTION_CALLED: fly", True),
        ("USER_AUDIO_FORMAT", "", "USER_AUDIO_FORMAT", False),
        ("UNPARSABLE_CLIENT_MESSAGE", "", "UNPARSABLE_CLIENT_MESSAGE", True),
        ("SETTINGS_ALREADY_APPLIED", "", "SETTINGS_ALREADY_APPLIED", True),
        ("INVENTED_IN_2027", "", "INVENTED_IN_2027", True),
        ("", "no idea", "no idea", True),
        ("", "", "an error without a code", True),
    ],
)
async def test_an_error_of_the_service_says_whether_to_try_again(
    autojump_clock: MockClock, code: str, description: str, reason: str, retryable: bool
) -> None:
    session, service = wire()
    await service.send_message(json.dumps({"type": "Error", "code": code, "description": description}))

    with pytest.raises(AgentUnavailable) as raised:
        await session.receive()

    assert (raised.value.reason, raised.value.retryable) == (reason, retryable)
    assert session.dialogue.state is DialogueState.FAILED


@pytest.mark.parametrize("code", ["UNPARSABLE_CLIENT_MESSAGE", "INVALID_SETTINGS", "SETTINGS_ALREADY_APPLIED"])
async def test_what_the_service_says_to_our_settings_is_a_fault_of_theirs(autojump_clock: MockClock, code: str) -> None:
    session, service = wire(DialogueState.APPLYING)
    await service.send_message(json.dumps({"type": "Error", "code": code}))

    with pytest.raises(AgentUnavailable) as raised:
        await session.receive()

    assert not raised.value.retryable


@pytest.mark.parametrize(("code", "is_slip"), [("NON_EXISTENT_FUNCTION_CALLED", True), ("FAILED_TO_THINK", False)])
async def test_a_slip_of_the_models_is_told_from_the_services_trouble(
    autojump_clock: MockClock, code: str, is_slip: bool
) -> None:
    session, service = wire()
    await service.send_message(json.dumps({"type": "Error", "code": code}))

    with pytest.raises(AgentUnavailable) as raised:
        await session.receive()

    assert raised.value.is_slip is is_slip


@pytest.mark.parametrize("state", [DialogueState.AWAITING_WELCOME, DialogueState.APPLYING, DialogueState.CONVERSING])
async def test_what_cannot_be_read_or_lacks_what_it_must_have_is_passed_over(
    state: DialogueState, autojump_clock: MockClock
) -> None:
    session, service = wire(state, buffer=20)
    refused: list[str] = []
    session.on_refused = refused.append
    nameless = ['{"type":"ConversationText"}', '{"type":"FunctionCallRequest"}']
    wrong, last = '{"type":"ConversationText","role":"user","content":["words"]}', '{"type":"AgentAudioDone"}'
    for text in ("{not json", "null", "[]", "5", '"Welcome"', *nameless, "", wrong):
        await service.send_message(text)
    await service.send_message(b"")
    await service.send_message(last)

    assert await session.receive() == AgentAudioDone()
    assert session.dialogue.state is state
    assert refused == [
        "not JSON: unexpected character, expected a string key",
        *(f"a JSON object is wanted, not {kind}" for kind in ("null", "an array", "a number", "a string")),
        "role: a string is wanted, it is missing",
        "functions: an array of objects is wanted, it is missing",
        "content: a string is wanted, it is an array",
    ]


async def test_what_must_not_be_said_yet_does_not_leave(autojump_clock: MockClock) -> None:
    session, service = wire(DialogueState.AWAITING_WELCOME)

    with pytest.raises(LocalProtocolError):
        await session.send(CallerAudio(b"\x7f"))
    await service.send_message('{"type": "Welcome", "request_id": "r1"}')

    assert await session.receive_until(Welcome) == Welcome("r1")
    assert service.unread == 0


async def test_a_service_that_stops_reading_is_given_up_after_its_deadline(autojump_clock: MockClock) -> None:
    session, service = wire(buffer=1)
    await session.send(KeepAlive())

    with pytest.raises(AgentUnavailable, match="has read nothing for 5 s"):
        await session.send(KeepAlive())

    assert trio.current_time() == 5.0
    assert service.unread == 1


async def test_a_service_that_reads_again_in_time_is_not_given_up(autojump_clock: MockClock) -> None:
    session, service = wire(buffer=1)
    await session.send(CallerAudio(b"\x01"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(session.send, CallerAudio(b"\x02"))
        await trio.sleep(4.9)
        first = await service.get_message()

    assert (first, await service.get_message()) == (b"\x01", b"\x02")


async def test_being_cancelled_while_sending_is_not_a_stall(autojump_clock: MockClock) -> None:
    session, _ = wire(buffer=1)
    await session.send(KeepAlive())

    with trio.move_on_after(1.0) as scope:
        await session.send(KeepAlive())

    assert scope.cancelled_caught
    assert trio.current_time() == 1.0


async def test_two_tasks_may_send_while_a_third_listens(autojump_clock: MockClock) -> None:
    session, service = wire()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(session.receive)
        nursery.start_soon(session.send, CallerAudio(b"\x01"))
        nursery.start_soon(session.send, KeepAlive())
        await wait_all_tasks_blocked()
        await service.send_message(b"\xff")

    assert service.unread == 2


async def test_what_there_is_room_for_is_sent_without_waiting(autojump_clock: MockClock) -> None:
    ours, service = memory_websocket_pair(buffer=1)
    ours.is_prompt = True
    session = AgentWire(ours, send_stall=5.0)
    session.dialogue.state = DialogueState.CONVERSING

    with trio.CancelScope() as scope:
        scope.cancel()
        await session.send(CallerAudio(b"one"))
        await session.send(CallerAudio(b"two"))

    assert (scope.cancelled_caught, await service.get_message()) == (True, b"one")


async def test_audio_that_comes_when_the_session_has_failed_is_not_sent_and_hurts_nobody(
    autojump_clock: MockClock,
) -> None:
    session, _ = wire(DialogueState.FAILED)

    assert not session.put_audio(bytes(640))
    with pytest.raises(LocalProtocolError):
        await session.send(CallerAudio(bytes(640)))
