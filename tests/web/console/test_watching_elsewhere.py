"""Watching a call of another worker: the same as at its own, each entry once, and the call waits for nobody."""

import zlib
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MethodType
from typing import cast

import attrs
import orjson
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.facts import CallParked
from actors.record.record import RecordBuilder
from store.calls import DatabaseUnavailable, MemoryRecords
from store.fleet.shared import Answers, Fleet, LiveCall, Question
from tests.store.samples import begun
from tests.web.console.test_phone import started
from tests.web.console.test_watching import ALL, Event, Running, is_over, parsed, words
from tests.web.console.visitors import signed_in
from tests.web.fakes import CALL_SID, Exchange, FakeCalls, FakeLine, context_of, services, settings
from web.app import create_app
from web.calls.context import Opened
from web.calls.slots import Slots
from web.calls.watching import WatchedCalls
from web.console.phone import new_admission
from web.console.session import Sessions
from web.routes import watch_elsewhere
from web.routes.watch import AUDIO, EVENTS, MOST_WATCHERS, STALL_SECONDS, TASKS, EventStream, ListenStream, Stream
from web.routes.watch_elsewhere import (
    ANSWER_SECONDS,
    MANY,
    NONE,
    OVER,
    QUIET_SECONDS,
    WATCH,
    CallsElsewhere,
    RemoteStream,
    read_tree,
)

DELAY = 0.02


def delivered(_: object) -> bool:
    return True


@attrs.define(eq=False)
class Joined(Fleet):
    """One worker of an account, whose messages take some milliseconds; `passes` says which questions arrive."""

    others: dict[str, "Joined"] = attrs.field(factory=dict)
    passes: Callable[[object], bool] = delivered
    changes: Callable[[object], object] = lambda answer: answer
    """What becomes of an answer of this worker's on its way."""
    answers: list[object] = attrs.field(factory=list)
    """Those that were given to this worker."""
    asked: list[str] = attrs.field(factory=list)
    is_down: bool = False
    delay: float = DELAY

    async def find(self, name: str) -> LiveCall | None:
        self.asked.append(name)
        for fleet in self.others.values():
            if (found := await Fleet.find(fleet, name)) is not None:
                return attrs.evolve(found, worker=fleet.worker)
        return None

    async def ask(self, question: Question, within: float) -> Answers:
        if self.is_down:
            raise DatabaseUnavailable("away")
        with trio.move_on_after(within):
            await trio.sleep(self.delay)
            there = self.others[question.worker]
            if not self.passes(question.about):
                await trio.sleep_forever()
            try:
                answer = await there.answering[question.kind](question.call, orjson.loads(orjson.dumps(question.about)))
            except ValueError:
                await trio.sleep_forever()
            await trio.sleep(there.delay)
            self.answers.append(there.changes(orjson.loads(orjson.dumps(answer))))
            return Answers([self.answers[-1]])
        return Answers(silent=1)


def two_fleets() -> tuple[Joined, Joined]:
    page, call = Joined(10, worker="page"), Joined(10, worker="call")
    page.others = call.others = {"page": page, "call": call}
    return page, call


@attrs.frozen
class Account:
    """The worker of a page, and the worker of a call."""

    page: CallsElsewhere
    fleet: Joined
    theirs: Joined
    call: Running

    async def watch(self, what: str = EVENTS, since: str = "") -> RemoteStream:
        found = await self.page.watch("call", CALL_SID, what, since)
        assert isinstance(found, RemoteStream), found
        return found


@asynccontextmanager
async def account() -> AsyncIterator[Account]:
    ours, theirs = two_fleets()
    calls = WatchedCalls()
    page, far = CallsElsewhere(ours, WatchedCalls()), CallsElsewhere(theirs, calls)
    theirs.answering[WATCH] = far.answer
    async with trio.open_nursery() as nursery:
        nursery.start_soon(far.run)
        nursery.start_soon(page.run)
        yield Account(page, ours, theirs, Running.of(calls.watch(CALL_SID)))
        nursery.cancel_scope.cancel()


async def read(stream: RemoteStream | EventStream, until: Callable[[list[Event]], bool]) -> list[Event]:
    """Read until enough has come, and leave; a message may hold parts of events."""
    rest, events = b"", list[Event]()
    async with stream:
        async for part in stream:
            whole, end, rest = (rest + part).rpartition(b"\n\n")
            events += parsed(whole + end)
            if until(events):
                break
    return events


def facts(events: list[Event]) -> list[Event]:
    return [event for event in events if event.id]


async def test_a_page_gets_what_a_page_at_the_calls_own_worker_gets(autojump_clock: MockClock) -> None:
    async with account() as there:
        far, near = list[Event](), list[Event]()

        async def watch_far() -> None:
            far.extend(await read(await there.watch(), is_over))

        async def watch_near() -> None:
            near.extend(await read(EventStream(there.call.watch), is_over))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch_far)
            nursery.start_soon(watch_near)
            for index in range(0, len(ALL), 20):
                there.call.says(*ALL[index : index + 20])
                await trio.sleep(0.1)
            there.call.ends()

        assert facts(far) == facts(near)
        assert words(far) == ALL
        assert len([event for event in far if event.name == "now"]) > 10


async def test_a_piece_that_is_slow_to_come_comes_once(autojump_clock: MockClock) -> None:
    async with account() as there:
        there.theirs.delay = 1.2
        there.call.says(*ALL[:3])
        there.call.ends()
        events = await read(await there.watch(), is_over)
        await trio.sleep(STALL_SECONDS + 1)

        assert words(events) == ALL[:3]
        assert there.call.watch.watchers == 0


async def test_a_watcher_that_takes_nothing_is_dropped_and_the_call_does_not_notice(autojump_clock: MockClock) -> None:
    async with account() as there:
        began = trio.current_time()
        async with await there.watch() as stream:
            assert await anext(stream)
            while True:
                before = trio.current_time()
                there.call.says(*ALL[:100])
                assert trio.current_time() == before
                await trio.sleep(0.25)
        await trio.sleep(5 * DELAY)

        assert trio.current_time() - began == pytest.approx(STALL_SECONDS, abs=0.5)
        assert len(there.fleet.answers) <= 3
        await trio.sleep(STALL_SECONDS)
        assert there.call.watch.watchers == 0


@pytest.mark.parametrize("what", [EVENTS, AUDIO])
async def test_a_page_that_leaves_is_soon_gone_at_the_call(what: str, autojump_clock: MockClock) -> None:
    """It leaves while the next piece is on its way, or has not been asked for."""
    async with account() as there:
        for seconds in (0, 0.01, 0.1, 0.2, 0.3):
            async with await there.watch(what) as stream:
                assert await anext(stream)
                with trio.move_on_after(seconds):
                    async for _ in stream:
                        pass
            assert there.page.watchers == 0
            await trio.sleep(STALL_SECONDS + 1.5)

            assert (there.call.watch.watchers, there.call.watch.listeners) == (0, 0)


async def test_a_page_asks_a_few_times_a_second_for_events(autojump_clock: MockClock) -> None:
    async with account() as there:
        async with await there.watch() as stream:
            with trio.move_on_after(10):
                async for _ in stream:
                    there.call.says("word", "word")

        assert 15 < len(there.fleet.answers) < 30


async def test_a_watcher_is_not_forgotten_while_it_waits_for_what_it_asked_for_late(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(Stream):
        async def parts(self) -> AsyncGenerator[bytes, None]:
            try:
                yield b"first"
                await trio.sleep(3)
                yield b"second"
            finally:
                left.append(trio.current_time())

    left = list[float]()
    monkeypatch.setattr(watch_elsewhere, "stream_of", lambda *_: Slow())
    async with account() as there:
        answer, about = there.theirs.answering[WATCH], {"id": "late", "watch": EVENTS, "call": CALL_SID, "since": ""}
        await answer("", {**about, "is_first": True})
        await trio.sleep(STALL_SECONDS - 1)
        second = await answer("", {**about, "is_first": False})
        came_at = trio.current_time()
        await trio.sleep(STALL_SECONDS + 1)

    assert list(cast("Mapping[str, object]", second)) == ["piece"]
    assert left == [pytest.approx(came_at + STALL_SECONDS, abs=1)]


async def test_a_worker_that_dies_with_its_pages_is_noticed(autojump_clock: MockClock) -> None:
    async with account() as there:
        async with await there.watch() as stream:
            assert await anext(stream)
            there.fleet.passes = lambda _: False
        await trio.sleep(STALL_SECONDS + 1)

        assert there.call.watch.watchers == 0


async def test_a_worker_that_dies_with_its_call_ends_the_answer(autojump_clock: MockClock) -> None:
    async with account() as there:
        async with await there.watch() as stream:
            assert await anext(stream)
            there.fleet.passes = lambda _: False
            began = trio.current_time()
            assert [part async for part in stream] == []
            assert trio.current_time() - began <= QUIET_SECONDS + 1

        assert there.page.watchers == 0


async def test_a_listener_elsewhere_hears_both_sides_and_is_noted(autojump_clock: MockClock) -> None:
    async with account() as there:
        book = RecordBuilder(begun())
        there.call.journal._readers = (there.call.watch.read, book.read)
        far, near = bytearray(), bytearray()

        async def speak() -> None:
            for index in range(250):
                there.call.watch.hear_caller(bytes([index]) * 160)
                there.call.watch.hear_agents(5 + index / 50, bytes([255 - index]) * 160)
                await trio.sleep(0.02)
            there.call.ends()

        async def listen_far() -> None:
            async with await there.watch(AUDIO) as stream:
                async for part in stream:
                    far.extend(part)

        async def listen_near() -> None:
            async with ListenStream(there.call.watch) as stream:
                async for part in stream:
                    near.extend(part)

        await trio.sleep(5)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen_near)
            nursery.start_soon(listen_far)
            await wait_all_tasks_blocked()
            nursery.start_soon(speak)

        for side in (0, 800):
            few, most = (b"".join(both[at : at + 800] for at in range(side, len(both), 1600)) for both in (far, near))
            assert len(few) > 30_000
            assert few[4000:-1600] in most
        assert book.record().listeners == 2


@pytest.mark.parametrize("why", [NONE, MANY])
async def test_a_worker_that_cannot_says_why_at_once(why: str, autojump_clock: MockClock) -> None:
    async with account() as there:
        there.call.watch.watchers = MOST_WATCHERS if why == MANY else 0
        began = trio.current_time()

        assert await there.page.watch("call", "no such call" if why == NONE else CALL_SID, EVENTS) == why
        assert trio.current_time() - began < 1


WISH = {"id": "x", "watch": EVENTS, "call": CALL_SID, "since": "", "is_first": True}


@pytest.mark.parametrize("about", [None, [], {}, "", 1, {**WISH, "since": 1}, {**WISH, "id": None}])
async def test_a_wish_of_another_version_is_not_answered(about: object, autojump_clock: MockClock) -> None:
    async with account() as there:
        with pytest.raises(ValueError, match="another version"):
            await there.theirs.answering[WATCH]("", about)

        assert there.call.watch.watchers == 0


@pytest.mark.parametrize("about", [{**WISH, "watch": "money"}, {**WISH, "call": "CA0"}, {**WISH, "is_first": False}])
async def test_a_wish_for_what_is_not_there_is_told_so(about: object, autojump_clock: MockClock) -> None:
    async with account() as there:
        answer = await there.theirs.answering[WATCH]("", about)

        assert answer in [{"end": NONE}, {"end": OVER}]
        assert there.call.watch.watchers == 0


@pytest.mark.parametrize("answer", [{"piece": text} for text in ("?", "A", "é", "AAAA", "////")] + [{}, None, "", 1])
async def test_an_answer_that_is_no_piece_ends_the_stream(answer: object, autojump_clock: MockClock) -> None:
    async with account() as there, await there.watch() as stream:
        there.theirs.changes = lambda _: answer
        while await anext(stream, b""):
            pass

        assert trio.current_time() < 2


async def test_a_stream_that_crashes_ends_and_is_logged(autojump_clock: MockClock) -> None:
    async with account() as there:
        stream = await there.watch()
        there.call.says("Hello")
        there.call.watch.first = "x"  # type: ignore[assignment]
        with capture_logs() as logs:
            await read(stream, lambda _: False)

        assert [line["event"] for line in logs] == ["watching_crashed"]


# Pages


@asynccontextmanager
async def pages(**changes: str) -> AsyncIterator[tuple[Exchange, Exchange]]:
    """Whole applications: the first has the page, the second the call."""
    whole, records = list[Exchange](), MemoryRecords()
    async with trio.open_nursery() as nursery:
        for fleet in two_fleets():
            line, chosen, slots = FakeLine(), settings(**changes), Slots(10, fleet)
            offered = services(line, records)
            app = create_app(chosen, Opened(offered, line, slots), run_call=FakeCalls())
            whole.append(Exchange(app, line, FakeCalls(), records, slots, chosen, offered.intercom))
            nursery.start_soon(elsewhere_of(fleet).run)  # as the application's lifespan does
        await whole[1].slots.fleet.admit(LiveCall("order", CALL_SID, direction="inbound", caller="+15557650000"))
        yield whole[0], whole[1]
        nursery.cancel_scope.cancel()


async def test_the_page_of_any_worker_shows_the_call_and_its_events(autojump_clock: MockClock) -> None:
    async with pages() as (here, there):
        call = Running.of(context_of(there).watched.watch(CALL_SID))
        call.says("Hello", "there")
        page = await signed_in(here).ask("GET", f"/console/calls/{CALL_SID}")
        call.ends()
        answers = [
            await signed_in(here).ask("GET", f"/console/calls/{CALL_SID}/events"),
            await here.operator("GET", f"/calls/{CALL_SID}/events"),
        ]

    assert 'data-worker="call"' in page.text
    for answer in answers:
        assert answer.headers["content-type"] == "text/event-stream"
        assert words(parsed(answer.content)) == ["Hello", "there"]


@pytest.mark.parametrize("name", ["%00", "CA1%00", "%F0%9F%99%82", "x" * 300, "%27%20OR%201"])
async def test_a_name_that_no_call_can_have_asks_no_other_worker(name: str, autojump_clock: MockClock) -> None:
    """PostgreSQL refuses a null character, which would be our error and not the visitor's."""
    async with pages() as (here, _):
        answers = [
            await signed_in(here).ask("GET", f"/console/calls/{name}{view}") for view in ("", "/events", "/audio")
        ]

    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert cast_fleet(here).asked == []


@pytest.mark.parametrize("view", ["events", "audio"])
async def test_who_asks_for_the_headers_alone_or_leaves_before_the_answer_is_soon_no_watcher(
    view: str, autojump_clock: MockClock
) -> None:
    async with pages() as (here, there):
        call = Running.of(context_of(there).watched.watch(CALL_SID)).watch
        page = elsewhere_of(cast_fleet(here))
        answer = await here.operator("HEAD", f"/calls/{CALL_SID}/{view}")
        await trio.sleep(STALL_SECONDS + 1)
        seen = (answer.status_code, page.watchers, call.watchers, call.listeners)
        streams = list[object]()

        async def watch() -> None:
            streams.append(await page.watch("call", CALL_SID, view))

        async with trio.open_nursery() as nursery:
            for _ in range(MOST_WATCHERS):
                nursery.start_soon(watch)
        full = await here.operator("HEAD", f"/calls/{CALL_SID}/{view}")
        streams.clear()
        again = await here.operator("HEAD", f"/calls/{CALL_SID}/{view}")
        await trio.sleep(2 * STALL_SECONDS)
        left = (page.watchers, call.watchers, call.listeners)

    assert seen == (200, 0, 0, 0)
    assert (full.status_code, again.status_code) == (503, 503)
    assert left == (0, 0, 0)


async def test_a_call_of_another_worker_is_listened_to(autojump_clock: MockClock) -> None:
    async with pages() as (here, there):
        call = Running.of(context_of(there).watched.watch(CALL_SID))
        async with trio.open_nursery() as nursery:

            async def end() -> None:
                await trio.sleep(3)
                call.ends()

            nursery.start_soon(end)
            answer = await signed_in(here).ask("GET", f"/console/calls/{CALL_SID}/audio")

    assert len(answer.content) >= 16_000


async def test_the_tasks_of_a_call_of_another_worker_are_those_that_its_own_shows(autojump_clock: MockClock) -> None:
    async with pages() as (here, there):
        call = Running.of(context_of(there).watched.watch(CALL_SID))
        own, far = [await at.operator("GET", f"/calls/{CALL_SID}/tasks") for at in (there, here)]
        shown = await signed_in(here).ask("GET", f"/console/calls/{CALL_SID}/tasks")
        call.ends()

    assert far.json()["call_sid"] == CALL_SID
    assert far.json()["tasks"][0]["name"] == "call"
    assert far.json()["tasks"][0].keys() == own.json()["tasks"][0].keys()
    assert len(far.json()["tasks"]) > 3
    assert shown.json()["tasks"][0] == far.json()["tasks"][0]


async def test_a_worker_that_sends_something_else_has_no_tree(autojump_clock: MockClock) -> None:
    async with account() as there:
        there.theirs.changes = lambda _: {"piece": b64encode(zlib.compress(b"audio")).decode()}

        assert await read_tree(await there.watch(TASKS)) is None
        assert there.page.watchers == 0


async def test_a_page_is_told_who_carries_the_call_that_its_phone_would_take_over(autojump_clock: MockClock) -> None:
    async with pages() as (here, there):
        Running.of(context_of(there).watched.watch(CALL_SID))
        visitor = signed_in(here)
        answer = await visitor.send(f"/console/calls/{CALL_SID}/phone")
        ids = (await signed_in(there).send(f"/console/calls/{CALL_SID}/phone")).json()
        sessions = Sessions.of(here.settings)
        session = sessions.read(visitor.cookies[sessions.cookie])
        assert session is not None
        admission = new_admission(session.id, takes_over=CALL_SID)
        token = await context_of(here).admissions.mint(admission)
        peer = await started(visitor, {"token": token, "callSid": admission.call_sid}).visit(here.app)

    told = answer.json()
    assert (answer.status_code, told["word"], told["worker"]) == (409, "elsewhere", "call")
    assert "by telephone" in told["fix"]
    assert ids["token"]
    assert peer.answers[-1]["type"] == "websocket.close"
    assert peer.answers[-1]["reason"] == "elsewhere"


@pytest.mark.parametrize("view", ["events", "audio", "tasks"])
async def test_a_worker_that_does_not_answer_is_named(view: str, autojump_clock: MockClock) -> None:
    async with pages() as (here, _):
        cast_fleet(here).passes = lambda _: False
        began = trio.current_time()
        answer = await here.operator("GET", f"/calls/{CALL_SID}/{view}")

    assert answer.status_code == 503
    assert "worker call carries this call" in answer.text
    assert trio.current_time() - began <= ANSWER_SECONDS + 1


@pytest.mark.parametrize("view", ["events", "audio", "tasks"])
async def test_a_worker_that_has_the_call_no_more_or_too_many_watchers_is_told_apart(
    view: str, autojump_clock: MockClock
) -> None:
    async with pages() as (here, there):
        gone = await here.operator("GET", f"/calls/{CALL_SID}/{view}")
        Running.of(context_of(there).watched.watch(CALL_SID)).watch.watchers = MOST_WATCHERS
        full = await here.operator("GET", f"/calls/{CALL_SID}/{view}")

    assert (gone.status_code, full.status_code, trio.current_time() < 1) == (404, 503, True)
    assert "too many watch" in full.text


async def test_without_the_database_the_journal_on_a_disk_that_both_have_is_read(tmp_path: Path) -> None:
    (tmp_path / CALL_SID).mkdir()
    (tmp_path / CALL_SID / "journal.jsonl").write_text('{"seq":0,"at":0,"event":"reply_text","text":"Hello"}\n')
    (tmp_path / CALL_SID / "record.json").write_text("{}")
    async with pages(RECORDINGS_DIR=str(tmp_path)) as (here, _):
        cast_fleet(here).is_down = True
        answer = await here.operator("GET", f"/calls/{CALL_SID}/events")

    assert words(parsed(answer.content)) == ["Hello"]


async def test_a_call_that_left_and_came_back_at_another_worker_is_followed_there(autojump_clock: MockClock) -> None:
    """As after a transfer: the log here has no end, and gets no more entries."""
    async with pages() as (here, there):
        left = Running.of(context_of(here).watched.watch(CALL_SID))
        left.journal.note(CallParked(60.0, {}))
        back = Running.of(context_of(there).watched.watch(CALL_SID))
        back.says("Hello again")

        async def carried() -> str:
            return "call" if trio.current_time() > 8 else ""

        before = await read(EventStream(left.watch, "", carried), lambda _: False)
        back.ends()
        after = await here.operator("GET", f"/calls/{CALL_SID}/events")

    assert 8 < trio.current_time() < 15
    assert [event.name for event in facts(before)] == ["fact"]
    assert words(parsed(after.content)) == ["Hello again"]


async def test_a_call_that_goes_on_at_another_worker_is_not_erased(autojump_clock: MockClock) -> None:
    async with pages() as (here, _):
        answer = await signed_in(here).send(f"/console/calls/{CALL_SID}/erase", sure="yes")

    assert answer.status_code == 409


def cast_fleet(there: Exchange) -> Joined:
    fleet = there.slots.fleet
    assert isinstance(fleet, Joined)
    return fleet


def elsewhere_of(fleet: Joined) -> CallsElsewhere:
    return cast("CallsElsewhere", cast("MethodType", fleet.answering[WATCH]).__self__)
