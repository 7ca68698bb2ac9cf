"""A call that is put through to a person: what the caller hears, and what is left while the line has it."""

from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import MockClock

from actors import facts
from actors.line.switch import TransferOrder
from actors.policy import CallPolicy
from actors.record.resumption import Resumption
from agents.functions import END_CONVERSATION, transfer_to_human
from agents.roster import load_roster
from agents.sentences import ENGLISH
from agents.spec import AgentSpec
from protocol.deepgram import Settings
from simulators.scenario import load_scenario
from simulators.twilio.caller import CallerTurns
from store.records import AgentPeriod, TransferRecord, TurnRecord
from testkit.harness import OUTBOUND_CALL, Played, play

SCENARIO = load_scenario(Path(__file__).with_name("human.toml"))
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


@attrs.define
class FakeTransfers:
    """A line that puts a call through by stopping its stream, or refuses, or does nothing."""

    played: Played
    refusal: Exception | None = None
    is_deaf: bool = False
    asked: list[tuple[str, TransferOrder]] = attrs.field(factory=list)

    async def put_through(self, call_sid: str, order: TransferOrder) -> None:
        await trio.sleep(0.05)
        if self.refusal is not None:
            raise self.refusal
        self.asked.append((call_sid, order))
        if not self.is_deaf:
            self.played.line.stop()


async def put_through(**changes: object) -> tuple[Played, FakeTransfers]:
    played = Played()
    transfers = FakeTransfers(played, **changes)  # type: ignore[arg-type]
    await play(SCENARIO, roster=ROSTER, played=played, transfers=transfers)
    return played, transfers


async def test_the_caller_is_put_through_once_the_sentence_was_heard(autojump_clock: MockClock) -> None:
    played, transfers = await put_through()

    record = played.the_record
    assert record.outcome == "transferring"
    assert played.heard_of_agents()[-1] == SENTENCE
    assert record.transfers == (TransferRecord("first", record.transfers[0].asked_at, "wants a person"),)
    assert [function.result for function in record.functions] == [{"put_through": True}]
    ((call_sid, order),) = transfers.asked
    assert (call_sid, order.reason, order.notes) == (played.call_sid, "wants a person", "sounds cross")
    assert "I want a real person." in [turn.text for turn in order.brief.recent]


async def test_the_stream_that_stops_then_is_no_hang_up(autojump_clock: MockClock) -> None:
    played, _ = await put_through()

    assert played.facts(facts.CallEnded) == []
    assert [type(entry.fact) for entry in played.entries][-1] is facts.CallParked
    assert played.line.asked == []


@pytest.mark.parametrize("changes", [{"refusal": OSError("Twilio is away")}, {"is_deaf": True}])
async def test_a_caller_who_cannot_be_put_through_stays_with_the_agent(
    changes: dict[str, object], autojump_clock: MockClock
) -> None:
    played, _ = await put_through(**changes)

    record = played.the_record
    assert record.outcome == "completed"
    assert "I cannot reach anybody. Shall we call you?" in played.heard_of_agents()
    assert record.transfers[0].outcome.startswith("failed: ")


async def test_without_anybody_to_reach_the_agent_is_told_so(autojump_clock: MockClock) -> None:
    played = await play(SCENARIO, roster=ROSTER)

    assert played.the_record.outcome == "completed"
    assert "There is no person" in str(played.the_record.functions[0].result)
    assert played.the_record.transfers == ()


async def taken_back(resumption: Resumption, turns: CallerTurns, faults: tuple[str, ...] = ()) -> Played:
    return await play(
        SCENARIO, faults, roster=ROSTER, plan=attrs.evolve(OUTBOUND_CALL, resumption=resumption), turns=turns
    )


async def first_stream() -> tuple[Played, CallerTurns]:
    played, _ = await put_through()
    assert played.caller is not None
    return played, played.caller.turns


@pytest.mark.parametrize("faults", [(), ("deepgram: refuse connect 1 times 1",), ("deepgram: drop after 1 s",)])
async def test_an_agent_takes_the_caller_back_with_the_conversation_intact(
    faults: tuple[str, ...], autojump_clock: MockClock
) -> None:
    before, turns = await first_stream()
    played = await taken_back(Resumption(before.the_record, "no-answer"), turns, faults)

    record = played.the_record
    assert (record.outcome, record.started_at) == ("completed", before.the_record.started_at)
    assert ["I want a real person.", "Yes, call me back."] == played.said_by_caller()
    heard = played.heard_of_agents()
    assert heard[:2] == ["Hello, how can I help?", SENTENCE]
    assert ENGLISH.unreached in heard
    assert [turn.at for turn in record.transcript] == sorted(turn.at for turn in record.transcript)
    assert [period.agent for period in record.agents] == ["first", "first"]
    assert record.frames.caller_in > before.the_record.frames.caller_in
    assert record.facts["end_reason"] == "customer_request"
    assert played.facts(facts.SilenceMet) == [], "nobody has waited since the beginning of the call"


async def test_the_agent_knows_that_nobody_answered(autojump_clock: MockClock) -> None:
    before, turns = await first_stream()
    played = await taken_back(Resumption(before.the_record, "busy"), turns)

    assert played.exchange is not None
    (settings,) = played.exchange.log.received(Settings)
    assert "Nobody could be reached (busy)" in str(settings)


async def test_an_agent_is_told_what_was_said_since_it_took_the_floor(autojump_clock: MockClock) -> None:
    before, turns = await first_stream()
    record = before.the_record
    earlier = attrs.evolve(
        record,
        agents=(AgentPeriod("zero", 0.0, 0.05), attrs.evolve(record.agents[0], started=0.1)),
        transcript=(TurnRecord(0.02, "zero", "Once upon a time.", "Once upon a time."), *record.transcript),
    )
    played = await taken_back(Resumption(earlier, "busy"), turns)

    assert played.exchange is not None
    (settings,) = played.exchange.log.received(Settings)
    assert not isinstance(settings.agent, str)
    assert SENTENCE in str(settings.agent.context)
    assert "Once upon a time." not in str(settings.agent.context)


async def test_a_stream_that_was_lost_goes_on_with_the_turn_nobody_answered(autojump_clock: MockClock) -> None:
    played = await play(SCENARIO, ["twilio: close without stop"], roster=ROSTER)
    assert played.caller is not None
    cut = attrs.evolve(played.the_record, outcome="crashed", transcript=played.the_record.transcript[:2], functions=())

    again = await taken_back(
        Resumption(cut), CallerTurns(attrs.evolve(SCENARIO.caller, lines=SCENARIO.caller.lines[1:]))
    )

    assert SENTENCE in again.heard_of_agents()[1:]
    assert again.said_by_caller().count("I want a real person.") == 1
    assert ENGLISH.reconnected not in again.heard_of_agents()


async def test_a_stream_that_was_lost_while_the_caller_was_to_speak_goes_on_with_a_word(
    autojump_clock: MockClock,
) -> None:
    played = await play(SCENARIO, roster=ROSTER)
    cut = attrs.evolve(played.the_record, outcome="crashed", transcript=played.the_record.transcript[:1], functions=())

    again = await taken_back(Resumption(cut), CallerTurns(SCENARIO.caller))

    assert again.heard_of_agents()[:2] == ["Hello, how can I help?", ENGLISH.reconnected]
