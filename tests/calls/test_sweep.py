"""Promise 1: hang up, cancel and raise at every scheduler step of a whole call; nothing is left but the record.

The call is `tiny`: two agents, a crash and a restart, functions, a handoff, a goodbye. An instrument counts the steps
of the call's own tasks and strikes at the n-th; n runs from the first step until the call ends unharmed.
"""

import inspect
from collections.abc import Callable, Iterator
from itertools import count
from typing import TypeAlias

import attrs
import pytest
import structlog
import trio
from outcome import Error
from trio.testing import MockClock

from actors import ticks
from actors.messages import CloseCall
from actors.policy import CallPolicy
from tests.calls.tiny import CALL_SID, CALL_TASK, TinyService, TinyWorld
from tests.examples import FULL, STRIDE

MakeBlow: TypeAlias = Callable[[TinyWorld, trio.CancelScope], Callable[[trio.lowlevel.Task], None]]
CLOSING_STRIDE = 7 if FULL else 11
"""Through the steps that differ in nothing but what the call is doing."""
FEWEST_STEPS = 100
"""A sweep shorter than this has not seen a whole call."""


@pytest.fixture(autouse=True)
def _plain_logs() -> Iterator[None]:
    """A traceback a step would be a book: keep the log lines, drop the tracebacks."""
    with structlog.testing.capture_logs():
        yield


class Boom(Exception):
    """Raised where nothing should raise."""


@attrs.define(eq=False)
class Strike(trio.abc.Instrument):
    """Does something once, right before the `at`-th step of a task of the call."""

    at: int
    blow: Callable[[trio.lowlevel.Task], None]
    steps: int = 0
    struck: bool = False
    failure: BaseException | None = None

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if self.struck or not belongs_to_call(task):
            return
        self.steps += 1
        if self.steps == self.at:
            self.struck = True
            try:
                self.blow(task)
            except Exception as error:  # noqa: BLE001 - trio would only log what an instrument raises
                self.failure = error


def belongs_to_call(task: trio.lowlevel.Task) -> bool:
    if task.name.endswith("_serve"):  # the far end of a memory socket lives in the nursery of its client
        return False
    if task.name.startswith("handler of "):  # outside of the call's nursery, and waited for by it
        return True
    while task.name != CALL_TASK:
        if task.parent_nursery is None:
            return False
        task = task.parent_nursery.parent_task
    return True


def strike_world(
    at: int, make_blow: MakeBlow, make_world: Callable[[], TinyWorld] = TinyWorld
) -> tuple[TinyWorld, Strike]:
    """Run one call with one blow; return what is left of it."""
    world, scope = make_world(), trio.CancelScope()
    strike = Strike(at, make_blow(world, scope))

    async def main() -> None:
        before = count_tasks()
        with trio.fail_after(120), scope:  # a service that stays silent uses up all restarts
            await world.call()
        assert (count_tasks(), ticks._clock().asleep) == (before, 0)

    trio.run(main, clock=MockClock(autojump_threshold=0), instruments=[strike])
    return world, strike


def count_tasks() -> int:
    root = trio.lowlevel.current_root_task()
    assert root is not None
    return sum(1 for _ in descendants(root))


def descendants(task: trio.lowlevel.Task) -> Iterator[trio.lowlevel.Task]:
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            if "_sleep_for_all" not in child.name:  # the clock of all calls ends by itself
                yield child
                yield from descendants(child)


def cancel(_world: TinyWorld, scope: trio.CancelScope) -> Callable[[trio.lowlevel.Task], None]:
    return lambda _task: scope.cancel(reason="server stops")


def drop_socket(world: TinyWorld, _scope: trio.CancelScope) -> Callable[[trio.lowlevel.Task], None]:
    def blow(_task: trio.lowlevel.Task) -> None:
        assert world.caller is not None
        world.caller.socket.drop()

    return blow


def say_stop(world: TinyWorld, _scope: trio.CancelScope) -> Callable[[trio.lowlevel.Task], None]:
    def blow(_task: trio.lowlevel.Task) -> None:
        assert world.caller is not None
        world.caller.say_stop()

    return blow


def stop_and_drop(world: TinyWorld, scope: trio.CancelScope) -> Callable[[trio.lowlevel.Task], None]:
    def blow(task: trio.lowlevel.Task) -> None:
        say_stop(world, scope)(task)
        drop_socket(world, scope)(task)

    return blow


def throw(_world: TinyWorld, _scope: trio.CancelScope) -> Callable[[trio.lowlevel.Task], None]:
    """Let whatever the task is waiting for fail in a way that nobody planned for."""

    def blow(task: trio.lowlevel.Task) -> None:
        if any(frame.f_code.co_name == "_nested_child_finished" for frame, _ in task.iter_await_frames()):
            return  # a nursery that waits for its children: what fails there is a child, and gets its own turn
        started = inspect.getcoroutinestate(task.coro) != inspect.CORO_CREATED
        if started and task._next_send_fn == task.coro.send:
            task._next_send = Error(Boom("at a checkpoint"))

    return blow


def prompt_world() -> TinyWorld:
    return TinyWorld(TinyService(is_prompt=True))


BLOWS = (cancel, drop_socket, say_stop, stop_and_drop, throw)


@pytest.mark.parametrize("blow", BLOWS)
def test_whatever_happens_at_whatever_step_nothing_is_left_but_the_record(
    blow: MakeBlow,
) -> None:
    """Half of the blows fall on calls whose sockets take everything at once, half where each message is a step."""
    for at in count(1 + BLOWS.index(blow) % STRIDE, STRIDE):
        world, strike = strike_world(at, blow, prompt_world if blow in {drop_socket, say_stop} else TinyWorld)
        assert strike.failure is None
        if not strike.struck:
            break
        left = (world.service.open_sockets, world.slots)
        records = list(world.records._kept.values())

        assert left == (0, 0), f"step {at}: {left}"
        assert [CALL_SID] == [record.call_sid for record in records], f"step {at}"
        assert records[0].outcome, f"step {at}"
        assert [entry.event for entry in world.entries][-1] == "call_ended", f"step {at}"
    assert at > FEWEST_STEPS


def soft_world() -> TinyWorld:
    return TinyWorld(TinyService(is_soft=True))


def soft_prompt_world() -> TinyWorld:
    return TinyWorld(TinyService(is_soft=True, is_prompt=True))


def there_and_back_world() -> TinyWorld:
    return TinyWorld(TinyService(is_soft=True, goes_back=True))


IN_THE_SOFT_HANDOFF = range(98, 146)
"""The steps from just before it is asked for until behind the greeting."""


IN_THE_RETURN = range(176, 216)
"""From just before the call is handed back until behind the words of the agent that has it again."""


@pytest.mark.slow
@pytest.mark.parametrize("blow", [cancel, drop_socket, throw])
def test_whatever_happens_in_a_soft_handoff_nothing_is_left_but_the_record(blow: MakeBlow) -> None:
    """A record has the first agent alone, or both."""
    make = soft_prompt_world if blow is drop_socket else soft_world
    agents = {strike_softly(at, blow, make) for at in IN_THE_SOFT_HANDOFF[::4]}

    assert agents <= {("first",), ("first", "second")}


@pytest.mark.slow
@pytest.mark.parametrize("blow", [drop_socket, throw])
def test_whatever_happens_while_a_call_is_handed_back_nothing_is_left_but_the_record(blow: MakeBlow) -> None:
    agents = {strike_softly(at, blow, there_and_back_world) for at in IN_THE_RETURN[::4]}

    assert agents <= {("first", "second"), ("first", "second", "first")}


@pytest.mark.slow
@pytest.mark.parametrize("blow", [cancel, drop_socket, say_stop, stop_and_drop, throw])
@pytest.mark.parametrize("make", [soft_world, soft_prompt_world, there_and_back_world])
def test_the_same_at_every_step_of_the_call(blow: MakeBlow, make: Callable[[], TinyWorld]) -> None:
    at = 1
    while strike_softly(at, blow, make) is not None:
        at += 1
    assert at > FEWEST_STEPS


def strike_softly(at: int, blow: MakeBlow, make: Callable[[], TinyWorld]) -> tuple[str, ...] | None:
    """Strike a call with a soft handoff; return the agents in its record, or None if it was over before."""
    world, strike = strike_world(at, blow, make)
    assert strike.failure is None
    (record,) = world.records._kept.values()

    assert (world.service.open_sockets, world.slots) == (0, 0), f"step {at}"
    assert record.outcome, f"step {at}"
    assert [entry.event for entry in world.entries][-1] == "call_ended", f"step {at}"
    return tuple(period.agent for period in record.agents) if strike.struck else None


def close_call(world: TinyWorld, _scope: trio.CancelScope) -> Callable[[trio.lowlevel.Task], None]:
    return lambda _task: world.told.append(world.intercom.tell(CALL_SID, CloseCall("drained")))


@pytest.mark.slow
def test_a_call_that_is_told_to_close_at_whatever_step_is_over_in_time() -> None:
    """The tiny service never says the closing sentence: the line has to, if the agent's own goodbye is not sooner."""
    at, outcomes = 1, set[str]()
    while True:
        world, strike = strike_world(at, close_call)
        assert strike.failure is None
        if not strike.struck:
            break
        (record,) = world.records._kept.values()
        closed = [entry.at for entry in world.entries if entry.event == "call_closing"]

        assert len(world.told) == 1, f"step {at}"
        assert (world.service.open_sockets, world.slots) == (0, 0), f"step {at}"
        assert record.outcome in ({"drained", "completed"} if world.told == [True] else {"completed"}), f"step {at}"
        assert all(record.duration - since <= CallPolicy().deadlines.longest_closing for since in closed), f"step {at}"
        outcomes.add(record.outcome)
        at += CLOSING_STRIDE
    assert outcomes == {"drained", "completed"}
    assert at > FEWEST_STEPS


@attrs.define(eq=False)
class TellAtEnds(trio.abc.Instrument):
    """Tells a call to close when so many of its own tasks have ended: behind the last one, its nursery is closed."""

    world: TinyWorld
    left: int

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        nursery = task.parent_nursery
        if nursery is not None and nursery.parent_task.name == CALL_TASK:
            self.left -= 1
            if self.left == 0:
                self.world.told.append(self.world.intercom.tell(CALL_SID, CloseCall("drained")))


def test_a_call_that_is_told_to_close_as_its_tasks_end_is_over_like_any_other() -> None:
    """A task that is first wanted then begins no more: the nursery may be closed."""
    ends = 0
    while True:
        ends += 1
        world = TinyWorld()
        tell = TellAtEnds(world, ends)
        trio.run(world.call, clock=MockClock(autojump_threshold=0), instruments=[tell])
        if tell.left > 0:
            break
        assert len(world.told) == 1, f"end {ends}"  # else trio has let the instrument go, for what it raised
        (record,) = world.records._kept.values()
        assert record.outcome in {"completed", "drained"}
    assert ends > 5


@pytest.mark.parametrize(
    ("make", "agents", "sessions"),
    [(soft_world, ["first", "second"], 2), (there_and_back_world, ["first", "second", "first"], 3)],
)
def test_a_soft_call_nobody_touches_completes(make: Callable[[], TinyWorld], agents: list[str], sessions: int) -> None:
    world, _ = strike_world(0, cancel, make)

    (record,) = world.records._kept.values()
    assert (record.outcome, [period.agent for period in record.agents]) == ("completed", agents)
    assert world.service.connections == sessions


def test_a_call_nobody_touches_completes() -> None:
    world, _ = strike_world(0, cancel)

    (record,) = world.records._kept.values()
    assert record.outcome == "completed"
    assert ["first", "second"] == [period.agent for period in record.agents]
    assert record.restarts == 1
    assert ["hang_up"] == world.line.asked
