"""The page's phone on a call that goes on: who gets a token, and what becomes of the stream."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from actors.call_services import CallUnderWay
from actors.commands import DONE, CommandGiven, TakeOver, refused
from actors.journal import Journal
from actors.operator import PersonOnPhone
from actors.policy import CallPolicy
from actors.turn.machine import Turn
from tests.web.console.test_phone import page, started
from tests.web.console.visitors import Visitor, signed_in
from tests.web.fakes import CALL_SID, Exchange, Peer, context_of, exchange


@asynccontextmanager
async def going_on(there: Exchange, *, refuses: bool) -> AsyncIterator[list[CommandGiven]]:
    """Have a call of this worker go on, which takes an operator on, for a second, or does not."""
    given = list[CommandGiven]()
    watched = context_of(there).watched.watch(CALL_SID)
    watched.begin(CallUnderWay(Journal(), Turn(CallPolicy(), 0.0), trio.lowlevel.current_task()))

    async def attend(task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with there.intercom.open(CALL_SID) as mailbox:
            task_status.started()
            async for message in mailbox:
                assert isinstance(message, CommandGiven)
                assert isinstance(message.phone, PersonOnPhone)
                given.append(message)
                message.reply_to.send_nowait(refused("a handoff is under way") if refuses else DONE)
                await trio.sleep(1)
                message.phone.over.set()

    async with trio.open_nursery() as nursery:
        await nursery.start(attend)
        yield given
        nursery.cancel_scope.cancel()


async def taken_over(there: Exchange, visitor: Visitor) -> Peer:
    """Ask for the token, and open the stream, as the page does."""
    ids = (await visitor.send(f"/console/calls/{CALL_SID}/phone")).json()
    return await started(visitor, ids).visit(there.app)


@pytest.mark.parametrize(("refuses", "reason"), [(False, "given_back"), (True, "not_taken_over")])
async def test_an_operators_phone_is_put_on_the_call_and_is_no_call_of_its_own(
    refuses: bool, reason: str, autojump_clock: MockClock
) -> None:
    there = exchange(MAX_CALLS="1")
    visitor = signed_in(there)
    with there.slots.take("the call"):
        async with going_on(there, refuses=refuses) as given:
            peer = await taken_over(there, visitor)

    assert peer.answers[-1] == {"type": "websocket.close", "code": 1000, "reason": reason}
    assert there.calls.plans == []
    ((command, by),) = [(one.command.action, one.command.by) for one in given]
    assert (command, by.partition(" ")[0]) == (TakeOver(), "console")


async def test_a_call_that_another_worker_carries_is_not_taken_over_by_a_page(autojump_clock: MockClock) -> None:
    answer = await signed_in(exchange()).send(f"/console/calls/{CALL_SID}/phone")

    assert (answer.status_code, answer.json()["word"]) == (409, "not_here")


async def test_a_token_opens_the_phone_once(autojump_clock: MockClock) -> None:
    there = exchange()
    visitor = signed_in(there)
    async with going_on(there, refuses=False) as given:
        ids = (await visitor.send(f"/console/calls/{CALL_SID}/phone")).json()
        await started(visitor, ids).visit(there.app)
        again = await page(visitor).starts(ids["token"], call_sid=ids["callSid"]).visit(there.app)

    assert again.said == ["accept", "close 1008"]
    assert len(given) == 1
