"""A stream that is lost by a fault of ours, with the caller still there: another one, once, and the call goes on."""

from collections.abc import Iterator

import attrs
import pytest
import structlog
import trio
from trio.testing import MockClock

from actors import facts
from actors.journal import Entry
from actors.policy import CallPolicy, Deadlines
from agents.functions import END_CONVERSATION, Answer, CallContext, FunctionSpec, Outcome
from agents.roster import load_roster
from agents.sentences import ENGLISH
from protocol.deepgram import Settings
from simulators.deepgram.log import Received
from simulators.scenario import parse_scenario
from simulators.twilio.calls import SimulatedCall
from simulators.twilio.log import VerbExecuted
from tests.actors.fakes import NoArguments
from tests.calls.exchange import Switchboard, open_switchboard
from tests.calls.test_person import FIRST, ROSTER, heard, said
from tests.examples import one_in
from tests.web.fakes import API_TOKEN, LEAD, client_of

SCENARIO = parse_scenario(
    """
[caller]
hangs_up = false
[[caller.line]]
says = "When do you open?"
[[caller.line]]
says = "Thank you, goodbye."
pause = 4
[agents.first]
[[agents.first.turn]]
hears = "when do you open"
says = ["We open at nine."]
[[agents.first.turn]]
hears = "thank you goodbye"
says = ["Goodbye."]
calls = [{ name = "end_conversation", arguments = { reason = "task_complete" } }]
"""
)
POLICY = CallPolicy()


@pytest.fixture(autouse=True)
def _plain_logs() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


@attrs.frozen
class Bug:
    """Raises in the middle of a call, as nobody has planned: when one of these has been said by an agent."""

    words: tuple[str, ...] = ("We open at nine.",)

    def __call__(self, entry: Entry) -> None:
        if isinstance(entry.fact, facts.ReplyEnded) and entry.fact.text in self.words:
            raise RuntimeError("a bug")


async def call_in(there: Switchboard, *, cut_after: float | None = None) -> SimulatedCall:
    async with trio.open_nursery() as nursery:
        if cut_after is not None:
            nursery.start_soon(cut, there, cut_after)
        call = await there.call_in()
        nursery.cancel_scope.cancel(reason="the call is over")
    return call


async def cut(there: Switchboard, after: float) -> None:
    await trio.sleep(after)
    there.streams[-1].drop()


@pytest.mark.slow
async def test_a_call_that_crashed_goes_on_where_it_was(autojump_clock: MockClock) -> None:
    async with open_switchboard(SCENARIO, ROSTER, MAX_CALLS="1", observe=Bug()) as there:
        call = await call_in(there)
        record = await there.record_of(call)

    assert (record.outcome, there.slots.free) == ("completed", 1)
    assert heard(record) == [FIRST.greeting, "We open at nine.", ENGLISH.reconnected, "Goodbye."]
    assert said(record) == ["When do you open?", "Thank you, goodbye."]
    assert "call crashed: RuntimeError: a bug" in record.faults
    assert len(there.streams) == 2


@pytest.mark.parametrize("after", [0.5, 2.5, 4.0, 5.5])
async def test_a_stream_that_is_cut_is_connected_again_and_nothing_is_asked_twice(
    after: float, autojump_clock: MockClock
) -> None:
    async with open_switchboard(SCENARIO, ROSTER, MAX_CALLS="1") as there:
        call = await call_in(there, cut_after=after)
        record = await there.record_of(call)

    assert (record.outcome, there.slots.free, len(there.streams)) == ("completed", 1, 2)
    assert heard(record)[-1] == "Goodbye."
    assert said(record).count("Thank you, goodbye.") == 1


BOOKING = parse_scenario(
    """
[caller]
hangs_up = false
[[caller.line]]
says = "Book the table, please."
[[caller.line]]
says = "Thank you, goodbye."
pause = 6
[agents.first]
[[agents.first.turn]]
hears = "book the table please"
calls = [{ name = "book" }]
then = ["It is booked."]
[[agents.first.turn]]
hears = "thank you goodbye"
says = ["Goodbye."]
calls = [{ name = "end_conversation", arguments = { reason = "task_complete" } }]
"""
)


@pytest.mark.parametrize("after", one_in(2, [0.5, 1.9, 2.2]))
async def test_work_that_a_stream_is_lost_with_is_not_done_twice(after: float, autojump_clock: MockClock) -> None:
    """The handler books at once, and takes two seconds; the stream is lost so long after it has begun."""
    booked: list[float] = []
    begun = trio.Event()

    async def book(arguments: NoArguments, context: CallContext) -> Outcome:
        booked.append(trio.current_time())
        begun.set()
        await trio.sleep(2)
        return Answer({"booked": True})

    functions = (FunctionSpec("book", "Books the table.", NoArguments, book), END_CONVERSATION)
    roster = load_roster([attrs.evolve(FIRST, functions=functions)])
    async with open_switchboard(BOOKING, roster, MAX_CALLS="1") as there, trio.open_nursery() as nursery:

        async def cut_at_work() -> None:
            await begun.wait()
            await cut(there, after)

        nursery.start_soon(cut_at_work)
        call = await there.call_in()
        record = await there.record_of(call)

    assert len(booked) == 1
    assert (record.outcome, len(there.streams)) == ("completed", 2)


@pytest.mark.slow
async def test_a_call_that_was_ordered_goes_on_with_all_that_its_order_says(autojump_clock: MockClock) -> None:
    ordered = {"to": LEAD, "context": {"name": "Ada", "summary": "She has a vineyard."}, "time_limit": 30}
    patient = attrs.evolve(SCENARIO, caller=attrs.evolve(SCENARIO.caller, lines=SCENARIO.caller.lines[:1]))
    soon = CallPolicy(deadlines=Deadlines(length_notice=18))
    async with open_switchboard(patient, ROSTER, policy=soon) as there:
        async with client_of(there.app) as client:
            await client.post("/calls", json=ordered, headers={"Authorization": f"Bearer {API_TOKEN}"})
        await cut(there, 6.0)
        (call,) = there.twilio.calls.values()
        await call.wait_over()
        record = await there.record_of(call)

    prompts = [str(each.message) for each in there.deepgram.log.of(Received) if isinstance(each.message, Settings)]
    assert [("Ada" in prompt, "She has a vineyard." in prompt) for prompt in prompts] == [(True, True)] * 2
    assert ENGLISH.length_warning in heard(record)


async def test_it_is_connected_again_once_and_then_the_line_apologises(autojump_clock: MockClock) -> None:
    twice = Bug((FIRST.greeting, ENGLISH.reconnected))
    async with open_switchboard(
        SCENARIO, ROSTER, MAX_CALLS="1", FALLBACK_PHONE_NUMBER="+15559870000", observe=twice
    ) as there:
        call = await call_in(there)
        record = await there.record_of(call)

    assert (record.outcome, there.slots.free, len(there.streams)) == ("crashed", 1, 2)
    assert [entry.verb for entry in call.log.of(VerbExecuted)][:2] == ["Say", "Dial"]


async def test_a_stream_that_only_twilio_knows_to_be_over_is_ended_and_its_call_goes_on(
    autojump_clock: MockClock,
) -> None:
    """Twilio notices a broken path up to 45 s before we do: its word is taken for it."""
    async with open_switchboard(SCENARIO, ROSTER, MAX_CALLS="1") as there, trio.open_nursery() as nursery:
        nursery.start_soon(there.call_in)
        await trio.sleep(4.0)
        (call,) = there.twilio.calls.values()
        answer = await there.ask("/twilio/after", CallSid=call.sid, CallStatus="in-progress")
        await call.wait_over()
        record = await there.record_of(call)

    assert "<Stream" in answer.text
    assert (record.outcome, len(there.streams), there.slots.taken) == ("completed", 2, 0)
    assert said(record) == ["When do you open?", "Thank you, goodbye."]


# One call is one ended call


async def ended_as(there: Switchboard) -> dict[str, float]:
    """Return what the server has counted as ended, by outcome."""
    async with client_of(there.app) as client:
        lines = (await client.get("/metrics", headers={"Authorization": f"Bearer {API_TOKEN}"})).text.splitlines()
    told = [line.rpartition(" ") for line in lines if line.startswith("switchboard_calls_ended_total")]
    return {labels.partition('outcome="')[2].rstrip('"}'): float(count) for labels, _, count in told}


@pytest.mark.slow
@pytest.mark.parametrize("cut_after", [None, 4.0], ids=["crashed", "cut"])
async def test_a_call_with_two_streams_is_counted_and_logged_once_as_it_ended(
    cut_after: float | None, autojump_clock: MockClock
) -> None:
    bug = Bug(("We open at nine.",) if cut_after is None else ())
    with structlog.testing.capture_logs() as lines:
        async with open_switchboard(SCENARIO, ROSTER, observe=bug) as there:
            await call_in(there, cut_after=cut_after)
            counted = await ended_as(there)

    assert counted == {"completed": 1.0}
    assert [line["outcome"] for line in lines if line["event"] == "call_ended"] == ["completed"]


async def test_a_caller_who_hangs_up_is_counted_as_soon_as_twilio_says_so(autojump_clock: MockClock) -> None:
    hangs_up = attrs.evolve(
        SCENARIO, caller=attrs.evolve(SCENARIO.caller, lines=SCENARIO.caller.lines[:1], hangs_up=True)
    )
    async with open_switchboard(hangs_up, ROSTER) as there:
        await call_in(there)
        counted = await ended_as(there)

    assert counted == {"caller_hung_up": 1.0}


async def test_a_call_whose_second_stream_is_lost_too_is_counted_when_the_line_has_apologised(
    autojump_clock: MockClock,
) -> None:
    twice = Bug((FIRST.greeting, ENGLISH.reconnected))
    async with open_switchboard(SCENARIO, ROSTER, observe=twice) as there:
        await call_in(there)
        counted = await ended_as(there)

    assert counted == {"crashed": 1.0}
