import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock

from protocol.audio import silence
from protocol.deepgram import AgentAudioDone, ConversationText, EndOfTurn, HistoryText, UserStartedSpeaking
from simulators.deepgram import DeepgramKnobs
from tests.simulators.deepgram.client import Client, calling, line, settings_for

FIRST_LINE = "Sure, I have a few minutes."
SECOND_LINE = "My name is John Smith."
NO_GREETING = settings_for(greeting=None)


async def interrupt_first_reply(client: Client, *, after_frames: int = 10) -> float:
    """Ask, wait for so many frames of the reply, speak, and return when the service noticed."""
    client.say(FIRST_LINE)
    await client.wait_audio(after_frames)
    client.say(SECOND_LINE)
    await client.wait_for(UserStartedSpeaking, 2)
    await trio.lowlevel.checkpoint()
    return client.times(UserStartedSpeaking)[1]


async def test_speech_during_a_reply_cuts_it_off(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        noticed = await interrupt_first_reply(client)
        await client.wait_for(EndOfTurn, 2)

        assert [at for at, _ in client.audio if at > noticed] == []
        assert client.texts("assistant") == ["Great, thank you very much."]


async def test_the_interrupted_reply_is_done_at_once(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        noticed = await interrupt_first_reply(client)
        await client.wait_for(AgentAudioDone)

        assert client.times(AgentAudioDone) == [noticed]


async def test_the_interrupted_reply_may_never_be_done(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING, knobs=DeepgramKnobs(barge_in_audio_done=False)) as client:
        await interrupt_first_reply(client)
        await client.wait_for(EndOfTurn, 2)

        assert client.all(AgentAudioDone) == []


@pytest.mark.parametrize("late_frames", [1, 5])
async def test_late_frames_of_the_cancelled_reply_still_arrive(late_frames: int, autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING, knobs=DeepgramKnobs(late_frames=late_frames)) as client:
        noticed = await interrupt_first_reply(client)
        before = [data for at, data in client.audio if at < noticed]
        await client.wait_for(EndOfTurn, 2)

        started = client.kinds().index("UserStartedSpeaking", 3)
        assert client.kinds()[started + 1] == "AgentAudioDone"
        assert late_frames <= len(client.audio) - len(before) <= late_frames + 1


async def test_a_late_sentence_of_the_cancelled_reply_still_arrives(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING, knobs=DeepgramKnobs(late_sentence=True)) as client:
        noticed = await interrupt_first_reply(client)
        await client.wait_for(EndOfTurn, 2)

        late = [message for at, message in client.messages if at == noticed][-2:]
        assert late == [
            ConversationText("assistant", "May I have your name?"),
            HistoryText("assistant", "May I have your name?"),
        ]


async def test_the_next_turn_is_answered_after_a_barge_in(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        await interrupt_first_reply(client)
        await client.wait_for(AgentAudioDone, 2)

        assert client.texts("assistant")[-1] == "Nice to meet you."


async def test_the_greeting_can_be_interrupted(autojump_clock: MockClock) -> None:
    async with calling() as client:
        await client.wait_audio(5)
        client.say(FIRST_LINE)
        await client.wait_for(EndOfTurn)

        assert client.kinds_applied()[:4] == [
            "ConversationText",
            "HistoryText",
            "UserStartedSpeaking",
            "AgentAudioDone",
        ]


async def test_speech_while_nothing_is_said_starts_a_turn_all_the_same(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        client.say(FIRST_LINE)
        await client.wait_for(UserStartedSpeaking)

        assert client.kinds_applied() == ["UserStartedSpeaking"]


async def test_a_turn_resumed_before_any_answer_is_answered_as_one(autojump_clock: MockClock) -> None:
    first, rest = (line("My name is John Smith.").audio[cut] for cut in (slice(0, 4800), slice(4800, None)))
    async with calling(NO_GREETING, knobs=DeepgramKnobs(end_of_turn=0.1), streams=False) as client:
        await client.socket.send_message(first + silence(10))
        await client.wait_for(EndOfTurn)
        await client.socket.send_message(rest + silence(50))
        await client.wait_for(AgentAudioDone)

        assert len(client.texts("user")) == 2
        assert client.texts("assistant") == ["Nice to meet you."]


async def test_queued_speech_is_dropped_with_the_reply(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        await interrupt_first_reply(client)
        await client.wait_for(EndOfTurn, 2)
        await trio.sleep(5)

        assert client.texts("assistant") == ["Great, thank you very much.", "Nice to meet you."]
