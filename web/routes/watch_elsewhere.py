"""Watching a call that another worker carries: its events, audio and tasks, as messages between the two workers.

The worker with the page asks the worker with the call for one numbered piece after the other. That one reads the call
as for a page of its own (`stream_of`), compresses what comes, and posts a piece when it is asked for. A message is lost
where nobody listens at that moment (a worker that has just begun, or has just lost its database): so an ask is repeated
until its piece is there, and the piece is posted again each time. Where none comes for `QUIET_SECONDS`, the answer to
the browser ends, which comes back with its `Last-Event-ID`. A watcher that takes nothing is dropped on both sides as
one here is; the call waits for none.

    page ─▶ worker of the page ──ask n, left──▶ worker of the call
                              ◀──piece n, end──
"""

import zlib
from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from secrets import token_hex
from typing import TypeAlias
from weakref import WeakValueDictionary

import attrs
import orjson
import structlog
import trio

from actors.supervision import unharmed
from protocol.fields import json_or
from store.fleet.shared import Fleet
from web.calls.watching import WatchedCalls
from web.routes.watch import EVENTS, MOST_WATCHERS, Stream, stream_of

ANSWER_SECONDS = 3.0
"""For the first piece: then the other worker is of an older version, or hears no notification."""
AGAIN_SECONDS = 0.9
"""After these a piece is asked for again: a message was lost, or the other worker is slow and sends it twice."""
QUIET_SECONDS = 5.0
"""A call that goes on tells four times a second that it does."""
PIECE_BYTES = 5700
"""Of compressed stream, before base64: a post has 7,900 bytes at most."""
REST_SECONDS = 0.1
"""Between two posts of facts: what comes meanwhile goes together."""
AHEAD = 4
"""Asks of one watcher that wait to be read: all but one are repetitions."""
OVER, NONE, MANY, NO_ANSWER = "over", "none", "many", "no answer"
"""Why a stream ends, or there is none."""

Message: TypeAlias = Mapping[str, object]
Job: TypeAlias = Callable[[], Awaitable[object]]

_log = structlog.stdlib.get_logger()


@attrs.frozen
class Ask:
    """One watcher's wish: `what` of a call, sent to worker `to` under `id`; `since` is a `Last-Event-ID`."""

    ask: str
    id: str
    to: str
    call: str
    since: str
    n: int = 0
    """The piece that is wanted."""


@attrs.define(eq=False)
class RemoteStream(Stream):
    """The events or the audio of a call that another worker carries."""

    elsewhere: "CallsElsewhere"
    worker: str
    ask: Ask
    ended: str = attrs.field(default="", init=False)
    _count: int = attrs.field(default=0, init=False)
    """Pieces that have come."""
    first: str = attrs.field(default="", init=False)
    _put: trio.MemorySendChannel[str] = attrs.field(init=False)
    _pieces: trio.MemoryReceiveChannel[str] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._put, self._pieces = trio.open_memory_channel[str](1)

    def take(self, message: Message) -> None:
        """Take the piece that was asked for, or the end."""
        match message:
            case {"n": int(number), "piece": str(piece)} if number == self._count and not self.ended:
                with suppress(trio.WouldBlock):  # nobody has asked for it
                    self._put.send_nowait(piece)
                    self._count += 1
            case {"end": str(why)}:
                self.ended = self.ended or why
                self._put.close()
            case _:
                pass  # it is here already, or of another version

    async def next_piece(self, seconds: float) -> str:
        """Ask for the next piece until it is there, for so long; return nothing at the end, or where none comes."""
        with trio.move_on_after(seconds), suppress(trio.EndOfChannel):
            while not self.ended and await self.elsewhere.say(self.worker, attrs.asdict(self.ask) | {"n": self._count}):
                with trio.move_on_after(AGAIN_SECONDS):
                    return await self._pieces.receive()
        return ""

    def leave(self) -> None:
        self.elsewhere.leave(self)

    async def _parts(self) -> AsyncGenerator[bytes, None]:
        unpack, piece = zlib.decompressobj(), self.first
        with suppress(ValueError, zlib.error):  # nothing follows a piece that cannot be read
            while piece:
                if part := unpack.decompress(b64decode(piece, validate=True)):
                    yield part
                piece = await self.next_piece(QUIET_SECONDS)


@attrs.define(eq=False)
class CallsElsewhere:
    """Watches calls of other workers for pages here, and sends calls of this worker to pages elsewhere."""

    fleet: Fleet
    watched: WatchedCalls
    _reading: WeakValueDictionary[str, RemoteStream] = attrs.field(factory=WeakValueDictionary, init=False)
    """A stream whose browser has gone before the answer began is forgotten by all."""
    _asks: dict[str, trio.MemorySendChannel[int]] = attrs.field(factory=dict, init=False)
    """For each watcher elsewhere: the numbers of the pieces that it asks for."""
    _later: trio.MemorySendChannel[Job] = attrs.field(init=False)
    _jobs: trio.MemoryReceiveChannel[Job] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._later, self._jobs = trio.open_memory_channel[Job](2 * MOST_WATCHERS)
        self.fleet.on_post(self.take)

    @property
    def watchers(self) -> int:
        return len(self._reading)

    async def watch(self, worker: str, call: str, what: str, since: str = "") -> RemoteStream | str:
        """Return a stream of a call that another worker carries, or why there is none."""
        stream = RemoteStream(self, worker, Ask(what, token_hex(8), self.fleet.worker, call, since))
        self._reading[stream.ask.id] = stream
        stream.first = await stream.next_piece(ANSWER_SECONDS)
        if stream.first:
            return stream
        self.leave(stream)
        return stream.ended or NO_ANSWER

    def leave(self, stream: RemoteStream) -> None:
        """Want no more of a stream; its worker is told soon."""
        name = stream.ask.id
        if self._reading.pop(name, None) is not None:
            with suppress(trio.WouldBlock):  # it finds out by itself that nothing is taken
                self._later.send_nowait(partial(self.say, stream.worker, {"id": name, "left": True}))

    async def say(self, worker: str, message: Message) -> bool:
        """Post a message; False where the database is away."""
        return await self.fleet.post(worker, orjson.dumps(message).decode())

    def take(self, body: str) -> None:
        """Take what another worker has posted; what this version does not know is logged, and does nothing."""
        match message := json_or(body, None):
            case {"ask": str(), "id": str(), "to": str(), "call": str(), "since": str(), "n": int()}:
                self._asked(Ask(**{field.name: message[field.name] for field in attrs.fields(Ask)}))
            case {"id": str(name), "left": True}:
                if (asks := self._asks.get(name)) is not None:
                    asks.close()
            case {"id": str(name)}:
                if (stream := self._reading.get(name)) is not None:
                    stream.take(message)
            case _:
                _log.warning("post_unknown", excerpt=body[:80])

    def _asked(self, ask: Ask) -> None:
        with suppress(trio.WouldBlock, trio.ClosedResourceError):  # the page asks again, or has left
            if ask.id not in self._asks:
                asks, numbers = trio.open_memory_channel[int](AHEAD)
                self._later.send_nowait(partial(self._send, ask, numbers))
                self._asks[ask.id] = asks
            self._asks[ask.id].send_nowait(ask.n)

    async def run(self) -> None:
        """Send calls of this worker to watchers elsewhere, until cancelled."""
        async with trio.open_nursery() as nursery:
            async for job in self._jobs:
                nursery.start_soon(unharmed, job, "watching_crashed")

    async def _send(self, ask: Ask, numbers: trio.MemoryReceiveChannel[int]) -> None:
        stream, why = stream_of(self.watched.find(ask.call), ask.ask, ask.since), NONE
        try:
            if ask.n:
                why = OVER  # and its end was lost on the way
            elif stream is not None:
                is_room = self.watched.watchers < MOST_WATCHERS
                why = await self._pump(stream, ask, numbers) if is_room else MANY
        finally:
            del self._asks[ask.id]
        await self.say(ask.to, {"id": ask.id, "end": why})

    async def _pump(self, stream: Stream, ask: Ask, numbers: trio.MemoryReceiveChannel[int]) -> str:
        pack, pieces, sent = zlib.compressobj(1), [b""], -1
        async with stream:
            async for number in numbers:  # no longer than the stream waits for its peer
                if number > sent:
                    sent, pieces = number, pieces[1:] or _packed(pack, await anext(stream, b""))
                message = {"id": ask.id, "n": number, "piece": b64encode(pieces[0]).decode()}
                if not (pieces[0] and await self.say(ask.to, message)):
                    break
                if ask.ask == EVENTS:
                    await trio.sleep(REST_SECONDS)
        return OVER


def _packed(pack: "zlib._Compress", part: bytes) -> list[bytes]:
    packed = pack.compress(part) + pack.flush(zlib.Z_SYNC_FLUSH) if part else b""
    return [packed[at : at + PIECE_BYTES] for at in range(0, len(packed) or 1, PIECE_BYTES)]


async def read_tree(stream: Stream) -> bytes | None:
    """Read the tree of a call's tasks from here or elsewhere; None where it does not come."""
    text = b""
    with trio.move_on_after(ANSWER_SECONDS):
        async with stream:
            async for part in stream:
                text += part
    is_tree = text.startswith(b"[") and text.endswith(b"]")
    return text if is_tree else None  # one that ended early, or of another version
