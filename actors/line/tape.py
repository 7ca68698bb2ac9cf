"""The caller's side of the line on tape: what agents listen to, and can listen to again.

`Tape` is a bounded, append-only log of 20 ms frames with offsets. The bridge appends; each session reads through its
own `TapeReader`; `commit` moves when a turn of the caller has been transcribed. It knows nothing of agents, never
blocks the writer, and when it overflows it forgets the oldest frames and counts those that nobody had read. A caller
who listens takes next to nothing: silence between two turns is forgotten as soon as a session has it.

`Reel` keeps its bytes, in blocks of one size. One `bytearray` for each call would be moved whenever it grows, asks for
an eighth more than it needs, and leaves holes of every size behind.
"""

import math
from collections.abc import Callable

import attrs
import trio

from actors.ticks import Sleeper, time_reader
from protocol.audio import FRAME_BYTES, FRAME_SECONDS, is_voiced, silence

BLOCK_BYTES = 2000


@attrs.define
class Reel:
    """A run of bytes, of which the oldest may be forgotten."""

    size: int = attrs.field(default=0, init=False)
    """Bytes that are kept."""
    _blocks: list[bytes] = attrs.field(factory=list, init=False)
    _tail: bytearray = attrs.field(factory=bytearray, init=False)
    _forgotten: int = attrs.field(default=0, init=False)
    """Bytes at the beginning of the first block, which goes when all of it is."""

    def append(self, data: bytes) -> None:
        """Put more at the end."""
        self._tail += data
        self.size += len(data)
        while len(self._tail) >= BLOCK_BYTES:
            self._blocks.append(bytes(self._tail[:BLOCK_BYTES]))
            self._tail = self._tail[BLOCK_BYTES:]

    def cut(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` up to `stop`, counted from the oldest that is kept; fewer where it ends."""
        start, stop = start + self._forgotten, min(stop, self.size) + self._forgotten
        whole = len(self._blocks) * BLOCK_BYTES
        if start >= whole:
            return bytes(self._tail[start - whole : max(0, stop - whole)])
        parts: list[bytes | bytearray] = []
        for number in range(start // BLOCK_BYTES, min(len(self._blocks), -(-stop // BLOCK_BYTES))):
            origin = number * BLOCK_BYTES
            parts.append(self._blocks[number][max(0, start - origin) : stop - origin])
        parts.append(self._tail[: max(0, stop - whole)])
        return b"".join(parts)

    def forget(self, size: int) -> None:
        """Forget the oldest `size` bytes, all of them if there are no more."""
        size = min(size, self.size)
        self.size -= size
        size += self._forgotten
        gone = min(len(self._blocks), size // BLOCK_BYTES)
        del self._blocks[:gone]
        self._forgotten = size - gone * BLOCK_BYTES
        if not self._blocks:
            del self._tail[: self._forgotten]
            self._forgotten = 0


KEPT_FRAMES = 1500
"""Thirty seconds: longer than any restart budget, 240 kB. What has been transcribed is forgotten sooner."""

_GATHERED = 3 * FRAME_BYTES
"""What comes at once and is as long as that has gathered for a chunk, and is one: the line is not as regular as we."""
_SLACK_FRAMES = 50
_PREROLL_FRAMES = 15
_BREATH_FRAMES = 10
_LATEST = 1.0
"""Seconds: a reader that comes later than this to its next chunk of a backlog begins a new schedule."""
_BACKLOG_CHUNKS = 3
"""So much at once is a backlog, and has its pace. Two chunks may come together on any line."""
_LONGEST_SCAN = 150
"""Voice for longer than three seconds without a breath is taken for a noisy line, not for a turn that has begun."""


@attrs.define
class Tape:
    """The caller's audio of one call. Offsets count frames since the stream began."""

    kept: int = KEPT_FRAMES
    committed: int = 0
    """Every frame before this offset has been transcribed, or held no speech."""
    lost: int = 0
    """Frames that no session has read and none will: forgotten, or skipped between two readers."""
    _audio: Reel = attrs.field(factory=Reel, init=False)
    _is_quiet: bool = attrs.field(default=True, init=False)
    """Whether nothing has been said since `committed`."""
    first: int = attrs.field(default=0, init=False)
    """The offset of the oldest frame that is still kept."""
    end: int = attrs.field(default=0, init=False)
    """The offset of the next frame to come."""
    delivered: int = attrs.field(default=0, init=False)
    """The offset up to which frames were read by a session."""
    _wanted: float = attrs.field(default=math.inf, init=False)
    _lookers: list[Callable[[], None]] = attrs.field(factory=list, init=False)

    def append(self, audio: bytes, *, voiced: bool = True) -> None:
        """Put the caller's next audio on tape: any length, a frame begun is completed by the next call.

        What is not `voiced` may be passed over, as long as nothing was said before it that has not been transcribed.
        """
        self._audio.append(audio)
        self.end = end = self.first + self._audio.size // FRAME_BYTES
        if voiced:
            self._is_quiet = False
        elif self._is_quiet:
            self.committed = max(self.committed, end - _PREROLL_FRAMES)
        if (over := max(end - self.first - self.kept, self._done_with())) > _SLACK_FRAMES:
            self._forget(over)
        if end >= self._wanted or len(audio) >= _GATHERED:
            self.wake()

    def peek(self, start: int, stop: int) -> bytes:
        """Return the frames from `start` up to `stop`, as far as they exist and are still kept."""
        origin = self.first
        return self._audio.cut(max(0, start - origin) * FRAME_BYTES, max(0, stop - origin) * FRAME_BYTES)

    def read(self, start: int, stop: int) -> bytes:
        """Return the same frames, and note that a session has them."""
        self.hand_over(start, min(stop, self.end))
        return self.peek(start, stop)

    def hand_over(self, start: int, stop: int) -> None:
        """Note that a session has these frames."""
        if start > self.delivered:  # which is never before the first that is kept
            self.lost += max(0, min(start, stop) - self.delivered)
        self.delivered = stop if stop > self.delivered else self.delivered

    def call_at(self, offset: int, look: Callable[[], None]) -> None:
        """Have `look` called once: when the tape reaches `offset`, or somebody says `wake`."""
        self._wanted = offset if offset < self._wanted else self._wanted
        self._lookers.append(look)

    def call_off(self, look: Callable[[], None]) -> None:
        """Have `look` not called any more."""
        self._lookers = [other for other in self._lookers if other != look]

    def wake(self) -> None:
        """Have all that wait for a frame look now."""
        lookers, self._lookers, self._wanted = self._lookers, [], math.inf
        for look in lookers:
            look()

    def commit(self, offset: int) -> None:
        """Note that what the caller said before `offset` has been transcribed.

        Speech that is still going on at `offset` belongs to the next turn: the mark is set back to where it began.
        """
        self.committed = max(self.committed, self._start_of_speech(min(offset, self.end)))
        self._is_quiet = self.resume_point(self.end) == self.end
        self._forget(self._done_with())

    def resume_point(self, offset: int) -> int:
        """Return the frame from which a session must read that takes over from one which has read up to `offset`.

        That is the first voiced frame no one has transcribed, with a little before it; `offset` where there is none.
        """
        for number in range(max(self.committed, self.first), offset):
            if self._is_voiced(number):
                return max(number - _PREROLL_FRAMES, self.committed, self.first)
        return offset

    def is_quiet_before(self, offset: int) -> bool:
        """Whether nobody has spoken for a breath before `offset`, as far as it has not been transcribed."""
        start = max(self.committed, self.first, offset - _BREATH_FRAMES)
        return not any(self._is_voiced(number) for number in range(start, offset))

    def _start_of_speech(self, offset: int) -> int:
        quiet = 0
        start = offset
        floor = max(self.committed, self.first)
        for number in range(offset - 1, max(floor, offset - _LONGEST_SCAN) - 1, -1):
            if self._is_voiced(number):
                quiet, start = 0, number
                continue
            quiet += 1
            if quiet == _BREATH_FRAMES:
                return start
        return start if offset - floor <= _LONGEST_SCAN else offset

    def _is_voiced(self, number: int) -> bool:
        at = (number - self.first) * FRAME_BYTES
        return is_voiced(self._audio.cut(at, at + FRAME_BYTES))

    def _done_with(self) -> int:
        """How many of the oldest frames nobody will ask for again."""
        return min(self.committed, self.delivered) - self.first

    def _forget(self, frames: int) -> None:
        if frames <= 0:
            return
        self.first += frames
        self.lost += max(0, self.first - self.delivered)
        self.delivered = max(self.delivered, self.first)
        self._audio.forget(frames * FRAME_BYTES)


@attrs.define(eq=False)
class TapeReader:
    """Reads the tape for one session: from `cursor` on, in chunks, and silence while it is held.

    A backlog comes at `rate` times real time, then live. `hold` and `resume` are what a handoff does to the outgoing
    session: it must not hear what belongs to the next agent, and its line must not fall silent either
    (a Voice Agent session without audio ends after about 10 s: Deepgram reference, section 7).

    A turn that `hold` has cut off is nobody's: the service takes the silence for its end, and transcribes what it has.
    `confirm` does not count that, so that all of it is read again, by the next session or, after `resume`, by this one.
    """

    tape: Tape
    cursor: int
    chunk_frames: int = 4
    rate: float = 4.0
    starved_after: float = 2.0
    """Seconds without caller audio after which silence stands in for it."""
    deliver: Callable[[bytes], bool] = lambda _: False
    """Takes a live chunk the moment it is complete, if it can at once; else `next_chunk` returns it."""
    _released: trio.Event | None = attrs.field(default=None, init=False)
    _has_cut: bool = attrs.field(default=False, init=False)
    _reads_again: bool = attrs.field(default=False, init=False)
    _due: float = attrs.field(default=-math.inf, init=False)
    _fed: float = attrs.field(default=-math.inf, init=False)
    _has_news: bool = attrs.field(default=False, init=False)
    _nap: Sleeper = attrs.field(factory=Sleeper, init=False)
    _now: Callable[[], float] = attrs.field(default=trio.current_time, init=False)

    @property
    def chunk_seconds(self) -> float:
        return self.chunk_frames * FRAME_SECONDS

    @property
    def is_behind(self) -> bool:
        """Whether what it reads was said more than a second ago."""
        return (self.tape.end - self.cursor) * FRAME_SECONDS > 1.0

    @property
    def is_held(self) -> bool:
        """Whether the ear hears silence instead of the caller."""
        return self._released is not None

    @property
    def has_cut(self) -> bool:
        """Whether `hold` came while the caller spoke."""
        return self.is_held and self._has_cut

    def hold(self) -> int:
        """Stop reading; return the offset of the first frame that has not been read."""
        if self._released is None:
            self._released = trio.Event()
            self._has_cut = not self.tape.is_quiet_before(self.cursor)
            self.tape.wake()
        return self.cursor

    def resume(self) -> None:
        """Go on reading from where `hold` stopped, or where the turn began that it has cut off."""
        if self._released is not None:
            self._released.set()
            self._released = None
        if self._reads_again:
            self._reads_again = False
            self.cursor = self.tape.resume_point(self.cursor)

    def confirm(self) -> bool:
        """Note that what was read has been transcribed; False if `hold` has cut it off: then it is read again."""
        if self._released is not None and self._has_cut:
            self._reads_again = True
            return False
        self.tape.commit(self.cursor)
        return True

    async def next_chunk(self) -> bytes:
        """Wait for the next chunk of the caller's audio that could not be delivered, or of silence in its stead."""
        while True:
            if self._released is not None:
                return await self._next_silence(self._released)
            self.cursor = max(self.cursor, self.tape.first)
            backlog = self.tape.end - self.cursor
            if backlog < self.chunk_frames:
                if not await self._wait_news():
                    return silence(self.chunk_frames)
            elif trio.current_time() < self._due:
                await trio.sleep_until(self._due)
            else:
                return self._take(backlog)

    async def _wait_news(self) -> bool:
        """Wait for something that `_look` cannot do; False if nothing has come for too long."""
        self._now = time_reader()  # of the run of trio in which it waits
        self._fed, self._has_news = self._now(), False
        self.tape.call_at(self.cursor + self.chunk_frames, self._look)
        try:
            while not self._has_news and trio.current_time() < self._starves_at():
                await self._nap.sleep_until(self._starves_at(), self._starves_at)
        finally:
            self.tape.call_off(self._look)
        return self._has_news

    def _starves_at(self) -> float:
        return self._fed + self.starved_after

    def _look(self) -> None:
        """Deliver what there is in the step in which it was put on tape: waking a task would cost more."""
        tape, now, end, is_heard = self.tape, self._now(), self.tape.end, False
        if self._released is None and now >= self._due and end - self.cursor < _BACKLOG_CHUNKS * self.chunk_frames:
            while self.cursor < end:
                stop = end if end < self.cursor + 2 * self.chunk_frames else self.cursor + self.chunk_frames
                if not self.deliver(tape.peek(self.cursor, stop)):
                    break
                tape.hand_over(self.cursor, stop)
                self.cursor, self._fed, is_heard = stop, now, True
        if is_heard and self.cursor == end:
            tape.call_at(self.cursor + self.chunk_frames, self._look)
        else:
            self._has_news = True
            self._nap.wake()

    def _take(self, backlog: int) -> bytes:
        start, self.cursor = self.cursor, self.cursor + self.chunk_frames
        if backlog >= 2 * self.chunk_frames:  # another one is there already
            now = trio.current_time()
            # by the schedule, not from now: late wakes on a busy machine must not add up until it never catches up
            since = self._due if now - self._due < _LATEST else now
            self._due = since + self.chunk_seconds / self.rate
        return self.tape.read(start, self.cursor)

    async def _next_silence(self, released: trio.Event) -> bytes:
        with trio.move_on_after(self.chunk_seconds):
            await released.wait()
        return silence(self.chunk_frames)
