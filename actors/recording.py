"""Both sides of the line on disk: what the caller said, and what the caller heard.

`Recording` takes audio from bridge and ledger without blocking, and keeps no more of it in memory than was not yet
written. On disk it is two plain mu-law tracks until `finish` joins them to `call.wav` (stereo PCM16, 8 kHz: caller
left, agents right), so a crash loses a second and not the call. Errors of the disk are the caller's `OSError`.
"""

from pathlib import Path

import attrs

from protocol.audio import BYTES_PER_SECOND, SILENCE, interleave, write_wav_header

_BLOCK = 30 * BYTES_PER_SECOND


@attrs.define
class Track:
    """One side, as far as it was not written yet."""

    path: Path
    length: int = 0
    _pending: bytearray = attrs.field(factory=bytearray)

    def put(self, audio: bytes, start: int | None = None) -> None:
        """Add audio, at byte `start` of the track if it is later than its end."""
        if start is not None and start > self.length:
            gap = start - self.length
            self._pending += bytes([SILENCE]) * gap
            self.length += gap
        self._pending += audio
        self.length += len(audio)

    def take(self) -> bytes:
        """Return what must be written, and forget it."""
        pending, self._pending = bytes(self._pending), bytearray()
        return pending


@attrs.define
class Recording:
    """One call's recording, below `folder`, which must exist."""

    folder: Path
    caller: Track = attrs.field(init=False)
    agents: Track = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.caller = Track(self.folder / ".caller.ulaw")
        self.agents = Track(self.folder / ".agents.ulaw")

    def put_heard(self, start: float, audio: bytes) -> None:
        """Add what the caller heard of the agents from second `start` of the call on."""
        self.agents.put(audio, round(start * BYTES_PER_SECOND))

    def write(self) -> None:
        """Write what has come since the last time. Blocks: call it in a thread."""
        for track in (self.caller, self.agents):
            pending = track.take()
            if pending:
                with track.path.open("ab") as file:
                    file.write(pending)

    def finish(self) -> None:
        """Write `call.wav` and remove the tracks. Blocks: call it in a thread."""
        self.write()
        samples = max(self.caller.length, self.agents.length)
        self.caller.path.touch()
        self.agents.path.touch()
        with (
            (self.folder / "call.wav").open("wb") as wav,
            self.caller.path.open("rb") as left,
            self.agents.path.open("rb") as right,
        ):
            wav.write(write_wav_header(samples * 4))
            for start in range(0, samples, _BLOCK):
                size = min(_BLOCK, samples - start)
                silence = bytes([SILENCE])
                wav.write(interleave(left.read(size).ljust(size, silence), right.read(size).ljust(size, silence)))
        self.caller.path.unlink()
        self.agents.path.unlink()
