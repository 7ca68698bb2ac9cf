import pytest
import trio
from trio.testing import MockClock

from protocol.deepgram import (
    AgentAudioDone,
    ConversationText,
    EndOfTurn,
    ErrorReported,
    ForceEndTurn,
    FunctionCallRequest,
    FunctionCallResponse,
    HistoryText,
    InjectAgentMessage,
    InjectUserMessage,
    KeepAlive,
    SpeakUpdated,
    ThinkUpdated,
    UpdateSpeak,
    UpdateThink,
    UserStartedSpeaking,
)
from protocol.deepgram.settings import Think, ThinkProvider, listen_with, speak_with
from simulators.deepgram import DeepgramKnobs
from simulators.deepgram.brain import DEFAULT_FALLBACK
from simulators.deepgram.log import Closed, FaultInjected, ResponseIgnored
from simulators.deepgram.messages import ListenUpdated, PromptUpdated, UpdateListen, UpdatePrompt
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
        (UpdateThink((Think(OPEN_AI),)), ThinkUpdated),
        (UpdateSpeak((speak_with("aura-2-thalia-en"),)), SpeakUpdated),
    ],
)
async def test_an_update_is_acknowledged_in_the_services_own_time(
    update: UpdatePrompt | UpdateThink | UpdateSpeak,
    ack: type[PromptUpdated | ThinkUpdated | SpeakUpdated],
    autojump_clock: MockClock,
) -> None:
    async with calling(NO_GREETING) as client:
        sent = trio.current_time()
        await client.send(update)
        await client.wait_for(ack)

        assert client.times(ack) == [pytest.approx(sent + 0.22)]


async def test_a_new_voice_speaks_from_the_next_sentence_on(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        await client.send(UpdateSpeak((speak_with("aura-2-thalia-en"),)))
        await client.send(InjectUserMessage("My name is John Smith"))
        await client.wait_for(AgentAudioDone)

        said = b"".join(data for _, data in client.audio)
        assert said == synthesise("Nice to meet you.", "aura-2-thalia-en").audio


async def test_a_new_prompt_of_another_agent_changes_the_brain(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        await client.send(UpdateThink((Think(OPEN_AI, "You are the advisor."),)))
        client.say(FIRST_LINE)
        await client.wait_for(AgentAudioDone)

        assert client.texts("assistant") == ["I am the advisor."]


async def test_a_new_prompt_of_nobody_keeps_the_brain_and_its_memory(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        await client.send(UpdateThink((Think(OPEN_AI, "Nobody."),)))
        client.say(FIRST_LINE)
        await client.wait_for(AgentAudioDone)

        assert client.texts("assistant")[0] == "Great, thank you very much."


async def test_new_functions_replace_the_old_ones(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        await client.send(UpdateThink((Think(OPEN_AI),)))
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


# A change of agents, in the middle of a function call

ADVISOR = UpdateThink((Think(OPEN_AI, "You are the advisor."),))
ASKED = InjectUserMessage("yes please")
WELCOME = InjectAgentMessage("I am the advisor, hello.", "interrupt")


@pytest.mark.parametrize("keeps_history", [True, False])
async def test_another_agent_takes_over_while_a_function_is_open(
    keeps_history: bool, autojump_clock: MockClock
) -> None:
    knobs = DeepgramKnobs(think_keeps_history=keeps_history)
    async with calling(NO_GREETING, knobs=knobs) as client:
        client.answer = lambda _: None
        await client.send(ASKED)
        request = await client.wait_for(FunctionCallRequest)
        for update, ack in ((ADVISOR, ThinkUpdated), (UpdateSpeak((speak_with("aura-2-thalia-en"),)), SpeakUpdated)):
            await client.send(update)
            await client.wait_for(ack)
        call = request.functions[0]
        await client.send(FunctionCallResponse(call.id, call.name, '{"handed_off_to":"advisor"}'))
        await client.send(WELCOME)
        await client.wait_for(AgentAudioDone)
        client.say(FIRST_LINE)
        await client.wait_for(AgentAudioDone, 2)

        said = b"".join(data for _, data in client.audio)
        texts = [WELCOME.message, "I am the advisor."]
        assert client.texts("assistant") == texts
        assert said == b"".join(synthesise(text, "aura-2-thalia-en").audio for text in texts)
        assert len(client.log.of(ResponseIgnored)) == (0 if keeps_history else 1)


async def test_an_agent_that_took_over_answers_the_function_unless_it_is_told_what_to_say(
    autojump_clock: MockClock,
) -> None:
    async with calling(NO_GREETING) as client:
        client.answer = lambda _: None
        await client.send(ASKED)
        call = (await client.wait_for(FunctionCallRequest)).functions[0]
        await client.send(ADVISOR)
        await client.send(FunctionCallResponse(call.id, call.name, '{"handed_off_to":"advisor"}'))
        await client.wait_for(AgentAudioDone)

        assert client.texts("assistant") == [DEFAULT_FALLBACK]


# Faults


async def test_an_update_that_is_never_acknowledged_is_done_all_the_same(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING, faults=["no ack think"]) as client:
        await client.send(ADVISOR)
        client.say(FIRST_LINE)
        await client.wait_for(AgentAudioDone)

        assert client.texts("assistant") == ["I am the advisor."]
        assert client.all(ThinkUpdated) == []


@pytest.mark.parametrize(
    ("fault", "update", "ack", "after"),
    [
        ("slow ack think 2 s", ADVISOR, ThinkUpdated, 2.22),
        ("slow ack prompt 2 s", UpdatePrompt("Be brief."), PromptUpdated, 2.22),
        ("slow ack listen 2 s", LISTEN, ListenUpdated, 2.25),
    ],
)
async def test_an_update_is_acknowledged_late(
    fault: str,
    update: UpdateThink | UpdatePrompt | UpdateListen,
    ack: type[ThinkUpdated | PromptUpdated | ListenUpdated],
    after: float,
    autojump_clock: MockClock,
) -> None:
    async with calling(NO_GREETING, faults=[fault]) as client:
        sent = trio.current_time()
        await client.send(update)
        await client.wait_for(ack)

        assert client.times(ack) == [pytest.approx(sent + after)]


@pytest.mark.parametrize(
    ("fault", "errors", "code"),
    [("refuse update speak", ["INVALID_SETTINGS"], 1000), ("drop at update speak", [], 1006)],
)
async def test_an_update_ends_the_session(fault: str, errors: list[str], code: int, autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING, faults=[fault], streams=False) as client:
        await client.send(ADVISOR)
        await client.wait_for(ThinkUpdated)
        await client.send(UpdateSpeak((speak_with("aura-2-thalia-en"),)))
        await client.closed.wait()

        assert [error.code for error in client.all(ErrorReported)] == errors
        assert [closed.code for closed in client.log.of(Closed)] == [code]
        assert [injected.fault for injected in client.log.of(FaultInjected)] == [fault]


async def test_what_was_said_before_a_forced_end_is_understood_before_what_is_told(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        client.say(FIRST_LINE)
        await client.wait_said()
        await client.send(ForceEndTurn())
        await client.send(InjectUserMessage("The caller pressed 4."))
        await client.wait_for(HistoryText, 2)

        assert client.texts("user") == [FIRST_LINE, "The caller pressed 4."]


async def test_an_older_deployment_does_not_know_that_a_turn_can_be_ended(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING, knobs=DeepgramKnobs(takes_force_end_turn=False), streams=False) as client:
        await client.send(ForceEndTurn())
        await client.closed.wait()

        assert [error.code for error in client.all(ErrorReported)] == ["UNPARSABLE_CLIENT_MESSAGE"]


async def test_a_sign_of_life_gets_no_answer(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        await client.send(KeepAlive())
        await trio.sleep(3)

        assert client.kinds_applied() == []
