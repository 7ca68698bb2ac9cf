"""Who gets onto the media stream, and who does not: no refused upgrade ever reaches an actor."""

from weakref import WeakSet

import attrs
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked
from trio_websocket import ConnectionClosed

from actors.call_services import CallPlan
from actors.record.resumption import Resumption
from agents.brief import Brief
from protocol.twilio.twiml import nothing
from protocol.wire import WebSocket
from store.calls import MemoryRecords
from store.tokens import TokenStore
from tests.web.fakes import (
    CALL_SID,
    LEAD,
    LINE,
    OTHER_CALL_SID,
    STREAM_SID,
    Exchange,
    FakeCalls,
    Peer,
    context_of,
    exchange,
    record,
    voice_form,
)


async def token_of(there: Exchange, call_sid: str = CALL_SID) -> str:
    """Ask what to do with a call, as Twilio does, and read the token in the answer."""
    answer = await there.twilio("/twilio/voice", voice_form(call_sid))
    return token_in(answer.text)


def token_in(twiml: str) -> str:
    return twiml.partition('name="token" value="')[2].partition('"')[0]


async def test_a_signed_stream_with_its_token_becomes_a_call(autojump_clock: MockClock) -> None:
    there = exchange()
    peer = Peer().starts(await token_of(there)).says("hello")

    await peer.visit(there.app)

    assert there.calls.plans == [CallPlan(CALL_SID, STREAM_SID, "inbound", LEAD, LINE)]
    assert peer.said == ["accept", "send", "close 1000"]


async def test_the_first_frame_after_start_is_the_calls(autojump_clock: MockClock) -> None:
    there = exchange()
    peer = Peer().starts(await token_of(there)).says("first media")

    await peer.visit(there.app)

    assert peer.answers[1] == {"type": "websocket.send", "text": "first media", "bytes": None}


async def test_what_the_operator_knew_of_the_lead_reaches_the_call(autojump_clock: MockClock) -> None:
    there = exchange()
    placed = await there.operator("POST", "/calls", {"to": LEAD, "context": {"name": "John", "need": "a loan"}})
    form = voice_form(placed.json()["call_sid"], outbound=True)
    answer = await there.twilio(f"/twilio/voice?order={placed.json()['id']}", form)
    token = answer.text.partition('name="token" value="')[2].partition('"')[0]

    await Peer().starts(token, call_sid=form["CallSid"]).says("hello").visit(there.app)

    plan = there.calls.plans[0]
    assert (plan.direction, plan.caller, plan.context) == ("outbound", LEAD, Brief(name="John", need="a loan"))


@pytest.mark.parametrize(
    ("chosen", "voicemail"), [({}, None), ({"machine_detection": "hang_up"}, ""), ({"machine_detection": "off"}, "")]
)
async def test_what_was_ordered_with_the_call_is_its_plan(
    chosen: dict[str, str], voicemail: str | None, autojump_clock: MockClock
) -> None:
    there = exchange(VOICEMAIL_MESSAGE="Please call us back.")
    placed = (await there.operator("POST", "/calls", {"to": LEAD, "time_limit": 60, **chosen})).json()
    form = voice_form(placed["call_sid"], outbound=True)
    answer = await there.twilio(f"/twilio/voice?order={placed['id']}", form)
    token = answer.text.partition('name="token" value="')[2].partition('"')[0]

    await Peer().starts(token, call_sid=form["CallSid"]).says("hello").visit(there.app)

    assert (there.calls.plans[0].voicemail, there.calls.plans[0].longest) == (voicemail, 60)


async def test_agents_and_metadata_of_an_order_reach_the_call(autojump_clock: MockClock) -> None:
    there, metadata = exchange(), {"order": "A-17", "lines": [1, {"is": None}]}
    order = {"to": LEAD, "agents": "acme.sales", "metadata": metadata}
    placed = (await there.operator("POST", "/calls", order)).json()
    form = voice_form(placed["call_sid"], outbound=True)
    token = token_in((await there.twilio(f"/twilio/voice?order={placed['id']}", form)).text)

    await Peer().starts(token, call_sid=form["CallSid"]).says("hello").visit(there.app)

    assert (there.calls.plans[0].agents, there.calls.plans[0].metadata) == ("acme.sales", metadata)


async def test_an_unsigned_upgrade_is_denied_before_it_is_accepted(autojump_clock: MockClock) -> None:
    there = exchange()
    peer = Peer(signature="").starts(await token_of(there))

    with capture_logs() as logs:
        await peer.visit(there.app)

    assert (peer.said, there.calls.plans) == (["close 1008"], [])
    assert [line["path"] for line in logs if line["event"] == "upgrade_refused"] == ["/twilio"]


async def test_an_upgrade_signed_for_another_address_is_denied(autojump_clock: MockClock) -> None:
    there = exchange()
    elsewhere = Peer(target="/twilio/other")
    peer = Peer(signature=elsewhere.signature).starts(await token_of(there))

    await peer.visit(there.app)

    assert (peer.said, there.calls.plans) == (["close 1008"], [])


async def test_an_upgrade_with_a_query_nobody_signed_is_denied(autojump_clock: MockClock) -> None:
    there = exchange()
    peer = Peer(target="/twilio?x=1", signature=Peer().signature).starts(await token_of(there))

    await peer.visit(there.app)

    assert (peer.said, there.calls.plans) == (["close 1008"], [])


async def test_a_stream_without_a_token_reaches_no_actor(autojump_clock: MockClock) -> None:
    there = exchange()
    peer = Peer().starts("")

    await peer.visit(there.app)

    assert (peer.said, there.calls.plans) == (["accept", "close 1008"], [])


async def test_a_replayed_token_reaches_no_actor(autojump_clock: MockClock) -> None:
    there = exchange()
    token = await token_of(there)
    await Peer().starts(token).says("hello").visit(there.app)

    replayed = await Peer().starts(token).visit(there.app)

    assert (replayed.said, len(there.calls.plans)) == (["accept", "close 1008"], 1)


async def test_an_expired_token_reaches_no_actor(autojump_clock: MockClock) -> None:
    there = exchange(tokens=TokenStore())
    token = await token_of(there)
    await trio.sleep(61)

    late = await Peer().starts(token).visit(there.app)

    assert (late.said, there.calls.plans) == (["accept", "close 1008"], [])


async def test_a_token_of_another_call_reaches_no_actor_and_is_used_up(autojump_clock: MockClock) -> None:
    there = exchange()
    token = await token_of(there)

    stolen = await Peer().starts(token, call_sid=OTHER_CALL_SID).visit(there.app)
    honest = await Peer().starts(token).visit(there.app)

    assert (stolen.said, honest.said, there.calls.plans) == (["accept", "close 1008"], ["accept", "close 1008"], [])


async def test_audio_that_is_not_a_telephones_reaches_no_actor(autojump_clock: MockClock) -> None:
    there = exchange()

    peer = await Peer().starts(await token_of(there), sample_rate=16000).visit(there.app)

    assert (peer.said, there.calls.plans) == (["accept", "close 1008"], [])


async def test_a_stream_that_does_not_start_is_closed_after_five_seconds(autojump_clock: MockClock) -> None:
    there, began = exchange(), trio.current_time()

    peer = await Peer().visit(there.app)

    assert (peer.said, trio.current_time() - began) == (["accept", "close 1008"], 5.0)


async def test_a_stream_that_leaves_before_it_starts_is_no_call(autojump_clock: MockClock) -> None:
    there = exchange()

    await Peer().leaves().visit(there.app)

    assert there.calls.plans == []


@pytest.mark.parametrize("is_connected", [True, False])
async def test_a_stream_that_stops_before_it_starts_is_let_go_at_once(
    is_connected: bool, autojump_clock: MockClock
) -> None:
    there, began = exchange(), trio.current_time()
    peer = Peer()
    if is_connected:
        peer.says({"event": "connected", "protocol": "Call", "version": "1.0.0"})
    peer.says({"event": "stop", "streamSid": STREAM_SID, "stop": {"callSid": CALL_SID}})

    with capture_logs() as lines:
        await peer.visit(there.app)

    assert (peer.said, trio.current_time() - began) == (["accept", "close 1008"], 0.0)
    assert [line["why"] for line in lines if line["event"] == "stream_refused"] == ["stopped before it started"]


async def test_an_unreadable_frame_before_start_costs_only_itself(autojump_clock: MockClock) -> None:
    there = exchange()
    peer = Peer().says("}{", b"\x00").starts(await token_of(there)).says("hello")

    await peer.visit(there.app)

    assert len(there.calls.plans) == 1


async def test_a_caller_who_hangs_up_ends_the_call(autojump_clock: MockClock) -> None:
    there = exchange()

    async def listen(socket: WebSocket, _: CallPlan) -> None:
        try:
            while True:
                await socket.get_message()
        except ConnectionClosed as gone:
            left.append(gone.reason.code if gone.reason else 0)

    left: list[int] = []
    there.calls.conversation = listen
    await Peer().starts(await token_of(there)).says("media").leaves(1006).visit(there.app)

    assert left == [1006]
    assert there.slots.taken == 0


async def test_a_slot_is_held_as_long_as_the_call_lasts(autojump_clock: MockClock) -> None:
    there = exchange(MAX_CALLS="1")

    async def look(socket: WebSocket, _: CallPlan) -> None:
        seen.append(there.slots.taken)

    seen: list[int] = []
    there.calls.conversation = look
    await Peer().starts(await token_of(there)).visit(there.app)

    assert (seen, there.slots.taken) == ([1], 0)


async def test_a_stream_beyond_capacity_is_closed_and_twilio_goes_on(autojump_clock: MockClock) -> None:
    there = exchange(MAX_CALLS="1")
    token = await token_of(there)
    await trio.sleep(31)  # the reservation lapses: the stream is late

    with there.slots.take("another call"), capture_logs() as lines:
        peer = await Peer().starts(token).visit(there.app)

    assert (peer.said, there.calls.plans) == (["accept", "close 1013"], [])
    assert [line["call_sid"] for line in lines if line["event"] == "stream_refused"] == [CALL_SID]
    assert not await context_of(there).admissions.is_streamed(CALL_SID)  # else nobody keeps a record of it


async def test_a_cancelled_call_closes_its_socket_and_frees_its_slot(autojump_clock: MockClock) -> None:
    there = exchange()

    async def for_ever(socket: WebSocket, _: CallPlan) -> None:
        await trio.sleep_forever()

    there.calls.conversation = for_ever
    peer = Peer().starts(await token_of(there))
    with trio.move_on_after(10):
        await peer.visit(there.app)

    assert (peer.said, there.slots.taken) == (["accept", "close 1000"], 0)
    assert await there.records.get(CALL_SID) is not None


async def test_a_stream_that_was_let_in_before_the_drain_is_still_carried(autojump_clock: MockClock) -> None:
    there = exchange()
    token = await token_of(there)
    there.slots.drain()

    await Peer().starts(token).says("hello").visit(there.app)

    assert len(there.calls.plans) == 1


async def test_other_sockets_are_the_web_applications(autojump_clock: MockClock) -> None:
    there = exchange()

    peer = await Peer(target="/elsewhere").leaves().visit(there.app)

    assert "accept" not in peer.said


async def test_two_streams_of_one_call_are_never_carried_at_once(autojump_clock: MockClock) -> None:
    there = exchange(calls=FakeCalls())
    first, second = await token_of(there), await token_of(there)
    waiting = Peer().starts(first)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(waiting.visit, there.app)
        await wait_all_tasks_blocked()
        refused = await Peer().starts(second).visit(there.app)
        waiting.says("hello")

    assert (refused.said, len(there.calls.plans)) == (["accept", "close 1013"], 1)
    assert await context_of(there).admissions.is_streamed(CALL_SID)


@attrs.define(eq=False)
class CancelAt(trio.abc.Instrument):
    """Cancels a scope before the n-th step of any task, and counts the steps."""

    step: int
    scope: trio.CancelScope
    seen: int = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.seen += 1
        if self.seen == self.step:
            self.scope.cancel(reason=f"step {self.step}")


async def visit_cancelled_at(step: int) -> tuple[Exchange, Peer, bool]:
    there = exchange()
    peer = Peer().starts(await token_of(there)).says("hello")
    with trio.CancelScope() as scope:
        instrument = CancelAt(step, scope)
        trio.lowlevel.add_instrument(instrument)
        try:
            await peer.visit(there.app)
        finally:
            trio.lowlevel.remove_instrument(instrument)
    return there, peer, scope.cancelled_caught


async def test_a_visit_cancelled_at_any_step_leaves_no_slot_and_no_open_socket(autojump_clock: MockClock) -> None:
    left: list[object] = []
    for step in range(1, 1000):
        there, peer, cancelled = await visit_cancelled_at(step)
        accepted, closed = "accept" in peer.said, any(said.startswith("close") for said in peer.said)
        if there.slots.taken or accepted != closed:
            left.append((step, peer.said))
        if not cancelled:
            break

    assert (cancelled, left) == (False, [])


@pytest.mark.parametrize("starts", [True, False])
@pytest.mark.parametrize("frames", [1, 377])
async def test_frames_before_the_start_are_one_line_in_the_log(
    frames: int, starts: bool, autojump_clock: MockClock
) -> None:
    there = exchange()
    early: dict[str, object] = {"event": "media", "streamSid": STREAM_SID, "media": {"payload": "/w=="}}
    peer = Peer()
    token = await token_of(there)
    async with trio.open_nursery() as nursery:
        with capture_logs() as lines:
            nursery.start_soon(peer.visit, there.app)
            for _ in range(frames):
                peer.says(early)
                await wait_all_tasks_blocked()
            if starts:
                peer.starts(token).says("hello")
            await trio.sleep(10)

    (line,) = [line for line in lines if line["event"] in {"frame_refused", "frames_refused"}]
    assert (line["count"], line["stream_sid"]) == (frames, STREAM_SID)
    assert len(there.calls.plans) == starts


class _Frame(str):
    """A frame that can be seen to be kept."""

    __slots__ = ("__weakref__",)


async def test_a_stranger_who_sends_frames_and_no_start_has_none_of_them_kept(autojump_clock: MockClock) -> None:
    there, peer, kept = exchange(), Peer(), WeakSet[_Frame]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.visit, there.app)
        for number in range(50):
            frame = _Frame(f'{{"event": "media", "streamSid": "{number}"}}')
            kept.add(frame)
            peer.says(frame)
            del frame
            await wait_all_tasks_blocked()
        most = len(kept)

    assert most <= 1


async def test_refused_frames_that_name_no_stream_are_those_of_the_stream_that_starts(
    autojump_clock: MockClock,
) -> None:
    there = exchange()
    with capture_logs() as lines:
        await Peer().says("?").starts(await token_of(there)).says("hello").visit(there.app)

    (line,) = [line for line in lines if line["event"] == "frames_refused"]
    assert line["stream_sid"] == STREAM_SID


# One call, two streams


async def visits(there: Exchange, token: str, call_sid: str = CALL_SID) -> Peer:
    return await Peer().starts(token, call_sid=call_sid).says("hello").visit(there.app)


@pytest.mark.parametrize("outbound", [False, True])
@pytest.mark.parametrize("elsewhere", [False, True])
async def test_a_call_that_asks_what_to_do_once_more_goes_on_from_its_record(
    elsewhere: bool, outbound: bool, autojump_clock: MockClock
) -> None:
    """The number's fallback URL, a redirect back to us: with the same CallSid, after a conversation."""
    tokens, records = TokenStore(), MemoryRecords()
    there = exchange(tokens=tokens, records=records)
    then = exchange(tokens=tokens, records=records) if elsewhere else there
    order = (await there.operator("POST", "/calls", {"to": LEAD})).json() if outbound else {"call_sid": CALL_SID}
    target = f"/twilio/voice?order={order['id']}" if outbound else "/twilio/voice"
    form = voice_form(order["call_sid"], outbound=outbound)
    await visits(there, token_in((await there.twilio(target, form)).text), order["call_sid"])
    first = await records.get(order["call_sid"])
    assert first is not None

    answer = await then.twilio(target, form | {"CallStatus": "in-progress"})
    peer = await visits(then, token_in(answer.text), order["call_sid"])

    assert 'action="https://agent.example.com/twilio/after?again=1"' in answer.text
    assert peer.said == ["accept", "send", "close 1000"]
    assert then.calls.plans[-1].resumption == Resumption(first)
    assert (there.slots.taken, then.slots.taken, then.slots.free) == (0, 0, 50)


@pytest.mark.parametrize(
    ("status", "is_told", "seconds"), [("ringing", False, 0), ("ringing", True, 3600), ("in-progress", True, 3600)]
)
async def test_a_webhook_of_a_call_that_is_over_opens_no_stream(
    status: str, is_told: bool, seconds: float, autojump_clock: MockClock
) -> None:
    """openclaw/openclaw#87497: a webhook of an old call may be sent again, signature and all."""
    there = exchange()
    await visits(there, await token_of(there))
    if is_told:
        await there.twilio("/twilio/status", voice_form() | {"CallStatus": "completed", "SequenceNumber": "3"})
    await trio.sleep(seconds)
    answer = await there.twilio("/twilio/voice", voice_form() | {"CallStatus": status})

    assert answer.text == nothing()
    assert there.slots.expected == 0


async def test_a_webhook_that_is_repeated_does_not_harm_the_stream_that_runs(autojump_clock: MockClock) -> None:
    there, peer = exchange(), Peer()
    token = await token_of(there)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.starts(token).visit, there.app)
        await wait_all_tasks_blocked()
        answer = await there.twilio("/twilio/voice", voice_form())
        await trio.sleep(11)
        running = there.slots.taken
        peer.says("hello")

    assert ("<Stream" in answer.text, running) == (True, 1)
    assert peer.said == ["accept", "send", "close 1000"]


async def test_a_second_stream_of_a_call_takes_the_place_of_the_first(autojump_clock: MockClock) -> None:
    there, first = exchange(MAX_CALLS="1"), Peer()
    token = await token_of(there)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(first.starts(token).visit, there.app)
        await wait_all_tasks_blocked()
        answer = await there.twilio("/twilio/voice", voice_form())
        second = await visits(there, token_in(answer.text))

    assert second.said == ["accept", "send", "close 1000"]
    assert [plan.resumption is not None for plan in there.calls.plans] == [False, True]
    assert (first.said[-1], there.slots.free) == ("close 1000", 1)


async def test_a_repeated_end_of_a_lost_stream_does_not_harm_the_one_in_its_place(autojump_clock: MockClock) -> None:
    there, second = exchange(), Peer()
    await there.records.save(record(outcome="crashed"))
    after = voice_form() | {"CallStatus": "in-progress"}
    token = token_in((await there.twilio("/twilio/after", after)).text)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(second.starts(token).visit, there.app)
        await wait_all_tasks_blocked()
        await there.twilio("/twilio/after", after)
        running = there.slots.taken
        second.says("hello")

    assert (running, second.said) == (1, ["accept", "send", "close 1000"])


async def test_a_call_that_is_over_is_not_connected(autojump_clock: MockClock) -> None:
    there = exchange()
    answer = await there.twilio("/twilio/voice", voice_form() | {"CallStatus": "completed"})

    assert (answer.text.endswith("<Response />"), there.slots.free) == (True, 50)


@pytest.mark.parametrize("hears", ["this worker", "another"])
async def test_an_error_of_a_stream_is_in_its_record_whichever_worker_hears_of_it(
    hears: str, autojump_clock: MockClock
) -> None:
    tokens, records, peer = TokenStore(), MemoryRecords(), Peer()
    there, other = (exchange(tokens=tokens, records=records) for _ in range(2))
    token = await token_of(there)
    error = voice_form() | {"StreamEvent": "stream-error", "StreamError": "31930", "StreamSid": STREAM_SID}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.starts(token).visit, there.app)
        await wait_all_tasks_blocked()
        await (there if hears == "this worker" else other).twilio("/twilio/stream", error)
        peer.says("hello")

    (kept,) = await records.list()
    assert len(kept.faults) == 1
    assert "(Twilio 31930)" in kept.faults[0]
