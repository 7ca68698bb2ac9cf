"""A parked call is remembered for so long, and so many are."""

import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from store.memory import MemoryRecords
from tests.web.fakes import OTHER_CALL_SID, record
from web.calls.counts import Counts
from web.calls.ending import Announced, ParkedCalls
from web.calls.live_calls import LiveCalls
from web.calls.slots import Slots

PARKED = record(outcome="transferring")


async def test_a_call_of_which_nobody_is_heard_again_is_given_up(autojump_clock: MockClock) -> None:
    parked_calls = ParkedCalls(seconds=60)
    parked_calls.park(PARKED)
    await trio.sleep(59)
    early = parked_calls.take_overdue()
    await trio.sleep(1)

    assert (early, parked_calls.take_overdue(), parked_calls.take_overdue()) == ([], [PARKED], [])


async def test_the_oldest_makes_room(autojump_clock: MockClock) -> None:
    parked_calls = ParkedCalls(places=1)
    parked_calls.park(PARKED)
    parked_calls.park(record(OTHER_CALL_SID, outcome="transferring"))

    assert parked_calls.take_overdue() == [PARKED]


async def test_its_end_is_announced_once_when_it_is_known(autojump_clock: MockClock) -> None:
    announced = Announced(MemoryRecords(), LiveCalls(), Counts(Slots(5)), ParkedCalls(seconds=60))
    with capture_logs() as lines:
        await announced.save(PARKED)
        await announced.save(record(outcome="transferred"))
        await trio.sleep(61)
        await announced.save(record(OTHER_CALL_SID))

    assert [(line["event"], line.get("outcome")) for line in lines] == [
        ("call_parked", None),
        ("call_ended", "transferred"),
        ("call_ended", "completed"),
    ]


async def test_one_that_is_given_up_is_announced_with_what_is_known(autojump_clock: MockClock) -> None:
    announced = Announced(MemoryRecords(), LiveCalls(), Counts(Slots(5)), ParkedCalls(seconds=60))
    with capture_logs() as lines:
        await announced.save(PARKED)
        await trio.sleep(61)
        announced.announce_overdue()

    assert [line.get("outcome") for line in lines if line["event"] == "call_ended"] == ["transferring"]
