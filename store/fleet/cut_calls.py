"""Calls that dead workers have cut: they are closed, and their records kept, unless somebody is erased from them.

A dead worker is closed by whichever other one finds it first. What its calls leave behind is kept by any of them.
"""

import attrs
import psycopg
import structlog
import trio

from store.erasing import Subject
from store.fleet import statements
from store.fleet.driver import Database
from store.fleet.shared import BEAT_SECONDS, Adopt, LiveCall
from store.fleet.statements import live_call
from store.records import CallRecord, RecordError, decode_record

_CUT = "SELECT call_sid, about || coalesce(note, '') FROM cut_calls"
_NOTES = """SELECT call_sid, note FROM call_notes
    WHERE NOT EXISTS (SELECT FROM live_calls WHERE live_calls.call_sid = call_notes.call_sid)"""
_ERASE = f"""WITH notes AS (DELETE FROM call_notes WHERE call_sid = ANY(%(sids)s)),
unheard AS ({statements.UNHEARD})
DELETE FROM cut_calls WHERE call_sid = ANY(%(sids)s)"""  # noqa: S608 - constants
_log = structlog.stdlib.get_logger()


async def close_dead(database: Database, worker: str) -> None:
    """Close what dead workers held; `worker` is us. Raises: `DatabaseUnavailable`."""
    while True:
        try:
            ((dead, cut),) = await database.ask(statements.REAP, {"worker": worker})
        except psycopg.IntegrityError:
            return  # it was letting somebody in at this moment: the next beat sees that call
        if dead is None:
            return
        _log.warning("worker_found_dead", worker=dead, calls=cut)


async def adopt_on(database: Database, adopt: Adopt) -> None:
    """Keep the records of calls that were cut, every beat, until cancelled."""
    unread = set[str]()
    while True:
        await trio.sleep(BEAT_SECONDS)
        try:
            await adopt_cut(database, adopt, unread)
        except OSError as exc:
            if not database.is_away:  # the beat tells of that
                _log.warning("cut_calls_not_kept", why=str(exc))


async def adopt_cut(database: Database, adopt: Adopt, unread: set[str]) -> int:
    """Keep the records of calls that dead workers have cut; return how many.

    One is kept again where a worker dies between the two steps: under its CallSid, as it was. A note that cannot be
    read stays for a day, for a worker of the version that wrote it; `unread` has the calls that were kept without it,
    as long as it stays.

    Raises: `OSError`; what was not kept waits.
    """
    kept, after, there = 0, "", set[str]()
    while rows := await database.ask(statements.CUT, {"after": after}):
        for call_sid, about, note in rows:
            there.add(call_sid)
            if call_sid not in unread:
                record, is_read = _record_of(live_call(about), note)
                await adopt(record)
                kept += 1
                if not is_read:
                    unread.add(call_sid)
            await database.ask(statements.KEPT, {"call_sid": call_sid, "is_read": call_sid not in unread})
            after = call_sid
    unread &= there  # one that went on may be cut again, with another note
    return kept


def _record_of(call: LiveCall, note: str | None) -> tuple[CallRecord, bool]:
    """Return the record of a cut call: its last note, or what else is known; False where the note cannot be read."""
    is_read = True
    if note is not None:
        try:
            return decode_record(note.encode()), True
        except RecordError as exc:
            _log.error("note_refused", call_sid=call.call_sid, why=str(exc))
            is_read = False
    about = attrs.asdict(call, filter=lambda field, _: field.name not in {"key", "worker"})
    return CallRecord(**about, duration=0.0, outcome="cut"), is_read


async def erase_rows(database: Database, subject: Subject) -> int:
    """Erase notes that mention somebody; return how many calls they were of. Raises: `DatabaseUnavailable`."""
    kept = [*await database.ask(_CUT), *await database.ask(_NOTES)]
    sids = {sid for sid, text in kept if subject.is_in(f"{sid} {text}")}
    await database.ask(_ERASE, {"sids": sorted(sids)})
    return len(sids)
