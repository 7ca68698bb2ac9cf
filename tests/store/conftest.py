"""One PostgreSQL for all tests of the store, empty for each of them."""

import os
from collections.abc import Iterator
from contextlib import ExitStack

import psycopg
import pytest

from tests.store.fleets import Workers
from tests.store.throw_away_postgres import Cluster, PostgresFailed, PostgresMissing, throw_away_postgres

DEMANDED = "REQUIRE_POSTGRES"
"""Where this is set (in CI), a test is never skipped for want of a server."""


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with ExitStack() as running:
        try:
            cluster = running.enter_context(throw_away_postgres())
        except (PostgresMissing, PostgresFailed) as exc:
            if os.environ.get(DEMANDED):
                raise
            pytest.skip(f"not tried with PostgreSQL: {exc}")
        yield cluster


@pytest.fixture
def postgres(cluster: Cluster) -> Iterator[str]:
    yield cluster.url
    empty(cluster.url)


@pytest.fixture(autouse=True)
def answers_late(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the machine's clock, wait for a disk that is slow for some seconds."""
    if "autojump_clock" not in request.fixturenames:
        monkeypatch.setattr("store.tokens.ANSWER_SECONDS", 30.0)
        monkeypatch.setattr("store.databases.ANSWER_SECONDS", 30.0)


@pytest.fixture
def workers(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    """Workers on a database in which nothing was made yet; a machine that is busy for a second has not lost it."""
    monkeypatch.setattr("store.fleet.driver.PATIENCE", 30.0)
    made = Workers(cluster.url)
    yield made
    made.close()
    empty(cluster.url)


def empty(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
