import pytest
import trio
from trio.testing import MockClock

from protocol.deepgram import (
    AgentAudioDone,
    ConversationText,
    CustomToThinkProvider,
    EndOfTurn,
    FunctionCallRequest,
    InjectUserMessage,
    KeepAlive,
    ListenUpdated,
    PromptUpdated,
    SpeakUpdated,
    ThinkLiveUpdated,
    ThinkUpdated,
    UpdateListen,
    UpdatePrompt,
    UpdateSpeak,
    UpdateThink,
    UpdateThinkLive,
    UserStartedSpeaking,
)
from protocol.deepgram.settings import Think, ThinkLive, ThinkLiveProvider, ThinkProvider, listen_with, speak_with
from simulators.speech import synthesise
from tests.simulators.deepgram.client import calling, settings_for

NO_GREETING = settings_for(greeting=None)
FIRST_LINE = "Sure, I have a few minutes."
OPEN_AI = ThinkProvider("open_ai", "gpt-4o-mini")
LISTEN = UpdateListen(listen_with("flux-general-en"))


@pytest.mark.parametrize(
    ("update", "ack"),
    [
        (UpdatePrompt("Be brief."), PromptUpdated),
        (UpdateThink(Think(OPEN_AI)), ThinkUpdated),
        (UpdateSpeak(speak_with("aura-2-thalia-en")), SpeakUpdated),
        (UpdateThinkLive(ThinkLive(ThinkLiveProvider("deepgram", "v1"))), ThinkLiveUpdated),
    ],
)
async def test_an_update_is_acknowledged_in_the_services_own_time(
    update: UpdatePrompt | UpdateThink | UpdateSpeak | UpdateThinkLive,
    ack: type[PromptUpdated | ThinkUpdated | SpeakUpdated | ThinkLiveUpdated],
    autojump_clock: MockClock,
) -> None:
    async with calling(NO_GREETING) as client:
        sent = trio.current_time()
        await client.send(update)
        await client.wait_for(ack)

        assert client.times(ack) == [pytest.approx(sent + 0.22)]


async def test_a_new_voice_speaks_from_the_next_sentence_on(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        await client.send(UpdateSpeak(speak_with("aura-2-thalia-en")))
        await client.send(InjectUserMessage("My name is John Smith"))
        await client.wait_for(AgentAudioDone)

        said = b"".join(data for _, data in client.audio)
        assert said == synthesise("Nice to meet you.", "aura-2-thalia-en").audio


async def test_a_new_prompt_of_another_agent_changes_the_brain(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        await client.send(UpdateThink(Think(OPEN_AI, "You are the advisor.")))
        client.say(FIRST_LINE)
        await client.wait_for(AgentAudioDone)

        assert client.texts("assistant") == ["I am the advisor."]


async def test_a_new_prompt_of_nobody_keeps_the_brain_and_its_memory(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        await client.send(UpdateThink(Think(OPEN_AI, "Nobody.")))
        client.say(FIRST_LINE)
        await client.wait_for(AgentAudioDone)

        assert client.texts("assistant")[0] == "Great, thank you very much."


async def test_new_functions_replace_the_old_ones(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        await client.send(UpdateThink(Think(OPEN_AI)))
        await client.send(InjectUserMessage("yes please"))
        await trio.sleep(2)

        assert client.all(FunctionCallRequest) == []


async def test_the_recognisers_update_is_acknowledged_when_idle(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        sent = trio.current_time()
        await client.send(LISTEN)
        await client.wait_for(ListenUpdated)

        assert client.times(ListenUpdated) == [pytest.approx(sent + 0.25)]


async def test_two_updates_of_the_recogniser_share_one_acknowledgement(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        await client.send(LISTEN)
        await client.send(LISTEN)
        await trio.sleep(2)

        assert len(client.all(ListenUpdated)) == 1


async def test_the_recognisers_acknowledgement_waits_for_the_end_of_speech(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        client.say(FIRST_LINE)
        await client.wait_for(UserStartedSpeaking)
        await client.send(LISTEN)
        await client.wait_for(ListenUpdated)

        assert client.times(ListenUpdated) == client.times(ConversationText)[:1]


async def test_changing_to_nova_ends_the_ends_of_turns(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        await client.send(UpdateListen(listen_with("nova-3")))
        client.say(FIRST_LINE)
        await client.wait_for(AgentAudioDone)

        assert client.all(EndOfTurn) == []


@pytest.mark.parametrize("message", [KeepAlive(), CustomToThinkProvider({"a": 1})])
async def test_some_messages_get_no_answer(
    message: KeepAlive | CustomToThinkProvider, autojump_clock: MockClock
) -> None:
    async with calling(NO_GREETING) as client:
        await client.send(message)
        await trio.sleep(3)

        assert client.kinds_applied() == []
