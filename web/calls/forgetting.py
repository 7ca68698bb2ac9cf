"""Lists, exports and erases all that is kept of a person, by number or by call.

`Forgetting` knows every place in which something of a call may lie: records, files, and `places` that others add (notes
between requests, checkpoints, what could not be sent). It erases in all of them, searches all of them again, and
returns an `Erasure`: what was erased, and what is left, by counts alone. A record or a journal of somebody else that
mentions the number keeps everything but the number. A call that goes on is not erased, nor is the person on it.
"""

import hashlib
import hmac
import secrets
import zipfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TypeAlias

import attrs
import structlog
import trio

from protocol.phone_numbers import is_phone_number
from store.calls import CallRecords, readable_record
from store.erasing import AUDIO, Subject, files_with, remove_all, scrub
from store.fleet.shared import Fleet, Question
from store.orders.queue import OrderQueue
from store.records import TRANSFERRING, RecordError, encode_record, record_as_json, record_from_json
from web.calls.call_files import RECORD, RECORDING, CallFiles
from web.calls.ending import Announced
from web.calls.live_calls import LiveCalls
from web.calls.watching import WatchedCalls

EXPORT_SECONDS = 600.0
"""For the recordings of one person to come from the object store."""
ANSWER_SECONDS = 30.0
"""For the other workers to search their folders."""
ERASE = "erase"
"""The kind of question that asks another worker to erase."""
_PASSES = 2
"""Searches after the first one; the proof is the last one, which finds nothing."""
SILENT = "workers that do not answer"
UNREADABLE = "record-unreadable.txt"
"""Takes the place of a record that nobody can read in what is exported."""
_log = structlog.stdlib.get_logger()


EraseFrom: TypeAlias = Callable[[Subject], Awaitable[int]]
"""Erases what mentions somebody in one place, and returns how much that was; `OSError` when another try may succeed."""


class GoesOn(Exception):
    """A call goes on now; `call_sid` says which."""

    def __init__(self, call_sid: str) -> None:
        super().__init__(f"the call {call_sid} goes on")
        self.call_sid = call_sid


@attrs.frozen
class Erasure:
    """Proof of an erasure, without the name: `digest` is made of the name with `key`, which is kept nowhere."""

    id: str
    at: str
    key: str
    digest: str
    erased: Mapping[str, int]
    left: Mapping[str, int]
    """What a second search still found, by place: empty when it is done."""
    not_erased: tuple[str, ...] = ()
    """Where bytes of it stay that no search of ours can find."""

    @classmethod
    def of(cls, name: str, erased: Mapping[str, int], left: Mapping[str, int]) -> "Erasure":
        key = secrets.token_hex(32)
        digest = hmac.new(bytes.fromhex(key), name.encode(), hashlib.sha256).hexdigest()
        found = {place: count for place, count in left.items() if count}
        at = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(f"ER{secrets.token_hex(12)}", at, key, digest, erased, found)


async def erase_left_files(folder: Path, subject: Subject) -> int:
    """Remove what was set aside in the folder of a queue, or left half written; return how many files mention it."""

    def erase() -> int:
        found = files_with(folder, subject)
        remove_all([path for path in found if path.suffix == ".refused" or path.name.startswith(".")])
        return len(found)

    return await trio.to_thread.run_sync(erase, limiter=trio.CapacityLimiter(1))


async def erase_orders(orders: OrderQueue, subject: Subject) -> int:
    """Forget the orders of a number, or of calls, and a campaign's contacts; return how many."""
    names = (*([subject.number] if subject.number else ()), *sorted(subject.calls))
    return sum([await orders.erase(name) for name in names])


@attrs.frozen
class Forgetting:
    records: CallRecords
    files: CallFiles
    fleet: Fleet
    live_calls: LiveCalls
    announced: Announced
    watched: WatchedCalls
    places: Mapping[str, EraseFrom] = attrs.field(factory=dict[str, EraseFrom])

    async def subject(self, name: str) -> Subject:
        """Return what goes with a number, or with a CallSid. Raises: `OSError`."""
        if not is_phone_number(name):
            return Subject(calls=frozenset([name]))
        mentioning = await self.records.mentioning(Subject(name))
        return Subject(name, frozenset([sid for sid in mentioning if await self._has_record(sid, name)]))

    async def _has_record(self, call_sid: str, number: str = "") -> bool:
        """Tell whether a call has a record, of this number if one is given."""
        try:
            record = await self.records.get(call_sid)
        except RecordError:
            return True  # nobody can read whose it is
        return record is not None and number in {"", record.caller}

    async def kept(self, subject: Subject) -> Mapping[str, object]:
        """Return the person's calls with their files, and whose records mention them. Raises: `OSError`."""
        found = {sid: await self.files.names(sid) for sid in sorted(subject.calls)}
        calls = [
            {"call_sid": sid, "record": await self._has_record(sid), "files": files} for sid, files in found.items()
        ]
        others = sorted({*await self.records.mentioning(subject)} - subject.calls)
        return {"calls": [call for call in calls if call["record"] or call["files"]], "mentioned_in": others}

    async def export(self, subject: Subject) -> IO[bytes]:
        """Return a ZIP file of all of the person's calls; the caller closes it. Raises: `OSError`."""
        names = {sid: await self.files.names(sid) for sid in sorted(subject.calls)}
        texts = dict[str, bytes]()
        for sid in names:
            try:
                if (record := await self.records.get(sid)) is not None:
                    texts[f"{sid}/{RECORD}"] = encode_record(record)
            except RecordError as exc:
                texts[f"{sid}/{UNREADABLE}"] = f"The record of this call cannot be read: {exc}\n".encode()
        pack = partial(_packed, self.files, names, texts)
        return await (self.files.in_store(pack, EXPORT_SECONDS) if self.files.objects else self.files.in_thread(pack))

    async def erase(self, name: str, subject: Subject) -> Erasure:
        """Erase everything of a subject, and overwrite it where that can be done.

        Raises: `GoesOn`; `OSError`: do it again, what is erased already is no matter.
        """
        await self._refuse_live(subject)
        erased, left = Counter[str](), await self._erase_all(subject)
        for _ in range(_PASSES):
            erased += Counter(left)
            found = await self.subject(name)  # a call that a dead process had cut may have come to light
            subject = attrs.evolve(subject, calls=subject.calls | found.calls)
            left = await self._erase_all(subject)
            if not any(left.values()) or left.get(SILENT):
                break
        not_erased = await self.records.overwrite()
        del erased[SILENT]
        proof = attrs.evolve(Erasure.of(name, dict(erased), left), not_erased=tuple(not_erased))
        _log.info(
            "person_erased" if subject.number else "call_erased", id=proof.id, erased=proof.erased, left=proof.left
        )
        return proof

    async def _refuse_live(self, subject: Subject) -> None:
        here = [call for call in self.live_calls.newest() if call.live]
        going = [(call.call_sid or call.id, call.caller) for call in here]
        going += [(call.call_sid, call.caller) for call in await self.fleet.live()]
        parked = (one.record for one in self.announced.parked.values() if one.record.outcome == TRANSFERRING)
        going += [(record.call_sid, record.caller) for record in parked]
        for call_sid, caller in going:
            if call_sid in subject.calls or (subject.number and caller == subject.number):
                raise GoesOn(call_sid)
        for call_sid in subject.calls:
            if await self._goes_on(call_sid):
                raise GoesOn(call_sid)

    async def _goes_on(self, call_sid: str) -> bool:
        watched = self.watched.find(call_sid)
        if (watched is not None and watched.now is not None) or await self.fleet.find(call_sid) is not None:
            return True
        return await self.files.is_written(call_sid) and not await self._has_record(call_sid)

    async def answer(self, _: str, about: object) -> object:
        """Erase what this worker has, for another one that asks; return how many things that were.

        Raises: `OSError`; `ValueError` for a question of another version.
        """
        match about:
            case {"number": str(number), "calls": list(calls)}:
                return sum((await self._erase_own(Subject(number, frozenset(calls)))).values())
            case _:
                raise ValueError("no number, or no calls, to erase")

    async def _erase_all(self, subject: Subject) -> dict[str, int]:
        found = await self._erase_own(subject)
        about = {"number": subject.number, "calls": sorted(subject.calls)}
        others = await self.fleet.ask(Question(ERASE, about), ANSWER_SECONDS)
        erased = sum(count for count in others.given if isinstance(count, int))
        return {**found, "other workers": erased, SILENT: others.silent}

    async def _erase_own(self, subject: Subject) -> dict[str, int]:
        self._forget_here(subject)
        found = {"records": await self._erase_records(subject), "files": await self._erase_files(subject)}
        for name, erase in self.places.items():
            found[name] = await erase(subject)
        return found

    def _forget_here(self, subject: Subject) -> None:
        for call in self.live_calls.newest():
            is_theirs = bool(subject.number) and call.caller == subject.number
            if is_theirs or {call.call_sid, call.id} & subject.calls:
                self.live_calls.remove(call.id)
        for call_sid in subject.calls:
            self.watched.forget(call_sid)
            self.announced.leave(call_sid)

    async def _erase_records(self, subject: Subject) -> int:
        mentioning = await self.records.mentioning(subject)
        for call_sid in {*(mentioning if subject.number else ()), *subject.calls}:
            record = None if call_sid in subject.calls else await readable_record(self.records, call_sid)
            await self.records.erase(call_sid)
            if record is not None and subject.number:
                await self.records.save(record_from_json(subject.scrubbed_value(record_as_json(record))))
        return len(mentioning)

    async def _erase_files(self, subject: Subject) -> int:
        count = 0
        for call_sid in subject.calls:
            count += len(await self.files.names(call_sid))
            await self.files.erase(call_sid)
        if subject.number and self.files.folder is not None:
            count += await self.files.in_thread(partial(_scrub_files, self.files.folder, subject))
        return count


def _scrub_files(folder: Path, subject: Subject) -> int:
    folders = [one for one in folder.iterdir() if (one / RECORD).exists()] if folder.is_dir() else []
    found = [path for one in folders for path in files_with(one, subject)]
    for path in found:
        scrub(path, subject)
    return len(found)


def _packed(files: CallFiles, names: Mapping[str, Sequence[str]], texts: Mapping[str, bytes]) -> IO[bytes]:
    with ExitStack() as failed:
        packed = failed.enter_context(TemporaryFile())  # else the caller of this function closes it
        with zipfile.ZipFile(packed, "w") as whole:
            for member, text in texts.items():
                whole.writestr(member, text, zipfile.ZIP_DEFLATED)
            for call_sid, name in _members(names):
                path, member = files.path(call_sid, name), f"{call_sid}/{name}"
                if path is not None and path.exists() and member not in texts:
                    method = zipfile.ZIP_STORED if path.suffix in AUDIO else zipfile.ZIP_DEFLATED
                    whole.write(path, member, method)
                elif name == RECORDING and files.objects is not None:
                    with whole.open(member, "w", force_zip64=True) as audio:
                        files.objects.copy(call_sid, audio)
        packed.seek(0)
        failed.pop_all()
    return packed


def _members(names: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    for call_sid, found in names.items():
        yield from ((call_sid, name) for name in found if not name.startswith("."))
