"""One process by itself: what the others would share is in its memory, and there are no others.

`MemoryFleet` is what a worker with SQLite, or without a database, has. It keeps the promises of `Fleet` (the contract
test holds it to them), needs no task, and never fails.
"""

from collections.abc import Sequence

import attrs
import trio

from store.erasing import Subject
from store.fleet.shared import Adopt, Erase, ErasedElsewhere, Inbox, Listener, LiveCall, OwnPace
from store.records import CallRecord, RunningRecord


@attrs.frozen
class NobodyElse:
    """The other workers of a process by itself."""

    def on_erase(self, erase: Erase) -> None:
        """Do nothing: nobody asks."""

    async def erase(self, subject: Subject) -> ErasedElsewhere:  # noqa: ARG002 - the interface
        await trio.lowlevel.checkpoint()
        return ErasedElsewhere()


@attrs.define(eq=False)
class MemoryFleet:
    """The slots, calls and turns of one process. The methods are those of `Fleet`."""

    max_calls: int
    elsewhere: NobodyElse = attrs.field(factory=NobodyElse, init=False)
    _lapses: dict[str, float] = attrs.field(factory=dict, init=False)
    """For each call on its way: when its slot lapses."""
    _calls: dict[str, LiveCall] = attrs.field(factory=dict, init=False)
    _pace: OwnPace = attrs.field(factory=OwnPace, init=False)

    @property
    def is_away(self) -> bool:
        return False

    @property
    def _is_room(self) -> bool:
        now = trio.current_time()
        self._lapses = {key: at for key, at in self._lapses.items() if at > now}
        return len(self._calls) + len(self._lapses) < self.max_calls

    async def reserve(self, key: str, seconds: float) -> bool:
        await trio.lowlevel.checkpoint()
        is_room = self._is_room
        if key in self._calls:
            return True
        if not is_room and key not in self._lapses:
            return False
        self._lapses[key] = trio.current_time() + seconds
        return True

    def readmit(self, key: str, seconds: float) -> None:
        if self._is_room or key in self._lapses:
            self._lapses[key] = trio.current_time() + seconds

    async def admit(self, call: LiveCall, *, over: bool = False) -> bool:
        await trio.lowlevel.checkpoint()
        is_room = self._is_room
        if not (is_room or over or call.key in self._lapses or call.key in self._calls):
            return False
        self._lapses.pop(call.key, None)
        self._calls[call.key] = call
        return True

    def free(self, key: str) -> None:
        self._lapses.pop(key, None)
        self._calls.pop(key, None)

    def note(self, call_sid: str, record: RunningRecord) -> None:
        """Do nothing: no other process reads notes. Checkpoints are on the disk."""

    async def noted(self, call_sid: str) -> CallRecord | None:  # noqa: ARG002 - the interface
        await trio.lowlevel.checkpoint()
        return None

    async def claim_turn(self, per_second: float, longest: float) -> float | None:
        await trio.lowlevel.checkpoint()
        return self._pace.claim(per_second, longest)

    async def live(self) -> Sequence[LiveCall]:
        await trio.lowlevel.checkpoint()
        return list(reversed(self._calls.values()))

    async def find(self, name: str) -> LiveCall | None:
        await trio.lowlevel.checkpoint()
        return next((call for call in self._calls.values() if name in {call.key, call.call_sid}), None)

    async def post(self, worker: str, body: str) -> bool:  # noqa: ARG002 - the interface
        await trio.lowlevel.checkpoint()
        return False

    def on_post(self, inbox: Inbox) -> None:
        """Do nothing: nobody posts."""

    async def tell(self, name: str, body: str) -> bool:  # noqa: ARG002 - the interface
        await trio.lowlevel.checkpoint()
        return False

    @property
    def worker(self) -> str:
        return ""

    async def answer(self, worker: str, body: str) -> bool:  # noqa: ARG002 - the interface
        await trio.lowlevel.checkpoint()
        return False

    async def erase(self, subject: Subject) -> int:  # noqa: ARG002 - the interface
        await trio.lowlevel.checkpoint()
        return 0

    def drain(self) -> None:
        """Do nothing: no other worker has to know."""

    async def run(self, listener: Listener, adopt: Adopt) -> None:  # noqa: ARG002 - the interface
        await trio.sleep_forever()
