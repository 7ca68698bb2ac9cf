"""Puts the caller through to a person: the way there, from the agent's last sentence to the end of the stream.

`put_through` has a Brief written while the caller hears the sentence, and asks the line. When the line does it, the
stream ends, and with it whoever called this; so it returns only why it was not done. What follows is between the line
and the web layer: the call is parked, as its record, and may come back with another stream (`actors/resumption.py`).
"""

from collections.abc import Awaitable, Callable

import trio

from actors.desk import Desk
from actors.facts import TransferAsked, TransferFailed
from actors.messages import BriefAsked, PreparedBrief, ToSummarizer
from actors.switch import TransferOrder, Underway
from agents.brief import Brief, local_extract
from agents.functions import TransferToHuman
from agents.spec import AgentSpec
from protocol.deepgram import FunctionCall

NOBODY = "There is no person who could be reached. Tell the customer, and go on yourself."
REFUSED = "Nobody could be reached: the line did not put the call through. Tell the customer, and go on yourself."


async def put_through(
    desk: Desk,
    agent: AgentSpec,
    wanted: TransferToHuman,
    hear: Callable[[], Awaitable[None]],
    summarizer: trio.MemorySendChannel[ToSummarizer],
    *,
    call: FunctionCall | None = None,
    number: int = 0,
) -> str:
    """Put the caller through once `hear` has returned: they have heard the last word. Return why it could not be done.

    `call` is the function call that asked for it, if one did, and `number` our own number of it.
    """
    switch = desk.switch
    if switch.transfers is None:
        return NOBODY
    brief = Brief()

    async def write_brief() -> None:
        nonlocal brief
        brief = await _brief_for(desk, agent, summarizer)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write_brief)
        await hear()
    desk.journal.note(TransferAsked(agent.name, wanted.reason, wanted.notes))
    order = TransferOrder(wanted.reason, wanted.notes, wanted.number, brief)
    underway = Underway(agent.name, call, trio.current_time(), number)
    why = await switch.throw(switch.transfers, order, underway, desk.policy.put_through)
    desk.journal.note(TransferFailed(agent.name, why))
    return REFUSED


async def _brief_for(desk: Desk, agent: AgentSpec, summarizer: trio.MemorySendChannel[ToSummarizer]) -> Brief:
    """Get what the person should know: from the Summarizer, or our own extract after its deadline."""
    conversation = desk.conversation
    send, receive = trio.open_memory_channel[PreparedBrief](1)
    with send, receive, trio.move_on_after(desk.policy.summary_deadline):
        try:
            await summarizer.send(BriefAsked(next(iter(agent.hands_to), agent.name), send))
            prepared = await receive.receive()
            return prepared.brief.completed(conversation.turns(), conversation.facts)
        except trio.BrokenResourceError:
            """The Summarizer has crashed."""
    return local_extract(conversation.turns(), conversation.facts)
