"""`switchboard talk`: which settings it takes, what it can say, and where it listens."""

import re
import socket
import sys
from collections.abc import Mapping
from io import StringIO
from pathlib import Path

import httpx
import pytest
import trio
from rich.console import Console

from demo import talk
from demo.options import OptionsError
from demo.stage import Door
from demo.talk import Talk, TalkOptions, TypedVoice, open_browser, talk_settings
from protocol.audio import FRAME_BYTES, silence
from setting_reader import SettingsError
from simulators.asgi import HOST
from simulators.hearing import SpeechEnded
from simulators.scenario import load_scenario
from web.console.phone import SpeechFailed

URL = "http://127.0.0.1:8123"
ENVIRONMENTS: Mapping[str, Mapping[str, str]] = {
    "nothing else": {},
    "the placeholders of .env.example": {
        "TWILIO_ACCOUNT_SID": "AC...",
        "TWILIO_AUTH_TOKEN": "...",
        "TWILIO_PHONE_NUMBER": "+1...",
        "LEAD_SERVER_EXTERNAL_URL": "https://the-address-of-the-tunnel",
    },
    "a whole one": {
        "TWILIO_ACCOUNT_SID": "AC0123456789abcdef0123456789abcdef",
        "TWILIO_AUTH_TOKEN": "0123456789abcdef",
        "TWILIO_PHONE_NUMBER": "+15551230000",
        "LEAD_SERVER_EXTERNAL_URL": "https://agent.example.com",
        "LEAD_SERVER_HOST": "0.0.0.0",  # noqa: S104 - as one writes it
        "LEAD_PHONE_NUMBER": "+15551230000",
        "TRANSFER_PHONE_NUMBER": "nobody",
        "API_TOKEN": "secret",
        "GROQ_API_KEY": "gsk_1",
    },
}


@pytest.mark.parametrize("case", ENVIRONMENTS)
def test_a_deepgram_key_is_enough(case: str) -> None:
    settings = talk_settings({"DEEPGRAM_API_KEY": "dg-key-of-mine", **ENVIRONMENTS[case]}, URL)

    assert (settings.deepgram_api_key, settings.deepgram_agent_url) == (
        "dg-key-of-mine",
        "wss://agent.deepgram.com/v1/agent/converse",
    )
    assert (settings.lead_server_host, settings.lead_server_external_url, settings.api_token) == (HOST, URL, None)
    assert settings.twilio_api_url == talk.NOWHERE
    assert settings.person == ""


def test_what_is_wrong_elsewhere_is_told() -> None:
    with pytest.raises(SettingsError, match="SILENCE_BUDGET"):
        talk_settings({"DEEPGRAM_API_KEY": "dg-key-of-mine", "SILENCE_BUDGET": "soon"}, URL)


def test_two_talks_sign_their_sessions_with_different_keys() -> None:
    one, other = (talk_settings({"DEEPGRAM_API_KEY": "dg-key-of-mine"}, URL) for _ in range(2))

    assert one.twilio_auth_token != other.twilio_auth_token


async def test_what_is_typed_is_said_and_understood() -> None:
    voice = TypedVoice.of(load_scenario("goes_silent"))
    hearing = voice.hearing(0.3)

    for text in (voice.lines[0], "Elephants drink huge amounts of water.", "Elephants drink."):
        audio = await voice.say(text)
        assert len(audio) % FRAME_BYTES == 0
        heard = hearing.hear(audio + silence(40))
        assert [event.text for event in heard if isinstance(event, SpeechEnded)] == [text]


async def test_what_is_typed_twice_is_learnt_once() -> None:
    voice = TypedVoice.of(load_scenario("goes_silent"))
    before = len(voice.utterances)

    assert await voice.say("Hello there.") == await voice.say("Hello there.")
    assert len(voice.utterances) == before + 1


@pytest.mark.parametrize("text", ["...", "!", "—"])
async def test_a_sentence_without_a_word_cannot_be_said(text: str) -> None:
    with pytest.raises(SpeechFailed):
        await TypedVoice.of(load_scenario("goes_silent")).say(text)


def test_a_port_that_is_taken_gives_way_to_a_free_one_unless_it_was_asked_for() -> None:
    taken = Door()
    with socket.socket(fileno=int(taken.bind.removeprefix("fd://"))) as listener:
        listener.listen()
        port = taken.url.rpartition(":")[2]
        other = talk._door(TalkOptions(), {"LEAD_SERVER_PORT": port})
        assert other.url != taken.url
        with pytest.raises(OptionsError, match=f"--port {port}: Address already in use; leave it out"):
            talk._door(TalkOptions(port=int(port)), {})
    other.close()


class Screen(StringIO):
    """The lines that are told; `all_told` when it is the last one."""

    def __init__(self) -> None:
        super().__init__()
        self.all_told = trio.Event()

    def write(self, text: str, /) -> int:
        if "Ctrl-C" in text:
            self.all_told.set()
        return super().write(text)


async def test_with_a_key_the_page_has_a_microphone_and_nothing_is_simulated(tmp_path: Path) -> None:
    environ = {
        "DEEPGRAM_API_KEY": "dg-key-of-mine",
        "DEEPGRAM_AGENT_URL": "ws://127.0.0.1:9/v1/agent/converse",
        "DEEPGRAM_SPEAK_URL": "http://127.0.0.1:9/v1/speak",
        "RECORDINGS_DIR": "none",
        "DATABASE_URL": "memory:",
    }
    screen = Screen()
    send, signals = trio.open_memory_channel[int](1)
    with send, signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                Talk(TalkOptions(port=0, opens_browser=False), environ, Console(file=screen, width=200), signals).run
            )
            await screen.all_told.wait()
            text = screen.getvalue()
            (address,) = re.findall(r"http://\S+", text)
            async with httpx.AsyncClient(trust_env=False) as client:
                page = (await client.get(address)).text
            send.send_nowait(2)

    assert "simulated" not in text
    assert 'id="microphone"' in page
    assert 'id="sentence"' not in page


@pytest.mark.skipif(sys.platform in {"darwin", "win32"}, reason="there is always a screen")
def test_where_there_is_no_screen_no_browser_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)  # type: ignore[func-returns-value]
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)

    assert not open_browser(URL)
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert open_browser(URL)
    assert opened == [URL]
