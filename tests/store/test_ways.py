"""The ways to a PostgreSQL: several hosts and addresses, connections that die without a word, answers that are lost."""

import socket
from collections.abc import Sequence
from typing import Any

import attrs
import psycopg
import pytest
import trio
from psycopg.conninfo import conninfo_to_dict

from store.calls import DatabaseUnavailable
from store.fleet import driver
from store.fleet.commands import OtherWorkers
from store.fleet.driver import Database, conninfo_of
from tests.store.throw_away_postgres import Cluster
from tests.store.ways import open_way
from tests.store.ways_between import way_to

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("workers")]


@attrs.frozen
class Names(trio.abc.HostnameResolver):
    """A name server."""

    known: dict[str, Sequence[str]]

    async def getaddrinfo(  # noqa: PLR0917 - the interface is trio's
        self,
        host: bytes | None,
        port: bytes | str | int | None,
        family: int = 0,
        type: int = 0,  # noqa: A002
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        await trio.lowlevel.checkpoint()
        name = (host or b"").decode()
        if name not in self.known:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in self.known[name]]

    async def getnameinfo(self, sockaddr: tuple[Any, ...], flags: int) -> tuple[str, str]:
        raise NotImplementedError


def database_at(url: str) -> Database:
    database = Database(url)
    database.is_ready = True
    return database


DEAF = "127.0.0.9"
"""Takes connections, and says nothing."""
NAMES = Names({"twofold": ("127.0.0.8", "127.0.0.1"), "deaf": (DEAF, "127.0.0.1"), "many": ("127.0.0.1", *5 * [DEAF])})


@pytest.mark.real_time
@pytest.mark.parametrize("at", ["twofold:P", f"{DEAF}:P,127.0.0.1:P", "unknown:P,127.0.0.8:P,twofold:P", "deaf:P"])
async def test_one_of_all_hosts_and_addresses_is_enough(
    at: str, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libpq would look their names up while every call waits, and would wait for the first that says nothing."""
    monkeypatch.setattr(driver, "PATIENCE", 3.0)
    before = trio.socket.set_custom_hostname_resolver(NAMES)
    try:
        async with open_way(cluster) as way:
            with socket.create_server((DEAF, way.port)):
                database = database_at(f"postgresql://switchboard@{at.replace('P', str(way.port))}/postgres")
                assert await database.ask("SELECT 1") == [(1,)]
                database.close()
    finally:
        trio.socket.set_custom_hostname_resolver(before)


@pytest.mark.real_time
async def test_the_first_of_many_addresses_may_be_far_away(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of hosted databases stand for six: what each had for the greetings was less than a slow one takes."""
    monkeypatch.setattr(driver, "PATIENCE", 6.0)
    before = trio.socket.set_custom_hostname_resolver(NAMES)
    try:
        async with way_to(cluster.folder, delay=0.6) as way:
            with socket.create_server((DEAF, way.port)):
                database = database_at(f"postgresql://switchboard@many:{way.port}/postgres")
                assert await database.ask("SELECT 1") == [(1,)]
                database.close()
    finally:
        trio.socket.set_custom_hostname_resolver(before)


@pytest.mark.real_time
async def test_a_database_whose_greetings_take_longer_than_a_statement_may_is_reached_and_heard(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With TLS and a password that is six answers and more: a tenth of a second each, from another continent."""
    monkeypatch.setattr(driver, "PATIENCE", 1.0)
    told = list[str]()
    async with way_to(cluster.folder, delay=0.7) as way, trio.open_nursery() as nursery:
        database = database_at(way.url)
        with pytest.raises(DatabaseUnavailable):  # a call does not wait for that
            await database.ask("SELECT 1")
        assert await database.ask("SELECT 1", even_away=True) == [(1,)]
        await database.fill()
        async with trio.open_nursery() as calls:
            for _ in range(driver.CONNECTIONS):
                calls.start_soon(database.ask, "SELECT 2")
        assert not database.is_away
        nursery.start_soon(OtherWorkers(database_at(way.url), lambda: "w1")._listen_on, told.append)
        with trio.fail_after(20):
            await wait_posted(cluster.url, told, "first")
        nursery.cancel_scope.cancel(reason="it has heard")
        database.close()


async def test_a_statement_whose_answer_was_lost_is_not_asked_again(cluster: Cluster) -> None:
    """It may have been carried out: who asked knows what that means."""
    async with open_way(cluster) as way:
        database = database_at(way.url)
        await database.ask("CREATE SEQUENCE asked")
        way.loses_answers = True
        with pytest.raises(DatabaseUnavailable):
            await database.ask("SELECT nextval('asked')")
        way.loses_answers = False

        assert await database.ask("SELECT nextval('asked')", even_away=True) == [(2,)]
        database.close()


@pytest.mark.real_time
async def test_a_server_that_does_not_answer_is_away_until_it_does(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "PATIENCE", 1.0)
    async with open_way(cluster) as way:
        database = database_at(way.url)
        await database.ask("SELECT 1")
        way.forget()
        with pytest.raises(DatabaseUnavailable, match="no answer in time"):
            await database.ask("SELECT 1")
        with pytest.raises(DatabaseUnavailable, match="is away"):
            await database.ask("SELECT 1")

        assert await database.ask("SELECT 1", even_away=True) == [(1,)]
        database.close()


@pytest.mark.real_time
async def test_who_listens_on_a_connection_that_died_silently_listens_again(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "QUIET_SECONDS", 0.1)
    monkeypatch.setattr(driver, "PATIENCE", 1.0)
    told = list[str]()
    async with open_way(cluster) as way, trio.open_nursery() as nursery:
        nursery.start_soon(OtherWorkers(database_at(way.url), lambda: "w1")._listen_on, told.append)
        with trio.fail_after(20):
            await wait_posted(cluster.url, told, "first")
            way.forget()
            await wait_posted(cluster.url, told, "second")
        nursery.cancel_scope.cancel(reason="it listens again")


async def wait_posted(url: str, told: Sequence[str], body: str) -> None:
    """Notify of something until it is heard."""
    while body not in told:
        with psycopg.connect(url) as connection:
            connection.execute("SELECT pg_notify('worker w1', %s)", [body])
        await trio.sleep(0.05)


async def test_options_of_the_environment_hold_for_all_who_share_the_tables(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a `search_path` there, records are in one schema: orders and calls are not to be in another."""
    monkeypatch.setenv("PGOPTIONS", "-c search_path=elsewhere")
    database = database_at(cluster.url)
    ((path, limit),) = await database.ask("SELECT current_setting('search_path'), current_setting('statement_timeout')")
    database.close()

    assert (path, limit != "0") == ("elsewhere", True)


@pytest.mark.parametrize("name", ["keepalives_idle", "tcp_user_timeout"])
def test_a_silent_way_is_noticed_in_seconds_unless_the_url_says_otherwise(name: str) -> None:
    assert float(conninfo_to_dict(conninfo_of("postgresql://me@db/calls"))[name] or 0) > 0
    assert conninfo_to_dict(conninfo_of(f"postgresql://me@db/calls?{name}=7"))[name] == "7"
