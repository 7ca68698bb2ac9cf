"""A call as it goes on, for its watchers: its journal as server-sent events, and its audio.

`EventStream` sends the entries of a journal, each with an id that says where it stands. A client that comes back with
`Last-Event-ID` gets what follows, without a gap or a repetition; if its id is of another log (the call went on in
another worker, or is read from disk now), it is told to begin anew (`reset`). In between come `now` events without an
id: levels, whose turn it is, the silence, the tree of tasks when it has changed. `over` is the last one.

`ListenStream` sends both sides in steps of a tenth of a second, each first the caller, then the agents, µ-law.
`TreeStream` sends the tree of tasks, once.

A watcher that takes nothing for `STALL_SECONDS` is dropped. Nothing here is waited for by the call.
"""

import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from types import TracebackType
from typing import Self

import attrs
import orjson
import trio
from quart.wrappers.response import ResponseBody

from protocol.audio import BYTES_PER_SECOND
from web.calls.call_files import JOURNAL, RECORD, CallFiles
from web.calls.watching import WatchedCall

STALL_SECONDS = 10.0
TICK = 0.25
"""Between `now` events."""
TREE_SECONDS = 2.0
"""Between two trees with the same tasks: what they wait for has changed."""
POLL_SECONDS = 1.0
"""Between looks at a journal that another worker writes: its Scribe writes once a second."""
LAG = 0.6
"""How far behind the call a listener is: what the caller has heard is known when it was played."""
STEP = 0.1
LOOK_SECONDS = 5.0
DISK = "disk"
MOST_WATCHERS = 200
"""Of all calls of a worker: each costs a connection and some messages a second."""


@attrs.define
class Stream(ResponseBody):
    """The body of an answer that lasts. A peer that does not take the next part in time is dropped."""

    _held: ExitStack = attrs.field(factory=ExitStack, init=False)
    _scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)

    def _hold(self) -> AbstractContextManager[None]:
        raise NotImplementedError

    async def _next(self) -> bytes | None:
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        self._held.enter_context(self._scope)
        self._held.enter_context(self._hold())
        return self

    async def __aexit__(  # type: ignore[override]  # a peer that was dropped is no error
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> bool | None:
        return self._held.__exit__(kind, error, where)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        self._scope.deadline = float("inf")
        part = await self._next()
        self._scope.deadline = trio.current_time() + STALL_SECONDS
        if part is None:
            raise StopAsyncIteration
        return part


async def here() -> str:
    """Know no other worker."""
    return ""


def event_of(name: str, value: object) -> bytes:
    """Write an event; its JSON has no line ends, so no field of it can begin another."""
    return f"event: {name}\ndata: ".encode() + orjson.dumps(value) + b"\n\n"


def _entries(epoch: str, index: int, lines: list[bytes]) -> bytes:
    """Write journal entries as they stand: JSON text without line ends."""
    events = (b"id: %s:%d\nevent: fact\ndata: %s\n\n" % (epoch.encode(), index + one, line.strip())
              for one, line in enumerate(lines))  # fmt: skip
    return b"".join(events)


def _place(last_event_id: str, epoch: str) -> int | None:
    """Return the index behind the last event that a client has; 0 if it has none, None if it is of another log."""
    given, _, index = last_event_id.rpartition(":")
    if not last_event_id:
        return 0
    return int(index) + 1 if given == epoch and re.fullmatch(r"[0-9]{1,9}", index) else None


@attrs.define
class EventStream(Stream):
    """The events of a call that goes on here, or has lately."""

    call: WatchedCall
    last_event_id: str = ""
    find_worker: Callable[[], Awaitable[str]] = here
    """Tells which other worker carries the call, once it has no stream here."""
    _index: int | None = attrs.field(default=None, init=False)
    _tick_at: float = attrs.field(default=0.0, init=False)
    _look_at: float = attrs.field(default=0.0, init=False)
    _told: list[tuple[int, str]] = attrs.field(factory=list, init=False)
    """The tasks that the client knows of."""
    _told_at: float = attrs.field(default=-math.inf, init=False)
    _is_done: bool = attrs.field(default=False, init=False)

    def _hold(self) -> AbstractContextManager[None]:
        return self.call.watched()

    async def _next(self) -> bytes | None:
        if self._index is None:
            return self._greet()
        while not self._is_done:
            if trio.current_time() >= self._tick_at and not self.call.over:
                self._is_done = await self._has_moved()
                return self._now()
            if self._index < self.call.count:
                return self._catch_up()
            if self.call.over:
                self._is_done = True
                return event_of("over", {})
            with trio.move_on_at(self._tick_at):
                await self.call.changed.park()
        return None

    def _greet(self) -> bytes:
        place = _place(self.last_event_id, self.call.epoch)
        self._index = place if place is not None and place <= self.call.count else 0
        begun = b"retry: 1000\n\n"
        return begun + (event_of("reset", {}) if place != self._index else b"") + self._now()

    def _catch_up(self) -> bytes:
        index = self._index or 0
        missing = event_of("missing", {"count": self.call.first - index}) if index < self.call.first else b""
        index = max(index, self.call.first)
        lines = list(self.call.lines(index))
        self._index = index + len(lines)
        return missing + _entries(self.call.epoch, index, lines)

    async def _has_moved(self) -> bool:
        """Look every few seconds whether a call without a stream has one at another worker: the client asks again."""
        if self.call.now is not None or trio.current_time() < self._look_at:
            return False
        self._look_at = trio.current_time() + LOOK_SECONDS
        return bool(await self.find_worker())

    def _now(self) -> bytes:
        self._tick_at = trio.current_time() + TICK
        moment, names = self.call.moment(), self.call.task_names()
        if names != self._told or trio.current_time() >= self._told_at + TREE_SECONDS:
            self._told, self._told_at = names, trio.current_time()
            moment["tasks"] = [attrs.astuple(node) for node in self.call.tasks()]
        return event_of("now", moment)


@attrs.define
class DiskStream(Stream):
    """The events of a call that is over, or that another worker carries, as its journal on disk has them."""

    files: CallFiles
    call_sid: str
    last_event_id: str = ""
    _index: int = attrs.field(default=0, init=False)
    _read: int = attrs.field(default=0, init=False)
    _skip: int = attrs.field(default=0, init=False)
    _begun: bool = attrs.field(default=False, init=False)
    _is_done: bool = attrs.field(default=False, init=False)

    def _hold(self) -> AbstractContextManager[None]:
        return ExitStack()  # type: ignore[return-value]

    async def _next(self) -> bytes | None:
        if not self._begun:
            self._begun = True
            place = _place(self.last_event_id, DISK)
            self._skip = place or 0
            return b"retry: 1000\n\n" + (event_of("reset", {}) if place is None else b"")
        while not self._is_done:
            is_finished = await self.files.has(self.call_sid, RECORD)
            if events := await self._take():
                return events
            if is_finished:
                self._is_done = True
                return event_of("over", {})
            await trio.sleep(POLL_SECONDS)
        return None

    async def _take(self) -> bytes:
        """Return the whole lines that have come, without those that the client has."""
        text = await self.files.read(self.call_sid, JOURNAL, self._read) or b""
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        lines, first = whole.splitlines(), self._index
        self._index += len(lines)
        behind = max(0, min(self._skip - first, len(lines)))
        return _entries(DISK, first + behind, lines[behind:])


@attrs.define
class TreeStream(Stream):
    """The tree of a call's tasks as it is now: a JSON array, and then the end."""

    call: WatchedCall
    _is_told: bool = attrs.field(default=False, init=False)

    def _hold(self) -> AbstractContextManager[None]:
        return nullcontext()

    async def _next(self) -> bytes | None:
        is_told, self._is_told = self._is_told, True
        return None if is_told else tree_text(self.call)


def tree_text(call: WatchedCall) -> bytes:
    """Write the tree of a call's tasks down."""
    return orjson.dumps([attrs.asdict(node) for node in call.tasks()])


@attrs.define
class ListenStream(Stream):
    """Both sides of a call that goes on here."""

    call: WatchedCall
    _start: int | None = attrs.field(default=None, init=False)

    def _hold(self) -> AbstractContextManager[None]:
        return self.call.listened()

    async def _next(self) -> bytes | None:
        size = round(STEP * BYTES_PER_SECOND)
        while (now := self.call.now) is not None:
            ready = round((now - LAG) * BYTES_PER_SECOND)
            start = self._start if self._start is not None else max(0, ready)
            if ready - start >= size:
                start = max(start, ready - BYTES_PER_SECOND)  # a watcher that is late goes on where the call is
                self._start = start + size
                return b"".join(self.call.audio(start, size))
            self._start = start
            await trio.sleep(max(0.01, (start + size - ready) / BYTES_PER_SECOND))
        return None
