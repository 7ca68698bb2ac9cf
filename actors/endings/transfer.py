"""Puts the caller through to a person: a task of the call, so that a session that crashes meanwhile ends nothing.

`mind_transfers` has a Brief written while the caller hears that they are put through, and asks the line once `Turn`
allows it. When the line does it, the stream ends, and the call with it. What follows is between the line and the web
layer: the call is parked, as its record, and may come back with another stream (`actors/record/resumption.py`).
"""

from functools import partial

import attrs
import trio

from actors.call_state import CallState
from actors.facts import TransferAsked, TransferFailed
from actors.line.switch import TransferOrder, Transfers, Wish
from actors.summarizer import prepared_brief
from actors.supervision import Crashed, guard
from actors.turn.events import PutThroughFailed
from agents.brief import Brief


async def mind_transfers(state: CallState) -> None:
    """Carry out each wish for a person that `Turn` allows, until it is cancelled. If it crashes, there is nobody."""
    ended = await guard(partial(_carry_out_wishes, state))
    if isinstance(ended, Crashed):
        state.switch.give_up(state.policy.wording.nobody)
        state.turn.put(PutThroughFailed(state.policy.wording.nobody))
        raise ended.error


async def _carry_out_wishes(state: CallState) -> None:
    switch = state.switch
    while True:
        wish = await switch.next_wish()
        way = switch.by_operator if wish.command_id else switch.transfers
        if way is None:
            wish.refuse(state.policy.wording.nobody)
            state.turn.put(PutThroughFailed(state.policy.wording.nobody))
        else:
            with wish.scope:
                await _put_through(state, way, wish)
        switch.drop(wish)


async def _put_through(state: CallState, transfers: Transfers, wish: Wish) -> None:
    wanted, brief, conversation = wish.wanted, Brief(), state.conversation

    async def write_brief() -> None:
        nonlocal brief
        prepared = await prepared_brief(state, str(next(iter(wish.agent.hands_to), wish.agent.name)))
        brief = prepared.brief.completed(conversation.turns(), conversation.facts)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write_brief)
        await wish.allowed.wait()
    brief = brief.with_facts(conversation.facts)  # of what was done meanwhile, too
    state.journal.note(TransferAsked(wish.agent.name, wanted.reason, wanted.notes))
    order = TransferOrder(wanted.reason, wanted.notes, wanted.number, brief, wish.comes_back, wish.agent.sentences)
    order = _redacted_order(order, state)
    why = await state.switch.throw(transfers, order, wish, state.policy.deadlines.put_through)
    wish.cause = why
    state.journal.note(TransferFailed(wish.agent.name, why))
    state.turn.put(PutThroughFailed(state.policy.wording.not_put_through))
    wish.refuse(state.policy.wording.not_put_through)


def _redacted_order(order: TransferOrder, state: CallState) -> TransferOrder:
    """Leave out of the order's words what the call's rules leave out: they are kept until the person has heard them."""
    redaction = state.journal.redaction.rule
    words = {name: text for name, text in attrs.asdict(order.brief, recurse=False).items() if isinstance(text, str)}
    # only fields that are texts, which mypy cannot see
    brief = attrs.evolve(order.brief, **{name: redaction.text(text) for name, text in words.items()})  # type: ignore[arg-type]
    return attrs.evolve(order, reason=redaction.text(order.reason), notes=redaction.text(order.notes), brief=brief)
