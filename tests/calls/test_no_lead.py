"""Agents whose audio comes no faster than it is spoken: what a call costs then, in turns of its tasks."""

import base64
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random

import attrs
import orjson
import pytest
import trio
from trio.testing import MockClock

from actors.call import run_call
from actors.call_services import CallPlan, CallServices
from actors.policy import CallPolicy, Deadlines
from actors.ticks import SLACK_SECONDS
from agents.roster import load_roster
from protocol.audio import FRAME_BYTES
from protocol.frames import FrameReader
from store.calls import MemoryRecords
from tests.actors.fakes import agent, speech
from tests.web.fakes import FakeLine
from web.sockets.frame_stream import FrameStream
from web.sockets.open_socket import OpenSocket

SECONDS = 2.0
FRAME_SECONDS = 0.02
LIMIT = 2**20
JITTER = 0.0005
"""Seconds by which a piece may come later than it should."""
LATEST = CallPolicy().deadlines.hold + SLACK_SECONDS + JITTER


@attrs.define(eq=False)
class Turns(trio.abc.Instrument):
    """Counts the turns of a call's own tasks by the function that each runs."""

    counts: Counter[str] = attrs.field(factory=Counter)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        is_ours = task.name.startswith("actors.") or task.name in {"bridge", "turn"}
        if is_ours and not task.name.endswith("_sleep_for_all"):  # the clock is all calls'
            self.counts[task.name.rpartition(".")[2]] += 1


@asynccontextmanager
async def sockets() -> AsyncIterator[tuple[OpenSocket, FrameStream]]:
    """Open our end of a WebSocket over real sockets, and the far end."""
    one, other = trio.socket.socketpair()
    async with trio.SocketStream(one) as ours, trio.SocketStream(other) as theirs:
        yield (
            FrameStream(ours, FrameReader(masked=False, limit=LIMIT, joins_binary=True)),
            FrameStream(theirs, FrameReader(masked=True, limit=LIMIT)),
        )


def services_by(session: OpenSocket, policy: CallPolicy | None = None) -> CallServices:
    """Return the services of a call whose only session is at the other end of this socket."""

    @asynccontextmanager
    async def connect() -> AsyncIterator[OpenSocket]:
        yield session

    return CallServices(
        roster=load_roster([agent("first")]),
        connect=connect,
        ask_brief=None,
        line=FakeLine(),
        records=MemoryRecords(),
        policy=policy or CallPolicy(),
    )


def punctual(_: int) -> float:
    """Let every piece come when it should."""
    return 0.0


async def speak_as_the_service(
    far: FrameStream, arrived: list[float], slip: Callable[[int], float], phase: float
) -> None:
    """Accept a session and speak without a pause, at real time, in pieces of 20 ms that are up to half a ms late.

    Each piece may be later by what `slip` says of it; all of them come `phase` seconds later.
    """
    jitter = Random(0)
    await far.send('{"type":"Welcome","request_id":"r"}')
    await far.receive()
    await far.send('{"type":"SettingsApplied"}')
    begins = trio.current_time() + phase
    for number in range(round(SECONDS / FRAME_SECONDS)):
        await trio.sleep_until(begins + number * FRAME_SECONDS + slip(number) + jitter.uniform(0.0, JITTER))
        arrived.append(trio.current_time())
        await far.send(number.to_bytes(2) * (FRAME_BYTES // 2))


async def echo_as_the_network(far: FrameStream, heard: dict[int, float], messages: Counter[str]) -> None:
    """Echo each mark at once, and note when each piece of audio came."""
    while isinstance(said := await far.receive(), str):
        message = orjson.loads(said)
        messages[message["event"]] += 1
        if message["event"] == "mark":
            await far.send(orjson.dumps(message).decode())
        elif message["event"] == "media":
            audio = base64.b64decode(message["media"]["payload"])
            for start in range(0, len(audio), FRAME_BYTES):
                heard.setdefault(int.from_bytes(audio[start : start + 2]), trio.current_time())


@attrs.frozen
class NoLead:
    """What a second of such audio has come to."""

    turns: Counter[str]
    messages: Counter[str]
    late: list[float]
    """How much later than the service sent it each piece came to the caller, from the third tenth of a second on."""
    heard: list[float]
    """When each piece came to the caller (trio time)."""


async def speak_as_the_caller(network: FrameStream) -> None:
    """Speak for three fifths of a second, from the middle of the second that is looked at."""
    payload = base64.b64encode(speech(1)).decode()
    await trio.sleep(1.0)
    for _ in range(30):
        await network.send(f'{{"event":"media","media":{{"payload":"{payload}"}},"streamSid":"MZ1"}}')
        await trio.sleep(FRAME_SECONDS)


async def no_lead(
    policy: CallPolicy | None = None,
    slip: Callable[[int], float] = punctual,
    phase: float = 0.0,
    speaks: Callable[[FrameStream], Awaitable[None]] | None = None,
) -> NoLead:
    """Carry a call whose agent speaks at real time, over real sockets; look at one second of it."""
    arrived, heard = list[float](), dict[int, float]()
    turns, messages = Turns(), Counter[str]()
    async with sockets() as (media, network), sockets() as (session, service), trio.open_nursery() as nursery:
        nursery.start_soon(speak_as_the_service, service, arrived, slip, phase)
        nursery.start_soon(echo_as_the_network, network, heard, messages)
        nursery.start_soon(run_call, media, CallPlan("CA1", "MZ1", "inbound"), services_by(session, policy))
        if speaks is not None:
            nursery.start_soon(speaks, network)
        await trio.sleep(0.5)
        messages.clear()
        trio.lowlevel.add_instrument(turns)
        await trio.sleep(1.0)
        trio.lowlevel.remove_instrument(turns)
        found = Counter(messages)
        await trio.sleep(1.0)
        nursery.cancel_scope.cancel(reason="enough")
    late = [heard[number] - at for number, at in enumerate(arrived)]
    return NoLead(turns.counts, found, late, [heard[number] for number in range(len(arrived))])


async def test_a_second_of_audio_wakes_no_task_for_its_pieces(autojump_clock: MockClock) -> None:
    """It took 160 turns: one of the session, one of the bridge's writer and one of the turn's driver for each piece."""
    found = await no_lead()

    assert sum(found.turns.values()) <= 8
    assert found.turns["turn"] <= 1
    assert found.messages["media"] <= 28
    assert found.messages["mark"] <= 3


async def test_no_piece_is_held_back_for_longer_than_the_next_one_takes_to_come(autojump_clock: MockClock) -> None:
    found = await no_lead()

    assert len(found.late) == round(SECONDS / FRAME_SECONDS)
    assert max(found.late) <= LATEST
    assert max(found.late[:10]) == 0.0


@pytest.mark.parametrize("phase", [0.003, 0.013, 0.018, 0.023, 0.033, 0.038])
async def test_pairs_of_all_calls_are_read_in_the_same_half_of_the_time_that_two_pieces_take(
    phase: float, autojump_clock: MockClock
) -> None:
    """So they share the scheduler's turns; nothing is held back for longer, and one more piece is read alone."""
    found = await no_lead(phase=phase)

    assert all(moment % (2 * FRAME_SECONDS) <= LATEST for moment in found.heard[14:])
    assert max(found.late) <= LATEST
    assert sum(found.turns.values()) <= 10


async def test_a_read_that_was_late_makes_no_later_one_late(autojump_clock: MockClock) -> None:
    """Whatever it was that kept the server busy for 9 ms when the last piece came that is read alone."""

    def keep_busy_before(number: int) -> float:
        if number == 11:  # the one before has just been written, and nobody has read it
            autojump_clock.jump(0.009)
        return 0.0

    found = await no_lead(slip=keep_busy_before)

    assert max(found.late[:11]) == pytest.approx(0.009)
    assert max(found.late[11:]) <= LATEST


@pytest.mark.parametrize("last", [40, 100])
async def test_a_piece_that_is_late_once_makes_no_other_late_and_pieces_that_stay_late_are_waited_for(
    last: int, autojump_clock: MockClock
) -> None:
    found = await no_lead(slip=lambda number: 0.007 if 40 <= number <= last else 0.0)

    assert max(found.late[:40] + found.late[44:]) <= LATEST
    assert found.turns["_listen"] == 0
    assert sum(found.turns.values()) <= 4


async def test_while_a_caller_may_interrupt_no_task_is_woken(autojump_clock: MockClock) -> None:
    """The session is, once: what has waited for a second piece is read at once. It took 33 turns of its task."""
    found = await no_lead(speaks=speak_as_the_caller)

    assert max(found.late) <= LATEST
    assert found.turns["_listen"] <= 2


@pytest.mark.parametrize("hold", [0.0, 0.01])
async def test_a_piece_that_would_have_to_wait_longer_is_sent_as_it_comes(
    hold: float, autojump_clock: MockClock
) -> None:
    found = await no_lead(CallPolicy(deadlines=Deadlines(hold=hold)))

    assert max(found.late) == 0.0
    assert found.turns["_write"] == 0
