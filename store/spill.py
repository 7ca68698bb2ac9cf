"""Call records that no database can delay: written down at once, and handed to the database by one writer behind.

`SpillingRecords` puts a record into its folder, wakes its writer, and waits a moment for the database to have it; a
database that is locked, full, slow or absent costs that moment once, and nothing while it lasts. The writer (`run`,
one in each process) sends what waits in the folder, oldest first, from any process: this one, another worker,
or one that was killed. What the database refuses it tries again, ever less often. If the folder fails too, records
wait in memory, the newest `SpillPolicy.in_memory` of them. None of it reaches the call: the log says it.
"""

import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random
from typing import TypeVar, TypeVarTuple

import attrs
import structlog
import trio
from trio.lowlevel import ParkingLot

from protocol.errors import one_line
from store.calls import CallRecords
from store.checkpoints import keep_news
from store.databases import answering
from store.erasing import Subject
from store.records import CallRecord, RecordError, encode_record
from store.search import CallQuery, CallSummary, select, summary_of
from store.spill_folder import AGAIN, SpillFolder, name_of, read_record

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_DISK_THREADS = 2
_SEARCHED = 500
"""Records that wait are read whole for a search: so many of the newest."""
_log = structlog.stdlib.get_logger()


@attrs.frozen
class SpillPolicy:
    """In seconds: how long `save` may take, how long database or disk may think, how long the writer waits to retry."""

    save: float = 1.0
    attempt: float = 10.0
    first_delay: float = 0.5
    longest_delay: float = 30.0
    in_memory: int = 1000

    def delay(self, failures: int, rng: Random) -> float:
        """Return the wait after so many failures in a row: doubling, bounded, and not the same for every worker."""
        ceiling = min(self.longest_delay, self.first_delay * 2 ** min(failures - 1, 30))
        return rng.uniform(ceiling / 2, ceiling)


def _folder(folder: Path | SpillFolder) -> SpillFolder:
    return folder if isinstance(folder, SpillFolder) else SpillFolder(folder)


@attrs.define(eq=False)
class SpillingRecords:
    """Call records of `inner`, and in `folder` what it has not taken yet. Until `run` runs, everything waits there.

    The methods are those of `CallRecords`, over what is kept and what waits.
    """

    inner: CallRecords
    folder: SpillFolder = attrs.field(converter=_folder)
    policy: SpillPolicy = attrs.field(factory=SpillPolicy)
    rng: Random = attrs.field(factory=Random)
    _in_memory: dict[str, CallRecord] = attrs.field(factory=dict, init=False, repr=False)
    _threads: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(_DISK_THREADS), init=False)
    _flowing: bool = attrs.field(default=False, init=False)
    _rounds_begun: int = attrs.field(default=0, init=False)
    _rounds_over: int = attrs.field(default=0, init=False)
    _news: trio.Event = attrs.field(factory=trio.Event, init=False, repr=False)
    _round_over: ParkingLot = attrs.field(factory=ParkingLot, init=False, repr=False)

    @property
    def in_memory(self) -> int:
        """How many records wait where a crash would lose them: neither database nor disk took them."""
        return len(self._in_memory)

    async def save(self, record: CallRecord) -> None:
        """Keep `record` in the database, or until the database takes it. Raises nothing, takes `SpillPolicy.save`.

        Cancellation: the record is kept.
        """
        with trio.move_on_after(self.policy.save):
            await self._write_down(record)
            await self.wait_offered()

    async def get(self, call_sid: str) -> CallRecord | None:
        found = self._in_memory.get(call_sid)
        if found is None:
            found = await self._on_disk(self.folder.find, call_sid)
        if found is None:
            found = await self._within_attempt(partial(self.inner.get, call_sid))
        return found

    async def list(self, limit: int = 50) -> Sequence[CallRecord]:
        # memory, disk, database: in another order, a record that goes on its way in between would be nowhere
        in_memory = [*self._in_memory.values()]
        waiting = [*reversed(await self._on_disk(self.folder.newest, limit)), *in_memory]
        kept = await self._within_attempt(partial(self.inner.list, limit))
        found = {record.call_sid: record for record in (*reversed(kept), *waiting)}
        return sorted(found.values(), key=lambda record: record.started_at, reverse=True)[:limit]

    async def search(self, query: CallQuery) -> Sequence[CallSummary]:
        waiting = [*self._in_memory.values(), *await self._on_disk(self.folder.newest, _SEARCHED)]
        kept = await self._within_attempt(partial(self.inner.search, query))
        return select([*map(summary_of, waiting), *kept], query)

    async def erase(self, call_sid: str) -> None:
        self._in_memory.pop(call_sid, None)
        await self._on_disk(self.folder.erase, call_sid)
        with trio.move_on_after(self.policy.attempt):
            await self.wait_offered()  # the writer may have read the file before it was removed, and save it still
        await self._within_attempt(partial(self.inner.erase, call_sid))

    async def mentioning(self, subject: Subject) -> Sequence[str]:
        waiting = [*self._in_memory.values(), *await self._on_disk(self.folder.newest, sys.maxsize)]
        found = [record.call_sid for record in waiting if subject.is_in(encode_record(record).decode())]
        return list(dict.fromkeys([*found, *await self.inner.mentioning(subject)]))

    async def overwrite(self) -> Sequence[str]:
        return await self.inner.overwrite()

    async def wait_offered(self) -> None:
        """Wait until the database was offered everything saved so far; not at all while it refuses or nobody writes."""
        self._news.set()
        begun = self._rounds_begun
        while self._flowing and self._rounds_over <= begun:
            await self._round_over.park()

    async def finish(self) -> None:
        """Wait until everything is offered, and what waits in memory to the disk as well: the process ends."""
        try:
            await self._move_to_disk()
            await self.wait_offered()
            await self._send_all()
        finally:
            for call_sid in self._in_memory:
                _log.error("record_lost", call_sid=call_sid, why="the process ends; neither disk nor database took it")

    async def run(self) -> None:
        """Hand what waits to the database, and what comes, until cancelled."""
        failures = 0
        self._flowing = True
        try:
            with suppress(OSError):
                await self._on_disk(self.folder.try_again)
            while True:
                self._news = trio.Event()
                self._rounds_begun += 1
                why = await self._send_all()
                self._end_round(flowing=not why)
                failures = failures + 1 if why else 0
                await self._wait_next(failures, why)
        finally:
            self._end_round(flowing=False)

    async def _wait_next(self, failures: int, why: str) -> None:
        if not why:
            await self._news.wait()
            return
        delay = self.policy.delay(failures, self.rng)
        _log.warning("records_waiting", why=why, failures=failures, retry_in=round(delay, 1))
        await trio.sleep(delay)

    def _end_round(self, *, flowing: bool) -> None:
        if flowing and not self._flowing:
            _log.info("records_caught_up")
        self._flowing = flowing
        self._rounds_over = self._rounds_begun
        self._round_over.unpark_all()

    async def _write_down(self, record: CallRecord) -> None:
        why = "the disk did not answer in time"
        try:
            await self._on_disk(self.folder.put, record)
            why = ""
        except OSError as exc:
            why = one_line(exc)
        finally:
            if why:
                self._remember(record, why)
                self._news.set()

    def _remember(self, record: CallRecord, why: str) -> None:
        _log.error("record_not_spilled", call_sid=record.call_sid, why=why, waits_in="memory")
        self._in_memory.pop(record.call_sid, None)
        self._in_memory[record.call_sid] = record
        while len(self._in_memory) > self.policy.in_memory:
            lost = next(iter(self._in_memory))
            del self._in_memory[lost]
            _log.error("record_lost", call_sid=lost, why="neither database nor disk took it, and memory is full")

    def _forget(self, record: CallRecord) -> None:
        if self._in_memory.get(record.call_sid) is record:
            del self._in_memory[record.call_sid]

    async def _send_all(self) -> str:
        """Offer everything to the database; return why that failed, or nothing."""
        try:
            for record in tuple(self._in_memory.values()):
                await self._send_from_memory(record)
            for file in await self._on_disk(self.folder.waiting):
                await self._send_file(file)
        except OSError as exc:
            await self._move_to_disk()
            return one_line(exc)
        return ""

    async def _send_from_memory(self, record: CallRecord) -> None:
        try:
            await self._within_attempt(partial(self.inner.save, record))
        except ValueError as exc:
            _log.error("record_lost", call_sid=record.call_sid, why=one_line(exc))
        self._forget(record)

    async def _send_file(self, file: Path) -> None:
        try:
            record = await self._on_disk(read_record, file)
            save = partial(keep_news, self.inner) if file.name.endswith(AGAIN) else self.inner.save
            if record is not None:
                await self._within_attempt(partial(save, record))
        except ValueError as exc:
            _log.error("record_refused", file=f"*-{name_of(file).partition('-')[2]}.refused", why=one_line(exc))
            await self._on_disk(self.folder.set_aside, file)
        else:
            await self._on_disk(partial(file.unlink, missing_ok=True))

    async def _move_to_disk(self) -> None:
        """Write down what waits in memory, if the disk has room again."""
        for record in tuple(self._in_memory.values()):
            try:
                await self._on_disk(self.folder.put, record)
            except (OSError, RecordError):
                return
            self._forget(record)

    async def _on_disk(self, do: Callable[[*Ts], T], *args: *Ts) -> T:
        in_thread = partial(trio.to_thread.run_sync, limiter=self._threads, abandon_on_cancel=True)
        return await self._within_attempt(lambda: in_thread(do, *args))

    async def _within_attempt(self, ask: Callable[[], Awaitable[T]]) -> T:
        with answering(self.policy.attempt):
            return await ask()
