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
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
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
EVENTS, AUDIO, TASKS = "events", "audio", "tasks"
"""What a watcher may ask for."""
MOST_WATCHERS = 200
"""Of all calls of a worker: each costs a connection and some messages a second."""


@attrs.define
class JournalOnDisk:
    """The journal of a call on disk, as one reader goes through it."""

    files: CallFiles
    call_sid: str
    _line: int = attrs.field(default=0, init=False)
    _byte: int = attrs.field(default=0, init=False)
    """Where the next line begins."""

    async def lines(self, first: int, most: int = sys.maxsize) -> list[bytes]:
        """Return some lines from number `first` on, `most` at most; none where no more are there yet."""
        if first < self._line:
            self._line = self._byte = 0
        while found := await self.files.lines(self.call_sid, JOURNAL, self._byte):
            skipped = first - self._line
            lines = found[: skipped + most]
            self._line, self._byte = self._line + len(lines), self._byte + sum(map(len, lines))
            if len(lines) > skipped:
                return lines[skipped:]
        return []


@attrs.define
class Stream(ResponseBody):
    """The body of an answer that lasts. A peer that does not take the next part in time is dropped."""

    _held: ExitStack = attrs.field(factory=ExitStack, init=False)
    _scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _coming: AsyncGenerator[bytes, None] = attrs.field(init=False)

    def parts(self) -> AsyncGenerator[bytes, None]:
        raise NotImplementedError

    def leave(self) -> None:
        """Let go of what is read: the answer is over, or nobody reads it."""

    async def __aenter__(self) -> Self:
        self._held.enter_context(self._scope)
        self._coming = self.parts()
        return self

    async def __aexit__(  # type: ignore[override]  # a peer that was dropped is no error
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> bool | None:
        self.leave()
        await self._coming.aclose()
        return self._held.__exit__(kind, error, where)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        self._scope.deadline = math.inf
        try:
            return await anext(self._coming)
        finally:
            self._scope.deadline = trio.current_time() + STALL_SECONDS


async def here() -> str:
    """Return no worker: there is no other one."""
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


async def _next(call: WatchedCall, journal: JournalOnDisk, index: int) -> tuple[int, list[bytes]]:
    """Return entries from an index on, and the index of the first one that is left."""
    line, count = call.on_disk(index)
    if count and (lines := await journal.lines(line, count)):
        return index, lines
    first = max(index, call.first)
    return first, list(call.lines(first))


@attrs.define
class EventStream(Stream):
    """The events of a call that goes on here, or has lately."""

    call: WatchedCall
    last_event_id: str = ""
    find_worker: Callable[[], Awaitable[str]] = here
    """Tells which other worker carries the call, once it has no stream here."""
    _look_at: float = attrs.field(default=0.0, init=False)
    _told: list[tuple[int, str]] = attrs.field(factory=list, init=False)
    """The tasks that the client knows of."""
    _told_at: float = attrs.field(default=-math.inf, init=False)

    async def parts(self) -> AsyncGenerator[bytes, None]:
        call, place = self.call, _place(self.last_event_id, self.call.epoch)
        journal = JournalOnDisk(call.files, call.call_sid)
        index = place if place is not None and place <= call.count else 0
        tick_at = trio.current_time() + TICK
        with call.watched():
            yield b"retry: 1000\n\n" + (event_of("reset", {}) if place != index else b"") + self._now()
            while True:
                now = b""
                if trio.current_time() >= tick_at and not call.over:
                    has_moved = await self._has_moved()
                    tick_at, now = trio.current_time() + TICK, self._now()
                    if has_moved:
                        yield now
                        return
                if index < call.count:
                    first, lines = await _next(call, journal, index)
                    missing = event_of("missing", {"count": first - index}) if index < first else b""
                    index = first + len(lines)
                    yield now + missing + _entries(call.epoch, first, lines)
                elif now:
                    yield now
                elif call.over:
                    yield event_of("over", {})
                    return
                else:
                    with trio.move_on_at(tick_at):
                        await call.changed.park()

    async def _has_moved(self) -> bool:
        """Look every few seconds whether a call without a stream has one at another worker: the client asks again."""
        if self.call.now is not None or trio.current_time() < self._look_at:
            return False
        self._look_at = trio.current_time() + LOOK_SECONDS
        return bool(await self.find_worker())

    def _now(self) -> bytes:
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
    last_event_id: str
    is_kept: Callable[[], Awaitable[bool]]
    """Tells whether its record is in the database: one of a call that was cut has no file."""

    async def parts(self) -> AsyncGenerator[bytes, None]:
        place, journal = _place(self.last_event_id, DISK), JournalOnDisk(self.files, self.call_sid)
        yield b"retry: 1000\n\n" + (event_of("reset", {}) if place is None else b"")
        index = place or 0
        while True:
            is_finished = await self.files.has(self.call_sid, RECORD) or await self.is_kept()
            if lines := await journal.lines(index):
                yield _entries(DISK, index, lines)
                index += len(lines)
            elif is_finished:
                yield event_of("over", {})
                return
            else:
                await trio.sleep(POLL_SECONDS)


@attrs.define
class TreeStream(Stream):
    """The tree of a call's tasks as it is now: a JSON array, and then the end."""

    call: WatchedCall

    async def parts(self) -> AsyncGenerator[bytes, None]:
        yield orjson.dumps([attrs.asdict(node) for node in self.call.tasks()])


@attrs.define
class ListenStream(Stream):
    """Both sides of a call that goes on here."""

    call: WatchedCall

    async def parts(self) -> AsyncGenerator[bytes, None]:
        size, start = round(STEP * BYTES_PER_SECOND), -1
        with self.call.listened():
            while (now := self.call.now) is not None:
                ready = round((now - LAG) * BYTES_PER_SECOND)
                start = start if start >= 0 else max(0, ready)
                if ready - start >= size:
                    start = max(start, ready - BYTES_PER_SECOND)  # a watcher that is late goes on where the call is
                    steps = range(start, ready - size + 1, size)
                    yield b"".join(side for step in steps for side in self.call.audio(step, size))
                    start = steps[-1] + size
                else:
                    await trio.sleep(max(0.01, (start + size - ready) / BYTES_PER_SECOND))


def stream_of(
    call: WatchedCall | None, what: str, since: str = "", find_worker: Callable[[], Awaitable[str]] = here
) -> Stream | None:
    """Return a stream of a call that goes on here, or has lately; None where there is nothing of what is asked for."""
    if call is None or (what != EVENTS and call.now is None):
        return None
    match what:
        case "events":
            return EventStream(call, since, find_worker)
        case "audio":
            return ListenStream(call)
        case "tasks":
            return TreeStream(call)
        case _:
            return None
