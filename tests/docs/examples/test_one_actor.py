"""One actor alone: its mailbox, a fake of what it asks, and a clock that jumps."""

import trio
from trio.testing import MockClock

from actors.call_state import CallState
from actors.journal import Journal
from actors.messages import PreparedBrief, WriteBrief
from actors.policy import CallPolicy, Deadlines
from actors.record.conversation import Conversation
from actors.summarizer import Summarizer
from agents.roster import default_roster


async def a_model_that_hangs(_messages: list[dict[str, str]]) -> str:
    await trio.sleep_forever()
    raise AssertionError


async def test_a_language_model_that_hangs_costs_its_deadline_and_no_more(autojump_clock: MockClock) -> None:
    journal = Journal()
    state = CallState(journal, Conversation(), CallPolicy(deadlines=Deadlines(summary=3.0)))
    state.conversation.add_caller("My name is John and I want to retire.")
    reply_to, replies = trio.open_memory_channel[PreparedBrief](1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(Summarizer(state, default_roster(), a_model_that_hangs).run)
        with state.mail.to_summarizer as to_summarizer:  # closing the mailbox is how an actor is told to stop
            await to_summarizer.send(WriteBrief("advisor"))
            await to_summarizer.send(WriteBrief("advisor", reply_to))
            prepared = await replies.receive()

    assert prepared.source == "extract"
    assert prepared.brief.name == "John"
    assert trio.current_time() - journal.started == 3.0
