import orjson
import pytest
import trio
from trio.testing import MockClock

from protocol.audio import silence
from protocol.deepgram import (
    AgentAudioDone,
    CompletedCall,
    ConversationText,
    EndOfTurn,
    FunctionCall,
    FunctionCallCancelled,
    FunctionCallRequest,
    FunctionCallResponse,
    FunctionDefinition,
    HistoryCalls,
    InjectUserMessage,
    LatencyReport,
    UserStartedSpeaking,
)
from protocol.deepgram.settings import FunctionEndpoint
from simulators.deepgram import DeepgramKnobs
from simulators.deepgram.log import CallSkipped, ResponseIgnored
from tests.simulators.deepgram.client import FUNCTIONS, Client, calling, line, settings_for

NO_GREETING = settings_for(greeting=None)
YES = "Yes please."
FIVE = "I would give it a five."


async def test_a_function_is_called_when_the_model_has_thought(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        client.say(YES)
        request = await client.wait_for(FunctionCallRequest)

        (call,) = request.functions
        assert (call.name, call.arguments, call.client_side) == ("handoff_to_next_agent", '{"reason":"agreed"}', True)
        assert client.times(FunctionCallRequest)[0] == pytest.approx(client.times(EndOfTurn)[0] + 0.4)
        assert LatencyReport(ttt_text_latency=None, ttt_token_latency=None) not in client.all(LatencyReport)
        assert client.all(LatencyReport)[-1].ttt_tool_latency == pytest.approx(0.4)


async def test_ids_look_like_the_models_own_and_differ(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        client.say(FIVE)
        request = await client.wait_for(FunctionCallRequest)

        ids = [call.id for call in request.functions]
        assert len(set(ids)) == 2
        assert all(call_id.startswith("call_") and len(call_id) == 29 for call_id in ids)


async def test_text_is_handed_to_speech_before_the_calls_of_the_same_turn(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        client.say(FIVE)
        await client.wait_for(FunctionCallRequest)

        assert client.audio == []
        assert await client.wait_audio() == pytest.approx(client.times(FunctionCallRequest)[0] + 0.1)


async def test_all_calls_of_a_turn_are_one_request(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        client.say(FIVE)
        request = await client.wait_for(FunctionCallRequest)

        assert [call.name for call in request.functions] == ["record_satisfaction", "look_up"]


async def test_an_answer_is_echoed_and_becomes_history(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        client.say(YES)
        (call,) = (await client.wait_for(FunctionCallRequest)).functions
        history = await client.wait_for(HistoryCalls)

        done = CompletedCall(call.id, call.name, True, call.arguments, '{"ok":true}')
        assert client.all(FunctionCallResponse) == [FunctionCallResponse(call.id, call.name, '{"ok":true}')]
        assert history == HistoryCalls((done,))


async def test_the_echo_can_be_silenced(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING, knobs=DeepgramKnobs(echoes_function_responses=False)) as client:
        client.say(YES)
        await client.wait_for(HistoryCalls)

        assert client.all(FunctionCallResponse) == []


async def test_the_agent_goes_on_when_all_functions_have_answered(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        client.answer = lambda _: None
        client.say(FIVE)
        first, second = (await client.wait_for(FunctionCallRequest)).functions
        await trio.sleep(3)
        await client.send(FunctionCallResponse(first.id, first.name, "done"))
        await trio.sleep(3)
        said_after_one = client.texts("assistant")
        answered = trio.current_time()
        await client.send(FunctionCallResponse(second.id, second.name, "done"))
        await client.wait_for(AgentAudioDone, 2)

        assert said_after_one == ["Thank you for the five."]
        assert client.texts("assistant") == ["Thank you for the five.", "Goodbye."]
        assert client.times(ConversationText)[-1] == pytest.approx(answered + 0.5)


async def test_calls_can_be_chained(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        client.say(FIVE)
        await client.wait_for(FunctionCallRequest, 2)

        names = [[call.name for call in request.functions] for request in client.all(FunctionCallRequest)]
        assert names == [["record_satisfaction", "look_up"], ["end_conversation"]]


async def test_an_error_answer_takes_the_other_path(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        client.answer = lambda _: '{"error":"nobody is free"}'
        client.say(YES)
        await client.wait_for(AgentAudioDone)

        assert client.texts("assistant") == ["I am sorry, nobody is free."]


async def test_an_error_answer_without_another_path_gets_an_apology(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        client.answer = lambda call: '{"error":"no"}' if call.name == "look_up" else "7"
        client.say(FIVE)
        await client.wait_for(AgentAudioDone, 2)

        assert client.texts("assistant") == ["Thank you for the five.", "Sorry, that did not work."]


async def test_an_error_in_a_chained_call_gets_an_apology_too(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        client.answer = lambda call: '{"error":"no"}' if call.name == "end_conversation" else "7"
        client.say(FIVE)
        await client.wait_for(AgentAudioDone, 3)

        assert client.texts("assistant")[-2:] == ["Goodbye.", "Sorry, that did not work."]


async def test_late_repeated_and_unknown_answers_are_ignored(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        client.say(YES)
        (call,) = (await client.wait_for(FunctionCallRequest)).functions
        await client.wait_for(HistoryCalls)
        await client.send(FunctionCallResponse(call.id, call.name, "again"))
        await client.send(FunctionCallResponse("call_unknown", "nope", "what"))
        await trio.sleep(1)

        assert [entry.id for entry in client.log.of(ResponseIgnored)] == [call.id, "call_unknown"]
        assert len(client.all(HistoryCalls)) == 1


async def test_a_function_that_was_not_declared_is_not_called(autojump_clock: MockClock) -> None:
    declared = [function for function in FUNCTIONS if function.name != "look_up"]
    async with calling(settings_for(greeting=None, functions=declared)) as client:
        client.say(FIVE)
        request = await client.wait_for(FunctionCallRequest)

        assert [call.name for call in request.functions] == ["record_satisfaction"]
        assert [entry.name for entry in client.log.of(CallSkipped)] == ["look_up"]


async def test_a_turn_whose_functions_are_all_undeclared_goes_on_without_them(autojump_clock: MockClock) -> None:
    async with calling(settings_for(greeting=None, functions=())) as client:
        client.say(FIVE)
        await client.wait_for(AgentAudioDone, 2)

        assert client.all(FunctionCallRequest) == []
        assert client.texts("assistant") == ["Thank you for the five.", "Goodbye."]


async def test_a_function_with_an_endpoint_is_answered_by_the_service(autojump_clock: MockClock) -> None:
    crm = FunctionDefinition(
        "look_up", "Look up.", {"type": "object"}, endpoint=FunctionEndpoint("https://crm.example/look")
    )
    functions = [*(function for function in FUNCTIONS if function.name != "look_up"), crm]
    async with calling(settings_for(greeting=None, functions=functions)) as client:
        client.say(FIVE)
        await client.wait_for(AgentAudioDone, 2)

        sides = {call.name: call.client_side for call in client.all(FunctionCallRequest)[0].functions}
        assert sides == {"record_satisfaction": True, "look_up": False}
        assert [answer.name for answer in client.all(FunctionCallResponse)][:2] == ["record_satisfaction", "look_up"]
        assert client.texts("assistant")[-1] == "Goodbye."


async def test_speech_makes_open_calls_void(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        client.answer = lambda _: None
        client.say(FIVE)
        asked = (await client.wait_for(FunctionCallRequest)).functions
        await trio.sleep(2)
        client.say("Tell me more about it.")
        cancelled = await client.wait_for(FunctionCallCancelled)
        await client.send(FunctionCallResponse(asked[0].id, asked[0].name, "late"))
        await client.wait_for(AgentAudioDone, 2)

        assert [call.id for call in cancelled.functions] == [call.id for call in asked]
        assert client.times(FunctionCallCancelled) == client.times(UserStartedSpeaking)[1:]
        assert client.all(HistoryCalls) == []
        assert "Goodbye." not in client.texts("assistant")


async def test_deferred_calls_survive_speech_and_the_next_turn_waits_for_them(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        client.answer = lambda _: None
        client.say(YES)
        (call,) = (await client.wait_for(FunctionCallRequest)).functions
        client.say("My name is John Smith.")
        await client.wait_for(EndOfTurn, 2)
        await trio.sleep(3)
        said_before_the_answer = client.texts("assistant")
        await client.send(FunctionCallResponse(call.id, call.name, '{"error":"nobody"}'))
        await client.wait_for(AgentAudioDone, 2)

        assert said_before_the_answer == []
        assert client.all(FunctionCallCancelled) == []
        assert client.texts("assistant") == ["I am sorry, nobody is free.", "Nice to meet you."]


async def test_calls_need_not_become_void(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING, knobs=DeepgramKnobs(barge_in_cancels_calls=False)) as client:
        client.answer = lambda _: None
        client.say(FIVE)
        await client.wait_for(FunctionCallRequest)
        client.say("Tell me more about it.")
        await client.wait_for(EndOfTurn, 2)

        assert client.all(FunctionCallCancelled) == []


async def test_calls_of_deferred_functions_may_become_void_too(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING, knobs=DeepgramKnobs(cancels_deferred_calls=True)) as client:
        client.answer = lambda _: None
        client.say(YES)
        (call,) = (await client.wait_for(FunctionCallRequest)).functions
        client.say("Tell me more about it.")
        (cancelled,) = (await client.wait_for(FunctionCallCancelled)).functions

        assert (cancelled.id, call.name) == (call.id, "handoff_to_next_agent")
        assert client.times(UserStartedSpeaking)[-1] == client.times(FunctionCallCancelled)[0]


async def test_a_cancellation_may_come_late_and_spares_what_was_answered_in_between(autojump_clock: MockClock) -> None:
    knobs = DeepgramKnobs(cancels_deferred_calls=True, cancel_after=2.0)
    async with calling(NO_GREETING, knobs=knobs) as client:
        client.answer = lambda _: None
        client.say(FIVE)
        rated, looked_up = (await client.wait_for(FunctionCallRequest)).functions
        client.say("Tell me more about it.")
        await client.wait_for(UserStartedSpeaking, 2)
        await client.send(FunctionCallResponse(rated.id, rated.name, "{}"))
        (cancelled,) = (await client.wait_for(FunctionCallCancelled)).functions

        assert cancelled.id == looked_up.id
        assert client.times(FunctionCallCancelled)[0] - client.times(UserStartedSpeaking)[1] == pytest.approx(2.0)


@pytest.mark.parametrize("said", [FIVE, YES])
async def test_a_call_that_stays_open_can_be_cancelled_by_a_fault(said: str, autojump_clock: MockClock) -> None:
    """`cancel call 1 s`: once, as if the caller had begun to speak; what is answered sooner is left alone."""
    async with calling(NO_GREETING, faults=["cancel call 1 s"]) as client:
        client.answer = lambda _: None
        client.say(said)
        asked = (await client.wait_for(FunctionCallRequest)).functions
        cancelled = (await client.wait_for(FunctionCallCancelled)).functions
        answered = len(client.texts("assistant"))
        client.say("Tell me more about it.")
        await trio.sleep(10.0)

        assert {call.id for call in cancelled} == {call.id for call in asked}
        assert len(client.texts("assistant")) > answered
        assert client.times(FunctionCallCancelled) == [pytest.approx(client.times(FunctionCallRequest)[0] + 1.0)]
        assert client.times(FunctionCallCancelled)[0] in client.times(UserStartedSpeaking)


async def test_a_call_that_is_answered_in_time_is_spared_by_the_fault(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING, faults=["cancel call 1 s"]) as client:
        client.say(FIVE)
        await client.wait_for(FunctionCallRequest, 2)
        await trio.sleep(5.0)

        assert client.all(FunctionCallCancelled) == []


class TestSpeculation:
    """Thinking starts after 100 ms of silence, and the turn is confirmed after 600."""

    KNOBS = DeepgramKnobs(speculative_pause=0.1, end_of_turn=0.6, think=0.2)

    @staticmethod
    async def say(client: Client, text: str, frames_of_silence: int) -> None:
        await client.socket.send_message(line(text).audio)
        for _ in range(frames_of_silence):
            await client.socket.send_message(silence(1))
            await trio.sleep(0.02)

    async def test_calls_come_before_the_words_that_caused_them(self, autojump_clock: MockClock) -> None:
        async with calling(NO_GREETING, knobs=self.KNOBS, streams=False) as client:
            await self.say(client, FIVE, 50)
            await client.wait_for(AgentAudioDone, 2)

            assert client.kinds_applied()[:2] == ["UserStartedSpeaking", "FunctionCallRequest"]
            assert client.times(FunctionCallRequest)[0] < client.times(EndOfTurn)[0]
            assert client.texts("user") == [FIVE]
            assert client.texts("assistant") == ["Thank you for the five.", "Goodbye."]

    async def test_speech_is_held_back_until_the_turn_is_confirmed(self, autojump_clock: MockClock) -> None:
        async with calling(NO_GREETING, knobs=self.KNOBS, streams=False) as client:
            await self.say(client, FIVE, 50)
            await client.wait_for(AgentAudioDone, 2)

            assert client.audio[0][0] >= client.times(EndOfTurn)[0]

    async def test_deferred_functions_wait_for_the_end_of_the_turn(self, autojump_clock: MockClock) -> None:
        async with calling(NO_GREETING, knobs=self.KNOBS, streams=False) as client:
            await self.say(client, YES, 50)
            await client.wait_for(FunctionCallRequest)

            assert client.times(FunctionCallRequest)[0] >= client.times(EndOfTurn)[0]

    async def test_a_resumed_turn_makes_early_calls_void_and_is_one_turn(self, autojump_clock: MockClock) -> None:
        async with calling(NO_GREETING, knobs=self.KNOBS, streams=False) as client:
            client.answer = lambda _: None
            await self.say(client, FIVE, 25)
            asked = (await client.wait_for(FunctionCallRequest)).functions
            await self.say(client, "Tell me more about it.", 50)
            await client.wait_for(FunctionCallRequest, 2)

            (cancelled,) = client.all(FunctionCallCancelled)
            assert [call.id for call in cancelled.functions] == [call.id for call in asked]
            assert len(client.all(UserStartedSpeaking)) == 2
            assert client.texts("user") == [f"{FIVE} Tell me more about it."]


async def test_arguments_are_json_text(autojump_clock: MockClock) -> None:
    calls: list[FunctionCall] = []
    async with calling(NO_GREETING) as client:
        client.answer = lambda call: calls.append(call) or "{}"  # type: ignore[func-returns-value]  # a short way to keep it
        await client.send(InjectUserMessage("five"))
        await client.wait_for(FunctionCallRequest, 2)

        assert [orjson.loads(call.arguments) for call in calls] == [{"rating": 5}, {}, {"reason": "task_complete"}]
