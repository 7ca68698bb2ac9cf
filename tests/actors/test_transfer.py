"""A transfer from the last sentence on: what the person will be told, and whom the caller is left with."""

import attrs
import pytest
import trio
from trio.testing import MockClock

from actors.call_state import CallState
from actors.endings.transfer import mind_transfers
from actors.facts import TransferAsked, TransferFailed, TurnHeard
from actors.journal import Entry, Journal
from actors.line.switch import Switch, TransferOrder, Wish
from actors.messages import PreparedBrief
from actors.policy import CallPolicy, Deadlines, Wording
from actors.record.conversation import Conversation
from agents.brief import Brief
from agents.functions import END_CONVERSATION, TransferToHuman
from agents.spec import AgentSpec
from protocol.deepgram import FunctionCall
from store.redaction import CARDS, CallRedaction

AGENT = AgentSpec("first", "first", "You are it.", "Hello.", "aura-2-thalia-en", (END_CONVERSATION,), ("second",))
WANTED = TransferToHuman("asked", "cross")
CALL = FunctionCall("f1", "transfer_to_human", "{}", True)
POLICY = CallPolicy(deadlines=Deadlines(summary=2.0))


@attrs.define
class Line:
    """Refuses, once it has seen the order."""

    asked: list[tuple[float, TransferOrder]] = attrs.field(factory=list)

    async def put_through(self, call_sid: str, order: TransferOrder) -> None:
        await trio.lowlevel.checkpoint()
        self.asked.append((trio.current_time(), order))
        raise OSError("away")


def state_with(line: Line | None, entries: list[Entry]) -> CallState:
    journal = Journal([entries.append])
    state = CallState(journal, Conversation(), POLICY, switch=Switch("CA1", line))
    state.conversation.add_caller("My name is Ada.")
    return state


async def transfer(state: CallState, wanted: TransferToHuman = WANTED) -> str:
    """Want a person, let the caller hear so for a second, and wait for the refusal."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mind_transfers, state)
        wish = state.switch.want(Wish(AGENT, wanted, CALL, number=1))
        await trio.sleep(1.0)
        state.switch.allow(wish.id)
        why = await wish.wait_refused()
        nursery.cancel_scope.cancel()
    return why


async def test_the_person_is_told_what_the_summarizer_knows(autojump_clock: MockClock) -> None:
    line, entries = Line(), list[Entry]()
    state = state_with(line, entries)

    async def summarise() -> None:
        asked = await state.mail.summarizer.receive()
        assert asked.reader == "second"
        assert asked.reply_to is not None
        await trio.sleep(0.5)
        await asked.reply_to.send(PreparedBrief(Brief(name="Ada", need="a pension"), "groq"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(summarise)
        why = await transfer(state)

    ((at, order),) = line.asked
    assert (why, order) == (
        Wording().not_put_through,
        TransferOrder("asked", "cross", "", Brief(name="Ada", need="a pension")),
    )
    assert at == pytest.approx(1.0), "the Brief is written while the sentence is heard"
    assert [type(entry.fact) for entry in entries] == [TransferAsked, TransferFailed]


async def test_what_is_left_out_of_a_call_is_not_kept_for_the_person_either(autojump_clock: MockClock) -> None:
    line = Line()
    state = state_with(line, [])
    state.journal.redaction = CallRedaction(CARDS)
    for turn in ("I need to pay by 4539 1488.", "0343 6467."):
        state.conversation.add_caller(turn)
        state.journal.note(TurnHeard("first", turn))
    state.mail.summarizer.close()
    wanted = TransferToHuman("pays by 4539148803436467", "4539 1488 0343 6467")
    await transfer(state, wanted)

    ((_, order),) = line.asked
    assert (order.reason, order.notes) == ("pays by [card]", "[card]")
    assert (order.brief.name, order.brief.timeline) == ("Ada", "by [digits]")


@pytest.mark.parametrize(("crashed", "at"), [(True, 1.0), (False, 2.0)])
async def test_a_summarizer_that_does_not_answer_costs_its_deadline_and_no_more(
    crashed: bool, at: float, autojump_clock: MockClock
) -> None:
    line = Line()
    state = state_with(line, [])
    if crashed:
        state.mail.summarizer.close()
    await transfer(state)

    ((asked_at, order),) = line.asked
    assert order.brief.name == "Ada"
    assert asked_at == pytest.approx(at)


async def test_a_crash_leaves_nobody_waiting_for_a_person(autojump_clock: MockClock) -> None:
    """A mistake of ours in the transfer costs the transfer, and every later one (C23)."""
    state = state_with(Line(), [])
    state.mail.to_summarizer.close()  # the Brief cannot be asked for
    with pytest.RaisesGroup(trio.ClosedResourceError, flatten_subgroups=True):
        await transfer(state)

    assert state.switch.transfers is None
    assert state.switch.underway is None
