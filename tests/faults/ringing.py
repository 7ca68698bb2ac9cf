"""A call that rings, and what can go wrong before its media stream: the real web application, in memory.

`ring` plays one case and waits until the line is free again; `Rung` is what is left, and `check_rung` reads it as the
oracle reads a whole call: nothing is left (1), one record (6), nothing crashes (7), it ends in time (8), no slot leaks
(9), no number in the logs (10).
"""

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias, cast

import attrs
import httpx
import structlog
import trio
from quart_trio import QuartTrio
from trio.testing import MockClock

from protocol.wire import WebSocket
from simulators.scenario import Answers
from simulators.twilio.dialling import DialStream, Headers, StreamError
from store.records import CallRecord
from testkit.oracle import SECRET_NUMBER
from tests.calls.exchange import Asgi, Switchboard, Trouble, open_switchboard
from tests.faults.short import LONGEST, POLICY, ROSTER, SHORT
from tests.web.fakes import API_TOKEN, LEAD, client_of, voice_form
from web.calls.follow_up import NO_SHOW_LOOK_SECONDS, OVERDUE_SECONDS
from web.calls.placing import LATEST_SECONDS
from web.routes.media import START_SECONDS

Act: TypeAlias = Callable[[Switchboard], Awaitable[None]]

REST_SECONDS = 10.0
"""How long our client waits for Twilio's REST service (`web/services.py`)."""


@attrs.define
class Rung:
    """The traces of a call that has rung."""

    freed_after: float = math.inf
    """Seconds from the last that the world did until the line was free."""
    is_free: bool = False
    records: list[CallRecord] = attrs.field(factory=list)
    logs: Sequence[MutableMapping[str, Any]] = ()
    escaped: BaseException | None = None


def ring(act: Act, trouble: Trouble | None = None, answers: Answers = "human") -> Rung:
    """Let `act` happen to a switchboard with this trouble around it, until the line is free and the record is kept."""
    rung, script = Rung(), attrs.evolve(SHORT, caller=attrs.evolve(SHORT.caller, answers=answers))

    async def main() -> None:
        with trio.fail_after(LATEST_SECONDS + LONGEST + OVERDUE_SECONDS):
            async with open_switchboard(script, ROSTER, policy=POLICY, trouble=trouble) as there:
                async with at_work(there.app):
                    await act(there)
                    began = trio.current_time()
                    with trio.move_on_after(LATEST_SECONDS + 60.0):
                        await there.slots.wait_empty()
                        rung.freed_after = trio.current_time() - began
                        while not await there.records.list():  # noqa: ASYNC110 - it may come from a task of the application's
                            await trio.sleep(5)
                    await trio.sleep(OVERDUE_SECONDS + NO_SHOW_LOOK_SECONDS)
                rung.is_free = there.slots.free == there.slots.capacity
                rung.records = list(await there.records.list())

    with structlog.testing.capture_logs() as logs:
        try:
            trio.run(main, clock=MockClock(autojump_threshold=0))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked at
            rung.escaped = error
    rung.logs = logs
    return rung


def check_rung(rung: Rung, held: float, outcome: str) -> Iterator[str]:
    """Yield every broken promise; `held` is for how long a line may be kept for a call that does not come."""
    if rung.escaped is not None:
        yield f"1: {rung.escaped!r} came out of the call, or something of it never ended"
        return
    if [record.outcome for record in rung.records] != [outcome]:
        yield f"6: there should be one record that says {outcome}, and there are {rung.records}"
    if rung.freed_after > held:
        yield f"8: the line was held for {rung.freed_after:.0f} s"
    if not rung.is_free:
        yield "9: the line is not free, and the call is over"
    for line in rung.logs:
        if line["log_level"] in {"error", "critical"} and line["event"] != "line_failed":  # Twilio's fault, and told
            yield f"7: the log says {line}"
        if line["log_level"] != "debug" and SECRET_NUMBER.search(repr(line)):
            yield f"10: the log says {line}"


@asynccontextmanager
async def at_work(app: QuartTrio) -> AsyncIterator[None]:
    """Keep the application's own tasks running, as a server does."""
    up = trio.Event()

    async def receive() -> dict[str, str]:
        if up.is_set():
            await trio.sleep_forever()
        up.set()
        return {"type": "lifespan.startup"}

    async def send(_: object) -> None:
        await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        nursery.start_soon(cast("Asgi", app), scope, receive, send)
        await up.wait()
        yield
        nursery.cancel_scope.cancel(reason="the server has stopped")


# What happens


async def call_in(there: Switchboard) -> None:
    await there.call_in()


async def hang_up_while_ringing(there: Switchboard) -> None:
    """The caller is gone when our TwiML arrives: Twilio says no more about it."""
    await there.ask("/twilio/voice", **voice_form())


async def hang_up_and_be_told(there: Switchboard) -> None:
    """The same, on a number whose status callback is ours."""
    await there.ask("/twilio/voice", **voice_form())
    await there.ask("/twilio/status", **voice_form(SequenceNumber="1") | {"CallStatus": "completed"})


async def order(there: Switchboard) -> httpx.Response:
    async with client_of(there.app) as client:
        return await client.post("/calls", json={"to": LEAD}, headers={"Authorization": f"Bearer {API_TOKEN}"})


async def call_out(there: Switchboard) -> None:
    await order(there)
    for call in list(there.twilio.calls.values()):
        await call.wait_over()


async def call_off(there: Switchboard) -> None:
    """The operator has the call hung up while it rings."""
    placed = (await order(there)).json()
    await trio.sleep(1.0)
    async with client_of(there.app) as client:
        await client.delete(f"/calls/{placed['id']}", headers={"Authorization": f"Bearer {API_TOKEN}"})


# What is wrong


def no_stream(_: DialStream) -> DialStream:
    """Twilio cannot open our media socket."""

    @asynccontextmanager
    async def dial(url: str, headers: Headers) -> AsyncIterator[WebSocket]:
        await trio.sleep(5)
        raise StreamError(31901, "no answer to the connection request")
        yield

    return dial


def unsigned(dial: DialStream) -> DialStream:
    """What knocks is not signed: it is refused."""
    return lambda url, headers: dial(url, [(name, text) for name, text in headers if name != b"x-twilio-signature"])


def without_start(dial: DialStream) -> DialStream:
    """The upgrade is taken, and nothing comes."""

    @asynccontextmanager
    async def say_nothing(url: str, headers: Headers) -> AsyncIterator[WebSocket]:
        async with dial(url, headers):
            await trio.sleep(START_SECONDS + 5)
        raise StreamError(31921, "the stream was closed")
        yield

    return say_nothing


def hung_up_at_once(dial: DialStream) -> DialStream:
    """The socket is dropped as soon as it is open."""

    @asynccontextmanager
    async def gone(url: str, headers: Headers) -> AsyncIterator[WebSocket]:
        async with dial(url, headers):
            pass
        raise StreamError(31921, "the stream was closed")
        yield

    return gone


def first_fails(dial: DialStream) -> DialStream:
    """The first stream cannot be opened, the second one can."""
    ways = [no_stream(dial)]

    def either(url: str, headers: Headers) -> AbstractAsyncContextManager[WebSocket]:
        return ways.pop()(url, headers) if ways else dial(url, headers)

    return either


def impatient(app: Asgi) -> Asgi:
    """Give up a request as our HTTP client does on a network."""

    async def answer(*scope: object) -> None:
        with trio.move_on_after(REST_SECONDS) as patience:
            await app(*scope)
        if patience.cancelled_caught:
            raise httpx.ReadTimeout("no answer")

    return answer


def mute(_: Asgi) -> Asgi:
    """Twilio's REST service accepts requests and never answers."""

    async def wait(*_scope: object) -> None:
        await trio.sleep_forever()

    return impatient(wait)


def lost(_: Asgi) -> Asgi:
    """Twilio's webhooks do not reach us."""

    async def fail(*_scope: object) -> None:
        await trio.lowlevel.checkpoint()
        raise httpx.ConnectError("no route")

    return fail
