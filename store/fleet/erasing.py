"""The fleet's tables about a call that is over: the last note of one that was cut, until its record is kept."""

from store.erasing import Subject
from store.fleet.driver import Database

_CUT = "SELECT call_sid, about || coalesce(note, '') FROM cut_calls"
_NOTES = """SELECT call_sid, note FROM call_notes
    WHERE NOT EXISTS (SELECT FROM live_calls WHERE live_calls.call_sid = call_notes.call_sid)"""
_ERASE = """WITH notes AS (DELETE FROM call_notes WHERE call_sid = ANY(%(sids)s))
DELETE FROM cut_calls WHERE call_sid = ANY(%(sids)s)"""


async def erase_rows(database: Database, subject: Subject) -> int:
    """Erase notes that mention somebody; return how many calls they were of.

    Raises: `FleetUnavailable`.
    """
    kept = [*await database.ask(_CUT), *await database.ask(_NOTES)]
    sids = {sid for sid, text in kept if subject.is_in(f"{sid} {text}")}
    await database.ask(_ERASE, {"sids": sorted(sids)})
    return len(sids)
