"""Recordings in an object store: S3, Google Cloud Storage, Azure, a folder, whatever fsspec has a driver for.

`ObjectStore` keeps one object a call, `<RECORDINGS_URL>/<CallSid>/call.wav`, and touches nothing else below that
address. What has this name was read back once, and is what was sent: an upload has another name until it was checked.
All of it blocks: call it in a thread. A driver's errors are often no `OSError`; only a missing object is told apart.
"""

import hashlib
import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Protocol

import attrs

BLOCK = 1 << 20
NAME, UNCHECKED = "call.wav", ".unchecked"
UNCHECKED_SECONDS = 86_400.0
"""After so long, what a dead process has not finished uploading is removed."""
_OURS = re.compile(rf"/([A-Za-z0-9][A-Za-z0-9_-]{{0,63}})/{re.escape(NAME)}(\.[0-9a-f]{{32}}{re.escape(UNCHECKED)})?")
_CHANGED = ("LastModified", "mtime", "updated", "last_modified")
"""When an object was written, as the drivers for S3, folders, Google and Azure name it in a listing."""


class ObjectsUnavailable(OSError):
    """The store did not answer, could not do it now, or does not have what it was sent; the message says why."""


class FileSystem(Protocol):
    """A file system of fsspec, as far as it is used here: `fsspec.spec.AbstractFileSystem` says what each does."""

    def open(self, path: str, mode: str, *, block_size: int) -> IO[bytes]: ...
    def info(self, path: str) -> Mapping[str, object]: ...
    def cat_file(self, path: str, *, start: int, end: int) -> bytes: ...
    def find(self, path: str, *, detail: bool) -> Mapping[str, Mapping[str, object]]: ...
    def modified(self, path: str) -> datetime: ...
    def mv(self, path1: str, path2: str) -> None: ...
    def rm(self, path: str, *, recursive: bool = False) -> None: ...


@attrs.frozen
class ObjectStore:
    """The recordings below one address, `url`, which is `root` to the file system."""

    url: str
    system: FileSystem
    root: str

    def address(self, call_sid: str) -> str:
        """Return where the recording of a call is, or would be."""
        return f"{self.url}/{call_sid}/{NAME}"

    def size(self, call_sid: str) -> int | None:
        """Return how many bytes the recording of a call has; None if it is not there."""
        try:
            return _size(self.system.info(self._path(call_sid)))
        except FileNotFoundError:
            return None

    def read(self, call_sid: str, start: int, end: int) -> bytes:
        """Return part of a recording. Raises: `FileNotFoundError`."""
        return self.system.cat_file(self._path(call_sid), start=start, end=end)

    def copy(self, call_sid: str, into: IO[bytes]) -> None:
        """Write a recording to a file. Raises: `FileNotFoundError`."""
        for block in self._blocks(self._path(call_sid), self.size(call_sid) or 0):
            into.write(block)

    def upload(self, file: Path, call_sid: str) -> str:
        """Send a file, and read it back; return the name under which it waits for `keep` or `drop`.

        Raises: `ObjectsUnavailable`, when something else is there than was sent; then nothing is left of it.
        """
        unchecked = f"{self._path(call_sid)}.{uuid.uuid4().hex}{UNCHECKED}"
        try:
            self._send_checked(file, unchecked)
        except ObjectsUnavailable:
            self.drop(unchecked)
            raise
        return unchecked

    def keep(self, unchecked: str, call_sid: str) -> None:
        """Make what was uploaded the recording of a call, in place of what there was; remove uploads that failed."""
        self.system.mv(unchecked, self._path(call_sid))
        for path in self.system.find(f"{self.root}/{call_sid}", detail=True):
            if path.endswith(UNCHECKED):
                self.drop(path)

    def drop(self, unchecked: str) -> None:
        with suppress(FileNotFoundError):
            self.system.rm(unchecked)

    def erase(self, call_sid: str) -> int:
        """Remove all that is kept of a call; return how many objects that were."""
        try:
            found = len(self.system.find(f"{self.root}/{call_sid}", detail=True))
            if found:
                self.system.rm(f"{self.root}/{call_sid}", recursive=True)
        except FileNotFoundError:
            return 0
        return found

    def erase_older(self, moment: float, now: float) -> int:
        """Remove recordings written before `moment`, and uploads that nobody goes on with; return how many."""
        count = 0
        try:
            found = self.system.find(self.root, detail=True)
        except FileNotFoundError:
            return 0
        for path, info in found.items():
            if not _OURS.fullmatch(path.removeprefix(self.root)):
                continue
            changed = self._changed(path, info)
            if changed < (now - UNCHECKED_SECONDS if path.endswith(UNCHECKED) else moment):
                with suppress(FileNotFoundError):  # another worker has
                    self.system.rm(path)
                    count += 1
        return count

    def _changed(self, path: str, info: Mapping[str, object]) -> float:
        told = next((info[name] for name in _CHANGED if name in info), None) or self.system.modified(path)
        if isinstance(told, str):
            told = datetime.fromisoformat(told)
        if isinstance(told, datetime):
            return (told if told.tzinfo is not None else told.replace(tzinfo=UTC)).timestamp()
        return float(str(told))

    def _send_checked(self, file: Path, path: str) -> None:
        sent, size = hashlib.sha256(), 0
        with file.open("rb") as source, self.system.open(path, "wb", block_size=BLOCK * 8) as target:
            while block := source.read(BLOCK):
                target.write(block)
                sent.update(block)
                size += len(block)
        there = _size(self.system.info(path))
        if there != size:
            raise ObjectsUnavailable(f"{size} bytes were sent, and the store says that {there} are there")
        back = hashlib.sha256()
        for block in self._blocks(path, size):
            back.update(block)
        if back.digest() != sent.digest():
            raise ObjectsUnavailable("what was read back is not what was sent")

    def _blocks(self, path: str, size: int) -> Iterator[bytes]:
        for start in range(0, size, BLOCK):
            yield self.system.cat_file(path, start=start, end=min(start + BLOCK, size))

    def _path(self, call_sid: str) -> str:
        return f"{self.root}/{call_sid}/{NAME}"


def _size(info: Mapping[str, object]) -> int:
    return int(str(info["size"]))


def open_objects(url: str) -> ObjectStore:
    """Return the store at an address. It asks the store nothing yet, and needs no closing.

    Raises: `OSError`, which says what to install or to correct.
    """
    scheme = url.partition("://")[0]
    try:  # it is an extra, and brings the drivers' own dozens of packages
        from fsspec.core import url_to_fs  # noqa: PLC0415
    except ModuleNotFoundError:
        raise OSError(
            "fsspec is not installed: pip install 'switchboard-voice[objects]' s3fs (the image: docker build"
            " --build-arg OBJECTS=s3), or unset RECORDINGS_URL."
        ) from None
    options: dict[str, object] = {"auto_mkdir": True} if scheme in {"file", "local"} else {}
    try:
        system, root = url_to_fs(url, use_listings_cache=False, **options)
    except ImportError as exc:
        raise OSError(f"the driver for {scheme}:// is not installed: {exc}. RECORDINGS_URL needs it.") from exc
    except ValueError as exc:
        raise OSError(f"RECORDINGS_URL is {url}: {exc}") from exc
    return ObjectStore(url, system, root.rstrip("/"))
