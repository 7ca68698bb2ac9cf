"""What one request leaves is there for one other, once, and not for long; on this worker or on the next."""

import signal
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import cast

import attrs
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from store.calls import DatabaseUnavailable
from store.databases import IN_MEMORY, SqliteDatabase
from store.erasing import Subject
from store.tokens import ANSWER_SECONDS, SWEEP_SECONDS, SqliteTokens, TokenStore


@attrs.define
class Clock:
    """A clock that stands still until it is set."""

    time: float = 1_700_000_000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
async def tokens(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> AsyncIterator[TokenStore]:
    database = SqliteTokens(IN_MEMORY if request.param == "memory" else str(tmp_path / "tokens.db"), now=clock)
    yield TokenStore(database)
    database.close()


@attrs.define(eq=False)
class Full(SqliteDatabase):
    """A file on a disk that is full, for as long as it is."""

    is_full: bool = True

    async def ask(self, sql: str, arguments: Mapping[str, object]) -> Sequence[Sequence[object]]:
        if self.is_full and "INSERT" in sql:
            raise DatabaseUnavailable("the disk is full")
        return await super().ask(sql, arguments)


@attrs.define(eq=False)
class Mute(SqliteDatabase):
    """A file that takes what is put, and says that it did not."""

    async def ask(self, sql: str, arguments: Mapping[str, object]) -> Sequence[Sequence[object]]:
        rows = await super().ask(sql, arguments)
        if "INSERT" in sql:
            raise DatabaseUnavailable("no answer")
        return rows


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


async def test_however_many_names_are_looked_at_the_database_is_asked_once(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def ask(_: SqliteDatabase, sql: str, __: object) -> Sequence[Sequence[object]]:
        await trio.lowlevel.checkpoint()
        asked.append(sql)
        return ()

    monkeypatch.setattr(SqliteDatabase, "ask", ask)
    await TokenStore(SqliteDatabase(now=clock)).peek_all([f"ended {call}" for call in range(100)])

    assert len(asked) == 1


async def test_an_unknown_name_holds_nothing(tokens: TokenStore) -> None:
    assert [await tokens.peek("name"), await tokens.take("name")] == [None, None]


async def test_nothing_is_put_beside_a_text_that_forbids_it(tokens: TokenStore, clock: Clock) -> None:
    await tokens.put("ended", b"", 60)
    refused = await tokens.put("name", b"content", 60, unless=["streamed", "ended"])
    nothing = await tokens.peek("name")
    clock.time += 60
    taken = await tokens.put("name", b"content", 60, unless=["streamed", "ended"])

    assert (refused, nothing, taken, await tokens.peek("name")) == (False, None, True, b"content")


async def test_what_this_worker_keeps_alone_forbids_as_well() -> None:
    tokens = TokenStore(Away())
    await tokens.put("ended", b"", 60)

    assert await tokens.put("name", b"content", 60, unless=["ended"]) is False
    assert await tokens.put("other", b"content", 60, unless=["streamed"]) is True


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


async def test_workers_that_share_a_file_share_what_is_in_it_and_one_of_them_takes_it(tmp_path: Path) -> None:
    """A rolling update has two; what one keeps for itself could be taken a second time from the file."""
    databases = [SqliteTokens(str(tmp_path / "tokens.db")) for _ in range(2)]
    one, other = map(TokenStore, databases)
    for name in ("one", "other"):
        await one.put(name, b"content", 60)

    taken = [await store.exchange("one", "streamed", 60) for store in (other, one)]
    taken += [await store.take("other") for store in (one, other)]

    assert taken == [b"content", None] * 2
    assert [await store.peek("streamed") for store in (one, other)] == [b"", b""]
    for database in databases:
        database.close()


KILLED = """
import os, signal, sys, trio
from store.tokens import SqliteTokens, TokenStore

async def main():
    await TokenStore(SqliteTokens(sys.argv[1])).put("token", b"content", 60)
    os.kill(os.getpid(), signal.SIGKILL)

trio.run(main)
"""


@pytest.mark.slow
async def test_what_a_process_has_put_that_is_killed_then_is_taken_once(tmp_path: Path) -> None:
    """Its caller has heard the webhook's answer: the stream comes to the next process."""
    file, root = str(tmp_path / "tokens.db"), Path(__file__).parents[2]
    ended = await trio.run_process([sys.executable, "-c", KILLED, file], cwd=root, check=False)
    database = SqliteTokens(file)
    taken = [await TokenStore(database).exchange("token", "streamed", 60) for _ in range(2)]
    database.close()

    assert ended.returncode == -signal.SIGKILL
    assert taken == [b"content", None]


async def test_workers_that_put_the_same_name_at_once_do_not_get_in_each_others_way(tmp_path: Path) -> None:
    databases = {content: SqliteDatabase(str(tmp_path / "tokens.db")) for content in (b"1", b"2", b"3")}

    async def put(content: bytes) -> None:
        for _ in range(20):
            await TokenStore(databases[content]).put("name", content, 60)

    with capture_logs() as lines:
        async with trio.open_nursery() as nursery:
            for content in databases:
                nursery.start_soon(put, content)

    assert await TokenStore(databases[b"1"]).take("name") in databases
    assert lines == []
    for database in databases.values():
        database.close()


async def test_what_the_database_does_not_take_is_kept_by_this_worker() -> None:
    tokens = TokenStore(Full())
    with capture_logs() as lines:
        await tokens.put("token one", b"content", 60)
        await tokens.put("token two", b"content", 60)

    assert [await tokens.peek("token one"), await tokens.take("token one")] == [b"content", b"content"]
    assert [line["event"] for line in lines] == ["texts_not_shared"]
    assert "token" not in str(lines)


@attrs.define(eq=False)
class Away(SqliteDatabase):
    """A database that nobody reaches."""

    async def ask(self, sql: str, arguments: Mapping[str, object]) -> Sequence[Sequence[object]]:
        raise DatabaseUnavailable("away")


async def test_what_this_worker_keeps_alone_is_found_beside_what_nobody_can_be_asked_for() -> None:
    texts = TokenStore(Away())
    with capture_logs() as lines:
        await texts.put("mine", b"1", 60)
        found = [await texts.peek_all(names) for names in (["mine", "another's"], ["another's"], ["mine", "a third"])]
        looks = [await texts.peek("mine", b"0"), await texts.peek("another's", b"0"), await texts.peek("another's")]
        drops = [await texts.drop(name) for name in ("mine", "mine", "another's")]

    assert (found, looks, drops) == ([{"mine": b"1"}, {}, {"mine": b"1"}], [b"1", b"0", None], [b"1", None, None])
    assert [line["event"] for line in lines] == ["texts_not_shared", "texts_away"]


async def test_what_the_database_has_taken_without_saying_so_is_taken_once() -> None:
    tokens = TokenStore(Mute())
    await tokens.put("token", b"content", 60)

    assert [await tokens.take("token"), await tokens.take("token")] == [b"content", None]


async def test_what_the_database_takes_again_is_not_hidden_by_what_it_did_not() -> None:
    database = Full()
    tokens = TokenStore(database)
    await tokens.put("name", b"old", 60)
    database.is_full = False
    await tokens.put("name", b"new", 60)

    assert [await tokens.take("name"), await tokens.take("name")] == [b"new", None]


async def test_what_the_database_does_not_take_in_exchange_is_kept_by_this_worker() -> None:
    database = Full(is_full=False)
    tokens = TokenStore(database)
    await tokens.put("token", b"content", 60)
    database.is_full = True
    taken = await tokens.exchange("token", "streamed", 60)

    assert (taken, await tokens.peek("streamed"), await tokens.take("token")) == (b"content", b"", None)


async def test_what_this_worker_keeps_alone_is_exchanged() -> None:
    database = Full()
    tokens = TokenStore(database)
    await tokens.put("token", b"content", 60)
    database.is_full = False
    taken = await tokens.exchange("token", "streamed", 60)

    assert (taken, await TokenStore(database).peek("streamed")) == (b"content", b"")


async def test_what_is_exchanged_is_gone_and_what_it_became_is_there(tokens: TokenStore, clock: Clock) -> None:
    await tokens.put("token", b"content", 60)
    await tokens.put("old", b"content", 60)
    taken = [await tokens.exchange("token", "streamed", 3600), await tokens.exchange("token", "again", 3600)]
    clock.time += 60
    taken += [await tokens.exchange("old", "again", 3600), await tokens.exchange("none", "again", 3600)]

    assert taken == [b"content", None, None, None]
    assert await tokens.peek_all(["token", "old", "streamed", "again"]) == {"streamed": b""}
    assert len(await tokens.database.ask("SELECT name FROM tokens WHERE length(content) > 0", {})) == 1  # the old one


async def test_a_second_exchange_into_the_same_name_prolongs_it(tokens: TokenStore, clock: Clock) -> None:
    for _ in range(2):
        await tokens.put("token", b"content", 60)
        assert await tokens.exchange("token", "streamed", 100) == b"content"
        clock.time += 59

    assert await tokens.peek("streamed") == b""


@attrs.define(eq=False)
class Killed(SqliteDatabase):
    """A file that a process is killed at, behind so many statements."""

    left: int = 0

    async def ask(self, sql: str, arguments: Mapping[str, object]) -> Sequence[Sequence[object]]:
        if self.left <= 0:
            raise Cut
        self.left -= 1
        return await super().ask(sql, arguments)


class Cut(BaseException):
    """The end of a process."""


async def test_wherever_an_exchange_is_cut_off_it_did_both_or_neither(tmp_path: Path) -> None:
    file, both = str(tmp_path / "tokens.db"), []
    for statements in range(4):
        kept = SqliteDatabase(file)
        await TokenStore(kept).put(f"token {statements}", b"content", 60)
        cut = Killed(file, left=statements)
        with suppress(Cut):
            await TokenStore(cut).exchange(f"token {statements}", f"streamed {statements}", 60)
        cut.close()
        names = [f"token {statements}", f"streamed {statements}"]
        both.append(sorted(await TokenStore(kept).peek_all(names)))
        kept.close()

    assert both == [["token 0"], ["streamed 1"], ["streamed 2"], ["streamed 3"]]


async def test_an_exchange_asks_a_file_once(tmp_path: Path) -> None:
    file = Killed(str(tmp_path / "tokens.db"), left=3)
    tokens = TokenStore(file)
    await tokens.put("token", b"content", 60)
    file.left = 1  # each time is a thread's turn, and a caller waits for it

    assert await tokens.exchange("token", "streamed", 60) == b"content"
    file.left = 1
    assert await file.ask("SELECT content FROM tokens", {}) == [(b"",)]
    file.close()


async def test_only_one_of_many_exchanges_wins(tokens: TokenStore) -> None:
    await tokens.put("token", b"content", 60)
    taken: list[bytes | None] = []

    async def exchange() -> None:
        taken.append(await tokens.exchange("token", "streamed", 60))

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(exchange)

    assert sorted(taken, key=bool) == [None] * 7 + [b"content"]


async def ignore(_text: bytes) -> None:
    await trio.lowlevel.checkpoint()


@attrs.define(eq=False)
class Watched(SqliteDatabase):
    """A file whose log is always read by somebody, and never shortened."""

    async def ask(self, sql: str, arguments: Mapping[str, object]) -> Sequence[Sequence[object]]:
        if sql.startswith("PRAGMA"):
            raise DatabaseUnavailable("the database is locked")
        return await super().ask(sql, arguments)


@pytest.mark.parametrize("database", [SqliteDatabase, Watched])
async def test_what_nobody_took_is_told_as_it_goes_a_minute_after_it_has_expired(
    database: type[SqliteDatabase], autojump_clock: MockClock
) -> None:
    tokens, told = TokenStore(database()), list[tuple[float, bytes]]()

    async def unused(text: bytes) -> None:
        await trio.lowlevel.checkpoint()
        told.append((trio.current_time(), text))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tokens.sweep_on, unused)
        for name in ("left", "taken", "exchanged"):
            await tokens.put(name, name.encode(), 30)
        await tokens.take("taken")
        await tokens.exchange("exchanged", "into", 10)
        await trio.sleep(10 * SWEEP_SECONDS)
        nursery.cancel_scope.cancel(reason="seen enough")

    assert sorted(told) == [(2 * SWEEP_SECONDS, b""), (2 * SWEEP_SECONDS, b"left")]


@attrs.define(eq=False)
class Late(SqliteDatabase):
    """A file whose answer to one removal is lost."""

    is_late: bool = False

    async def ask(self, sql: str, arguments: Mapping[str, object]) -> Sequence[Sequence[object]]:
        rows = await super().ask(sql, arguments)
        if self.is_late and sql.startswith("DELETE"):
            self.is_late = False
            raise DatabaseUnavailable("no answer")
        return rows


@attrs.define(eq=False)
class Failing(SqliteDatabase):
    """Keeps what it is given, and does not say so; then it does not answer once."""

    left: int = 2

    async def ask(self, sql: str, arguments: Mapping[str, object]) -> Sequence[Sequence[object]]:
        self.left -= 1
        if self.left == 1:
            await super().ask(sql, arguments)
        if self.left >= 0:
            raise DatabaseUnavailable("no answer")
        return await super().ask(sql, arguments)


@pytest.mark.parametrize("way", ["take", "exchange"])
async def test_a_token_that_was_kept_unsaid_is_given_once_where_the_database_does_not_take_it_back(way: str) -> None:
    tokens = TokenStore(Failing())
    await tokens.put("token", b"content", 60, has_copy=True)

    async def redeem() -> bytes | None:
        return await (tokens.take("token") if way == "take" else tokens.exchange("token", "streamed", 60))

    assert [await redeem(), await redeem()] == [b"content", None]


@pytest.mark.parametrize("way", ["a sweep of which the answer is lost", "an erasure of somebody else"])
async def test_what_nobody_took_is_told_whatever_removes_it(way: str, autojump_clock: MockClock) -> None:
    database, told = Late(), list[bytes]()
    tokens = TokenStore(database)

    async def unused(text: bytes) -> None:
        await trio.lowlevel.checkpoint()
        told.append(text)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tokens.sweep_on, unused)
        await tokens.put("left", b"left", 30)
        await trio.sleep(1.5 * SWEEP_SECONDS)
        database.is_late = True
        if way == "an erasure of somebody else":
            with suppress(DatabaseUnavailable):
                await tokens.erase(Subject("+15557650000"))
        await trio.sleep(4 * SWEEP_SECONDS)
        nursery.cancel_scope.cancel(reason="seen enough")

    assert told == [b"left"]


async def test_what_has_expired_goes_also_when_nobody_puts_anything_more(autojump_clock: MockClock) -> None:
    database = SqliteDatabase()
    tokens = TokenStore(database)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tokens.sweep_on, ignore)
        await tokens.put("hers", b"from +15557650000", 100)
        await trio.sleep(200)
        there = await database.ask("SELECT name FROM tokens", {})
        tokens.database = counting = Counting()
        await trio.sleep(3600)
        nursery.cancel_scope.cancel(reason="seen enough")

    assert (there, counting.asked) == ([], [])


async def test_what_one_worker_leaves_for_another_s_text_goes_without_calls(autojump_clock: MockClock) -> None:
    database = SqliteDatabase()
    ours, theirs = TokenStore(database), TokenStore(database)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.sweep_on, ignore)
        await trio.sleep(2 * SWEEP_SECONDS)
        await theirs.put("hers", b"from +15557650000", 60)
        assert await ours.exchange("hers", "streamed", 100) is not None
        await trio.sleep(200)
        nursery.cancel_scope.cancel(reason="seen enough")

    assert await database.ask("SELECT name FROM tokens", {}) == []


async def test_what_an_earlier_process_left_goes_without_a_word(autojump_clock: MockClock) -> None:
    database = SqliteDatabase()
    await TokenStore(database).put("hers", b"from +15557650000", 10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(TokenStore(database).sweep_on, ignore)
        await trio.sleep(2.5 * SWEEP_SECONDS)
        nursery.cancel_scope.cancel(reason="seen enough")

    assert await database.ask("SELECT name FROM tokens", {}) == []


@attrs.define(eq=False)
class Counting(SqliteDatabase):
    """Notes what it is asked."""

    asked: list[str] = attrs.field(factory=list)

    async def ask(self, sql: str, arguments: Mapping[str, object]) -> Sequence[Sequence[object]]:
        self.asked.append(sql)
        return await super().ask(sql, arguments)


def _files_in(folder: Path) -> list[tuple[int, bytes]]:
    return [(path.stat().st_mode & 0o777, path.read_bytes()) for path in folder.iterdir()]


async def test_of_what_has_expired_no_byte_is_left(tmp_path: Path) -> None:
    clock = Clock()
    database = SqliteTokens(str(tmp_path / ".tokens.db"), now=clock)
    await TokenStore(database).put("hers", b"from +15557650000", 60)
    clock.time += 121
    told = list[bytes]()

    async def unused(text: bytes) -> None:
        await trio.lowlevel.checkpoint()
        told.append(text)

    await TokenStore(database)._sweep(unused)

    assert told == [b"from +15557650000"]  # another worker's

    assert not any(b"5557650000" in content for _, content in _files_in(tmp_path))
    database.close()


async def test_the_file_is_its_owners_only_and_does_not_tell_the_name(tmp_path: Path) -> None:
    database = SqliteTokens(str(tmp_path / ".tokens.db"))
    await TokenStore(database).put("token secret", b"content", 60)

    files = _files_in(tmp_path)
    assert {mode for mode, _ in files} == {0o600}
    assert not any(b"secret" in content for _, content in files)
    database.close()


async def test_what_mentions_somebody_is_erased_to_the_last_byte(tmp_path: Path) -> None:
    database = SqliteTokens(str(tmp_path / ".tokens.db"))
    tokens = TokenStore(database)
    for name, number in (("hers", b"+15557650000"), ("another's", b"+15558880000")):
        await tokens.put(name, b"from " + number, 60)
    with closing(sqlite3.connect(database.file)):  # another worker
        erased = await tokens.erase(Subject("+15557650000"))

        assert (erased, await tokens.peek("hers"), await tokens.peek("another's")) == (1, None, b"from +15558880000")
        assert not any(b"5557650000" in content for _, content in _files_in(tmp_path))

        await tokens.put("hers", b"from +15557650000", 60)
        await tokens.take("hers")
        assert await tokens.erase(Subject("+15557650000")) == 0
        assert not any(b"5557650000" in content for _, content in _files_in(tmp_path))
    database.close()


async def test_what_this_worker_keeps_alone_is_erased_while_the_database_is_away(tmp_path: Path) -> None:
    tokens = TokenStore(SqliteDatabase(str(tmp_path / "missing" / "tokens.db")))
    await tokens.put("hers", b"from +15557650000", 60)
    with pytest.raises(OSError, match="missing"):
        await tokens.erase(Subject("+15557650000"))

    assert tokens._own is not None
    assert await tokens._own.peek("hers") is None


async def test_a_disk_that_hangs_keeps_no_webhook_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """This worker keeps each text that is put; taking one is the caller's `OSError`."""
    over, ask = threading.Event(), SqliteDatabase._ask

    def hang(database: SqliteDatabase, sql: str, given: Mapping[str, object]) -> object:
        return ask(database, sql, given) if database.file == IN_MEMORY else over.wait(30)

    monkeypatch.setattr(SqliteDatabase, "_ask", hang)
    tokens = TokenStore(SqliteDatabase(str(tmp_path / "tokens.db")))

    await tokens.put("token", b"mine", 60)
    with pytest.raises(OSError, match="did not answer in time"):
        await tokens.take("another")

    assert await tokens.peek("token") == b"mine"
    assert trio.current_time() == 2 * ANSWER_SECONDS
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


async def test_a_damaged_file_of_tokens_is_to_be_removed_and_each_time_the_log_says_so(tmp_path: Path) -> None:
    file, logged = tmp_path / ".tokens.db", list[str]()
    database = SqliteTokens(str(file))
    tokens = TokenStore(database)

    for name in ("first", "second"):
        file.write_bytes(b"no database" * 1000)
        with capture_logs() as lines, pytest.raises(OSError, match="Remove it"):
            await tokens.take(name)
        logged += [line["event"] for line in lines]
        file.unlink()
        assert await tokens.take(name) is None
        database.close()

    assert logged == ["database_refused"] * 2


@attrs.define(eq=False)
class Shared:
    """A database of several workers, which can be away, or do what it is asked and not say so."""

    kept: SqliteDatabase = attrs.field(factory=SqliteDatabase)
    is_away: bool = False
    is_mute: bool = False
    slow: float = 0.0

    async def ask(self, sql: str, arguments: Mapping[str, object]) -> Sequence[Sequence[object]]:
        if self.is_away:
            await trio.lowlevel.checkpoint()
            raise DatabaseUnavailable("away")
        rows = await self.kept.ask(sql, arguments)
        await trio.sleep(self.slow)
        if self.is_mute:
            raise DatabaseUnavailable("no answer")
        return rows


@pytest.fixture
async def shared() -> Shared:
    return Shared()


async def take_of(tokens: TokenStore, way: str) -> bytes | None:
    return await (tokens.exchange("token", "streamed", 600) if way == "exchange" else tokens.take("token"))


@pytest.mark.parametrize("way", ["exchange", "take"])
async def test_a_token_is_taken_once_from_its_worker_while_the_database_is_away(shared: Shared, way: str) -> None:
    tokens, other = TokenStore(shared), TokenStore(shared)
    await tokens.put("token", b"content", 60, has_copy=True)
    shared.is_away = True
    with pytest.raises(OSError, match="away"):
        await take_of(other, way)

    assert await take_of(tokens, way) == b"content"
    with pytest.raises(OSError, match="away"):
        await take_of(tokens, way)


@pytest.mark.parametrize("way", ["exchange", "take"])
async def test_a_token_that_was_taken_while_the_database_was_away_is_gone_when_it_is_back(
    shared: Shared, way: str
) -> None:
    tokens, other = TokenStore(shared), TokenStore(shared)
    await tokens.put("token", b"content", 60, has_copy=True)
    shared.is_away = True
    assert await take_of(tokens, way) == b"content"
    shared.is_away = False

    assert await take_of(tokens, way) is None
    assert await take_of(other, way) is None


async def test_a_token_that_was_taken_while_the_database_was_away_is_no_call_that_did_not_come(
    shared: Shared, autojump_clock: MockClock
) -> None:
    tokens, told = TokenStore(shared), list[bytes]()

    async def unused(text: bytes) -> None:
        await trio.lowlevel.checkpoint()
        told.append(text)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tokens.sweep_on, unused)
        await tokens.put("token", b"content", 60, has_copy=True)
        shared.is_away = True
        await tokens.take("token")
        await trio.sleep(1.5 * SWEEP_SECONDS)
        shared.is_away = False
        await trio.sleep(4 * SWEEP_SECONDS)
        nursery.cancel_scope.cancel(reason="seen enough")

    assert (told, await shared.kept.ask("SELECT * FROM tokens", {})) == ([], [])


async def test_where_the_database_answers_its_answer_counts(shared: Shared) -> None:
    tokens, other = TokenStore(shared), TokenStore(shared)
    await tokens.put("token", b"content", 60, has_copy=True)

    assert [await store.take("token") for store in (other, tokens)] == [b"content", None]
    shared.is_away = True
    with pytest.raises(OSError, match="away"):
        await tokens.take("token")


async def test_a_token_that_is_taken_from_its_worker_while_the_database_answers_is_got_once(
    shared: Shared, autojump_clock: MockClock
) -> None:
    tokens, taken = TokenStore(shared), list[bytes | None]()
    await tokens.put("token", b"content", 60, has_copy=True)

    async def take() -> None:
        taken.append(await tokens.take("token"))

    async with trio.open_nursery() as nursery:
        shared.slow = ANSWER_SECONDS / 2
        nursery.start_soon(take)
        await wait_all_tasks_blocked()
        shared.is_away = True
        nursery.start_soon(take)

    assert taken == [b"content", None]


async def test_a_token_that_the_database_gave_without_saying_so_is_got_all_the_same(shared: Shared) -> None:
    tokens = TokenStore(shared)
    await tokens.put("token", b"content", 60, has_copy=True)
    shared.is_mute = True
    found = await tokens.take("token")
    shared.is_mute = False

    assert (found, await tokens.take("token")) == (b"content", None)


async def test_of_a_token_that_is_too_old_or_erased_a_worker_keeps_nothing(
    shared: Shared, autojump_clock: MockClock
) -> None:
    tokens = TokenStore(shared)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tokens.sweep_on, ignore)
        await tokens.put("token", b"content", 30, has_copy=True)
        await tokens.put("hers", b"from +15557650000", 60, has_copy=True)
        shared.is_away = True
        with pytest.raises(OSError, match="away"):
            await tokens.erase(Subject("+15557650000"))
        with pytest.raises(OSError, match="away"):
            await tokens.take("hers")
        await trio.sleep(30)
        with pytest.raises(OSError, match="away"):
            await tokens.take("token")
        shared.is_away = False
        await tokens.put("token", b"content", 60, has_copy=True)
        assert [*tokens._copies] == ["token"]
        await trio.sleep(2 * SWEEP_SECONDS)
        nursery.cancel_scope.cancel(reason="seen enough")

    assert tokens._copies == {}


async def test_nothing_is_kept_twice_where_it_is_no_token(shared: Shared) -> None:
    tokens = TokenStore(shared)
    await tokens.put("name", b"content", 60)

    assert tokens._copies == {}


@attrs.define(eq=False)
class Filling(SqliteDatabase):
    """A file that can be read when the disk is full, and not written to."""

    is_full: bool = False

    async def ask(self, sql: str, arguments: Mapping[str, object]) -> Sequence[Sequence[object]]:
        if self.is_full and not sql.startswith("SELECT"):
            raise DatabaseUnavailable("the disk is full")
        return await super().ask(sql, arguments)


@pytest.mark.parametrize("way", ["exchange", "take"])
async def test_a_disk_that_fills_between_webhook_and_stream_refuses_no_stream(tmp_path: Path, way: str) -> None:
    """The token is got once, and what can be read is read as before."""
    database = Filling(str(tmp_path / ".tokens.db"))
    tokens, other = TokenStore(database), TokenStore(SqliteTokens(database.file))
    await tokens.put("token", b"content", 60, has_copy=True)
    await tokens.put("earlier", b"text", 60)
    database.is_full = True
    first, read = await take_of(tokens, way), await tokens.peek("earlier")
    with pytest.raises(OSError, match="full"):
        await take_of(tokens, way)
    database.is_full = False

    assert (first, read) == (b"content", b"text")
    assert await tokens.take("another") is None
    assert await other.take("token") is None
    database.close()
    cast("SqliteDatabase", other.database).close()


async def test_a_caller_waits_for_a_database_that_hangs_no_longer_than_for_one_answer(
    shared: Shared, autojump_clock: MockClock
) -> None:
    tokens = TokenStore(shared)
    await tokens.put("token", b"content", 60, has_copy=True)
    shared.slow, began = 1000.0, trio.current_time()

    assert await tokens.exchange("token", "streamed", 600) == b"content"
    assert trio.current_time() - began <= ANSWER_SECONDS
    assert await tokens.peek("streamed") == b""
