"""A folder of waiting records is shared with other workers, and with whatever else lies there."""

import os
import time
from pathlib import Path

import attrs
import pytest

from store.records import RecordError
from store.spill_folder import SpillFolder, read_record
from tests.store.samples import FULL, at


@pytest.fixture
def folder(tmp_path: Path) -> SpillFolder:
    return SpillFolder(tmp_path / "waiting")


def test_a_folder_that_nobody_made_yet_is_empty(folder: SpillFolder) -> None:
    assert (folder.waiting(), folder.find(FULL.call_sid), folder.newest(5)) == ([], None, [])


def test_records_wait_in_the_order_they_came(folder: SpillFolder) -> None:
    files = [folder.put(at(minute)) for minute in (3, 1, 2)]

    assert folder.waiting() == files
    assert folder.newest(2) == [at(2), at(1)]


def test_records_wait_in_their_order_though_the_clock_is_set_back(
    folder: SpillFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [folder.put(FULL)]
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    files += [folder.put(attrs.evolve(FULL, outcome="completed"))]

    assert (folder.waiting(), folder.find(FULL.call_sid)) == (files, attrs.evolve(FULL, outcome="completed"))


@pytest.mark.parametrize("path", ["missing", "file", "file/below", "private"])
def test_no_record_waits_where_no_folder_of_ours_is(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> list[str]:
        raise PermissionError

    (tmp_path / "file").write_bytes(b"")
    if path == "private":  # of another user: root may read it all the same
        monkeypatch.setattr(os, "listdir", refuse)

    assert SpillFolder(tmp_path / path).find("CA1") is None


def test_what_a_killed_process_has_half_written_is_removed_a_minute_later(folder: SpillFolder) -> None:
    folder.put(FULL).unlink()
    halves = [folder.path / f".{number}.json.x" for number in (61, 50)]
    for half in halves:
        half.write_bytes(b"{")
        os.utime(half, (0, time.time() - int(half.name.split(".")[1])))
    strange = folder.path / ".keep"
    strange.touch()
    os.utime(strange, (0, 0))

    assert folder.waiting() == []
    assert [path.exists() for path in (*halves, strange)] == [False, True, True]


def test_only_its_owner_may_read_what_was_said(folder: SpillFolder) -> None:
    assert folder.put(FULL).stat().st_mode & 0o077 == 0


def test_a_file_that_another_worker_has_sent_is_gone_without_a_word(folder: SpillFolder) -> None:
    file = folder.put(FULL)
    file.unlink()

    folder.set_aside(file)
    assert (read_record(file), folder.waiting()) == (None, [])


def test_of_a_call_that_was_saved_twice_the_second_is_found(folder: SpillFolder) -> None:
    folder.put(FULL)
    folder.put(attrs.evolve(FULL, outcome="crashed"))

    assert (found := folder.find(FULL.call_sid)) is not None
    assert found.outcome == "crashed"


@pytest.mark.parametrize("call_sid", ["../../etc/passwd", "CA*[0-9]?", "CA\0", "é" * 50, "", ".", "-"])
def test_a_strange_name_stays_in_the_folder_and_is_found(folder: SpillFolder, call_sid: str) -> None:
    record = attrs.evolve(FULL, call_sid=call_sid)
    file = folder.put(record)

    assert file.parent == folder.path
    assert folder.find(call_sid) == record


def test_a_call_whose_name_begins_alike_is_another_call(folder: SpillFolder) -> None:
    folder.put(attrs.evolve(FULL, call_sid="C" * 500))

    assert folder.find("C" * 501) is None


def test_what_was_half_written_by_a_killed_process_is_not_in_the_queue(folder: SpillFolder) -> None:
    file = folder.put(FULL)
    file.with_name(f".{file.name}.abc").write_bytes(b'{"call_')

    assert folder.waiting() == [file]


def test_a_file_that_is_no_record_is_an_error_by_itself_and_passed_over_otherwise(folder: SpillFolder) -> None:
    file = folder.put(FULL)
    file.write_bytes(b"{")

    assert (folder.find(FULL.call_sid), folder.newest(5)) == (None, [])
    with pytest.raises(RecordError):
        read_record(file)


def test_what_is_set_aside_is_kept_but_waits_no_longer(folder: SpillFolder) -> None:
    file = folder.put(FULL)
    folder.set_aside(file)

    assert folder.waiting() == []
    assert [path.suffix for path in folder.path.iterdir()] == [".refused"]

    folder.try_again()
    again = folder.waiting()
    folder.set_aside(again[0])

    assert (len(again), list(folder.path.iterdir())) == (1, [file.with_suffix(".refused")])
