"""`switchboard talk`: a server for the phone in the browser, on this machine, and its page opened.

With a Deepgram key it is the real service; nothing else is needed, for no telephone network has a part in it. Without
one it is typed: Deepgram and Groq are simulated here, the visitor chooses a sentence or writes one, and the page plays
it down the line. `main` is the command from its options to its exit status; Ctrl-C ends the server as SIGTERM does.
"""

import os
import secrets
import signal
import sys
import webbrowser
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

import attrs
import httpx
import trio
from rich.console import Console

from actors.supervision import root_cause
from agents.extras import Demo
from agents.roster import RosterError, roster_from
from agents.spec import INBOUND
from demo.options import OptionsError, scenario_of
from demo.stage import Door, Keys, simulate_services, warm_up
from model_settings import AGENTS
from setting_reader import SettingsError, read_one
from settings import LEAD_SERVER_PORT, Settings, environment
from simulators.asgi import HOST
from simulators.deepgram.ear import MakeHearing
from simulators.espeak import NOTICE, ONLY_HUMS
from simulators.hearing import Hearing, Recogniser
from simulators.scenario import Scenario
from simulators.speech import SpeechError, Utterance, synthesise
from web.console.phone import SpeechFailed
from web.from_settings import roster_of
from web.serving import serve_until, server_config
from web.worker.draining import leave_handlers
from web.worker.logs import configure_logs

PAGE = "/console/phone"
KEY = "DEEPGRAM_API_KEY"
NOBODYS_LINE = "+15550009999"
NOWHERE = f"http://{HOST}:9"
"""In place of Twilio: the port of "discard". No call of a page asks it for anything."""
SUCCEEDED, FAILED, MISUSED = 0, 1, 2


@attrs.frozen
class TalkOptions:
    """The words as they were given. `port` is None for the one of the settings, or a free one if that is taken."""

    scenario: str = ""
    """Of a caller who types; the agents' own where it is empty."""
    port: int | None = None
    opens_browser: bool = True


@attrs.frozen
class TypedVoice:
    """Says what is typed, in the voice of the scenario's caller; sessions that listen by `hearing` understand it."""

    voice: str
    lines: tuple[str, ...]
    """The caller's of the scenario, in the order of the conversation."""
    utterances: list[Utterance]

    @classmethod
    def of(cls, scenario: Scenario) -> "TypedVoice":
        """Synthesise the lines of a scenario. Blocks.

        *Raises* `SpeechError`.
        """
        voice = scenario.caller.voice
        lines = tuple(line.says for line in scenario.caller.lines if line.says is not None)
        return cls(voice, lines, [synthesise(line, voice) for line in lines])

    async def say(self, text: str) -> bytes:
        """Return a sentence as telephone audio, which is understood from now on.

        Raises: `SpeechFailed`.
        """
        try:
            utterance = await trio.to_thread.run_sync(synthesise, text, self.voice)
        except SpeechError as exc:
            raise SpeechFailed(str(exc)) from exc
        if not utterance.words:
            raise SpeechFailed("there is no word in it")
        if utterance not in self.utterances:
            self.utterances.append(utterance)
        return utterance.audio

    def hearing(self, pause: float) -> Hearing:
        """Return what understands all of this, and what is added later."""
        return Recogniser(self.utterances, pause=pause)


def talk_settings(environ: Mapping[str, str], url: str, simulated: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of a server that only a browser on this machine calls.

    What the environment says of Twilio, of telephone numbers and of the public address has no say in it, for a first
    `.env` often has placeholders there. `simulated` leads to the simulated services.

    Raises: `SettingsError`.
    """
    of_the_network = {
        "TWILIO_ACCOUNT_SID": Keys().twilio_account,
        "TWILIO_AUTH_TOKEN": secrets.token_hex(16),  # also what the page's sessions are signed with
        "TWILIO_PHONE_NUMBER": NOBODYS_LINE,
        "TWILIO_API_URL": NOWHERE,
        "LEAD_PHONE_NUMBER": "",
        "FALLBACK_PHONE_NUMBER": "",
        "TRANSFER_PHONE_NUMBER": "",
        "LEAD_SERVER_HOST": HOST,
        "LEAD_SERVER_EXTERNAL_URL": url,
        "API_TOKEN": "",
        "DRAIN_TIMEOUT": "0",
    }
    return Settings.from_environ({**environ, **of_the_network, **(simulated or {})})


def serve_talk(options: TalkOptions) -> int:
    """Serve until Ctrl-C; return the exit status."""
    console = Console(highlight=False)
    status, problem = FAILED, ""
    try:
        trio.run(_until_stopped, options, environment(), console)
        status = SUCCEEDED
    except* (SettingsError, OptionsError) as group:
        status, problem = MISUSED, str(root_cause(group))
    except* (RosterError, SpeechError, OSError) as group:
        problem = f"Cannot talk: {root_cause(group)}"
    if problem:
        Console(stderr=True, highlight=False).print(problem, style="red", markup=False, soft_wrap=True)
    return status


async def _until_stopped(options: TalkOptions, environ: Mapping[str, str], console: Console) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        await Talk(options, environ, console, signals).run()
    leave_handlers()


@attrs.frozen
class Talk:
    """One run of the command. The first of `signals` ends it; calls that go on hear a closing sentence."""

    options: TalkOptions
    environ: Mapping[str, str]
    console: Console
    signals: AsyncIterator[int]

    async def run(self) -> None:
        """Serve the phone.

        Raises: `SettingsError`, `OptionsError`, `SpeechError` or `RosterError`.
        """
        given, is_typed = self.options.scenario, not self.environ.get(KEY, "").strip()
        roster = roster_from(read_one(self.environ, AGENTS), human=True)
        scenario = scenario_of(given, roster, INBOUND) if given or is_typed else None
        door = _door(self.options, self.environ)
        if scenario is None or not is_typed:
            await self._serve(talk_settings(self.environ, door.url), door, None)
            return
        demo = roster.extras.demo or Demo("")
        functions = httpx.MockTransport(demo.http) if demo.http is not None else None
        self._tell(f"No {KEY}: the services are simulated, and you type what the caller of “{scenario.name}” says.")
        if ONLY_HUMS:
            self._tell(f"{NOTICE}.")
        async with simulated_services(scenario) as (voice, simulated):
            settings = talk_settings({**roster.extras.env(demo.env), **self.environ}, door.url, simulated)
            await warm_up(scenario, roster_of(settings))
            await self._serve(settings, door, voice, functions)

    async def _serve(
        self,
        settings: Settings,
        door: Door,
        voice: TypedVoice | None,
        functions: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        configure_logs(settings.secrets())
        config = server_config(settings)
        config.bind = [door.bind]
        async with trio.open_nursery() as nursery:
            serve = partial(serve_until, self.signals, settings, config, voice=voice, functions=functions)
            await nursery.start(serve)
            url = door.url + PAGE
            is_opened = self.options.opens_browser and await trio.to_thread.run_sync(open_browser, url)
            self._tell(f"The phone {'is open in your browser' if is_opened else 'waits for a browser here'}: {url}")
            self._tell("Ctrl-C ends it.")

    def _tell(self, text: str) -> None:
        self.console.print(text, markup=False, soft_wrap=True)


def _door(options: TalkOptions, environ: Mapping[str, str]) -> Door:
    """Take the port that was asked for; else the one of the settings, or any other if that is taken."""
    if options.port is not None:
        try:
            return Door(options.port)
        except OSError as exc:
            raise OptionsError(f"--port {options.port}: {exc.strerror}; leave it out, and a free one is taken") from exc
    try:
        return Door(read_one(environ, LEAD_SERVER_PORT))
    except OSError:
        return Door()


@asynccontextmanager
async def simulated_services(
    scenario: Scenario, make_hearing: MakeHearing | None = None
) -> AsyncIterator[tuple[TypedVoice, Mapping[str, str]]]:
    """Simulate Deepgram and Groq; yield what says what is typed, and the settings that lead to them.

    `make_hearing` makes what understands the caller, if that is not to be `TypedVoice.hearing`, byte for byte.
    """
    voice = await trio.to_thread.run_sync(TypedVoice.of, scenario)
    async with trio.open_nursery() as nursery:
        hearing = make_hearing or voice.hearing
        yield voice, await simulate_services(nursery, scenario, Keys(), make_hearing=hearing)
        nursery.cancel_scope.cancel(reason="the talk is over")


def open_browser(url: str) -> bool:
    """Open a page in a graphical browser; False where there is none: one in a terminal has no sound."""
    of_a_screen = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    has_screen = sys.platform in {"darwin", "win32"} or any(map(os.environ.get, of_a_screen))
    return has_screen and webbrowser.open(url)
