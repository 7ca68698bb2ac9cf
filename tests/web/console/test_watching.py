"""Watching a call: each entry once, in order, whatever the connection does; the call waits for none."""

from collections.abc import Callable
from pathlib import Path

import attrs
import orjson
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.call_services import CallUnderWay
from actors.facts import CallEnded, CallStarted, ReplyText
from actors.journal import Journal
from actors.policy import CallPolicy
from actors.record.packed import BLOCK, VOLUME
from actors.record.record import RecordBuilder
from actors.turn.machine import Turn
from actors.turn.state import CallerState, Debt
from tests.store.samples import begun
from tests.web.console.visitors import signed_in
from tests.web.fakes import API_TOKEN, CALL_SID, Exchange, context_of, exchange, record
from web.calls.call_files import CallFiles
from web.calls.watching import MOST_VOLUMES, RecentAudio, WatchedCall, WatchedCalls
from web.routes.watch import LAG, STALL_SECONDS, DiskStream, EventStream, ListenStream

HOSTILE = "a\r\n\r\nid: 9\r\nevent: over\r\ndata: {}\r\n\u2028</script>"


@attrs.define
class Running:
    """A call that goes on, noted by hand."""

    watch: WatchedCall
    journal: Journal
    turn: Turn

    @classmethod
    def of(cls, watch: WatchedCall) -> "Running":
        journal = Journal([watch.read])
        turn = Turn(CallPolicy(), trio.current_time())
        watch.begin(CallUnderWay(journal, turn, trio.lowlevel.current_task()))
        return cls(watch, journal, turn)

    def says(self, *words: str) -> None:
        for word in words:
            self.journal.note(ReplyText("qualifier", 1, word))

    def ends(self) -> None:
        self.journal.note(CallEnded("completed", 1.0, {}))


@attrs.frozen
class Event:
    name: str
    data: object
    id: str = ""


def parsed(text: bytes) -> list[Event]:
    """Read server-sent events as a browser does."""
    events = []
    for block in text.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
        if "data" in fields:
            events.append(Event(fields.get("event", "message"), orjson.loads(fields["data"]), fields.get("id", "")))
    return events


def words(events: list[Event]) -> list[str]:
    return [event.data["text"] for event in events if event.name == "fact" and "text" in event.data]  # type: ignore[operator,index]


async def read(stream: EventStream | DiskStream, until: Callable[[list[Event]], bool]) -> list[Event]:
    """Read until enough has come, and leave."""
    events: list[Event] = []
    async with stream:
        async for part in stream:
            events += parsed(part)
            if until(events):
                break
    return events


def after(count: int) -> Callable[[list[Event]], bool]:
    return lambda events: len(words(events)) >= count


def is_over(events: list[Event]) -> bool:
    return events[-1:] == [Event("over", {})]


ALL = [f"word {index}" for index in range(12 * VOLUME + 10)]


@pytest.mark.parametrize("cut", [1, 5, 2 * BLOCK, VOLUME - 1, VOLUME, VOLUME + 1, 2 * VOLUME, 12 * VOLUME + 9])
async def test_who_comes_back_misses_nothing_and_hears_nothing_twice(cut: int, autojump_clock: MockClock) -> None:
    call = Running.of(WatchedCall(CALL_SID, "w1"))
    call.says(*ALL[:cut])
    first = await read(EventStream(call.watch), after(cut))
    call.says(*ALL[cut:])
    call.ends()
    second = await read(EventStream(call.watch, [event.id for event in first if event.id][-1]), is_over)

    assert words(first) + words(second) == ALL
    assert "reset" not in [event.name for event in second]


async def test_a_watcher_reads_on_while_the_call_goes_on(autojump_clock: MockClock) -> None:
    call, events = Running.of(WatchedCall(CALL_SID, "w1")), list[Event]()

    async def watch() -> None:
        events.extend(await read(EventStream(call.watch), is_over))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        for index in range(0, len(ALL), 7):
            call.says(*ALL[index : index + 7])
            await trio.sleep(0.1)
        call.ends()

    assert words(events) == ALL
    assert call.watch.watchers == 0
    assert len([event for event in events if event.name == "now"]) > 10


@pytest.mark.parametrize("last", ["w0:3", "disk:3", "w1:99999", "3", "w1:x", "w1:-1", "w1:²", ":", "w1:" + "9" * 5000])
async def test_an_id_of_another_log_begins_anew(last: str, autojump_clock: MockClock) -> None:
    call = Running.of(WatchedCall(CALL_SID, "w1"))
    call.says(*ALL[:5])
    events = await read(EventStream(call.watch, last), after(5))

    assert events[0] == Event("reset", {})
    assert words(events) == ALL[:5]


async def test_what_is_said_is_data_and_no_event(autojump_clock: MockClock) -> None:
    call = Running.of(WatchedCall(CALL_SID, "w1"))
    call.says(HOSTILE)
    call.ends()
    events = await read(EventStream(call.watch), is_over)

    assert words(events) == [HOSTILE]
    assert [event.id for event in events if event.id] == ["w1:0", "w1:1"]


@pytest.mark.slow
async def test_what_is_kept_of_a_long_call_is_bounded_and_what_is_missing_is_told(autojump_clock: MockClock) -> None:
    call = Running.of(WatchedCall(CALL_SID, "w1"))
    for _ in range(MOST_VOLUMES + 3):
        call.says(*["x"] * VOLUME)
    events = await read(EventStream(call.watch), lambda events: bool(words(events)))

    assert call.watch.first > 0
    assert Event("missing", {"count": call.watch.first}) in events
    assert len(call.watch._log.volumes) == MOST_VOLUMES


async def test_the_tree_of_the_tasks_and_whose_turn_it_is_are_told(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever, name="bridge")
        call = Running.of(WatchedCall(CALL_SID, "w1"))
        call.says("Hello")
        (now,) = [event for event in await read(EventStream(call.watch), after(1)) if event.name == "now"]
        nursery.cancel_scope.cancel()

    assert isinstance(now.data, dict)
    assert [[0, "call"], [1, "bridge"]] == [task[:2] for task in now.data["tasks"]]
    assert now.data["turn"] == ["quiet", "absent", "settled", "conversing"]


async def test_the_silence_that_is_told_is_what_a_caller_waits_who_hears_nothing(autojump_clock: MockClock) -> None:
    call = WatchedCall(CALL_SID, "w1")
    turn = Running.of(call).turn
    turn.at.owed = trio.current_time()
    await trio.sleep(1.5)
    told = list[object]()
    for debt, is_sounding, caller in (
        (Debt.OWED, False, CallerState.QUIET),
        (Debt.OWED, True, CallerState.QUIET),
        (Debt.OWED, False, CallerState.HEARD),
        (Debt.SETTLED, False, CallerState.QUIET),
    ):
        turn.debt, turn.sounding, turn.caller = debt, is_sounding, caller
        now = call.moment()
        told.append((now["silent"], now["sounding"]))

    assert told == [(1.5, False), (None, True), (None, False), (None, False)]


async def test_levels_are_measured_while_somebody_watches(autojump_clock: MockClock) -> None:
    call = WatchedCall(CALL_SID, "w1")
    Running.of(call)
    call.hear_caller(b"\x00" * 160)
    assert call.moment()["levels"] == [0, 0]
    with call.watched():
        call.hear_caller(b"\x00" * 160)
        call.hear_agents(0.0, b"\xff" * 159 + b"\xb0")
        assert call.moment()["levels"] == [127, 0x4F]
    assert call.moment()["levels"] == [0, 0]


# A watcher that stops reading


async def deaf(there: Exchange, target: str, took: list[float]) -> None:
    """Ask as an ASGI server does for a peer that takes the headers, and then nothing more."""
    began = trio.current_time()

    async def receive() -> dict[str, object]:
        if not took:
            took.append(0.0)
            return {"type": "http.request", "body": b"", "more_body": False}
        await trio.sleep_forever()
        raise AssertionError

    async def send(message: dict[str, object]) -> None:
        if message["type"] == "http.response.body" and message.get("more_body"):
            await trio.sleep_forever()

    headers = [(b"authorization", f"Bearer {API_TOKEN}".encode()), (b"host", b"agent.example.com")]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "https",
        "path": target, "raw_path": target.encode(), "query_string": b"", "root_path": "", "headers": headers,
        "client": ("10.0.0.1", 1), "server": ("10.0.0.7", 8000), "extensions": {}, "state": {},
    }  # fmt: skip
    await there.app(scope, receive, send)  # type: ignore[arg-type]
    took[0] = trio.current_time() - began


@pytest.mark.parametrize("view", ["events", "audio"])
async def test_a_watcher_that_stops_reading_is_dropped_and_the_call_does_not_notice(
    view: str, autojump_clock: MockClock
) -> None:
    there, took = exchange(), list[float]()
    call = Running.of(context_of(there).watched.watch(CALL_SID))
    await trio.sleep(1.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(deaf, there, f"/calls/{CALL_SID}/{view}", took)
        await wait_all_tasks_blocked()
        await trio.sleep(0.1)
        assert context_of(there).watched.watchers == 1
        for _ in range(20):
            began = trio.current_time()
            call.says(*ALL[:100])
            assert trio.current_time() == began
            await trio.sleep(0.5)
        await trio.sleep(1.0)
        assert context_of(there).watched.watchers == 0

    assert took[0] == pytest.approx(STALL_SECONDS, abs=0.2)


@pytest.mark.parametrize("view", ["events", "audio"])
async def test_a_client_that_asks_for_the_headers_alone_watches_nothing(view: str, autojump_clock: MockClock) -> None:
    """Its connection would wait for the end of the call."""
    there = exchange()
    Running.of(context_of(there).watched.watch(CALL_SID))
    began = trio.current_time()

    answer = await there.operator("HEAD", f"/calls/{CALL_SID}/{view}")

    assert (answer.status_code, answer.content, trio.current_time() - began) == (200, b"", 0)
    assert "content-length" not in answer.headers


# On disk


@pytest.mark.parametrize("is_cut", [False, True])
async def test_a_journal_on_disk_is_followed_until_its_record_is_there(tmp_path: Path, is_cut: bool) -> None:
    """The record of a call whose server died is made of its journal: it is in the database, and in no file."""
    folder, kept = tmp_path / CALL_SID, [False]
    folder.mkdir()

    async def is_kept() -> bool:
        return kept[0]

    lines = [orjson.dumps({"seq": n, "at": n, "event": "reply_text", "text": ALL[n]}) + b"\n" for n in range(9)]
    (folder / "journal.jsonl").write_bytes(b"".join(lines[:5]) + lines[5][:9])
    first = await read(DiskStream(CallFiles(tmp_path), CALL_SID, "", is_kept), after(3))
    (folder / "journal.jsonl").write_bytes(b"".join(lines))
    if is_cut:
        kept[0] = True
    else:
        (folder / "record.json").write_text("{}")
    since = [e.id for e in first if e.id][-1]
    second = await read(DiskStream(CallFiles(tmp_path), CALL_SID, since, is_kept), is_over)

    assert words(first) == ALL[:5]
    assert words(first) + words(second) == ALL[:9]


@pytest.mark.parametrize(("outcome", "ends"), [("cut", True), ("transferring", False)])
async def test_the_events_of_a_call_that_was_cut_end(
    outcome: str, ends: bool, fast_clock: MockClock, tmp_path: Path
) -> None:
    """A page that was open when the server died comes back, and is told that the call is over."""
    there = exchange(RECORDINGS_DIR=str(tmp_path))
    await there.records.save(record(CALL_SID, outcome=outcome))
    (tmp_path / CALL_SID).mkdir()
    (tmp_path / CALL_SID / "journal.jsonl").write_bytes(b'{"seq": 0, "at": 0, "event": "call_started"}\n')
    with trio.move_on_after(4.0) as goes_on:
        answer = await there.operator("GET", f"/calls/{CALL_SID}/events")
        assert answer.text.endswith("event: over\ndata: {}\n\n")

    assert goes_on.cancelled_caught is not ends


# Listening in


async def test_a_listener_hears_both_sides_in_step_and_behind(autojump_clock: MockClock) -> None:
    call = Running.of(WatchedCall(CALL_SID, "w1"))
    await trio.sleep(5.0)
    heard, stream = list[bytes](), ListenStream(call.watch)

    async def speak() -> None:
        for index in range(150):
            call.watch.hear_caller(bytes([index]) * 160)
            if index % 20 == 19:  # what was played is told in pieces
                call.watch.hear_agents(5.0 + (index - 19) / 50, bytes([index]) * 3200)
            await trio.sleep(0.02)
        call.ends()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(speak)
        async with stream:
            async for part in stream:
                heard.append(part)

    caller = b"".join(part[:800] for part in heard)
    agents = b"".join(part[800:] for part in heard)
    assert {len(part) for part in heard} == {1600}
    spoken = caller[caller.index(b"\x00") :].strip(b"\xff")
    assert spoken.startswith(b"\x00" * 160 + b"\x01" * 160 + b"\x02" * 160)
    assert abs(agents.index(bytes([19]) * 160) - caller.index(b"\x00" * 160)) <= 320
    assert len(caller) >= 8000 * (3.0 - LAG - 0.2)


async def test_listening_in_is_noted_in_the_journal_and_the_record(autojump_clock: MockClock) -> None:
    book, watch = RecordBuilder(begun()), WatchedCall(CALL_SID, "w1")
    call = Running.of(watch)
    call.journal._readers = (watch.read, book.read)
    with watch.listened():
        await trio.sleep(2.5)

    events = [orjson.loads(line) for line in watch.lines(0)]
    assert [event["event"] for event in events] == ["listening_started", "listening_ended"]
    assert events[1]["seconds"] == 2.5
    assert book.record().listeners == 1


def test_a_track_is_silent_where_nothing_was_put() -> None:
    track = RecentAudio()
    track.put(8000, b"\x01" * 160)
    track.put(8320, b"\x02" * 160)

    assert track.cut(7840, 960) == b"\xff" * 160 + b"\x01" * 160 + b"\xff" * 160 + b"\x02" * 160 + b"\xff" * 320


# Who may watch


async def test_calls_are_watched_by_name_and_forgotten_when_they_are_over(autojump_clock: MockClock) -> None:
    calls = WatchedCalls()
    live = Running.of(calls.watch("live"))
    for index in range(50):
        Running.of(calls.watch(f"over {index}")).ends()

    assert calls.find("live") is live.watch
    assert calls.find("over 0") is None
    assert calls.find("over 49") is not None


async def test_a_page_and_a_program_get_the_same_events(autojump_clock: MockClock) -> None:
    there = exchange()
    call = Running.of(context_of(there).watched.watch(CALL_SID))
    call.journal.note(CallStarted(CALL_SID, "MZ", "inbound"))
    page = await signed_in(there).ask("GET", f"/console/calls/{CALL_SID}")
    call.ends()
    of_program = await there.operator("GET", f"/calls/{CALL_SID}/events")
    of_page = await signed_in(there).ask("GET", f"/console/calls/{CALL_SID}/events")

    assert 'id="handoff"' in page.text
    assert of_program.headers["content-type"] == "text/event-stream"
    facts = [[event for event in parsed(answer.content) if event.id] for answer in (of_page, of_program)]
    assert facts[0] == facts[1]
    assert [event.data["event"] for event in facts[0]] == ["call_started", "call_ended"]  # type: ignore[index]
