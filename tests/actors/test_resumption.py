"""A record is enough to go on from: what the agents must know of a call that has a second stream."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import attrs
import pytest

from actors.record.resumption import Resumption
from protocol.deepgram import CompletedCall, HistoryCalls, HistoryText
from store.records import OPERATOR, AgentPeriod, CallRecord, FunctionRecord, HandoffRecord, TransferRecord, TurnRecord

RECORD = CallRecord(
    call_sid="CA1",
    stream_sid="MZ1",
    direction="inbound",
    caller="",
    line="",
    started_at="2026-11-22T09:00:00.000+00:00",
    duration=30.0,
    outcome="transferring",
    agents=(
        AgentPeriod("qualifier", 1.0, 10.0),
        AgentPeriod("advisor", 10.0, 20.0),
        AgentPeriod("advisor", 22.0, 30.0),
    ),
    handoffs=(HandoffRecord("qualifier", "advisor", 9.0, brief={"summary": "Ada wants a pension.", "name": "Ada"}),),
    functions=(
        FunctionRecord(
            9.0, "qualifier", "handoff_to_next_agent", {"reason": "x"}, {"handed_off_to": "advisor"}, ok=True
        ),
        FunctionRecord(24.0, "advisor", "look_up", {}, "", ok=False),
        FunctionRecord(28.0, "advisor", "transfer_to_human", {"reason": "asked"}, {"put_through": True}, ok=True),
    ),
    transcript=(
        TurnRecord(1.5, "qualifier", "Hello.", "Hello."),
        TurnRecord(5.0, "caller", "My name is Ada.", "My name is Ada."),
        TurnRecord(11.0, "advisor", "What can I do for you today?", "What can I"),
        TurnRecord(15.0, "switchboard", "One moment, please.", "One moment, please."),
        TurnRecord(25.0, "caller", "A person, please.", "A person, please."),
        TurnRecord(27.0, "advisor", "I'll put you through.", "I'll put you through."),
        TurnRecord(29.0, "advisor", "Never heard.", ""),
    ),
    transfers=(TransferRecord("advisor", 28.5, "asked"),),
    facts={"need": "a pension"},
)


@pytest.mark.parametrize("between", [(), (AgentPeriod(OPERATOR, 20.0, 22.0),)], ids=["nobody", "an operator"])
def test_the_agent_who_had_the_floor_is_told_what_was_heard_since_it_took_it(between: tuple[AgentPeriod, ...]) -> None:
    periods = (*RECORD.agents[:2], *between, *RECORD.agents[2:])
    resumption = Resumption(attrs.evolve(RECORD, agents=periods), "no-answer")
    history = resumption.conversation().history(resumption.since, asks_again=False)

    nobody = "Nobody could be reached (no-answer). The customer is with you again, and has been told so."
    done = CompletedCall("earlier-2", "transfer_to_human", True, '{"reason":"asked"}', f'{{"error":"{nobody}"}}')
    assert resumption.agent == "advisor"
    assert history == (
        HistoryText("assistant", "What can I"),
        HistoryText("user", "A person, please."),
        HistoryText("assistant", "I'll put you through."),
        HistoryCalls((done,)),
    )


def test_it_has_the_brief_it_had_and_what_was_recorded_since() -> None:
    brief = Resumption(RECORD).brief

    assert (brief.name, brief.need, brief.summary) == ("Ada", "a pension", "Ada wants a pension.")
    assert [turn.text for turn in brief.recent] == ["Hello.", "My name is Ada."]


def test_without_a_brief_there_is_what_can_be_gathered() -> None:
    brief = Resumption(attrs.evolve(RECORD, handoffs=())).brief

    assert (brief.name, brief.need) == ("Ada", "a pension")


def test_a_transfer_that_worked_is_remembered_as_it_was_when_the_stream_is_lost_later() -> None:
    calls = [one for one in Resumption(RECORD).conversation().history() if isinstance(one, HistoryCalls)]

    assert calls[-1].function_calls[0].response == '{"put_through":true}'


def test_a_function_is_told_with_what_its_model_had_thought() -> None:
    """Google refuses a function call of a thinking model that comes back without it."""
    told = attrs.evolve(RECORD.functions[2], thought_signature="c2ln")
    resumption = Resumption(attrs.evolve(RECORD, functions=(told,)), "no-answer")

    (calls,) = (one for one in resumption.conversation().history() if isinstance(one, HistoryCalls))
    assert [call.thought_signature for call in calls.function_calls] == ["c2ln"]


def test_time_goes_on_after_all_that_was_noted() -> None:
    now = datetime.now(UTC)
    just = attrs.evolve(RECORD, started_at=(now - timedelta(seconds=5)).isoformat())
    long_ago = attrs.evolve(RECORD, started_at=(now - timedelta(seconds=60)).isoformat())

    assert Resumption(just).elapsed == 30.0
    assert 60 <= Resumption(long_ago).elapsed < 70
    assert Resumption(attrs.evolve(RECORD, started_at="yesterday")).elapsed == 30.0


def test_a_call_in_which_nobody_had_the_floor_has_no_agent() -> None:
    nothing = Resumption(attrs.evolve(RECORD, agents=(), transcript=(), functions=(), handoffs=()))

    assert (nothing.agent, nothing.since, nothing.conversation().history()) == ("", 0, ())


def test_the_agents_that_handed_the_call_on_may_get_it_back_unless_they_have() -> None:
    on = attrs.evolve(RECORD.handoffs[0], how="soft")
    back = HandoffRecord("advisor", "qualifier", 19.0, how="back")
    again = HandoffRecord("qualifier", "closer", 24.0, how="hard")
    failed = HandoffRecord("closer", "nobody", 26.0)
    periods = (*RECORD.agents[:2], AgentPeriod("qualifier", 20.0, 25.0), AgentPeriod("closer", 25.0, 30.0))

    def waiting(*handoffs: HandoffRecord) -> tuple[tuple[str, int], ...]:
        return Resumption(attrs.evolve(RECORD, handoffs=handoffs, agents=periods)).handed_on_by

    assert waiting(on) == (("qualifier", 0),)
    assert waiting(on, back) == ()
    assert waiting(on, back, again, failed) == (("qualifier", 4),)


BOOK = FunctionRecord(26.0, "advisor", "book", {"day": "Monday", "at": 9}, "", ok=False)


def lost_at_work(book: FunctionRecord = BOOK) -> Resumption:
    """Lose the stream while the function that the caller's last turn has asked for is at work, or behind it."""
    functions = (FunctionRecord(24.0, "advisor", "look_up", {}, {"found": True}, ok=True), book)
    return Resumption(attrs.evolve(RECORD, functions=functions, transfers=()))


WRITTEN_ANEW = '{ "at": 9, "day": "Monday" }'


def test_work_that_a_lost_stream_has_broken_off_is_not_begun_again() -> None:
    conversation = lost_at_work().conversation()

    assert conversation.is_broken_off("book", WRITTEN_ANEW, 1)
    assert not conversation.is_broken_off("book", '{"day": "Tuesday", "at": 9}', 1)


def test_work_that_was_done_on_a_lost_stream_is_answered_as_it_was() -> None:
    conversation = lost_at_work(attrs.evolve(BOOK, result={"ok": True}, ok=True)).conversation()

    assert conversation.earlier_answer("book", WRITTEN_ANEW) == '{"ok":true}'
    assert conversation.earlier_answer("look_up", "{}") is None, "it belongs to an earlier turn"
    assert conversation.done == {"look_up", "book"}


@pytest.mark.parametrize(
    "book",
    [attrs.evolve(BOOK, result={"error": "full"}), attrs.evolve(BOOK, agent="qualifier")],
    ids=["that failed", "of another agent"],
)
def test_work_that_may_be_tried_again_is_tried_again(book: FunctionRecord) -> None:
    conversation = lost_at_work(book).conversation()

    assert not conversation.is_broken_off("book", WRITTEN_ANEW, 1)
    assert conversation.earlier_answer("book", WRITTEN_ANEW) is None


@pytest.mark.parametrize(
    ("written", "told", "others"),
    [
        ({"n": 1, "of": "2"}, {"of": "2", "n": 1}, [{"n": "1", "of": "2"}, {"n": 1, "of": 2}, {"n": 1}]),
        ({"call": "[number]", "day": "Monday"}, {"call": "+15550001234", "day": "Monday"}, []),
        ({"of": [{"[card]": "to [digits]"}, 2]}, {"of": [{"4242": "to 4711"}, 2]}, []),
    ],
)
def test_work_is_known_by_what_is_written_down_of_it(
    written: Mapping[str, object], told: object, others: Sequence[object]
) -> None:
    """Where numbers were left out of its arguments, it is known by its name alone: it is not to be done twice."""
    conversation = lost_at_work(attrs.evolve(BOOK, arguments=written)).conversation()

    assert conversation.is_broken_off("book", json.dumps(told), 1)
    assert not conversation.is_broken_off("other", json.dumps(told), 1)
    for other in others:
        assert not conversation.is_broken_off("book", json.dumps(other), 1)


def test_another_turn_may_ask_for_it_again() -> None:
    conversation = lost_at_work().conversation()

    conversation.add_caller("Once more, please.")

    assert not conversation.is_broken_off("book", WRITTEN_ANEW, 1)
