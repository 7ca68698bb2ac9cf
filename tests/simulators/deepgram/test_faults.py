import pytest
import trio
from trio.testing import MockClock
from trio_websocket import ConnectionClosed, ConnectionRejected

from protocol.deepgram import (
    AgentAudioDone,
    EndOfTurn,
    ErrorReported,
    SettingsApplied,
    UserStartedSpeaking,
    encode_client,
)
from simulators.deepgram import DeepgramExchange
from simulators.deepgram.log import Closed, FaultInjected, Refused
from simulators.deepgram.messages import PromptUpdated, UpdatePrompt
from simulators.deepgram.session import GARBAGE, ODD_MESSAGES
from simulators.faults import FaultPlan, parse_faults
from tests.simulators.deepgram.client import GREETING, calling, connected, reply_seconds, settings_for, small_scenario

NO_GREETING = settings_for(greeting=None)
FIRST_LINE = "Sure, I have a few minutes."


@pytest.mark.parametrize("status", [401, 404, 429, 503])
async def test_a_connection_is_refused_with_its_status(status: int, autojump_clock: MockClock) -> None:
    plan = FaultPlan(parse_faults([f"deepgram: refuse connect 2 with {status} times 1"]))
    async with DeepgramExchange(small_scenario(), faults=plan) as exchange:
        async with exchange.connect():
            pass
        with pytest.raises(ConnectionRejected) as refused:
            async with exchange.connect():
                pass
        async with exchange.connect():
            pass

        assert refused.value.status_code == status
        assert [(entry.connection, entry.status) for entry in exchange.log.of(Refused)] == [(2, status)]


async def test_the_tests_own_exception_is_raised_for_a_refusal(autojump_clock: MockClock) -> None:
    class Unavailable(Exception):
        pass

    scenario = small_scenario(faults=["deepgram: refuse connect 1"])
    async with DeepgramExchange(scenario, refuse=Unavailable) as exchange:
        with pytest.raises(Unavailable, match="503"):
            async with exchange.connect():
                pass


async def test_a_drop_comes_when_it_was_announced(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING, faults=["drop after 8 s"]) as client:
        await client.closed.wait()

        assert client.close_code == 1006
        assert trio.current_time() == pytest.approx(8.165)
        assert [entry.code for entry in client.log.of(Closed)] == [1006]


async def test_a_drop_can_come_in_place_of_the_settings(autojump_clock: MockClock) -> None:
    async with connected(faults=["drop"]) as client:
        await client.send(NO_GREETING)
        await client.closed.wait()

        assert client.kinds() == ["Welcome"]


@pytest.mark.parametrize("code", [1000, 1005, 1011])
async def test_the_service_closes_with_a_code(code: int, autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING, faults=[f"close {code} after 2 s"]) as client:
        await client.closed.wait()

        assert client.close_code == code
        assert trio.current_time() == pytest.approx(2.165)


async def test_an_error_ends_the_session(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING, faults=["error SERVER_GOING_AWAY after 2 s"]) as client:
        await client.closed.wait()

        assert [error.code for error in client.all(ErrorReported)] == ["SERVER_GOING_AWAY"]


async def test_an_error_can_come_in_place_of_the_settings(autojump_clock: MockClock) -> None:
    async with connected(faults=["error FAILED_TO_START_LISTENING"]) as client:
        await client.send(NO_GREETING)
        await client.closed.wait()

        assert client.kinds() == ["Welcome", "ErrorReported"]


async def test_garbage_is_a_frame_that_is_not_json(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING, faults=["garbage after 1 s"]) as client:
        client.say(FIRST_LINE)
        await client.wait_for(AgentAudioDone)

        assert client.raw.count(GARBAGE) == 1


async def test_odd_messages_are_json_that_nobody_acts_on_and_the_session_goes_on(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING, faults=["odd messages after 1 s"]) as client:
        client.say(FIRST_LINE)
        await client.wait_for(AgentAudioDone)

        assert [frame for frame in client.raw if frame in ODD_MESSAGES] == list(ODD_MESSAGES)


async def test_garbage_in_place_of_the_settings_leaves_the_client_waiting(autojump_clock: MockClock) -> None:
    async with connected(faults=["garbage"]) as client:
        await client.send(NO_GREETING)
        await trio.sleep(2)
        await client.socket.send_message(bytes(160))
        await trio.sleep(2)

        assert client.raw[-1] == GARBAGE
        assert client.all(SettingsApplied) == []


async def test_a_stalled_service_says_and_reads_nothing_and_stays_open(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING, faults=["stall after 1 s"], streams=False) as client:
        await trio.sleep(2)
        with trio.move_on_after(30) as blocked:
            while True:
                await client.socket.send_message(bytes(160))

        assert blocked.cancelled_caught
        assert not client.closed.is_set()


async def test_a_silently_dropped_line_swallows_everything(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING, faults=["silent drop after 1 s"]) as client:
        await trio.sleep(2)
        client.say(FIRST_LINE)
        await trio.sleep(30)

        assert client.kinds_applied() == []
        assert not client.closed.is_set()


async def test_a_silently_dropped_line_does_not_even_time_out(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING, faults=["silent drop after 1 s"], streams=False) as client:
        await trio.sleep(60)

        assert not client.closed.is_set()


async def test_a_mute_service_hears_and_acknowledges_and_says_nothing(autojump_clock: MockClock) -> None:
    async with calling(faults=["mute"]) as client:
        client.say(FIRST_LINE)
        await client.send(UpdatePrompt("Speak!"))
        await client.wait_for(EndOfTurn)
        await trio.sleep(10)

        assert client.audio == []
        assert client.texts("assistant") == []
        assert client.texts("user") == [FIRST_LINE]
        assert len(client.all(PromptUpdated)) == 1


async def test_a_service_can_fall_mute_in_the_middle_of_a_word(autojump_clock: MockClock) -> None:
    async with calling(faults=["mute after 0.5 s"]) as client:
        await trio.sleep(5)

        assert 0 < sum(len(data) for _, data in client.audio) < reply_seconds(GREETING) * 8000
        assert client.all(AgentAudioDone) == []


async def test_slow_settings_come_late(autojump_clock: MockClock) -> None:
    async with calling(faults=["slow settings 2 s"]) as client:
        assert client.times(SettingsApplied) == [pytest.approx(2.165)]


async def test_slow_speech_begins_late(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING, faults=["slow tts 1 s"]) as client:
        client.say(FIRST_LINE)
        first_audio = await client.wait_audio()

        assert first_audio == pytest.approx(client.times(EndOfTurn)[0] + 1.5)


async def test_a_drip_is_audio_at_half_of_real_time(autojump_clock: MockClock) -> None:
    async with calling(faults=["drip"]) as client:
        await client.wait_for(AgentAudioDone)

        assert client.times(AgentAudioDone) == [pytest.approx(0.265 + 2 * reply_seconds(GREETING))]


async def test_faults_hit_the_connection_they_name_and_are_logged(autojump_clock: MockClock) -> None:
    scenario = small_scenario(faults=["deepgram: close 1011 after 1 s on connection 2"])
    async with DeepgramExchange(scenario) as exchange:
        codes = []
        for _ in range(3):
            async with exchange.connect() as socket:
                await socket.send_message(encode_client(NO_GREETING))
                try:
                    with trio.move_on_after(5):
                        while True:
                            await socket.get_message()
                except ConnectionClosed as closed:
                    codes.append(closed.reason.code if closed.reason else None)

        assert codes == [1011]
        assert [(entry.connection, entry.fault) for entry in exchange.log.of(FaultInjected)] == [(2, "close 1011")]


async def test_user_speech_is_noticed_by_a_mute_service(autojump_clock: MockClock) -> None:
    async with calling(faults=["mute"]) as client:
        client.say(FIRST_LINE)
        await client.wait_for(UserStartedSpeaking)

        assert client.kinds_applied() == ["UserStartedSpeaking"]
