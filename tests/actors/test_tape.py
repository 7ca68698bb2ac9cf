"""Promise 2: every caller frame reaches exactly the session that owns it, none lost, none twice, order kept."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.line.tape import KEPT_FRAMES, Tape, TapeReader
from protocol.audio import FRAME_BYTES, is_voiced, silence
from tests.actors.notebook import frame
from tests.examples import EXAMPLES, FULL

SLACK = 50


def frames(numbers: range, *, voiced: bool = False) -> bytes:
    return b"".join(frame(number, voiced=voiced) for number in numbers)


def tape_of(pattern: str) -> Tape:
    """A tape of quiet ("."), and voiced ("#") frames."""
    tape = Tape()
    tape.append(b"".join(frame(number, voiced=sign == "#") for number, sign in enumerate(pattern)))
    return tape


def test_the_frames_of_these_tests_are_voiced_or_not_as_they_say() -> None:
    assert is_voiced(frame(1234, voiced=True))
    assert not is_voiced(frame(1234))


# The log


def test_frames_are_read_back_as_they_were_appended() -> None:
    tape = Tape()
    tape.append(frames(range(10)))

    assert tape.read(2, 5) == frames(range(2, 5))


def test_a_frame_in_pieces_counts_once_it_is_whole() -> None:
    tape = Tape()
    tape.append(frame(0) + frame(1)[:100])
    before = tape.end
    tape.append(frame(1)[100:])

    assert (before, tape.end) == (1, 2)
    assert tape.read(0, 2) == frames(range(2))


def test_reading_past_the_end_gives_what_there_is_and_loses_nothing() -> None:
    tape = Tape()
    tape.append(frames(range(3)))

    assert tape.read(1, 9) == frames(range(1, 3))
    assert tape.read(7, 9) == b""
    assert tape.lost == 1  # frame 0 was skipped; those to come were not
    assert tape.delivered == 3


def test_a_gap_between_two_readers_is_counted_as_lost() -> None:
    tape = Tape()
    tape.append(frames(range(10)))
    tape.read(0, 4)

    tape.read(6, 10)

    assert tape.lost == 2


def test_frames_read_again_are_neither_lost_nor_delivered_twice() -> None:
    tape = Tape()
    tape.append(frames(range(10)))
    tape.read(0, 8)
    tape.read(4, 6)
    again = tape.delivered

    assert tape.read(6, 10) == frames(range(6, 10))
    assert (tape.lost, again, tape.delivered) == (0, 8, 10)


def test_an_overflowing_tape_forgets_the_oldest_frames_and_counts_those_nobody_read() -> None:
    tape = Tape(kept=100)
    tape.append(frames(range(100 + SLACK)))
    untouched = (tape.first, tape.lost)
    tape.read(0, 30)

    tape.append(frame(150))

    assert untouched == (0, 0)
    assert (tape.first, tape.end, tape.lost) == (51, 151, 21)
    assert tape.read(51, 53) == frames(range(51, 53))


def test_forgetting_what_was_read_loses_nothing() -> None:
    tape = Tape(kept=100)
    for number in range(1000):
        tape.append(frame(number))
        tape.read(number, number + 1)

    assert tape.lost == 0
    assert tape.end - tape.first <= 100 + SLACK


def test_half_a_minute_is_kept() -> None:
    tape = Tape()
    tape.append(frames(range(KEPT_FRAMES + SLACK + 1)))

    assert tape.end - tape.first == 1500


def hear(tape: Tape, pattern: str) -> None:
    """Put frames on tape one by one, as the bridge does, each read as it comes: `#` is voiced."""
    for sign in pattern:
        number = tape.end
        tape.append(frame(number, voiced=sign == "#"), voiced=sign == "#")
        tape.read(number, number + 1)


def test_a_caller_who_only_listens_takes_no_tape() -> None:
    tape = Tape()
    hear(tape, "." * 500)

    assert tape.end - tape.first <= 15 + SLACK
    assert (tape.lost, tape.resume_point(500)) == (0, 500)


def test_what_was_said_is_kept_however_long_the_silence_before_and_behind_it() -> None:
    tape = Tape()
    hear(tape, "." * 500 + "#" * 20 + "." * 500)

    assert tape.first <= tape.resume_point(tape.end) == 500 - 15
    assert tape.peek(500, 520) == frames(range(500, 520), voiced=True)


def test_silence_is_passed_over_again_when_what_was_said_has_been_transcribed() -> None:
    tape = Tape()
    hear(tape, "." * 100 + "#" * 20 + "." * 100)
    tape.commit(tape.end)
    hear(tape, "." * 200)
    silent = tape.end - tape.first
    hear(tape, "#" * 4)

    assert silent <= 15 + SLACK
    assert tape.resume_point(tape.end) == tape.end - 4 - 15


def test_speech_that_a_transcript_does_not_reach_is_kept() -> None:
    tape = Tape()
    hear(tape, "#" * 20 + "." * 20)
    hear(tape, "#" * 4)
    tape.commit(30)
    hear(tape, "." * 500)

    assert tape.resume_point(tape.end) == 40 - 10


def test_silence_that_nobody_has_read_is_kept() -> None:
    tape = Tape()
    for number in range(500):
        tape.append(frame(number), voiced=False)

    assert (tape.first, tape.lost) == (0, 0)
    assert tape.read(0, 500) == frames(range(500))


@pytest.mark.slow
@settings(max_examples=EXAMPLES if FULL else 3)
@given(
    st.lists(st.tuples(st.sampled_from(".#"), st.integers(1, 120)), max_size=12),
    st.sets(st.integers(0, 700), max_size=4),
)
def test_passing_over_silence_changes_nothing_that_a_session_hears(runs: list[tuple[str, int]], at: set[int]) -> None:
    """Beside a tape that keeps everything, whatever was said and whenever it was transcribed."""
    sparing, keeping = Tape(), Tape()
    for sign in "".join(sign * length for sign, length in runs):
        number = sparing.end
        for tape in (sparing, keeping):
            tape.append(frame(number, voiced=sign == "#"), voiced=sign == "#" or tape is keeping)
            tape.read(number, number + 1)
            if number in at:
                tape.commit(number)
        resumed = sparing.resume_point(number + 1)
        assert resumed == keeping.resume_point(number + 1)
        assert sparing.peek(resumed, number + 1) == keeping.peek(resumed, number + 1)
        assert sparing.is_quiet_before(number + 1) == keeping.is_quiet_before(number + 1)
    assert (sparing.lost, keeping.lost) == (0, 0)


# Commit and resume


def test_a_session_that_follows_a_crash_hears_the_untranscribed_speech_with_a_little_before_it() -> None:
    tape = tape_of("." * 40 + "#" * 20)

    assert tape.resume_point(60) == 40 - 15


def test_nothing_is_replayed_where_nobody_spoke() -> None:
    assert tape_of("." * 60).resume_point(60) == 60


def test_transcribed_speech_is_never_replayed() -> None:
    tape = tape_of("#" * 20 + "." * 20)
    tape.commit(40)

    assert (tape.committed, tape.resume_point(40)) == (40, 40)


def test_the_little_before_the_speech_does_not_reach_back_into_a_transcribed_turn() -> None:
    tape = tape_of("#" * 20 + "." * 15 + "#" * 10)
    tape.commit(30)

    assert tape.resume_point(45) == 30


def test_speech_that_has_begun_when_a_turn_is_confirmed_belongs_to_the_next_turn() -> None:
    tape = tape_of("#" * 30 + "." * 12 + "#" * 5)
    tape.commit(47)

    assert tape.committed == 42


def test_a_pause_shorter_than_a_breath_does_not_divide_a_turn() -> None:
    tape = tape_of("." * 30 + "#" * 10 + "." * 9 + "#" * 5)
    tape.commit(54)

    assert tape.committed == 30


def test_noise_without_a_breath_for_three_seconds_is_not_a_turn_that_has_begun() -> None:
    assert_committed("." * 20 + "#" * 151, at=171, expected=171)
    assert_committed("#" * 150, at=150, expected=0)


def assert_committed(pattern: str, *, at: int, expected: int) -> None:
    tape = tape_of(pattern)
    tape.commit(at)
    assert tape.committed == expected


def test_the_committed_offset_never_goes_back() -> None:
    tape = tape_of("." * 100)
    tape.commit(80)

    tape.commit(20)

    assert tape.committed == 80


def test_what_has_not_been_said_cannot_be_committed() -> None:
    tape = tape_of("." * 30)

    tape.commit(99)

    assert tape.committed == 30


def test_a_resumption_never_reaches_back_to_forgotten_frames() -> None:
    tape = Tape(kept=100)
    tape.append(frames(range(300), voiced=True))

    assert tape.resume_point(300) == tape.first == 200


# The reader


async def test_a_backlog_comes_at_four_times_real_time_and_then_live(autojump_clock: MockClock) -> None:
    tape = Tape()
    reader = TapeReader(tape, 0)
    tape.append(frames(range(24)))
    times = []

    for _ in range(6):
        await reader.next_chunk()
        times.append(trio.current_time())

    assert times == pytest.approx([0.0, 0.02, 0.04, 0.06, 0.08, 0.1])


async def test_live_audio_is_handed_over_when_the_chunk_is_full(autojump_clock: MockClock) -> None:
    tape = Tape()
    reader = TapeReader(tape, 0)
    heard: dict[float, bytes] = {}

    async def listen() -> None:
        for _ in range(3):
            chunk = await reader.next_chunk()
            heard[round(trio.current_time(), 6)] = chunk

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        for number in range(12):
            await trio.sleep(0.02)
            tape.append(frame(number))

    assert heard == {0.08: frames(range(4)), 0.16: frames(range(4, 8)), 0.24: frames(range(8, 12))}


@pytest.mark.parametrize(("late", "caught_up_at"), [(0.0, 5.0), (0.06, 5.0), (0.2, 5.2)])
async def test_a_reader_that_is_served_late_catches_up_as_fast_as_one_that_is_not(
    late: float, caught_up_at: float, autojump_clock: MockClock
) -> None:
    tape = Tape()
    tape.append(frames(range(750)))  # fifteen seconds; at four times real time, caught up after five
    reader = TapeReader(tape, 0)

    async def speak() -> None:
        while True:
            await trio.sleep(0.02)
            tape.append(frame(0))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(speak)
        woken = 0.0
        with trio.fail_after(30):
            while tape.end - reader.cursor >= 8:
                await reader.next_chunk()
                if trio.current_time() > woken:  # it slept, and a busy machine lets it run only later
                    await trio.sleep(late)
                    woken = trio.current_time()
        nursery.cancel_scope.cancel()

    assert trio.current_time() == pytest.approx(caught_up_at, abs=0.2)


async def test_a_reader_that_was_long_away_does_not_send_in_one_go_what_it_missed(autojump_clock: MockClock) -> None:
    tape = Tape()
    tape.append(frames(range(40)))
    reader = TapeReader(tape, 0)
    await reader.next_chunk()
    await trio.sleep(10)

    await reader.next_chunk()
    await reader.next_chunk()

    assert trio.current_time() == pytest.approx(10.02)


async def test_two_readers_of_one_tape_both_hear_everything(autojump_clock: MockClock) -> None:
    tape = Tape()
    heard: dict[int, bytes] = {}
    times: dict[int, list[float]] = {2: [], 6: []}

    async def listen(chunk_frames: int) -> None:
        reader = TapeReader(tape, 0, chunk_frames)
        heard[chunk_frames] = b""
        while len(heard[chunk_frames]) < 12 * FRAME_BYTES:
            heard[chunk_frames] += await reader.next_chunk()
            times[chunk_frames].append(round(trio.current_time(), 6))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen, 2)
        nursery.start_soon(listen, 6)
        for number in range(12):
            await trio.sleep(0.02)
            tape.append(frame(number))

    assert heard == {2: frames(range(12)), 6: frames(range(12))}
    assert times == {2: [0.04, 0.08, 0.12, 0.16, 0.2, 0.24], 6: [0.12, 0.24]}


async def test_a_line_without_audio_does_not_fall_silent_towards_the_service(autojump_clock: MockClock) -> None:
    reader = TapeReader(Tape(), 0)

    chunk = await reader.next_chunk()

    assert (trio.current_time(), chunk) == (2.0, silence(4))
    assert reader.cursor == 0


async def test_a_held_reader_sends_silence_in_real_time_and_reads_nothing(autojump_clock: MockClock) -> None:
    tape = Tape()
    tape.append(frames(range(8)))
    reader = TapeReader(tape, 0)
    await reader.next_chunk()

    offset = reader.hold()
    chunks = [await reader.next_chunk() for _ in range(5)]

    assert (offset, reader.hold(), reader.cursor, tape.delivered) == (4, 4, 4, 4)
    assert chunks == [silence(4)] * 5
    assert trio.current_time() == pytest.approx(0.4)


async def test_holding_interrupts_a_reader_that_waits_for_audio(autojump_clock: MockClock) -> None:
    tape = Tape()
    reader = TapeReader(tape, 0)
    heard = []

    async def listen() -> None:
        heard.append(await reader.next_chunk())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        await wait_all_tasks_blocked()
        reader.hold()

    assert heard == [silence(4)]
    assert trio.current_time() == pytest.approx(0.08)


async def test_a_reader_that_resumes_goes_on_where_it_was_held(autojump_clock: MockClock) -> None:
    tape = Tape()
    tape.append(frames(range(4)))
    reader = TapeReader(tape, 0)
    await reader.next_chunk()
    reader.hold()
    tape.append(frames(range(4, 8)))

    reader.resume()
    reader.resume()

    assert await reader.next_chunk() == frames(range(4, 8))


async def test_resuming_does_not_wait_for_the_silence_under_way(autojump_clock: MockClock) -> None:
    tape = Tape()
    tape.append(frames(range(4)))
    reader = TapeReader(tape, 0)
    reader.hold()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader.next_chunk)
        await wait_all_tasks_blocked()
        reader.resume()

    assert trio.current_time() == 0.0


async def test_the_next_agent_reads_from_the_frame_at_which_the_last_one_was_held(autojump_clock: MockClock) -> None:
    tape = Tape()
    tape.append(frames(range(6)))
    first = TapeReader(tape, 0)
    heard = await first.next_chunk()

    second = TapeReader(tape, first.hold())
    tape.append(frames(range(6, 8)))

    assert heard + await second.next_chunk() == frames(range(8))


async def reader_held_at(pattern: str) -> TapeReader:
    """A reader of all of this tape, that is held then; the caller goes on for four frames."""
    tape = tape_of(pattern)
    reader = TapeReader(tape, 0, chunk_frames=len(pattern))
    await reader.next_chunk()
    reader.hold()
    tape.append(frames(range(len(pattern), len(pattern) + 4), voiced=True))
    return reader


async def test_a_turn_that_was_cut_off_is_read_again_whole_by_the_next_reader(autojump_clock: MockClock) -> None:
    reader = await reader_held_at("." * 40 + "#" * 6)

    assert not reader.confirm()
    assert reader.tape.resume_point(reader.cursor) == 25


async def test_a_turn_that_was_cut_off_is_read_again_whole_by_the_same_reader(autojump_clock: MockClock) -> None:
    reader = await reader_held_at("." * 40 + "#" * 6)
    reader.confirm()

    reader.resume()

    assert reader.cursor == 25
    assert reader.confirm()


async def test_a_turn_is_cut_off_if_its_end_and_a_breath_had_not_been_heard(autojump_clock: MockClock) -> None:
    assert not (await reader_held_at("#" * 6 + "." * 9)).confirm()
    assert (await reader_held_at("#" * 6 + "." * 10)).confirm()


async def test_a_turn_that_was_over_before_is_confirmed_while_the_ear_is_held(autojump_clock: MockClock) -> None:
    reader = await reader_held_at("#" * 6 + "." * 20)
    reader.confirm()

    reader.resume()

    assert (reader.tape.committed, reader.cursor) == (26, 26)


async def test_speech_that_was_confirmed_before_does_not_make_a_turn_cut_off(autojump_clock: MockClock) -> None:
    tape = tape_of("#" * 12)
    reader = TapeReader(tape, 0, chunk_frames=12)
    await reader.next_chunk()
    tape.committed = 12
    reader.hold()

    assert reader.confirm()


async def test_a_reader_left_behind_by_the_tape_goes_on_with_the_oldest_frames_kept(autojump_clock: MockClock) -> None:
    tape = Tape(kept=100)
    reader = TapeReader(tape, 0)
    tape.append(frames(range(2)))
    reader.hold()
    tape.append(frames(range(2, 202)))
    reader.resume()

    chunk = await reader.next_chunk()

    assert chunk == frames(range(tape.first, tape.first + 4))
    assert (reader.cursor, tape.lost) == (106, 102)


async def test_a_reader_cancelled_while_waiting_has_taken_nothing(autojump_clock: MockClock) -> None:
    tape = Tape()
    reader = TapeReader(tape, 0)
    with trio.move_on_after(0.5):
        await reader.next_chunk()

    tape.append(frames(range(4)))

    assert await reader.next_chunk() == frames(range(4))


def test_what_has_been_transcribed_is_not_kept_and_is_not_lost() -> None:
    tape = tape_of("." * 100)
    tape.read(0, 100)
    tape.commit(80)

    assert (tape.first, tape.end, tape.lost) == (80, 100, 0)
    assert tape.peek(80, 100) == frames(range(80, 100))


@asynccontextmanager
async def listening(deliver: Callable[[bytes], bool]) -> AsyncIterator[tuple[Tape, TapeReader, list[bytes]]]:
    """Open a tape whose reader is heard by `deliver` at once, and by the list the long way."""
    tape, late = Tape(), list[bytes]()
    reader = TapeReader(tape, 0, deliver=deliver)

    async def pump() -> None:
        while True:
            late.append(await reader.next_chunk())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pump)
        await wait_all_tasks_blocked()
        yield tape, reader, late
        nursery.cancel_scope.cancel()


@attrs.define
class Ear:
    """Takes what is delivered, as long as it can."""

    heard: list[bytes] = attrs.field(factory=list)
    hears: bool = True

    def take(self, chunk: bytes) -> bool:
        if self.hears:
            self.heard.append(chunk)
        return self.hears


async def test_a_live_chunk_is_delivered_in_the_turn_that_completes_it(autojump_clock: MockClock) -> None:
    ear = Ear()
    async with listening(ear.take) as (tape, reader, late):
        for number in range(9):
            tape.append(frames(range(number, number + 1)))

        assert ear.heard == [frames(range(4)), frames(range(4, 8))]
        assert (reader.cursor, tape.delivered, late) == (8, 8, [])


async def test_what_cannot_be_delivered_is_read_the_long_way_once_and_in_order(autojump_clock: MockClock) -> None:
    ear = Ear()
    async with listening(ear.take) as (tape, _, late):
        tape.append(frames(range(4)))
        ear.hears = False
        tape.append(frames(range(4, 8)))
        ear.hears = True
        tape.append(frames(range(8, 9)))
        await wait_all_tasks_blocked()
        tape.append(frames(range(9, 12)))

        assert (ear.heard, late) == ([frames(range(4)), frames(range(8, 12))], [frames(range(4, 8))])


async def test_two_chunks_that_come_together_are_delivered_one_by_one(autojump_clock: MockClock) -> None:
    ear = Ear()
    async with listening(ear.take) as (tape, reader, late):
        tape.append(frames(range(2)))
        tape.append(frames(range(2, 9)))

        assert ear.heard == [frames(range(4)), frames(range(4, 9))]
        assert (reader.cursor, tape.delivered, tape.lost, late) == (9, 9, 0, [])


async def test_what_comes_at_once_has_gathered_for_a_chunk_however_much_is_late(autojump_clock: MockClock) -> None:
    """On a line with jitter: three frames, then five, then two, which wait for those that are late."""
    ear, came = Ear(), 0
    async with listening(ear.take) as (tape, reader, late):
        for count in (3, 5, 2, 4):
            tape.append(frames(range(came, came + count)))
            came += count

        assert ear.heard == [frames(range(3)), frames(range(3, 8)), frames(range(8, 14))]
        assert (reader.cursor, late) == (14, [])


async def test_what_an_ear_cannot_take_any_more_is_read_the_long_way(autojump_clock: MockClock) -> None:
    ear = Ear()

    def take_one(chunk: bytes) -> bool:
        heard = ear.take(chunk)
        ear.hears = False
        return heard

    async with listening(take_one) as (tape, _, late):
        tape.append(frames(range(8)))
        await wait_all_tasks_blocked()

        assert (ear.heard, late) == ([frames(range(4))], [frames(range(4, 8))])


async def test_a_backlog_is_not_delivered_at_once_but_at_its_pace(autojump_clock: MockClock) -> None:
    ear = Ear()
    async with listening(ear.take) as (tape, _, late):
        tape.append(frames(range(12)))
        await wait_all_tasks_blocked()
        assert ear.heard == []
        await trio.sleep(1)

        assert b"".join([*late, *ear.heard]) == frames(range(12))


async def test_nothing_is_delivered_to_an_ear_that_is_held(autojump_clock: MockClock) -> None:
    ear = Ear()
    async with listening(ear.take) as (tape, reader, late):
        tape.append(frames(range(4)))
        held = reader.hold()
        tape.append(frames(range(4, 8)))
        await trio.sleep(0.2)
        assert (held, ear.heard, late) == (4, [frames(range(4))], [silence(4)] * 2)

        reader.resume()
        await trio.sleep(0.2)
        assert b"".join(ear.heard + late).replace(silence(4), b"") == frames(range(8))


async def test_nothing_is_delivered_once_its_reader_is_gone(autojump_clock: MockClock) -> None:
    ear = Ear()
    async with listening(ear.take) as (tape, reader, _):
        tape.append(frames(range(2)))
    tape.append(frames(range(2, 10)))

    assert (ear.heard, reader.cursor, tape.delivered) == ([], 0, 0)


async def test_deliveries_put_off_the_silence_that_stands_in_for_a_caller(autojump_clock: MockClock) -> None:
    ear = Ear()
    async with listening(ear.take) as (tape, _, late):
        await trio.sleep(1.5)
        tape.append(frames(range(4)))
        await trio.sleep(1.9)
        assert late == []
        await trio.sleep(0.2)
        assert late == [silence(4)]


class TapeInUse(RuleBasedStateMachine):
    """Sessions that follow one another on one tape: each reads on, is held, hands over, or crashes."""

    KEPT = 60

    def __init__(self) -> None:
        super().__init__()
        self.tape = Tape(kept=self.KEPT)
        self.reader = TapeReader(self.tape, 0)
        self.said = b""
        self.torn = b""
        self.read: set[int] = set()
        self.replayed_up_to = 0

    @rule(count=st.integers(1, 40), voiced=st.booleans(), torn=st.integers(0, FRAME_BYTES - 1))
    def append(self, count: int, voiced: bool, torn: int) -> None:
        start = (len(self.said) + len(self.torn)) // FRAME_BYTES
        audio = self.torn + b"".join(frame(start + number, voiced=voiced) for number in range(count))
        now, self.torn = audio[: len(audio) - torn], audio[len(audio) - torn :]
        self.tape.append(now)
        self.said += now

    @precondition(lambda self: self.reader._released is None)
    @rule()
    def listen(self) -> None:
        start = max(self.reader.cursor, self.tape.first)
        enough = self.tape.end - start >= self.reader.chunk_frames

        chunk = trio.run(self.reader.next_chunk, clock=MockClock(autojump_threshold=0))

        numbers = range(start, start + 4) if enough else range(0)
        assert chunk == (self.said[start * FRAME_BYTES : (start + 4) * FRAME_BYTES] if enough else silence(4))
        assert not {number for number in numbers if number >= self.replayed_up_to} & self.read
        assert self.reader.cursor == (numbers.stop if enough else start)
        self.read |= set(numbers)

    @precondition(lambda self: self.reader._released is not None)
    @rule()
    def listen_while_held(self) -> None:
        before = self.reader.cursor

        assert trio.run(self.reader.next_chunk, clock=MockClock(autojump_threshold=0)) == silence(4)
        assert self.reader.cursor == before

    @rule()
    def hold(self) -> None:
        assert self.reader.hold() == self.reader.cursor

    @rule()
    def resume(self) -> None:
        before = self.reader.cursor
        self.reader.resume()
        if self.reader.cursor < before:
            assert min(before, self.tape.committed) <= self.reader.cursor
            self.replayed_up_to = max(self.replayed_up_to, before)

    @rule()
    def hear_turn(self) -> None:
        before = self.tape.committed
        self.reader.confirm()
        assert before <= self.tape.committed <= max(before, self.reader.cursor)

    @rule()
    def hand_over(self) -> None:
        self.reader = TapeReader(self.tape, self.reader.hold())

    @rule()
    def crash(self) -> None:
        before = self.reader.cursor
        self.reader = TapeReader(self.tape, self.tape.resume_point(before))
        assert min(before, self.tape.committed) <= self.reader.cursor <= before
        self.replayed_up_to = max(self.replayed_up_to, before)

    @invariant()
    def every_frame_was_read_or_is_counted_as_lost_or_is_still_to_come(self) -> None:
        unread = set(range(self.tape.end)) - self.read
        assert self.tape.lost == len({number for number in unread if number < self.tape.first})
        assert self.tape.delivered >= max(self.read, default=-1) + 1

    @invariant()
    def it_is_bounded(self) -> None:
        assert self.tape.end == len(self.said) // FRAME_BYTES
        wanted = min(self.tape.end - min(self.tape.committed, self.tape.delivered), self.KEPT)
        assert wanted <= self.tape.end - self.tape.first <= self.KEPT + SLACK


TestTapeInUse = TapeInUse.TestCase
TestTapeInUse.settings = settings(
    max_examples=60 if FULL else 15, stateful_step_count=40, deadline=None, derandomize=True, database=None
)
