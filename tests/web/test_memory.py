"""Memory is collected when it disturbs least, and given back now and then, as long as the server lasts."""

import gc
import sys

import pytest
import trio
from trio.testing import MockClock

from web.calls.slots import Slots
from web.worker.memory import ENDED_CALLS, TRIM_SECONDS, find_trim, keeping_memory_free


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The moments of full collections."""
    moments = list[float]()
    monkeypatch.setattr(gc, "collect", lambda: moments.append(trio.current_time()))
    return moments


def carry(slots: Slots, *calls: str) -> None:
    for call in calls:
        with slots.take(call):
            pass


async def test_free_memory_is_given_back_now_and_then_until_the_end(autojump_clock: MockClock) -> None:
    kept = list[int]()

    def trim(pad: int) -> int:
        kept.append(pad)
        return 1

    async with keeping_memory_free(Slots(1), trim):
        await trio.sleep(3.5 * TRIM_SECONDS)
    await trio.sleep(10 * TRIM_SECONDS)

    assert kept == [0, 0, 0]


async def test_what_calls_have_left_is_collected_when_none_runs(
    autojump_clock: MockClock, collected: list[float]
) -> None:
    slots, began = Slots(9), trio.current_time()
    async with keeping_memory_free(slots, None):
        with slots.take("long"):
            carry(slots, "short")
            await trio.sleep(2.5 * TRIM_SECONDS)
            assert collected == []
        await trio.sleep(9 * TRIM_SECONDS)

    assert collected == [began + 3 * TRIM_SECONDS]


async def test_a_server_that_is_never_empty_collects_after_so_many_calls(
    autojump_clock: MockClock, collected: list[float]
) -> None:
    slots, began = Slots(9), trio.current_time()
    async with keeping_memory_free(slots, None):
        with slots.take("long"):
            carry(slots, *map(str, range(ENDED_CALLS)))
            await trio.sleep(4.5 * TRIM_SECONDS)
            carry(slots, "one more")
            await trio.sleep(4.5 * TRIM_SECONDS)
            assert collected == [began + TRIM_SECONDS]


async def test_meanwhile_the_collector_looks_at_everything_by_itself_hardly_ever(autojump_clock: MockClock) -> None:
    before = gc.get_threshold()
    async with keeping_memory_free(Slots(1), None):
        assert gc.get_threshold()[2] > 100 * before[2]

    assert gc.get_threshold() == before


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc has it")
def test_glibc_can() -> None:
    trim = find_trim()

    assert trim is None or trim(0) in {0, 1}  # musl's library has none
