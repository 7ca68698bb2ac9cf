"""A caller who wants a person, through the whole switchboard: its webhooks, its TwiML, its streams, its one record."""

from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import MockClock

from actors import facts
from actors.policy import CallPolicy
from agents.functions import END_CONVERSATION, transfer_to_human
from agents.roster import load_roster
from agents.sentences import ENGLISH
from agents.spec import AgentSpec
from simulators.scenario import Human, Scenario, load_scenario
from simulators.twilio.calls import SimulatedCall
from simulators.twilio.exchange import TwilioKnobs
from simulators.twilio.log import PersonActed, VerbExecuted, WarningRaised, WebhookAnswered
from store.records import CallRecord
from tests.calls.exchange import Switchboard, Trouble, open_switchboard
from tests.examples import one_in
from tests.web.fakes import API_TOKEN, client_of

SCENARIO = load_scenario(Path(__file__).with_name("human.toml"))
PERSON = "+15559870000"
FIRST = AgentSpec(
    name="first",
    role="first",
    prompt="You are the first.",
    greeting="Hello, how can I help?",
    voice="aura-2-thalia-en",
    functions=(transfer_to_human(), END_CONVERSATION),
)
ROSTER = load_roster([FIRST], human=True)
POLICY = CallPolicy()
SENTENCE = "Of course, I'll put you through."
TAKES = Human(after=3.0, talks=4.0, says="Hello, this is Kim.")


def with_person(human: Human) -> Scenario:
    return attrs.evolve(SCENARIO, human=human)


async def carried(human: Human, mode: str) -> tuple[Switchboard, SimulatedCall, CallRecord]:
    """Play one call, and see that nothing of it is left."""
    async with open_switchboard(
        with_person(human), ROSTER, TRANSFER_PHONE_NUMBER=PERSON, TRANSFER_MODE=mode, MAX_CALLS="1"
    ) as there:
        call = await there.call_in()
        record = await there.record_of(call)
    assert there.slots.taken == 0
    assert [warning for warning in call.log.of(WarningRaised) if warning.code != 31951] == []
    assert all(hook.status in {200, 204} for hook in call.log.of(WebhookAnswered))
    return there, call, record


def heard(record: CallRecord) -> list[str]:
    return [turn.heard for turn in record.transcript if turn.speaker != "caller"]


def said(record: CallRecord) -> list[str]:
    return [turn.text for turn in record.transcript if turn.speaker == "caller"]


@pytest.mark.parametrize("mode", ["cold", "warm"])
async def test_a_person_takes_the_call(mode: str, autojump_clock: MockClock) -> None:
    there, call, record = await carried(TAKES, mode)

    (transfer,) = record.transfers
    assert record.outcome == "transferred"
    assert (transfer.reason, transfer.outcome) == ("wants a person", "answered")
    assert transfer.talked >= 4.0
    assert heard(record) == ["Hello, how can I help?", SENTENCE]
    assert [stream.how for stream in call.streams] == ["stopped"]
    pressed = ["pressed 1"] if mode == "warm" else []
    assert [entry.did for entry in call.log.of(PersonActed)] == ["answered", *pressed, "was connected", "hung up"]
    assert there.slots.free == 1


async def test_a_person_is_told_who_is_calling_before_they_take_the_call(autojump_clock: MockClock) -> None:
    _, call, _ = await carried(TAKES, "warm")

    (whisper,) = [entry.detail for entry in call.log.of(VerbExecuted) if entry.verb == "Whisper"]
    assert whisper == "A caller for you. wants a person. sounds cross. Press 1 to take the call."


@pytest.mark.parametrize(
    ("human", "mode", "why"),
    [
        (Human(answers="no-answer"), "cold", "no-answer"),
        (Human(answers="busy", after=0.1), "warm", "busy"),
        (Human(presses="2"), "warm", "no-answer"),
        (Human(hangs_up_after=1.0), "warm", "no-answer"),
    ],
    ids=["no answer", "busy", "declined", "hung up"],
)
async def test_nobody_takes_it_and_the_agent_takes_the_caller_back(
    human: Human, mode: str, why: str, autojump_clock: MockClock
) -> None:
    there, call, record = await carried(human, mode)

    assert (record.outcome, record.transfers[0].outcome) == ("completed", why)
    assert heard(record) == ["Hello, how can I help?", SENTENCE, ENGLISH.unreached, "We will call you. Goodbye."]
    assert said(record) == ["I want a real person.", "Yes, call me back."]
    assert [stream.how for stream in call.streams] == ["stopped", "stopped"]
    assert (len(there.facts(facts.CallParked)), len(there.facts(facts.CallEnded))) == (1, 1)


@pytest.mark.parametrize("mode", ["cold", "warm"])
@pytest.mark.parametrize("after", one_in(2, [0.0, 3.0, 6.0, 9.0]))
async def test_a_caller_who_hangs_up_during_a_transfer_leaves_nothing_behind(
    after: float, mode: str, autojump_clock: MockClock
) -> None:
    there, call, record = await carried(attrs.evolve(TAKES, talks=60.0, caller_waits=after), mode)

    connected = "was connected" in [entry.did for entry in call.log.of(PersonActed)]
    assert record.outcome == ("transferred" if connected else "caller_hung_up")
    assert record.transfers[0].outcome == ("answered" if connected else "canceled")
    assert heard(record) == ["Hello, how can I help?", SENTENCE]
    assert there.slots.free == 1


@pytest.mark.parametrize("after", [1.0, 3.0, 3.7])
async def test_a_caller_who_hangs_up_while_they_are_put_through_leaves_nothing_behind(
    after: float, autojump_clock: MockClock
) -> None:
    """In the middle of the sentence, while the line is asked, or just after: `stop` comes from either side."""
    line = attrs.evolve(SCENARIO.caller.lines[1], says=None, hangs_up=True, after=after)
    caller = attrs.evolve(SCENARIO.caller, lines=(SCENARIO.caller.lines[0], line))
    async with open_switchboard(
        attrs.evolve(SCENARIO, caller=caller, human=TAKES), ROSTER, TRANSFER_PHONE_NUMBER=PERSON, MAX_CALLS="1"
    ) as there:
        call = await there.call_in()
        record = await there.record_of(call)

    assert record.outcome in {"caller_hung_up", "transferred"}
    assert there.slots.free == 1


async def test_the_line_is_kept_for_a_caller_who_may_come_back(autojump_clock: MockClock) -> None:
    async with open_switchboard(
        with_person(attrs.evolve(TAKES, after=18.0, talks=60.0)), ROSTER, TRANSFER_PHONE_NUMBER=PERSON, MAX_CALLS="1"
    ) as there:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(there.call_in)
            await trio.sleep(12)
            ringing = there.slots.free
            await trio.sleep(30)
            connected = there.slots.free

    assert (ringing, connected) == (0, 1)


@pytest.mark.slow
@pytest.mark.parametrize("human", [Human(presses="2"), Human(presses="nothing"), Human(hangs_up_after=1.0)])
async def test_a_person_who_picked_up_and_did_not_take_the_call_has_declined(
    human: Human, autojump_clock: MockClock
) -> None:
    """For Twilio their own call is completed, whether or not they were connected."""
    trouble = Trouble(twilio=TwilioKnobs(bundle=4, declined_status="completed"))
    async with open_switchboard(
        with_person(human), ROSTER, trouble=trouble, TRANSFER_PHONE_NUMBER=PERSON, TRANSFER_MODE="warm"
    ) as there:
        record = await there.record_of(await there.call_in())

    assert (record.outcome, record.transfers[0].outcome) == ("completed", "declined")
    assert heard(record)[2:] == [ENGLISH.unreached, "We will call you. Goodbye."]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "after", "outcome"),
    [("warm", 0.0, "canceled"), ("warm", 20.0, "answered"), ("cold", 0.0, "unknown"), ("cold", 20.0, "unknown")],
)
async def test_an_operator_who_hangs_up_is_in_the_record_and_so_is_what_the_person_had_of_the_call(
    mode: str, after: float, outcome: str, autojump_clock: MockClock
) -> None:
    human = attrs.evolve(TAKES, talks=60.0)
    async with open_switchboard(
        with_person(human), ROSTER, TRANSFER_PHONE_NUMBER=PERSON, TRANSFER_MODE=mode, MAX_CALLS="1"
    ) as there:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(there.call_in)
            await trio.sleep(12 + after)
            assert len(there.facts(facts.CallParked)) == 1
            (call,) = there.twilio.calls.values()
            async with client_of(there.app) as client:
                await client.delete(f"/calls/{call.sid}", headers={"Authorization": f"Bearer {API_TOKEN}"})
        record = await there.record_of(call)

    (transfer,) = record.transfers
    assert (record.outcome, transfer.outcome, there.slots.free) == ("ended_by_operator", outcome, 1)
    assert (transfer.talked > 5) == (outcome == "answered")
