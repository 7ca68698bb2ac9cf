"""A slot is one call's, a reservation lapses, and draining waits for the last caller."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from store.fleet.shared import Fleet, LiveCall
from web.calls.slots import Slots


async def test_a_full_house_takes_no_reservation(autojump_clock: MockClock) -> None:
    slots = Slots(1)

    with slots.take("a"):
        assert (slots.reserve("b", 10), slots.accepting, slots.free) == (False, False, 0)
    assert slots.reserve("b", 10)


async def test_a_reservation_counts_like_a_call_until_it_lapses(autojump_clock: MockClock) -> None:
    slots = Slots(1)
    slots.reserve("a", 10)

    assert not slots.accepting
    await trio.sleep(10)
    assert slots.accepting


async def test_reserving_again_prolongs_the_reservation(autojump_clock: MockClock) -> None:
    slots = Slots(1)
    slots.reserve("a", 10)
    await trio.sleep(9)

    assert slots.reserve("a", 10)
    await trio.sleep(9)
    assert not slots.accepting


async def test_a_call_that_has_a_slot_needs_no_reservation(autojump_clock: MockClock) -> None:
    slots = Slots(2)

    with slots.take("a"):
        assert (slots.reserve("a", 10), slots.free) == (True, 1)


async def test_a_call_takes_its_slot_in_place_of_its_reservation(autojump_clock: MockClock) -> None:
    slots = Slots(1)
    slots.reserve("a", 10)

    with slots.take("a") as held:
        assert (held, slots.taken, slots.free) == (True, 1, 0)


async def test_a_call_never_has_two_slots(autojump_clock: MockClock) -> None:
    slots = Slots(2)

    with slots.take("a"), slots.take("a") as again:
        assert (again, slots.taken) == (False, 1)


async def test_a_crash_gives_the_slot_back(autojump_clock: MockClock) -> None:
    slots = Slots(1)

    with pytest.raises(ValueError, match="crash"), slots.take("a"):
        raise ValueError("crash")
    assert slots.taken == 0


async def test_a_released_reservation_makes_room(autojump_clock: MockClock) -> None:
    slots = Slots(1)
    slots.reserve("a", 10)
    slots.release("a")
    slots.release("never reserved")

    assert slots.accepting


async def test_draining_gives_no_reservation_and_lets_in_who_has_one_of_another_worker(
    autojump_clock: MockClock,
) -> None:
    slots = Slots(2)
    slots.reserve("a", 10)
    slots.drain()

    with slots.take("a") as expected, slots.take("b") as of_another, slots.take("c") as too_many:
        assert (expected, of_another, too_many, slots.reserve("d", 10)) == (True, True, False, False)


async def test_an_empty_house_is_drained_at_once(autojump_clock: MockClock) -> None:
    began = trio.current_time()

    await Slots(1).wait_empty()

    assert trio.current_time() == began


async def test_draining_waits_for_calls_on_their_way_and_no_longer_than_their_reservation(
    autojump_clock: MockClock,
) -> None:
    slots = Slots(2)
    slots.reserve("a", 5)
    began = trio.current_time()

    await slots.wait_empty()

    assert trio.current_time() - began == 5


async def test_draining_ends_with_the_last_call(autojump_clock: MockClock) -> None:
    slots, began = Slots(2), trio.current_time()

    async def call() -> None:
        with slots.take("call"):
            await trio.sleep(7)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call)
        await wait_all_tasks_blocked()
        await slots.wait_empty()

    assert trio.current_time() - began == 7


def live(key: str) -> LiveCall:
    return LiveCall(key, key)


async def test_the_account_may_be_full_while_this_worker_has_room(autojump_clock: MockClock) -> None:
    account = Fleet(1)
    one, other = Slots(5, account), Slots(5, account)

    assert await one.let_in("a", 10)
    assert not await other.let_in("b", 10)
    async with other.carry(live("c")) as held:
        assert (held, other.free) == (False, 4)
    assert (one.free, other.free) == (4, 5)


async def test_a_worker_may_be_full_while_the_account_has_room(autojump_clock: MockClock) -> None:
    account = Fleet(9)
    slots = Slots(1, account)

    async with slots.carry(live("a")) as held:
        assert held
        assert not await slots.let_in("b", 10)
    assert [call.key for call in await account.live()] == []


async def test_a_slot_kept_by_one_worker_is_carried_by_another(autojump_clock: MockClock) -> None:
    account = Fleet(1)
    webhook, stream = Slots(5, account), Slots(5, account)
    await webhook.let_in("a", 10)

    async with stream.carry(live("a")) as held:
        assert held
        assert [call.key for call in await account.live()] == ["a"]
    await trio.sleep(11)
    assert await webhook.let_in("b", 10)


async def test_a_webhook_that_is_cancelled_keeps_no_slot(autojump_clock: MockClock) -> None:
    account = Fleet(1)
    slots = Slots(1, account)
    with trio.CancelScope() as gone:
        gone.cancel()
        await slots.let_in("a", 60)

    assert gone.cancelled_caught
    assert await slots.let_in("b", 10)


async def test_a_call_that_may_come_back_keeps_its_slot_in_the_account(autojump_clock: MockClock) -> None:
    account = Fleet(1)
    slots = Slots(1, account)
    async with slots.carry(live("a")):
        slots.readmit("a", 60)

    assert not await Slots(5, account).let_in("b", 10)
    async with slots.carry(live("a"), over=True) as held:
        assert held


async def test_news_that_a_call_is_over_does_not_free_the_slot_on_which_it_runs(
    autojump_clock: MockClock,
) -> None:
    account = Fleet(1)
    slots = Slots(1, account)

    async with slots.carry(live("a")):
        slots.release("a")
        assert not await Slots(5, account).let_in("b", 10)
    assert await Slots(5, account).let_in("b", 10)
