import pytest
import trio
from trio.testing import MockClock

from protocol.deepgram import AgentAudioDone, FunctionCallRequest, HistoryText
from simulators.deepgram import DeepgramKnobs
from simulators.deepgram.log import TurnAnswered
from tests.simulators.deepgram.client import calling, settings_for

FIRST_LINE = "Sure, I have a few minutes."
ANSWERED = (HistoryText("user", FIRST_LINE), HistoryText("assistant", "Great, thank you very much."))
UNANSWERED = (*ANSWERED, HistoryText("user", "yes please"))


async def test_a_session_without_a_greeting_is_silent_until_spoken_to(autojump_clock: MockClock) -> None:
    async with calling(settings_for(greeting=None, context=ANSWERED)) as client:
        await trio.sleep(5)
        silent_so_far = client.kinds_applied() == []
        client.say("My name is John Smith.")
        await client.wait_for(AgentAudioDone)

        assert silent_so_far
        assert client.texts("assistant") == ["Nice to meet you."]


async def test_a_replayed_conversation_goes_on_where_it_was(autojump_clock: MockClock) -> None:
    async with calling(settings_for(greeting=None, context=ANSWERED)) as client:
        client.say("Tell me more about it.")
        await client.wait_for(AgentAudioDone)

        assert [entry.turn for entry in client.log.of(TurnAnswered)] == [1]


async def test_the_users_unanswered_words_are_answered_at_once(autojump_clock: MockClock) -> None:
    async with calling(settings_for(greeting=None, context=UNANSWERED)) as client:
        await client.wait_for(FunctionCallRequest)

        assert client.times(FunctionCallRequest) == [pytest.approx(0.165 + 0.4)]
        assert client.texts("user") == []


async def test_replayed_words_may_stay_unanswered(autojump_clock: MockClock) -> None:
    knobs = DeepgramKnobs(answers_replayed_user=False)
    async with calling(settings_for(greeting=None, context=UNANSWERED), knobs=knobs) as client:
        await trio.sleep(5)

        assert client.kinds_applied() == []


async def test_a_greeting_goes_before_unanswered_words(autojump_clock: MockClock) -> None:
    async with calling(settings_for(greeting="Hello again.", context=UNANSWERED)) as client:
        await trio.sleep(5)

        assert client.texts("assistant") == ["Hello again."]
        assert client.all(FunctionCallRequest) == []
