"""The same PostgreSQL as the tests of the store have."""

from tests.store.conftest import answers_late, cluster, workers

__all__ = ["answers_late", "cluster", "workers"]
