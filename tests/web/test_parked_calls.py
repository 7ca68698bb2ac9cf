"""A parked call is remembered for so long, and so many are."""

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from store.calls import MemoryRecords
from store.records import CallRecord
from tests.web.fakes import OTHER_CALL_SID, record
from web.calls.counts import Counts
from web.calls.ending import LONGEST_SECONDS, Announced
from web.calls.live_calls import LiveCalls
from web.calls.slots import Slots

PARKED = record(outcome="transferring")


def announcing(given_up: list[CallRecord]) -> Announced:
    return Announced(MemoryRecords(), LiveCalls(), Counts(Slots(5)), given_up.append)


async def test_a_call_of_which_nobody_is_heard_again_is_given_up(autojump_clock: MockClock) -> None:
    given_up = list[CallRecord]()
    announced = announcing(given_up)
    announced.park(PARKED)
    await trio.sleep(LONGEST_SECONDS - 1)
    announced.announce_overdue()
    early = [*given_up]
    await trio.sleep(1)
    announced.announce_overdue()
    announced.announce_overdue()

    assert (early, given_up) == ([], [PARKED])


async def test_the_oldest_makes_room(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    monkeypatch.setattr("web.calls.ending.PLACES", 1)
    given_up = list[CallRecord]()
    announced = announcing(given_up)
    announced.park(PARKED)
    announced.park(record(OTHER_CALL_SID, outcome="transferring"))
    announced.announce_overdue()

    assert given_up == [PARKED]


async def test_its_end_is_announced_once_when_it_is_known(autojump_clock: MockClock) -> None:
    announced = announcing([])
    with capture_logs() as lines:
        await announced.save(PARKED)
        await announced.save(record(outcome="transferred"))
        await trio.sleep(LONGEST_SECONDS + 1)
        await announced.save(record(OTHER_CALL_SID))

    assert [(line["event"], line.get("outcome")) for line in lines] == [
        ("call_parked", None),
        ("call_ended", "transferred"),
        ("call_ended", "completed"),
    ]


async def test_one_that_is_given_up_is_announced_with_what_is_known(autojump_clock: MockClock) -> None:
    announced = announcing([])
    with capture_logs() as lines:
        await announced.save(PARKED)
        await trio.sleep(LONGEST_SECONDS + 1)
        announced.announce_overdue()

    assert [line.get("outcome") for line in lines if line["event"] == "call_ended"] == ["transferring"]
