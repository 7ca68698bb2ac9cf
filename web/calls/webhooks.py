"""News of calls for the server at `CALL_WEBHOOK_URL`: begun, handed on, put through to a person, ended.

`Webhooks` takes facts of running calls and records of those that are over, keeps each as an event in the outbox, and
sends what is there: at least once, in the order of each call, again and again for a day. No call waits for any of it.
What was not kept because the database was away waits here; the end of a call that was lost with this process is found
by its record. It raises nothing.
"""

import random
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

import attrs
import structlog
import trio

from actors import facts
from actors.call_services import CallPlan
from actors.journal import Entry, JournalReader
from actors.supervision import keep_running
from store.calls import CallRecords, readable_record
from store.outbox import LAST, Event, Outbox, event_id
from store.records import TRANSFERRING, CallRecord
from store.search import MOST, CallQuery, CallSummary
from web.calls.work_queue import WorkQueue

STARTED, HANDOFF, TRANSFER, ENDED = "call.started", "handoff", "transfer", "call.ended"
AT_ONCE: Final = 8
LEASE_SECONDS: Final = 30.0
"""More than a try may take."""
LOOK_SECONDS: Final = 5.0
"""Between looks for what other workers have left."""
SWEEP_SECONDS: Final = 600.0
"""Seconds between looks for unannounced ends of calls, and from an end to its first look."""
FIRST_DELAY, LONGEST_DELAY = 5.0, 4 * 3600.0
PLACES: Final = 10_000
_OF_RECORD = ("direction", "caller", "line", "started_at", "duration", "outcome", "why", "answered_by")

PostWebhook: TypeAlias = Callable[[str, bytes], Awaitable[str]]
"""Sends a message by its id; returns why it has not arrived, or nothing."""

_log = structlog.stdlib.get_logger()


def delay(tries: int) -> float:
    """Return the wait after so many tries, in seconds: tripled each time, bounded, and not the same for all."""
    longest = min(LONGEST_DELAY, FIRST_DELAY * 3 ** min(tries - 1, 20))
    return random.uniform(0.8 * longest, longest)


@attrs.frozen
class News:
    """An event that is to be kept."""

    call_sid: str
    kind: str
    ordinal: int
    body: Mapping[str, object]


def news(call_sid: str, kind: str, ordinal: int, about: Mapping[str, object]) -> News:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return News(call_sid, kind, ordinal, {"type": kind, "timestamp": now, "data": {"call_sid": call_sid, **about}})


def news_of_end(record: CallRecord) -> News:
    """Make the last one of a call. Nothing that was said is in it: the record has that."""
    about: dict[str, object] = {
        **{name: getattr(record, name) for name in _OF_RECORD},
        "agents": [period.agent for period in record.agents],
        "handoffs": len(record.handoffs),
        "transfers": [{"agent": one.agent, "outcome": one.outcome} for one in record.transfers],
        "metadata": dict(record.metadata),
    }
    return news(record.call_sid, ENDED, LAST, about)


@attrs.define
class _Reader:
    """Reads the Journal of one call. Ordinals are milliseconds of the call: its second stream goes on counting."""

    plan: CallPlan
    put: Callable[[News], None]
    _last: int = attrs.field(default=-1, init=False)

    def read(self, entry: Entry) -> None:
        match entry.fact:
            case facts.CallStarted():
                self._tell(STARTED, entry, metadata=dict(self.plan.metadata))
            case facts.HandoffCommitted(agent=agent, to=to):
                self._tell(HANDOFF, entry, from_agent=agent, to_agent=to)
            case facts.TransferAsked(agent=agent):
                self._tell(TRANSFER, entry, agent=agent)
            case _:
                pass  # no news for others

    def _tell(self, kind: str, entry: Entry, **about: object) -> None:
        self._last = max(self._last + 1, round(entry.at * 1000))
        plan = self.plan
        parties = {"direction": plan.direction, "caller": plan.caller, "line": plan.line, "at": round(entry.at, 3)}
        self.put(news(plan.call_sid, kind, self._last, {**parties, **about}))


@attrs.define(eq=False)
class Webhooks:
    outbox: Outbox
    records: CallRecords
    post: PostWebhook
    _to_keep: WorkQueue[News] = attrs.field(init=False)
    _away: str = attrs.field(default="", init=False)
    """Why the database does not keep news now, as it was told."""
    _wake: trio.Event = attrs.field(factory=trio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        self._to_keep = WorkQueue("webhooks", self._keep, 1, PLACES)

    def reader(self, plan: CallPlan) -> JournalReader:
        return _Reader(plan, self._to_keep.put).read

    def ended(self, record: CallRecord) -> None:
        self._to_keep.put(news_of_end(record))

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._to_keep.run)
            nursery.start_soon(keep_running, self.sweep, "webhooks_not_swept", SWEEP_SECONDS)
            places = trio.Semaphore(AT_ONCE)
            while True:
                await places.acquire()
                nursery.start_soon(self._send, await self._next(), places)

    async def _keep(self, one: News) -> None:
        """Keep one piece of news, however long the database is away; what can never be kept crashes."""
        while True:
            try:
                await self.outbox.put(one.call_sid, one.kind, one.ordinal, one.body)
                break
            except OSError as exc:
                if str(exc) != self._away:
                    _log.warning("webhook_not_kept_yet", call_sid=one.call_sid, kind=one.kind, why=str(exc))
                self._away = str(exc)
                await trio.sleep(1)
        self._away = ""
        self._wake.set()

    async def _next(self) -> Event:
        while True:
            self._wake = trio.Event()
            seconds = LOOK_SECONDS
            try:
                if (event := await self.outbox.take(LEASE_SECONDS)) is not None:
                    return event
                due = await self.outbox.next_due()
                seconds = min(LOOK_SECONDS, max(0.05, due)) if due is not None else LOOK_SECONDS
            except OSError as exc:
                _log.debug("outbox_away", why=str(exc))
            with trio.move_on_after(seconds):
                await self._wake.wait()

    async def _send(self, event: Event, places: trio.Semaphore) -> None:
        try:
            why = await self.post(event.id, event.body.encode())
            await self._note(event, why)
        except OSError as exc:  # it is sent again when its lease is over
            _log.warning("webhook_not_noted", id=event.id, why=str(exc))
        finally:
            places.release()
            self._wake.set()

    async def _note(self, event: Event, why: str) -> None:
        if not why:
            await self.outbox.sent(event)
            return
        is_dead = await self.outbox.failed(event, why, delay(event.tries))
        tell = _log.error if is_dead else _log.info
        said = "webhook_dead" if is_dead else "webhook_failed"
        tell(said, id=event.id, call_sid=event.call_sid, kind=event.kind, tries=event.tries, why=why)

    async def sweep(self) -> None:
        """Keep the ends of calls that were never kept, as of a killed process. Raises: `OSError`."""
        await self.outbox.prune()
        since = await self.outbox.since()
        if since is None:
            return
        began = datetime.fromtimestamp(max(since, time.time() - 86_400), UTC).isoformat(timespec="milliseconds")
        query = CallQuery(since=began, limit=MOST)
        while summaries := await self.records.search(query):
            await self._keep_missing([one for one in summaries if _is_long_over(one)])
            query = attrs.evolve(query, before=summaries[-1].key)

    async def _keep_missing(self, summaries: list[CallSummary]) -> None:
        ids = {event_id(one.call_sid, ENDED, LAST): one.call_sid for one in summaries}
        for missing in await self.outbox.unknown(list(ids)):
            if (record := await readable_record(self.records, ids[missing])) is not None:
                self.ended(record)


def _is_long_over(summary: CallSummary) -> bool:
    if summary.outcome == TRANSFERRING:
        return False
    try:
        ended = datetime.fromisoformat(summary.started_at) + timedelta(seconds=summary.duration + SWEEP_SECONDS)
    except ValueError:
        return False
    return ended < datetime.now(UTC)
