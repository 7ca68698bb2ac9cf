"""The calls that go on, on this worker and on others, and as an operator's list shows them.

The list has the agent on the floor, for how long, and the last words. Of a call here that is what its log says
(`WatchedCalls`); of a call that another worker carries, what its last note says, some seconds old: nothing where the
database is away.
"""

from collections.abc import Mapping, Sequence

from store.fleet.shared import LiveCall
from web.calls.context import AppContext
from web.calls.live_calls import KnownCall, seconds_since

LONGEST_WORDS = 200
_TOLD = ("id", "call_sid", "status", "direction", "caller", "line", "answered_by", "outcome", "created_at")


async def everywhere(context: AppContext) -> Sequence[KnownCall]:
    """Return the live calls of this worker, newest first, and then those that only other workers know."""
    here = [call for call in context.live_calls.newest() if call.live]
    known = {name for call in here for name in (call.id, call.call_sid)}
    elsewhere = [call for call in await context.fleet.live() if not known & {call.key, call.call_sid}]
    return [*here, *map(_of_another_worker, elsewhere)]


async def find_elsewhere(context: AppContext, name: str) -> KnownCall | None:
    call = await context.fleet.find(name)
    return _of_another_worker(call) if call is not None else None


def _of_another_worker(call: LiveCall) -> KnownCall:
    named = call.key, call.direction, call.caller, call.line, "in-progress", call.call_sid
    return KnownCall(*named).carried(call.started_at)


async def shown_live(calls: Sequence[KnownCall], context: AppContext) -> list[Mapping[str, object]]:
    return [{**known_as_json(call), **await _seen(call, context)} for call in calls]


def known_as_json(call: KnownCall) -> dict[str, object]:
    """Return what a client is told of a call that has no record yet."""
    return {name: getattr(call, name) for name in _TOLD}


async def _seen(call: KnownCall, context: AppContext) -> Mapping[str, object]:
    here = context.watched.find(call.call_sid)
    if here is not None and here.now is not None:
        return _moment(here.floor, here.now, *here.last_words)
    noted = await context.fleet.noted(call.call_sid) if call.streamed else None
    floor = noted.agents[-1].agent if noted is not None and noted.agents else ""
    said = [(turn.speaker, turn.text) for turn in noted.transcript[-1:]] if noted is not None else []
    return _moment(floor, seconds_since(call.created_at), *(said or [("", "")])[0])


def _moment(floor: str, seconds: float, speaker: str, words: str) -> Mapping[str, object]:
    return {"floor": floor, "seconds": round(seconds, 1), "speaker": speaker, "last_words": words[-LONGEST_WORDS:]}
