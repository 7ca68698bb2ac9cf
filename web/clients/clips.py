"""Client for Deepgram's text-to-speech API: fetches the filler for a silence once in the voice of each agent.

`fetch_clips` fills a book of clips by voice and words, all voices side by side. It owns no connection, keeps nobody
waiting, and never raises for what the service does: a voice that could not be fetched is logged and left out, and the
switchboard does without (the same words in another voice, or Twilio's own). `keep_fetching` asks again.
"""

import re
from collections.abc import Collection

import attrs
import httpx
import structlog
import trio

from actors.turn_driver import Clips
from protocol.audio import BYTES_PER_SECOND

FETCH_SECONDS = 10.0
"""For one voice, from asking to the last byte."""
FIRST_PAUSE, LONGEST_PAUSE = 15.0, 3600.0
"""Seconds from one round to the next, for what could not be fetched."""
SHORTEST_BYTES = BYTES_PER_SECOND // 5
LONGEST_BYTES = 10 * BYTES_PER_SECOND
"""A filler is some two seconds of speech; ten are no filler."""
FORMAT = {"encoding": "mulaw", "sample_rate": str(BYTES_PER_SECOND), "container": "none"}
"""Without `container=none` a WAV header comes first: https://developers.deepgram.com/docs/tts-media-output-settings"""
_HEADERS = (b"RIFF", b"OggS", b"ID3", b"fLaC")

_log = structlog.stdlib.get_logger()


def speak_url(url: str, voice: str) -> str:
    """Return where a voice speaks: Flux has an address of its own, beside that of Aura.

    https://developers.deepgram.com/reference/text-to-speech-api/flux/speak
    """
    version = "v2" if voice.startswith("flux-") else "v1"
    return re.sub(r"/v[12](/speak/?)$", rf"/{version}\1", url)


class ClipRefused(Exception):
    """The answer is no clip; the message says why."""


async def keep_fetching(book: Clips, wanted: Collection[tuple[str, str]], speech: "SpeechClient") -> None:
    """Fetch a clip for each voice and its words, with growing pauses between attempts for missing ones."""
    pause = FIRST_PAUSE
    while True:
        await fetch_clips(book, [clip for clip in wanted if clip not in book], speech)
        if book.keys() >= {*wanted}:
            return
        await trio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


async def fetch_clips(book: Clips, wanted: Collection[tuple[str, str]], speech: "SpeechClient") -> None:
    """Put the words of each voice into the book, as far as Deepgram speaks them."""
    async with trio.open_nursery() as nursery:
        for voice, text in wanted:
            nursery.start_soon(speech.record, book, voice, text)


@attrs.frozen
class SpeechClient:
    """Deepgram's text-to-speech API. The request: https://developers.deepgram.com/reference/text-to-speech/speak-request.

    `speed` and `mip_opt_out` are as in the settings; Flux has no speed here.
    """

    url: str
    api_key: str = attrs.field(repr=False)
    http: httpx.AsyncClient
    speed: float | None = None
    mip_opt_out: bool = False

    async def record(self, book: Clips, voice: str, text: str) -> None:
        """Put one clip on the book, or say why there is none."""
        why = f"no answer within {FETCH_SECONDS:g} s"
        with trio.move_on_after(FETCH_SECONDS):
            try:
                book[voice, text] = await self.speak(voice, text)
            except ClipRefused as refused:
                why = str(refused)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                why = type(error).__name__
            else:
                return
        _log.warning("clip_not_fetched", voice=voice, why=why)

    async def speak(self, voice: str, text: str) -> bytes:
        """Return `text` in a voice, as bare mu-law. Raises: `ClipRefused`; `httpx.HTTPError`, `httpx.InvalidURL`."""
        asked = {"model": voice, **FORMAT}
        if self.speed is not None and not voice.startswith("flux-"):
            asked["speed"] = f"{self.speed:g}"
        if self.mip_opt_out:
            asked["mip_opt_out"] = "true"
        address = httpx.URL(speak_url(self.url, voice)).copy_merge_params(asked)
        headers = {"Authorization": f"Token {self.api_key}", "Accept-Encoding": "identity"}
        async with self.http.stream("POST", address, json={"text": text}, headers=headers) as response:
            if response.status_code != httpx.codes.OK:
                raise ClipRefused(f"HTTP {response.status_code}")
            if "content-encoding" in response.headers:
                raise ClipRefused("compressed, unasked")
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            if not kind.startswith("audio/") and kind != "application/octet-stream":
                raise ClipRefused(f"{kind[:40] or 'something without a content type'} is no audio")
            return _checked(await _read_bounded(response))


async def _read_bounded(response: httpx.Response) -> bytes:
    """Read to the end and keep what may be kept: httpx's generators do not like to be left halfway."""
    audio, size = b"", 0
    async for chunk in response.aiter_raw():
        size += len(chunk)
        audio += chunk[: LONGEST_BYTES - len(audio)]
    if size > LONGEST_BYTES:
        raise ClipRefused(f"{size} bytes, more than {LONGEST_BYTES}")
    return audio


def _checked(audio: bytes) -> bytes:
    if len(audio) < SHORTEST_BYTES:
        raise ClipRefused(f"only {len(audio)} bytes")
    if audio.startswith(_HEADERS):
        raise ClipRefused("a file with a header, where bare mu-law was asked for")
    return audio
