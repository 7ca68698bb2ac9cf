"""Writes a call down: journal and recording as it goes on, transcript and record when it is over.

`Scribe` owns one folder below the recordings folder. It reads the Journal without blocking it and writes once a
second, in a thread. What the disk refuses of the journal is written when it takes it again, and what it refuses of the
recording is silence. What did not fit its bounded buffer is counted in the journal file itself.
"""

from collections.abc import Callable
from functools import partial
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import TypeAlias

import attrs
import trio
from outcome import Error, Outcome, capture

from actors.journal import Entry
from actors.record.recording import Recording, Taken
from actors.supervision import describe
from store.json_text import json_text
from store.leisure import leisurely
from store.private import append_private, own_folder, write_whole
from store.records import CallRecord, record_as_json

Written: TypeAlias = Callable[[int, int], None]
"""Told that so many facts of a stream are in the call's journal on disk, from such a line of it on."""
_LONGEST_BUFFER = 10_000
_EVERY = 1.0
THREADS = 16
"""For the files of all calls: a disk that hangs keeps no more, and nothing else waits for them."""


@attrs.frozen
class ScribeWrite:
    """One write that is wanted; `on_over` is told how it has ended, and raises nothing."""

    work: Callable[[], None]
    on_over: Callable[[Outcome[None]], None]


@attrs.define(eq=False)
class ScribeThreads:
    """The threads in which all scribes of a server write. A thread's turn costs more than a call's write of a second.

    So one thread does what is wanted at the same moment, in a system task of trio's: no call waits for another's end.
    *Cancellation* of a task that waits ends the wait, and not the work.
    """

    limiter: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(THREADS))
    joiner: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(1))
    """For recordings, which take long: nothing else waits for them."""
    _wanted: list[ScribeWrite] = attrs.field(factory=list, init=False)

    def want(self, write: ScribeWrite) -> None:
        """Have it done in a thread, with what others want now."""
        if not self._wanted:
            trio.lowlevel.spawn_system_task(self._write_together)
        self._wanted.append(write)

    @staticmethod
    async def run_alone(work: Callable[[], None], limiter: trio.CapacityLimiter) -> None:
        """Do it in a thread of its own, when it is its turn, and raise what it raises."""
        send, receive = trio.open_memory_channel[Outcome[None]](1)
        trio.lowlevel.spawn_system_task(_do, [ScribeWrite(work, send.send_nowait)], limiter)
        (await receive.receive()).unwrap()

    async def _write_together(self) -> None:
        """Let those that are woken in this turn of the scheduler come together."""
        await trio.lowlevel.checkpoint()
        writes, self._wanted = self._wanted, []
        await _do(writes, self.limiter)


async def _do(writes: list[ScribeWrite], limiter: trio.CapacityLimiter) -> None:
    ended: list[Outcome[None]]
    try:
        ended = await trio.to_thread.run_sync(_write_each, writes, limiter=limiter, abandon_on_cancel=True)
    except RuntimeError as failed:  # no thread can be started; nobody but the writers may fail of it
        ended = [Error(failed) for _ in writes]
    for write, outcome in zip(writes, ended, strict=True):
        write.on_over(outcome)


def _write_each(writes: list[ScribeWrite]) -> list[Outcome[None]]:
    return [capture(write.work) for write in leisurely(writes)]


@attrs.define(eq=False)
class Scribe:
    """The scribe of one call. *Closes* its files after every write: there is nothing to leak."""

    folder: Path
    begins_at: float = 0.0
    """Seconds of the call that an earlier stream of it has taken, and recorded."""
    threads: ScribeThreads = attrs.field(factory=ScribeThreads)
    writer: str = ""
    """This process, among those that write into the same recordings folder."""
    records_audio: bool = True
    on_refused: Callable[[str], None] = attrs.field(default=lambda _why: None, init=False)
    """Told at once, and once, that the disk takes nothing, until it has taken something again."""
    on_written: Written = attrs.field(default=lambda _line, _count: None, init=False)
    """Told no more once an entry is missing in the journal file."""
    recording: Recording = attrs.field(init=False)
    """Given no audio where none is recorded."""
    lacks_recording: bool = attrs.field(default=False, init=False)
    """Whether all is written but the recording, which may wait for those of other calls."""
    _first_line: int | None = attrs.field(default=None, init=False)
    """How many lines of an earlier stream are in the journal file; None until the first write."""
    _count: int = attrs.field(default=0, init=False)
    """How many entries were taken, to be written."""
    _lines: list[bytes] = attrs.field(factory=list, init=False)
    _missing: int = attrs.field(default=0, init=False)
    _is_whole: bool = attrs.field(default=True, init=False)
    _refused: list[bytes] = attrs.field(factory=list, init=False)
    """Data that the disk has not taken: written before anything newer, by the one task that writes."""
    _is_refused: bool = attrs.field(default=False, init=False)
    _unwritten: list[tuple[list[bytes], Taken]] = attrs.field(factory=list, init=False)
    """Lines and audio, for whichever thread writes next: the last write finds all that is left."""
    _has_begun: bool = attrs.field(default=False, init=False)
    _is_writing: bool = attrs.field(default=False, init=False)
    """Whether a write that `look` has wanted is not over yet."""
    _failure: Error | None = attrs.field(default=None, init=False)
    """Of the last write, if the disk is not to blame: `look` raises it."""
    _disk: Lock = attrs.field(factory=Lock, init=False)
    """One write after the other: a call that ends does not wait for a disk that hangs, but its last write does."""

    def __attrs_post_init__(self) -> None:
        self.recording = Recording(self.folder, self.begins_at)

    def read(self, entry: Entry) -> None:
        if len(self._lines) + len(self._refused) < _LONGEST_BUFFER:
            self._lines.append(entry.line)
            self._count += 1
        else:
            self._missing += 1
            self._is_whole = False

    def look(self) -> float:
        """Want the next write, if the last one is over; return when the next round is.

        The clock of all calls asks, once a second. *Raises* what a write has raised, if the disk is not to blame.
        """
        if self._failure is not None:
            self._failure.unwrap()
        if not self._is_writing:
            self._put_out()
            self._is_writing = True
            self.threads.want(ScribeWrite(self._write, partial(self._end_write, self._count)))
        return next_second()

    def _tell_refused(self, failure: Error) -> None:
        try:
            failure.unwrap()
        except (OSError, RuntimeError) as refused:  # or no thread can be started
            if not self._is_refused:
                self.on_refused(describe(refused))
            self._is_refused = True

    def _end_write(self, count: int, ended: Outcome[None]) -> None:
        if self._is_writing:  # else the last write of all is under way, and knows more
            self._is_writing = False
            if isinstance(ended, Error):
                told = capture(self._tell_refused, ended)
                self._failure = told if isinstance(told, Error) else None
                self._refused += chain.from_iterable(lines for lines, _ in self._unwritten)  # and none of the audio
                self._unwritten.clear()
            else:
                self._is_refused = False
                self._tell_written(count)

    async def finish(self, record: CallRecord) -> None:
        """Write everything that is left, and the views of the whole call; then its recording, in its turn."""
        self._is_writing = False
        self._put_out()
        await self.threads.run_alone(partial(self._write_views, record), self.threads.limiter)
        self._tell_written(self._count)
        self.lacks_recording = self.records_audio
        if self.records_audio:
            await self.threads.run_alone(self.recording.finish_own, self.threads.joiner)

    def _tell_written(self, count: int) -> None:
        if self._is_whole and self._first_line is not None:
            self.on_written(self._first_line, count)

    def _put_out(self) -> None:
        if self._missing:
            self._lines.append(json_text({"event": "entries_missing", "count": self._missing}))
        self._unwritten.append((self._lines, self.recording.take()))
        self._lines, self._missing = [], 0

    def _write(self) -> None:
        with self._disk:
            while self._unwritten:
                self._write_down(*self._unwritten.pop(0))

    def _write_down(self, lines: list[bytes], audio: Taken) -> None:
        self._refused += lines
        if not (self._has_begun and self.folder.exists()):  # somebody may have removed it
            own_folder(self.folder)
        journal = self.folder / "journal.jsonl"
        if self._first_line is None:
            self._first_line = _lines_left(journal)
        if self._refused or not self._has_begun:
            append_private(journal, b"".join(self._refused))
            self._refused.clear()
        if self.records_audio and not self._has_begun:
            self.recording.begin(self.writer)
        self._has_begun = True
        self.recording.write(audio)

    def _write_views(self, record: CallRecord) -> None:
        self._write()
        # what was said and heard, for people and programs that want no more
        transcript = [
            {"at": turn.at, "speaker": turn.speaker, "text": turn.text, "heard": turn.heard}
            for turn in record.transcript
        ]
        write_whole(self.folder / "transcript.json", json_text(transcript, indent=True))
        write_whole(self.folder / "record.json", json_text(record_as_json(record), indent=True))


def next_second() -> float:
    """Return when all scribes write next."""
    return (trio.current_time() // _EVERY + 1) * _EVERY


def _lines_left(journal: Path) -> int:
    """Return how many lines an earlier stream has left in a journal; one that a killed process cut short is ended."""
    text = journal.read_bytes() if journal.is_file() else b""
    if text and not text.endswith(b"\n"):
        append_private(journal, b"\n")
    return len(text.splitlines())
