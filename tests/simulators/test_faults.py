"""Fault lines: each form means one thing, and a bad line says how to mend it."""

import math

import pytest

from simulators import faults
from simulators.faults import (
    FOREVER,
    FORMS,
    STEPS,
    Fault,
    FaultError,
    FaultPlan,
    Faults,
    Form,
    parse_fault,
)


def plan(*lines: str) -> FaultPlan:
    return FaultPlan(faults.parse_faults(lines))


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.target}: {form.example}")
def test_every_form_reads_its_own_example(form: Form) -> None:
    fault = parse_fault(f"{form.target}: {form.example}")

    assert (fault.target, fault.kind) == (form.target, form.kind)


def test_a_line_is_read_whatever_its_spaces_and_units() -> None:
    expected = parse_fault("deepgram: drop after 0.5 s")

    for line in ("deepgram:drop after 0.5s", " deepgram :  drop  after 500 ms"):
        fault = parse_fault(line)
        assert (fault.kind, fault.after, fault.times) == (expected.kind, 0.5, 1)


def test_modifiers_may_stand_in_any_order() -> None:
    one = parse_fault("deepgram: stall on connection 2 after 3 s times 4")
    other = parse_fault("deepgram: stall times 4 after 3 s on connection 2")

    assert (one.first, one.times, one.after) == (other.first, other.times, other.after) == (2, 4, 3.0)


@pytest.mark.parametrize(
    ("line", "hit"),
    [
        ("drop after 8 s", [1]),
        ("drop after 8 s on connection 2", [2]),
        ("drop after 8 s times 2", [1, 2]),
        ("drop after 8 s every connection", [1, 2, 3, 4]),
        ("drop after 8 s on every connection", [1, 2, 3, 4]),
        ("drop after 8 s on connection 2 times 2", [2, 3]),
        ("slow think 4 s", [1, 2, 3, 4]),
        ("slow think 4 s on connection 3", [3]),
        ("refuse connect 2", [2, 3, 4]),
        ("refuse connect 2 times 1", [2]),
        ("drip", [1, 2, 3, 4]),
        ("no upgrade", [1]),
        ("no welcome on connection 2 times 2", [2, 3]),
        ("no ack think", [1, 2, 3, 4]),
        ("drop at update speak on connection 2", [2]),
    ],
)
def test_a_deepgram_fault_hits_the_connections_it_says(line: str, hit: list[int]) -> None:
    faulty = plan(f"deepgram: {line}")

    assert [nth for nth in range(1, 5) if faulty.for_connection(nth).every] == hit


def test_a_connection_gets_all_its_faults_and_no_others() -> None:
    faulty = plan(
        "deepgram: close 1011 after 9 s",
        "deepgram: garbage after 2 s",
        "deepgram: error INVALID_SETTINGS",
        "deepgram: slow settings 2 s",
        "deepgram: slow tts 300 ms",
        "groq: hang",
    )

    hits = faulty.for_connection(1)

    assert (hits.seconds("slow settings"), hits.seconds("slow tts"), hits.has("drip")) == (2.0, 0.3, False)
    assert [(step.kind, step.after, step.code, step.number) for step in hits.of(*STEPS)] == [
        ("close", 9.0, "", 1011),
        ("garbage", 2.0, "", 0),
        ("error", None, "INVALID_SETTINGS", 0),
    ]


def test_a_refusal_has_a_status() -> None:
    assert plan("deepgram: refuse connect 1").for_connection(1).number("refuse connect") == 503
    assert plan("deepgram: refuse connect 1 with 429").for_connection(1).number("refuse connect") == 429


def test_mute_begins_after_the_settings_were_applied() -> None:
    assert [step.after for step in plan("deepgram: mute").for_connection(1).of(*STEPS)] == [0.0]


def test_groq_requests_are_counted() -> None:
    faulty = plan("groq: 429 times 2", "groq: slow 2 s on request 3", "groq: refused on request 4")

    seen = [[(fault.kind, fault.seconds) for fault in faulty.groq().every] for _ in range(5)]

    assert seen == [[("429", 0.0)], [("429", 0.0)], [("slow", 2.0)], [("refused", 0.0)], []]


def test_the_faults_of_a_stream_are_asked_by_kind() -> None:
    faulty = plan(
        "twilio: jitter 60 ms", "twilio: stalled reader after 5 s", "twilio: bad frames 3", "twilio: duplicate start"
    ).twilio

    assert (faulty.seconds("jitter"), faulty.begin("stalled reader"), faulty.number("bad frames")) == (0.06, 5.0, 3)
    assert faulty.has("duplicate start")
    assert not faulty.has("stop without close")
    assert faulty.begin("no media") == math.inf


def test_no_faults_are_no_faults() -> None:
    assert FaultPlan().for_connection(1) == FaultPlan().twilio == FaultPlan().groq() == Faults()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("deepgram: dorp after 8 s", "did you mean 'deepgram: drop after 8 s'"),
        ("drop after 8 s", "begins with no service"),
        ("drop after 8 s", "did you mean 'deepgram: drop after 8 s'"),
        ("deepgarm: drop after 8 s", "write one of 'deepgram', 'twilio', 'groq', 'line'"),
        ("", "begins with no service"),
        ("groq: 429 after 3 s", "'429' takes no 'after'; it takes 'on request', 'times'"),
        ("twilio: jitter 60 ms times 2", "takes no 'times'; it takes nothing"),
        ("deepgram: close 1002", "did you mean 'deepgram: close 1011 after 3 s'"),
        ("deepgram: drop after 8", "did you mean 'deepgram: drop after 8 s'"),
        ("deepgram: refuse connect 0", "did you mean 'deepgram: refuse connect 2'"),
        ("deepgram: error lower_case", "did you mean 'deepgram: error INTERNAL_SERVER_ERROR after 3 s'"),
        ("deepgram: drop after 8 s after 9 s", "'after' is there twice"),
        ("deepgram: drop every connection times 2", "leave one out"),
        ("twilio: bad frame", "did you mean 'twilio: bad frames 3'"),
        ("groq: 404", "groq has no fault '404'"),
        ("groq: 429 times " + "9" * 5000, "groq has no fault '429 times 999"),
        ("twilio: bad frames " + "9" * 5000, "did you mean 'twilio: bad frames 3'"),
        ("deepgram: drop after " + "9" * 400 + " s", "did you mean 'deepgram: drop after 8 s'"),
        ("deepgram: refuse connect " + "9" * 5000, "did you mean 'deepgram: refuse connect 2'"),
    ],
)
def test_a_bad_line_says_what_is_wrong_and_offers_the_nearest_form(line: str, says: str) -> None:
    with pytest.raises(FaultError) as refused:
        parse_fault(line)

    assert repr(line)[:60] in str(refused.value)
    assert says in str(refused.value)


def test_a_fault_without_limit_hits_for_ever() -> None:
    assert Fault("groq: hang", "groq", "hang").hits(FOREVER)


@pytest.mark.parametrize(
    "line",
    ["deepgram: {}", "{}: drop", "deepgram: drop after 1 s after {}", "groq: 429 {}", "deepgram: jitter {} times 2"],
)
def test_of_a_line_that_cannot_be_read_a_part_is_repeated_and_no_key(line: str) -> None:
    with pytest.raises(FaultError) as refused:
        parse_fault(line.format("0123456789abcdef0123456789abcdef " + 2**20 * "y"))

    assert "56789abcdef" not in str(refused.value)
    assert len(str(refused.value)) < 2_000
