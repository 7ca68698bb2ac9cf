import orjson
import pytest

from agents.functions import (
    END_CONVERSATION,
    RECORD_SATISFACTION,
    SCHEDULE_FOLLOWUP,
    Answer,
    ArgumentsRefused,
    CallContext,
    EndCall,
    FunctionSpec,
    HandOff,
    HandoffArguments,
    Outcome,
    handoff_to_next_agent,
    transfer_to_human,
)
from protocol.deepgram import TOO_DEEP, TOO_LONG

CONTEXT = CallContext(call_sid="CA1", agent="closer")


async def outcome(function: FunctionSpec, **sent: object) -> Outcome:
    return await function.handler(function.parse(orjson.dumps(sent).decode()), CONTEXT)


async def test_a_handoff_goes_to_the_agent_it_was_made_for() -> None:
    handed = await outcome(handoff_to_next_agent("advisor"), reason="wants advice", notes="in a hurry")

    assert handed == HandOff(to="advisor", reason="wants advice", notes="in a hurry")
    assert handed.facts == {"handoff_reason": "wants advice", "handoff_notes": "in a hurry"}


async def test_a_handoff_without_notes_leaves_no_empty_fact() -> None:
    handed = await outcome(handoff_to_next_agent("advisor"), reason="wants advice")

    assert handed.facts == {"handoff_reason": "wants advice"}


async def test_ending_the_conversation_ends_the_call_with_its_reason() -> None:
    ended = await outcome(END_CONVERSATION, reason="not_interested")

    assert ended == EndCall(reason="not_interested")
    assert ended.facts == {"end_reason": "not_interested"}


async def test_a_followup_keeps_the_customers_own_words_as_the_next_step() -> None:
    noted = await outcome(SCHEDULE_FOLLOWUP, preferred_timeframe="next Wednesday afternoon", notes="by phone")

    assert isinstance(noted, Answer)
    assert noted.facts == {
        "next_step": "formal consultation, preferred time: next Wednesday afternoon",
        "followup_notes": "by phone",
    }
    assert orjson.loads(noted.text())["confirmed"] is False


async def test_a_rating_is_recorded_with_its_feedback() -> None:
    noted = await outcome(RECORD_SATISFACTION, rating="5", feedback="very clear")

    assert isinstance(noted, Answer)
    assert noted.facts == {"rating": "5 out of 5", "feedback": "very clear"}


def test_a_rating_of_nine_is_refused_before_the_handler_runs() -> None:
    with pytest.raises(ArgumentsRefused, match="from 1 to 5"):
        RECORD_SATISFACTION.parse('{"rating": "nine"}')


@pytest.mark.parametrize(
    ("function", "deferred"),
    [
        (handoff_to_next_agent("advisor"), True),
        (END_CONVERSATION, True),
        (SCHEDULE_FOLLOWUP, True),
        (RECORD_SATISFACTION, False),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_only_what_cannot_be_taken_back_waits_for_the_end_of_the_turn(function: FunctionSpec, deferred: bool) -> None:
    assert function.definition().defer_until_eot is deferred


def test_a_definition_says_what_settings_need() -> None:
    definition = END_CONVERSATION.definition()

    assert definition.name == "end_conversation"
    assert definition.description == END_CONVERSATION.description
    assert definition.parameters["required"] == ["reason"]


def test_a_second_target_has_a_function_of_its_own() -> None:
    function = handoff_to_next_agent("billing", name="handoff_to_billing", when="the customer asks about an invoice")

    assert (function.name, function.leads_to) == ("handoff_to_billing", "billing")
    assert "the customer asks about an invoice" in function.description


def test_a_text_answer_is_sent_as_it_is() -> None:
    assert Answer("done").text() == "done"


def test_an_object_with_an_async_call_is_a_handler() -> None:
    class Counting:
        async def __call__(self, arguments: HandoffArguments, context: CallContext) -> Outcome:
            return Answer("counted")

    assert FunctionSpec("count", "Counts.", HandoffArguments, Counting()).has_handler()


@pytest.mark.parametrize("unread", [TOO_LONG, TOO_DEEP])
@pytest.mark.parametrize("function", [handoff_to_next_agent("advisor"), END_CONVERSATION, transfer_to_human()])
def test_arguments_that_were_not_read_are_no_words_of_the_agents(function: FunctionSpec, unread: str) -> None:
    """The call is handed on, without a reason that nobody gave."""
    made, odd = function.read(unread)

    assert getattr(made, "reason", None) == ""
    assert unread in odd[0]
