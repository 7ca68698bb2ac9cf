"""A verdict that reaches another worker than the call's is the call's all the same, and hangs up on nobody."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import cast

import pytest
import trio
from trio.testing import MockClock

from actors.call_services import CallPlan
from actors.messages import MachineAnswered
from actors.supervision import keep_running
from protocol.wire import WebSocket
from store.tokens import TokenStore
from tests.web.fakes import CALL_SID, Exchange, FakeCalls, Peer, exchange, voice_form
from tests.web.test_media import token_in
from web.calls.admission import CallText
from web.calls.context import AppContext
from web.calls.follow_up import VERDICT_LOOK_SECONDS, look_for_verdicts
from web.calls.live_calls import VERDICT_SECONDS
from web.routes.media import MediaStreams


def context_of(there: Exchange) -> AppContext:
    return cast("MediaStreams", there.app.asgi_app).context


async def look_on(context: AppContext) -> None:
    await keep_running(partial(look_for_verdicts, context), "verdicts_not_looked_for", VERDICT_LOOK_SECONDS)


async def stays(socket: WebSocket, _: CallPlan) -> None:
    await trio.sleep_forever()


async def hears_elsewhere(verdict: str, carrier: TokenStore, other: TokenStore) -> tuple[list[object], list[str]]:
    """Have one worker carry a call, and another be told who answered; return what the call hears, and who hung up."""
    first, second = exchange(calls=FakeCalls(stays), tokens=carrier), exchange(tokens=other)
    token = token_in((await first.twilio("/twilio/voice", voice_form(outbound=True))).text)
    heard: list[object] = []
    with first.intercom.open(CALL_SID) as mailbox:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(look_on, context_of(first))
            nursery.start_soon(Peer().starts(token).visit, first.app)
            await trio.sleep(5)
            await second.twilio("/twilio/amd", {"CallSid": CALL_SID, "AnsweredBy": verdict})
            with trio.move_on_after(VERDICT_LOOK_SECONDS + 0.5):
                heard.append(await mailbox.receive())
                heard.append(await mailbox.receive())
            nursery.cancel_scope.cancel()
    return heard, [*first.line.hung_up, *second.line.hung_up]


@pytest.mark.parametrize("verdict", ["human", "machine_start", "machine_end_beep", "fax"])
async def test_a_verdict_at_another_worker_is_told_to_the_call_once_and_hangs_nobody_up(
    verdict: str, autojump_clock: MockClock
) -> None:
    tokens = TokenStore()

    assert await hears_elsewhere(verdict, tokens, tokens) == ([MachineAnswered(verdict)], [])


async def test_a_worker_that_sees_nothing_of_the_others_hangs_nobody_up(autojump_clock: MockClock) -> None:
    assert await hears_elsewhere("machine_start", TokenStore(), TokenStore()) == ([], [])


async def test_a_verdict_that_comes_before_the_call_reads_is_kept_for_it(autojump_clock: MockClock) -> None:
    context = context_of(exchange())
    await context.admissions.put(CALL_SID, CallText.VERDICT, "machine_start")
    with context.streams.carry(CALL_SID, expects_verdict=True):
        await look_for_verdicts(context)
        with context.services.intercom.open(CALL_SID) as mailbox:
            await look_for_verdicts(context)

            assert mailbox.receive_nowait() == MachineAnswered("machine_start")


@pytest.mark.parametrize("verdict", ["human", "machine_start", "machine_end_beep", "fax"])
async def test_a_verdict_that_overtakes_the_stream_waits_for_the_call_which_decides(
    verdict: str, autojump_clock: MockClock
) -> None:
    """A call may have a message to leave, so nobody hangs up on a machine but the call."""
    there = exchange(calls=FakeCalls(stays))
    token = token_in((await there.twilio("/twilio/voice", voice_form(outbound=True))).text)
    answer = await there.twilio("/twilio/amd", {"CallSid": CALL_SID, "AnsweredBy": verdict})
    with there.intercom.open(CALL_SID) as mailbox:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(look_on, context_of(there))
            nursery.start_soon(Peer().starts(token).visit, there.app)
            with trio.fail_after(VERDICT_LOOK_SECONDS + 0.5):
                told = await mailbox.receive()
            nursery.cancel_scope.cancel()

    assert (answer.status_code, told, there.line.hung_up) == (204, MachineAnswered(verdict), [])


class CountingTokenStore(TokenStore):
    """Counts how often somebody looks."""

    looks = 0

    async def peek_all(self, names: Sequence[str]) -> Mapping[str, bytes]:
        self.looks += len(names)
        return await super().peek_all(names)


async def test_nobody_looks_for_a_verdict_that_cannot_come_any_more(autojump_clock: MockClock) -> None:
    tokens = CountingTokenStore()
    context = context_of(exchange(tokens=tokens))
    with context.streams.carry(CALL_SID, expects_verdict=True):
        await trio.sleep(VERDICT_SECONDS)
        await look_for_verdicts(context)
        await trio.sleep(VERDICT_LOOK_SECONDS)
        await look_for_verdicts(context)
    with context.streams.carry(CALL_SID, expects_verdict=True):
        pass
    await look_for_verdicts(context)

    assert tokens.looks == 1
