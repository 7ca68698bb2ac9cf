"""The calls under way, on disk: a process that is killed leaves a record of every call it cuts.

`Checkpoints` writes down, twice a second, what the record of each running call would say so far, in a folder that
belongs to this process as long as it holds the lock beside it. The kernel lets go of a lock when its process dies, in
whatever way and in whatever container; so a folder whose lock can be had is an orphan, and whoever has it (the next
start, or another worker) keeps its records and removes it. A call that ended in order has its own record, and its
checkpoint goes; one that both were written of keeps the one that knows more. No call waits for any of it: a disk that
is slow, full or stuck costs the checkpoints, and the log says so.

    <folder>/<process>.lock      held for as long as the process lives
    <folder>/<process>/          one <call_sid>.json for each of its calls
"""

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeAlias, TypeVar, TypeVarTuple
from urllib.parse import quote

import attrs
import structlog
import trio

from store.calls import CallRecords
from store.private import own_folder, write_private
from store.process_lock import ProcessLock
from store.records import CallRecord, RunningRecord, decode_record, encode_running

SoFar: TypeAlias = Callable[[], RunningRecord | None]
"""Gives the record of a call as it stands, or None if it says what it said the last time."""

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

LAST_ROUND_SECONDS = 1.0
THREADS = 4
_log = structlog.stdlib.get_logger()


def _own_folder(checkpoints: "Checkpoints") -> "ProcessFolder":
    return ProcessFolder(checkpoints.folder / uuid.uuid4().hex)


@attrs.define(eq=False)
class Checkpoints:
    """The checkpoints of one process; `run` writes them, and adopts those of dead ones into `records`."""

    folder: Path
    records: CallRecords
    every: float = 0.5
    """Seconds between two rounds."""
    adopt_every: float = 30.0
    _own: "ProcessFolder" = attrs.field(default=attrs.Factory(_own_folder, takes_self=True), init=False)
    _calls: dict[str, SoFar] = attrs.field(factory=dict, init=False)
    _news: dict[str, RunningRecord] = attrs.field(factory=dict, init=False)
    _over: set[str] = attrs.field(factory=set, init=False)
    _threads: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(THREADS), init=False)
    _failing: bool = attrs.field(default=False, init=False)
    _rounds: int = attrs.field(default=0, init=False)

    @contextmanager
    def keeping(self, call_sid: str, so_far: SoFar) -> Iterator[None]:
        """Keep a call written down for as long as the `with` lasts: leave it once its own record is saved."""
        self._calls[call_sid] = so_far
        self._over.discard(call_sid)
        try:
            yield
        finally:
            if self._calls.get(call_sid) is so_far:  # else a second stream of this call is its successor
                del self._calls[call_sid]
                self._news.pop(call_sid, None)
                self._over.add(call_sid)

    async def run(self) -> None:
        """Adopt and write, until cancelled; leave nothing behind but calls that have no other record."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._adopt_on)
                while True:
                    await self.write()
                    await trio.sleep(self.every)
        finally:
            with trio.move_on_after(LAST_ROUND_SECONDS, shield=True):
                await self.write()
                await self._in_thread(self._own.leave)

    async def write(self) -> None:
        """Write down what is new of each call, and remove what is over."""
        self._news |= {sid: record for sid, so_far in self._calls.items() if (record := so_far()) is not None}
        news, over = self._news, self._over
        if not news and not over:
            return
        self._news, self._over = {}, set()
        try:
            self._rounds += 1
            await self._in_thread(self._own.update, self._rounds, news, over)
            self._failing = False
        except trio.Cancelled:
            self._over |= over - self._calls.keys()
            raise
        except OSError as exc:
            self._news = {sid: record for sid, record in news.items() if sid in self._calls} | self._news
            self._over |= over - self._calls.keys()
            if not self._failing:
                _log.warning("checkpoints_not_written", why=f"{type(exc).__name__}: {exc}", calls=len(self._calls))
            self._failing = True

    async def _adopt_on(self) -> None:
        while True:
            try:
                await self.adopt()
            except OSError as exc:
                _log.warning("checkpoints_not_adopted", why=f"{type(exc).__name__}: {exc}")
            await trio.sleep(self.adopt_every)

    async def adopt(self) -> int:
        """Keep the records of calls that dead processes have cut; return how many.

        Raises: `OSError` when disk or records do not answer; what was not kept waits.
        """
        kept = 0
        for orphan in await self._in_thread(_orphans, self.folder, self._own.path):
            try:
                for file in await self._in_thread(orphan.files):
                    kept += await self._adopt_file(file)
                await self._in_thread(orphan.leave)
            finally:
                orphan.let_go()
        if kept:
            _log.warning("calls_were_cut", calls=kept)
        return kept

    async def _in_thread(self, do: Callable[[*Ts], T], *args: *Ts) -> T:
        return await trio.to_thread.run_sync(partial(do, *args), limiter=self._threads, abandon_on_cancel=True)

    async def _adopt_file(self, file: Path) -> bool:
        try:
            record = _in_order(decode_record(await self._in_thread(file.read_bytes)))
            known = await self.records.get(record.call_sid)
            is_news = known is None or known.duration < record.duration
            if is_news:
                await self.records.save(record)
        except ValueError as exc:
            _log.error("checkpoint_refused", file=file.name, why=str(exc))
            await self._in_thread(file.rename, file.with_suffix(".refused"))
            return False
        await self._in_thread(partial(file.unlink, missing_ok=True))
        return is_news


def _in_order(record: CallRecord) -> CallRecord:
    return attrs.evolve(record, transcript=tuple(sorted(record.transcript, key=lambda turn: turn.at)))


@attrs.define(eq=False)
class ProcessFolder:
    """One process's folder, and the lock that says whether it is alive. All of it blocks."""

    path: Path
    _lock: ProcessLock = attrs.field(
        default=attrs.Factory(lambda self: ProcessLock(self.path.with_suffix(".lock")), takes_self=True), init=False
    )
    _writing: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    _last: int = attrs.field(default=0, init=False)
    """The last round that was begun."""

    def hold(self, *, new: bool) -> bool:
        """Take the lock; False if somebody else has it, or it is gone."""
        return self._lock.hold(new=new)

    def update(self, number: int, news: Mapping[str, RunningRecord], over: set[str]) -> None:
        """Write the newest record of each call, and remove those that are over.

        A round that was abandoned may come to it after the next one: it writes nothing any more.
        """
        with self._writing:
            if number > self._last:
                self._last = number
                self._update(news, over)

    def _update(self, news: Mapping[str, RunningRecord], over: set[str]) -> None:
        if not self._lock.is_held:
            if not news:
                return
            own_folder(self.path.parent)
            if not self.hold(new=True):
                raise OSError(f"{self._lock.path} is held by another process")
        own_folder(self.path)
        for call_sid, record in news.items():
            self._write(self._file(call_sid), record)
        for call_sid in over:
            self._file(call_sid).unlink(missing_ok=True)

    def _write(self, file: Path, record: RunningRecord) -> None:
        part = file.with_suffix(".part")  # renamed, and not synced: it is a process that dies, not the machine
        write_private(part, encode_running(record))
        part.replace(file)

    def files(self) -> Sequence[Path]:
        """Return the checkpoints."""
        return sorted(self.path.glob("*.json"))

    def leave(self) -> None:
        """Remove the folder and its lock, unless a call is left in it; let go of the lock in any case."""
        if self._lock.is_held:
            for part in self.path.glob("*.part"):
                part.unlink(missing_ok=True)
            with suppress(OSError):  # a call that nobody could keep, or one set aside
                self.path.rmdir()
                self._lock.path.unlink(missing_ok=True)
        self.let_go()

    def let_go(self) -> None:
        """Let go of the lock."""
        self._lock.let_go()

    def _file(self, call_sid: str) -> Path:
        return self.path / f"{quote(call_sid, safe='', errors='backslashreplace')[:120]}.json"


def _orphans(folder: Path, own: Path) -> list[ProcessFolder]:
    """Return the folders of dead processes, each with its lock held; never our own, which the last round lets go."""
    found = [ProcessFolder(path) for path in folder.glob("*") if path.is_dir() and path != own]
    return [orphan for orphan in found if list(orphan.path.glob("*.json")) and orphan.hold(new=False)]
