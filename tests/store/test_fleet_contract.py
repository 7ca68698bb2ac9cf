"""One process by itself, and many on PostgreSQL, keep the same promises about slots, calls and turns."""

import pytest
import trio

from store.fleet.shared import TELL, Fleet, Question
from tests.examples import POSTGRES
from tests.store.fleets import Workers, call, catch_up

CAP = 3


@pytest.fixture(params=["memory", POSTGRES])
async def fleet(request: pytest.FixtureRequest) -> Fleet:
    if request.param == "memory":
        return Fleet(CAP)
    workers: Workers = request.getfixturevalue("workers")
    return await workers.join(CAP)


async def test_as_many_calls_are_let_in_as_there_are_slots(fleet: Fleet) -> None:
    assert [await fleet.admit(call(f"CA{n}")) for n in range(CAP + 2)] == [True] * CAP + [False] * 2


async def test_calls_that_come_together_do_not_exceed_the_slots(fleet: Fleet) -> None:
    let_in: list[bool] = []

    async def come(n: int) -> None:
        let_in.append(await fleet.admit(call(f"CA{n}")))

    async with trio.open_nursery() as nursery:
        for n in range(4 * CAP):
            nursery.start_soon(come, n)

    assert let_in.count(True) == CAP


async def test_a_call_on_its_way_counts(fleet: Fleet) -> None:
    assert [await fleet.reserve(f"CA{n}", 60) for n in range(CAP + 1)] == [True] * CAP + [False]


async def test_a_call_on_its_way_has_its_slot_when_it_comes(fleet: Fleet) -> None:
    for n in range(CAP):
        await fleet.reserve(f"CA{n}", 60)

    assert await fleet.admit(call("CA1"))
    assert not await fleet.admit(call("CA9"))


async def test_a_slot_that_nobody_came_for_lapses(fleet: Fleet) -> None:
    for n in range(CAP):
        await fleet.reserve(f"CA{n}", 0)

    assert [await fleet.admit(call(f"CA{n + 5}")) for n in range(CAP)] == [True] * CAP


async def test_a_second_reservation_of_a_call_takes_no_second_slot(fleet: Fleet) -> None:
    for _ in range(CAP + 1):
        assert await fleet.reserve("CA1", 60)

    assert await fleet.reserve("CA2", 60)


async def test_the_slot_of_a_running_call_does_not_lapse_when_it_is_reserved_again(fleet: Fleet) -> None:
    for n in range(CAP):
        await fleet.admit(call(f"CA{n}"))
    assert await fleet.reserve("CA0", 0)

    assert not await fleet.admit(call("CA9"))


async def test_what_is_given_up_is_free(fleet: Fleet) -> None:
    for n in range(CAP - 1):
        await fleet.admit(call(f"CA{n}"))
    await fleet.reserve("CA7", 60)
    fleet.free("CA0")
    fleet.free("CA7")
    fleet.free("CA-unknown")
    await catch_up(fleet)

    assert [await fleet.admit(call(f"CA{n + 5}")) for n in range(CAP)] == [True, True, False]


async def test_a_call_that_comes_back_is_let_in_over_the_cap_and_nobody_new_is(fleet: Fleet) -> None:
    for n in range(CAP):
        await fleet.admit(call(f"CA{n}"))
    assert await fleet.admit(call("CA7"), over=True)
    fleet.free("CA0")
    await catch_up(fleet)

    assert not await fleet.admit(call("CA8"))
    fleet.free("CA1")
    await catch_up(fleet)
    assert await fleet.admit(call("CA8"))


async def test_a_call_that_may_come_back_keeps_its_slot(fleet: Fleet) -> None:
    for n in range(CAP):
        await fleet.admit(call(f"CA{n}"))
    fleet.free("CA0")
    fleet.readmit("CA0", 60)
    await catch_up(fleet)

    assert not await fleet.admit(call("CA8"))
    assert await fleet.admit(call("CA0"))


async def test_running_calls_are_listed_newest_first(fleet: Fleet) -> None:
    await fleet.admit(call("OR1", call_sid="CA1", caller="+15550000001"))
    await fleet.admit(call("CA2"))
    await fleet.reserve("CA3", 60)

    assert [(one.key, one.call_sid) for one in await fleet.live()] == [("CA2", "CA2"), ("OR1", "CA1")]


@pytest.mark.parametrize(("name", "found"), [("OR1", "CA1"), ("CA1", "CA1"), ("CA2", "CA2"), ("CA3", ""), ("", "")])
async def test_a_running_call_is_found_by_either_name(fleet: Fleet, name: str, found: str) -> None:
    await fleet.admit(call("OR1", call_sid="CA1", caller="+15550000001"))
    await fleet.admit(call("CA2"))
    await fleet.reserve("CA3", 60)
    call_found = await fleet.find(name)

    assert (call_found.call_sid if call_found is not None else "") == found


async def test_a_call_that_runs_nowhere_is_not_told(fleet: Fleet) -> None:
    answers = await fleet.ask(Question(TELL, {}, call="CA1"), 5.0)

    assert (list(answers.given), answers.silent) == ([], 0)


async def test_turns_are_evenly_apart_and_none_is_far_away(fleet: Fleet) -> None:
    turns = [await fleet.claim_turn(0.5, longest=5.0) for _ in range(5)]

    assert [None if turn is None else round(turn, -1 if turn > 9 else 0) for turn in turns] == [0, 2, 4, None, None]
