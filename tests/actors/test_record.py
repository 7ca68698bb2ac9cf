"""Promise 6: whatever was noted of a call makes a record."""

from collections.abc import Sequence

import attrs
import pytest

from actors import facts
from actors.facts import Fact
from actors.journal import Entry
from actors.line.reply import Reply
from actors.record.record import RecordBuilder
from store.records import (
    AgentPeriod,
    CallRecord,
    CommandRecord,
    FrameCounts,
    FunctionRecord,
    HandoffRecord,
    TransferRecord,
    TurnRecord,
    Usage,
    decode_record,
    encode_running,
    record_as_json,
    record_from_json,
    stream_fault,
)
from tests.store.samples import FULL, begun

STARTED = facts.CallStarted("CA1", "MZ1", "inbound")


def record_of(*noted: tuple[float, Fact]) -> CallRecord:
    builder = RecordBuilder(begun("+15551230000", "+15559990000"))
    for seq, (at, fact) in enumerate(noted):
        builder.read(Entry(seq, at, fact))
    return builder.record()


def periods(*noted: tuple[float, Fact]) -> Sequence[AgentPeriod]:
    return record_of(*noted).agents


CUT_OFF: list[tuple[float, Fact]] = [
    (2.8, facts.UserStartedSpeaking("first")),
    (3.0, facts.HandoffAsked("first", "second", "help", "", 150)),
    (3.4, facts.TurnCutOff("first", "When")),
]


def test_a_turn_that_was_cut_off_stands_once_in_the_record_when_it_is_heard_again() -> None:
    record = record_of(*CUT_OFF, (4.0, facts.TurnHeard("second", "When are you open?")))

    assert [(turn.at, turn.text) for turn in record.transcript] == [(2.8, "When are you open?")]


def test_a_turn_that_was_cut_off_stands_in_the_record_as_far_as_it_was_heard_if_nobody_hears_it_again() -> None:
    record = record_of(*CUT_OFF, (3.6, facts.CallEnded("caller_hung_up", 3.6, {})))

    assert [(turn.at, turn.speaker, turn.text) for turn in record.transcript] == [(2.8, "caller", "When")]


def test_what_was_cut_off_without_a_word_is_no_turn() -> None:
    assert record_of((3.4, facts.TurnCutOff("first", " "))).transcript == ()


def test_a_call_that_nothing_is_known_of_has_a_record() -> None:
    record = record_of()

    assert (record.call_sid, record.outcome, record.duration) == ("CA1", "cut", 0.0)
    assert record_from_json(record_as_json(record)) == record


def test_a_record_says_who_was_called_and_how_it_ended() -> None:
    counts = {"caller_in": 3, "caller_sent": 3, "unheard": 0, "agent_in": 2, "agent_sent": 1, "dropped": 1}
    record = record_of((0.0, STARTED), (2.5, facts.CallEnded("completed", 2.5001, counts)))

    assert (record.call_sid, record.stream_sid, record.direction) == ("CA1", "MZ1", "inbound")
    assert (record.caller, record.line, record.started_at) == (
        "+15551230000",
        "+15559990000",
        "2026-11-22T09:00:00.000+00:00",
    )
    assert (record.outcome, record.duration, record.frames) == ("completed", 2.5, FrameCounts(3, 3, 0, 2, 1, 1))


def test_a_call_without_an_end_was_cut_at_the_last_thing_known() -> None:
    record = record_of((0.0, STARTED), (4.2, facts.DigitPressed("1")))

    assert (record.outcome, record.duration) == ("cut", 4.2)


def test_each_agent_has_its_time_on_the_floor() -> None:
    assert periods(
        (1.0, facts.FloorTaken("qualifier", 1, 0)),
        (9.0, facts.FloorLeft("qualifier", 1, "handed off")),
        (9.0, facts.FloorTaken("advisor", 2, 400)),
        (20.0, facts.CallEnded("caller_hung_up", 20.0, {})),
    ) == (AgentPeriod("qualifier", 1.0, 9.0), AgentPeriod("advisor", 9.0, 20.0))


def test_a_session_that_was_renewed_counts_as_no_restart() -> None:
    assert periods(
        (1.0, facts.FloorTaken("qualifier", 1, 0)),
        (3.0, facts.FloorLeft("qualifier", 1, "spent")),
        (3.5, facts.FloorTaken("qualifier", 2, 120)),
        (8.0, facts.CallEnded("completed", 8.0, {})),
    ) == (AgentPeriod("qualifier", 1.0, 8.0, restarts=0),)


def test_restarts_before_the_floor_was_taken_are_the_agents_too() -> None:
    assert periods(
        (0.5, facts.SessionRestarting("qualifier", 0.1, "refused")),
        (0.7, facts.SessionRestarting("qualifier", 0.1, "refused")),
        (1.0, facts.FloorTaken("qualifier", 3, 0)),
        (8.0, facts.CallEnded("completed", 8.0, {})),
    ) == (AgentPeriod("qualifier", 1.0, 8.0, restarts=2),)


def test_an_agent_that_was_restarted_has_one_period() -> None:
    assert periods(
        (1.0, facts.FloorTaken("qualifier", 1, 0)),
        (3.0, facts.FloorLeft("qualifier", 1, "crashed")),
        (3.1, facts.SessionRestarting("qualifier", 0.1, "crashed")),
        (3.5, facts.FloorTaken("qualifier", 2, 120)),
        (8.0, facts.FloorLeft("qualifier", 2, "crashed")),
        (20.0, facts.CallEnded("no_agent", 20.0, {})),
    ) == (AgentPeriod("qualifier", 1.0, 8.0, restarts=1),)


def test_a_floor_nobody_had_cannot_be_left() -> None:
    assert periods((1.0, facts.FloorLeft("qualifier", 1, "crashed"))) == ()


def test_restarts_are_counted() -> None:
    record = record_of(*((at, facts.SessionRestarting("qualifier", 0.1, "dropped")) for at in (1.0, 2.0)))

    assert record.restarts == 2


def test_a_handoff_is_recorded_with_its_gap_and_the_source_of_its_brief() -> None:
    record = record_of(
        (5.0, facts.HandoffAsked("qualifier", "advisor", "agreed", "", 250)),
        (5.2, facts.BriefReady("advisor", "groq", 0.2, brief={"need": "a pension"})),
        (5.6, facts.HandoffCommitted("qualifier", "advisor", 0.6)),
        (5.9, facts.HandoffGap("advisor", 0.9)),
        (9.0, facts.HandoffAsked("advisor", "closer", "agreed", "", 450)),
        (9.5, facts.HandoffFailed("advisor", "closer", "no answer")),
    )

    assert record.handoffs == (
        HandoffRecord("qualifier", "advisor", 5.0, 0.9, "groq", "agreed", {"need": "a pension"}, "hard", 0.6),
        HandoffRecord("advisor", "closer", 9.0, cause="agreed"),
    )
    assert record.faults == ("handoff from advisor to closer failed: no answer",)


@pytest.mark.parametrize("other", ["third", "second"])
@pytest.mark.parametrize("later", [0.0, 0.3])
def test_what_comes_of_a_handoff_is_recorded_with_it_and_not_with_one_that_was_refused_meanwhile(
    later: float, other: str
) -> None:
    record = record_of(
        (1.0, facts.HandoffAsked("first", "second", "it failed", "", 0)),
        (9.0, facts.HandoffFailed("first", "second", "no answer")),
        (20.0, facts.HandoffAsked("first", "second", "an operator", "", 0)),
        (20.0 + later, facts.HandoffAsked("first", other, "the model", "", 0)),
        (20.5, facts.BriefReady("second", "groq", 0.5)),
        (21.0, facts.HandoffCommitted("first", "second", 1.0)),
        (21.4, facts.HandoffGap("second", 1.4)),
    )

    assert [(one.cause, one.brief_source, one.how, one.gap) for one in record.handoffs] == [
        ("it failed", "", "", None),
        ("an operator", "groq", "hard", 1.4),
        ("the model", "", "", None),
    ]


def test_a_brief_nobody_asked_for_belongs_to_no_handoff() -> None:
    assert record_of((1.0, facts.BriefReady("advisor", "extract", 0.0))).handoffs == ()


def test_functions_are_recorded_as_called_and_as_answered() -> None:
    record = record_of(
        (1.0, facts.FunctionCalled("closer", "f1", "record_satisfaction", '{"rating": 5}', thought_signature="c2ln")),
        (1.1, facts.FunctionAnswered("closer", "f1", "record_satisfaction", '{"recorded": true}', True, 0.1)),
        (2.0, facts.FunctionCalled("closer", "f2", "end_conversation", "{}")),
    )

    assert record.functions == (
        FunctionRecord(1.0, "closer", "record_satisfaction", {"rating": 5}, {"recorded": True}, True, "c2ln"),
        FunctionRecord(2.0, "closer", "end_conversation", {}, "", ok=False),
    )


def test_the_same_id_of_two_agents_is_two_calls() -> None:
    called = [(1.0, facts.FunctionCalled(agent, "f1", "end_conversation", "{}")) for agent in ("advisor", "closer")]

    assert [function.agent for function in record_of(*called).functions] == ["advisor", "closer"]


def test_an_answer_that_is_no_object_is_recorded_as_it_was_written() -> None:
    results = {
        "plain words": "plain words",
        '{"error": "no"} (ValueError)': '{"error": "no"} (ValueError)',
        "{}": {},
        "[1]": "[1]",
    }

    recorded = [
        record_of(
            (1.0, facts.FunctionCalled("closer", "f1", "look_up", "{}")),
            (1.1, facts.FunctionAnswered("closer", "f1", "look_up", result, False, 0.1)),
        )
        .functions[0]
        .result
        for result in results
    ]

    assert recorded == list(results.values())


def test_arguments_that_are_no_object_are_kept_in_one() -> None:
    called = [
        (float(at), facts.FunctionCalled("closer", f"f{at}", "look_up", text))
        for at, text in enumerate(["five", "[5]"])
    ]

    assert [function.arguments for function in record_of(*called).functions] == [{"": "five"}, {"": "[5]"}]


def test_an_answer_to_nothing_is_passed_over() -> None:
    assert record_of((1.0, facts.FunctionAnswered("closer", "f9", "look_up", "{}", True, 0.1))).functions == ()


def test_the_transcript_stands_in_the_order_in_which_turns_began() -> None:
    record = record_of(
        (1.0, facts.ReplyStarted("qualifier", 1)),
        (1.5, facts.ReplyText("qualifier", 1, "Good morning.")),
        (2.0, facts.UserStartedSpeaking("qualifier")),
        (2.1, facts.ReplyEnded("qualifier", 1, "Good morning.", "Good", complete=False)),
        (3.0, facts.TurnHeard("qualifier", "Hello.")),
        (4.0, facts.TurnHeard("qualifier", "Are you there?")),
    )

    assert record.transcript == (
        TurnRecord(1.0, "qualifier", "Good morning.", "Good"),
        TurnRecord(2.0, "caller", "Hello.", "Hello."),
        TurnRecord(4.0, "caller", "Are you there?", "Are you there?"),
    )


@pytest.mark.parametrize(
    ("voice", "began"),
    [
        ([(2.0, 2.2), (9.0, 10.0)], 9.0),
        ([(2.0, 2.2), (9.0, 9.5), (10.0, 11.0)], 9.0),
        ([(1.8, 4.0), (8.5, 10.0)], 2.0),
        ([], 2.0),
    ],
    ids=["a noise", "a noise, and two words", "a pause in a turn", "by the service alone"],
)
def test_a_turn_begins_with_its_words_and_not_with_a_noise_that_has_begun_it_for_the_service(
    voice: list[tuple[float, float]], began: float
) -> None:
    """Of a turn that a noise has begun, and nothing has ended, the service tells no second beginning."""
    spoke = [(end + 0.4, facts.CallerSpoke(start, end)) for start, end in voice]
    started = [(2.0, facts.UserStartedSpeaking("first"))]
    noted: list[tuple[float, Fact]] = [*started, *spoke, (11.5, facts.TurnHeard("first", "Yes."))]

    assert [turn.at for turn in record_of(*noted).transcript] == [began]


def test_an_answer_knows_how_long_the_caller_waited_for_it() -> None:
    record = record_of(
        (3.0, facts.TurnHeard("qualifier", "Hello.")),
        (3.6, facts.ReplyStarted("qualifier", 1)),
        (5.0, facts.ReplyEnded("qualifier", 1, "Good morning.", "Good morning.", complete=True)),
        (6.0, facts.ReplyStarted("qualifier", 2)),
        (7.0, facts.ReplyEnded("qualifier", 2, "Still there?", "Still there?", complete=True)),
    )

    assert [turn.latency for turn in record.transcript] == [None, 0.6, None]


def test_a_filler_is_no_answer_to_wait_for() -> None:
    record = record_of(
        (3.0, facts.TurnHeard("qualifier", "Hello.")),
        (6.0, facts.ReplyStarted("switchboard", 1)),
        (7.0, facts.ReplyEnded("switchboard", 1, "One moment.", "One moment.", complete=True)),
        (10.0, facts.ReplyStarted("qualifier", 2)),
        (10.1, facts.FillerSaid("qualifier", 2)),
        (11.0, facts.ReplyEnded("qualifier", 2, "I am looking.", "I am looking.", complete=True)),
        (12.0, facts.ReplyStarted("qualifier", 3)),
        (13.0, facts.ReplyEnded("qualifier", 3, "Good morning.", "Good morning.", complete=True)),
    )

    assert [turn.latency for turn in record.transcript] == [None, None, None, 9.0]


@pytest.mark.parametrize(
    ("reported", "parts"),
    [
        (facts.LatencyReported("qualifier", 1, 0.2, 0.3, 0.4, tts_latency=0.1, total_latency=0.7), (0.2, 0.4, 0.1)),
        (facts.LatencyReported("qualifier", 1, 0.2, 0.3), (0.2, 0.3, None)),
        (facts.LatencyReported("qualifier", 1, ttt_tool_latency=0.5), (None, 0.5, None)),
        (facts.LatencyReported("qualifier", 2, 0.2, 0.3), (None, None, None)),
        (facts.LatencyReported("qualifier", 0, 0.2, 0.3), (None, None, None)),
    ],
)
def test_an_answer_knows_which_parts_its_latency_had(
    reported: facts.LatencyReported, parts: tuple[float | None, ...]
) -> None:
    record = record_of(
        (3.6, facts.ReplyStarted("qualifier", 1)),
        (3.7, reported),
        (5.0, facts.ReplyEnded("qualifier", 1, "Good morning.", "Good morning.", complete=True)),
    )

    (turn,) = record.transcript
    assert (turn.stt, turn.llm, turn.tts) == parts


@pytest.mark.parametrize("shared", ["", "call_1"])
def test_two_function_calls_of_one_id_are_two(shared: str) -> None:
    record = record_of(
        (1.0, facts.FunctionCalled("closer", shared, "look_up", '{"of": 1}', number=1)),
        (1.1, facts.FunctionCalled("closer", shared, "look_up", '{"of": 2}', number=2)),
        (1.2, facts.FunctionAnswered("closer", shared, "look_up", '{"found": 2}', True, 0.1, number=2)),
        (1.3, facts.FunctionAnswered("closer", shared, "look_up", '{"found": 1}', True, 0.3, number=1)),
    )

    assert [(one.arguments, one.result) for one in record.functions] == [
        ({"of": 1}, {"found": 1}),
        ({"of": 2}, {"found": 2}),
    ]


def test_a_reply_without_words_is_no_turn_and_one_without_sound_is() -> None:
    record = record_of(
        (1.0, facts.ReplyStarted("qualifier", 1)),
        (2.0, facts.ReplyEnded("qualifier", 1, "", "", complete=False)),
        (3.0, facts.ReplyEnded("qualifier", 2, "Unheard.", "", complete=False)),
    )

    assert record.transcript == (TurnRecord(3.0, "qualifier", "Unheard.", ""),)


def test_everything_that_went_wrong_is_named() -> None:
    record = record_of(
        (1.0, facts.SessionFailed("qualifier", 1, "HTTP 503", True)),
        (2.0, facts.SessionCrashed("qualifier", 2, "closed", True)),
        (3.0, facts.SummaryFailed("advisor", 3.0, "HTTP 429")),
        (4.0, facts.ActorCrashed("summarizer", "KeyError: 'x'")),
        (5.0, facts.FrameRefused("twilio", "not JSON")),
    )

    assert record.faults == (
        "qualifier could not start: HTTP 503",
        "qualifier crashed: closed",
        "no summary for advisor: HTTP 429",
        "summarizer crashed: KeyError: 'x'",
        "malformed message from twilio: not JSON",
    )


def test_a_call_that_is_put_through_says_so_until_somebody_knows_more() -> None:
    record = record_of(
        (0.0, STARTED),
        (1.0, facts.FloorTaken("qualifier", 1, 0)),
        (4.0, facts.TransferAsked("qualifier", "wants a person", "")),
        (4.5, facts.CallParked(4.5, {"caller_in": 200})),
    )

    assert (record.outcome, record.duration, record.frames.caller_in) == ("transferring", 4.5, 200)
    assert record.transfers == (TransferRecord("qualifier", 4.0, "wants a person"),)
    assert record_from_json(record_as_json(record)) == record


def test_a_transfer_that_the_line_refused_says_why() -> None:
    record = record_of(
        (4.0, facts.TransferAsked("qualifier", "wants a person", "")),
        (4.5, facts.TransferFailed("qualifier", "Twilio is away")),
    )

    assert [transfer.outcome for transfer in record.transfers] == ["failed: Twilio is away"]


def test_a_second_stream_is_written_into_the_same_record() -> None:
    first = record_of(
        (0.0, STARTED),
        (1.0, facts.FloorTaken("qualifier", 1, 0)),
        (2.0, facts.TurnHeard("qualifier", "A person, please.")),
        (3.0, facts.FunctionCalled("qualifier", "f1", "look_up", "{}")),
        (3.1, facts.FunctionAnswered("qualifier", "f1", "look_up", "{}", True, 0.1, {"need": "a pension"})),
        (4.0, facts.TransferAsked("qualifier", "wants a person", "")),
        (5.0, facts.CallParked(5.0, {"caller_in": 200})),
    )
    first = attrs.evolve(first, why="our server closed the stream", extracted={"wants": "a person"})
    builder = RecordBuilder(first)
    second: list[tuple[float, Fact]] = [
        (9.0, facts.CallResumed("MZ2", "busy")),
        (9.5, facts.FloorTaken("qualifier", 1, 0)),
        (11.0, facts.TurnHeard("qualifier", "Call me back then.")),
        (12.0, facts.CallEnded("completed", 12.0, {"caller_in": 100})),
    ]
    for seq, (at, fact) in enumerate(second):
        builder.read(Entry(seq, at, fact))
    record = builder.record()

    assert (record.call_sid, record.stream_sid, record.outcome, record.duration) == ("CA1", "MZ1", "completed", 12.0)
    assert record.agents == (AgentPeriod("qualifier", 1.0, 5.0), AgentPeriod("qualifier", 9.5, 12.0))
    assert [turn.text for turn in record.transcript] == ["A person, please.", "Call me back then."]
    assert ([one.name for one in record.functions], record.facts) == (["look_up"], {"need": "a pension"})
    assert record.frames.caller_in == 300
    assert (record.why, record.extracted) == ("", {})  # which were of a call that had ended so
    assert record.transfers == (TransferRecord("qualifier", 4.0, "wants a person", "busy"),)


def test_a_second_stream_loses_nothing_that_the_first_has_written() -> None:
    every = attrs.evolve(
        FULL,
        transfers=(TransferRecord("advisor", 50.0, "wants a person", "busy"),),
        facts={"need": "a pension"},
        answered_by="human",
        why="our server closed the stream",
        usage=Usage({"qualifier": 31.5, "advisor": 31.0}, 12, 2, 300, 40),
        metadata={"order": "A-17"},
        extracted={"wants": "a person"},
        listeners=2,
        commands=(CommandRecord(20.0, "k1", "ana", "say", "done", "", {"text": "Soon."}),),
        trace_id="1" * 32,
        recording="s3://bucket/first.wav",
    )
    assert all(getattr(every, field.name) for field in attrs.fields(CallRecord))
    builder = RecordBuilder(every)
    goes_on = attrs.evolve(every, outcome="cut", why="", extracted={})

    assert (builder.record(), builder.so_far(every.duration, {}, []).record) == (goes_on, goes_on)

    second: list[Fact] = [
        facts.ListeningStarted(),
        facts.CommandAnswered("k2", "bob", "whisper", "failed", "mute", 0.1, {"text": "Late."}),
        facts.FunctionCalled("advisor", "f1", "look_up", "{}"),
        facts.FunctionAnswered("advisor", "f1", "look_up", "{}", True, 0.1, {"name": "Ann"}),
        facts.MachineDetected("machine_start", True),
        facts.StreamFailed("our server closed it"),
        facts.SoftHandoffGivenUp("advisor", "closer", "", "no such model", 0.0),
        facts.SoftHandoffGivenUp("advisor", "closer", "UpdateThink", "no answer", 5.0),
        facts.TransferAsked("advisor", "asks again", ""),
        facts.CallerHungUp("no media"),
    ]
    for seq, fact in enumerate(second):
        builder.read(Entry(seq, 62.0, fact))
    record = builder.record()

    assert (record.listeners, record.answered_by) == (3, "machine_start")
    answered = CommandRecord(62.0, "k2", "bob", "whisper", "failed", "mute", {"text": "Late."})
    assert record.commands == (*every.commands, answered)
    assert record.facts == {"need": "a pension", "name": "Ann"}
    assert record.faults == (
        *every.faults,
        stream_fault("our server closed it"),
        "advisor could not become closer on its session: UpdateThink: no answer",
        stream_fault(facts.GIVEN_UP["no media"]),
    )
    assert record.transfers == (*every.transfers, TransferRecord("advisor", 62.0, "asks again", "canceled"))


def test_a_call_that_goes_on_has_a_record_of_what_is_being_said() -> None:
    builder = RecordBuilder(begun())
    builder.read(Entry(0, 0.0, STARTED))
    builder.read(Entry(1, 1.0, facts.FloorTaken("advisor", 1, 0)))
    builder.read(Entry(2, 2.0, facts.ReplyStarted("advisor", 1)))
    reply = Reply("advisor", 1, 2.0, received=16_000, played=8_000, whole=True)
    reply.add_text("one two three four")

    record = builder.so_far(3.0, {"caller_in": 150}, [reply]).record
    later = builder.so_far(4.0, {"caller_in": 200}, []).record

    assert (record.outcome, record.duration, record.frames.caller_in) == ("cut", 3.0, 150)
    assert record.agents == (AgentPeriod("advisor", 1.0, 3.0),)
    assert record.transcript == (TurnRecord(2.0, "advisor", "one two three four", "one two"),)
    assert later.agents == (AgentPeriod("advisor", 1.0, 4.0),)
    assert later.transcript == ()


def test_the_record_of_a_long_call_has_every_turn_however_many_are_packed() -> None:
    builder = RecordBuilder(begun())
    builder.read(Entry(0, 0.0, STARTED))
    for number in range(100):
        builder.read(Entry(2 * number + 1, number + 0.25, facts.TurnHeard("advisor", f"Turn {number}: “é”.")))
    running = builder.so_far(100.0, {}, [])
    builder.read(Entry(300, 101.0, facts.CallEnded("completed", 101.0, {})))

    turns = tuple(TurnRecord(n + 0.25, "caller", f"Turn {n}: “é”.", f"Turn {n}: “é”.") for n in range(100))
    assert builder.record().transcript == turns
    assert decode_record(encode_running(running.record, running.lines)).transcript == turns
    assert len(running.record.transcript) < 16


def test_sound_without_words_leaves_nothing_behind() -> None:
    builder = RecordBuilder(begun())
    for generation in range(3):
        builder.read(Entry(0, 1.0, facts.ReplyStarted("advisor", generation)))
        builder.read(Entry(1, 2.0, facts.ReplyEnded("advisor", generation, "", "", complete=True)))

    assert builder._reply_began == {}
    assert builder.record().transcript == ()
