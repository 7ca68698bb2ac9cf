"""What one request leaves is there for one other, once, and not for long; on this worker or on the next."""

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import attrs
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from web.calls.token_store import DISK_SECONDS, SWEEP_SECONDS, MemoryTokenStore, SharedTokenStore, TokenStore


@attrs.define
class Clock:
    """A clock that stands still until it is set."""

    time: float = 1_700_000_000.0  # earlier than now: a file that is just being written is not old

    def __call__(self) -> float:
        return self.time


Opener: TypeAlias = Callable[[Path, Clock], TokenStore]
KINDS: dict[str, Opener] = {
    "one worker's": lambda _, clock: MemoryTokenStore(clock),
    "shared": lambda folder, clock: SharedTokenStore(folder / "pending", clock),
}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=list(KINDS))
def tokens(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> TokenStore:
    return KINDS[request.param](tmp_path, clock)


async def test_what_was_put_is_taken_once(tokens: TokenStore) -> None:
    await tokens.put("name", b"content", 60)

    assert [await tokens.take("name"), await tokens.take("name")] == [b"content", None]


async def test_what_was_put_can_be_looked_at_more_than_once(tokens: TokenStore) -> None:
    await tokens.put("name", b"content", 60)

    assert [await tokens.peek("name"), await tokens.peek("name")] == [b"content", b"content"]


async def test_many_names_are_looked_at_together(tokens: TokenStore, clock: Clock) -> None:
    await tokens.put("old", b"old", 60)
    clock.time += 60
    await tokens.put("one", b"1", 60)
    await tokens.put("two", b"2", 60)

    assert [await tokens.peek_all(["one", "none", "two", "old"]), await tokens.peek_all([])] == [
        {"one": b"1", "two": b"2"},
        {},
    ]


async def test_however_many_names_are_looked_at_one_thread_looks(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens, turns = SharedTokenStore(tmp_path / "pending", clock), list[str]()

    async def counted(work: Callable[[], object], **_: object) -> object:
        turns.append("thread")
        return work()

    monkeypatch.setattr(trio.to_thread, "run_sync", counted)
    await tokens.peek_all([f"ended {call}" for call in range(100)])

    assert turns == ["thread"]


async def test_an_unknown_name_holds_nothing(tokens: TokenStore) -> None:
    assert [await tokens.peek("name"), await tokens.take("name")] == [None, None]


async def test_what_is_too_old_is_gone(tokens: TokenStore, clock: Clock) -> None:
    await tokens.put("name", b"content", 60)
    clock.time += 60

    assert [await tokens.peek("name"), await tokens.take("name")] == [None, None]


async def test_only_one_of_many_takers_wins(tokens: TokenStore) -> None:
    await tokens.put("name", b"content", 60)
    taken: list[bytes | None] = []

    async def take() -> None:
        taken.append(await tokens.take("name"))

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(take)

    assert sorted(taken, key=bool) == [None] * 7 + [b"content"]


async def test_a_name_is_claimed_once_until_it_is_taken_or_too_old(tokens: TokenStore, clock: Clock) -> None:
    claims = [await tokens.claim("name", content, 60) for content in (b"first", b"second")]
    clock.time += 60
    later = [await tokens.claim("name", content, 60) for content in (b"third", b"fourth")]
    await tokens.take("name")

    assert (claims, later) == ([None, b"first"], [None, b"third"])
    assert await tokens.claim("name", b"fifth", 60) is None


async def test_only_one_of_many_claims_wins(tokens: TokenStore) -> None:
    found: list[bytes | None] = []

    async def claim(content: bytes) -> None:
        found.append(await tokens.claim("name", content, 60))

    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(claim, b"%d" % number)

    assert found.count(None) == 1
    assert {content for content in found if content is not None} == {await tokens.peek("name")}


async def test_what_a_folder_does_not_take_is_claimed_here(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "file").touch()
    tokens = SharedTokenStore(tmp_path / "file" / "pending", clock)
    with capture_logs() as lines:
        claims = [await tokens.claim("name", content, 60) for content in (b"first", b"second")]

    assert (claims, [line["event"] for line in lines]) == ([None, b"first"], ["folder_not_shared"])


async def test_workers_that_share_a_folder_share_what_is_in_it(tmp_path: Path, clock: Clock) -> None:
    await SharedTokenStore(tmp_path, clock).put("name", b"content", 60)

    assert await SharedTokenStore(tmp_path, clock).take("name") == b"content"


async def test_workers_that_put_the_same_name_at_once_do_not_get_in_each_others_way(
    tmp_path: Path, clock: Clock
) -> None:
    async def put(content: bytes) -> None:
        tokens = SharedTokenStore(tmp_path, clock)
        for _ in range(50):
            await tokens.put("name", content, 60)

    async with trio.open_nursery() as nursery:
        for content in (b"one", b"two", b"three", b"four"):
            nursery.start_soon(put, content)

    assert await SharedTokenStore(tmp_path, clock).take("name") in {b"one", b"two", b"three", b"four"}
    assert names_in(tmp_path) == []


async def test_what_the_folder_does_not_take_is_kept_by_this_worker(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "pending").write_text("a file, where a folder is wanted")
    tokens = SharedTokenStore(tmp_path / "pending", clock)
    with capture_logs() as lines:
        await tokens.put("token one", b"content", 60)
        await tokens.put("token two", b"content", 60)

    assert [await tokens.peek("token one"), await tokens.take("token one")] == [b"content", b"content"]
    assert [line["event"] for line in lines] == ["folder_not_shared"]
    assert "token" not in str(lines)


async def test_what_the_folder_takes_again_is_not_hidden_by_what_it_did_not(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "pending").write_text("a file, where a folder is wanted")
    tokens = SharedTokenStore(tmp_path / "pending", clock)
    await tokens.put("name", b"old", 60)
    (tmp_path / "pending").unlink()
    await tokens.put("name", b"new", 60)

    assert [await tokens.take("name"), await tokens.take("name")] == [b"new", None]


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_a_shared_folder_is_swept(tmp_path: Path, clock: Clock) -> None:
    tokens = SharedTokenStore(tmp_path, clock)
    await tokens.put("old", b"content", 60)
    clock.time += 121
    await tokens.put("new", b"content", 60)

    assert len(names_in(tmp_path)) == 1


async def test_a_shared_folder_is_looked_through_once_a_minute_and_not_with_every_word(
    tmp_path: Path, clock: Clock
) -> None:
    """It may hold a file for each call of the last four hours: 50 ms of work, in which no caller hears anything."""
    tokens = SharedTokenStore(tmp_path, clock)
    await tokens.put("first", b"content", 3600)
    (tmp_path / "stale").touch()
    os.utime(tmp_path / "stale", (clock.time - 1000, clock.time - 1000))
    there = []
    for _ in range(3):
        clock.time += SWEEP_SECONDS / 2 - 1
        await tokens.put("word", b"content", 3600)
        there.append("stale" in names_in(tmp_path))

    assert there == [True, True, False]


async def test_files_are_their_owners_only_and_do_not_tell_the_name(tmp_path: Path, clock: Clock) -> None:
    await SharedTokenStore(tmp_path / "pending", clock).put("token secret", b"content", 60)

    (path,) = (tmp_path / "pending").iterdir()
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert "secret" not in path.name


async def test_a_disk_that_hangs_keeps_no_webhook_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """What is put is kept by this worker; what is asked for is the caller's `OSError`."""
    over = threading.Event()
    monkeypatch.setattr(SharedTokenStore, "_write", lambda *_: over.wait(30))
    monkeypatch.setattr(SharedTokenStore, "_read", lambda *_: over.wait(30))
    tokens = SharedTokenStore(tmp_path)

    await tokens.put("token", b"mine", 60)
    with pytest.raises(OSError, match="did not answer in time"):
        await tokens.peek("another")

    assert await tokens.peek("token") == b"mine"
    assert trio.current_time() == 2 * DISK_SECONDS
    over.set()


async def test_what_is_exchanged_is_taken_once_and_leaves_an_empty_text(tokens: TokenStore, clock: Clock) -> None:
    await tokens.put("token", b"content", 60)
    taken = [await tokens.exchange("token", "streamed", 3600) for _ in range(2)]
    clock.time += 60
    left = await tokens.peek("streamed")
    clock.time += 3540

    assert (taken, left, await tokens.peek("streamed")) == ([b"content", None], b"", None)


async def test_where_there_is_nothing_to_take_nothing_is_left(tokens: TokenStore, clock: Clock) -> None:
    await tokens.put("old", b"content", 60)
    clock.time += 60
    taken = [await tokens.exchange(name, "streamed", 3600) for name in ("none", "old")]

    assert (taken, await tokens.peek("streamed")) == ([None, None], None)


async def test_what_a_folder_does_not_take_in_exchange_is_kept_by_this_worker(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    tokens = SharedTokenStore(tmp_path, clock)
    await tokens.put("token", b"content", 60)
    monkeypatch.setattr("web.calls.token_store.os.truncate", full)
    with capture_logs() as lines:
        taken = await tokens.exchange("token", "streamed", 60)

    assert (taken, await tokens.peek("streamed"), await tokens.take("token")) == (b"content", b"", None)
    assert names_in(tmp_path) == []
    assert [line["event"] for line in lines] == ["folder_not_shared"]


async def test_what_this_worker_keeps_alone_is_exchanged_there(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    tokens = SharedTokenStore(tmp_path, clock)
    with monkeypatch.context() as disk, capture_logs():
        disk.setattr("web.calls.token_store.SharedTokenStore._write", full)
        await tokens.put("token", b"content", 60)
    taken = await tokens.exchange("token", "streamed", 60)

    assert (names_in(tmp_path), taken, await tokens.peek("streamed")) == ([], b"content", b"")


async def test_an_exchanged_file_is_its_owners_only_and_says_nothing_any_more(tmp_path: Path, clock: Clock) -> None:
    tokens = SharedTokenStore(tmp_path, clock)
    await tokens.put("token", b"+15551230000", 60)
    await tokens.exchange("token", "streamed", 60)

    assert _files_in(tmp_path) == [(0o600, b"")]


def _files_in(folder: Path) -> list[tuple[int, bytes]]:
    return [(path.stat().st_mode & 0o777, path.read_bytes()) for path in folder.iterdir()]
