"""A caller who never came has a record; one who is heard elsewhere, or is still on the way, has none of ours."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from store.memory import MemoryRecords
from store.records import CallRecord
from tests.web.fakes import CALL_SID, LEAD, LINE, FakeLine, note_streamed, services, settings
from web.calls.context import AppContext, Opened, build_context
from web.calls.follow_up import NO_SHOW_LOOK_SECONDS, OVERDUE_SECONDS, record_no_shows
from web.calls.live_calls import KnownCall
from web.calls.slots import Slots

SOON = OVERDUE_SECONDS + NO_SHOW_LOOK_SECONDS


@attrs.define
class World:
    context: AppContext
    records: MemoryRecords

    async def kept(self) -> list[tuple[str, str, str]]:
        return [(record.call_sid, record.outcome, record.direction) for record in await self.records.list()]


class Broken(MemoryRecords):
    """A store with a bug, which is hit once."""

    hit: bool = False

    async def get(self, call_sid: str) -> CallRecord | None:
        if not self.hit:
            self.hit = True
            raise KeyError(call_sid)
        return await super().get(call_sid)


@asynccontextmanager
async def world(direction: str = "inbound", records: MemoryRecords | None = None) -> AsyncIterator[World]:
    """A call that has rung at a worker that looks for no-shows."""
    records, line = records or MemoryRecords(), FakeLine()
    context = build_context(settings(), Opened(services(line, records), line, Slots(50)))
    context.live_calls.add(KnownCall(CALL_SID, direction, LEAD, LINE, "ringing", CALL_SID))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(record_no_shows, context)
        yield World(context, records)
        nursery.cancel_scope.cancel(reason="end of the test")


async def test_a_caller_who_never_came_has_one_record(autojump_clock: MockClock) -> None:
    async with world() as there:
        await trio.sleep(OVERDUE_SECONDS - 1)
        early = await there.kept()
        await trio.sleep(3 * SOON)

        assert early == []
        assert await there.kept() == [(CALL_SID, "never_ran", "inbound")]


async def test_news_of_a_call_puts_it_off(autojump_clock: MockClock) -> None:
    async with world() as there:
        await trio.sleep(OVERDUE_SECONDS - 1)
        there.context.live_calls.progress(CALL_SID, "in-progress", 1)
        await trio.sleep(NO_SHOW_LOOK_SECONDS + 2)

        assert await there.kept() == []


async def test_a_caller_who_has_come_has_a_record_of_their_own(autojump_clock: MockClock) -> None:
    async with world() as there:
        there.context.live_calls.streaming(CALL_SID)
        await trio.sleep(SOON)

        assert await there.kept() == []
        assert there.context.live_calls.find(CALL_SID) is not None


async def test_a_caller_whom_another_worker_has_is_shown_there(autojump_clock: MockClock) -> None:
    async with world() as there:
        await note_streamed(there.context.admissions, CALL_SID)
        await trio.sleep(SOON)

        assert await there.kept() == []
        assert there.context.live_calls.find(CALL_SID) is None


async def test_a_bug_in_the_store_does_not_end_the_server(autojump_clock: MockClock) -> None:
    other = "CA" + "2" * 32
    with capture_logs() as logs:
        async with world(records=Broken()) as there:
            there.context.live_calls.add(KnownCall(other, "inbound", LEAD, LINE, "ringing", other))
            await trio.sleep(SOON)

            assert [call_sid for call_sid, *_ in await there.kept()] == [other]
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["no_show_crashed"]


async def test_an_order_is_followed_by_whoever_placed_it(autojump_clock: MockClock) -> None:
    async with world("outbound") as there:
        await trio.sleep(SOON)

        assert await there.kept() == []
