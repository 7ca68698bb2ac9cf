"""Every test that runs in trio has a deadline: a deadlock fails within the test, and says where everybody waited."""

import gc
import inspect
import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog
import trio
from hypothesis import settings

from tests.examples import DRAWN
from tests.first_run import import_own_part_first, look_for_compiled
from tests.shelf import open_shelf, share_speech

if TYPE_CHECKING:
    from simulators.pacing import PacedClock

# Half of what the suite would cost where PYTHONDONTWRITEBYTECODE is set is compiling the same modules in each worker
# and in each process that a test starts.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Until the tests are collected, there is nothing to be freed: looking for it is a fifth of what collecting costs.
gc.disable()

# An authority that signs nothing: to read the hundred and more of the system takes 25 ms for each server that starts.
os.environ["SSL_CERT_FILE"] = str(Path(__file__).with_name("nobody.pem"))

settings.register_profile("switchboard", DRAWN)
settings.load_profile("switchboard")


def pytest_runtest_teardown() -> None:
    """Whatever a test configures, the next one logs by default: a fixture for each of thousands would cost seconds."""
    structlog.reset_defaults()


VIRTUAL_DAY = 86_400.0
"""Under `autojump_clock` a deadlock jumps straight to it."""
REAL_LIMIT = 60.0
SLOW_LIMIT = 300.0
"""For what is marked `slow` or `real_time`: a browser on a busy machine."""
FAST_RATE = 10.0
"""Seconds of `fast_clock` in a real one, while every task waits."""


@pytest.fixture
def fast_clock() -> "PacedClock":
    """Run this test, whose every party is in it, on a paced clock; it must ask for it itself."""
    from simulators.pacing import PacedClock

    return PacedClock(FAST_RATE)


def with_deadline(
    test: Callable[..., Awaitable[None]],
    seconds: float,
) -> Callable[..., Awaitable[None]]:
    """Give up a test that is not done after this many seconds of its own clock."""

    @wraps(test)
    async def limited(*args: object, **kwargs: object) -> None:
        with trio.fail_after(seconds):
            await test(*args, **kwargs)

    return limited


def pytest_configure(config: pytest.Config) -> None:
    if workers := config.getoption("numprocesses"):
        look_for_compiled(workers)
        shelf = open_shelf()
        config.add_cleanup(lambda: shutil.rmtree(shelf))


@pytest.hookimpl(trylast=True)  # coverage is to see all imports
def pytest_sessionstart() -> None:
    share_speech()
    import_own_part_first(os.environ.get("PYTEST_XDIST_WORKER", ""))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            parameters = inspect.signature(item.obj).parameters
            for clock in {"autojump_clock", "fast_clock"} & set(item.fixturenames):
                if clock not in parameters:
                    raise pytest.UsageError(f"{item.nodeid} must itself ask for {clock}")
            fast = FAST_RATE if "fast_clock" in parameters else 1.0
            patient = item.get_closest_marker("slow") or item.get_closest_marker("real_time")
            real = SLOW_LIMIT if patient else REAL_LIMIT
            item.obj = with_deadline(item.obj, VIRTUAL_DAY if "autojump_clock" in parameters else real * fast)


def pytest_collection_finish() -> None:
    """Have messages taken as in a server, and spare the collector thousands of tests and modules that stay."""
    from tests.outside_tasks import take_outside_tasks

    take_outside_tasks()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()
