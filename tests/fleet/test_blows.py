"""The benchmark of a killed worker, a drained one and a restarted database, once, with a seed of its own."""

from pathlib import Path

import pytest

from bench.fleet_chaos import Run
from tests.store.throw_away_postgres import throw_away_postgres


@pytest.mark.slow
def test_no_call_is_lost_or_turned_away_while_workers_die_and_the_database_restarts(tmp_path: Path) -> None:
    with throw_away_postgres() as cluster:
        run = Run(101, 60, cluster, tmp_path)
        run.play()

    assert run.problems == []
