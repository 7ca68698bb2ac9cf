"""A process is killed before and after each thing it does: its order is placed once, and comes to an outcome."""

from collections.abc import AsyncIterator, Iterator

import attrs
import pytest
import structlog
import trio
from trio.testing import MockClock

from simulators.twilio.exchange import TwilioKnobs
from tests.orders.world import KNOBS, World, answering
from web.calls.placing import LATEST_SECONDS

FEWEST_STEPS = 14
"""Fewer have not seen an order being kept, asked for, placed and ended."""
MOST_STEPS = 40
"""Those that follow are looks for orders, and nothing else."""
LONGEST = LATEST_SECONDS


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


@attrs.frozen
class Twist:
    """What goes wrong besides: how Twilio answers the first process, when calls are listed, and the webhooks."""

    name: str
    knobs: TwilioKnobs = KNOBS
    hears: bool = True

    def __str__(self) -> str:
        return self.name


TWISTS = [
    Twist("nothing else"),
    Twist("Twilio's first answers are lost", attrs.evolve(KNOBS, creations="unanswered")),
    Twist("webhooks are lost", hears=False),
    Twist(
        "answers and webhooks are lost, and the list is late",
        attrs.evolve(KNOBS, creations="unanswered", listed_after=8.0),
        hears=False,
    ),
    Twist("the first request never arrives", attrs.evolve(KNOBS, creations="lost"), hears=False),
]


async def kill(at: int, twist: Twist) -> tuple[int, list[str]]:
    """Kill the first process at a step and let another go on; return how many steps it did, and what is wrong."""
    async with World(twist.knobs, twist.hears).opened(answering("busy"), {}) as world:
        answered = 0
        async with world.process(ends_at=at):
            answered = (await world.order()).status_code
            await trio.sleep(60)
        steps, world.twilio.knobs = world.life.steps, attrs.evolve(world.twilio.knobs, creations="answered")
        async with world.process():
            if not answered:
                await world.order()
            with trio.move_on_after(LONGEST):
                await world.wait_over()
            await trio.sleep(30)
        return steps, [f"step {at}: {broken}" async for broken in broken_promises(world)]


async def broken_promises(world: World) -> AsyncIterator[str]:
    kept, records = await world.kept(), await world.records.list()
    if world.rung() != 1:
        yield f"{world.rung()} calls"
    if [(order.state, order.outcome) for order in kept] != [("over", "busy")]:
        yield f"orders {kept}"
    if [record.outcome for record in records] != ["busy"]:
        yield f"records {records}"


async def sweep(twist: Twist, stride: int) -> None:
    at, broken = 1, list[str]()
    while at <= MOST_STEPS:
        steps, found = await kill(at, twist)
        broken += found
        if steps < at:
            break
        at += stride

    assert broken == []
    assert at > FEWEST_STEPS


@pytest.mark.parametrize("twist", TWISTS[:1], ids=str)
async def test_whenever_a_process_is_killed_its_order_is_placed_once(twist: Twist, autojump_clock: MockClock) -> None:
    await sweep(twist, stride=4)


@pytest.mark.slow
@pytest.mark.parametrize("twist", TWISTS, ids=str)
async def test_at_every_step_and_whatever_else_goes_wrong(twist: Twist, autojump_clock: MockClock) -> None:
    await sweep(twist, stride=1)
