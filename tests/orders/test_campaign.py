"""A campaign with every outcome, paused, killed and resumed: each number is called as often as its rule says."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from random import Random

import attrs
import phonenumbers  # noqa: F401 - it is imported in a thread, for which a virtual clock does not wait
import pytest
import structlog
import trio
from trio.testing import MockClock

from actors.call_services import CallPlan, CallServices
from actors.messages import MachineAnswered
from protocol.wire import PacedWebSocket
from simulators.scenario import Answers, Caller
from store.orders.campaigns import CampaignStore
from store.records import CallRecord
from tests.faults.short import SHORT
from tests.orders.world import World, answering
from tests.web.fakes import record, settings
from web.calls.campaigns import CallingHours, CampaignRules, RetryRule
from web.calls.contacts import ContactReader

ALL_DAY = CallingHours.read("00:00-24:00", "mon-sun")
RULES = CampaignRules(
    ALL_DAY,
    {
        "busy": RetryRule(2, 1),
        "no_answer": RetryRule(1, 2),
        "machine": RetryRule(1, 1),
        "failed": RetryRule(0, 1),
    },
    most_calls=4,
    per_minute=1200,
    at_once=40,
)
CHANGES = {"CALLS_PER_SECOND": "20", "MAX_CALLS": "100"}
ANSWERS: Sequence[Answers] = ("busy", "no-answer", "failed", "machine", "human")
OUTCOMES: Mapping[Answers, str] = {
    "busy": "busy",
    "no-answer": "no_answer",
    "failed": "failed",
    "machine": "machine",
    "human": "completed",
}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


@attrs.define(eq=False)
class Callees(Mapping[str, Caller]):
    """Who answers at each number: the next in its row for each call, and the last one again and again."""

    rows: Mapping[str, Sequence[Answers]]
    called: dict[str, int] = attrs.field(factory=dict)

    def __getitem__(self, number: str) -> Caller:
        at = self.called[number] = self.called.get(number, 0) + 1
        row = self.rows[number]
        return attrs.evolve(SHORT.caller, number=number, answers=row[min(at, len(row)) - 1])

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def calls_due(outcomes: Iterable[str], rules: CampaignRules) -> int:
    """How often a number is called by the rules whose calls end so: the rules told once more, plainly."""
    left = {kind: rule.times for kind, rule in rules.retry.items()}
    for called, outcome in enumerate(outcomes, 1):
        if called == rules.most_calls or not left.get(outcome, 0):
            return called
        left[outcome] -= 1
    raise AssertionError("another call was due")


@attrs.define
class ShortTalk:
    """Stands in for `run_call`: a person talks for three seconds, a machine is hung up on; the dead save nothing."""

    world: World

    async def __call__(self, media: PacedWebSocket, plan: CallPlan, services: CallServices) -> CallRecord:
        outcome = "completed"
        with services.intercom.open(plan.call_sid) as mailbox, trio.move_on_after(3):
            async for message in mailbox:
                if isinstance(message, MachineAnswered) and message.verdict.startswith("machine"):
                    outcome = "machine"
                    break
        plain = record(plan.call_sid, stream_sid=plan.stream_sid, direction="outbound", caller=plan.caller)
        left = attrs.evolve(plain, outcome=outcome, metadata=plan.metadata)
        if not self.world.life.over.is_set():
            await services.save(left)
        return left


async def play(count: int, seed: int, kills: int) -> tuple[World, Callees, Mapping[str, int]]:
    """Play a campaign; kill its process so often, and pause it once; return what is left."""
    rng = Random(seed)
    rows = {f"+1212{5550000 + n}": [rng.choice(ANSWERS) for _ in range(4)] for n in range(count)}
    callees, world = Callees(rows), World(changes=CHANGES)
    world.calls = ShortTalk(world)
    async with world.opened(answering("busy"), callees):
        store = CampaignStore(world.database)
        reader = ContactReader(settings(**CHANGES), (), ALL_DAY, {}, world.database.now(), "spring")
        text = "to,name\n" + "".join(f"{number},Zoë\n" for number in rows)
        assert await store.create("c1", "spring", await reader.read(text), RULES.written(), "running") is not None
        facts: dict[str, int] = {"lives": 0, "cut": 0}
        async with trio.open_nursery() as operator:
            operator.start_soon(pause, world, store, facts, count)
            for life in range(kills + 1):
                async with world.process(ends_at=rng.randint(200, 900) if life < kills else 0):
                    await world.wait_over()
                facts["lives"] = life + 1
                facts["cut"] += sum(not call.is_over for call in world.twilio.calls.values())
    return world, callees, facts


async def pause(world: World, store: CampaignStore, facts: dict[str, int], seconds: float) -> None:
    """Pause the campaign, and note how many calls there were before it and in it."""
    await trio.sleep(2)
    await store.turn_to("c1", "paused", "by hand")
    await trio.sleep(3)  # what was on its way
    before = facts["before the pause"] = len(world.twilio.calls)
    await trio.sleep(seconds)
    facts["in the pause"] = len(world.twilio.calls) - before
    await store.turn_to("c1", "running")


async def check(world: World, callees: Callees, facts: Mapping[str, int]) -> None:
    kept = {order.number: [str(call["outcome"]) for call in order.history] for order in await world.kept()}
    told = {number: [OUTCOMES[answer] for answer in callees.rows[number]][: len(kept[number])] for number in kept}
    cut = [number for number, outcomes in kept.items() if outcomes != told[number]]

    assert facts["in the pause"] == 0
    assert facts["before the pause"] > 0
    assert {number: world.rung(number) for number in callees} == {n: calls_due(kept[n], RULES) for n in callees}
    assert {number: len(outcomes) for number, outcomes in kept.items()} == {n: world.rung(n) for n in callees}
    assert {outcome for number in cut for outcome in kept[number]} <= {"never_ran", "unknown", *OUTCOMES.values()}
    assert len(cut) <= facts["cut"]  # a call that was under way when its process was killed
    assert len(await world.records.list(10_000)) >= len(world.twilio.calls) - facts["cut"]


@pytest.mark.slow
async def test_each_number_is_called_as_often_as_its_rule_says(autojump_clock: MockClock) -> None:
    await check(*await play(count=8, seed=1, kills=1))


@pytest.mark.slow
async def test_a_campaign_of_500_numbers_with_every_outcome_paused_killed_and_resumed(
    autojump_clock: MockClock,
) -> None:
    world, callees, facts = await play(count=500, seed=3, kills=6)

    await check(world, callees, facts)
    assert {order.outcome for order in await world.kept()} >= set(OUTCOMES.values())
    assert facts["lives"] == 7
