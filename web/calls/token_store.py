"""Small texts that one request leaves for the next, under names that nobody can guess, each with an expiry.

One worker hands out a stream token and another may be shown it, so `SharedTokenStore` keeps them in a folder that all
workers of a machine see. Taking is a rename, which only one worker wins. `MemoryTokenStore` is the same in memory, for
one worker. Neither keeps a text longer than its expiry; a folder that cannot be read is the caller's `OSError`.
`KnownTexts` is how webhooks read either: what cannot be looked up is not there.
"""

import errno
import hashlib
import math
import os
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar, TypeVarTuple

import attrs
import structlog
import trio

from store.erasing import Subject, files_with
from store.memory import MemoryTexts
from store.private import own_folder

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

THREADS = 8
DISK_SECONDS = 2.0
"""For the disk to do one thing: Twilio waits 15 s for an answer, and a caller with it."""
SWEEP_SECONDS = 60.0
"""Between two looks through a folder, and from the expiry of a file until it goes."""

_log = structlog.stdlib.get_logger()


class TokenStore(Protocol):
    """Keeps a text under a name until it is taken or too old.

    Every method but `put` raises `OSError` where the texts of all workers cannot be asked.
    """

    async def put(self, name: str, content: bytes, seconds: float) -> None:
        """Keep `content` under `name` for so long."""
        ...

    async def claim(self, name: str, content: bytes, seconds: float) -> bytes | None:
        """Keep `content` under `name` if nothing lies there, which only one of several achieves; else return that."""
        ...

    async def peek(self, name: str) -> bytes | None:
        """Return what lies under `name` and leave it there."""
        ...

    async def peek_all(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """Return what lies under each of `names`, for all of them at the price of one."""
        ...

    async def take(self, name: str) -> bytes | None:
        """Return what lies under `name`, to one taker only."""
        ...

    async def exchange(self, name: str, into: str, seconds: float) -> bytes | None:
        """Take what lies under `name`; if something does, leave an empty text under `into` for so long."""
        ...

    async def erase(self, subject: Subject) -> int:
        """Forget what mentions somebody, and what has expired; return how many texts mentioned them."""
        ...


@attrs.define
class MemoryTokenStore:
    """The texts of one worker, in its memory."""

    now: Callable[[], float] = time.time
    _texts: MemoryTexts = attrs.field(
        default=attrs.Factory(lambda self: MemoryTexts(self.now), takes_self=True), init=False, repr=False
    )

    async def put(self, name: str, content: bytes, seconds: float) -> None:
        await trio.lowlevel.checkpoint()
        self._texts.put(name, content, seconds)

    async def claim(self, name: str, content: bytes, seconds: float) -> bytes | None:
        await trio.lowlevel.checkpoint()
        found = self._texts.peek(name)
        if found is None:
            self._texts.put(name, content, seconds)
        return found

    async def peek(self, name: str) -> bytes | None:
        await trio.lowlevel.checkpoint()
        return self._texts.peek(name)

    async def peek_all(self, names: Sequence[str]) -> Mapping[str, bytes]:
        await trio.lowlevel.checkpoint()
        return {name: content for name in names if (content := self._texts.peek(name)) is not None}

    async def take(self, name: str) -> bytes | None:
        await trio.lowlevel.checkpoint()
        return self._texts.take(name)

    async def exchange(self, name: str, into: str, seconds: float) -> bytes | None:
        found = await self.take(name)
        if found is not None:
            self._texts.put(into, b"", seconds)
        return found

    async def erase(self, subject: Subject) -> int:
        await trio.lowlevel.checkpoint()
        return self._texts.erase(subject)


@attrs.define
class SharedTokenStore:
    """The texts that all workers of one machine share: files that only their owner may read.

    The file's name is a digest of the name it is kept under, and its time of change is its expiry. What the folder
    does not take (a full disk) this worker keeps by itself: a call whose stream comes here is let in all the same.
    """

    folder: Path
    now: Callable[[], float] = time.time
    _own: MemoryTokenStore = attrs.field(
        default=attrs.Factory(lambda self: MemoryTokenStore(self.now), takes_self=True), init=False
    )
    _failing: bool = attrs.field(default=False, init=False)
    _swept: float = attrs.field(default=-math.inf, init=False)
    _threads: trio.CapacityLimiter = attrs.field(
        factory=lambda: trio.CapacityLimiter(THREADS), init=False, eq=False, repr=False
    )

    async def put(self, name: str, content: bytes, seconds: float) -> None:
        try:
            await self._in_thread(self._write, self._path(name), content, self.now() + seconds)
        except OSError as exc:
            self._fails(exc)
            await self._own.put(name, content, seconds)
        else:
            self._failing = False
            await self._own.take(name)

    async def claim(self, name: str, content: bytes, seconds: float) -> bytes | None:
        own = await self._own.peek(name)
        if own is not None:
            return own
        try:
            return await self._in_thread(self._claim, self._path(name), content, self.now() + seconds)
        except OSError as exc:
            self._fails(exc)
            return await self._own.claim(name, content, seconds)

    def _fails(self, exc: OSError) -> None:
        if not self._failing:
            _log.error("folder_not_shared", why=f"{type(exc).__name__}: {exc.strerror}")
        self._failing = True

    async def peek(self, name: str) -> bytes | None:
        return (await self.peek_all([name])).get(name)

    async def peek_all(self, names: Sequence[str]) -> Mapping[str, bytes]:
        own = await self._own.peek_all(names)
        others = [name for name in names if name not in own]
        return {**own, **await self._in_thread(self._read_all, others)} if others else own

    async def take(self, name: str) -> bytes | None:
        own = await self._own.take(name)
        return own if own is not None else await self._in_thread(self._take, self._path(name))

    async def exchange(self, name: str, into: str, seconds: float) -> bytes | None:
        """The file is emptied and renamed: to make one and remove another would cost as much as all the rest."""
        own = await self._own.exchange(name, into, seconds)
        if own is not None:
            return own
        do = partial(self._exchange, self._path(name), self._path(into), self.now() + seconds)
        content, failed = await self._in_thread(do)
        if failed is not None:
            self._fails(failed)
            await self._own.put(into, b"", seconds)
        return content

    async def erase(self, subject: Subject) -> int:
        return await self._own.erase(subject) + await self._in_thread(self._erase, subject)

    async def _in_thread(self, do: Callable[[*Ts], T], *args: *Ts) -> T:
        with trio.move_on_after(DISK_SECONDS):
            return await trio.to_thread.run_sync(partial(do, *args), limiter=self._threads, abandon_on_cancel=True)
        raise OSError(errno.ETIMEDOUT, "the disk did not answer in time")

    def _path(self, name: str) -> Path:
        return self.folder / hashlib.sha256(name.encode()).hexdigest()

    def _write(self, path: Path, content: bytes, expires: float) -> None:
        with self._unfinished(path, content, expires) as unfinished:
            unfinished.replace(path)

    def _claim(self, path: Path, content: bytes, expires: float) -> bytes | None:
        with self._unfinished(path, content, expires) as unfinished:
            while True:
                try:
                    path.hardlink_to(unfinished)
                except FileExistsError:
                    if (found := self._read(path)) is not None:
                        return found
                    path.unlink(missing_ok=True)  # it is too old
                else:
                    return None

    @contextmanager
    def _unfinished(self, path: Path, content: bytes, expires: float) -> Iterator[Path]:
        own_folder(self.folder)
        self._sweep()
        unfinished = _unique(path)  # two webhooks of a call may leave the same word at the same time
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            os.utime(unfinished, (expires, expires))
            yield unfinished
        finally:
            unfinished.unlink(missing_ok=True)

    def _sweep(self) -> None:
        now = self.now()
        if now < self._swept + SWEEP_SECONDS:
            return
        self._swept = now
        for path in self.folder.iterdir():
            try:
                if path.stat().st_mtime <= now - SWEEP_SECONDS:
                    path.unlink(missing_ok=True)
            except FileNotFoundError:
                continue

    def _erase(self, subject: Subject) -> int:
        if not self.folder.exists():
            return 0
        found, now = files_with(self.folder, subject), self.now()
        for path in {*found, *(path for path in self.folder.iterdir() if path.stat().st_mtime <= now)}:
            path.unlink(missing_ok=True)
        return len(found)

    def _read_all(self, names: Sequence[str]) -> Mapping[str, bytes]:
        found = {name: self._read(self._path(name)) for name in names}
        return {name: content for name, content in found.items() if content is not None}

    def _read(self, path: Path) -> bytes | None:
        try:
            return path.read_bytes() if path.stat().st_mtime > self.now() else None
        except FileNotFoundError:
            return None

    def _take(self, path: Path) -> bytes | None:
        mine = _moved(path)
        if mine is None:
            return None
        content = self._read(mine)
        mine.unlink(missing_ok=True)
        return content

    def _exchange(self, path: Path, into: Path, expires: float) -> tuple[bytes | None, OSError | None]:
        """Return what was taken, and why nothing could be left."""
        mine = _moved(path)
        content = self._read(mine) if mine is not None else None
        if mine is None or content is None:
            return None, None
        try:
            os.truncate(mine, 0)
            os.utime(mine, (expires, expires))
            mine.replace(into)
        except OSError as exc:
            with suppress(OSError):
                mine.unlink()
            return content, exc
        return content, None


def _moved(path: Path) -> Path | None:
    """Move a file to where nobody else looks for it; None if there is none, or another taker was first."""
    mine = _unique(path)
    try:
        path.rename(mine)
    except FileNotFoundError:
        return None
    return mine


def _unique(path: Path) -> Path:
    return path.with_suffix(f".{secrets.token_hex(8)}")


@attrs.define(eq=False)
class KnownTexts:
    """The texts of a store as far as it can be asked now: where it cannot, none is there, and the log has it once.

    For what webhooks and tasks leave each other about a call, which goes on without. Where "not there" and "not known"
    are two answers (a stream's token), ask the store itself.
    """

    store: TokenStore
    _is_away: bool = attrs.field(default=False, init=False)

    async def put(self, name: str, content: bytes, seconds: float) -> None:
        await self.store.put(name, content, seconds)

    async def claim(self, name: str, content: bytes, seconds: float) -> None:
        """Keep `content` under `name` if nothing lies there, as far as is known."""
        try:
            await self.store.claim(name, content, seconds)
        except OSError as exc:
            self._fails(exc)
            await self.store.put(name, content, seconds)

    async def peek(self, name: str, if_unknown: bytes | None = None) -> bytes | None:
        """Return what lies under `name` and leave it there; `if_unknown` where that cannot be looked up."""
        return await self._or(if_unknown, self.store.peek, name)

    async def peek_all(self, names: Sequence[str]) -> Mapping[str, bytes]:
        nothing: Mapping[str, bytes] = {}
        if not names:
            await trio.lowlevel.checkpoint()
            return nothing  # which says nothing about the store
        return await self._or(nothing, self.store.peek_all, names)

    async def take(self, name: str) -> bytes | None:
        return await self._or(None, self.store.take, name)

    async def _or(self, otherwise: T, ask: Callable[[*Ts], Awaitable[T]], *args: *Ts) -> T:
        try:
            answer = await ask(*args)
        except OSError as exc:
            self._fails(exc)
            return otherwise
        self._is_away = False
        return answer

    def _fails(self, exc: OSError) -> None:
        if not self._is_away:
            _log.warning("texts_away", why=str(exc))
        self._is_away = True
