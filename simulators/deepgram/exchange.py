"""The simulated Voice Agent service in memory, for tests and users' tests: no port, no network, any clock.

`DeepgramExchange` is opened with `async with`; each `connect` gives the client's end of one WebSocket whose other end
is served by a task of the exchange. It owns those tasks and cancels them when it is left. A fault that refuses a
connection raises what `refuse` makes of the HTTP status. A bug in the simulator comes out of the exchange.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import attrs
import trio
from trio_websocket import ConnectionRejected

from protocol.wire import PacedWebSocket, opening
from simulators.deepgram.knobs import DeepgramKnobs
from simulators.deepgram.log import ExchangeLog, Refused
from simulators.deepgram.session import converse
from simulators.faults import FaultPlan
from simulators.memory import GOODBYE_SECONDS, MemoryWebSocket, memory_websocket_pair
from simulators.scenario import Scenario


def rejected(status: int) -> Exception:
    """Make the exception that trio-websocket raises for a refused upgrade."""
    return ConnectionRejected(status, (), None)


@attrs.define(eq=False)
class DeepgramExchange:
    """A Voice Agent service in memory.

    *Closes* every connection when left.
    """

    scenario: Scenario
    knobs: DeepgramKnobs = attrs.field(factory=DeepgramKnobs)
    faults: FaultPlan = attrs.field(
        default=attrs.Factory(lambda exchange: FaultPlan(exchange.scenario.faults), takes_self=True)
    )
    refuse: Callable[[int], Exception] = rejected
    prompt: bool = False
    """True: the client sends without waiting what there is room for, as over a real socket."""
    log: ExchangeLog = attrs.field(factory=ExchangeLog, init=False)
    connections: int = attrs.field(default=0, init=False)
    """How many connections were asked for so far."""
    _tasks: AsyncExitStack = attrs.field(factory=AsyncExitStack, init=False)
    _nursery: trio.Nursery | None = attrs.field(default=None, init=False)
    # The exchange is the owner of its sessions, as a server is: they end with it, not with the client's task.

    async def __aenter__(self) -> Self:
        self._nursery = await self._tasks.enter_async_context(trio.open_nursery())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        assert self._nursery is not None  # noqa: S101 -- entered before it is left
        if error is None:
            self._nursery.cancel_scope.deadline = trio.current_time() + GOODBYE_SECONDS
        else:
            self._nursery.cancel_scope.cancel(reason="exchange left by an exception")
        self._nursery = None
        try:
            return await self._tasks.__aexit__(kind, error, traceback)  # noqa: ASYNC102 -- the nursery's own exit
        except BaseExceptionGroup as group:
            if group.exceptions == (error,):  # the body's own, which the nursery has wrapped
                return False
            raise

    @opening
    async def connect(self) -> AsyncIterator[PacedWebSocket]:
        """Open one connection and return the client's end; it is closed on leaving, within a second.

        *Raises* what `refuse` makes of the HTTP status, when a fault refuses the connection.
        """
        self.connections += 1
        connection = self.connections
        await trio.sleep(self.knobs.upgrade)
        faults = self.faults.for_connection(connection)
        if faults.has("no upgrade"):
            await trio.sleep_forever()
        if status := faults.number("refuse connect"):
            self.log.put(Refused(trio.current_time(), connection, status))
            raise self.refuse(status)
        client, server = memory_websocket_pair()
        client.is_prompt = self.prompt
        scope = self._serve(server, connection)
        yield client
        scope.deadline = trio.current_time() + GOODBYE_SECONDS
        with trio.move_on_after(GOODBYE_SECONDS):
            await client.aclose()
        client.drop()

    def _serve(self, server: MemoryWebSocket, connection: int) -> trio.CancelScope:
        """Start one session; cancelling the scope ends it."""
        if self._nursery is None:
            raise RuntimeError("connect() needs an open exchange: `async with DeepgramExchange(...) as exchange:`")
        scope = trio.CancelScope()

        async def drop() -> None:
            server.drop()
            await trio.lowlevel.checkpoint()

        def fall_silent() -> None:
            server.answers_pings = False

        async def session() -> None:
            with scope:
                await converse(
                    server,
                    self.scenario,
                    connection=connection,
                    knobs=self.knobs,
                    faults=self.faults,
                    log=self.log,
                    drop=drop,
                    fall_silent=fall_silent,
                )

        self._nursery.start_soon(session, name=f"Voice Agent session {connection}")
        return scope
