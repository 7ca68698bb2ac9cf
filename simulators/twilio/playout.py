"""Twilio's side of the caller's earpiece: a first-in first-out buffer played at 8,000 bytes a second.

`Playout` owns what one media stream has buffered: audio, the marks between it, and what `clear` throws away. It writes
into a `HeardRecording`, the two-channel tape of the whole call, at the place where each byte will be heard. There is no
clock and no task here: time enters as an argument and everything is counted in bytes of audio, so nothing drifts.
Wire facts: https://www.twilio.com/docs/voice/media-streams/websocket-messages (10 minutes of buffer, mark, clear).
"""

from collections import deque

import attrs

from protocol.audio import BYTES_PER_SECOND, FRAME_BYTES, SILENCE, interleave, is_voiced, write_wav_header

BUFFER_LIMIT = 600 * BYTES_PER_SECOND
"""More than ten minutes of buffered audio is discarded with warning 31931."""

_QUIET = bytes([SILENCE])


@attrs.define
class HeardRecording:
    """The audio of the line: the caller on the left, the agents as the caller heard them on the right.

    Both are µ-law at 8 kHz on one time axis that begins at `started_at`. While audio is buffered, `agents` runs ahead
    of the present; `clear` and the end of the stream cut it back.
    """

    started_at: float
    caller: bytearray = attrs.field(factory=bytearray)
    agents: bytearray = attrs.field(factory=bytearray)

    def position(self, now: float) -> int:
        """Return the byte that is on the line at `now`."""
        return round((now - self.started_at) * BYTES_PER_SECOND)

    def time_of(self, position: int) -> float:
        """Return when the byte at `position` is on the line."""
        return self.started_at + position / BYTES_PER_SECOND

    def level(self, now: float) -> None:
        """Bring both channels to the present: cut what was not heard, fill what was silent."""
        position = self.position(now)
        for channel in (self.caller, self.agents):
            del channel[position:]
            channel.extend(_QUIET * (position - len(channel)))

    def agents_voiced(self, now: float) -> bool:
        """Tell whether the 20 ms of agents' audio that end at `now` carry a voice."""
        position = self.position(now)
        if len(self.agents) <= position - FRAME_BYTES or position < FRAME_BYTES:
            return False
        return is_voiced(bytes(self.agents[position - FRAME_BYTES : position]))

    def wav(self) -> bytes:
        samples = interleave(bytes(self.caller), bytes(self.agents))
        return write_wav_header(len(samples)) + samples


@attrs.define
class Playout:
    """One stream's buffer of audio and marks."""

    recording: HeardRecording
    _marks: deque[tuple[int, str]] = attrs.field(factory=deque)
    _intervals: list[tuple[int, int]] = attrs.field(factory=list)

    def append(self, now: float, audio: bytes) -> int:
        """Queue audio behind what is buffered and return how many bytes did not fit."""
        agents, position = self.recording.agents, self.recording.position(now)
        start = max(len(agents), position)
        room = max(0, position + BUFFER_LIMIT - start)
        fits = audio[:room] if len(audio) > room else audio
        if start > len(agents):
            agents += _QUIET * (start - len(agents))
        agents += fits
        self._extend_intervals(start, start + len(fits))
        return len(audio) - len(fits)

    def _extend_intervals(self, start: int, end: int) -> None:
        if self._intervals and self._intervals[-1][1] == start:
            self._intervals[-1] = (self._intervals[-1][0], end)
        elif end > start:
            self._intervals.append((start, end))

    def add_mark(self, now: float, name: str) -> bool:
        """Queue a mark behind the buffered audio and tell whether it is the first in the queue."""
        self._marks.append((max(len(self.recording.agents), self.recording.position(now)), name))
        return len(self._marks) == 1

    def next_due(self) -> float:
        """Return when the next mark is reached; infinity when none is queued."""
        return self.recording.time_of(self._marks[0][0]) if self._marks else float("inf")

    def take_reached(self, now: float) -> tuple[str, ...]:
        """Remove and return the marks whose audio has been played by `now`."""
        position = self.recording.position(now)
        reached = []
        while self._marks and self._marks[0][0] <= position:
            reached.append(self._marks.popleft()[1])
        return tuple(reached)

    def clear(self, now: float) -> tuple[int, tuple[str, ...]]:
        """Throw the buffer away; return the bytes that will not be heard and the names of the flushed marks."""
        position = self.recording.position(now)
        dropped = max(0, len(self.recording.agents) - position)
        del self.recording.agents[position:]
        while self._intervals and self._intervals[-1][1] > position:
            start, _ = self._intervals.pop()
            if start < position:
                self._intervals.append((start, position))
        flushed = tuple(name for _, name in self._marks)
        self._marks.clear()
        return dropped, flushed

    def intervals(self) -> tuple[tuple[float, float], ...]:
        """Return when audio was played, as seconds since the recording began."""
        return tuple((start / BYTES_PER_SECOND, end / BYTES_PER_SECOND) for start, end in self._intervals)
