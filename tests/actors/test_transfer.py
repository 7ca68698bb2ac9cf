"""A transfer from the last sentence on: what the person will be told, and whom the caller is left with."""

import attrs
import pytest
import trio
from trio.testing import MockClock

from actors.conversation import Conversation
from actors.desk import Desk
from actors.facts import TransferAsked, TransferFailed
from actors.journal import Entry, Journal
from actors.ledger import Ledger
from actors.messages import BriefAsked, PreparedBrief, ToSummarizer
from actors.policy import CallPolicy
from actors.switch import Switch, TransferOrder
from actors.tape import Tape
from actors.transfer import NOBODY, REFUSED, put_through
from agents.brief import Brief
from agents.functions import END_CONVERSATION, TransferToHuman
from agents.spec import AgentSpec

AGENT = AgentSpec("first", "first", "You are it.", "Hello.", "aura-2-thalia-en", (END_CONVERSATION,), ("second",))
WANTED = TransferToHuman("asked", "cross")
POLICY = CallPolicy(summary_deadline=2.0)


@attrs.define
class Line:
    """Refuses, once it has seen the order."""

    asked: list[tuple[float, TransferOrder]] = attrs.field(factory=list)

    async def put_through(self, call_sid: str, order: TransferOrder) -> None:
        await trio.lowlevel.checkpoint()
        self.asked.append((trio.current_time(), order))
        raise OSError("away")


def desk_with(line: Line | None, entries: list[Entry]) -> Desk:
    journal = Journal.read_by([entries.append])
    desk = Desk("CA1", journal, Tape(), Ledger(journal), Conversation(), POLICY, switch=Switch("CA1", line))
    desk.conversation.add_caller("My name is Ada.")
    return desk


async def hear() -> None:
    await trio.sleep(1.0)


async def test_the_person_is_told_what_the_summarizer_knows(autojump_clock: MockClock) -> None:
    line, entries = Line(), list[Entry]()
    send, mailbox = trio.open_memory_channel[ToSummarizer](8)

    async def summarise() -> None:
        asked = await mailbox.receive()
        assert isinstance(asked, BriefAsked)
        assert asked.reader == "second"
        await trio.sleep(0.5)
        await asked.reply_to.send(PreparedBrief(Brief(name="Ada", need="a pension"), "groq"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(summarise)
        why = await put_through(desk_with(line, entries), AGENT, WANTED, hear, send)

    ((at, order),) = line.asked
    assert (why, order) == (REFUSED, TransferOrder("asked", "cross", "", Brief(name="Ada", need="a pension")))
    assert at == pytest.approx(1.0), "the Brief is written while the sentence is heard"
    assert [type(entry.fact) for entry in entries] == [TransferAsked, TransferFailed]


@pytest.mark.parametrize(("crashed", "at"), [(True, 1.0), (False, 2.0)])
async def test_a_summarizer_that_does_not_answer_costs_its_deadline_and_no_more(
    crashed: bool, at: float, autojump_clock: MockClock
) -> None:
    line = Line()
    send, mailbox = trio.open_memory_channel[ToSummarizer](8)
    if crashed:
        mailbox.close()
    await put_through(desk_with(line, []), AGENT, WANTED, hear, send)

    ((asked_at, order),) = line.asked
    assert order.brief.name == "Ada"
    assert asked_at == pytest.approx(at)


async def test_where_there_is_nobody_nothing_is_said_and_nobody_asked(autojump_clock: MockClock) -> None:
    entries = list[Entry]()
    send, _ = trio.open_memory_channel[ToSummarizer](8)
    why = await put_through(desk_with(None, entries), AGENT, WANTED, hear, send)

    assert (why, entries, trio.current_time()) == (NOBODY, [], 0.0)
