"""Memory is collected when it disturbs least, and given back now and then, as long as the server lasts."""

import gc
import linecache
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import chain, count, repeat
from mmap import mmap

import pytest
import trio
from trio.testing import MockClock

from web.calls.slots import Slots
from web.worker.memory import LOOK_SECONDS, MOST_GROWTH, find_trim, keeping_memory_free, resident_bytes

linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the collector goes by its own rules")


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The moments of full collections. There is always something new to look at."""
    moments = list[float]()
    monkeypatch.setattr(gc, "collect", lambda: moments.append(trio.current_time()))
    monkeypatch.setattr(gc, "get_count", lambda: (0, 1, 0))
    return moments


@linux
async def test_free_memory_is_given_back_now_and_then_until_the_end(autojump_clock: MockClock) -> None:
    kept = list[int]()

    def trim(pad: int) -> int:
        kept.append(pad)
        return 1

    async with keeping_memory_free(Slots(1), trim):
        await trio.sleep(3.5 * LOOK_SECONDS)
    await trio.sleep(10 * LOOK_SECONDS)

    assert kept == [0, 0, 0, 0]  # the first one at once


@linux
async def test_the_source_that_a_traceback_has_read_is_let_go_of(autojump_clock: MockClock) -> None:
    async with keeping_memory_free(Slots(1), None):
        await trio.sleep(LOOK_SECONDS / 2)
        read = linecache.getlines(__file__)
        await trio.sleep(LOOK_SECONDS)
        kept = __file__ in linecache.cache

    assert read
    assert not kept


@linux
@pytest.mark.parametrize(
    ("is_busy", "sizes", "looks"),
    [
        (False, repeat(0), [10, 11]),
        (True, chain([0], repeat(MOST_GROWTH)), []),
        (True, count(0, MOST_GROWTH + 1), [*range(1, 12)]),
    ],
    ids=["no call runs", "calls run", "calls run, and the process grows"],
)
async def test_everything_is_looked_at_while_nobody_hears_it_or_the_process_grows(
    is_busy: bool, sizes: Iterator[int], looks: list[int], autojump_clock: MockClock, collected: list[float]
) -> None:
    slots, began = Slots(9), trio.current_time()
    with slots.take("long") if is_busy else nullcontext():
        async with keeping_memory_free(slots, None, lambda: next(sizes)):
            await trio.sleep(11.5 * LOOK_SECONDS)

    assert collected == [began + look * LOOK_SECONDS for look in looks]


@linux
async def test_a_call_that_has_just_ended_may_come_back_and_is_not_looked_at(
    autojump_clock: MockClock, collected: list[float]
) -> None:
    slots, began = Slots(9), trio.current_time()
    async with keeping_memory_free(slots, None, lambda: 0):
        await trio.sleep(7.5 * LOOK_SECONDS)
        with slots.take("long"):
            await trio.sleep(LOOK_SECONDS)
        await trio.sleep(10 * LOOK_SECONDS)

    assert collected == [began + 18 * LOOK_SECONDS]


@linux
async def test_the_collector_looks_at_everything_by_itself_hardly_ever(autojump_clock: MockClock) -> None:
    before = gc.get_threshold()
    async with keeping_memory_free(Slots(1), None):
        assert gc.get_threshold()[2] > 1000 * before[2]

    assert gc.get_threshold() == before


@linux
async def test_the_collector_frees_little_at_a_time(autojump_clock: MockClock) -> None:
    freed = list[int]()

    def note(phase: str, told: dict[str, int]) -> None:
        freed.extend([told["collected"]] if phase == "stop" else [])

    async with keeping_memory_free(Slots(1), None):
        gc.callbacks.append(note)
        try:
            for _ in range(20_000):
                loop = list[object]()
                loop.append(loop)
        finally:
            gc.callbacks.remove(note)

    assert sum(freed) > 15_000
    assert max(freed) < 2_500


@linux
def test_a_process_knows_how_large_it_is() -> None:
    before = resident_bytes()
    more = mmap(-1, 20_000_000)  # fresh pages: what malloc has kept is counted already
    more.write(bytes(len(more)))

    assert resident_bytes() - before >= len(more) // 2
    more.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc has it")
def test_glibc_can() -> None:
    trim = find_trim()

    assert trim is None or trim(0) in {0, 1}  # musl's library has none
