"""Watching a call that another worker carries: its events, audio and tasks, as messages between the two workers.

The worker with the page asks the worker with the call, which reads the call as for a page of its own (`stream_of`),
compresses what comes and posts it in numbered pieces. It has at most `WINDOW` pieces on
their way: the other says how many it has taken. A message is lost where nobody listens at that moment (a worker that
has just begun, or has just lost its database): so a wish is repeated until there is an answer. Later on, a message that
is lost (a gap in the numbers, or no sound for `QUIET_SECONDS`) ends the answer to the browser, which comes back with
its `Last-Event-ID`. A watcher that takes nothing is dropped on both sides as one here is; the call waits for none.

    page ─▶ worker of the page ──ask, taken, left──▶ worker of the call
                              ◀──piece …, end──────
"""

import zlib
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from secrets import token_hex
from typing import TypeAlias

import attrs
import orjson
import structlog
import trio
from trio.lowlevel import ParkingLot

from actors.supervision import unharmed
from protocol.fields import json_or
from store.fleet.shared import Fleet
from web.calls.watching import WatchedCalls
from web.routes.watch import EVENTS, MOST_WATCHERS, STALL_SECONDS, Stream, stream_of

ANSWER_SECONDS = 3.0
"""For the first piece: then the other worker is of an older version, or hears no notification."""
AGAIN_SECONDS = 0.9
"""After these the wish is posted again: it was lost, or the other worker is slow and passes over the second one."""
QUIET_SECONDS = 5.0
"""A call that goes on tells four times a second that it does."""
WINDOW = 16
PIECE_BYTES = 5700
"""Of compressed stream, before base64: a post has 7,900 bytes at most."""
REST_SECONDS = 0.1
"""Between two posts of facts: what comes meanwhile goes together."""
OVER, NONE, MANY, STALLED, LOST, NO_ANSWER = "over", "none", "many", "stalled", "lost", "no answer"
"""Why a stream ends, or there is none."""

Message: TypeAlias = Mapping[str, object]
Job: TypeAlias = Callable[[], Awaitable[object]]

_log = structlog.stdlib.get_logger()


@attrs.frozen
class Ask:
    """One watcher's wish: `what` of a call, sent to worker `to` under `id`; `since` is a `Last-Event-ID`."""

    id: str
    to: str
    call: str
    what: str
    since: str = ""


@attrs.define(eq=False)
class _Reading:
    """Events and audio of a call elsewhere, as far as they were not taken yet."""

    began: float = attrs.field(factory=trio.current_time)
    is_read: bool = False
    ended: str = ""
    _expected: int = 0
    _pieces: deque[bytes] = attrs.field(factory=deque)
    _changed: ParkingLot = attrs.field(factory=ParkingLot)

    def take(self, message: Message) -> None:
        """Take the next piece, or the end; a piece that is not the next one is the end, too."""
        match message:
            case {"n": int(number), "piece": str(piece)} if not self.ended:
                is_next = number == self._expected and len(self._pieces) <= WINDOW
                self._expected += 1
                if is_next and (packed := _decoded(piece)) is not None:
                    self._pieces.append(packed)
                else:
                    self.ended = LOST
            case {"end": str(why)}:
                self.ended = self.ended or why
            case _:
                pass  # of another version
        self._changed.unpark_all()

    async def wait_any(self) -> bool:
        """Wait for a piece, or for the end; return whether there is a piece."""
        while not self._pieces and not self.ended:
            await self._changed.park()
        return bool(self._pieces)

    def pop(self) -> bytes:
        return self._pieces.popleft()


@attrs.define(eq=False)
class _Sending:
    """Events and audio for one watcher elsewhere."""

    sent: int = 0
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    _taken: int = 0
    _changed: ParkingLot = attrs.field(factory=ParkingLot)

    def take(self, message: Message) -> None:
        """Learn how many pieces were taken, or that the watcher has left."""
        match message:
            case {"taken": int(taken)}:
                self._taken = max(self._taken, taken)
                self._changed.unpark_all()
            case {"left": True}:
                self.scope.cancel(reason="the watcher has left")
            case _:
                pass  # of another version

    async def wait_room(self) -> None:
        while self.sent - self._taken >= WINDOW:
            await self._changed.park()


@attrs.define
class RemoteStream(Stream):
    """The events or the audio of a call that another worker carries."""

    elsewhere: "CallsElsewhere"
    worker: str
    id: str
    _reading: _Reading
    _taken: int = attrs.field(default=0, init=False)
    _unpack: "zlib._Decompress" = attrs.field(factory=zlib.decompressobj, init=False)

    @contextmanager
    def _hold(self) -> Iterator[None]:
        self._reading.is_read = True
        try:
            yield
        finally:
            self.leave()

    def leave(self) -> None:
        self.elsewhere.leave(self.worker, self.id)

    async def _parts(self) -> AsyncGenerator[bytes, None]:
        while part := await self._next():
            yield part

    async def _next(self) -> bytes | None:
        with trio.move_on_after(QUIET_SECONDS):
            while await self._reading.wait_any():
                self._taken += 1
                try:
                    part = self._unpack.decompress(self._reading.pop())
                except zlib.error:
                    return None
                if self._taken % (WINDOW // 2) == 0:
                    await self.elsewhere.say(self.worker, {"id": self.id, "taken": self._taken})
                if part:
                    return part
        return None


@attrs.define(eq=False)
class CallsElsewhere:
    """Watches calls of other workers for pages here, and sends calls of this worker to pages elsewhere."""

    fleet: Fleet
    watched: WatchedCalls
    _reading: dict[str, _Reading] = attrs.field(factory=dict, init=False)
    _sending: dict[str, _Sending] = attrs.field(factory=dict, init=False)
    _later: trio.MemorySendChannel[Job] = attrs.field(init=False)
    _jobs: trio.MemoryReceiveChannel[Job] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._later, self._jobs = trio.open_memory_channel[Job](2 * MOST_WATCHERS)
        self.fleet.on_post(self.take)

    @property
    def watchers(self) -> int:
        self._forget_unread()
        return len(self._reading)

    async def watch(self, worker: str, call: str, what: str, since: str = "") -> RemoteStream | str:
        """Return a stream of a call that another worker carries, or why there is none."""
        self._forget_unread()
        with trio.move_on_after(ANSWER_SECONDS):
            while True:
                found = await self._watch_once(Ask(token_hex(8), self.fleet.worker, call, what, since), worker)
                if found not in (LOST, OVER):  # else the first piece was lost: another stream begins with it
                    return found
        return NO_ANSWER

    async def _watch_once(self, ask: Ask, worker: str) -> RemoteStream | str:
        """Repeat one wish until there is an answer; return the stream, or why there is none."""
        reading = self._reading[ask.id] = _Reading()
        is_there = False
        try:
            while not (is_there or reading.ended):
                if not await self.say(worker, {"ask": ask.what, **attrs.asdict(ask)}):
                    return NO_ANSWER
                with trio.move_on_after(AGAIN_SECONDS):
                    is_there = await reading.wait_any()
        finally:
            if not is_there:
                self.leave(worker, ask.id)
        return RemoteStream(self, worker, ask.id, reading) if is_there else reading.ended

    def leave(self, worker: str, name: str) -> None:
        """Want no more of a stream; its worker is told soon."""
        if self._reading.pop(name, None) is not None:
            with suppress(trio.WouldBlock):  # it finds out by itself that nothing is taken
                self._later.send_nowait(partial(self.say, worker, {"id": name, "left": True}))

    def _forget_unread(self) -> None:
        """Forget streams whose browser had gone before the answer began."""
        before = trio.current_time() - STALL_SECONDS
        for name in [name for name, one in self._reading.items() if not one.is_read and one.began < before]:
            del self._reading[name]

    async def say(self, worker: str, message: Message) -> bool:
        """Post a message; False where the database is away."""
        return await self.fleet.post(worker, orjson.dumps(message).decode())

    def take(self, body: str) -> None:
        """Take what another worker has posted; what this version does not know is logged, and does nothing."""
        match message := json_or(body, None):
            case {"ask": str(what), "id": str(name), "to": str(to), "call": str(call), "since": str(since)}:
                if name not in self._sending:  # else it was repeated
                    with suppress(trio.WouldBlock):  # the page asks again
                        self._later.send_nowait(partial(self._send, Ask(name, to, call, what, since)))
                        self._sending[name] = _Sending()
            case {"id": str(name)}:
                end = self._reading.get(name) or self._sending.get(name)
                if end is not None:
                    end.take(message)
            case _:
                _log.warning("post_unknown", excerpt=body[:80])

    async def run(self) -> None:
        """Send calls of this worker to watchers elsewhere, until cancelled."""
        async with trio.open_nursery() as nursery:
            async for job in self._jobs:
                nursery.start_soon(unharmed, job, "watching_crashed")

    async def _send(self, ask: Ask) -> None:
        stream, link, why = self._stream_for(ask), self._sending[ask.id], NONE
        try:
            with link.scope:
                why = stream if isinstance(stream, str) else await self._pump(stream, ask, link)
        finally:
            del self._sending[ask.id]
        await self.say(ask.to, {"id": ask.id, "end": why})

    def _stream_for(self, ask: Ask) -> Stream | str:
        stream = stream_of(self.watched.find(ask.call), ask.what, ask.since)
        return MANY if stream is not None and self.watched.watchers >= MOST_WATCHERS else stream or NONE

    async def _pump(self, stream: Stream, ask: Ask, link: _Sending) -> str:
        pack = zlib.compressobj(1)
        async with stream:
            async for part in stream:
                packed = pack.compress(part) + pack.flush(zlib.Z_SYNC_FLUSH)
                for at in range(0, len(packed), PIECE_BYTES):
                    await link.wait_room()  # no longer than the stream waits for its peer
                    piece = b64encode(packed[at : at + PIECE_BYTES]).decode()
                    message = {"id": ask.id, "n": link.sent, "piece": piece}
                    if not await self.say(ask.to, message):
                        return NONE
                    link.sent += 1
                if ask.what == EVENTS:
                    await trio.sleep(REST_SECONDS)
            return OVER
        return STALLED


async def read_tree(stream: Stream) -> bytes | None:
    """Read the tree of a call's tasks from here or elsewhere; None where it does not come."""
    text = b""
    with trio.move_on_after(ANSWER_SECONDS):
        async with stream:
            async for part in stream:
                text += part
    is_tree = text.startswith(b"[") and text.endswith(b"]")
    return text if is_tree else None  # one of an older version sends audio


def _decoded(piece: str) -> bytes | None:
    try:
        return b64decode(piece, validate=True)
    except ValueError:
        return None
