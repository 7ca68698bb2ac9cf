"""The whole telephone world on this machine's loopback: the simulators, and the real server between them.

`open_stage` owns every socket and task of a demo. The simulators of Deepgram, Groq and Twilio listen first; then the
real server is started with settings that name them and nothing of the user's environment. Leaving closes in order:
the server lets its last call go, then the simulators are cancelled. An error of any of them leaves through the block.
"""

import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from signal import SIGTERM

import attrs
import httpx
import trio

from actors.journal import Entry
from agents.roster import Roster
from settings import Settings
from simulators.asgi import HOST, serve_app
from simulators.deepgram import DeepgramKnobs, SpeakSimulator, serve_deepgram
from simulators.deepgram.ear import MakeHearing
from simulators.deepgram.server import PATH
from simulators.groq import serve_groq
from simulators.scenario import Scenario
from simulators.speech import synthesise
from simulators.twilio.exchange import TwilioKnobs
from simulators.twilio.log import LogEntry
from simulators.twilio.rest import TwilioSimulator
from simulators.twilio.serving import serve_simulator
from web.clients.briefs import BriefClient
from web.serving import serve_until, server_config

LINE = "+15550009999"
PERSON = "+15550003333"
NEVER_SECONDS = 3600.0
"""For the servers' own timeouts: a demo's clock runs fast, and an idle connection is nobody's fault in it."""


@attrs.frozen
class Keys:
    """Made-up credentials, new for every demo."""

    deepgram: str = attrs.field(factory=partial(secrets.token_hex, 20), repr=False)
    groq: str = attrs.field(factory=partial(secrets.token_hex, 20), repr=False)
    twilio_account: str = "AC" + "0" * 32
    twilio_token: str = attrs.field(factory=partial(secrets.token_hex, 16), repr=False)
    operator: str = attrs.field(factory=partial(secrets.token_hex, 16), repr=False)


class Door:
    """A port of this machine, taken before anybody is told where it is; the server that takes it owns the socket."""

    def __init__(self, port: int = 0) -> None:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError:
            listener.close()
            raise
        self.url = f"http://{HOST}:{listener.getsockname()[1]}"
        self._descriptor = listener.detach()
        self.bind = f"fd://{self._descriptor}"

    def close(self) -> None:
        """Give the port back, if nobody came to serve it."""
        os.close(self._descriptor)


@attrs.frozen
class Stage:
    """A running world: Twilio's side of it, an operator's client for the server's own routes, and its settings.

    `signals` is the server's SIGTERM: the first drains it, the second hurries.
    """

    twilio: TwilioSimulator
    operator: httpx.AsyncClient
    settings: Settings
    signals: trio.MemorySendChannel[int]


@asynccontextmanager
async def open_stage(
    scenario: Scenario,
    recordings: Path,
    observe: Callable[[Entry], None],
    *,
    overhear: Callable[[str, LogEntry], None] | None = None,
    changes: Mapping[str, str] | None = None,
    answers: Callable[[httpx.Request], httpx.Response] | None = None,
    twilio_knobs: TwilioKnobs | None = None,
    deepgram_knobs: DeepgramKnobs | None = None,
) -> AsyncIterator[Stage]:
    """Start the world, and end it in order when the block is left.

    `changes` are settings by name, over those of a demo. `answers` is what functions hear of the services they ask.
    """
    keys, door = Keys(), Door()
    async with _patient_client() as webhooks, trio.open_nursery() as simulators:
        services = await simulate_services(simulators, scenario, keys, deepgram_knobs)
        account, knobs = (keys.twilio_account, keys.twilio_token), twilio_knobs or TwilioKnobs()
        twilio = TwilioSimulator(scenario, webhooks, *account, knobs, observe=overhear)
        port: int = await simulators.start(partial(serve_simulator, twilio))
        settings = demo_settings(
            keys,
            services,
            twilio=f"http://{HOST}:{port}",
            server=door.url,
            recordings=recordings,
            person=PERSON if scenario.human is not None else "",
            changes=changes,
        )
        operators = _patient_client(keys, door.url)
        async with _serving(settings, door, observe, answers) as signals, operators as operator:
            yield Stage(twilio, operator, settings, signals)
        simulators.cancel_scope.cancel(reason="the demo is over")


async def simulate_services(
    nursery: trio.Nursery,
    scenario: Scenario,
    keys: Keys,
    knobs: DeepgramKnobs | None = None,
    make_hearing: MakeHearing | None = None,
) -> Mapping[str, str]:
    """Simulate Deepgram and Groq until the nursery is cancelled; return the settings that lead to them.

    `make_hearing` makes what understands the caller, if that is not to be the scenario's lines, byte for byte.
    """
    key = keys.deepgram
    serve = partial(serve_deepgram, scenario, knobs=knobs, api_key=key, make_hearing=make_hearing)
    deepgram: int = await nursery.start(serve)
    speak: int = await nursery.start(partial(serve_app, SpeakSimulator(key)))
    groq: int = await nursery.start(partial(serve_groq, api_key=keys.groq, faults=scenario.faults))
    return {
        "DEEPGRAM_API_KEY": key,
        "DEEPGRAM_AGENT_URL": f"ws://{HOST}:{deepgram}{PATH}",
        "DEEPGRAM_SPEAK_URL": f"http://{HOST}:{speak}/v1/speak",
        "GROQ_API_KEY": keys.groq,
        "GROQ_BASE_URL": f"http://{HOST}:{groq}",
        "SUMMARY_URL": "",
        "SUMMARY_API_KEY": "",
    }


def demo_settings(
    keys: Keys,
    services: Mapping[str, str],
    *,
    twilio: str,
    server: str,
    recordings: Path,
    person: str = "",
    changes: Mapping[str, str] | None = None,
) -> Settings:
    """Write the settings of a server between the simulators; the user's environment has no say in them."""
    return Settings.from_environ(
        {
            **services,
            "TWILIO_ACCOUNT_SID": keys.twilio_account,
            "TWILIO_AUTH_TOKEN": keys.twilio_token,
            "TWILIO_PHONE_NUMBER": LINE,
            "TWILIO_API_URL": twilio,
            "LEAD_SERVER_HOST": HOST,
            "LEAD_SERVER_EXTERNAL_URL": server,
            "API_TOKEN": keys.operator,
            "MAX_CALLS": "1",
            "TRANSFER_PHONE_NUMBER": person,
            "RECORDINGS_DIR": str(recordings),
            "DATABASE_URL": "memory:",
            **(changes or {}),
        }
    )


@asynccontextmanager
async def _serving(
    settings: Settings,
    door: Door,
    observe: Callable[[Entry], None],
    answers: Callable[[httpx.Request], httpx.Response] | None,
) -> AsyncIterator[trio.MemorySendChannel[int]]:
    send, signals = trio.open_memory_channel[int](2)
    config = server_config(settings)
    config.bind, config.loglevel = [door.bind], "ERROR"
    config.keep_alive_timeout = config.shutdown_timeout = config.startup_timeout = NEVER_SECONDS
    functions = httpx.MockTransport(answers) if answers is not None else None
    with send, signals:
        async with trio.open_nursery() as nursery:
            serve = partial(serve_until, signals, settings, config, observe=observe, functions=functions)
            await nursery.start(serve)
            yield send
            with suppress(trio.WouldBlock, trio.BrokenResourceError):  # it has been told often enough
                send.send_nowait(SIGTERM)


def _patient_client(keys: Keys | None = None, base_url: str = "") -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {keys.operator}"} if keys is not None else {}
    return httpx.AsyncClient(base_url=base_url, headers=headers, timeout=NEVER_SECONDS, trust_env=False)


async def warm_up(scenario: Scenario, roster: Roster) -> None:
    """Do everything that only the first call of a process has to wait for: on a fast clock it would be heard.

    Nothing here changes what is said or asked in the call, and no fault plan counts it.
    """
    rehearse_speech(scenario, roster)
    await rehearse_brief()


def rehearse_speech(scenario: Scenario, roster: Roster) -> None:
    """Synthesise what will be said; the synthesiser keeps it."""
    for words, voice in _speech(scenario, roster):
        synthesise(words, voice)


def _speech(scenario: Scenario, roster: Roster) -> Iterator[tuple[str, str]]:
    voices, human = {name: spec.voice for name, spec in roster.agents.items()}, scenario.human
    yield roster.begins.greeting_with(None), roster.begins.voice
    for agent in roster.agents.values():
        yield from ((words, agent.voice) for words in (agent.sentences.filler, agent.sentences.unreached))
    if human is not None and human.says:
        yield human.says, human.voice
    yield from ((line.says, scenario.caller.voice) for line in scenario.caller.lines if line.says is not None)
    for name in scenario.agents.keys() & voices.keys():
        for turn in scenario.agents[name].turns:
            yield from ((words, voices[name]) for words in (*turn.says, *turn.then, *turn.on_error))


async def rehearse_brief() -> None:
    """Ask for a Brief where nobody listens: the client builds its types at its first request."""
    async with httpx.AsyncClient(transport=httpx.MockTransport(_empty_brief), verify=False) as http:  # noqa: S501 -- goes nowhere
        client = BriefClient("http://127.0.0.1", "rehearsal", ("openai/gpt-oss-120b",), http)
        await client.ask([{"role": "user", "content": "Good evening."}])


def _empty_brief(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"choices": [{"message": {"content": "{}"}}]})
