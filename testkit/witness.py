"""A call, and what can be seen of it from outside: what the oracle reads.

`Witnessed` is a played call with the simulators' logs, the log lines, and who was still at work when its record was
kept. It judges nothing.
"""

import re
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any, Protocol

import attrs
import trio

from actors import facts
from actors.policy import CallPolicy, is_of_keys
from protocol.audio import BYTES_PER_SECOND, FRAME_SECONDS
from simulators.scenario import Scenario
from simulators.speech import synthesise
from simulators.twilio.log import LineSpoken, StreamOpened
from store.calls import MemoryRecords
from store.records import CallRecord
from testkit.functions import Blocked, FunctionRun, HandlerFailed
from testkit.harness import Played


class Slots(Protocol):
    """The slots that a server has for calls."""

    @property
    def capacity(self) -> int:
        """Return how many calls there may be."""
        ...

    @property
    def taken(self) -> int:
        """Return how many there are."""
        ...


@attrs.define
class WitnessedRecords(MemoryRecords):
    """A store that notes how often it was asked to keep a record, and who was still at work then."""

    saves: int = attrs.field(default=0, init=False)
    at_work: list[str] = attrs.field(factory=list, init=False)
    root: trio.lowlevel.Task | None = attrs.field(default=None, init=False)
    """The task that plays the call; None: the main one."""

    async def save(self, record: CallRecord) -> None:
        self.saves += 1
        self.at_work += [name for name in task_names(self.root) if not name.startswith(_NOT_OF_THE_CALL)]
        await super().save(record)


_NOT_OF_THE_CALL = (
    "simulators.",
    "tests.",
    "testkit.",
    "Voice Agent session",
    "the caller",
    "actors.call.Call._save_twice",
)
"""Tasks of the far ends, of the test, and the one that asks the store."""


def task_names(root: trio.lowlevel.Task | None = None) -> Iterator[str]:
    """Name every task below a task, or below the main one."""
    task = root or trio.lowlevel.current_task()
    while root is None and (above := task.parent_nursery) is not None and above.parent_task.parent_nursery is not None:
        task = above.parent_task
    return (below.name for below in _descendants(task))


def _descendants(task: trio.lowlevel.Task) -> Iterator[trio.lowlevel.Task]:
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            yield child
            yield from _descendants(child)


@attrs.define
class Witnessed(Played):
    """A call and what could be seen of it from outside."""

    script: Scenario = attrs.field(kw_only=True)
    policy: CallPolicy = attrs.field(kw_only=True)
    records: WitnessedRecords = attrs.field(factory=WitnessedRecords, init=False)  # pyright: ignore[reportIncompatibleVariableOverride]  # never reassigned
    logs: Sequence[MutableMapping[str, Any]] = attrs.field(default=(), init=False)
    escaped: BaseException | None = attrs.field(default=None, init=False)
    """What came out of the call though nothing may."""
    runs: list[FunctionRun] = attrs.field(factory=list, init=False)
    """What handlers did."""
    blocks: list[Blocked] = attrs.field(factory=list, init=False)
    """Where a handler blocked the event loop."""
    failures: list[HandlerFailed] = attrs.field(factory=list, init=False)
    """What went wrong in the roster's own handlers."""
    env: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)
    """The settings of its functions."""
    slots: Slots | None = None
    """The call holds one of them where there is a server."""
    bundle: int = 10
    """Frames of the caller's in one message."""
    slice_ms: int = 200
    """Milliseconds of the agents' audio in one message."""
    longest: float = attrs.field(default=60.0, init=False)
    """Seconds that the call may take, whatever goes wrong."""

    @property
    def slack(self) -> float:
        """Seconds by which this world may be late: so much of either side's audio travels together."""
        return self.bundle * FRAME_SECONDS + self.slice_ms / 1000 + 0.05

    @property
    def hearing(self) -> float:
        """Seconds from the end of a word until it is confirmed: the recogniser's pause, and the slack."""
        return 0.55 + self.slack


@contextmanager
def ordered_by(seed: int) -> Iterator[None]:
    """Have trio run ready tasks in an order drawn from this seed, and give its own generator back."""
    before = trio._core._run._r
    trio._core._run._r = Random(seed)
    try:
        yield
    finally:
        trio._core._run._r = before


@attrs.frozen
class SpokenLine:
    """One line of the caller's, in seconds of the call; `until` is the end of its last word."""

    text: str
    at: float
    until: float


def spoken_lines(played: Witnessed) -> list[SpokenLine]:
    assert played.caller is not None
    lines = []
    for entry in played.caller.log.of(LineSpoken):
        at = entry.at - started(played)
        last = synthesise(entry.text, played.script.caller.voice).words[-1].end_byte / BYTES_PER_SECOND
        lines.append(SpokenLine(entry.text, at, at + last))
    return lines


def keys_in(text: str) -> int:
    """Return how many keys a turn of the caller's stands for, where it does not say which; 0 for any other."""
    found = re.fullmatch(r"\(pressed ([0-9]{1,5}) keys?\)", text)  # as `actors/line/line_watch.py` writes it
    return int(found[1]) if found else 0


def is_of_keypad(text: str) -> bool:
    """Say whether a turn of the caller's is keys that they pressed, and no words."""
    return is_of_keys(text) or keys_in(text) > 0


def has_bad_line(played: Witnessed) -> bool:
    return any(fault.target == "line" for fault in played.faults)


def started(played: Witnessed) -> float:
    """Return the trio time at which the call began."""
    assert played.caller is not None
    return played.caller.log.of(StreamOpened)[0].at


def ended(played: Witnessed) -> float:
    return [*played.times(facts.CallParked), *played.times(facts.CallEnded)][-1]
