"""What a killed process has left of a recording becomes `call.wav`, and what a living one writes is left alone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import structlog
import trio

from actors.record.recording import Recording, finish_left, is_left
from protocol.audio import BYTES_PER_SECOND, SILENCE
from tests.web.fakes import settings
from web.services import open_services
from web.worker.left_recordings import ABANDONED_SECONDS, AGAIN_SECONDS, LeftRecordings, joining

SECOND = BYTES_PER_SECOND
HEADER, STEREO = 44, 4
ROOT = Path(__file__).parents[2]


def left(recordings: Path, sid: str, writer: str | None, *, begins_at: float = 0.0, seconds: int = 2) -> Path:
    """Leave the tracks of a call that was cut after so many seconds, the agents' shorter than the caller's."""
    folder = recordings / sid
    folder.mkdir(parents=True, exist_ok=True)
    recording = Recording(folder, begins_at)
    if writer is not None:
        recording.begin(writer)
    recording.caller.put(bytes([1]) * seconds * SECOND)
    recording.agents.put(bytes([2]) * SECOND)
    recording.write(recording.take())
    return folder


def aged(folder: Path, seconds: float = ABANDONED_SECONDS + 1) -> Path:
    for track in folder.glob(".*.ulaw"):
        os.utime(track, (time.time() - seconds,) * 2)
    return folder


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def length(folder: Path) -> float:
    return ((folder / "call.wav").stat().st_size - HEADER) / STEREO / SECOND


@pytest.fixture
def here(tmp_path: Path) -> LeftRecordings:
    here = LeftRecordings(tmp_path)
    here.hold()
    return here


def test_the_tracks_of_a_dead_process_become_a_recording(here: LeftRecordings) -> None:
    dead = LeftRecordings(here.folder)
    dead.hold()
    folder = left(here.folder, "CA1", dead.writer)
    assert here.look() == 0  # it lives
    dead._own.let_go()  # as the kernel does

    assert here.look() == 1

    assert (names(folder), length(folder)) == ({"call.wav"}, 2.0)
    assert dead.writer == ""
    assert here.look() == 0


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.web.test_left_recordings import left
from web.worker.left_recordings import LeftRecordings

mine = LeftRecordings(Path(sys.argv[1]))
mine.hold()
left(mine.folder, "CA1", mine.writer)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_process_that_is_killed_lets_go_of_its_recordings(here: LeftRecordings) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, str(here.folder)], cwd=ROOT, check=False)  # noqa: S603

    assert ended.returncode == -signal.SIGKILL
    assert is_left(here.folder / "CA1")
    assert (here.look(), names(here.folder / "CA1"), length(here.folder / "CA1")) == (1, {"call.wav"}, 2.0)


def test_among_many_calls_the_tracks_of_a_dead_process_are_found_within_seconds(
    here: LeftRecordings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1000):
        (here.folder / f"CA{number}").mkdir()
    pauses = list[float]()
    monkeypatch.setattr("store.leisure.time.sleep", pauses.append)
    here.look()

    assert 0 < sum(pauses) <= 0.1  # else those of 50,000 calls would wait for half a minute


def test_our_own_and_those_of_a_living_worker_are_left_alone(here: LeftRecordings) -> None:
    other = LeftRecordings(here.folder)
    other.hold()
    folders = [aged(left(here.folder, "CA1", here.writer), 20), aged(left(here.folder, "CA2", other.writer))]

    assert here.look() == 0
    assert all(is_left(folder) for folder in folders)


def test_our_own_that_could_not_be_joined_is_joined_when_nobody_has_written_to_it_for_long(
    here: LeftRecordings, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.look()
    folder = aged(left(here.folder, "CA1", here.writer), ABANDONED_SECONDS + 1)
    found = [here.look()]
    now = time.monotonic()
    monkeypatch.setattr("time.monotonic", lambda: now + AGAIN_SECONDS)
    found.append(here.look())

    assert (found, names(folder)) == ([0, 1], {"call.wav"})


def test_one_whose_lock_is_gone_is_dead(here: LeftRecordings) -> None:
    folder = left(here.folder, "CA1", "0123456789abcdef")

    assert (here.look(), names(folder)) == (1, {"call.wav"})


def test_tracks_without_a_note_are_joined_once_nobody_writes_them(
    here: LeftRecordings, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = left(here.folder, "CA1", None)
    assert here.look() == 0
    aged(folder)
    now = time.monotonic()
    monkeypatch.setattr("time.monotonic", lambda: now + AGAIN_SECONDS)

    assert (here.look(), names(folder)) == (1, {"call.wav"})


def test_a_second_stream_is_joined_behind_the_first(here: LeftRecordings) -> None:
    first = Recording(left(here.folder, "CA1", None))
    finish_left(first.folder)
    folder = left(here.folder, "CA1", "dead", begins_at=5.0)

    assert (here.look(), length(folder)) == (1, 7.0)
    content = (folder / "call.wav").read_bytes()
    assert content[HEADER + STEREO * 3 * SECOND :][:8] == bytes(8)  # nobody was there in between


@pytest.mark.parametrize("note", [b"", b"{", b"[]", b'{"writer": "x"}', b'{"writer": 1, "begins_at": "soon"}'])
def test_a_note_that_says_nothing_costs_no_recording(here: LeftRecordings, note: bytes) -> None:
    folder = left(here.folder, "CA1", "dead")
    (folder / ".recording.json").write_bytes(note)
    aged(folder)

    assert (here.look(), names(folder), length(folder)) == (1, {"call.wav"}, 2.0)


@pytest.mark.parametrize("begins_at", ["1e300", "-1", '"nan"', "1e6"])
def test_no_note_makes_a_recording_of_a_year(here: LeftRecordings, begins_at: str) -> None:
    folder = left(here.folder, "CA1", "dead")
    (folder / ".recording.json").write_text(f'{{"writer": "dead", "begins_at": {begins_at}}}')

    assert (here.look(), length(folder)) == (1, 2.0)


def test_a_disk_that_fails_for_one_call_costs_no_other(here: LeftRecordings) -> None:
    left(here.folder, "CA1", "dead")
    (here.folder / "CA1" / "call.wav").mkdir()
    folder = left(here.folder, "CA2", "dead")
    with structlog.testing.capture_logs() as logs:
        assert here.look() == 1

    assert names(folder) == {"call.wav"}
    assert {line["event"] for line in logs} == {"recording_not_recovered", "recording_recovered"}


def test_a_stream_that_comes_back_after_its_process_was_killed_begins_anew(here: LeftRecordings) -> None:
    folder = left(here.folder, "CA1", "dead")
    again = Recording(folder, 4.0)
    again.begin(here.writer)
    again.caller.put(bytes([3]) * SECOND)

    again.finish()

    assert (names(folder), length(folder)) == ({"call.wav"}, 5.0)
    tail = (folder / "call.wav").read_bytes()[HEADER + STEREO * 3 * SECOND :]
    assert tail[:4] == bytes(4)
    assert SILENCE not in tail[-4:-2]


async def test_the_next_start_joins_what_was_left(tmp_path: Path) -> None:
    folder = left(tmp_path, "CA1", "dead")
    async with open_services(settings(RECORDINGS_DIR=str(tmp_path))) as opened:
        writer = opened.services.writer
        while not (folder / "call.wav").exists() or is_left(folder):  # noqa: ASYNC110 - a thread makes it
            await trio.sleep(0.01)

    assert writer
    assert not list((tmp_path / ".writers").glob(f"{writer}*"))


async def test_without_a_folder_there_is_nothing_to_join() -> None:
    async with joining(None) as writer:
        assert writer == ""
