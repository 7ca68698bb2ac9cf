"""Lets the console watch a call: each fact, both sides of its audio, its turn and the tree of its tasks.

The call tells a `CallWatch` and waits for none: every method returns at once, keeps a bounded amount, and raises
nothing. `CallServices.watch` makes one for each call; by default nobody watches.
"""

from collections.abc import Callable, Sequence
from typing import ParamSpec, Protocol, TypeAlias

import attrs
import trio

from actors.journal import Entry, Journal
from actors.turn.machine import Turn

P = ParamSpec("P")


@attrs.frozen
class CallUnderWay:
    """A call as a watcher sees it: its journal, its turn, and the task at the root of its tree."""

    journal: Journal
    turn: Turn
    task: trio.lowlevel.Task


Written: TypeAlias = Callable[[int, int], None]
"""Told that so many facts of a stream are in the call's journal on disk, from such a line of it on."""


class CallWatch(Protocol):
    def begin(self, call: CallUnderWay) -> Written:
        """The call begins, or goes on with another stream; return what is to be told of this stream's facts on disk."""
        ...

    def read(self, entry: Entry) -> None:
        """A fact was noted."""

    def hear_caller(self, audio: bytes) -> None:
        """The caller's line has sent audio."""

    def hear_agents(self, start: float, audio: bytes) -> None:
        """The caller has heard audio of the agents from second `start` of the call on."""


Watch: TypeAlias = Callable[[str], CallWatch | None]


def each_of(taps: Sequence[Callable[P, None]]) -> Callable[P, None]:
    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        for tap in taps:
            tap(*args, **kwargs)

    return taps[0] if len(taps) == 1 else call
