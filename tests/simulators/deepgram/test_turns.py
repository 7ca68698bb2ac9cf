import re

import attrs
import pytest
import trio
from trio.testing import MockClock

from protocol.deepgram import (
    AgentAudioDone,
    AgentThinking,
    ConversationText,
    EndOfTurn,
    Flags,
    HistoryText,
    LatencyReport,
    SettingsApplied,
    UserStartedSpeaking,
    Welcome,
)
from simulators.deepgram import DeepgramKnobs
from simulators.deepgram.messages import AgentStartedSpeaking
from tests.simulators.deepgram.client import GREETING, calling, connected, line, reply_seconds, settings_for

FIRST_LINE = "Sure, I have a few minutes."
FIRST_REPLY = ("Great, thank you very much.", "May I have your name?")
NO_GREETING = settings_for(greeting=None)


async def test_a_session_opens_at_the_pace_of_the_hosted_service(autojump_clock: MockClock) -> None:
    async with calling() as client:
        first_audio = await client.wait_audio()

        assert client.times(Welcome) == [pytest.approx(0.005)]
        assert client.times(SettingsApplied) == [pytest.approx(0.165)]
        assert first_audio == pytest.approx(0.265)


async def test_a_greeting_is_text_and_history_after_its_first_frame_and_done_at_twice_real_time(
    autojump_clock: MockClock,
) -> None:
    async with calling() as client:
        await client.wait_for(AgentAudioDone)

        assert client.kinds_applied() == ["ConversationText", "HistoryText", "AgentAudioDone"]
        assert client.all(ConversationText) == [ConversationText("assistant", GREETING)]
        assert client.times(AgentAudioDone) == [pytest.approx(0.265 + reply_seconds(GREETING) / 2)]
        assert {len(data) for _, data in client.audio} == {160}
        assert sum(len(data) for _, data in client.audio) == round(reply_seconds(GREETING) * 8000)


async def test_a_turn_is_heard_thought_about_and_answered_in_the_documented_order(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        client.say(FIRST_LINE)
        await client.wait_for(AgentAudioDone)

        assert client.kinds_applied() == [
            "UserStartedSpeaking",
            "ConversationText",
            "HistoryText",
            "EndOfTurn",
            "LatencyReport",
            "LatencyReport",
            "ConversationText",
            "HistoryText",
            "LatencyReport",
            "LatencyReport",
            "ConversationText",
            "HistoryText",
            "AgentAudioDone",
        ]
        assert client.texts("user") == [FIRST_LINE]
        assert client.texts("assistant") == list(FIRST_REPLY)


async def test_the_delays_of_a_turn_add_up(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        began = trio.current_time()
        client.say(FIRST_LINE)
        first_audio = await client.wait_audio()

        (turn_ended,) = client.times(EndOfTurn)
        assert client.times(UserStartedSpeaking)[0] == pytest.approx(began, abs=0.08)
        assert turn_ended == pytest.approx(began + line(FIRST_LINE).seconds + 0.3, abs=0.08)
        assert client.times(LatencyReport)[0] == pytest.approx(turn_ended + 0.4)
        assert first_audio == pytest.approx(turn_ended + 0.5)


async def test_a_sentence_is_told_when_its_own_audio_begins(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        client.say(FIRST_LINE)
        await client.wait_for(AgentAudioDone)

        first, second = (
            at for at, text in client.messages if text in [ConversationText("assistant", s) for s in FIRST_REPLY]
        )
        assert second - first == pytest.approx(reply_seconds(FIRST_REPLY[0]) / 2)


async def test_latency_reports_have_one_key_each(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING) as client:
        client.say(FIRST_LINE)
        await client.wait_for(AgentAudioDone)

        reports = [
            attrs.asdict(report, filter=lambda _, value: value is not None) for report in client.all(LatencyReport)
        ]
        assert reports == [
            {"ttt_token_latency": pytest.approx(0.4)},
            {"ttt_text_latency": pytest.approx(0.4)},
            {"tts_latency": pytest.approx(0.1)},
            {"total_latency": pytest.approx(0.5)},
        ]


async def test_latency_reports_can_be_silenced(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING, knobs=DeepgramKnobs(sends_latency_reports=False)) as client:
        client.say(FIRST_LINE)
        await client.wait_for(AgentAudioDone)

        assert client.all(LatencyReport) == []


async def test_the_recogniser_reports_its_latency_for_as_long_as_audio_flows(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING, knobs=DeepgramKnobs(stt_reports_per_second=5)) as client:
        await trio.sleep(10)

        assert len(client.all(LatencyReport)) == pytest.approx(50, abs=1)


async def test_no_turn_ends_while_no_silence_is_sent(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING, streams=False) as client:
        await client.socket.send_message(line(FIRST_LINE).audio)
        await trio.sleep(5)

        assert client.kinds_applied() == ["UserStartedSpeaking"]


async def test_audio_faster_than_real_time_is_heard_like_live_speech(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING, streams=False) as client:
        sent = trio.current_time()
        await client.socket.send_message(line(FIRST_LINE).audio + bytes([0xFF]) * 4000)
        await client.wait_for(EndOfTurn)

        assert client.times(EndOfTurn) == [sent]
        assert client.texts("user") == [FIRST_LINE]


async def test_words_that_never_arrived_are_not_in_the_transcript(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING, streams=False) as client:
        minutes = line(FIRST_LINE).words[-1]
        await client.socket.send_message(line(FIRST_LINE).audio[: minutes.start_byte] + bytes([0xFF]) * 4000)
        await client.wait_for(EndOfTurn)

        assert client.texts("user") == ["Sure, I have a few"]


async def test_noise_interrupts_and_is_no_turn(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING, streams=False) as client:
        await client.socket.send_message(bytes(range(127)) * 20 + bytes([0xFF]) * 8000)
        await trio.sleep(3)

        assert client.kinds_applied() == ["UserStartedSpeaking"]


async def test_nova_sends_no_end_of_turn(autojump_clock: MockClock) -> None:
    async with calling(settings_for(greeting=None, listen_model="nova-3")) as client:
        client.say(FIRST_LINE)
        await client.wait_for(AgentAudioDone)

        assert client.all(EndOfTurn) == []


async def test_end_of_turn_can_be_silenced(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING, knobs=DeepgramKnobs(sends_end_of_turn=False)) as client:
        client.say(FIRST_LINE)
        await client.wait_for(AgentAudioDone)

        assert client.all(EndOfTurn) == []


async def test_thinking_is_told_when_asked_for(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING, knobs=DeepgramKnobs(sends_agent_thinking=True)) as client:
        client.say(FIRST_LINE)
        await client.wait_for(AgentAudioDone)

        assert len(client.all(AgentThinking)) == 1


async def test_agent_started_speaking_comes_in_experimental_sessions_only(autojump_clock: MockClock) -> None:
    async with calling(attrs.evolve(NO_GREETING, experimental=True)) as client:
        client.say(FIRST_LINE)
        await client.wait_for(AgentAudioDone)

        (started,) = client.all(AgentStartedSpeaking)
        assert started.total_latency == pytest.approx(0.5)


async def test_history_can_be_switched_off(autojump_clock: MockClock) -> None:
    async with calling(attrs.evolve(NO_GREETING, flags=Flags(history=False))) as client:
        client.say(FIRST_LINE)
        await client.wait_for(AgentAudioDone)

        assert client.all(HistoryText) == []
        assert len(client.all(ConversationText)) == 3


async def test_text_may_come_before_its_first_frame(autojump_clock: MockClock) -> None:
    knobs = DeepgramKnobs(text_first=True)
    async with calling(knobs=knobs) as client:
        await client.wait_for(ConversationText)

        assert client.audio == []


async def test_either_order_of_text_and_audio_follows_the_seed(autojump_clock: MockClock) -> None:
    orders = set()
    for seed in range(8):
        async with calling(knobs=DeepgramKnobs(text_first=None, seed=seed)) as client:
            await client.wait_for(ConversationText)
            orders.add(bool(client.audio))

    assert orders == {True, False}


async def test_audio_can_come_in_larger_slices_at_another_speed(autojump_clock: MockClock) -> None:
    async with calling(knobs=DeepgramKnobs(slice_ms=100, speed=4.0)) as client:
        await client.wait_for(AgentAudioDone)

        assert {len(data) for _, data in client.audio[:-1]} == {800}
        assert client.times(AgentAudioDone) == [pytest.approx(0.265 + reply_seconds(GREETING) / 4)]


async def test_unknown_messages_and_fields_come_by_the_seed(autojump_clock: MockClock) -> None:
    async def play(seed: int) -> list[str]:
        knobs = DeepgramKnobs(unknown_messages=0.5, extra_fields=0.5, seed=seed)
        async with calling(NO_GREETING, knobs=knobs) as client:
            client.say(FIRST_LINE)
            await client.wait_for(AgentAudioDone)
        return [re.sub(r"[0-9.]{4,}|[-0-9a-f]{36}", "", frame) for frame in client.raw]

    once, twice, otherwise = await play(1), await play(1), await play(2)

    assert once == twice != otherwise
    assert any("x_" in frame for frame in once)
    assert any("simulator" in frame for frame in once)


async def test_settings_sent_before_the_welcome_are_taken(autojump_clock: MockClock) -> None:
    async with connected() as client:
        await client.send(NO_GREETING)
        await client.wait_for(SettingsApplied)

        assert client.kinds() == ["Welcome", "SettingsApplied"]


async def test_audio_sent_before_settings_applied_is_heard_afterwards(autojump_clock: MockClock) -> None:
    async with connected() as client:
        await client.send(NO_GREETING)
        await client.socket.send_message(line(FIRST_LINE).audio + bytes([0xFF]) * 4000)
        await client.wait_for(EndOfTurn)

        assert client.kinds()[:3] == ["Welcome", "SettingsApplied", "UserStartedSpeaking"]
        assert client.texts("user") == [FIRST_LINE]
