"""Clips are fetched once a voice, and what cannot be fetched keeps nobody from calling."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager

import attrs
import httpx
import orjson
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from actors.turn_driver import Clips
from agents.advisor import AGENT as ADVISOR
from agents.roster import Roster
from agents.sentences import ENGLISH, Sentences
from simulators.deepgram import SpeakSimulator
from simulators.speech import synthesise
from tests.web.fakes import settings
from web import services
from web.clients import clips as web_clips
from web.clients.clips import (
    FETCH_SECONDS,
    FIRST_PAUSE,
    LONGEST_BYTES,
    LONGEST_PAUSE,
    SHORTEST_BYTES,
    fetch_clips,
    keep_fetching,
)
from web.from_settings import fillers_of, speech_client_of
from web.services import open_services

URL = "http://speak.test/v1/speak"
TEXT = "One moment, please."
MARS, VESTA = "aura-2-mars-en", "aura-2-vesta-en"
SPEECH = bytes(range(100, 200)) * 100
AUDIO = {"content-type": "audio/mulaw"}


@attrs.define
class Answering(httpx.AsyncBaseTransport):
    """A speak API that answers every request in the same way, and keeps what it was asked."""

    answer: Callable[[], httpx.Response]
    asked: list[httpx.Request] = attrs.field(factory=list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await trio.lowlevel.checkpoint()
        await request.aread()
        self.asked.append(request)
        return self.answer()


def speak() -> httpx.Response:
    return httpx.Response(200, headers=AUDIO, stream=httpx.ByteStream(SPEECH))


async def fetch(transport: httpx.AsyncBaseTransport, *voices: str, url: str = URL) -> dict[str, bytes]:
    """Fetch clips; return them by their voices."""
    book = Clips()
    async with httpx.AsyncClient(transport=transport) as http:
        await fetch_clips(book, [(voice, TEXT) for voice in voices], web_clips.SpeechClient(url, "dg-key", http))
    return {voice: clip for (voice, _), clip in book.items()}


@contextmanager
def one_warning(why: str) -> Iterator[None]:
    with capture_logs() as logs:
        yield
    assert [(entry["event"], entry["voice"]) for entry in logs] == [("clip_not_fetched", MARS)]
    assert why in logs[0]["why"]


async def test_each_voice_says_the_filler(autojump_clock: MockClock) -> None:
    book = await fetch(httpx.ASGITransport(SpeakSimulator("dg-key")), MARS, VESTA)

    assert [book.get(voice) for voice in (MARS, VESTA)] == [synthesise(TEXT, voice).audio for voice in (MARS, VESTA)]


@pytest.mark.parametrize(
    "url", ["http://speak.test/v1/speak", "http://speak.test/v2/speak", "http://speak.test/v1/speak/"]
)
async def test_a_flux_voice_speaks_at_an_address_of_its_own(url: str, autojump_clock: MockClock) -> None:
    simulated = SpeakSimulator("dg-key")

    book = await fetch(httpx.ASGITransport(simulated), MARS, "flux-alexis-en", url=url)

    assert (MARS in book, "flux-alexis-en" in book) == (True, True)


async def test_an_address_that_is_not_deepgrams_is_taken_as_it_is() -> None:
    studio = Answering(speak)

    await fetch(studio, "flux-alexis-en", url="http://proxy.test/tts")

    assert [request.url.path for request in studio.asked] == ["/tts"]


@pytest.mark.parametrize(
    ("voice", "asked"),
    [(MARS, {"speed": "1.1", "mip_opt_out": "true"}), ("flux-alexis-en", {"mip_opt_out": "true"})],
)
async def test_a_clip_is_spoken_as_fast_and_kept_as_private_as_the_agents(voice: str, asked: dict[str, str]) -> None:
    there, chosen = Answering(speak), settings(SPEAK_SPEED="1.1", MIP_OPT_OUT="yes")
    async with httpx.AsyncClient(transport=there) as http:
        await fetch_clips({}, [(voice, TEXT)], speech_client_of(chosen, http))

    given = dict(there.asked[0].url.params)
    assert {name: given[name] for name in ("speed", "mip_opt_out") if name in given} == asked


async def test_bare_telephone_audio_is_asked_for_with_the_key_in_its_header() -> None:
    studio = Answering(speak)

    await fetch(studio, MARS, url=f"{URL}?mip_opt_out=true")

    (request,) = studio.asked
    wanted = {"encoding": "mulaw", "sample_rate": "8000", "container": "none", "model": MARS, "mip_opt_out": "true"}
    assert (request.method, dict(request.url.params)) == ("POST", wanted)
    assert request.headers["authorization"] == "Token dg-key"
    assert orjson.loads(request.content) == {"text": TEXT}


@pytest.mark.parametrize(
    ("status", "headers", "body", "why"),
    [
        (401, AUDIO, SPEECH, "HTTP 401"),
        (302, AUDIO | {"location": "http://elsewhere.test/"}, SPEECH, "HTTP 302"),
        (500, {"content-type": "text/html"}, b"<html>", "HTTP 500"),
        (200, {"content-type": "application/json"}, SPEECH, "application/json is no audio"),
        (200, {}, SPEECH, "without a content type"),
        (200, AUDIO, b"", "only 0 bytes"),
        (200, AUDIO, bytes(SHORTEST_BYTES - 1), "only 1599 bytes"),
        (200, AUDIO, bytes(LONGEST_BYTES + 1), "80001 bytes, more than 80000"),
        (200, AUDIO, b"RIFF" + SPEECH, "a file with a header"),
        (200, AUDIO | {"content-encoding": "gzip"}, SPEECH, "compressed"),
    ],
    ids=["key", "redirect", "error", "json", "untyped", "empty", "short", "long", "wav", "gzip"],
)
async def test_what_is_no_clip_is_logged_once_and_left_out(
    status: int, headers: Mapping[str, str], body: bytes, why: str
) -> None:
    studio = Answering(lambda: httpx.Response(status, headers=headers, stream=httpx.ByteStream(body)))

    with one_warning(why):
        book = await fetch(studio, MARS)

    assert (book.get(MARS), len(studio.asked)) == (None, 1)


async def test_a_service_that_is_not_there_is_logged_once() -> None:
    def refuse() -> httpx.Response:
        raise httpx.ConnectError("connection refused")

    with one_warning("ConnectError"):
        await fetch(Answering(refuse), MARS)


@attrs.define
class Trickling(httpx.AsyncByteStream):
    """A body whose next byte always comes before any read times out."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            await trio.sleep(1)
            yield b"\xff"


async def test_a_service_that_trickles_is_given_up(autojump_clock: MockClock) -> None:
    with one_warning(f"no answer within {FETCH_SECONDS:g} s"):
        await fetch(Answering(lambda: httpx.Response(200, headers=AUDIO, stream=Trickling())), MARS)

    assert trio.current_time() == FETCH_SECONDS


async def test_one_voice_that_fails_costs_the_others_nothing(autojump_clock: MockClock) -> None:
    with capture_logs() as logs:
        book = await fetch(httpx.ASGITransport(SpeakSimulator()), "polly-joanna", MARS)

    assert [(entry["voice"], entry["why"]) for entry in logs] == [("polly-joanna", "HTTP 400")]
    assert list(book) == [MARS]


async def test_a_voice_that_was_not_to_be_had_is_asked_for_again(autojump_clock: MockClock) -> None:
    """A service that is away when the server starts may be there before the first silence."""
    began, book = trio.current_time(), Clips()
    away = Answering(lambda: speak() if trio.current_time() > began + 2 * FIRST_PAUSE else httpx.Response(503))
    async with httpx.AsyncClient(transport=away) as http:
        with capture_logs():
            await keep_fetching(book, [(MARS, TEXT), (VESTA, TEXT)], web_clips.SpeechClient(URL, "dg-key", http))

    assert (book[MARS, TEXT], (VESTA, TEXT) in book) == (SPEECH, True)
    assert (trio.current_time() - began, len(away.asked)) == (3 * FIRST_PAUSE, 6)


async def test_what_is_there_is_not_fetched_again(autojump_clock: MockClock) -> None:
    def answer() -> httpx.Response:
        return httpx.Response(400) if b"polly" in there.asked[-1].url.query else speak()

    there, book = Answering(answer), Clips()
    async with httpx.AsyncClient(transport=there) as http:
        with capture_logs(), trio.move_on_after(4 * LONGEST_PAUSE):
            await keep_fetching(book, [(MARS, TEXT), ("polly", TEXT)], web_clips.SpeechClient(URL, "dg-key", http))

    asked = [dict(request.url.params)["model"] for request in there.asked]
    assert (asked.count(MARS), 8 < asked.count("polly") < 16) == (1, True)


@attrs.define
class Studio:
    """Stands in for `keep_fetching` in an open exchange."""

    given: dict[str, object] = attrs.field(factory=dict)
    release: trio.Event = attrs.field(factory=trio.Event)
    done: trio.Event = attrs.field(factory=trio.Event)
    error: Exception | None = None

    async def __call__(self, book: Clips, wanted: object, studio: web_clips.SpeechClient) -> None:
        self.given = {"wanted": wanted, "url": studio.url, "api_key": studio.api_key}
        await self.release.wait()
        self.done.set()
        if self.error is not None:
            raise self.error
        book[MARS, TEXT] = SPEECH


async def test_the_services_are_open_before_the_first_clip_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    studio = Studio()
    monkeypatch.setattr(services, "keep_fetching", studio)

    async with open_services(settings(DEEPGRAM_SPEAK_URL=URL)) as opened:
        before = opened.services.clips.get((MARS, TEXT))
        studio.release.set()
        await studio.done.wait()

        assert (before, opened.services.clips.get((MARS, TEXT))) == (None, SPEECH)
        assert (studio.given["url"], studio.given["api_key"]) == (URL, "deepgram-key")
        assert studio.given["wanted"] == fillers_of(opened.services.roster)


def test_each_voice_says_the_filler_of_each_of_its_agents_once() -> None:
    spanish = attrs.evolve(ADVISOR, voice="aura-2-celeste-es", sentences=Sentences(fillers=("Un momento.", "Ya casi.")))
    elsewhere = attrs.evolve(ADVISOR, voice="cartesia/sonic-2/a-voice")
    shared = attrs.evolve(ADVISOR, sentences=Sentences(fillers=("Let me look.",)))
    roster = Roster({"one": ADVISOR, "two": spanish, "three": elsewhere, "four": shared, "five": ADVISOR}, "one")

    own, celeste = (ADVISOR.voice, ENGLISH.filler), ("aura-2-celeste-es", "Un momento.")
    assert fillers_of(roster) == (own, celeste, (ADVISOR.voice, "Let me look."))


async def test_services_that_close_do_not_wait_for_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    studio = Studio()
    monkeypatch.setattr(services, "keep_fetching", studio)

    async with open_services(settings()):
        pass

    assert not studio.done.is_set()


async def test_a_bug_in_fetching_ends_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    studio = Studio(error=KeyError("a bug"))
    studio.release.set()
    monkeypatch.setattr(services, "keep_fetching", studio)

    with capture_logs() as logs:
        async with open_services(settings()) as opened:
            await studio.done.wait()
            await trio.testing.wait_all_tasks_blocked()

    assert [entry["error"] for entry in logs if entry["event"] == "clips_crashed"] == ["KeyError: 'a bug'"]
    assert opened.services.clips.get((MARS, TEXT)) is None
