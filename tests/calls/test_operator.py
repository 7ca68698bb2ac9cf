"""An operator's hands on a whole call between simulators: what each command does, and that it is noted once."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import attrs
import pytest
import trio
from trio.testing import MockClock

from actors import facts
from actors.call_state import CallState
from actors.commands import (
    DONE,
    Action,
    ChangePrompt,
    Command,
    CommandAnswer,
    CommandGiven,
    HandoffTo,
    Outcome,
    RestartAgent,
    Say,
    TransferTo,
    Whisper,
)
from actors.operator import BY_OPERATOR, CommandRunner
from agents.roster import Roster
from agents.sentences import ENGLISH
from protocol.deepgram import InjectAgentMessage, InjectUserMessage, Settings, UpdateThink
from testkit.harness import Played, play
from tests.calls.test_transfer import FakeTransfers
from tests.faults.short import KNOBS, POLICY, ROSTER, SHORT, SOFT

Meanwhile: TypeAlias = Callable[["Operated"], Awaitable[None]]


@attrs.define
class Operated(Played):
    """A played call with somebody who gives it commands."""

    answers: list[CommandAnswer] = attrs.field(factory=list)
    _given: int = 0

    async def ask(self, action: Action, command_id: str = "") -> CommandAnswer:
        """Give the call a command, and wait for the answer."""
        self._given += 1
        send, receive = trio.open_memory_channel[CommandAnswer](1)
        with send, receive:
            told = self.intercom.tell(self.call_sid, CommandGiven(self._named(action, command_id), send))
            assert told
            answer = await receive.receive()
        self.answers.append(answer)
        return answer

    def _named(self, action: Action, command_id: str) -> Command:
        return Command(command_id or f"k{self._given}", "ana", action)

    @property
    def noted(self) -> Sequence[tuple[str, str]]:
        return [(one.command, one.outcome) for one in self.facts(facts.CommandAnswered)]


async def operate(meanwhile: Meanwhile, faults: Sequence[str] = (), **options: object) -> Operated:
    """Play the short call, with what somebody does about it."""
    played = options.pop("played", None) or Operated()
    assert isinstance(played, Operated)

    async def act(_: Played) -> None:
        await meanwhile(played)

    usual = {"scenario": SHORT, "policy": POLICY, "knobs": KNOBS, "roster": ROSTER, "bundle": 10}
    await play(faults=faults, played=played, meanwhile=act, **{**usual, **options})  # type: ignore[arg-type]
    return played


SENTENCE = "A colleague will call you tomorrow."


async def test_a_sentence_is_said_in_the_voice_of_the_agent_in_the_next_pause(autojump_clock: MockClock) -> None:
    async def act(played: Operated) -> None:
        await played.wait_fact(facts.TurnHeard)
        await played.ask(Say(SENTENCE))

    played = await operate(act)
    said = [turn for turn in played.the_record.transcript if SENTENCE in turn.text]

    assert played.answers == [DONE]
    assert [(turn.speaker, turn.heard) for turn in said] == [("first", SENTENCE)]
    assert played.noted == [("say", "done")]
    assert [(one.by, one.command, one.fields) for one in played.the_record.commands] == [
        ("ana", "say", {"text": SENTENCE})
    ]
    assert played.the_record.outcome == "completed"


async def test_two_sentences_are_both_said(autojump_clock: MockClock) -> None:
    async def act(played: Operated) -> None:
        await played.wait_fact(facts.TurnHeard)
        async with trio.open_nursery() as nursery:
            for text in (SENTENCE, "We are sorry."):
                nursery.start_soon(played.ask, Say(text), text.replace(" ", "_"))

    played = await operate(act)
    heard = " ".join(played.heard_of_agents())

    assert played.answers == [DONE, DONE]
    assert (heard.count(SENTENCE), heard.count("We are sorry.")) == (1, 1)


async def test_a_sentence_that_is_sent_twice_is_said_once(autojump_clock: MockClock) -> None:
    async def act(played: Operated) -> None:
        await played.wait_fact(facts.TurnHeard)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(played.ask, Say(SENTENCE), "the key")
            nursery.start_soon(played.ask, Say(SENTENCE), "the key")
        await played.ask(Say(SENTENCE), "the key")

    played = await operate(act)

    assert played.answers == [DONE] * 3
    assert played.noted == [("say", "done")]
    assert " ".join(played.heard_of_agents()).count(SENTENCE) == 1


async def test_a_sentence_outlives_the_session_that_was_to_say_it(autojump_clock: MockClock) -> None:
    """The session drops while the sentence waits for a pause: the next one says it, once."""

    async def act(played: Operated) -> None:
        await played.wait_fact(facts.ReplyStarted)
        await played.ask(Say(SENTENCE))

    played = await operate(act, ["deepgram: drop after 0.6 s"])

    assert played.facts(facts.SessionCrashed)
    assert played.answers == [DONE]
    assert " ".join(played.heard_of_agents()).count(SENTENCE) == 1


async def test_a_sentence_on_a_call_that_is_being_ended_is_refused(autojump_clock: MockClock) -> None:
    async def act(played: Operated) -> None:
        await played.wait_fact(facts.GoodbyeStarted)
        await played.ask(Say(SENTENCE))

    played = await operate(act)

    assert [answer.outcome for answer in played.answers] == [Outcome.REFUSED]
    assert played.noted == [("say", "refused")]


async def test_a_call_that_ends_first_is_an_answer(autojump_clock: MockClock) -> None:
    async def act(played: Operated) -> None:
        await played.wait_fact(facts.TurnHeard)
        assert played.caller is not None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(played.ask, Say(SENTENCE))
            await trio.sleep(0.01)
            played.caller.stop()

    played = await operate(act)

    assert [answer.outcome for answer in played.answers] == [Outcome.OVER]
    assert played.noted == [("say", "over")]
    assert [entry.event for entry in played.entries][-1] == "call_ended"


FACT = "The parcel was delivered this morning."


async def test_a_whispered_fact_is_in_the_prompt_and_not_in_the_callers_mouth(autojump_clock: MockClock) -> None:
    async def act(played: Operated) -> None:
        await played.wait_fact(facts.TurnHeard)
        await played.ask(Whisper(FACT))

    played = await operate(act)
    assert played.exchange is not None
    (update,) = played.exchange.log.received(UpdateThink)
    prompt, functions = update.think[0].prompt or "", [one.name for one in update.think[0].functions]

    assert played.answers == [DONE]
    assert prompt.startswith("You are the first.")
    assert FACT in prompt
    assert functions == [function.name for function in ROSTER.agents["first"].functions]
    assert not [one for one in played.exchange.log.received(InjectUserMessage) if FACT in one.content]
    assert not [one for one in played.exchange.log.received(InjectAgentMessage) if FACT in one.message]
    assert played.the_record.outcome == "completed"


async def test_every_later_session_knows_a_whispered_fact(autojump_clock: MockClock) -> None:
    async def act(played: Operated) -> None:
        await played.wait_fact(facts.TurnHeard)
        await played.ask(Whisper(FACT))

    played = await operate(act)
    assert played.exchange is not None
    known = [FACT in str(settings) for settings in played.exchange.log.received(Settings)]

    assert known == [False, True]


@pytest.mark.parametrize("after", [0.3, 2.0])
async def test_a_fact_that_a_session_was_lost_with_is_known_to_the_next_one(
    after: float, autojump_clock: MockClock
) -> None:
    async def act(played: Operated) -> None:
        await trio.sleep(after)
        await played.ask(Whisper(FACT))

    played = await operate(act, [f"deepgram: drop after {after:.1f} s"])
    assert played.exchange is not None

    assert played.facts(facts.SessionCrashed)
    assert played.answers == [DONE]
    assert FACT in str(played.exchange.log.received(Settings)[1])


PROMPT = "You are the first. Say nothing but yes and no."


async def test_a_prompt_that_is_changed_stays_for_the_rest_of_the_call(autojump_clock: MockClock) -> None:
    async def act(played: Operated) -> None:
        await played.wait_fact(facts.TurnHeard)
        await played.ask(ChangePrompt(PROMPT))
        await played.ask(RestartAgent())

    played = await operate(act)
    assert played.exchange is not None
    (update,), settings = played.exchange.log.received(UpdateThink), played.exchange.log.received(Settings)

    assert played.answers == [DONE, DONE]
    assert (update.think[0].prompt or "").startswith(PROMPT)
    assert [PROMPT in str(each) for each in settings] == [False, True, False]
    assert played.the_record.outcome == "completed"


async def test_a_prompt_that_is_too_long_is_refused(autojump_clock: MockClock) -> None:
    async def act(played: Operated) -> None:
        await played.wait_fact(facts.TurnHeard)
        await played.ask(ChangePrompt("x" * 24_000))

    played = await operate(act)

    assert [answer.outcome for answer in played.answers] == [Outcome.REFUSED]


async def test_a_service_that_refuses_a_changed_prompt_costs_a_session_and_not_the_call(
    autojump_clock: MockClock,
) -> None:
    async def act(played: Operated) -> None:
        await played.wait_fact(facts.TurnHeard)
        await played.ask(Whisper(FACT))

    played = await operate(act, ["deepgram: refuse update think"])

    assert [answer.outcome for answer in played.answers] == [Outcome.DONE], "the next session knows it"
    assert [crash.error for crash in played.facts(facts.SessionCrashed)] != []
    assert played.the_record.outcome == "completed"


async def test_a_service_that_does_not_acknowledge_is_told_of(autojump_clock: MockClock) -> None:
    async def act(played: Operated) -> None:
        await played.wait_fact(facts.TurnHeard)
        await played.ask(Whisper(FACT))

    played = await operate(act, knobs=attrs.evolve(KNOBS, update_ack=1000.0))

    assert [answer.outcome for answer in played.answers] == [Outcome.DONE], "the next agent's session knows it"
    assert played.facts(facts.CommandAnswered)[0].took > 1.0


async def test_an_operator_hands_the_call_to_another_agent(autojump_clock: MockClock) -> None:
    async def act(played: Operated) -> None:
        await played.wait_fact(facts.TurnHeard)
        await played.ask(HandoffTo("second", "is angry", "has called twice"))

    played = await operate(act)
    (handoff,) = played.the_record.handoffs

    assert played.answers == [DONE]
    assert [period.agent for period in played.the_record.agents] == ["first", "second"]
    assert (handoff.cause, handoff.brief["reason"], handoff.brief["notes"]) == ("is angry",) * 2 + ("has called twice",)
    assert played.facts(facts.HandoffAsked)[0].agent == "first"
    assert [one for one in played.facts(facts.FunctionAnswered) if not one.name] == []
    assert (played.the_record.outcome, played.the_record.frames.unheard) == ("completed", 0)


async def test_a_handoff_that_nobody_takes_leaves_the_agent_on_the_floor(autojump_clock: MockClock) -> None:
    async def act(played: Operated) -> None:
        await played.wait_fact(facts.TurnHeard)
        await played.ask(HandoffTo("second"))

    played = await operate(act, ["deepgram: refuse connect 2 times 2"])

    assert [answer.outcome for answer in played.answers] == [Outcome.FAILED]
    assert played.facts(facts.HandoffFailed)
    assert played.the_record.outcome == "completed"


@pytest.mark.parametrize("to", ["nobody", "first"])
async def test_a_handoff_to_nobody_else_is_refused(to: str, autojump_clock: MockClock) -> None:
    async def act(played: Operated) -> None:
        await played.wait_fact(facts.TurnHeard)
        await played.ask(HandoffTo(to))

    played = await operate(act)

    assert [answer.outcome for answer in played.answers] == [Outcome.REFUSED]
    assert len(played.facts(facts.HandoffAsked)) == 1, "the model's own, later"


@pytest.mark.parametrize("action", [HandoffTo("second"), RestartAgent(), TransferTo("+15550001111")])
async def test_nothing_is_moved_while_a_handoff_is_under_way(action: Action, autojump_clock: MockClock) -> None:
    async def act(played: Operated) -> None:
        await played.wait_fact(facts.HandoffAsked)
        await played.ask(action)

    played = await operate(act, operator_transfers=FakeTransfers(Played()))

    assert [(answer.outcome, answer.why) for answer in played.answers] == [(Outcome.REFUSED, "a handoff is under way")]
    assert played.the_record.outcome == "completed"


async def test_a_session_that_is_lost_in_the_handoff_is_an_answer_and_the_call_goes_on(
    autojump_clock: MockClock,
) -> None:
    """Both sessions are lost: the first one with the request, the second before it is ready."""

    async def act(played: Operated) -> None:
        await played.wait_fact(facts.TurnHeard)
        await played.ask(HandoffTo("second"))

    whole = await operate(hands_off)
    at = whole.times(facts.TurnHeard)[0] - whole.times(facts.SessionReady)[0] + 0.02
    played = await operate(act, [f"deepgram: drop after {at:.3f} s", "deepgram: refuse connect 2 times 2"])

    assert played.facts(facts.SessionCrashed)
    assert [answer.outcome for answer in played.answers] == [Outcome.FAILED]
    assert played.noted == [("handoff", "failed")]
    assert played.the_record.outcome == "completed"


async def hands_off(_: Operated) -> None:
    """Leave the call alone."""


@pytest.mark.parametrize("when", [facts.TurnHeard, facts.FunctionCalled, facts.ReplyStarted])
async def test_a_session_that_is_restarted_goes_on_where_it_was(
    when: type[facts.Fact], autojump_clock: MockClock
) -> None:
    async def act(played: Operated) -> None:
        await played.wait_fact(when)
        await played.ask(RestartAgent())

    played = await operate(act)

    assert played.answers == [DONE]
    assert [fact.why for fact in played.facts(facts.SessionConnecting)] == ["first", "renewal", "handoff"]
    assert played.facts(facts.SessionRestarting) == [], "it is no crash, and costs no restart"
    assert played.said_by_caller() == [line.says for line in SHORT.caller.lines]
    assert (played.the_record.outcome, played.the_record.frames.unheard) == ("completed", 0)


async def test_an_operator_puts_the_caller_through_to_any_number(autojump_clock: MockClock) -> None:
    """The caller hears so first; the stream ends with the transfer, and that is the answer."""

    async def act(played: Operated) -> None:
        await played.wait_fact(facts.ReplyEnded)
        await played.ask(TransferTo("+15550001111", "is angry"))

    played = Operated()
    transfers = FakeTransfers(played)
    await operate(act, played=played, operator_transfers=transfers)
    ((_, order),) = transfers.asked

    assert (order.number, order.reason) == ("+15550001111", "is angry")
    assert played.answers == [DONE]
    assert played.heard_of_agents()[-1] == ENGLISH.putting_through
    assert played.the_record.outcome == "transferring"
    assert "+15550001111" not in str(played.entries)


@pytest.mark.parametrize(
    ("action", "step"),
    [(HandoffTo("second"), (CallState, "ask_handoff")), (TransferTo("+15550001111"), (CommandRunner, "_wait_until"))],
    ids=["handoff", "transfer"],
)
async def test_what_crashes_on_the_way_may_be_asked_for_again(
    action: Action, step: tuple[type, str], monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async def act(played: Operated) -> None:
        await played.wait_fact(facts.ReplyStarted)
        with monkeypatch.context() as broken:
            broken.setattr(*step, None)
            await played.ask(action)
        await played.ask(action)

    played = Operated()
    await operate(act, played=played, operator_transfers=FakeTransfers(played))

    assert [answer.outcome for answer in played.answers] == [Outcome.FAILED, Outcome.DONE]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("transfers", "number", "outcome"),
    [
        (None, "+15550001111", Outcome.REFUSED),
        (FakeTransfers(Played()), "", Outcome.REFUSED),
        (FakeTransfers(Played(), refusal=OSError("no line")), "+15550001111", Outcome.FAILED),
    ],
    ids=["no network", "no number", "refused"],
)
async def test_where_nobody_can_be_reached_the_agent_goes_on(
    transfers: FakeTransfers | None, number: str, outcome: Outcome, autojump_clock: MockClock
) -> None:
    async def act(played: Operated) -> None:
        await played.wait_fact(facts.ReplyEnded)
        await played.ask(TransferTo(number))

    played = await operate(act, operator_transfers=transfers)

    assert [answer.outcome for answer in played.answers] == [outcome]
    assert played.the_record.outcome == "completed"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("roster", "how", "kind"),
    [(SOFT, "", "soft"), (SOFT, "hard", "hard"), (ROSTER, "", "hard"), (ROSTER, "soft", None)],
    ids=["a soft edge", "hard over a soft edge", "a hard edge", "soft without a soft edge"],
)
async def test_an_operator_may_choose_how_the_call_is_handed_over(
    roster: Roster, how: str, kind: str | None, autojump_clock: MockClock
) -> None:
    async def act(played: Operated) -> None:
        await played.wait_fact(facts.TurnHeard)
        await played.ask(HandoffTo("second", how=how))

    played = await operate(act, roster=roster)
    asked = played.facts(facts.HandoffAsked)[0]

    assert [answer.outcome for answer in played.answers] == [Outcome.DONE if kind else Outcome.REFUSED]
    assert kind is None or (asked.reason, asked.how) == (BY_OPERATOR, kind)
    assert [period.agent for period in played.the_record.agents] == ["first", "second"]
    assert played.the_record.outcome == "completed"
