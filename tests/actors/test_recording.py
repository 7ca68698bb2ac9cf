"""The recording is in time: left what the caller said, right what the caller heard."""

import shutil
import threading
import time
import tracemalloc
import wave
from itertools import groupby
from pathlib import Path

import pytest

from actors.record.recording import Recording, RecordingTrack, is_left
from protocol.audio import BYTES_PER_SECOND, SILENCE, ulaw_to_linear
from tests.actors.notebook import speech
from tests.store.samples import full_disk

QUIET = bytes([SILENCE])


def sides(path: Path) -> tuple[bytes, bytes]:
    with wave.open(str(path)) as wav:
        assert wav.getparams()[:3] == (2, 2, 8000)
        data = wav.readframes(wav.getnframes())
    left = b"".join(data[at : at + 2] for at in range(0, len(data), 4))
    right = b"".join(data[at + 2 : at + 4] for at in range(0, len(data), 4))
    return left, right


def test_audio_is_put_behind_what_is_there() -> None:
    track = RecordingTrack(Path("unused"))
    track.put(b"abc")
    track.put(b"def")

    assert (track.take(), track.take(), track.length) == ((0, [b"abc", b"def"]), (6, []), 6)


def test_a_pause_before_audio_is_silence() -> None:
    track = RecordingTrack(Path("unused"))
    track.put(b"abc", start=2)
    track.put(b"d", start=8)

    assert b"".join(track.take()[1]) == QUIET * 2 + b"abc" + QUIET * 3 + b"d"


def test_audio_never_overwrites_what_came_before() -> None:
    track = RecordingTrack(Path("unused"))
    track.put(b"abc")
    track.put(b"d", start=1)

    assert (b"".join(track.take()[1]), track.length) == (b"abcd", 4)


def test_a_recording_is_stereo_and_the_shorter_side_ends_in_silence(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    recording.caller.put(speech(0.1))
    recording.hear_agents(0.05, speech(0.2))

    recording.finish()

    left, right = sides(tmp_path / "call.wav")
    assert left == ulaw_to_linear(speech(0.1) + QUIET * 1200)
    assert right == ulaw_to_linear(QUIET * 400 + speech(0.2))


def test_what_was_written_on_the_way_is_in_the_recording_once(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    for start in range(0, 800, 160):
        recording.caller.put(speech(0.1)[start : start + 160])
        recording.write(recording.take())

    recording.finish()

    assert sides(tmp_path / "call.wav")[0] == ulaw_to_linear(speech(0.1))


def test_audio_that_comes_while_a_thread_is_writing_is_neither_lost_nor_doubled(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    recording.caller.put(b"\x01" * 160)
    taken = recording.take()
    recording.caller.put(b"\x02" * 160)
    recording.write(taken)

    recording.finish()

    assert sides(tmp_path / "call.wav")[0] == ulaw_to_linear(b"\x01" * 160 + b"\x02" * 160)


@pytest.mark.slow
def test_a_call_longer_than_one_block_is_joined_block_by_block(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    recording.caller.put(speech(61.0))

    recording.finish()

    assert sides(tmp_path / "call.wav")[0] == ulaw_to_linear(speech(61.0))


def test_only_the_recording_is_left_even_of_a_call_without_a_sound(tmp_path: Path) -> None:
    Recording(tmp_path).finish()

    assert [path.name for path in tmp_path.iterdir()] == ["call.wav"]
    assert sides(tmp_path / "call.wav") == (b"", b"")


def test_a_second_stream_is_written_behind_the_first_with_the_pause_between_them(tmp_path: Path) -> None:
    first = Recording(tmp_path)
    first.caller.put(speech(0.1))
    first.finish()
    second = Recording(tmp_path, begins_at=0.3)
    second.caller.put(speech(0.1))
    second.hear_agents(0.35, speech(0.1))
    second.finish()

    left, right = sides(tmp_path / "call.wav")
    assert left == ulaw_to_linear(speech(0.1) + QUIET * 1600 + speech(0.1) + QUIET * 400)
    assert right == ulaw_to_linear(QUIET * 2800 + speech(0.1))


def test_a_second_stream_whose_first_was_recorded_elsewhere_begins_in_silence(tmp_path: Path) -> None:
    second = Recording(tmp_path, begins_at=0.2)
    second.caller.put(speech(0.1))
    second.finish()

    left, _ = sides(tmp_path / "call.wav")
    assert left == ulaw_to_linear(QUIET * 1600 + speech(0.1))


@pytest.mark.parametrize("begins_at", [0.0, 0.3])
def test_a_disk_without_room_for_a_recording_keeps_what_there_was_and_takes_it_later(
    begins_at: float, tmp_path: Path
) -> None:
    whole = tmp_path / "call.wav"
    if begins_at:
        first = Recording(tmp_path)
        first.caller.put(speech(0.1))
        first.finish()
    before = whole.read_bytes() if begins_at else None
    recording = Recording(tmp_path, begins_at)
    recording.caller.put(speech(1.0))
    with full_disk(20_000), pytest.raises(OSError, match=r"File too large: '.*call\.wav'"):
        recording.finish()

    assert (whole.read_bytes() if whole.exists() else None) == before
    recording.finish()
    assert len(sides(whole)[0]) == 2 * BYTES_PER_SECOND * (begins_at + 1.0)


def test_a_long_recording_is_joined_in_little_memory(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    for track in (recording.caller, recording.agents):
        track.put(speech(1.0) * 120)
    recording.write(recording.take())
    tracemalloc.start()
    try:
        recording.finish()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most < 1_000_000  # of 1.9 MB that the tracks have; 0.4 MB are three files' buffers since Python 3.14


@pytest.mark.parametrize("is_over", [False, True])
def test_a_late_end_leaves_the_next_stream_of_the_call_alone(tmp_path: Path, is_over: bool) -> None:
    first, second = Recording(tmp_path), Recording(tmp_path, 1.0)
    for recording, sound in ((first, speech(1)), (second, speech(2))):
        recording.begin("one")
        recording.caller.put(sound)
        recording.write(recording.take())
    if is_over:
        second.finish_own()
    first.finish_own()
    second.finish_own()

    recorded = (tmp_path / "call.wav").read_bytes()
    assert len(recorded) == 44 + 4 * (BYTES_PER_SECOND + len(speech(2)))
    assert not is_left(tmp_path)


def test_a_late_end_brings_no_call_back_that_was_erased(tmp_path: Path) -> None:
    late = Recording(tmp_path / "CA1")
    late.folder.mkdir()
    late.begin("one")
    shutil.rmtree(late.folder)
    late.finish_own()

    assert not late.folder.exists()


def test_recordings_are_joined_one_at_a_time_with_pauses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls that end together would have the event loop wait for all their threads, in turn."""
    joined, slept, wait = list[str](), list[float](), time.sleep

    def interleave(left: bytes, _right: bytes) -> bytes:
        joined.append(threading.current_thread().name)
        wait(0.001)
        return left

    monkeypatch.setattr("actors.record.recording.interleave", interleave)
    monkeypatch.setattr(time, "sleep", slept.append)
    threads = [threading.Thread(target=long_recording(tmp_path / name).finish, name=name) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(joined) == 3 * 15
    assert len(list(groupby(joined))) == 3
    assert len(slept) == 3 * 3


def long_recording(folder: Path) -> Recording:
    """Return the recording of a call of a minute."""
    folder.mkdir()
    long = Recording(folder)
    long.caller.put(QUIET * 60 * BYTES_PER_SECOND)
    return long
