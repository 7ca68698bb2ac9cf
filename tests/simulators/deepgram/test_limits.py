from functools import partial

import attrs
import pytest
import trio
from trio.testing import MockClock
from trio_websocket import ConnectionClosed

from protocol.deepgram import (
    AgentAudioDone,
    AgentSettings,
    EndOfTurn,
    ErrorReported,
    InjectUserMessage,
    KeepAlive,
    LatencyReport,
    ServiceWarning,
    SettingsApplied,
    decode_server,
)
from protocol.deepgram.settings import Speak, SpeakProvider, Think, ThinkProvider
from simulators.deepgram import DeepgramKnobs, converse
from simulators.memory import MemoryWebSocket, memory_websocket_pair
from tests.simulators.deepgram.client import calling, connected, settings_for, small_scenario

NO_GREETING = settings_for(greeting=None)


@pytest.mark.parametrize("seconds", [8.0, 10.0, 60.0])
async def test_a_silent_client_is_cut_off_after_the_time_that_a_source_tells(
    seconds: float, autojump_clock: MockClock
) -> None:
    knobs = DeepgramKnobs(idle_timeout=seconds)
    async with calling(NO_GREETING, knobs=knobs, streams=False) as client:
        await client.closed.wait()

        (error,) = client.all(ErrorReported)
        assert error.code == "CLIENT_MESSAGE_TIMEOUT"
        assert "user speech" in error.description
        assert trio.current_time() == pytest.approx(seconds + 0.005)
        assert client.close_code == 1000


async def test_a_client_that_never_configures_is_cut_off_too(autojump_clock: MockClock) -> None:
    async with connected() as client:
        await client.closed.wait()

        (error,) = client.all(ErrorReported)
        assert error.code == "CLIENT_MESSAGE_TIMEOUT"
        assert "'Settings' message" in error.description


async def test_keep_alive_holds_the_timeout_off(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING, streams=False) as client:
        for _ in range(5):
            await trio.sleep(8)
            await client.send(KeepAlive())

        assert client.all(ErrorReported) == []


async def test_keep_alive_may_not_be_enough(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING, knobs=DeepgramKnobs(keep_alive_counts=False), streams=False) as client:
        await trio.sleep(8)
        await client.send(KeepAlive())
        await client.closed.wait()

        assert trio.current_time() == pytest.approx(10.005)


async def test_a_text_only_session_never_times_out(autojump_clock: MockClock) -> None:
    assert isinstance(NO_GREETING.agent, AgentSettings)
    text_only = attrs.evolve(NO_GREETING, agent=attrs.evolve(NO_GREETING.agent, listen=None))
    async with calling(text_only, streams=False) as client:
        await trio.sleep(600)
        await client.send(InjectUserMessage("my name is john smith"))
        await client.wait_for(AgentAudioDone)

        assert client.all(ErrorReported) == []
        assert client.texts("assistant") == ["Nice to meet you."]


async def test_the_services_own_slowness_is_no_idleness(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING, faults=["slow settings 30 s"], streams=False) as client:
        assert trio.current_time() == pytest.approx(30.165)
        assert client.all(ErrorReported) == []


@pytest.mark.slow
async def test_a_session_is_warned_and_ended_by_its_length(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING, knobs=DeepgramKnobs(session_warning=115, session_limit=120)) as client:
        await client.closed.wait()

        assert [warning.code for warning in client.all(ServiceWarning)] == ["MAXIMUM_SESSION_LENGTH_APPROACHING"]
        assert client.times(ServiceWarning) == [pytest.approx(115)]
        assert [error.code for error in client.all(ErrorReported)] == ["MAXIMUM_SESSION_LENGTH_REACHED"]
        assert client.times(ErrorReported) == [pytest.approx(120)]


async def test_a_slow_model_is_complained_about_every_five_seconds(autojump_clock: MockClock) -> None:
    async with calling(NO_GREETING, faults=["slow think 12 s"]) as client:
        client.say("Sure, I have a few minutes.")
        await client.wait_for(AgentAudioDone)

        ended = client.times(EndOfTurn)[0]
        assert client.times(ServiceWarning) == [pytest.approx(ended + 5), pytest.approx(ended + 10)]
        assert [warning.description for warning in client.all(ServiceWarning)] == [
            "We have now waited 5 seconds for a think response.",
            "We have now waited 10 seconds for a think response.",
        ]
        assert client.times(LatencyReport)[0] == pytest.approx(ended + 12.4)


@pytest.mark.parametrize(
    ("knobs", "warning", "error"),
    [
        (DeepgramKnobs(think_failures=1), "THINK_REQUEST_FAILED", None),
        (DeepgramKnobs(think_failures=2), "THINK_REQUEST_FAILED", "FAILED_TO_THINK"),
        (DeepgramKnobs(speak_failures=1), "SPEAK_REQUEST_FAILED", None),
        (DeepgramKnobs(speak_failures=2), "SPEAK_REQUEST_FAILED", "FAILED_TO_SPEAK"),
    ],
)
async def test_failing_providers_are_warnings_until_the_last_one(
    knobs: DeepgramKnobs, warning: str, error: str | None, autojump_clock: MockClock
) -> None:
    assert isinstance(NO_GREETING.agent, AgentSettings)
    thinks = (*NO_GREETING.agent.think, Think(ThinkProvider("open_ai", "gpt-4.1")))
    speaks = (*NO_GREETING.agent.speak, Speak(SpeakProvider("deepgram", "aura-2-luna-en")))
    fallbacks = attrs.evolve(NO_GREETING, agent=attrs.evolve(NO_GREETING.agent, think=thinks, speak=speaks))
    async with calling(fallbacks, knobs=knobs) as client:
        client.say("Sure, I have a few minutes.")
        if error is None:
            await client.wait_for(AgentAudioDone)
        else:
            await client.closed.wait()

        failures = max(knobs.think_failures, knobs.speak_failures)
        assert [report.code for report in client.all(ServiceWarning)] == [warning] * failures
        assert [report.code for report in client.all(ErrorReported)] == ([error] if error else [])


@pytest.mark.parametrize("code", [1000, 1005, 1006, 1011])
async def test_the_close_code_after_an_error_is_a_knob(code: int, autojump_clock: MockClock) -> None:
    async with connected(knobs=DeepgramKnobs(close_code=code)) as client:
        await client.socket.send_message("nonsense")
        await client.closed.wait()

        assert client.close_code == code
        assert client.all(SettingsApplied) == []


@pytest.mark.parametrize(("length", "warnings"), [(25_000, []), (25_001, ["PROMPT_TOO_LONG"])])
async def test_a_prompt_that_is_too_long_is_a_warning(
    length: int, warnings: list[str], autojump_clock: MockClock
) -> None:
    assert isinstance(NO_GREETING.agent, AgentSettings)
    think = Think(ThinkProvider("open_ai", "gpt-4o-mini"), "x" * length)
    async with calling(attrs.evolve(NO_GREETING, agent=attrs.evolve(NO_GREETING.agent, think=(think,)))) as client:
        await trio.sleep(1)

        assert [report.code for report in client.all(ServiceWarning)] == warnings


@attrs.frozen
class BusySocket:
    """A socket whose close frame has to wait until there is room for it."""

    inner: MemoryWebSocket

    async def get_message(self) -> str | bytes:
        return await self.inner.get_message()

    async def send_message(self, message: str | bytes) -> None:
        await self.inner.send_message(message)

    async def aclose(self, code: int = 1000, reason: str | None = None) -> None:
        await trio.sleep(0.5)
        await self.inner.aclose(code, reason)


async def test_what_is_due_after_an_error_does_not_keep_its_close_frame_back(autojump_clock: MockClock) -> None:
    client, server = memory_websocket_pair()
    async with trio.open_nursery() as nursery:
        knobs = DeepgramKnobs(close_code=1011, welcome=0.1)
        nursery.start_soon(partial(converse, BusySocket(server), small_scenario(), knobs=knobs))
        await client.send_message("{}")
        said = [decode_server(await client.get_message())]
        with pytest.raises(ConnectionClosed) as closed:
            await client.get_message()

    assert [type(message) for message in said] == [ErrorReported]
    assert closed.value.reason is not None
    assert closed.value.reason.code == 1011
