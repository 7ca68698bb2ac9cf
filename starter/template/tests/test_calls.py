"""Whole calls, in memory and in virtual time: the real agents, a simulated caller, simulated services."""

from pathlib import Path

from testkit import fails, play

import acme

DELIVERY = Path(acme.__file__).with_name("scenarios") / "delivery.toml"


async def test_a_customer_finds_a_time_for_a_delivery() -> None:
    call = await play("acme.agents", DELIVERY)

    call.expect_agents("front_desk", "planner")
    call.expect_handoff("planner", after_turn=2, before_turn=3)
    call.expect_called("find_slots", times=1, day="tuesday")
    call.expect_heard("nine to eleven, or two to four", by="planner")
    call.expect_outcome("completed")


async def test_no_word_is_lost_when_a_session_drops() -> None:
    call = await play("acme.agents", DELIVERY, ["deepgram: drop after 6 s on connection 2"])

    call.expect_restarts(1)
    call.expect_said("Tuesday would be good.")
    call.expect_outcome("completed")


async def test_a_service_that_is_away_is_told_to_the_customer() -> None:
    call = await play("acme.agents", DELIVERY, functions={"find_slots": fails(ConnectionError("no route"))})

    call.expect_heard("I can't see the times just now", by="planner")
    call.expect_outcome("completed")
