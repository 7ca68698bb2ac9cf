"""The picture of a call: whole, cut, strange or hostile, it is one well-formed document that shows what happened."""

import re
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree as ET

import pytest

from actors import facts
from tests.demo.sample import JournalWriter, read, sample_journal
from tests.faults.short import SOFT, throw
from web.picture.bands import GUTTER, MARGIN, laid_out
from web.picture.chart import MarkKind, read_chart
from web.picture.timeline import render_timeline
from web.picture.words import text_width, wrapped

SVG = "{http://www.w3.org/2000/svg}"


def drawn(entries: Sequence[Mapping[str, object]], title: str = "A call") -> ET.Element:
    return ET.fromstring(render_timeline(read(entries), title=title).partition("\n")[2])  # noqa: S314 -- our own document


def words(picture: ET.Element, tag: str = "text") -> list[str]:
    return ["".join(element.itertext()) for element in picture.iter(SVG + tag)]


def tooltips(picture: ET.Element) -> str:
    return "\n".join(words(picture, "title"))


def test_whole_call_shows_every_lane() -> None:
    written = words(drawn(sample_journal()))

    assert {"caller", "caller hears", "qualifier", "advisor", "closer", "summarizer"} <= set(written)


def test_title_and_synopsis_head_the_picture() -> None:
    written = words(drawn(sample_journal(), title="Demo: sale"))

    assert "Demo: sale" in written
    assert (
        "81.3 s · 3 agents · 2 handoffs (520 ms, 520 ms) · 1 barge-in · 1 restart · 1 crash · ended: completed"
    ) in written


def test_a_person_who_has_taken_over_has_a_lane_and_is_not_counted_as_an_agent() -> None:
    call = JournalWriter()
    call.starts("qualifier")
    call.note("floor_taken", after=1.0, agent="operator", incarnation=0, offset=50)
    call.says("operator", "Let me see.")

    written = words(drawn(call.entries))

    assert "operator" in written
    assert any(" 1 agent · " in f" {line}" for line in written)


def test_every_word_of_the_call_is_in_a_tooltip() -> None:
    entries = sample_journal()
    told = tooltips(drawn(entries))

    spoken = [str(entry["text"]) for entry in entries if entry["event"] == "turn_heard"]
    spoken += [str(entry["heard"]) for entry in entries if entry["event"] == "reply_ended"]
    assert [text for text in spoken if text not in told] == []


def test_words_nobody_heard_are_told_apart() -> None:
    told = tooltips(drawn(sample_journal()))

    assert "not heard: the country are you calling from these days?" in told


def test_functions_are_flags_with_their_arguments_and_result() -> None:
    picture = drawn(sample_journal())

    assert 'schedule_followup(preferred_timeframe="next Wednesday afternoon")' in words(picture)
    assert 'answered: {"status":"scheduled"}' in tooltips(picture)


def test_handoffs_carry_their_gap_and_brief() -> None:
    written = words(drawn(sample_journal()))

    assert written.count("520 ms") == 2
    assert "Brief for advisor: groq, 310 ms" in written
    assert "Brief for closer: extract, 310 ms" in written


def test_legend_names_only_the_signs_that_are_used() -> None:
    written = words(drawn(sample_journal()))

    assert {"barge-in", "crash", "restart", "goodbye", "hang-up"} <= set(written)
    assert "warning" not in written


def test_every_sign_and_verdict_has_its_shape_on_the_sheet() -> None:
    call = JournalWriter()
    call.starts("qualifier")
    for number, ok in enumerate((True, False)):
        about = {"agent": "qualifier", "id": str(number), "name": "f"}
        call.note("function_called", after=0.1, arguments="{}", **about)
        call.note("function_answered", after=0.1, result="", ok=ok, took=0.1, **about)
    call.note("function_called", after=0.1, agent="qualifier", id="open", name="f", arguments="{}")
    picture = drawn(call.entries)
    shapes = {shape.attrib["id"] for shape in picture.iterfind(f"{SVG}defs/*")}
    used = {use.attrib["href"] for use in picture.iter(SVG + "use")}

    assert {"#done", "#failed", "#unanswered"} <= used
    assert {kind.name.lower() for kind in MarkKind} | {href.removeprefix("#") for href in used} <= shapes


def test_the_key_of_the_lines_fits_under_the_shortest_call() -> None:
    call = JournalWriter()
    call.starts("qualifier")

    picture = drawn(call.entries)
    last = picture.findall(f".//{SVG}g[@id='key']/{SVG}text")[-1]

    end = MARGIN + float(last.attrib["x"]) + text_width(str(last.text), 10.5)
    assert end <= float(picture.attrib["width"])


@pytest.mark.parametrize("seconds", [5.0, 23.5, 24.0, 40.0, 60.0])
def test_a_handoff_that_was_asked_for_at_the_very_end_is_drawn_once(seconds: float) -> None:
    call = JournalWriter()
    call.starts("qualifier")
    call.says("qualifier", "Hello?")
    call.note("digit_pressed", after=seconds, digit="1")
    call.note("handoff_asked", agent="qualifier", to="advisor", reason="agreed", notes="", offset=50)

    assert words(drawn(call.entries)).count("refused: never committed") == 1


def test_every_band_has_some_of_the_call_in_it() -> None:
    """However long the call is: the last pause in which it may be broken can lie behind its end."""
    empty = []
    for tenths in range(200, 520, 3):
        ends = [at / 10 for at in range(30, tenths, 40)]
        spoken = [{"event": "caller_spoke", "at": end, "start": end - 2, "end": end} for end in ends]
        bands = laid_out(read_chart(read([*spoken, {"event": "caller_hung_up", "at": tenths / 10}])), 0.0)
        empty += [(tenths, band.start, band.end) for band in bands if band.start >= band.end]

    assert empty == []


@pytest.mark.parametrize(
    ("said", "rows"),
    [
        ("My name is John Smith.", ["My name", "is John", "Smith."]),
        ("我想了解你们的服务", ["我想了解你", "们的服务"]),
        ("我想了解你们的服务,请问现在可以办理吗", ["我想了解你", "们的服务,", "请问现在…"]),
        ("Hello, 世界", ["Hello, 世", "界"]),
        ("unbreakable-as-it-is", ["unbreak…"]),
    ],
)
def test_a_line_breaks_at_spaces_and_before_any_character_of_a_script_without_them(said: str, rows: list[str]) -> None:
    assert wrapped(said, 55.0, 10.5, 3) == rows
    assert [row for row in rows if text_width(row, 10.5) > 55.0] == []


def test_refused_handoff_says_why() -> None:
    call = JournalWriter()
    call.starts("qualifier")
    call.note("handoff_asked", after=1.0, agent="qualifier", to="advisor", reason="agreed", notes="", offset=50)
    call.note("session_connecting", agent="advisor", incarnation=1, why="handoff")
    call.note("handoff_failed", after=3.0, agent="qualifier", to="advisor", why="no connection")

    assert "refused: no connection" in words(drawn(call.entries))


@pytest.mark.parametrize("other", ["advisor", "closer"])
def test_a_handoff_that_is_refused_while_another_is_under_way_takes_nothing_of_it(other: str) -> None:
    call = JournalWriter()
    call.starts("qualifier")
    call.note("handoff_asked", after=1.0, agent="qualifier", to="advisor", reason="agreed", notes="", offset=50)
    call.note("handoff_asked", after=0.2, agent="qualifier", to=other, reason="again", notes="", offset=60)
    call.note("handoff_committed", after=0.2, agent="qualifier", to="advisor", took=0.4)
    call.note("handoff_gap", after=0.1, agent="advisor", gap=0.5)

    spans = read_chart(read(call.entries)).handoffs

    assert [(span.reason, span.failure, span.gap) for span in spans] == [
        ("agreed", "", 0.5),
        ("again", "never committed", None),
    ]


def test_every_kind_of_sign_can_be_drawn() -> None:
    call = JournalWriter()
    call.note("session_connecting", agent="qualifier", incarnation=1, why="first")
    call.note("digit_pressed", after=1.0, digit="7")
    call.note("warning_reported", after=1.0, agent="qualifier", code="SLOW", description="thinking is slow")
    call.note("frame_refused", after=1.0, where="twilio", why="not JSON")
    call.note("actor_crashed", after=1.0, actor="scribe", error="disk full")
    call.note("writing_refused", after=1.0, why="disk full")
    call.note("silence_met", after=3.1, agent="qualifier", seconds=3.1, filled_by="agent")
    call.note("silence_met", after=4.0, agent="qualifier", seconds=4.0, filled_by="nothing")
    call.note("transfer_asked", after=1.0, agent="qualifier", reason="cross", notes="")
    call.note("restarts_exhausted", after=1.0, agent="qualifier", error="bad key")
    call.note("function_called", after=1.0, agent="qualifier", id="1", name="f", arguments="not json")
    call.note("function_withdrawn", after=1.0, agent="qualifier", id="1", name="f")
    call.note("session_failed", after=1.0, agent="qualifier", incarnation=1, error="refused", retryable=True)

    told = tooltips(drawn(call.entries))

    expected = [
        "key 7",
        "SLOW: thinking is slow",
        "twilio refused a frame: not JSON",
        "qualifier puts the caller through: cross",
        "scribe crashed: disk full",
        "the disk refuses journal and recording: disk full",
        "the caller had waited 3.1 s; qualifier asked for a moment",
        "the caller had waited 4.0 s; there was no clip to play",
        "qualifier does not start again: bad key",
        "withdrawn by the service",
        "ended: refused",
    ]
    assert [phrase for phrase in expected if phrase not in told] == []


def test_clips_have_a_lane_of_their_own_and_their_speaker_is_no_agent() -> None:
    call = JournalWriter()
    call.starts("qualifier")
    call.note("silence_met", after=4.0, agent="switchboard", seconds=4.0, filled_by="clip")
    call.says("switchboard", "One moment, please.", after=0.0)
    call.says("qualifier", "Hi, this is Alex.")

    picture = drawn(call.entries)

    assert {"switchboard", "silence met"} <= set(words(picture))
    assert any("1 agent ·" in line for line in words(picture))
    assert "the caller had waited 4.0 s; the switchboard asked for a moment" in tooltips(picture)
    assert re.search(r"switchboard, [0-9.–]+ s: One moment, please\.", tooltips(picture))


def test_call_without_entries_is_an_empty_stave() -> None:
    written = words(drawn([]))

    assert "0.0 s · 0 agents · 0 handoffs · ended without an outcome" in written


@pytest.mark.parametrize("kept", range(0, 110, 7))
def test_journal_cut_anywhere_is_drawn(kept: int) -> None:
    assert drawn(sample_journal()[:kept]).tag == SVG + "svg"


def test_journal_with_only_names_is_drawn() -> None:
    bare: list[dict[str, object]] = [{"event": entry["event"]} for entry in sample_journal()]

    assert drawn(bare).tag == SVG + "svg"


def test_nothing_said_can_leave_its_element() -> None:
    hostile = '</text><script>alert("&amp;")</script>\x00\x1b[31m\ud800'
    call = JournalWriter()
    call.starts(hostile)
    call.hears(hostile, hostile)
    call.says(hostile, hostile)
    call.calls(hostile, hostile, hostile, reason="x")
    call.note("digit_pressed", digit="<")

    picture = drawn(call.entries, title=hostile)

    assert list(picture.iter(SVG + "script")) == []
    assert "<script>" in tooltips(picture)


def test_nothing_is_fetched() -> None:
    picture = render_timeline(read(sample_journal()), title="A call")

    links = set(re.findall(r"https?://[^\"' ]+", picture))
    assert {"http://www.w3.org/2000/svg"} == links
    assert "url(" not in picture
    assert "@import" not in picture


def test_both_themes_are_in_the_stylesheet() -> None:
    (style,) = words(drawn(sample_journal()), "style")

    assert "@media (prefers-color-scheme:dark)" in style


@pytest.mark.parametrize("seconds", [1.0, 60.0, 200.0, 900.0])
def test_page_stays_as_wide_as_a_screen(seconds: float) -> None:
    call = JournalWriter()
    call.starts("qualifier")
    call.note("floor_taken", agent="qualifier", incarnation=1, offset=0)
    while call.now < seconds:
        call.says("qualifier", "One more question about your plans.")
        call.hears("qualifier", "And one more answer.")

    picture = drawn(call.entries)

    assert float(picture.attrib["width"]) <= 1300
    visible = [element for element in picture.iter(SVG + "rect") if float(element.attrib.get("x", "0")) > 1300]
    assert visible == []


def test_call_is_broken_where_nobody_speaks() -> None:
    call = JournalWriter()
    call.starts("qualifier")
    while call.now < 100:
        call.says("qualifier", "One more question about your plans.")
        call.hears("qualifier", "And one more answer.")

    told = [tip for tip in words(drawn(call.entries), "title") if "question" in tip or "answer" in tip]

    assert len(told) == len(set(told))


def test_long_silence_is_said_on_every_stave_it_fills() -> None:
    call = JournalWriter()
    call.starts("qualifier")
    call.says("qualifier", "Hello?")
    call.note("caller_hung_up", after=60.0, how="stop")

    written = words(drawn(call.entries))

    assert sum(line.startswith("60.0nobody spoke") for line in written) == 3


def test_same_journal_draws_the_same_picture() -> None:
    assert render_timeline(read(sample_journal()), title="A") == render_timeline(read(sample_journal()), title="A")


def test_a_session_ends_with_its_stream_and_another_begins_with_the_next() -> None:
    call = JournalWriter()
    call.starts("qualifier")
    call.note("transfer_asked", after=3.0, agent="qualifier", reason="cross", notes="")
    call.note("call_parked", after=0.5, duration=4.0, frames={})
    parked = read_chart(read(call.entries))
    call.note("call_resumed", after=5.0, stream_sid="MZ2", unreached="busy")
    call.starts("qualifier")
    call.note("call_ended", after=4.0, outcome="completed", duration=14.0, frames={})
    first, second = read_chart(read(call.entries)).sessions

    assert parked.outcome == "put through to a person"
    assert first.ended < second.connecting < second.ended
    assert read_chart(read(call.entries)).outcome == "completed"


@pytest.mark.parametrize("identity", ["", "id"])
def test_each_function_has_its_own_answer_also_where_ids_are_alike_and_numbers_begin_anew(identity: str) -> None:
    call = JournalWriter()
    call.starts("qualifier")
    for number in (1, 2, 3):
        about = {"agent": "qualifier", "id": identity, "name": f"f{number}"}
        call.note("function_called", after=0.1, arguments="{}", number=number, **about)
    for number in (2, 1):
        about = {"agent": "qualifier", "id": identity, "name": f"f{number}"}
        call.note("function_answered", after=0.1, result=str(number), ok=number == 1, took=0.1, number=number, **about)
    call.note("call_parked", after=1.0)
    call.note("call_resumed", after=5.0, stream_sid="MZ2", unreached="busy")
    call.note("function_withdrawn", after=0.1, agent="qualifier", id=identity, name="f3", number=3)

    functions = read_chart(read(call.entries)).flags

    assert [(one.result, one.ok, one.withdrawn) for one in functions] == [
        ("1", True, False),
        ("2", False, False),
        (None, None, False),
    ]


def test_no_label_stands_over_a_lanes_name() -> None:
    handoff = {"event": "function_called", "agent": "qualifier", "id": "early", "name": "handoff_to_next_agent"}
    entries = sample_journal()
    first = next(index for index, entry in enumerate(entries) if float(str(entry["at"])) > 1.0)
    entries.insert(first, {**entries[first], **handoff, "at": 1.0, "arguments": '{"reason": "wants advice"}'})
    picture = drawn(entries)
    lanes_begin = MARGIN + GUTTER

    labels = [box for box in picture.iter(SVG + "rect") if "bar" in str(box.get("class")).split()]
    assert labels
    assert [box.attrib for box in labels if float(box.attrib["x"]) < lanes_begin] == []


def test_no_box_of_speech_is_empty() -> None:
    picture = drawn(sample_journal())

    empty = []
    for group in picture.iter(SVG + "g"):
        boxes, clips = group.findall(SVG + "rect"), group.findall(SVG + "svg")
        if len(boxes) == len(clips) == 1:
            begins = float(clips[0].attrib["x"]) - float(boxes[0].attrib["x"])
            if begins > 0 or not "".join(clips[0].itertext()).strip():
                empty.append(boxes[0].attrib)
    assert empty == []


@pytest.mark.parametrize("seconds", [1.0, 0.6, 0.1])
def test_words_that_go_over_the_edge_of_their_box_stand_on_a_ground_of_their_own(seconds: float) -> None:
    spoken = {"event": "caller_spoke", "at": 2.2, "start": 2.0 - seconds, "end": 2.0}
    heard = {"event": "turn_heard", "at": 2.3, "agent": "qualifier", "text": "My name is John Smith."}
    picture = drawn([spoken, heard, {"event": "call_ended", "at": 20.0, "outcome": "completed"}])
    (group,) = (group for group in picture.iter(SVG + "g") if group.find(SVG + "svg") is not None)
    (clip,), grounds = group.findall(SVG + "svg"), group.findall(SVG + "rect")
    right = max(float(text.attrib["x"]) + text_width("".join(text.itertext()), 10.5) for text in clip)

    assert " ".join(words(clip)) == "My name is John Smith."
    assert right <= float(clip.attrib["width"]) < max(float(ground.attrib["width"]) for ground in grounds) <= right + 14


def test_an_agent_that_takes_a_session_over_has_a_time_of_its_own_and_its_kind_is_told() -> None:
    played = throw(roster=SOFT)
    chart, picture = read_chart(played.entries), drawn([entry.as_json() for entry in played.entries])
    first, second = chart.sessions

    assert (first.agent, second.agent, second.why) == ("first", "second", "soft handoff")
    assert (first.ended, second.floor) == (second.connecting, second.connecting)
    assert second.ended == chart.duration
    assert [(one.how, one.given_up) for one in chart.handoffs] == [("soft", "")]
    assert f"{played.facts(facts.HandoffGap)[0].gap * 1000:.0f} ms, soft" in words(picture)


def test_a_soft_handoff_that_was_given_up_says_why() -> None:
    played = throw(["deepgram: no ack speak"], roster=SOFT)

    assert "not softly: it is not acknowledged within 1 s" in tooltips(
        drawn([entry.as_json() for entry in played.entries])
    )
    assert played.the_record.faults == (
        "first could not become second on its session: UpdateSpeak: it is not acknowledged within 1 s",
    )
