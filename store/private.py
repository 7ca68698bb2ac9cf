"""Files and folders that only their owner may read, whatever the umask: they hold what people said on the telephone.

A file that exists with wider permissions is narrowed when it is written to, if it is ours; a device or a pipe is not:
it keeps nothing, and others use it (`/dev/null`). `write_whole` writes a file whole or not at all: under another name,
renamed when the disk has it; a crash leaves the old content, and at worst a hidden file beside it. All of it blocks,
and raises `OSError` as `open` and `mkdir` do.

A `ProcessLock` lasts as long as its process, however that ends: the kernel lets go of it. A lock file whose lock can be
had was left by a process that is dead, in whatever container it ran.
"""

import fcntl
import os
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import attrs

_MAKING = threading.Lock()
FOLDER = 0o700
FILE = 0o600
HALF_SECONDS = 60.0
"""After so long nobody writes on at a file: the disk's deadlines are shorter."""


def make_folders(path: Path) -> None:
    """Make a folder, and those above it that are missing; a folder that is there stays as it is."""
    if path.is_dir():
        return
    missing = [folder for folder in path.parents if not folder.exists()]
    for folder in (*reversed(missing), path):
        is_new = not folder.exists()
        folder.mkdir(FOLDER, exist_ok=True)
        if is_new:
            _narrow(folder, FOLDER)


def own_folder(path: Path) -> None:
    """Make a folder that nobody but us uses, as `make_folders` does, and narrow it if it is there."""
    make_folders(path)
    _narrow(path, FOLDER)


def open_private(path: Path, mode: str) -> IO[bytes]:
    return open(path, mode, opener=_opener)


def write_private(path: Path, content: bytes) -> None:
    with naming(path), open_private(path, "wb") as file:
        file.write(content)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Have an error of the disk say which file it is about: that of a write does not."""
    try:
        yield
    except OSError as exc:
        exc.filename = exc.filename or str(path)
        raise


def append_private(path: Path, content: bytes) -> None:
    """Add to the end of a file, all or nothing. A file object of Python's would take half as long again."""
    descriptor, written = _opener(os.fspath(path), os.O_WRONLY | os.O_APPEND | os.O_CREAT), 0
    try:
        while written < len(content):
            written += os.write(descriptor, content[written:])
    except OSError as exc:
        with suppress(OSError):
            os.ftruncate(descriptor, os.lseek(descriptor, 0, os.SEEK_END) - written)
        exc.filename = os.fspath(path)
        raise
    finally:
        os.close(descriptor)


def keep_private(path: Path) -> None:
    """Make an empty file if there is none, for a library that would make it for everybody to read.

    A file that is there is not opened: SQLite's locks on it are the process's, and the kernel drops all when any
    descriptor of the file is closed (https://sqlite.org/howtocorrupt.html, 2.2). Nor does anybody use a new file before
    it is closed here.
    """
    with _MAKING:
        if path.exists():
            narrow_file(path)
        else:
            open_private(path, "ab").close()


def narrow_file(path: Path) -> None:
    with suppress(FileNotFoundError):
        _narrow(path, FILE)


def _opener(name: str, flags: int) -> int:
    descriptor = os.open(name, flags, FILE)
    if _is_wide(os.fstat(descriptor).st_mode, FILE):
        with suppress(PermissionError):  # somebody else's
            os.fchmod(descriptor, FILE)
    return descriptor


def _narrow(path: Path, mode: int) -> None:
    if _is_wide(path.stat().st_mode, mode):
        with suppress(PermissionError):
            path.chmod(mode)


def _is_wide(found: int, mode: int) -> bool:
    return (stat.S_ISREG(found) or stat.S_ISDIR(found)) and (found & 0o777) != mode


def write_whole(path: Path, content: bytes) -> None:
    """Write `content` to `path`, making the folder if need be, for its owner to read. Blocks: call it in a thread.

    Raises: `OSError`, and then `path` is as it was.
    """
    own_folder(path.parent)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with naming(path), os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, FILE)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:  # a cancelled thread or a full disk: no half file stays, and whatever it is goes on
        temporary.unlink(missing_ok=True)
        raise


def remove_halves(folder: Path) -> None:
    """Remove JSON files that `write_whole` had half written when its process was killed, a minute ago or earlier."""
    for path in folder.glob(".*.json.*"):
        with suppress(FileNotFoundError):
            if path.is_file() and path.stat().st_mtime < time.time() - HALF_SECONDS:
                path.unlink()


@attrs.define(eq=False)
class ProcessLock:
    """One lock file. All of it blocks."""

    path: Path
    _descriptor: int | None = attrs.field(default=None, init=False)

    @property
    def is_held(self) -> bool:
        return self._descriptor is not None

    def hold(self, *, new: bool) -> bool:
        """Take the lock; False if somebody else has it, or it is gone."""
        if self.is_held:
            return True
        try:
            descriptor = os.open(self.path, os.O_RDWR | (os.O_CREAT if new else 0), 0o600)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def is_anybodys(self) -> bool:
        """Say whether a living process has it, us included."""
        if self.is_held:
            return True
        if self.hold(new=False):
            self.let_go()
            return False
        return self.path.exists()

    def let_go(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
