"""Workers that can be killed between any two things they do, in front of a simulated Twilio, on the mock clock.

What one process does to the world is what it asks of the database and of Twilio. `Life` counts these, before and after
each, and at a chosen one the process stops for good: nothing that it asks for is done any more, whatever its `finally`
blocks want. The tasks are then cancelled, and another process may be started on the same database.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import TypeVar

import attrs
import httpx
import orjson
import trio

from simulators.scenario import Answers, Caller, Scenario
from simulators.twilio.exchange import TwilioKnobs
from simulators.twilio.rest import TwilioSimulator
from store.calls import MemoryRecords
from store.databases import Arguments, Rows, SqliteDatabase
from store.fleet.shared import Fleet
from store.orders.queue import KeptOrder, OrderQueue
from tests.calls.exchange import Door
from tests.faults.ringing import at_work
from tests.faults.short import SHORT
from tests.web.fakes import API_TOKEN, LEAD, FakeCalls, FakeLine, client_of, services, settings
from web.app import create_app
from web.calls.context import Opened
from web.calls.slots import Slots
from web.clients.twilio import PLAIN_CALL, CallOptions, TwilioApi, TwilioLine
from web.routes.media import RunCall

T = TypeVar("T")
KNOBS = TwilioKnobs(ringing_after=0.2, answered_after=0.5)


@attrs.define(eq=False)
class Life:
    """The life of one process: it ends before its `ends_at`-th step, or not at all where that is 0."""

    ends_at: int = 0
    steps: int = 0
    over: trio.Event = attrs.field(factory=trio.Event)

    async def does(self, do: Callable[[], Awaitable[T]]) -> T:
        """Do something to the world: there is a step before and one after."""
        await self._step()
        done = await do()
        await self._step()
        return done

    async def _step(self) -> None:
        self.steps += 1
        if self.steps == self.ends_at:
            self.over.set()
        if self.over.is_set():
            await trio.sleep_forever()


@attrs.frozen
class MortalOrders:
    """The database as a process sees it that may die."""

    database: SqliteDatabase
    life: Life

    async def ask(self, sql: str, arguments: Arguments) -> Rows:
        return await self.life.does(lambda: self.database.ask(sql, arguments))


@attrs.frozen
class MortalLine:
    """Twilio as a process sees it that may die."""

    line: TwilioLine
    life: Life

    async def place_call(self, to: str, order: str, options: CallOptions = PLAIN_CALL) -> str:
        return await self.life.does(lambda: self.line.place_call(to, order, options))

    async def calls_to(self, to: str, seconds: float) -> Sequence[str]:
        return await self.life.does(lambda: self.line.calls_to(to, seconds))

    async def hang_up(self, call_sid: str) -> None:
        await self.life.does(lambda: self.line.hang_up(call_sid))

    async def redirect(self, call_sid: str, twiml: str) -> None:
        await self.life.does(lambda: self.line.redirect(call_sid, twiml))

    async def status_of(self, call_sid: str) -> str | None:
        return await self.life.does(lambda: self.line.status_of(call_sid))


@attrs.define(eq=False)
class World(httpx.AsyncBaseTransport):
    """One Twilio account, one database, and the process that is alive now; Twilio's webhooks come to it."""

    knobs: TwilioKnobs = KNOBS
    hears: bool = True
    """Whether webhooks arrive."""
    changes: Mapping[str, str] = attrs.field(factory=dict)
    database: SqliteDatabase = attrs.field(factory=SqliteDatabase)
    records: MemoryRecords = attrs.field(factory=MemoryRecords)
    calls: RunCall = attrs.field(factory=FakeCalls)
    door: Door = attrs.field(init=False)
    twilio: TwilioSimulator = attrs.field(init=False)
    rest: httpx.AsyncClient = attrs.field(init=False)
    client: httpx.AsyncClient = attrs.field(init=False)
    living: httpx.ASGITransport | None = attrs.field(default=None, init=False)
    life: Life = attrs.field(factory=Life, init=False)

    @asynccontextmanager
    async def opened(self, scenario: Scenario, callers: Mapping[str, Caller]) -> AsyncIterator["World"]:
        chosen = settings(**self.changes)
        async with trio.open_nursery() as nursery, httpx.AsyncClient(transport=self, timeout=600) as webhooks:
            account, token = chosen.twilio_account_sid, chosen.twilio_auth_token
            self.door = Door(nursery)
            self.twilio = TwilioSimulator(
                scenario, webhooks, account, token, self.knobs, callers=callers, dial=self.door.dial
            )
            await nursery.start(self.twilio.run)
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self.twilio)) as self.rest:
                yield self
            nursery.cancel_scope.cancel(reason="the test is over")

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.living is None or not self.hears:
            raise httpx.ConnectError("no process is alive")
        return await self.living.handle_async_request(request)

    @asynccontextmanager
    async def process(self, ends_at: int = 0) -> AsyncIterator["World"]:
        """Run a process until the block ends, or for as long as it lives: then the block is cancelled."""
        chosen, self.life = settings(**self.changes), Life(ends_at)
        account, token = chosen.twilio_account_sid, chosen.twilio_auth_token
        api = TwilioApi(account, (account, token), "http://twilio.test", self.rest, Random(0))
        line = TwilioLine(chosen.twilio_phone_number, chosen.lead_server_external_url, api)
        slots = Slots(chosen.max_calls, Fleet(chosen.max_calls))
        app = create_app(
            chosen,
            Opened(
                services(FakeLine(), self.records),
                MortalLine(line, self.life),
                slots,
                orders=OrderQueue(MortalOrders(self.database, self.life)),
            ),
            run_call=self.calls,
        )
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._die, scope)
                self.door.app = app
                self.living = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
                self.client = client_of(app)
                async with at_work(app):
                    yield self
                nursery.cancel_scope.cancel(reason="the process is stopped")
        self.living = None

    async def _die(self, scope: trio.CancelScope) -> None:
        await self.life.over.wait()
        self.living = None
        scope.cancel(reason="the process is killed")

    async def order(self, to: str = LEAD, key: str = "the-order") -> httpx.Response:
        """Order a call, as a client that repeats itself with the same key."""
        headers = {"Authorization": f"Bearer {API_TOKEN}", "Idempotency-Key": key}
        return await self.client.post("/calls", content=orjson.dumps({"to": to}), headers=headers)

    async def kept(self) -> list[KeptOrder]:
        """Every order in the database."""
        rows = await self.database.ask("SELECT order_id FROM orders ORDER BY line, order_id", {})
        found = [await OrderQueue(self.database).find(str(name)) for (name,) in rows]
        return [order for order in found if order is not None]

    async def wait_over(self) -> None:
        """Wait until every order is over."""
        while not all(order.is_over for order in await self.kept()):  # noqa: ASYNC110 - a database tells nobody
            await trio.sleep(5)

    def rung(self, number: str = LEAD) -> int:
        """How many calls there were to a number."""
        return sum(call.order.to == number for call in self.twilio.calls.values())


def answering(answers: Answers) -> Scenario:
    """A scenario in which the person called answers so."""
    return attrs.evolve(SHORT, caller=attrs.evolve(SHORT.caller, answers=answers))
