"""The same PostgreSQL as the tests of the store have."""

from tests.store.conftest import cluster, workers

__all__ = ["cluster", "workers"]
