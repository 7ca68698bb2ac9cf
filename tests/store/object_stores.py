"""Object stores for tests: fsspec's own, in memory and in a folder, and one that fails, lies, or spoils."""

from collections.abc import Callable, Mapping
from typing import IO, cast

from fsspec.implementations.memory import MemoryFile, MemoryFileSystem

from store.objects import FileSystem, ObjectStore

URL = "faulty://bucket/calls"


class DriverFailed(Exception):
    """An error of a driver's own, as botocore and aiohttp have them: no `OSError`."""


def no_fault(operation: str) -> None:
    """Fail at nothing."""


class FaultyObjects(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A store in memory of its own. `fail` is told the name of each operation, and raises what it likes."""

    cachable = False
    protocol = "faulty"

    def __init__(self, fail: Callable[[str], None] = no_fault) -> None:
        super().__init__()
        self.store = dict[str, MemoryFile]()
        self.pseudo_dirs = [""]
        self.fail = fail
        self.adds_to_size = 0
        self.spoils = False

    def open(self, path: str, mode: str = "rb", **options: object) -> IO[bytes]:
        self.fail(f"open {mode}")
        return cast("IO[bytes]", super().open(path, mode, **options))

    def info(self, path: str, **options: object) -> Mapping[str, object]:
        self.fail("info")
        told = super().info(path, **options)
        return {**told, "size": told["size"] + self.adds_to_size if told["type"] == "file" else 0}

    def cat_file(self, path: str, *, start: int, end: int) -> bytes:
        """By keyword: the driver for S3 has another argument before them."""
        self.fail("read")
        content: bytes = super().cat_file(path, start, end)
        return bytes(len(content)) if self.spoils else content

    def mv(self, path1: str, path2: str, **options: object) -> None:
        self.fail("move")
        super().mv(path1, path2, **options)

    def rm(self, path: str, **options: object) -> None:
        self.fail("remove")
        super().rm(path, **options)

    @property
    def kept(self) -> dict[str, bytes]:
        """The objects, by their names below the store's address."""
        return {path.removeprefix("/calls/"): file.getvalue() for path, file in self.store.items()}

    def as_store(self) -> ObjectStore:
        """The recordings in it."""
        return ObjectStore(URL, cast("FileSystem", self), "/calls")
