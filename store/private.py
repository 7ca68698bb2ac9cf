"""Files and folders that only their owner may read, whatever the umask: they hold what people said on the telephone.

A file that exists with wider permissions is narrowed when it is written to, if it is ours. `write_whole` writes a file
whole or not at all: under another name, renamed when the disk has it; a crash leaves the old content, and at worst a
hidden file beside it. All of it blocks, and raises `OSError` as `open` and `mkdir` do.
"""

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO

FOLDER = 0o700
FILE = 0o600


def make_folders(path: Path) -> None:
    """Make a folder, and those above it that are missing; a folder that is there stays as it is."""
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
    """Open a file in a binary mode."""
    return open(path, mode, opener=_opener)


def write_private(path: Path, content: bytes) -> None:
    """Write a file whole."""
    with open_private(path, "wb") as file:
        file.write(content)


def keep_private(path: Path) -> None:
    """Make an empty file if there is none, for a library that would make it for everybody to read."""
    open_private(path, "ab").close()


def narrow_file(path: Path) -> None:
    """Narrow a file, if it is there."""
    with suppress(FileNotFoundError):
        _narrow(path, FILE)


def _opener(name: str, flags: int) -> int:
    descriptor = os.open(name, flags, FILE)
    if (os.fstat(descriptor).st_mode & 0o777) != FILE:
        with suppress(PermissionError):  # somebody else's
            os.fchmod(descriptor, FILE)
    return descriptor


def _narrow(path: Path, mode: int) -> None:
    if (path.stat().st_mode & 0o777) != mode:
        with suppress(PermissionError):
            path.chmod(mode)


def write_whole(path: Path, content: bytes) -> None:
    """Write `content` to `path`, making the folder if need be, for its owner to read. Blocks: call it in a thread.

    Raises: `OSError`, and then `path` is as it was.
    """
    own_folder(path.parent)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, FILE)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:  # a cancelled thread or a full disk: no half file stays, and whatever it is goes on
        temporary.unlink(missing_ok=True)
        raise
