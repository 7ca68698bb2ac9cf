"""The files of a call are their owner's to read, and nobody else's, whatever the umask."""

import errno
import io
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
import trio
from typing_extensions import Buffer

from actors.journal import Journal
from actors.record.recording import add_earlier
from actors.record.scribe import Scribe
from protocol.audio import FRAME_BYTES
from store.databases import SqliteDatabase
from store.erasing import Subject, scrub
from store.private import (
    append_private,
    keep_private,
    make_folders,
    narrow_file,
    own_folder,
    write_private,
    write_whole,
)
from store.records import RunningRecord
from store.running_log import RunningLog
from store.spill_folder import SpillFolder
from store.sql import SqlRecords
from store.tokens import TokenStore
from tests.store.samples import FULL, full_disk
from tests.web.fakes import settings
from web.services import open_services


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o027], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes(folder: Path) -> dict[str, str]:
    """Return the permissions of everything below a folder, and of the folder."""
    return {str(path.relative_to(folder)): oct(path.stat().st_mode & 0o777) for path in [folder, *folder.rglob("*")]}


def assert_private(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        assert oct(path.stat().st_mode & 0o777) == ("0o700" if path.is_dir() else "0o600"), path


async def test_the_files_of_a_call(umask: int, tmp_path: Path) -> None:
    scribe = Scribe(tmp_path / "recordings" / "CA1")
    Journal([scribe.read])
    scribe.recording.caller.put(bytes(FRAME_BYTES))
    scribe._put_out()
    scribe._write()
    assert_private(tmp_path / "recordings")
    assert ".caller.ulaw" in {path.name for path in (tmp_path / "recordings" / "CA1").iterdir()}

    await scribe.finish(FULL)

    assert_private(tmp_path / "recordings")
    assert {"call.wav", "record.json"} <= {path.name for path in (tmp_path / "recordings" / "CA1").iterdir()}


async def test_records_and_what_waits_for_them(umask: int, tmp_path: Path) -> None:
    SpillFolder(tmp_path / "a" / "calls.db.waiting").put(FULL)
    own = RunningLog(tmp_path / "a" / "calls.db.running", "0123")
    own.update(1, {FULL.call_sid: RunningRecord(FULL)})
    await TokenStore(SqliteDatabase(str(tmp_path / "a" / ".tokens.db"))).put("token", b"secret", 60)

    assert_private(tmp_path / "a")
    own.let_go()


async def test_the_database_and_what_sqlite_puts_beside_it(umask: int, tmp_path: Path) -> None:
    folder = tmp_path / "db"
    own_folder(folder)
    records = SqlRecords(f"sqlite:///{folder}/switchboard.db")
    await records.save(FULL)
    with closing(sqlite3.connect(folder / "switchboard.db")) as reader:  # while it is open, the log stays
        reader.execute("SELECT * FROM calls").fetchall()
        await records.save(FULL)

        assert {"switchboard.db-wal", "switchboard.db-shm"} <= modes(folder).keys()
        assert_private(folder)


async def test_a_database_of_an_earlier_version_is_narrowed(tmp_path: Path) -> None:
    folder = tmp_path / "db"
    own_folder(folder)
    file = folder / "switchboard.db"
    await SqlRecords(f"sqlite:///{file}").save(FULL)
    file.chmod(0o644)

    assert await SqlRecords(f"sqlite:///{file}").get(FULL.call_sid) == FULL

    assert_private(folder)


async def test_what_the_server_makes_at_its_start(umask: int, tmp_path: Path) -> None:
    chosen = settings(RECORDINGS_DIR=f"{tmp_path}/new/recordings", DATABASE_URL=f"sqlite:///{tmp_path}/new/calls.db")
    async with open_services(chosen):
        assert_private(tmp_path / "new")


def test_a_folder_of_the_operators_stays_as_it_is_and_one_of_ours_is_narrowed(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "call").mkdir(mode=0o755)
    (tmp_path / "call" / "x").write_bytes(b"")
    (tmp_path / "call" / "x").chmod(0o644)

    make_folders(tmp_path)
    own_folder(tmp_path / "call")
    write_private(tmp_path / "call" / "x", b"content")

    assert modes(tmp_path) == {".": "0o755", "call": "0o700", "call/x": "0o600"}


@pytest.mark.parametrize("use", [narrow_file, keep_private, lambda path: write_private(path, b"x")])
@pytest.mark.parametrize("kind", ["device", "pipe"])
def test_a_device_or_a_pipe_stays_as_wide_as_it_is(use: Callable[[Path], object], kind: str, tmp_path: Path) -> None:
    ends = [*os.openpty()]
    path = Path(os.ttyname(ends[1]))
    if kind == "pipe":
        path = tmp_path / "pipe"
        os.mkfifo(path)
        ends.append(os.open(path, os.O_RDWR))  # nobody waits for a reader
    path.chmod(0o646)
    try:
        use(path)

        assert stat.S_IMODE(path.stat().st_mode) == 0o646
    finally:
        for end in ends:
            os.close(end)


def test_a_file_in_the_way_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match=r"exists|directory"):
            own_folder(path)


class HalfFile(io.FileIO):
    """A file on a disk that is full after the first ten bytes of what is written at once."""

    def write(self, content: Buffer, /) -> int:
        super().write(bytes(content)[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    "write",
    [append_private, write_private, write_whole],
    ids=["append", "write", "whole"],
)
def test_an_error_of_a_full_disk_says_which_file_it_is_about(
    write: Callable[[Path, bytes], None], tmp_path: Path
) -> None:
    with full_disk(100), pytest.raises(OSError, match=r"File too large: '.*/a file'"):
        write(tmp_path / "a file", bytes(9000))


def test_an_error_of_running_calls_says_which_file_it_is_about(tmp_path: Path) -> None:
    log = RunningLog(tmp_path, "me")
    with full_disk(100), pytest.raises(OSError, match=r"File too large: '.*/me\.jsonl'"):
        log.update(1, {FULL.call_sid: RunningRecord(FULL)})
    log.let_go()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Fill the disk; return the modes in which files are opened there."""

    def open_half(file: int | Path, mode: str, opener: Callable[[str, int], int] | None = None) -> io.BufferedIOBase:
        found.append(mode)
        raw = HalfFile(file, mode, opener=opener)
        return io.BufferedReader(raw) if "r" in mode else io.BufferedWriter(raw)

    found = list[str]()
    monkeypatch.setattr("store.private.open", open_half, raising=False)
    monkeypatch.setattr("os.fdopen", open_half)
    return found


@pytest.mark.parametrize(
    "write",
    [
        lambda folder: SpillFolder(folder).put(FULL),
        lambda folder: trio.run(Scribe(folder, records_audio=False).finish, FULL),
        lambda folder: scrub(folder / "call.wav", Subject("+15557650000")),
        lambda folder: add_earlier(folder, folder / "call.wav"),
    ],
    ids=["waiting", "transcript", "scrubbed", "joined"],
)
def test_a_full_disk_leaves_no_half_of_a_file(
    write: Callable[[Path], object], opened: list[str], tmp_path: Path
) -> None:
    whole = tmp_path / "CA1" / "call.wav"
    whole.parent.mkdir()
    whole.write_bytes(bytes(900))

    with suppress(OSError):
        write(whole.parent)

    assert "wb" in opened
    assert {path: path.stat().st_size for path in whole.parent.iterdir() if path.stat().st_size} == {whole: 900}
