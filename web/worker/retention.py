"""Removal of audio, words and records that are older than `RETENTION_DAYS`.

Every worker looks each hour; what another one has removed is no matter. Audio and words on the disk go by the age of
their files, audio in the object store by the age of its object, records by the start of their calls: with a record goes
everything of its call, and news of it that have not arrived. The time is the database's: a worker whose clock is wrong
removes nothing too early. What disk, store or database refuse is logged, holds up nothing else, and the next
hour finds what is left.
"""

import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import attrs
import structlog

from actors.supervision import unharmed
from keeping_settings import Retention
from store.calls import CallRecords
from store.databases import SqliteDatabase
from store.orders.queue import OrderQueue
from store.outbox import DAY, Outbox
from store.records import CallRecord, RecordError
from store.search import MOST, CallQuery, CallSummary
from store.spill import SpillingRecords
from web.calls.call_files import JOURNAL, RECORD, RECORDING, CallFiles
from web.calls.context import AppContext

EVERY_SECONDS = 3600.0
STORE_SECONDS = 600.0
"""Time for the object store to list and remove old recordings."""
TRANSCRIPT = "transcript.json"
FAILED = "retention_failed"

_log = structlog.stdlib.get_logger()


@attrs.define(eq=False)
class Removal:
    retention: Retention
    records: CallRecords
    files: CallFiles
    outbox: Outbox = attrs.field(factory=lambda: Outbox(SqliteDatabase()))
    _now: datetime = attrs.field(factory=lambda: datetime.now(UTC), init=False)
    _worded_since: str = attrs.field(default="", init=False)
    """Calls that started before are without words, as far as this process has seen to it."""

    @classmethod
    def of(cls, context: AppContext) -> "Removal":
        return cls(context.settings.retention_days, context.announced.kept_in, context.files, context.outbox)

    async def look(self) -> None:
        """Remove what is too old. Raises: `OSError`, where the database does not tell the time."""
        self._now = datetime.fromtimestamp(await OrderQueue(self.outbox.database).now(), UTC)
        parts: Mapping[str, Callable[[], Awaitable[int]]] = {
            "records": self._remove_records,
            "transcripts": self._remove_words,
            "files": self._remove_files,
            "refused": self._remove_refused,
            "objects": self._remove_objects,
            "webhooks": partial(self.outbox.remove_older, self.retention.records * DAY),  # they say who called whom
        }
        removed = dict[str, int]()

        async def remove(part: str) -> None:
            removed[part] = await parts[part]()

        for part in parts:
            await unharmed(partial(remove, part), FAILED, of=part)
        if any(removed.values()):
            _log.info("retention_kept", removed=removed)

    async def _remove_records(self) -> int:
        count = 0
        async for summary in self._older(self.retention.records):
            await self.records.erase(summary.call_sid)
            await self.files.erase(summary.call_sid)
            count += 1
        return count

    async def _remove_words(self) -> int:
        count, until = 0, self._until(self.retention.transcripts)
        async for summary in self._older(self.retention.transcripts, self._worded_since):
            with suppress(RecordError):  # nobody can read it; with its record it goes
                record = await self.records.get(summary.call_sid)
                if record is not None and record != (bare := without_words(record)):
                    await self.records.save(bare)
                    count += 1
        self._worded_since = until
        return count

    def _ago(self, days: float) -> datetime:
        """Return the moment before which something that is kept for so long is too old."""
        return self._now - timedelta(days=days)

    def _until(self, days: float) -> str:
        return self._ago(days).isoformat(timespec="milliseconds") if days < math.inf else ""

    async def _older(self, days: float, since: str = "") -> AsyncIterator[CallSummary]:
        """Go through the calls that are too old, the newest of them first."""
        if days == math.inf:
            return
        query = CallQuery(since=since, until=self._until(days), limit=MOST)
        while found := await self.records.search(query):
            for summary in found:
                yield summary
            query = attrs.evolve(query, before=found[-1].key)

    async def _remove_files(self) -> int:
        folder, kept = self.files.folder, self.retention
        if folder is None:
            return 0
        words = dict.fromkeys((JOURNAL, TRANSCRIPT, RECORD), min(kept.transcripts, kept.records))
        names = words | {RECORDING: min(kept.audio, kept.records)}
        moments = {name: self._by_ours(days) for name, days in names.items() if days < math.inf}
        return await self.files.in_thread(partial(_remove_old, folder, moments))

    async def _remove_refused(self) -> int:
        """Remove what was set aside because nobody could read or keep it: there are words in it."""
        days = min(self.retention.transcripts, self.retention.records)
        if days == math.inf or not isinstance(self.records, SpillingRecords):
            return 0
        folder, moment = self.records.folder, self._by_ours(days)
        return await self.files.in_thread(partial(_remove_set_aside, (folder.path, folder.running), moment))

    def _by_ours(self, days: float) -> float:
        """Return the moment by this machine's clock before which a file that is kept for so long is too old."""
        behind = max(0.0, self._now.timestamp() - time.time())  # so much older is what we write now
        return self._ago(days).timestamp() - behind

    async def _remove_objects(self) -> int:
        objects, days = self.files.objects, min(self.retention.audio, self.retention.records)
        if objects is None or days == math.inf:
            return 0
        work = partial(objects.erase_older, self._ago(days).timestamp(), time.time())
        return await self.files.in_store(work, STORE_SECONDS)


def _remove_old(folder: Path, moments: dict[str, float]) -> int:
    """Remove files, by name, that are older than a moment, and folders that are empty then."""
    count = 0
    for call in [one for one in folder.iterdir() if one.is_dir() and not one.name.startswith(".")]:
        for name, moment in moments.items():
            with suppress(FileNotFoundError):
                if (call / name).stat().st_mtime < moment:
                    (call / name).unlink()
                    count += 1
        if count and not any(call.iterdir()):
            call.rmdir()
    return count


def _remove_set_aside(folders: Sequence[Path], moment: float) -> int:
    count = 0
    for path in [path for folder in folders for path in folder.glob("*.refused")]:
        with suppress(FileNotFoundError):  # another worker has
            if path.stat().st_mtime < moment:
                path.unlink()
                count += 1
    return count


def without_words(record: CallRecord) -> CallRecord:
    """Return a record of who called whom, when, and how it went: nothing that was said, noted or concluded."""
    return attrs.evolve(
        record,
        transcript=(),
        facts={},
        extracted={},
        handoffs=tuple(attrs.evolve(one, cause="", brief={}) for one in record.handoffs),
        functions=tuple(attrs.evolve(one, arguments={}, result="") for one in record.functions),
        transfers=tuple(attrs.evolve(one, reason="") for one in record.transfers),
        commands=tuple(attrs.evolve(one, fields={}) for one in record.commands),
        faults=tuple(fault.partition(":")[0] for fault in record.faults),
    )
