"""All that is paid for is counted, whatever becomes of the sessions that used it."""

from actors import facts
from actors.facts import Fact
from actors.journal import Entry
from actors.record.record import Meter
from store.records import OPERATOR, Usage


def used(now: float, *noted: tuple[float, Fact], earlier: Usage | None = None) -> Usage:
    meter = Meter(earlier or Usage())
    for seq, (at, fact) in enumerate(noted):
        meter.read(Entry(seq, at, fact))
    return meter.total(now)


def connecting(agent: str, number: int) -> Fact:
    return facts.SessionConnecting(agent, number, "first")


def test_a_session_is_paid_for_from_connecting_until_it_leaves_the_floor() -> None:
    usage = used(60.0, (1.0, connecting("advisor", 1)), (31.0, facts.FloorLeft("advisor", 1, "handed off")))

    assert usage.agent_seconds == {"advisor": 30.0}


def test_two_sessions_at_once_are_both_paid_for_and_one_that_is_open_until_now() -> None:
    usage = used(
        60.0,
        (0.0, connecting("qualifier", 1)),
        (20.0, connecting("advisor", 2)),
        (25.0, facts.FloorLeft("qualifier", 1, "handed off")),
    )

    assert usage.agent_seconds == {"qualifier": 25.0, "advisor": 40.0}


def test_incarnations_of_one_agent_add_up_and_so_do_failed_starts() -> None:
    usage = used(
        60.0,
        (0.0, connecting("advisor", 1)),
        (5.0, facts.SessionFailed("advisor", 1, "HTTP 500", retryable=True)),
        (6.0, connecting("advisor", 2)),
        (10.0, facts.FloorLeft("advisor", 2, "crashed")),
    )

    assert usage.agent_seconds == {"advisor": 9.0}


def test_the_session_of_a_handoff_that_comes_to_nothing_is_paid_for_until_then() -> None:
    usage = used(60.0, (10.0, connecting("advisor", 2)), (12.0, facts.HandoffWithdrawn("qualifier", "advisor")))

    assert usage.agent_seconds == {"advisor": 2.0}


def test_an_operator_who_has_the_caller_is_no_voice_agent_that_is_paid_for() -> None:
    usage = used(
        60.0,
        (0.0, connecting("advisor", 1)),
        (20.0, facts.FloorLeft("advisor", 1, "taken over")),
        (20.0, facts.FloorTaken(OPERATOR, 0, 1000)),
        (50.0, facts.FloorLeft(OPERATOR, 0, "given back")),
        (51.0, facts.FloorTaken(OPERATOR, 0, 2550)),
    )

    assert usage.agent_seconds == {"advisor": 20.0}


def test_words_given_a_voice_and_summaries_asked_for_are_counted() -> None:
    usage = used(
        9.0, (1.0, facts.ReplyText("advisor", 1, "Hello.")), (2.0, facts.SummaryStarted("closer")),
        earlier=Usage({"advisor": 1.0}, 4, 1),
    )  # fmt: skip

    assert usage == Usage({"advisor": 1.0}, 10, 2)


def test_requests_and_tokens_of_briefs_are_counted_also_of_those_that_failed() -> None:
    usage = used(
        9.0,
        (1.0, facts.SummaryStarted("closer")),
        (2.0, facts.SummaryWritten("closer", 1.0, 2, 700, 90)),
        (3.0, facts.SummaryStarted("closer")),
        (4.0, facts.SummaryFailed("closer", 1.0, "HTTP 503", 3)),
        (5.0, facts.SummaryStarted("closer")),
        (5.0, facts.SummaryFailed("closer", 0.0, "no language model is configured", 0)),
        (6.0, facts.SummaryStarted("closer")),
        earlier=Usage(summaries=1, summary_tokens_in=100, summary_tokens_out=10),
    )

    assert usage == Usage(summaries=1 + 2 + 3 + 0 + 1, summary_tokens_in=800, summary_tokens_out=100)
