"""The calls of this worker as they can be watched: a log of each one's facts, its levels, its tasks, its audio.

`WatchedCalls` has one `WatchedCall` a call that goes on, and the last few that are over. The call writes to it and
never waits; a watcher reads at its own pace, by index, and has no buffer here: one that stops reading costs nothing.
What the Scribe has written is read from the call's journal on disk. Where nothing is written, older entries are packed,
and what no longer fits is forgotten, oldest first. Levels are measured while somebody watches, audio is kept while
somebody listens. The tree of a call's tasks, and what each waits for, is read off trio's nurseries and the frames in
which tasks are suspended (`tree_of`): there is no bookkeeping of ours.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import FrameType

import attrs
import trio
from trio.lowlevel import ParkingLot

from actors.call_services import CallUnderWay
from actors.facts import (
    CallEnded,
    CallParked,
    Fact,
    FloorLeft,
    FloorTaken,
    ListeningEnded,
    ListeningStarted,
    ReplyText,
    TurnHeard,
)
from actors.journal import Entry
from actors.record.packed import VOLUME, PackedList
from actors.record.scribe import Written
from agents.quoting import CALLER
from protocol.audio import BYTES_PER_SECOND, SILENCE
from store.records import CallRecord
from web.calls.call_files import CallFiles

MOST_VOLUMES = 400
"""Some 100,000 entries: a conversation of ten hours."""
TOGETHER = 256
"""Entries that a watcher is sent at a time, where as many are wanting."""
REMEMBERED = 20
"""Calls that are over."""
KEPT_SECONDS = 4.0
"""Of audio, while somebody listens."""
_LOUDNESS = bytes(0x7F - (value & 0x7F) for value in range(256))
"""Of a µ-law byte: 0 is silence, 127 the loudest, about a third of a decibel a step (ITU-T G.711)."""


CHILDREN = "its children"
NOTHING = "its turn to run"
_ITERATION = frozenset({"ReceiveChannel.__anext__", "NurseryManager.__aexit__"})
"""Frames of trio's that say less than the next one."""


@attrs.frozen
class TaskNode:
    """One task: how deep below the call, its name, what it waits for, and where in our code (module:line)."""

    depth: int
    name: str
    waits_for: str
    at: str


def tree_of(root: trio.lowlevel.Task) -> Iterator[TaskNode]:
    """Go through the tasks of a call, top down; those of one nursery by name."""
    return (TaskNode(depth, name, *_waits_for(task)) for depth, name, task in _walk("call", root, 0))


def names_of(root: trio.lowlevel.Task) -> Iterator[tuple[int, str]]:
    return ((depth, name) for depth, name, _ in _walk("call", root, 0))


def _walk(name: str, task: trio.lowlevel.Task, depth: int) -> Iterator[tuple[int, str, trio.lowlevel.Task]]:
    yield depth, name, task
    for nursery in task.child_nurseries:
        for child in sorted(nursery.child_tasks, key=lambda one: one.name):
            yield from _walk(short_name(child.name), child, depth + 1)


def _waits_for(task: trio.lowlevel.Task) -> tuple[str, str]:
    ours: tuple[FrameType, int | None] | None = None
    inside = list[str]()
    for frame, line in task.iter_await_frames():
        if frame.f_globals.get("__name__", "").partition(".")[0] == "trio":
            inside.append(frame.f_code.co_qualname)
        else:
            ours, inside = (frame, line), []
    place = f"{ours[0].f_globals.get('__name__', '')}:{ours[1]}" if ours is not None else ""
    if "Nursery._nested_child_finished" in inside:
        return CHILDREN, place
    called = next((name for name in inside if name not in _ITERATION), NOTHING)
    where = f" in {ours[0].f_code.co_qualname}" if ours is not None and called != NOTHING else ""
    return f"{called}{where}", place


def short_name(name: str) -> str:
    """Return a task's name without its module: `AgentSession.run`."""
    if " " in name:
        return name
    parts = [part for part in name.replace(".<locals>", "").split(".") if part]
    return ".".join(part.lstrip("_") for part in parts[-2:]) if len(parts) > 1 else name


@attrs.define
class RecentAudio:
    """The last seconds of one side, by byte of the call."""

    end: int = attrs.field(default=0, init=False)
    _audio: bytearray = attrs.field(factory=bytearray, init=False)

    def put(self, start: int, audio: bytes) -> None:
        """Add audio that begins at byte `start`; what lies between is silence."""
        kept = int(KEPT_SECONDS * BYTES_PER_SECOND)
        gap = min(max(0, start - self.end), kept)
        self._audio += bytes([SILENCE]) * gap + audio
        self.end = max(start, self.end) + len(audio)
        del self._audio[: max(0, len(self._audio) - kept)]

    def cut(self, start: int, size: int) -> bytes:
        """Return this many bytes from byte `start` on, with silence for missing ones."""
        first = start - (self.end - len(self._audio))
        before = min(size, max(0, -first))
        found = bytes(self._audio[max(0, first) : max(0, first + size)])
        return (bytes([SILENCE]) * before + found).ljust(size, bytes([SILENCE]))[:size]


@attrs.define(eq=False)
class WatchedCall:
    """One call. The call itself writes, in the same thread as all who read."""

    call_sid: str
    epoch: str = ""
    """This log of the call, as against one of another process: indexes are of one epoch."""
    over: bool = attrs.field(default=False, init=False)
    files: CallFiles = attrs.field(factory=lambda: CallFiles(None))
    first: int = attrs.field(default=0, init=False)
    """The index of the oldest entry that is kept here."""
    count: int = attrs.field(default=0, init=False)
    watchers: int = attrs.field(default=0, init=False)
    listeners: int = attrs.field(default=0, init=False)
    floor: str = attrs.field(default="", init=False)
    """The agent that has the floor now."""
    last_words: tuple[str, str] = attrs.field(default=("", ""), init=False)
    """Who spoke last, and what they said."""
    changed: ParkingLot = attrs.field(factory=ParkingLot, init=False)
    _log: PackedList[bytes] = attrs.field(factory=lambda: PackedList(bytes, bytes), init=False)
    _streams: list[tuple[int, int]] = attrs.field(factory=list, init=False)
    """For each stream whose entries are on disk: the index of its first one, and its line in the journal."""
    _call: CallUnderWay | None = attrs.field(default=None, init=False)
    _loudest: list[int] = attrs.field(factory=lambda: [0, 0], init=False)
    _caller: RecentAudio = attrs.field(factory=RecentAudio, init=False)
    _agents: RecentAudio = attrs.field(factory=RecentAudio, init=False)

    def begin(self, call: CallUnderWay) -> Written:
        self._call, self.over = call, False
        return partial(self._written, self.count)

    def read(self, entry: Entry) -> None:
        self._log.append(entry.line)
        self.count += 1
        if len(self._log.volumes) > MOST_VOLUMES:
            self.first += self._log.drop(VOLUME)
        self._note(entry.fact)
        self.changed.unpark_all()

    def end(self) -> None:
        self.over = True
        self.changed.unpark_all()

    def _written(self, begins: int, line: int, count: int) -> None:
        """Keep no entry that is on disk, unless an earlier stream has entries that are not."""
        if self.first >= begins:
            if (begins, line) not in self._streams:
                self._streams.append((begins, line))
            self.first += self._log.drop(begins + count - self.first)

    def _note(self, fact: Fact) -> None:
        match fact:
            case FloorTaken(agent=agent):
                self.floor = agent
            case FloorLeft():
                self.floor = ""
            case TurnHeard(text=text):
                self.last_words = CALLER, text
            case ReplyText(agent=agent, text=text):
                self.last_words = agent, text
            case CallEnded() | CallParked():
                self.over = isinstance(fact, CallEnded)
                self._call = None
            case _:
                pass  # it is in the log

    def hear_caller(self, audio: bytes) -> None:
        if self.watchers:
            self._loudest[0] = max(self._loudest[0], max(audio.translate(_LOUDNESS), default=0))
        if self.listeners and self._call is not None:
            now = round(self._call.journal.now * BYTES_PER_SECOND)
            behind = now - len(audio) - self._caller.end
            self._caller.put(self._caller.end if abs(behind) < BYTES_PER_SECOND // 5 else now - len(audio), audio)

    def hear_agents(self, start: float, audio: bytes) -> None:
        if self.watchers:
            self._loudest[1] = max(self._loudest[1], max(audio.translate(_LOUDNESS), default=0))
        if self.listeners:
            self._agents.put(round(start * BYTES_PER_SECOND), audio)

    @contextmanager
    def watched(self) -> Iterator[None]:
        self.watchers += 1
        try:
            yield
        finally:
            self.watchers -= 1

    @contextmanager
    def listened(self) -> Iterator[None]:
        """Count a listener for as long as the `with` lasts, and note it in the call's journal."""
        began = trio.current_time()
        self.listeners += 1
        if self._call is not None:
            self._call.journal.note(ListeningStarted())
        try:
            yield
        finally:
            self.listeners -= 1
            if self._call is not None:
                self._call.journal.note(ListeningEnded(round(trio.current_time() - began, 3)))

    def on_disk(self, index: int) -> tuple[int, int]:
        """Return the line of the journal on disk that an entry is, and how many go on from there; 0 if it is here."""
        ends = self.first
        for begins, line in reversed(self._streams):
            if begins <= index:
                return line + index - begins, max(0, ends - index)
            ends = begins
        return 0, 0

    def lines(self, index: int) -> Sequence[bytes]:
        """Return entries that are kept here, from an index on, `TOGETHER` or some more if there are as many."""
        lines = list[bytes]()
        while len(lines) < TOGETHER and (batch := self._log.batch(index - self.first + len(lines))):
            lines += batch
        return lines

    def audio(self, start: int, size: int) -> tuple[bytes, bytes]:
        return self._caller.cut(start, size), self._agents.cut(start, size)

    @property
    def now(self) -> float | None:
        """Seconds since the call started; None while it has no stream."""
        return self._call.journal.now if self._call is not None else None

    def moment(self) -> dict[str, object]:
        """Return what is true now and no fact: time, levels since last asked, whose turn it is, the silence."""
        loudest, self._loudest = self._loudest, [0, 0]
        if self._call is None:
            return {"levels": [0, 0]}
        turn = self._call.turn
        silent = trio.current_time() - turn.silent_since if turn.waits_in_silence else -1.0
        return {
            "at": round(self._call.journal.now, 3),
            "levels": loudest,
            "turn": [part.name.lower() for part in (turn.caller, turn.voice, turn.debt, turn.phase)],
            "sounding": turn.sounding,
            "silent": round(silent, 2) if 0 <= silent < 3600 else None,  # the first words are owed since long ago
        }

    def task_names(self) -> list[tuple[int, str]]:
        """Return the names of the call's tasks: a fifth of the work of `tasks`."""
        return list(names_of(self._call.task)) if self._call is not None else []

    def tasks(self) -> list[TaskNode]:
        return list(tree_of(self._call.task)) if self._call is not None else []


@attrs.define(eq=False)
class WatchedCalls:
    files: CallFiles = attrs.field(factory=lambda: CallFiles(None))
    _calls: OrderedDict[str, WatchedCall] = attrs.field(factory=OrderedDict)
    _made: int = 0

    def watch(self, call_sid: str) -> WatchedCall:
        """Return the log of a call, which a call's next stream goes on with."""
        found = self._calls.pop(call_sid, None)
        if found is None:
            self._made += 1
            found = WatchedCall(
                call_sid, f"w{trio.current_time():.3f}.{self._made}".replace(".", "_"), files=self.files
            )
        self._calls[call_sid] = found
        over = [name for name, call in self._calls.items() if call.over]
        for name in over[: max(0, len(over) - REMEMBERED)]:
            del self._calls[name]
        return found

    @property
    def watchers(self) -> int:
        return sum(call.watchers + call.listeners for call in self._calls.values())

    def find(self, call_sid: str) -> WatchedCall | None:
        """Return a call that goes on here, or went on here lately."""
        return self._calls.get(call_sid)

    def ended(self, record: CallRecord) -> None:
        """Tell the watchers of a call that it does not come back."""
        call = self._calls.get(record.call_sid)
        if call is not None and call.now is None:
            call.end()

    def forget(self, call_sid: str) -> None:
        """Forget a call that is over; one that goes on stays."""
        call = self._calls.get(call_sid)
        if call is not None and call.now is None:
            del self._calls[call_sid]
