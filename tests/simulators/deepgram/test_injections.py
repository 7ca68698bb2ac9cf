import pytest
import trio
from trio.testing import MockClock

from protocol.audio import silence
from protocol.deepgram import (
    AgentAudioDone,
    ConversationText,
    EndOfTurn,
    ForceEndTurn,
    FunctionCallCancelled,
    FunctionCallRequest,
    InjectAgentMessage,
    InjectionRefused,
    InjectUserMessage,
    ServiceWarning,
    UserStartedSpeaking,
)
from simulators.deepgram import DeepgramKnobs
from simulators.speech import synthesise
from tests.simulators.deepgram.client import VOICE, calling, line, settings_for

NO_GREETING = settings_for(greeting=None)
FIRST_LINE = "Sure, I have a few minutes."
INJECTED = "One more second."


async def test_an_injected_user_message_is_a_turn_ended_by_hand(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        await client.send(InjectUserMessage("My name is John Smith"))
        await client.wait_for(AgentAudioDone)

        assert client.kinds_applied()[:4] == ["UserStartedSpeaking", "ConversationText", "HistoryText", "EndOfTurn"]
        assert client.all(EndOfTurn) == [EndOfTurn("manual")]
        assert client.texts("assistant") == ["Nice to meet you."]


async def test_an_injected_user_message_interrupts_the_agent(autojump_clock: MockClock) -> None:
    async with calling() as client:
        await client.wait_audio(5)
        await client.send(InjectUserMessage("My name is John Smith"))
        await client.wait_for(AgentAudioDone, 2)

        assert client.kinds_applied()[2:4] == ["UserStartedSpeaking", "AgentAudioDone"]


async def test_an_injected_agent_message_is_spoken_verbatim_into_silence(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        sent = trio.current_time()
        await client.send(InjectAgentMessage(INJECTED))
        await client.wait_for(AgentAudioDone)

        assert client.kinds_applied() == ["ConversationText", "HistoryText", "AgentAudioDone"]
        assert client.texts("assistant") == [INJECTED]
        assert client.times(ConversationText) == [pytest.approx(sent + 0.1)]
        assert b"".join(data for _, data in client.audio) == synthesise(INJECTED, VOICE).audio


@pytest.mark.parametrize("behavior", ["default", "queue"])
async def test_an_injected_agent_message_is_refused_while_the_user_speaks(
    behavior: str, autojump_clock: MockClock
) -> None:
    async with calling(NO_GREETING) as client:
        client.say(FIRST_LINE)
        await client.wait_for(UserStartedSpeaking)
        await client.send(InjectAgentMessage(INJECTED, "queue" if behavior == "queue" else "default"))
        refused = await client.wait_for(InjectionRefused)

        assert refused == InjectionRefused("Agent is speaking")


async def test_an_injected_agent_message_is_refused_during_the_agents_turn(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        client.say(FIRST_LINE)
        await client.wait_for(EndOfTurn)
        await client.send(InjectAgentMessage(INJECTED))
        await client.wait_for(InjectionRefused)
        await client.wait_for(AgentAudioDone)

        assert INJECTED not in client.texts("assistant")


@pytest.mark.parametrize(("speaker", "code"), [("user", "USER"), ("agent", "AGENT")])
async def test_a_refused_injection_may_be_a_warning_instead(speaker: str, code: str, autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING, knobs=DeepgramKnobs(injection_refusal=None)) as client:
        client.say(FIRST_LINE)
        await client.wait_for(UserStartedSpeaking if speaker == "user" else EndOfTurn)
        await client.send(InjectAgentMessage(INJECTED))
        warning = await client.wait_for(ServiceWarning)

        assert warning.code == f"INJECT_AGENT_MESSAGE_DURING_{code}_SPEECH"


async def test_a_queued_injection_follows_what_is_being_said(autojump_clock: MockClock) -> None:
    async with calling() as client:
        await client.wait_audio(5)
        await client.send(InjectAgentMessage(INJECTED, "queue"))
        await client.wait_for(AgentAudioDone, 2)

        assert client.texts("assistant") == ["Hello, this is Alex.", INJECTED]
        assert client.all(UserStartedSpeaking) == []


async def test_an_interrupting_injection_replaces_what_is_being_said(autojump_clock: MockClock) -> None:
    async with calling() as client:
        await client.wait_audio(5)
        await client.send(InjectAgentMessage(INJECTED, "interrupt"))
        await client.wait_for(AgentAudioDone, 2)

        assert client.kinds_applied() == ["ConversationText", "HistoryText", "AgentAudioDone"] * 1 + [
            "ConversationText",
            "HistoryText",
            "AgentAudioDone",
        ]
        assert len(client.audio) < 60


async def test_an_interrupting_injection_makes_open_calls_void(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        client.answer = lambda _: None
        await client.send(InjectUserMessage("I would give it a five"))
        await client.wait_for(FunctionCallRequest)
        await client.send(InjectAgentMessage(INJECTED, "interrupt"))
        cancelled = await client.wait_for(FunctionCallCancelled)

        assert [call.name for call in cancelled.functions] == ["record_satisfaction", "look_up"]


async def test_a_turn_can_be_ended_by_force(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING, streams=False) as client:
        said = line(FIRST_LINE)
        await client.socket.send_message(said.audio[: said.words[3].start_byte])
        await client.send(ForceEndTurn())
        await client.wait_for(EndOfTurn)

        assert client.texts("user") == ["Sure, I have"]
        assert client.all(EndOfTurn) == [EndOfTurn("manual")]


async def test_what_is_said_after_a_forced_end_is_the_next_turn(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING, streams=False) as client:
        said = line(FIRST_LINE)
        cut = said.words[3].start_byte
        await client.socket.send_message(said.audio[:cut])
        await client.send(ForceEndTurn())
        await client.socket.send_message(said.audio[cut:] + silence(30))
        await client.wait_for(EndOfTurn, 2)

        assert client.texts("user") == ["Sure, I have", "a few minutes."]


async def test_forcing_the_end_of_no_turn_does_nothing(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        await client.send(ForceEndTurn())
        await client.send(ForceEndTurn())
        await trio.sleep(1)

        assert client.kinds_applied() == []


async def test_only_flux_can_be_forced(autojump_clock: MockClock) -> None:
    async with calling(settings_for(greeting=None, listen_model="nova-3")) as client:
        await client.send(ForceEndTurn())
        warning = await client.wait_for(ServiceWarning)

        assert warning.code == "FORCE_END_TURN_UNSUPPORTED"
