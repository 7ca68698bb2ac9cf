"""A whole switchboard in memory: the real web application between the simulated Twilio and the simulated Deepgram.

Webhooks, REST requests and media sockets all go the way they go on the network, without a socket; time is the mock
clock's. The server's tasks have a nursery of their own: what a call leaves behind keeps a test from ending.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import TypeAlias, TypeVar, cast
from urllib.parse import urlsplit

import attrs
import httpx
import trio
from hypercorn.typing import ASGIReceiveEvent, ASGISendEvent, Scope
from quart_trio import QuartTrio
from trio_websocket import ConnectionClosed
from twilio.request_validator import RequestValidator

from actors.call_services import CallServices
from actors.journal import Entry, ignore
from actors.policy import CallPolicy
from agents.roster import Roster
from protocol.wire import WebSocket
from settings import Settings
from simulators.deepgram import DeepgramExchange, DeepgramKnobs
from simulators.faults import FaultPlan
from simulators.memory import MemoryWebSocket, memory_websocket_pair
from simulators.scenario import Scenario
from simulators.twilio.calls import SimulatedCall
from simulators.twilio.dialling import DialStream, Headers, StreamError
from simulators.twilio.exchange import TwilioKnobs
from simulators.twilio.rest import TwilioSimulator
from store.calls import MemoryRecords
from store.records import CallRecord
from store.tokens import TokenStore
from testkit.harness import unavailable
from tests.web.fakes import ORIGIN, client_of, settings
from web.app import create_app
from web.calls.context import Opened
from web.calls.slots import Slots
from web.clients.twilio import TwilioApi, TwilioLine
from web.from_settings import has_person, transfers_of

T = TypeVar("T")
Asgi: TypeAlias = Callable[..., Awaitable[None]]


@attrs.frozen
class Trouble:
    """The faults between the two sides: how Twilio is, how it dials, and the ways to its REST service and to us."""

    twilio: TwilioKnobs = attrs.field(factory=lambda: TwilioKnobs(bundle=4))
    dial: Callable[[DialStream], DialStream] = lambda dial: dial
    rest: Callable[[Asgi], Asgi] = lambda app: app
    webhooks: Callable[[Asgi], Asgi] = lambda app: app


@attrs.define(eq=False)
class Switchboard:
    """The running world, and what is left of it."""

    twilio: TwilioSimulator
    deepgram: DeepgramExchange
    records: MemoryRecords
    slots: Slots
    settings: Settings
    tokens: TokenStore
    app: QuartTrio
    streams: list[MemoryWebSocket]
    """Twilio's ends of the media streams there have been."""
    entries: list[Entry]

    async def call_in(self) -> SimulatedCall:
        """Let the scenario's caller call, until the call is over."""
        call = self.twilio.call_in(f"{ORIGIN}/twilio/voice", to=self.settings.twilio_phone_number)
        await call.wait_over()
        return call

    async def ask(self, target: str, **form: str) -> httpx.Response:
        """Ask a webhook something, signed as Twilio would."""
        signature = RequestValidator(self.settings.twilio_auth_token).compute_signature(ORIGIN + target, form)
        async with client_of(self.app) as client:
            return await client.post(target, data=form, headers={"X-Twilio-Signature": signature})

    async def record_of(self, call: SimulatedCall) -> CallRecord:
        record = await self.records.get(call.sid)
        assert record is not None
        return record

    def facts(self, kind: type[T]) -> list[T]:
        return [entry.fact for entry in self.entries if isinstance(entry.fact, kind)]


@attrs.define(eq=False)
class _Stream:
    """One media socket as an ASGI server hands it to an application."""

    socket: MemoryWebSocket
    is_accepted: bool = False
    _settled: trio.Event = attrs.field(factory=trio.Event, init=False)
    _is_asked: bool = attrs.field(default=False, init=False)

    async def wait_accepted(self) -> bool:
        await self._settled.wait()
        return self.is_accepted

    async def serve(self, app: QuartTrio, url: str, headers: Headers) -> None:
        await app(cast("Scope", _scope(url, headers)), self._receive, self._send)
        self._settled.set()
        self.socket.drop()

    async def _receive(self) -> ASGIReceiveEvent:
        await trio.lowlevel.checkpoint()
        if not self._is_asked:
            self._is_asked = True
            return {"type": "websocket.connect"}
        try:
            message = await self.socket.get_message()
        except ConnectionClosed as closed:
            return {"type": "websocket.disconnect", "code": closed.reason.code if closed.reason else 1006}
        text, data = (message, None) if isinstance(message, str) else (None, message)
        return {"type": "websocket.receive", "text": text, "bytes": data}

    async def _send(self, event: ASGISendEvent) -> None:
        match event["type"]:
            case "websocket.accept":
                self.is_accepted = True
                self._settled.set()
            case "websocket.send":
                with suppress(ConnectionClosed):  # as on a network: what is sent to somebody who is gone is lost
                    await self.socket.send_message(event.get("text") or event.get("bytes") or "")
            case "websocket.close":
                self._settled.set()
                await self.socket.aclose(event["code"])
            case _:
                raise AssertionError(event)


@attrs.define
class Door:
    """The media sockets of an application, without a network."""

    server: trio.Nursery
    app: QuartTrio | None = None
    sockets: list[MemoryWebSocket] = attrs.field(factory=list)

    @asynccontextmanager
    async def dial(self, url: str, headers: Headers) -> AsyncIterator[WebSocket]:
        assert self.app is not None
        ours, theirs = memory_websocket_pair()
        stream = _Stream(theirs)
        self.sockets.append(ours)
        self.server.start_soon(stream.serve, self.app, url, headers)
        if not await stream.wait_accepted():
            raise StreamError(31920, "the upgrade was refused")
        try:
            yield ours
        finally:
            ours.drop()


def _scope(url: str, headers: Headers) -> dict[str, object]:
    parts = urlsplit(url)
    return {
        "type": "websocket",
        "scheme": "ws",
        "path": parts.path,
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "root_path": "",
        "http_version": "1.1",
        "headers": [(b"host", b"10.0.0.7:8000"), *headers],
        "client": ("10.0.0.1", 1234),
        "server": ("10.0.0.7", 8000),
        "subprotocols": [],
        "extensions": {},
    }


@asynccontextmanager
async def open_switchboard(
    scenario: Scenario,
    roster: Roster,
    *,
    policy: CallPolicy | None = None,
    observe: Callable[[Entry], None] = ignore,
    trouble: Trouble | None = None,
    **changes: str,
) -> AsyncIterator[Switchboard]:
    """Open the world for a scenario, with changed settings by variable name; close it when all is quiet."""
    chosen, rng, entries, trouble = settings(**changes), Random(0), list[Entry](), trouble or Trouble()

    def note(entry: Entry) -> None:
        entries.append(entry)
        observe(entry)

    knobs = DeepgramKnobs(slice_ms=160)
    faults = FaultPlan(scenario.faults)
    deepgram = DeepgramExchange(scenario, knobs=knobs, faults=faults, refuse=unavailable, prompt=True)
    records, slots, tokens = MemoryRecords(), Slots(chosen.max_calls), TokenStore()
    async with deepgram, trio.open_nursery() as simulators, trio.open_nursery() as server:
        door = Door(server)

        async def to_app(scope: Scope, receive: object, send: object) -> None:
            assert door.app is not None
            await door.app(scope, receive, send)  # type: ignore[arg-type]

        async with httpx.AsyncClient(transport=httpx.ASGITransport(trouble.webhooks(to_app)), timeout=600) as webhooks:
            twilio = TwilioSimulator(
                scenario,
                webhooks,
                chosen.twilio_account_sid,
                chosen.twilio_auth_token,
                trouble.twilio,
                dial=trouble.dial(door.dial),
            )
            async with httpx.AsyncClient(transport=httpx.ASGITransport(trouble.rest(twilio))) as rest:
                api = TwilioApi(chosen.twilio_account_sid, chosen.rest_credentials, "http://api.twilio.test", rest, rng)
                line = TwilioLine(chosen.twilio_phone_number, chosen.lead_server_external_url, api)
                transfers = transfers_of(chosen, line, tokens)
                services = CallServices(
                    roster=roster,
                    connect=deepgram.connect,
                    ask_brief=None,
                    line=line,
                    records=records,
                    policy=policy or CallPolicy(),
                    observe=note,
                    transfers=transfers if has_person(chosen, roster) else None,
                    operator_transfers=transfers,
                    rng=rng,
                )
                door.app = app = create_app(chosen, Opened(services, line, slots, tokens))
                await simulators.start(twilio.run)
                yield Switchboard(twilio, deepgram, records, slots, chosen, tokens, app, door.sockets, entries)
        simulators.cancel_scope.cancel(reason="the test is over")
