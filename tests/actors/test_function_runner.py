"""Which function calls of the model are run, how often, and with whose consent: one session alone."""

import orjson
import pytest
import trio
from trio.testing import MockClock

from actors.facts import ArgumentsForgiven, FunctionAnswered, FunctionCalled, FunctionWithdrawn, HandoffAsked
from actors.policy import CallPolicy, Numbers
from actors.session.function_calls import completed
from actors.supervision import Crashed
from actors.turn.effects import EndConversation
from protocol.deepgram import (
    AgentAudioDone,
    CancelledCall,
    FunctionCall,
    FunctionCallCancelled,
    FunctionCallRequest,
    FunctionCallResponse,
    UserStartedSpeaking,
)
from tests.actors.fakes import END, HAND_OFF, FarEnd, calls, heard, says, words
from tests.actors.test_agent_session import Scene, answer, on_the_floor


def count(word: str, id: str = "") -> FunctionCall:  # noqa: A002 -- the name on the wire
    return FunctionCall(id, "count", orjson.dumps({"word": word}).decode(), client_side=True)


def look_up(id: str = "") -> FunctionCall:  # noqa: A002 -- the name on the wire
    return FunctionCall(id, "look_up", "{}", client_side=True)


async def answers(far: FarEnd, many: int) -> list[FunctionCallResponse]:
    return [await far.hear(FunctionCallResponse) for _ in range(many)]


# Whose call is it


@pytest.mark.parametrize("shared", ["", "call_1"])
@pytest.mark.parametrize("second", [count("four"), look_up(), count("no")], ids=lambda call: call.arguments)
async def test_two_calls_of_one_request_are_both_run_and_answered_whatever_their_ids(
    shared: str, second: FunctionCall, autojump_clock: MockClock
) -> None:
    first = count("no", shared)
    async with on_the_floor() as scene:
        await scene.far.say(
            FunctionCallRequest((first, FunctionCall(shared, second.name, second.arguments, client_side=True)))
        )
        responses = await answers(scene.far, 2)

        assert [response.id for response in responses] == [shared, shared]
        assert sorted(response.name for response in responses) == sorted([first.name, second.name])
        assert [fact.number for fact in scene.watched.facts(FunctionCalled)] == [1, 2]
        assert sorted(fact.number for fact in scene.watched.facts(FunctionAnswered)) == [1, 2]


@pytest.mark.parametrize("shared", ["", "call_1"])
async def test_an_id_that_is_used_again_is_another_call(shared: str, autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.say(FunctionCallRequest((count("no", shared),)))
        await trio.sleep(0.5)
        await scene.far.say(FunctionCallRequest((count("four", shared),)))
        under_way = await answers(scene.far, 2)
        await scene.far.say(FunctionCallRequest((count("seven", shared),)))
        later = await answers(scene.far, 1)

        letters = [orjson.loads(response.content)["letters"] for response in (*under_way, *later)]
        assert letters == [2, 4, 5]


async def test_a_request_for_very_many_functions_is_not_compared_with_itself(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared, is_equal = list[object](), FunctionCall.__eq__

    def compare(one: FunctionCall, other: object) -> bool:
        compared.append(other)
        return is_equal(one, other)

    many = tuple(look_up(f"call_{number}") for number in range(60))
    async with on_the_floor() as scene:
        monkeypatch.setattr(FunctionCall, "__eq__", compare)
        await scene.far.say(FunctionCallRequest(many))
        assert {response.id for response in await answers(scene.far, 60)} == {call.id for call in many}
        assert len(compared) < 60


ODD = '{"word": "no", "loud": true}'


@pytest.mark.parametrize("again", [ODD, '{ "loud":true, "word":"no" }'], ids=["the same", "written anew"])
@pytest.mark.parametrize("requests", ["a then b", "a and b"])
async def test_what_is_asked_for_while_it_is_done_is_done_once_and_answered_twice(
    requests: str, again: str, autojump_clock: MockClock
) -> None:
    a, b = (FunctionCall(name, "count", text, client_side=True) for name, text in (("a", ODD), ("b", again)))
    async with on_the_floor() as scene:
        if requests == "a and b":
            await scene.far.say(FunctionCallRequest((a, b)))
        else:
            await scene.far.say(FunctionCallRequest((a,)))
            await trio.sleep(0.5)
            await scene.far.say(FunctionCallRequest((b,)))
        responses = await answers(scene.far, 2)

        assert [(response.id, response.content) for response in responses] == [
            ("a", '{"letters":2}'),
            ("b", '{"letters":2}'),
        ]
        assert trio.current_time() == pytest.approx(1)
        assert len(scene.watched.facts(ArgumentsForgiven)) == 1


async def test_a_handoff_that_an_earlier_session_was_refused_in_this_turn_is_not_tried_again(
    autojump_clock: MockClock,
) -> None:
    async with on_the_floor() as scene:
        scene.watched.state.conversation.add_caller("Yes, please.")
        scene.watched.state.conversation.add_function(completed(HAND_OFF.functions[0], "Nobody is there."), {})
        await scene.far.say(HAND_OFF)

        assert [response.content for response in await answers(scene.far, 1)] == ["Nobody is there."]
        assert scene.watched.facts(HandoffAsked) == []


@pytest.mark.parametrize("many", [2, 3, 4])
async def test_what_is_asked_for_several_times_is_done_once_more_when_the_first_of_them_is_withdrawn(
    many: int, autojump_clock: MockClock
) -> None:
    same = tuple(FunctionCall(name, "count", ODD, client_side=True) for name in "abcd"[:many])
    async with on_the_floor() as scene:
        await scene.far.say(FunctionCallRequest(same))
        await trio.sleep(0.5)
        await scene.far.say(FunctionCallCancelled((CancelledCall("a", "count"),)))
        responses = await answers(scene.far, many - 1)

        assert sorted(response.id for response in responses) == [call.id for call in same[1:]]
        assert len(scene.watched.facts(ArgumentsForgiven)) == 2


async def test_what_is_withdrawn_without_an_id_is_known_by_its_name(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.say(FunctionCallRequest((count("no"), look_up())))
        await trio.sleep(0.5)
        await scene.far.say(FunctionCallCancelled((CancelledCall("", "count"),)))
        response = await scene.far.hear(FunctionCallResponse)

        assert response.name == "look_up"
        assert [fact.name for fact in scene.watched.facts(FunctionWithdrawn)] == ["count"]


# How many


async def loop(scene: Scene, most: int) -> list[FunctionCallResponse]:
    """Call one function after the other, as a model does that never speaks."""
    responses: list[FunctionCallResponse] = []
    for number in range(most):
        await scene.far.say(FunctionCallRequest((count("x" * (number + 1), f"call_{number}"),)))
        with trio.move_on_after(3):
            responses.append(await scene.far.hear(FunctionCallResponse))
    return responses


@pytest.mark.parametrize("limit", [8, 3])
async def test_a_model_that_only_calls_functions_is_told_to_speak_and_then_restarted(
    limit: int, autojump_clock: MockClock
) -> None:
    async with on_the_floor(CallPolicy(numbers=Numbers(functions_per_turn=limit))) as scene:
        await scene.far.take_turn("Look it up.")
        responses = await loop(scene, limit + 1)
        await scene.far.say(FunctionCallRequest((count("once more"),)))
        outcome = await scene.ended()

        assert ["letters" in answer(response) for response in responses] == [True] * limit + [False]
        assert "say to the customer what you know" in str(answer(responses[-1])["error"])
        assert isinstance(outcome, Crashed)
        assert outcome.is_retryable
        assert outcome.is_slip
        assert f"called {limit + 2} functions in one turn" in outcome.reason


async def test_a_turn_of_the_caller_gives_the_model_its_functions_back(autojump_clock: MockClock) -> None:
    async with on_the_floor(CallPolicy(numbers=Numbers(functions_per_turn=2))) as scene:
        for _ in range(4):
            await scene.far.take_turn("Look it up.")
            responses = await loop(scene, 2)

            assert ["letters" in answer(response) for response in responses] == [True, True]


async def test_a_model_that_was_told_to_speak_and_does_goes_on(autojump_clock: MockClock) -> None:
    async with on_the_floor(CallPolicy(numbers=Numbers(functions_per_turn=2))) as scene:
        await scene.far.take_turn("Look it up.")
        await loop(scene, 3)
        await scene.far.greet("I have not found it.")
        await trio.sleep(2)

        assert scene.replies == ["I have not found it."]
        assert not scene.over.is_set()


async def test_a_restarted_session_has_no_more_functions_than_the_turn_had_left(autojump_clock: MockClock) -> None:
    async with on_the_floor(CallPolicy(numbers=Numbers(functions_per_turn=8))) as scene:
        scene.watched.state.conversation.functions_in_turn = 8
        await scene.far.say(FunctionCallRequest((count("x"),)))
        response = await scene.far.hear(FunctionCallResponse)

        assert "error" in answer(response)


async def test_one_large_request_is_answered_whole_before_the_model_is_restarted(autojump_clock: MockClock) -> None:
    request = FunctionCallRequest(tuple(count("x" * number, f"call_{number}") for number in range(1, 13)))
    async with on_the_floor(CallPolicy(numbers=Numbers(functions_per_turn=8))) as scene:
        await scene.far.say(request)
        responses = await answers(scene.far, 12)

        assert sum("letters" in answer(response) for response in responses) == 8
        assert not scene.over.is_set()


async def test_a_goodbye_is_never_one_function_too_many(autojump_clock: MockClock) -> None:
    async with on_the_floor(CallPolicy(numbers=Numbers(functions_per_turn=1))) as scene:
        await scene.far.take_turn("That was all.")
        await loop(scene, 2)
        await scene.far.say(words(1), says("Goodbye."), AgentAudioDone(), END)

        assert await scene.concluded() == EndConversation("completed", "task_complete", heard=True)


# With whose consent


@pytest.mark.parametrize("asked", [HAND_OFF, END], ids=["handoff", "end"])
async def test_nothing_is_done_before_the_caller_has_said_a_word_and_the_model_is_told(
    asked: FunctionCallRequest, autojump_clock: MockClock
) -> None:
    async with on_the_floor() as scene:
        scene.watched.state.conversation.caller_turns = 0
        await scene.far.greet("Hello there.")
        await scene.far.say(asked)
        response = await scene.far.hear(FunctionCallResponse)

        assert "the customer has not said anything yet" in str(answer(response)["error"])
        assert scene.watched.facts(HandoffAsked) == []
        assert [fact.ok for fact in scene.watched.facts(FunctionAnswered)] == [False]
        assert not scene.over.is_set()


async def test_a_function_that_comes_before_the_callers_words_waits_for_them(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        scene.watched.state.conversation.caller_turns = 0
        await scene.far.say(UserStartedSpeaking(), HAND_OFF)
        await trio.sleep(1)
        await scene.far.say(heard("Yes, put me through."))
        asked = await scene.asked_handoff()

        assert asked.wanted.to == "second"


async def test_a_noise_that_is_never_transcribed_is_no_consent(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        scene.watched.state.conversation.caller_turns = 0
        await scene.far.say(UserStartedSpeaking(), HAND_OFF)
        response = await scene.far.hear(FunctionCallResponse)

        assert "has not said anything yet" in str(answer(response)["error"])
        assert trio.current_time() == pytest.approx(scene.watched.state.turn.turn.policy.deadlines.false_start)


async def test_what_was_odd_about_a_reason_is_in_the_journal(autojump_clock: MockClock) -> None:
    odd = calls("end_conversation", arguments='{"reason": "goodbye", "mood": "good"}')
    async with on_the_floor() as scene:
        await scene.far.say(words(1), says("Goodbye."), AgentAudioDone(), odd)

        assert await scene.concluded() == EndConversation("completed", "goodbye", heard=True)
        (forgiven,) = scene.watched.facts(ArgumentsForgiven)
        assert [problem.split("`")[1] for problem in forgiven.problems] == ["mood", "reason"]
