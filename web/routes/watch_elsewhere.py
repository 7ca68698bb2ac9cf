"""Watching a call that another worker carries: its events, audio and tasks, piece by piece.

The worker with the page asks the worker with the call for one piece after the other (`Fleet.ask`). That one reads the
call as for a page of its own (`stream_of`), and compresses what comes. Where no answer comes for `QUIET_SECONDS`, the
answer to the browser ends, which comes back with its `Last-Event-ID`. A watcher that has asked for nothing for
`STALL_SECONDS` has left, takes nothing, or its worker is dead, and is forgotten. The call waits for none.

    page ─▶ worker of the page ──next piece?──▶ worker of the call
                              ◀──piece, or why there is none──
"""

import math
import zlib
from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from secrets import token_hex
from weakref import WeakValueDictionary

import attrs
import structlog
import trio

from actors.supervision import Crashed, guard
from store.fleet.shared import Fleet, Question
from web.calls.watching import WatchedCalls
from web.routes.watch import AUDIO, EVENTS, MOST_WATCHERS, STALL_SECONDS, Stream, stream_of

WATCH = "watch"
"""The kind of question that asks for a piece of a call."""
ANSWER_SECONDS = 3.0
"""For the first piece: then the other worker is of an older version, or stands still."""
QUIET_SECONDS = 5.0
"""A call that goes on tells four times a second that it does."""
REST_SECONDS = {AUDIO: 0.1, EVENTS: 0.4}
"""Between two questions: what comes meanwhile goes together. A page has a buffer of 0.15 s for audio …"""
LARGE = 4096
"""… but behind a piece of so many bytes more is waiting."""
OVER, NONE, MANY, NO_ANSWER = "over", "none", "many", "no answer"
"""Why a stream ends, or there is none."""

_log = structlog.stdlib.get_logger()


@attrs.define(eq=False)
class RemoteStream(Stream):
    """The events or the audio of a call that another worker carries: `what` of it, under `name`."""

    elsewhere: "CallsElsewhere"
    worker: str
    name: str
    asked: Mapping[str, object]
    first: bytes = attrs.field(default=b"", init=False)
    why: str = attrs.field(default=NO_ANSWER, init=False)
    """Why there are no more pieces."""

    async def next_piece(self, seconds: float) -> bytes:
        """Return the next piece; nothing at the end, or where none comes in so many seconds."""
        about = {**self.asked, "id": self.name, "is_first": not self.first}
        with suppress(OSError, ValueError):  # the database is away; a piece that nobody can read
            answers = await self.elsewhere.fleet.ask(Question(WATCH, about, worker=self.worker), seconds)
            match answers.given:
                case [{"piece": str(piece)}]:
                    return b64decode(piece, validate=True)
                case [{"end": str(why)}]:
                    self.why = why
                case _:
                    pass  # nobody has answered, or another version has
        return b""

    def leave(self) -> None:
        self.elsewhere.leave(self)

    async def parts(self) -> AsyncGenerator[bytes, None]:
        unpack, piece = zlib.decompressobj(), self.first
        with suppress(zlib.error):  # nothing follows a piece that cannot be read
            while piece:
                if part := unpack.decompress(piece):
                    yield part
                await trio.sleep(REST_SECONDS.get(str(self.asked["watch"]), 0) if len(piece) < LARGE else 0)
                piece = await self.next_piece(QUIET_SECONDS)


@attrs.define(eq=False)
class _Sent:
    """A stream of a call here, as a watcher elsewhere goes through it."""

    parts: AsyncGenerator[bytes, None]
    asked_at: float = attrs.field(factory=trio.current_time, init=False)
    _pack: "zlib._Compress" = attrs.field(factory=lambda: zlib.compressobj(1), init=False)

    async def next_piece(self) -> bytes:
        """Return what comes next, compressed; nothing at the end."""
        part = await anext(self.parts, b"")
        return self._pack.compress(part) + self._pack.flush(zlib.Z_SYNC_FLUSH) if part else b""


@attrs.define(eq=False)
class CallsElsewhere:
    """Watches calls of other workers for pages here, and sends calls of this worker to pages elsewhere."""

    fleet: Fleet
    watched: WatchedCalls
    _reading: WeakValueDictionary[str, RemoteStream] = attrs.field(factory=WeakValueDictionary, init=False)
    """A stream whose browser has gone before the answer began is forgotten by all."""
    _sent: dict[str, _Sent] = attrs.field(factory=dict, init=False)

    @property
    def watchers(self) -> int:
        return len(self._reading)

    async def watch(self, worker: str, call: str, what: str, since: str = "") -> RemoteStream | str:
        """Return a stream of a call that another worker carries, or why there is none."""
        stream = RemoteStream(self, worker, token_hex(8), {"watch": what, "call": call, "since": since})
        self._reading[stream.name] = stream
        stream.first = await stream.next_piece(ANSWER_SECONDS)
        if stream.first:
            return stream
        self.leave(stream)
        return stream.why

    def leave(self, stream: RemoteStream) -> None:
        self._reading.pop(stream.name, None)

    async def answer(self, _: str, about: object) -> object:
        """Give a watcher elsewhere the next piece of a call here. Raises: `ValueError` for one of another version."""
        match about:
            case {"id": str(name), "watch": str(what), "call": str(call), "since": str(since), "is_first": is_first}:
                why = self._begin(name, stream_of(self.watched.find(call), what, since)) if is_first else ""
                piece = b"" if why else await self._next_piece(name)
                return {"piece": b64encode(piece).decode()} if piece else {"end": why or OVER}
            case _:
                raise ValueError("another version wants to watch something")

    def _begin(self, name: str, stream: Stream | None) -> str:
        """Begin to send a stream; return why there is none, or nothing."""
        if stream is None:
            return NONE
        if self.watched.watchers >= MOST_WATCHERS:
            return MANY
        self._sent[name] = _Sent(stream.parts())
        return ""

    async def _next_piece(self, name: str) -> bytes:
        if (sent := self._sent.get(name)) is None:
            return b""
        piece: bytes | Crashed = b""
        sent.asked_at = math.inf  # a stream that is being read cannot be closed
        with trio.move_on_after(QUIET_SECONDS):
            piece = await guard(sent.next_piece)
        if isinstance(piece, Crashed):
            _log.error("watching_crashed", error=piece.reason)
            piece = b""
        sent.asked_at = trio.current_time() if piece else -math.inf
        return piece

    async def run(self) -> None:
        """Forget watchers at other workers that ask for nothing any more, until cancelled."""
        while True:
            await trio.sleep(1)
            for name, sent in [*self._sent.items()]:
                if sent.asked_at + STALL_SECONDS <= trio.current_time():
                    del self._sent[name]
                    await sent.parts.aclose()


async def read_tree(stream: Stream) -> bytes | None:
    """Read the tree of a call's tasks from here or elsewhere; None where it does not come."""
    text = b""
    with trio.move_on_after(ANSWER_SECONDS):
        async with stream:
            async for part in stream:
                text += part
    is_tree = text.startswith(b"[") and text.endswith(b"]")
    return text if is_tree else None  # one that ended early, or of another version
