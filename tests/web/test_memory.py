"""Memory is given back now and then, as long as the server lasts."""

import sys

import pytest
import trio
from trio.testing import MockClock

from web.worker.memory import TRIM_SECONDS, find_trim, trim_memory


async def test_free_memory_is_given_back_now_and_then_until_the_end(autojump_clock: MockClock) -> None:
    kept = list[int]()

    def trim(pad: int) -> int:
        kept.append(pad)
        return 1

    async with trim_memory(trim):
        await trio.sleep(3.5 * TRIM_SECONDS)
    await trio.sleep(10 * TRIM_SECONDS)

    assert kept == [0, 0, 0]


async def test_where_the_c_library_cannot_nothing_is_done(autojump_clock: MockClock) -> None:
    async with trim_memory(None):
        assert len(trio.lowlevel.current_task().child_nurseries[0].child_tasks) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc has it")
def test_glibc_can() -> None:
    trim = find_trim()

    assert trim is None or trim(0) in {0, 1}  # musl's library has none
