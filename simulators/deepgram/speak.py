"""Deepgram's text-to-speech, simulated: one text in, its audio out, over plain HTTP.

`SpeakSimulator` is an ASGI app that answers `POST /v1/speak` (Aura) and `POST /v2/speak` (Flux) with the same speech
its Voice Agent twin speaks, as bare mu-law or 16-bit linear audio, and refuses what the service refuses in the
service's words: key, parameters, body. What the service can do and this cannot (compressed formats, containers, texts
behind a URL) is refused with a 400 that says so. It keeps `requests` for tests.

Request: https://developers.deepgram.com/reference/text-to-speech/speak-request. Refusals:
https://developers.deepgram.com/docs/errors, and `UNSUPPORTED_AUDIO_FORMAT` as it was seen live
(https://github.com/pipecat-ai/pipecat/issues/2764). Formats: https://developers.deepgram.com/docs/tts-media-output-settings.
"""

import uuid
from collections.abc import Mapping
from random import Random

import attrs
import trio

from protocol.fields import json_or
from simulators.asgi import Message, Receive, Request, Response, Send, answer_scope, json_response
from simulators.deepgram.formats import AudioFormat
from simulators.deepgram.models import is_authorised
from simulators.speech import synthesise

PATHS = {"/v1/speak": "aura-", "/v2/speak": "flux-"}
"""Where each family of voices speaks: neither address has the other's (openapi of the service, `/v2/speak`)."""
MAX_CHARACTERS = 2000
MAX_BODY_BYTES = 2 * 1024 * 1024
RATES: Mapping[str, tuple[int, ...]] = {
    "linear16": (8000, 16000, 24000, 32000, 48000),
    "mulaw": (8000, 16000),
    "alaw": (8000, 16000),
}
"""The encodings that can do without a container, and their sample rates."""
COMPRESSED = ("mp3", "opus", "flac", "aac")
CONTENT_TYPES = {"mulaw": "audio/mulaw", "linear16": "audio/l16"}


class SpeakError(Exception):
    """A request is refused the way Deepgram refuses it."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


@attrs.frozen
class SpeakRequest:
    """One text that was spoken."""

    text: str
    voice: str
    format: AudioFormat


@attrs.define(eq=False)
class SpeakSimulator:
    """One Deepgram account's voice."""

    api_key: str | None = None
    """Refuse every other key with 401; None: any key will do, but there must be one."""
    latency: float = 0.2
    """Seconds a text takes."""
    requests: list[SpeakRequest] = attrs.field(factory=list, init=False)
    _answered: int = attrs.field(default=0, init=False)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        await answer_scope(scope, receive, send, self._answer)

    async def _answer(self, request: Request) -> Response:
        self._answered += 1
        request_id = str(uuid.UUID(int=Random(self._answered).getrandbits(128), version=4))
        headers = (("dg-request-id", request_id),)
        try:
            return await self._speak(request, headers)
        except SpeakError as error:
            body = {"err_code": error.code, "err_msg": str(error), "request_id": request_id}
            return json_response(error.status, body, headers)

    async def _speak(self, request: Request, headers: tuple[tuple[str, str], ...]) -> Response:
        await trio.lowlevel.checkpoint()
        family = PATHS.get(request.path.rstrip("/"))
        if request.method != "POST" or family is None:
            raise SpeakError(404, "NOT_FOUND", f"No such resource: {request.method} {request.path}")
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if not is_authorised(scheme, key, self.api_key):
            raise SpeakError(401, "INVALID_AUTH", "Invalid credentials.")
        asked = SpeakRequest(_read_text(request), _read_voice(request, family), _read_format(request))
        self.requests.append(asked)
        await trio.sleep(self.latency)
        audio = asked.format.from_telephone(synthesise(asked.text, asked.voice).audio)
        told = (*headers, ("dg-model-name", asked.voice), ("dg-char-count", str(len(asked.text))))
        return Response(200, audio, told, CONTENT_TYPES[asked.format.encoding])


def _read_voice(request: Request, family: str) -> str:
    voice = dict(request.query).get("model", "aura-asteria-en")
    if not voice.startswith(family):
        raise SpeakError(400, "Bad Request", "Bad Request: No such model/language/tier combination found.")
    return voice


def _read_format(request: Request) -> AudioFormat:
    query = dict(request.query)
    encoding = query.get("encoding", "mp3")
    if encoding not in (*RATES, *COMPRESSED):
        raise _unreadable(f"encoding: unknown variant `{encoding[:40]}`")
    if encoding not in CONTENT_TYPES:
        raise _unsupported(f"this simulator does not speak `encoding={encoding}`; send `encoding=mulaw`.")
    rate = query.get("sample_rate", "8000" if encoding == "mulaw" else "24000")
    if not rate.isdecimal():
        raise _unreadable("sample_rate: invalid digit found in string")
    if int(rate) not in RATES[encoding]:
        rates = ", ".join(map(str, RATES[encoding]))
        raise _unsupported(f"`sample_rate` must be {rates} when `encoding={encoding}`.")
    container = query.get("container", "wav")
    if container not in {"none", "wav"}:
        raise _unsupported(f"`container={container[:40]}` is invalid when `encoding={encoding}`.")
    if container == "wav":
        raise _unsupported("this simulator wraps nothing in a container; send `container=none`.")
    return AudioFormat(encoding, int(rate))


def _unreadable(what: str) -> SpeakError:
    return SpeakError(400, "INVALID_QUERY_PARAMETER", f"Failed to deserialize query parameters: {what}")


def _unsupported(what: str) -> SpeakError:
    return SpeakError(400, "UNSUPPORTED_AUDIO_FORMAT", f"Unsupported audio format: {what}")


def _read_text(request: Request) -> str:
    if len(request.body) > MAX_BODY_BYTES:
        raise SpeakError(413, "PAYLOAD_TOO_LARGE", "Payload size exceeds limit of 2 MB.")
    match request.headers.get("content-type", "").partition(";")[0].strip().casefold():
        case "application/json":
            text = _text_of_json(request.body)
        case "text/plain":
            text = _decoded(request.body)
        case _:
            allowed = "`Content-Type` must be either `text/plain` or `application/json`."
            raise SpeakError(415, "UNSUPPORTED_MEDIA_TYPE", f"`Content-Type` header is not supported. {allowed}")
    if not text.strip():
        raise SpeakError(400, "Bad Request", "Input text contains no characters.")
    if len(text) > MAX_CHARACTERS:
        message = f"Input text exceeds maximum character limit of {MAX_CHARACTERS}."
        raise SpeakError(413, "Payload Too Large", message)
    return text


def _decoded(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise SpeakError(400, "PAYLOAD_ERROR", "Failed to decode payload as UTF-8.") from error


def _text_of_json(body: bytes) -> str:
    match payload := json_or(body, None):
        case {"text": str(text)} if "url" not in payload:
            return text
        case {"url": str()} if "text" not in payload:
            message = "URL for media download must be publicly routable."  # nothing is, from here
            raise SpeakError(400, "REMOTE_CONTENT_ERROR", message)
        case _:
            wanted = "Please specify exactly one of `text` or `url` in the JSON body."
            raise SpeakError(400, "PAYLOAD_ERROR", f"Failed to deserialize JSON payload. {wanted}")
