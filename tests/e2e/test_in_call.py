"""What happens in calls besides talk, over real sockets: several callers at one server, which is then told to stop.

All calls run side by side, on a clock at several times real time: what is asserted is what was said, in which order,
and how the calls ended, never how long anything took.
"""

import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import cast

import attrs
import httpx
import pytest
import trio
from hypercorn.config import Config
from hypercorn.trio import serve as hypercorn_serve
from hypercorn.typing import Framework
from trio.testing import MockClock

from actors.policy import CallPolicy
from agents.roster import default_roster
from demo.stage import Door, Keys, demo_settings
from demo.warmup import rehearse_speech
from settings import Settings
from simulators.deepgram import ServedAt, SpeakSimulator, serve_deepgram
from simulators.deepgram.knobs import DeepgramKnobs
from simulators.groq import GroqSimulator
from simulators.scenario import Caller, parse_scenario
from simulators.speech import synthesise
from simulators.twilio import TwilioSimulator
from simulators.twilio.calls import SimulatedCall
from simulators.twilio.knobs import TwilioKnobs
from store.files import FileRecords
from store.records import CallRecord
from tests.e2e.test_processes import free_port
from web.serving import serve

RATE = 8.0
POLICY = CallPolicy()
SENTENCES = (POLICY.still_there, POLICY.silent_goodbye, POLICY.length_goodbye, POLICY.closing_sentence)
VOICEMAIL = "This is Alex from Acme. Please call us back."

AGENT = """
[agents.qualifier]
fallback = ["There is more to tell."]
[[agents.qualifier.turn]]
hears = "tell me more please"
says = ["There is more to tell."]
[[agents.qualifier.turn]]
hears = "i have a customer number"
says = ["Please type it in."]
[[agents.qualifier.turn]]
hears = "the caller pressed 4 7 on the keypad"
says = ["Thank you, I have found you."]
[[agents.qualifier.turn]]
hears = "thank you goodbye"
says = ["Goodbye."]
calls = [{ name = "end_conversation", arguments = { reason = "customer_goodbye" } }]
"""


def caller(*lines: str, answers: str = "human") -> Caller:
    """One who interrupts the greeting with the first of these lines, and waits for answers to the others."""
    first, *others = [f"[[caller.line]]\n{line}\n" for line in lines]
    text = f'[caller]\nhangs_up = false\nanswers = "{answers}"\n{first}barge_in = 0.4\n{"".join(others)}'
    return parse_scenario(f"{text}[agents.qualifier]\n").caller


TALKS = 'says = "Tell me more, please."'
CALLERS: Mapping[str, Caller] = {
    "+15550000001": caller(TALKS, "silent = 90.0"),
    "+15550000002": caller('says = "I have a customer number."', 'digits = "47#"', 'says = "Thank you. Goodbye."'),
    "+15550000003": caller(*12 * [TALKS]),
    "+15550000004": caller(
        'says = "You have reached Ada. Please leave a message after the tone."', "silent = 90.0", answers="machine"
    ),
}
SILENT, TYPES, TALKATIVE, MACHINE = CALLERS
EVERYBODY = attrs.evolve(
    parse_scenario(f"[caller]\n{AGENT}"),
    caller=Caller(lines=tuple(line for caller in CALLERS.values() for line in caller.lines)),
)
"""For the service: it recognises what a caller of its scenario may say."""


@attrs.define
class World:
    """One server between the simulators, and the way to its callers."""

    twilio: TwilioSimulator
    operator: httpx.AsyncClient
    folder: Path

    async def call(self, number: str) -> SimulatedCall:
        answer = await self.operator.post("/calls", json={"to": number})
        assert answer.status_code == 201, answer.text
        return self.twilio.calls[answer.json()["call_sid"]]

    async def record(self, call: SimulatedCall) -> CallRecord:
        found = await FileRecords(self.folder).get(call.sid)
        assert found is not None
        return found


@asynccontextmanager
async def world(folder: Path, **changes: object) -> AsyncIterator[World]:
    """Serve until the block is left; by then the server must have been told to stop."""
    speak_door, groq_door, twilio_door = Door(), Door(), Door()
    async with _client() as webhooks, trio.open_nursery() as far:
        keys, port = Keys(), free_port()
        deepgram: ServedAt = await far.start(partial(serve_deepgram, EVERYBODY, knobs=DeepgramKnobs(slice_ms=60)))
        twilio = TwilioSimulator(
            EVERYBODY, webhooks, keys.twilio_account, keys.twilio_token, TwilioKnobs(bundle=4), callers=CALLERS
        )
        await far.start(twilio.run)
        for app, door in ((SpeakSimulator(), speak_door), (GroqSimulator(), groq_door), (twilio, twilio_door)):
            await far.start(_serve, app, door, trio.sleep_forever)
        origin = f"http://127.0.0.1:{port}"
        settings: Settings = attrs.evolve(
            demo_settings(
                keys,
                deepgram,
                speak=speak_door.url,
                groq=groq_door.url,
                twilio=twilio_door.url,
                server=origin,
                recordings=folder,
            ),
            **{"lead_server_port": port, "max_calls": 10, "drain_timeout": 0.0} | changes,  # type: ignore[arg-type]
        )
        async with trio.open_nursery() as near:
            await near.start(partial(serve, settings))
            async with _client(origin, keys.operator) as operator:
                yield World(twilio, operator, folder)
            near.cancel_scope.deadline = trio.current_time() + 20
        far.cancel_scope.cancel(reason="the test is over")


def _client(origin: str = "", token: str = "") -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    limits = httpx.Limits(max_keepalive_connections=0)
    return httpx.AsyncClient(base_url=origin, headers=headers, timeout=60, limits=limits, trust_env=False)


async def _serve(
    app: object, door: Door, until: Callable[[], Awaitable[None]], *, task_status: trio.TaskStatus[list[str]]
) -> None:
    config = Config()
    config.bind, config.loglevel = [door.bind], "ERROR"
    await hypercorn_serve(cast("Framework", app), config, shutdown_trigger=until, mode="asgi", task_status=task_status)


def heard(record: CallRecord) -> list[str]:
    return [turn.heard for turn in record.transcript if turn.speaker != "caller"]


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> dict[str, CallRecord]:
    """Let everybody call at once, and one of them once more; stop the server when the longest call is over."""

    async def main() -> dict[str, CallRecord]:
        folder = tmp_path_factory.mktemp("calls")
        limits = {"caller_silence": 3.0, "max_call_seconds": 30.0, "voicemail_message": VOICEMAIL}
        async with world(folder, **limits) as there:
            calls = {number: await there.call(number) for number in CALLERS}
            await calls[SILENT].wait_over()
            calls["drained"] = last = await there.call(TALKATIVE)
            await calls[TALKATIVE].wait_over()
            signal.raise_signal(signal.SIGTERM)
            await last.wait_over()
        return {name: await there.record(call) for name, call in calls.items()}

    rehearse_speech(EVERYBODY)
    voice = default_roster().agents["qualifier"].voice
    for sentence in (*SENTENCES, VOICEMAIL, *EVERYBODY.agents["qualifier"].fallback):
        synthesise(sentence, voice)
    return trio.run(main, clock=MockClock(rate=RATE))


def test_a_silent_caller_is_asked_twice_and_said_goodbye_to(records: dict[str, CallRecord]) -> None:
    assert records[SILENT].outcome == "caller_silent"
    assert heard(records[SILENT])[-3:] == [POLICY.still_there, POLICY.still_there, POLICY.silent_goodbye]


def test_keys_are_told_to_the_agent_and_not_to_the_record(records: dict[str, CallRecord]) -> None:
    said = [turn.text for turn in records[TYPES].transcript if turn.speaker == "caller"]

    assert records[TYPES].outcome == "completed"
    assert said == ["I have a customer number.", "(pressed 2 keys)", "Thank you. Goodbye."]
    assert "Thank you, I have found you." in heard(records[TYPES])


def test_the_longest_call_hears_its_goodbye(records: dict[str, CallRecord]) -> None:
    assert records[TALKATIVE].outcome == "max_length"
    assert heard(records[TALKATIVE])[-1] == POLICY.length_goodbye


def test_a_machine_is_left_the_message(records: dict[str, CallRecord]) -> None:
    assert records[MACHINE].outcome == "voicemail_left"
    assert heard(records[MACHINE])[-1] == VOICEMAIL


def test_the_end_of_the_drain_is_a_closing_sentence(records: dict[str, CallRecord]) -> None:
    assert records["drained"].outcome == "drained"
    assert heard(records["drained"])[-1] == POLICY.closing_sentence


def test_a_machine_is_hung_up_on_where_there_is_no_message(tmp_path: Path) -> None:
    async def main() -> CallRecord:
        async with world(tmp_path) as there:
            call = await there.call(MACHINE)
            await call.wait_over()
            signal.raise_signal(signal.SIGTERM)
        return await there.record(call)

    record = trio.run(main, clock=MockClock(rate=RATE))

    assert (record.outcome, record.duration < 4) == ("machine", True)
