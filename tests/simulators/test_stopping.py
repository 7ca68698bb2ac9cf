import signal
from collections.abc import Iterator
from contextlib import suppress

import pytest
import trio

from simulators.stopping import SIGNALS, until_stopped


@pytest.fixture(autouse=True)
def _ignored() -> Iterator[None]:
    """Have both signals ignored, as a shell does with SIGINT for what a script runs in the background."""
    before = [signal.signal(number, signal.SIG_IGN) for number in SIGNALS]
    yield
    for number, handler in zip(SIGNALS, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
async def test_a_signal_stops_what_would_swallow_an_interrupt_and_the_next_one_ends_the_process(number: int) -> None:
    then: list[object] = []

    async def work() -> None:
        with suppress(KeyboardInterrupt):  # as hypercorn does with one in a request
            signal.raise_signal(number)
        then.extend(signal.getsignal(each) for each in SIGNALS)
        await trio.sleep_forever()

    with trio.fail_after(5):
        assert await until_stopped(work)
    assert then == [signal.SIG_DFL, signal.SIG_DFL]
    assert [signal.getsignal(each) for each in SIGNALS] == [signal.SIG_IGN, signal.SIG_IGN]


async def test_work_that_ends_by_itself_was_not_stopped() -> None:
    assert not await until_stopped(trio.lowlevel.checkpoint)
