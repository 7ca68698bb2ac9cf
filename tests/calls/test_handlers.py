"""A call whose handler misbehaves: the caller is told, the work is done once, and the record is there."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import cast

import attrs
import pytest
import trio
from trio.testing import MockClock

from actors import facts
from actors.session.function_calls import ABANDON_SECONDS
from agents.functions import END_CONVERSATION, Answer, CallContext, FunctionSpec, Outcome, handoff_to_next_agent
from agents.roster import Roster, load_roster
from agents.spec import AgentSpec
from simulators.deepgram import DeepgramKnobs
from store.records import decode_record, encode_record
from testkit.harness import Played, hear_nothing, play
from tests.faults.short import BUNDLE, POLICY, SHORT, NoArguments

Work = Callable[[], Awaitable[Outcome]]


@attrs.define
class Counted:
    """A handler that counts how often it was run, and how often it came to its end."""

    work: Work
    runs: int = 0
    ends: int = 0

    async def __call__(self, arguments: NoArguments, context: CallContext) -> Outcome:
        self.runs += 1
        outcome = await self.work()
        self.ends += 1
        return outcome


def roster(handler: Counted, deadline: float) -> Roster:
    look_up = FunctionSpec("look_up", "Looks something up.", NoArguments, handler, deadline=deadline)
    first = (look_up, handoff_to_next_agent("second"), END_CONVERSATION)
    return load_roster(
        [
            AgentSpec("first", "first", "You are the first.", "Good morning.", "aura-2-mars-en", first, ("second",)),
            AgentSpec("second", "second", "You are the second.", "Hello.", "aura-2-thalia-en", (END_CONVERSATION,)),
        ]
    )


async def played_with(
    handler: Counted,
    *faults: str,
    deadline: float = 5.0,
    meanwhile: Callable[[Played], Awaitable[None]] = hear_nothing,
) -> Played:
    return await play(
        SHORT,
        faults,
        meanwhile=meanwhile,
        roster=roster(handler, deadline),
        policy=POLICY,
        bundle=BUNDLE,
        knobs=DeepgramKnobs(slice_ms=200),
    )


def returns(outcome: object) -> Work:
    async def work() -> Outcome:
        await trio.sleep(0.1)
        return cast("Outcome", outcome)

    return work


HALF = "\ud83d"
ODD = {
    "a decimal": Answer({"x": cast("str", Decimal("1.5"))}),
    "an object as a fact": Answer({}, {"n": cast("str", object())}),
    "a number as a fact": Answer({}, {"name": cast("str", 5)}),
    "half a pair": Answer({"x": HALF}, {"name": HALF}),
    "a megabyte": Answer({"x": "x" * 1_000_000}),
}


@pytest.mark.parametrize("odd", ODD)
async def test_whatever_a_handler_returns_the_call_goes_on_and_it_is_run_once(
    odd: str, autojump_clock: MockClock
) -> None:
    handler = Counted(returns(ODD[odd]))
    played = await played_with(handler)

    record = played.the_record
    assert ("completed", 1) == (record.outcome, handler.runs)
    assert not played.facts(facts.SessionCrashed)
    assert not played.facts(facts.ActorCrashed)
    assert "I cannot look. Shall I pass you on?" in " ".join(played.heard_of_agents())
    assert decode_record(encode_record(record)) == record


async def test_one_that_does_not_listen_holds_no_call(autojump_clock: MockClock) -> None:
    """It is at work when the caller hangs up, under a shield for ten minutes."""

    async def work() -> Outcome:
        with trio.CancelScope(shield=True):
            await trio.sleep(600)
        return Answer({})

    async def hang_up(played: Played) -> None:
        await played.wait_fact(facts.FunctionCalled)
        played.line.stop()

    handler = Counted(work)
    played = await played_with(handler, deadline=60.0, meanwhile=hang_up)

    assert handler.runs == 1
    assert played.the_record.outcome == "caller_hung_up"
    assert trio.current_time() < played.times(facts.FunctionCalled)[0] + ABANDON_SECONDS + 2.0


async def test_a_session_that_is_lost_meanwhile_does_not_run_it_again(autojump_clock: MockClock) -> None:
    async def work() -> Outcome:
        await trio.sleep(4.0)
        return Answer({"booked": True})

    handler = Counted(work)
    played = await played_with(handler, "deepgram: drop after 4.3 s")

    assert played.facts(facts.SessionCrashed)
    assert [fact.name for fact in played.facts(facts.FunctionCalled)].count("look_up") == 2  # asked for once more
    assert handler.runs == 1
    (answer,) = [fact for fact in played.facts(facts.FunctionAnswered) if fact.name == "look_up"]
    assert (answer.ok, "not run twice" in answer.result) == (False, True)
    assert "completed" == played.the_record.outcome
