"""The calls under way, on disk: a process that is killed leaves a record of every call it cuts.

`Checkpoints` writes down, when a call begins and every 0.8 s, what the record of each running call would say so far, in
a log (`store/running_log.py`) that belongs to this process as long as it holds the lock beside it. The kernel lets go
of a lock when its process dies, in whatever way and in whatever container; so a log whose lock can be had is an orphan.
The process that gets it (the next start, or another worker) keeps its records and removes it. A call that ended in
order has its own record, and is taken out of the log; of one that both were written of, the record that knows more is
kept. No call waits for any of it: a disk that is slow, full or stuck costs the checkpoints, and the log says so.
"""

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeAlias, TypeVar, TypeVarTuple

import attrs
import structlog
import trio
from trio.lowlevel import ParkingLot

from protocol.errors import one_line
from store.calls import CallRecords
from store.erasing import Subject, files_with, remove_all
from store.records import CallRecord, RunningRecord
from store.running_log import RunningLog, left_by_others, try_again

SoFar: TypeAlias = Callable[[], RunningRecord | None]
"""Gives the record of a call as it stands, or None if it says what it said the last time."""

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

LAST_ROUND_SECONDS = 1.0
_BEGINNING = 0.1
"""Seconds after which a call that begins is written down, with those that have begun meanwhile."""
THREADS = 4
_AT_ONCE = 16
"""Calls that are asked in one turn of the scheduler; each takes some 30 µs."""
_NOBODYS = frozenset({".refused", ".part"})
"""Files that no process goes on with, once they are there to be found."""
_log = structlog.stdlib.get_logger()


async def keep_news(records: CallRecords, record: CallRecord) -> bool:
    """Keep the record of a cut call unless the kept one knows more; return whether it was kept.

    Raises: `OSError`, `ValueError`.
    """
    known = await records.get(record.call_sid)
    is_news = known is None or known.duration < record.duration
    if is_news:
        transcript = sorted(record.transcript, key=lambda turn: turn.at)
        await records.save(attrs.evolve(record, transcript=tuple(transcript)))
    return is_news


@attrs.define(eq=False)
class Checkpoints:
    """The checkpoints of one process; `run` writes them, and adopts those of dead ones into `records`."""

    folder: Path
    records: CallRecords
    every: float = 0.8
    """Seconds between two rounds; a call that begins does not wait for one."""
    adopt_every: float = 30.0
    _own: RunningLog = attrs.field(
        default=attrs.Factory(lambda self: RunningLog(self.folder, uuid.uuid4().hex), takes_self=True), init=False
    )
    _calls: dict[str, SoFar] = attrs.field(factory=dict, init=False)
    running: dict[str, RunningRecord] = attrs.field(factory=dict, init=False)
    """The record of each call, as it stood in the last round: other machines are told, too (`store/fleet/`)."""
    _is_one_over: bool = attrs.field(default=False, init=False)
    """Whether a call that was known has ended since the last round."""
    _threads: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(THREADS), init=False)
    _failing: bool = attrs.field(default=False, init=False)
    _rounds: int = attrs.field(default=0, init=False)
    _begun: dict[str, SoFar] = attrs.field(factory=dict, init=False)
    """Calls that have begun and were not asked yet."""
    _news: ParkingLot = attrs.field(factory=ParkingLot, init=False)

    @contextmanager
    def keeping(self, call_sid: str, so_far: SoFar) -> Iterator[None]:
        """Keep a call written down for as long as the `with` lasts: leave it once its own record is saved."""
        self._calls[call_sid] = so_far
        self._begun[call_sid] = so_far
        self._news.unpark_all()
        try:
            yield
        finally:
            if self._calls.get(call_sid) is so_far:  # else a second stream of this call is its successor
                del self._calls[call_sid]
                self._is_one_over |= self.running.pop(call_sid, None) is not None

    async def run(self) -> None:
        """Adopt and write, until cancelled; leave nothing behind but calls that have no other record."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._adopt_on)
                while True:
                    await self.write()
                    await self._write_begun(trio.current_time() + self.every)
        finally:
            with trio.move_on_after(LAST_ROUND_SECONDS, shield=True):
                await self.write()
                await self._in_thread(self._own.leave)

    async def _write_begun(self, until: float) -> None:
        """Write down each call that begins, and ask no other: else a process that dies now leaves no word of it."""
        while trio.current_time() < until:
            with trio.move_on_at(until):  # and not around what is written: the next round would not say why that fails
                while not self._begun:
                    await self._news.park()
                await trio.sleep(_BEGINNING)
            if begun := self._begun:
                self._begun = {}
                await self._write(begun)

    async def write(self) -> None:
        """Ask each call what is new, and write that down."""
        self._begun.clear()
        await self._write(self._calls)

    async def _write(self, calls: Mapping[str, SoFar]) -> None:
        has_news = await self._take_news(calls)
        if not (has_news or self._is_one_over or self._failing or self._own.is_stale):
            return
        was_failing, self._failing, self._is_one_over = self._failing, True, False
        try:
            self._rounds += 1
            await self._in_thread(self._own.update, self._rounds, dict(self.running))
            self._failing = False
        except OSError as exc:
            if not was_failing:
                _log.warning("checkpoints_not_written", why=one_line(exc), calls=len(self._calls))

    async def _take_news(self, calls: Mapping[str, SoFar]) -> bool:
        """Ask calls what is new, a few in one turn of the scheduler: nobody hears anything meanwhile."""
        has_news = False
        for number, (call_sid, so_far) in enumerate(list(calls.items()), 1):
            is_running = self._calls.get(call_sid) is so_far
            if is_running and (running := so_far()) is not None:
                has_news = True
                self.running[call_sid] = running
            if number % _AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
        return has_news

    async def erase(self, subject: Subject) -> int:
        """Leave nothing in the folder of a call that is over: take in what dead processes left, and tidy our own log.

        Return how many files mentioned it. Those of other living processes do so for half a minute after the call.

        Raises: `OSError`.
        """
        await self.adopt()
        found = await self._in_thread(files_with, self.folder, subject)
        self._rounds += 1
        await self._in_thread(self._own.tidy, self._rounds, dict(self.running))
        await self._in_thread(remove_all, [path for path in found if path.suffix in _NOBODYS])
        return len(found)

    async def _adopt_on(self) -> None:
        with suppress(OSError):
            await self._in_thread(try_again, self.folder)
        while True:
            try:
                await self.adopt()
            except OSError as exc:
                _log.warning("checkpoints_not_adopted", why=one_line(exc))
            await trio.sleep(self.adopt_every)

    async def adopt(self) -> int:
        """Keep the records of calls that dead processes have cut; return how many.

        Raises: `OSError` when disk or records do not answer; what was not kept waits.
        """
        kept = 0
        for left in await self._in_thread(left_by_others, self.folder, self._own.name):
            if await self._in_thread(partial(left.hold, new=False)):
                try:
                    kept += await self._adopt_log(left)
                finally:
                    left.let_go()
        if kept:
            _log.warning("calls_were_cut", calls=kept)
        return kept

    async def _adopt_log(self, left: RunningLog) -> int:
        kept, (records, refused) = 0, await self._in_thread(left.read)
        for record in records:
            try:
                kept += await keep_news(self.records, record)
            except ValueError as exc:
                refused.append(f"{record.call_sid}: {exc}")
        for why in refused:
            _log.error("checkpoint_refused", log=left.name, why=why)
        await self._in_thread(partial(left.remove, refused=bool(refused)))
        return kept

    async def _in_thread(self, do: Callable[[*Ts], T], *args: *Ts) -> T:
        return await trio.to_thread.run_sync(partial(do, *args), limiter=self._threads, abandon_on_cancel=True)
