"""In a fresh clone, each worker compiles another part of the tests first, and finds the rest done by the others.

All workers import all tests, and all that these import. Left to themselves, they would begin with the same file at
the same time, and compile everything four times.
"""

import os
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

_TESTS = Path(__file__).parent
_WORKERS = "TESTS_NOT_COMPILED"


def look_for_compiled(workers: int) -> None:
    """Tell the workers, before they start, that the tests, or what is installed, are not compiled, if so."""
    if not any(_TESTS.glob("*/__pycache__")) or not _is_compiled("hypercorn"):
        os.environ[_WORKERS] = str(workers)


def _is_compiled(package: str) -> bool:
    spec = find_spec(package)
    return spec is not None and spec.cached is not None and Path(spec.cached).exists()


def import_own_part_first(worker: str) -> None:
    """Import all tests, from where no other worker (`gw0`, `gw1`, …) begins; if something is compiled, do nothing."""
    workers = int(os.environ.get(_WORKERS, "0"))
    if worker and workers:
        names = _names()
        start = int(worker.removeprefix("gw")) % workers * len(names) // workers
        for name in names[start:] + names[:start]:
            with suppress(Exception, pytest.skip.Exception):  # pytest will meet the same, and say so
                import_module(name)


def _names() -> list[str]:
    files = sorted(file.relative_to(_TESTS.parent) for file in _TESTS.rglob("test_*.py"))
    return [".".join(file.with_suffix("").parts) for file in files]
