"""The calls that go on, as an operator's list shows them: the agent on the floor, for how long, and the last words.

Of a call here that is what its log says (`WatchedCalls`). Of a call that another worker carries it is what its last
note says, some seconds old: nothing where the database is away.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from store.records import CallRecord
from web.calls.context import AppContext
from web.calls.live_calls import KnownCall

LONGEST_WORDS = 200


async def shown_live(calls: Sequence[KnownCall], context: AppContext) -> list[Mapping[str, object]]:
    """Return the rows of these calls, in their order."""
    return [{**_known(call), **await _seen(call, context)} for call in calls]


def _known(call: KnownCall) -> Mapping[str, object]:
    return {
        "id": call.id,
        "call_sid": call.call_sid,
        "status": call.status,
        "direction": call.direction,
        "caller": call.caller,
        "line": call.line,
        "created_at": call.created_at,
    }


async def _seen(call: KnownCall, context: AppContext) -> Mapping[str, object]:
    here = context.watched.find(call.call_sid)
    if here is not None and here.now is not None:
        return _moment(here.floor, here.now, *here.last_words)
    noted = await context.fleet.noted(call.call_sid) if call.streamed else None
    return _moment("", _age(call), "", "") if noted is None else _of_note(noted, _age(call))


def _of_note(record: CallRecord, age: float) -> Mapping[str, object]:
    last = record.transcript[-1] if record.transcript else None
    floor = record.agents[-1].agent if record.agents else ""
    return _moment(floor, age, last.speaker if last is not None else "", last.text if last is not None else "")


def _moment(floor: str, seconds: float, speaker: str, words: str) -> Mapping[str, object]:
    return {"floor": floor, "seconds": round(seconds, 1), "speaker": speaker, "last_words": words[-LONGEST_WORDS:]}


def _age(call: KnownCall) -> float:
    try:
        return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(call.created_at)).total_seconds())
    except (ValueError, TypeError):
        return 0.0
