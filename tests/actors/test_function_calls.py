"""A call never ends because a function failed: whatever goes wrong becomes words for the model."""

from typing import NoReturn

import attrs
import orjson
import pytest
import trio
from trio.testing import MockClock

from actors.record.conversation import Conversation
from actors.session.function_calls import Failed, FunctionResult, answer_text, error_text, lacks_consent, run_function
from agents.functions import (
    END_CONVERSATION,
    MAYBE_DONE,
    RECORD_SATISFACTION,
    SCHEDULE_FOLLOWUP,
    Answer,
    CallContext,
    EndCall,
    FunctionSpec,
    HandOff,
    Outcome,
    TransferToHuman,
    handoff_to_next_agent,
)
from agents.spec import AgentSpec
from protocol.deepgram import FunctionCall

CONTEXT = CallContext("CA1", "qualifier", {"name": "John"})


@attrs.frozen
class Seconds:
    """For how long a lookup goes on."""

    seconds: int


async def look_up(arguments: Seconds, context: CallContext) -> Outcome:
    await trio.sleep(arguments.seconds)
    return Answer({"found": True}, facts={"asked_by": context.facts["name"]})


async def break_down(arguments: Seconds, context: CallContext) -> NoReturn:
    await trio.lowlevel.checkpoint()
    raise ConnectionError("line to the archive is down")


async def forget(arguments: Seconds, context: CallContext) -> Outcome:
    await trio.lowlevel.checkpoint()
    return {"found": True}  # type: ignore[return-value]  # what an author may write by mistake


async def say_goodbye(arguments: Seconds, context: CallContext) -> Outcome:
    await trio.lowlevel.checkpoint()
    return EndCall("task_complete")


AGENT = AgentSpec(
    "qualifier",
    "qualifies",
    "You qualify.",
    "Hello.",
    "aura-2-mars-en",
    (
        FunctionSpec("look_up", "Looks up.", Seconds, look_up, deadline=5.0),
        FunctionSpec("break_down", "Breaks down.", Seconds, break_down),
        FunctionSpec("forget", "Returns what is no outcome.", Seconds, forget),
        FunctionSpec("say_goodbye", "Ends.", Seconds, say_goodbye, ends_call=True),
        handoff_to_next_agent("advisor"),
    ),
)


def call(name: str, arguments: str = '{"seconds": 1}') -> FunctionCall:
    return FunctionCall("fc1", name, arguments, client_side=True)


async def test_a_function_gives_what_its_handler_returns(autojump_clock: MockClock) -> None:
    result = await run_function(AGENT, call("look_up"), CONTEXT)

    assert result == Answer({"found": True}, facts={"asked_by": "John"})
    assert trio.current_time() == 1.0


async def test_a_handoff_and_the_end_are_left_to_the_session(autojump_clock: MockClock) -> None:
    wanted = call("handoff_to_next_agent", '{"reason": "agreed"}')

    assert await run_function(AGENT, wanted, CONTEXT) == HandOff("advisor", "agreed")
    assert await run_function(AGENT, call("say_goodbye"), CONTEXT) == EndCall("task_complete")


async def test_a_function_that_does_not_exist_is_answered_with_those_that_do(autojump_clock: MockClock) -> None:
    result = await run_function(AGENT, call("order_pizza"), CONTEXT)

    assert isinstance(result, Failed)
    assert "'order_pizza'" in result.error
    assert "look_up, break_down, forget, say_goodbye, handoff_to_next_agent" in result.error


@pytest.mark.parametrize("arguments", ["", "five", "[]", "{}", '{"seconds": "many"}'])
async def test_arguments_that_do_not_fit_are_refused_in_words(autojump_clock: MockClock, arguments: str) -> None:
    result = await run_function(AGENT, call("look_up", arguments), CONTEXT)

    assert isinstance(result, Failed)
    assert result.error
    assert orjson.loads(result.text())["error"]
    assert trio.current_time() == 0.0


@pytest.mark.parametrize("extra", ['"minutes": 2', '"": null, "Seconds": {"a": [1]}', '"reason": "because"'])
async def test_keys_that_are_no_arguments_are_left_out_and_noted(autojump_clock: MockClock, extra: str) -> None:
    noted: list[str] = []
    result = await run_function(AGENT, call("look_up", f'{{"seconds": 1, {extra}}}'), CONTEXT, noted.extend)

    assert isinstance(result, Answer)
    assert [problem for problem in noted if "is not an argument" in problem]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ('{"reason": "goodbye"}', "goodbye"),
        ('{"reason": "CUSTOMER said bye", "mood": "good"}', "CUSTOMER said bye"),
        ('{"reason": ["done", 1]}', '["done",1]'),
        ('{"reason": 7}', "7"),
        ('{"why": "task_complete"}', ""),
        ("", ""),
        ("null", ""),
        ("task_complete", "task_complete"),
        ('"all done"', "all done"),
        ("{broken", "{broken"),
    ],
)
async def test_the_call_is_ended_whatever_the_reason_and_its_words_are_kept(
    autojump_clock: MockClock, arguments: str, reason: str
) -> None:
    noted: list[str] = []
    agent = attrs.evolve(AGENT, functions=(END_CONVERSATION,))
    result = await run_function(agent, call("end_conversation", arguments), CONTEXT, noted.extend)

    assert result == EndCall(reason)
    assert noted


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('{"reason": "agreed", "urgency": "high"}', HandOff("advisor", "agreed")),
        ('{"reason": "agreed", "notes": {"name": "Ada"}}', HandOff("advisor", "agreed", '{"name":"Ada"}')),
        ('{"notes": "wants it"}', HandOff("advisor", "", "wants it")),
        ("to the advisor", HandOff("advisor", "to the advisor")),
        (f'{{"reason": "{"x" * 1500}"}}', HandOff("advisor", "x" * 1000)),
    ],
)
async def test_the_call_is_handed_on_whatever_the_reason_and_its_words_are_kept(
    autojump_clock: MockClock, arguments: str, expected: HandOff
) -> None:
    assert await run_function(AGENT, call("handoff_to_next_agent", arguments), CONTEXT) == expected


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("schedule_followup", '{"preferred_timeframe": "Friday", "confirmed": true}'),
        ("schedule_followup", '{"preferred_timeframe": ["Friday"]}'),
        ("record_satisfaction", '{"rating": 5, "scale": 10}'),
        ("record_satisfaction", '{"rating": 9}'),
    ],
)
async def test_what_cannot_be_taken_back_is_read_strictly(autojump_clock: MockClock, name: str, arguments: str) -> None:
    agent = attrs.evolve(AGENT, functions=(SCHEDULE_FOLLOWUP, RECORD_SATISFACTION))

    assert isinstance(await run_function(agent, call(name, arguments), CONTEXT), Failed)


def conversation(*, handed_on: bool = False, turns: int = 0, machine: bool = False) -> Conversation:
    talk = Conversation(is_with_machine=machine)
    if handed_on:
        talk.add_caller("Yes, put me through.")
        talk.hand_on()
    for _ in range(turns):
        talk.add_caller("Hello.")
    return talk


PARTINGS = (HandOff("advisor", "agreed"), EndCall("task_complete"), TransferToHuman("asked for it"))


@pytest.mark.parametrize("result", PARTINGS, ids=lambda result: type(result).__name__)
def test_nobody_is_left_or_handed_on_before_they_have_said_a_word(result: FunctionResult) -> None:
    refused = lacks_consent("part", result, conversation())

    assert refused is not None
    assert "wait for their answer" in refused.error
    assert lacks_consent("part", result, conversation(turns=1)) is None


@pytest.mark.parametrize("result", [HandOff("billing", "again"), TransferToHuman("again")])
def test_nobody_is_handed_on_twice_without_a_word_of_theirs(result: FunctionResult) -> None:
    refused = lacks_consent("part", result, conversation(handed_on=True))

    assert refused is not None
    assert "Talk to them first" in refused.error
    assert lacks_consent("part", result, conversation(handed_on=True, turns=1)) is None


def test_a_caller_who_has_spoken_may_be_said_goodbye_to_by_the_next_agent() -> None:
    assert lacks_consent("end", EndCall("task_complete"), conversation(handed_on=True)) is None


def test_a_machine_is_hung_up_on_without_a_word_of_its_own_and_is_handed_to_nobody() -> None:
    talk = conversation(machine=True)

    assert lacks_consent("end", EndCall("task_complete"), talk) is None
    assert lacks_consent("hand_off", HandOff("advisor", "agreed"), talk) is not None


@pytest.mark.parametrize("result", [Answer("x"), Failed("x")])
def test_what_leaves_the_caller_where_they_are_needs_no_word_of_theirs(result: FunctionResult) -> None:
    assert lacks_consent("look_up", result, conversation()) is None


async def test_a_function_that_breaks_tells_the_model_nothing_but_the_journal_why(autojump_clock: MockClock) -> None:
    result = await run_function(AGENT, call("break_down"), CONTEXT)

    assert isinstance(result, Failed)
    assert "archive" not in result.text()
    assert result.cause == "ConnectionError: line to the archive is down"


async def test_a_function_that_returns_no_outcome_is_answered_as_one_that_breaks(autojump_clock: MockClock) -> None:
    result = await run_function(AGENT, call("forget"), CONTEXT)

    assert isinstance(result, Failed)
    assert (
        result.cause
        == "the handler returned dict, which is no Answer, HandOff, EndCall or TransferToHuman: return Answer(…)"
    )


@pytest.mark.parametrize("is_lasting", [False, True])
async def test_a_function_has_until_its_deadline_and_no_longer(is_lasting: bool, autojump_clock: MockClock) -> None:
    slow = attrs.evolve(AGENT.functions[0], defer_until_eot=is_lasting)
    agent = attrs.evolve(AGENT, functions=(slow, *AGENT.functions[1:]))
    result = await run_function(agent, call("look_up", '{"seconds": 60}'), CONTEXT)

    assert isinstance(result, Failed)
    assert result.cause == "deadline"
    assert "5 seconds" in result.error
    assert result.error.endswith(MAYBE_DONE) is is_lasting
    assert trio.current_time() == 5.0


async def test_a_function_call_that_is_cancelled_gives_no_answer(autojump_clock: MockClock) -> None:
    with trio.move_on_after(2.0) as scope:
        await run_function(AGENT, call("look_up", '{"seconds": 3}'), CONTEXT)

    assert scope.cancelled_caught
    assert trio.current_time() == 2.0


@pytest.mark.parametrize("blank", ["", " ", "\n"])
def test_an_answer_without_a_letter_is_json_since_some_models_refuse_an_empty_one(blank: str) -> None:
    assert orjson.loads(Answer(blank).text()) == blank


def test_answers_and_errors_are_written_as_json_text() -> None:
    assert answer_text({"ok": True, "next": "Grüße"}) == '{"ok":true,"next":"Grüße"}'
    assert orjson.loads(error_text('say "no"')) == {"error": 'say "no"'}
