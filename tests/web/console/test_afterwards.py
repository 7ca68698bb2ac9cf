"""One call afterwards: what its page shows of record, journal and recording, and what is gone once it is erased."""

from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
import orjson
import pytest

from actors.journal import read_entries
from protocol.audio import write_wav_header
from setting_reader import SettingsError
from store.calls import MemoryRecords
from store.prices import costs_of, read_prices
from store.records import CallRecord, FunctionRecord, HandoffRecord, TransferRecord, TurnRecord, Usage
from tests.demo.sample import sample_journal
from tests.web.console.visitors import Visitor, signed_in
from tests.web.fakes import CALL_SID, OTHER_CALL_SID, Exchange, Scratched, context_of, exchange, record, settings
from web.calls.live_calls import PAGE_CALLER, KnownCall
from web.console.pages import retold
from web.console.rendering import TEXT, shown_duration, shown_moment

HOSTILE = "</script><script>alert(1)</script>\"'><svg onload=alert(1)>{{ 7 * 7 }}"
PAGE = f"/console/calls/{CALL_SID}"


def whole_call(text: str = "Hello") -> CallRecord:
    return record(
        transcript=(
            TurnRecord(1.0, "qualifier", f"{text} there, this was cut.", f"{text} there,", 1.25, 0.2, 0.7, 0.35),
            TurnRecord(5.0, "caller", f"{text} you."),
        ),
        handoffs=(HandoffRecord("qualifier", "advisor", 9.0, 0.81, "groq", text, {text: text}),),
        functions=(FunctionRecord(7.0, "qualifier", "look_up", {"who": text}, {"found": text}, ok=False),),
        faults=(f"session_crashed: {text}",),
        facts={text: text},
        usage=Usage({"qualifier": 90.0}, 2000, 3),
    )


def write_files(folder: Path) -> None:
    (folder / CALL_SID).mkdir(parents=True)
    lines = b"".join(orjson.dumps(entry) + b"\n" for entry in sample_journal())
    (folder / CALL_SID / "journal.jsonl").write_bytes(lines + b'{"seq": 9, "at": 3, "ev')
    (folder / CALL_SID / "call.wav").write_bytes(write_wav_header(16_000) + bytes(16_000))


async def with_files(folder: Path, kept: CallRecord | None = None) -> Visitor:
    records = MemoryRecords()
    await records.save(kept or whole_call())
    write_files(folder)
    return signed_in(exchange(records=records, RECORDINGS_DIR=str(folder)))


async def test_the_page_shows_what_was_said_and_what_was_heard(tmp_path: Path) -> None:
    page = (await (await with_files(tmp_path)).ask("GET", PAGE)).text

    assert "Hello there, <del>this was cut.</del>" in page
    assert "1.25 s" in page
    assert "STT 0.20 s, LLM 0.70 s, TTS 0.35 s" in " ".join(page.split())
    assert "session_crashed: Hello" in page
    assert "look_up" in page
    assert "<dt>Hello</dt><dd>Hello</dd>" in page


@pytest.mark.parametrize("shown", [shown_moment, shown_duration])
def test_no_time_has_sixty_seconds_and_each_is_what_it_is_nearest_to(shown: Callable[[float], str]) -> None:
    for tenth in range(7300 * 10):
        *hours, minutes, seconds = shown(tenth / 10 + 0.06).split(":")

        assert float(seconds) < 60 > int(minutes)
        assert len(seconds.partition(".")[0]) == 2
        assert not hours or (len(minutes) == 2 and int(hours[0]) > 0)
        assert abs(3600 * int("".join(hours) or 0) + 60 * int(minutes) + float(seconds) - tenth / 10) <= 0.57


async def test_a_call_without_a_line_of_ours_names_none() -> None:
    there = exchange(records=MemoryRecords())
    for call_sid, line in ((CALL_SID, ""), (OTHER_CALL_SID, "+15551230000")):
        await there.records.save(record(call_sid, line=line, caller=PAGE_CALLER))
    pages = [(await signed_in(there).ask("GET", f"/console/calls/{sid}")).text for sid in (CALL_SID, OTHER_CALL_SID)]

    assert [f"· {TEXT['on_line']} " in page for page in pages] == [False, True]
    assert TEXT["unknown_caller"] not in pages[0]


async def test_what_was_heard_but_for_a_space_was_heard(tmp_path: Path) -> None:
    kept = record(transcript=(TurnRecord(1.0, "qualifier", "Hello there. ", "Hello there."),))
    page = (await (await with_files(tmp_path, kept)).ask("GET", PAGE)).text

    assert "Hello there." in page
    assert ("<del>" in page, TEXT["not_heard"] in page) == (False, False)


async def test_what_a_caller_says_is_text_and_never_markup(tmp_path: Path) -> None:
    visitor = await with_files(tmp_path, whole_call(HOSTILE))
    page = (await visitor.ask("GET", PAGE)).text

    assert page.count("&lt;svg onload") >= 8
    assert "<svg onload" not in page
    assert "<script>alert" not in page
    assert "{{ 7 * 7 }}" in page


async def test_the_picture_the_recording_and_the_journal_are_served_to_pages_and_to_programs(tmp_path: Path) -> None:
    visitor = await with_files(tmp_path)
    for name, kind in {
        "timeline.svg": "image/svg+xml",
        "recording": "audio/wav",
        "journal": "application/x-ndjson",
    }.items():
        of_page = await visitor.ask("GET", f"{PAGE}/{name}")
        of_program = await visitor.there.operator("GET", f"/calls/{CALL_SID}/{name}")

        assert (of_page.status_code, of_page.headers["content-type"].split(";")[0]) == (200, kind)
        assert of_page.content == of_program.content
        assert of_page.headers["cache-control"] == "no-store"


async def test_a_player_may_ask_for_a_part_of_the_recording(tmp_path: Path) -> None:
    visitor = await with_files(tmp_path)
    visitor.headers["Range"] = "bytes=100-199"
    answer = await visitor.ask("GET", f"{PAGE}/recording")

    assert (answer.status_code, len(answer.content)) == (206, 100)
    assert answer.headers["content-range"] == "bytes 100-199/16044"


async def test_a_picture_may_use_its_own_style_and_nothing_else(tmp_path: Path) -> None:
    answer = await (await with_files(tmp_path)).ask("GET", f"{PAGE}/timeline.svg")
    policy = answer.headers["content-security-policy"]

    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "style-src 'sha256-" in policy


async def test_what_is_erased_is_gone_from_records_and_disk(tmp_path: Path) -> None:
    visitor = await with_files(tmp_path)
    page = await visitor.ask("GET", PAGE)
    answer = await visitor.send(f"{PAGE}/erase", sure="yes")

    assert TEXT["erase_sure"] in page.text
    assert answer.status_code == 303
    assert not (tmp_path / CALL_SID).exists()
    assert [(await visitor.ask("GET", target)).status_code for target in (PAGE, f"{PAGE}/recording")] == [404, 404]


async def test_a_call_that_goes_on_is_not_erased() -> None:
    there = exchange()
    await there.records.save(record())
    context_of(there).live_calls.add(KnownCall("order", "inbound", "", "", "in-progress", CALL_SID))
    answer = await signed_in(there).send(f"{PAGE}/erase", sure="yes")

    assert answer.status_code == 409
    assert await there.records.get(CALL_SID) is not None


async def test_a_call_of_another_worker_is_shown_as_it_goes_on_and_is_not_erased(tmp_path: Path) -> None:
    write_files(tmp_path)
    visitor = signed_in(exchange(RECORDINGS_DIR=str(tmp_path)))
    page = await visitor.ask("GET", PAGE)
    answer = await visitor.send(f"{PAGE}/erase", sure="yes")

    assert 'id="handoff"' in page.text
    assert answer.status_code == 409
    assert (tmp_path / CALL_SID / "journal.jsonl").exists()


@pytest.mark.parametrize("name", ["..", "%2e%2e", ".hidden", "CA1%2f..", "x" * 80])
async def test_no_name_leads_out_of_the_folder(name: str, tmp_path: Path) -> None:
    visitor = await with_files(tmp_path / "recordings")
    (tmp_path / "journal.jsonl").write_text('{"event": "call_ended"}\n')
    (tmp_path / "call.wav").write_bytes(b"x")
    for view in ("journal", "recording", "timeline.svg", "erase"):
        target = f"/console/calls/{name}/{view}"
        answer = await (visitor.send(target) if view == "erase" else visitor.ask("GET", target))
        assert answer.status_code in {303, 404, 405}

    assert (tmp_path / "call.wav").exists()
    assert (tmp_path / "recordings").exists()


async def test_a_turn_is_heard_from_where_it_begins(tmp_path: Path) -> None:
    journal = sample_journal()
    heard = [entry for entry in journal if entry["event"] == "turn_heard"]
    transcript = tuple(TurnRecord(float(str(one["at"])), "caller", str(one["text"])) for one in heard)
    starts = retold(record(transcript=transcript), read_entries(b"\n".join(map(orjson.dumps, journal))))["starts"]
    spoken = [float(str(entry["start"])) for entry in journal if entry["event"] == "caller_spoke"]

    assert isinstance(starts, list)
    assert len(starts) > 2
    assert all(start in spoken and start < turn.at for start, turn in zip(starts, transcript, strict=True))


@pytest.mark.parametrize("late", [-0.2, 0.0, 0.001, 0.3])
def test_a_caller_is_heard_from_the_sound_that_the_service_took_for_the_beginning(late: float) -> None:
    spoken = {"event": "caller_spoke"}
    sounds = ((1.0, 2.0), (2.8, 3.0), (9.0, 9.4), (20.0, 21.0))
    journal = [{**spoken, "at": end + 0.4, "start": start, "end": end} for start, end in sounds]
    turns = ((1.0, "My name is … John."), (9.0, "Yes."), (20.0, "Seattle."))
    transcript = tuple(TurnRecord(at + late, "caller", text, text) for at, text in turns)

    starts = retold(record(transcript=transcript), read_entries(b"\n".join(map(orjson.dumps, journal))))["starts"]

    assert starts == [1.0, 9.0, 20.0]


def test_two_turns_of_an_agent_are_heard_from_two_places() -> None:
    spoken = {"event": "agent_spoke", "agent": "closer"}
    journal = [
        {**spoken, "at": 2.0, "generation": 1, "start": 1.0, "end": 2.0},
        {**spoken, "at": 3.5, "generation": 2, "start": 2.5, "end": 3.5},
    ]
    transcript = (TurnRecord(0.9, "closer", "Thank you.", "Thank you."), TurnRecord(1.2, "closer", "Bye.", "Bye."))
    starts = retold(record(transcript=transcript), read_entries(b"\n".join(map(orjson.dumps, journal))))["starts"]

    assert starts == [1.0, 2.5]


# Money


TABLE = 'currency = "EUR"\nline_inbound_minute = 0.01\nagent_minute = 0.08\nspeech_1000_characters = 0.03\n'


async def test_costs_are_what_the_operators_table_says(tmp_path: Path) -> None:
    (tmp_path / "prices.toml").write_text(TABLE)
    there = exchange(PRICES=str(tmp_path / "prices.toml"))
    await there.records.save(attrs.evolve(whole_call(), duration=61.0))
    page = (await signed_in(there).ask("GET", PAGE)).text

    assert "0.2000 EUR" in page
    assert TEXT["no_prices"] not in page


async def test_without_a_table_nothing_is_invented() -> None:
    there: Exchange = exchange()
    await there.records.save(whole_call())

    assert TEXT["no_prices"] in (await signed_in(there).ask("GET", PAGE)).text


def test_a_part_without_a_price_is_left_out() -> None:
    costs = costs_of(attrs.evolve(whole_call(), duration=61.0), read_prices(TABLE))

    assert costs == pytest.approx({"line": 0.02, "agents": 0.12, "speech": 0.06})


@pytest.mark.parametrize(
    ("talked", "line", "minutes"),
    [((), "+1555", (2, 0)), ((0.0,), "+1555", (2, 0)), ((30.0, 130.0), "+1555", (4, 4)), ((), "", (0, 0))],
    ids=["agents alone", "nobody", "two people", "from a page"],
)
def test_the_line_is_paid_while_a_person_talks_and_so_is_theirs_and_a_page_has_none(
    talked: Sequence[float], line: str, minutes: tuple[int, int]
) -> None:
    transfers = tuple(TransferRecord("first", 60.0, "asked", "answered", seconds) for seconds in talked)
    record = attrs.evolve(whole_call(), duration=61.0, line=line, transfers=transfers)
    costs = costs_of(record, read_prices('currency = "EUR"\nline_inbound_minute = 1\nline_outbound_minute = 1'))

    assert (costs.get("line", 0), costs.get("person", 0)) == minutes


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ("line_inbound_minute = 1", "currency is missing"),
        (TABLE + "agents = 1", "agents is none of"),
        (TABLE + 'brief = "1"', "brief is no price"),
        (TABLE + "brief = -1", "brief is no price"),
        (TABLE + "brief = nan", "brief is no price"),
        (TABLE + "brief = true", "brief is no price"),
        (TABLE + "brief = " + "9" * 400, "brief is no price"),
        ("currency = " + "[" * 9000, "too many brackets"),
        ("currency =", "table of prices"),
        ("\udcff\udcfe", "which is not a table of prices: is not UTF-8"),
        (None, "cannot be read"),
    ],
)
def test_a_table_that_is_none_is_told_when_the_server_starts(table: str | None, why: str, tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    if table is not None:
        path.write_text(table, errors="surrogateescape")
    with pytest.raises(SettingsError, match=why):
        settings(PRICES=str(path))


def test_a_table_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(TABLE, encoding="utf-8-sig")

    assert settings(PRICES=str(path)).prices == read_prices(TABLE)


async def test_a_record_that_cannot_be_read_is_told_as_such_by_page_and_api(tmp_path: Path) -> None:
    there = exchange(records=Scratched())
    visitor = signed_in(there)
    page, download = [await visitor.ask("GET", target) for target in (PAGE, f"{PAGE}/record.json")]
    answer = await there.operator("GET", f"/calls/{CALL_SID}")

    assert [one.status_code for one in (page, download, answer)] == [500, 500, 500]
    assert all(TEXT["unreadable"] in one.text and "record.caller" in one.text for one in (page, download))
    assert "record.caller" in answer.json()["error"]
