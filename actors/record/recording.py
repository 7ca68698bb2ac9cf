"""Both sides of the line on disk: what the caller said, and what the caller heard.

`Recording` takes audio from bridge and ledger without blocking, and keeps no more of it in memory than was not yet
written. On disk it is two plain mu-law tracks until `finish` joins them to `call.wav` (stereo PCM16, 8 kHz: caller
left, agents right), so a crash loses a second and not the call: `finish_left` joins what it leaves. A call's second
stream is written behind its first. A note beside the tracks says which process writes them, and from which second of
the call on. Errors of the disk are the caller's `OSError`.
"""

import fcntl
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import TypeAlias

import attrs
import orjson

from protocol.audio import BYTES_PER_SECOND, SILENCE, interleave, write_wav_header
from store.leisure import leisurely
from store.private import append_private, keep_private, naming, open_private, write_private

_BLOCK = 4 * BYTES_PER_SECOND
"""Joined at a time: a thread that has allocated megabytes at once keeps them for its next call."""
_AT_ONCE, _PAUSE = 4, 0.00005
"""Blocks, half a millisecond of work, and the seconds in which the calls have the processor then."""
_JOINING = Lock()
"""One call's recording is joined at a time: of many threads that have work, each would run before the calls do."""
_HEADER, _STEREO = 44, 4
_TRACKS = (".caller.ulaw", ".agents.ulaw")
_WAV, _NOTE = "call.wav", ".recording.json"
_LONGEST = 86_400.0
Taken: TypeAlias = tuple[tuple[int, list[bytes]], tuple[int, list[bytes]]]
"""Audio of caller and agents, from which byte on, piece by piece: joined by the thread that writes it."""


@attrs.define
class RecordingTrack:
    """One side, as far as it was not written yet."""

    path: Path
    length: int = 0
    _pending: list[bytes] = attrs.field(factory=list)
    _begins: int = attrs.field(default=0, init=False)
    """Where what is pending begins."""
    _written: int = attrs.field(default=0, init=False)

    def put(self, audio: bytes, start: int | None = None) -> None:
        """Add audio, at byte `start` of the track if it is later than its end."""
        gap = 0 if start is None or start <= self.length else start - self.length
        self.length += gap + len(audio)
        if gap:
            self._pending.append(bytes([SILENCE]) * gap)
        self._pending.append(audio)

    def take(self) -> tuple[int, list[bytes]]:
        """Return what must be written, and from which byte on, and forget it."""
        (pending, begins), self._pending, self._begins = (self._pending, self._begins), [], self.length
        return begins, pending

    def write(self, begins: int, audio: list[bytes]) -> None:
        """Write audio that was taken; what the disk has not taken before it is silence. Blocks."""
        while audio and (gap := min(begins - self._written, _BLOCK)) > 0:
            append_private(self.path, bytes([SILENCE]) * gap)
            self._written += gap
        if audio:
            append_private(self.path, b"".join(audio))
            self._written = begins + sum(map(len, audio))


@attrs.define
class Recording:
    """The recording of one call, below `folder`, which must exist."""

    folder: Path
    begins_at: float = 0.0
    """The second of the call at which this recording begins: before it, `call.wav` is there already."""
    caller: RecordingTrack = attrs.field(init=False)
    agents: RecordingTrack = attrs.field(init=False)
    _has_begun: bool = attrs.field(default=False, init=False)
    _is_finished: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self.caller, self.agents = (RecordingTrack(self.folder / name) for name in _TRACKS)

    def hear_caller(self, audio: bytes) -> None:
        self.caller.put(audio)

    def hear_agents(self, start: float, audio: bytes) -> None:
        """Add what the caller heard of the agents from second `start` of the call on."""
        self.agents.put(audio, round((start - self.begins_at) * BYTES_PER_SECOND))

    def take(self) -> Taken:
        """Return what has come since the last time, of caller and agents, for `write`.

        Never in a thread: `put` may come between any two of its steps there, and be lost or written twice.
        """
        return self.caller.take(), self.agents.take()

    def begin(self, writer: str) -> None:
        """Note that the process of this name writes the tracks from now on. Blocks.

        What a dead one has left of an earlier stream is joined first.
        """
        with alone_in(self.folder):
            if is_left(self.folder):
                finish_left(self.folder)
            write_private(self.folder / _NOTE, orjson.dumps({"writer": writer, "begins_at": self.begins_at}))
            self._has_begun = True

    def write(self, taken: Taken) -> None:
        """Write what `take` returned. Blocks: call it in a thread."""
        for track, (begins, audio) in zip((self.caller, self.agents), taken, strict=True):
            track.write(begins, audio)

    def finish_own(self) -> None:
        """Finish, unless the call was erased meanwhile, or its next stream has begun and finished this one. Blocks."""
        if not self.folder.is_dir():
            return
        with alone_in(self.folder):
            note = self.folder / _NOTE
            if not self._has_begun or (note.exists() and _note(self.folder)[1] == self.begins_at):
                self.finish()

    def finish(self) -> None:
        """Write `call.wav` and remove the tracks, once nothing more comes. Blocks: call it in a thread.

        Once that is done, it does nothing: what else is to be saved of a call may fail, and be tried again.
        """
        if self._is_finished:
            return
        self.write(self.take())
        samples = max(self.caller.length, self.agents.length)
        before = round(self.begins_at * BYTES_PER_SECOND) * _STEREO
        keep_private(self.caller.path)
        keep_private(self.agents.path)
        whole = self.folder / _WAV
        has_earlier = bool(before) and whole.exists()
        with (
            _taking_back(whole, has_earlier=has_earlier),
            _JOINING,
            open_private(whole, "r+b" if has_earlier else "wb") as wav,
            self.caller.path.open("rb") as left,
            self.agents.path.open("rb") as right,
        ):
            wav.truncate(_HEADER + before)  # makes it longer, too: with the silence between two streams
            wav.write(write_wav_header(before + samples * _STEREO))
            wav.seek(_HEADER + before)
            for start in leisurely(range(0, samples, _BLOCK), _AT_ONCE, _PAUSE):
                size = min(_BLOCK, samples - start)
                silence = bytes([SILENCE])
                wav.write(interleave(left.read(size).ljust(size, silence), right.read(size).ljust(size, silence)))
        self._is_finished = True
        for name in (*_TRACKS, _NOTE):
            (self.folder / name).unlink(missing_ok=True)


@contextmanager
def _taking_back(whole: Path, *, has_earlier: bool) -> Iterator[None]:
    """Leave what there was of a recording, if the disk has no room for the rest."""
    size, header = 0, b""
    if has_earlier:
        with whole.open("rb") as wav:
            size, header = whole.stat().st_size, wav.read(_HEADER)
    try:
        with naming(whole):
            yield
    except OSError:
        with suppress(OSError), open_private(whole, "r+b") as wav:
            wav.write(header)
            wav.truncate(size)
        if not has_earlier:
            whole.unlink(missing_ok=True)
        raise


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Wait until no other process, and no other thread, is in the folder of a call like this. Blocks."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def is_left(folder: Path) -> bool:
    return any((folder / name).exists() for name in _TRACKS)


def writer_of(folder: Path) -> str:
    """Return the name of the process that writes the tracks in a folder; empty if no note says so."""
    return _note(folder)[0]


def finish_left(folder: Path) -> float:
    """Make `call.wav` of the tracks that a killed process has left, and return its seconds. Blocks.

    Only once nobody writes them any more, and `alone_in` the folder.
    """
    recording = Recording(folder, _note(folder)[1])
    for track in (recording.caller, recording.agents):
        track.length = track.path.stat().st_size if track.path.exists() else 0
    recording.finish()
    return max(recording.caller.length, recording.agents.length) / BYTES_PER_SECOND


def add_earlier(folder: Path, earlier: Path) -> None:
    """Add to `call.wav` the recording of another stream of the call: each is silent where the other is not. Blocks.

    Only `alone_in` the folder. Adding the same one again changes nothing.
    """
    whole, joined = folder / _WAV, folder / f".joined.{_WAV}"
    length = max(whole.stat().st_size, earlier.stat().st_size) - _HEADER
    try:
        with _JOINING, open_private(joined, "wb") as wav, whole.open("rb") as ours, earlier.open("rb") as theirs:
            wav.write(write_wav_header(length))
            ours.seek(_HEADER)
            theirs.seek(_HEADER)
            for start in leisurely(range(0, length, _BLOCK), _AT_ONCE, _PAUSE):
                size = min(_BLOCK, length - start)  # 0 is silence
                samples = [int.from_bytes(side.read(size).ljust(size, b"\0")) for side in (ours, theirs)]
                wav.write((samples[0] | samples[1]).to_bytes(size))
        joined.replace(whole)
    finally:
        joined.unlink(missing_ok=True)  # a full disk: no half of it stays


def _note(folder: Path) -> tuple[str, float]:
    """Return who writes the tracks, and the second of the call at which they begin."""
    whole = folder / _WAV
    behind = (whole.stat().st_size - _HEADER) / _STEREO / BYTES_PER_SECOND if whole.exists() else 0.0
    try:
        note = orjson.loads((folder / _NOTE).read_bytes())
        writer, begins_at = str(note["writer"]), float(note["begins_at"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return "", max(0.0, behind)
    return writer, begins_at if math.isfinite(begins_at) and 0 <= begins_at <= _LONGEST else max(0.0, behind)
