"""Both sides of the line on disk: what the caller said, and what the caller heard.

`Recording` takes audio from bridge and ledger without blocking, and keeps no more of it in memory than was not yet
written. On disk it is two plain mu-law tracks until `finish` joins them to `call.wav` (stereo PCM16, 8 kHz: caller
left, agents right), so a crash loses a second and not the call. A call's second stream is written behind its first.
Errors of the disk are the caller's `OSError`.
"""

from pathlib import Path

import attrs

from protocol.audio import BYTES_PER_SECOND, SILENCE, interleave, write_wav_header

_BLOCK = 30 * BYTES_PER_SECOND
_HEADER, _STEREO = 44, 4


@attrs.define
class Track:
    """One side, as far as it was not written yet."""

    path: Path
    length: int = 0
    _pending: bytearray = attrs.field(factory=bytearray)
    _is_kept: bool = attrs.field(default=True, init=False)

    def put(self, audio: bytes, start: int | None = None) -> None:
        """Add audio, at byte `start` of the track if it is later than its end."""
        gap = max(0, start - self.length) if start is not None else 0
        self.length += gap + len(audio)
        if self._is_kept:
            self._pending += bytes([SILENCE]) * gap
            self._pending += audio

    def give_up(self) -> None:
        """Keep nothing more of the audio, only how long it is."""
        self._is_kept = False
        self._pending.clear()

    def take(self) -> bytes:
        """Return what must be written, and forget it."""
        pending, self._pending = bytes(self._pending), bytearray()
        return pending


@attrs.define
class Recording:
    """One call's recording, below `folder`, which must exist."""

    folder: Path
    begins_at: float = 0.0
    """The second of the call at which this recording begins: before it, `call.wav` is there already."""
    caller: Track = attrs.field(init=False)
    agents: Track = attrs.field(init=False)
    _is_finished: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self.caller = Track(self.folder / ".caller.ulaw")
        self.agents = Track(self.folder / ".agents.ulaw")

    def put_heard(self, start: float, audio: bytes) -> None:
        """Add what the caller heard of the agents from second `start` of the call on."""
        self.agents.put(audio, round((start - self.begins_at) * BYTES_PER_SECOND))

    def take(self) -> tuple[bytes, bytes]:
        """Return what has come since the last time, of caller and agents, for `write`.

        Never in a thread: `put` may come between any two of its steps there, and be lost or written twice.
        """
        return self.caller.take(), self.agents.take()

    def give_up(self) -> None:
        """Keep nothing more, since nobody takes it: what is missing of the recording is silent."""
        self.caller.give_up()
        self.agents.give_up()

    def write(self, taken: tuple[bytes, bytes]) -> None:
        """Write what `take` returned. Blocks: call it in a thread."""
        for track, audio in zip((self.caller, self.agents), taken, strict=True):
            if audio:
                with track.path.open("ab") as file:
                    file.write(audio)

    def finish(self) -> None:
        """Write `call.wav` and remove the tracks, once nothing more comes. Blocks: call it in a thread.

        Once that is done, it does nothing: what else is to be saved of a call may fail, and be tried again.
        """
        if self._is_finished:
            return
        self.write(self.take())
        samples = max(self.caller.length, self.agents.length)
        before = round(self.begins_at * BYTES_PER_SECOND) * _STEREO
        self.caller.path.touch()
        self.agents.path.touch()
        with (
            (self.folder / "call.wav").open("r+b" if before and (self.folder / "call.wav").exists() else "wb") as wav,
            self.caller.path.open("rb") as left,
            self.agents.path.open("rb") as right,
        ):
            wav.truncate(_HEADER + before)  # makes it longer, too: with the silence between two streams
            wav.write(write_wav_header(before + samples * _STEREO))
            wav.seek(_HEADER + before)
            for start in range(0, samples, _BLOCK):
                size = min(_BLOCK, samples - start)
                silence = bytes([SILENCE])
                wav.write(interleave(left.read(size).ljust(size, silence), right.read(size).ljust(size, silence)))
        self._is_finished = True
        self.caller.path.unlink()
        self.agents.path.unlink()
