"""Every command of an operator's, given at every scheduler step of a call: one journal entry, one answer, nothing left.

The call is `tiny`. A command comes at the n-th step; in half of the runs the caller hangs up some steps later, while it
is carried out. By default a sample of the steps is played, a fifth of them with `FAULT_MATRIX=full`, and all of them
with `FAULT_MATRIX=every`.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import TYPE_CHECKING, cast

import attrs
import pytest
import structlog
import trio
from trio_websocket import ConnectionClosed

from actors.commands import (
    KINDS,
    Action,
    ChangePrompt,
    Command,
    CommandAnswer,
    CommandGiven,
    GiveBack,
    HandoffTo,
    Outcome,
    RestartAgent,
    Say,
    TakeOver,
    TransferTo,
    Whisper,
)
from actors.facts import CommandAnswered
from actors.line.switch import TransferOrder
from actors.operator import PersonOnPhone
from tests.calls.test_sweep import FEWEST_STEPS, strike_world
from tests.calls.tiny import CALL_SID, SENTENCE, STREAM_SID, TinyWorld
from tests.examples import EVERY, FULL, one_in

if TYPE_CHECKING:
    from protocol.wire import PacedWebSocket

ACTIONS: Mapping[str, Action] = {
    "say": Say(SENTENCE),
    "whisper": Whisper("The parcel was delivered."),
    "prompt": ChangePrompt("You are the first. Be brief."),
    "handoff": HandoffTo("second", "is angry"),
    "restart": RestartAgent(),
    "transfer": TransferTo("+15550001111"),
    "take-over": TakeOver("+15550001111"),
    "give-back": GiveBack(),
}
assert ACTIONS.keys() == KINDS.keys()
ON_PHONE = "take-over with the page's phone"
STRIDE = 1 if EVERY else 5 if FULL else 67
"""Coprime to what the calls repeat; the first step is another one for each command."""
HANG_UP_AFTER = (0, 7)
"""So many steps after the command the caller hangs up."""


@pytest.fixture(autouse=True)
def _plain_logs() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


class BriefSocket:
    """The page's stream, of an operator who says nothing and leaves soon."""

    async def get_messages(self) -> list[str | bytes]:
        await trio.sleep(0.2)
        raise ConnectionClosed(None)

    async def send_message(self, _: str | bytes) -> None:
        await trio.lowlevel.checkpoint()


@attrs.define(eq=False)
class Asker:
    """Gives one command to a call, twice under one id, and keeps what is answered."""

    world: TinyWorld
    command: Command
    is_on_phone: bool = False
    """Whether the operator takes the call over with the page's phone, and leaves it soon."""
    told: list[bool] = attrs.field(factory=list)
    channels: list[tuple[trio.MemorySendChannel[CommandAnswer], trio.MemoryReceiveChannel[CommandAnswer]]] = (
        attrs.field(factory=list)
    )

    def give(self) -> None:
        for _ in range(2):
            channel = trio.open_memory_channel[CommandAnswer](2)
            self.channels.append(channel)
            phone = PersonOnPhone(cast("PacedWebSocket", BriefSocket()), STREAM_SID) if self.is_on_phone else None
            self.told.append(self.world.intercom.tell(CALL_SID, CommandGiven(self.command, channel[0], phone)))

    @property
    def answers(self) -> list[list[CommandAnswer]]:
        found = []
        for _, receive in self.channels:
            found.append([receive.receive_nowait() for _ in range(receive.statistics().current_buffer_used)])
        return found


@attrs.define(eq=False)
class LaterBlow(trio.abc.Instrument):
    """Has the caller hang up so many steps of any task later."""

    world: TinyWorld
    steps: int

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.steps -= 1
        if self.steps == 0:
            assert self.world.caller is not None
            self.world.caller.say_stop()


@attrs.define(eq=False)
class TinyTransfers:
    """A line that puts a call through: it stops the stream."""

    world: TinyWorld

    async def put_through(self, call_sid: str, order: TransferOrder) -> None:
        await trio.lowlevel.checkpoint()
        assert self.world.caller is not None
        self.world.caller.say_stop()


def operated_world() -> TinyWorld:
    """A call on which an operator can reach anybody."""
    world = TinyWorld()
    world.changed = lambda services: attrs.evolve(services, operator_transfers=TinyTransfers(world))
    return world


def give_at(at: int, action: Action, hang_up_after: int, is_on_phone: bool) -> tuple[TinyWorld, Asker, bool]:
    """Play a call that is given a command at a step; say whether there was such a step."""
    askers = list[Asker]()

    def blow(world: TinyWorld, _scope: trio.CancelScope) -> Callable[[trio.lowlevel.Task], None]:
        askers.append(Asker(world, Command("k1", "ana", action), is_on_phone))

        def give(_task: trio.lowlevel.Task) -> None:
            askers[0].give()
            if hang_up_after:
                trio.lowlevel.add_instrument(LaterBlow(world, hang_up_after))

        return give

    world, strike = strike_world(at, blow, operated_world)
    assert strike.failure is None
    return world, askers[0], strike.struck


@pytest.mark.parametrize("hang_up_after", HANG_UP_AFTER)
@pytest.mark.parametrize("name", one_in(3, [*ACTIONS, ON_PHONE]))
def test_a_command_at_any_step_is_noted_once_and_answered_once(name: str, hang_up_after: int) -> None:
    outcomes, last = set[Outcome](), 0
    for at in count(1 + len(name) + 3 * hang_up_after, STRIDE):
        world, asker, struck = give_at(at, ACTIONS.get(name, TakeOver()), hang_up_after, name == ON_PHONE)
        if not struck:
            break
        last = at
        told, noted = all(asker.told), [one for one in world.entries if isinstance(one.fact, CommandAnswered)]
        answers = asker.answers

        assert (world.service.open_sockets, world.slots) == (0, 0), f"step {at}"
        assert len(noted) == told, f"step {at}"
        assert [len(each) for each in answers] == [told, told], f"step {at}"
        assert [entry.event for entry in world.entries][-1] in {"call_ended", "call_parked"}, f"step {at}"
        (record,) = world.records._kept.values()
        assert [one.id for one in record.commands] == ["k1"] * told, f"step {at}"
        outcomes.update(answer.outcome for each in answers for answer in each)
    assert last > FEWEST_STEPS - STRIDE
    usual = Outcome.REFUSED if name == "give-back" else Outcome.OVER if hang_up_after else Outcome.DONE
    assert usual in outcomes or not EVERY, "a sample may miss it: the order of ready tasks is drawn"
