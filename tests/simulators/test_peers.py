"""Nothing that one peer does to its connection ends a simulator, or harms another connection."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import httpx
import pytest
import trio

from simulators.deepgram import DeepgramKnobs, serve_deepgram
from simulators.deepgram.server import PATH
from simulators.pacing import PacedClock
from simulators.scenario import CallerLine
from simulators.tls import certificate
from simulators.twilio import dialling
from simulators.twilio.exchange import TwilioKnobs
from simulators.twilio.rest import TwilioSimulator
from tests.simulators.deepgram.client import small_scenario
from tests.simulators.peers import (
    NOT_UPGRADES,
    frames_out_of_turn,
    read_to_end,
    reset,
    upgrade_as_client,
    upgrade_as_server,
)
from tests.simulators.twilio.far_end import ORIGIN, FarEnd, plot

FROM_CLIENT, FROM_SERVER = frames_out_of_turn(masked=True), frames_out_of_turn(masked=False)
REFUSED_AT_ONCE = b"\x81\x82\x00\x00\x00\x00{}"
"""A masked text frame that is no message: the service answers with `Error` and its close, which then waits."""
NOT_ACCEPTED = [
    b"",
    b"\x00\x01 noise\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nno",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
]
PATIENCE = 30.0

Misbehaviour = Callable[[trio.SocketStream], Awaitable[None]]


@asynccontextmanager
async def deepgram() -> AsyncIterator[int]:
    async with trio.open_nursery() as nursery:
        knobs = DeepgramKnobs(settings_applied=0.0, close_code=1011)
        at = await nursery.start(partial(serve_deepgram, small_scenario(), knobs=knobs))
        yield at
        nursery.cancel_scope.cancel(reason="test over")


async def opened(port: int) -> trio.SocketStream:
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    await upgrade_as_client(stream, PATH, "Token any")
    return stream


async def assert_survives(port: int, *misbehaviours: Misbehaviour) -> None:
    """Have many clients misbehave at once, each to the end of its connection, and one be served behind them."""

    async def misbehave(misbehaviour: Misbehaviour) -> None:
        async with await opened(port) as stream:
            await misbehaviour(stream)

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as clients:
            for misbehaviour in misbehaviours:
                clients.start_soon(misbehave, misbehaviour)
        async with await opened(port) as stream:
            assert b"Welcome" in await stream.receive_some()


async def wait_refused(stream: trio.SocketStream) -> None:
    """Have our message refused, and read as far as the service's close frame, without an answer to it."""
    await stream.send_all(REFUSED_AT_ONCE)
    read = b""
    while b"\x88\x02\x03\xf3" not in read:
        data = await stream.receive_some()
        assert data, f"ended without a close frame: {read!r}"
        read += data


async def end_and_read(stream: trio.SocketStream) -> None:
    """Say that we send no more, unless the other end has gone already, and read until it is gone."""
    with suppress(trio.BrokenResourceError):
        await stream.send_eof()
    await read_to_end(stream)


async def out_of_turn(what: str, stream: trio.SocketStream) -> None:
    await stream.send_all(FROM_CLIENT[what])
    await end_and_read(stream)


async def out_of_turn_at_the_end(what: str, stream: trio.SocketStream) -> None:
    await wait_refused(stream)
    await stream.send_all(FROM_CLIENT[what])
    await read_to_end(stream)


async def reset_at_the_end(stream: trio.SocketStream) -> None:
    await wait_refused(stream)
    await reset(stream)


async def test_clients_out_of_turn_in_a_session_end_their_own_connections_only() -> None:
    async with deepgram() as port:
        await assert_survives(port, *(partial(out_of_turn, what) for what in FROM_CLIENT))


@pytest.mark.slow
async def test_clients_out_of_turn_while_the_services_close_waits_end_their_own_connections_only() -> None:
    async with deepgram() as port:
        await assert_survives(port, *(partial(out_of_turn_at_the_end, what) for what in FROM_CLIENT))


async def test_clients_that_reset_their_connections_end_those_only() -> None:
    async with deepgram() as port:
        await assert_survives(port, reset, reset_at_the_end)


async def test_what_is_no_upgrade_ends_its_own_connection_only() -> None:
    async def knock(port: int, what: str) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            with trio.move_on_after(0.1), suppress(trio.BrokenResourceError):
                await stream.send_all(NOT_UPGRADES[what])
                await read_to_end(stream)

    async with deepgram() as port:
        async with trio.open_nursery() as clients:
            for what in NOT_UPGRADES:
                clients.start_soon(knock, port, what)
        await assert_survives(port)


async def test_what_is_no_tls_or_leaves_it_halfway_ends_its_own_connection_only(tmp_path: Path) -> None:
    with certificate(tmp_path) as issued:
        trusting = ssl.create_default_context(cafile=issued.authority)
        serve = partial(serve_deepgram, small_scenario(), ssl_context=issued.server_context())
        async with trio.open_nursery() as nursery:
            at = await nursery.start(serve)
            for rude in (*NOT_UPGRADES.values(), REFUSED_AT_ONCE):
                async with await trio.open_tcp_stream("127.0.0.1", at) as tcp:
                    with trio.move_on_after(0.05), suppress(trio.BrokenResourceError):
                        await tcp.send_all(rude)
                        await read_to_end(tcp)
            for _ in range(2):  # the first one leaves without a word, in the middle of its session
                tcp = await trio.open_tcp_stream("127.0.0.1", at)
                stream = trio.SSLStream(tcp, trusting, server_hostname="localhost", https_compatible=True)
                with trio.fail_after(PATIENCE):
                    await upgrade_as_client(stream, PATH, "Token any")
                    assert b"Welcome" in await stream.receive_some()
                await reset(tcp)
            nursery.cancel_scope.cancel(reason="test over")


async def ends_of_calls(*servers: Misbehaviour, hangs_up: bool = False) -> list[str]:
    """Let calls meet these media servers, all at once, in one simulated Twilio; return how they ended."""
    lines = (CallerLine(hangs_up=True, after=0.1),) if hangs_up else ()
    pages: dict[str, str] = {}
    knobs = TwilioKnobs(0.0, 0.0, stream_close_deadline=2.0)
    async with (
        httpx.AsyncClient(transport=httpx.ASGITransport(FarEnd(pages))) as client,
        trio.open_nursery() as nursery,
    ):
        simulator = TwilioSimulator(plot(*lines, hangs_up=False), client, knobs=knobs)
        await nursery.start(simulator.run)
        for number, serve in enumerate(servers):
            listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
            port = listeners[0].socket.getsockname()[1]
            pages[f"/{number}"] = f'<Response><Connect><Stream url="ws://127.0.0.1:{port}/"/></Connect></Response>'
        calls = [simulator.call_in(f"{ORIGIN}{path}") for path in pages]
        with trio.fail_after(PATIENCE):
            for call in calls:
                await call.wait_over()
        nursery.cancel_scope.cancel(reason="test over")
    return [call.status.value for call in calls]


async def serve_out_of_turn(what: str, stream: trio.SocketStream) -> None:
    await upgrade_as_server(stream)
    await stream.send_all(FROM_SERVER[what])
    await end_and_read(stream)


async def serve_out_of_turn_at_the_end(what: str, stream: trio.SocketStream) -> None:
    await upgrade_as_server(stream)
    read = b""
    while b"\x88\x82" not in read:
        data = await stream.receive_some()
        assert data, "ended without a close frame"
        read += data
    await stream.send_all(FROM_SERVER[what])
    await read_to_end(stream)


async def answer_without_an_upgrade(answer: bytes, stream: trio.SocketStream) -> None:
    await stream.receive_some()
    await stream.send_all(answer)
    await reset(stream)


async def test_servers_out_of_turn_cost_their_streams_only(fast_clock: PacedClock) -> None:
    ends = await ends_of_calls(*(partial(serve_out_of_turn, what) for what in FROM_SERVER))

    assert set(ends) == {"completed"}


@pytest.mark.slow
async def test_servers_out_of_turn_while_twilios_close_waits_cost_their_streams_only(fast_clock: PacedClock) -> None:
    ends = await ends_of_calls(*(partial(serve_out_of_turn_at_the_end, what) for what in FROM_SERVER), hangs_up=True)

    assert set(ends) == {"completed"}


async def test_servers_that_do_not_upgrade_cost_their_streams_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialling, "HANDSHAKE_SECONDS", 0.2)

    ends = await ends_of_calls(*(partial(answer_without_an_upgrade, answer) for answer in NOT_ACCEPTED))

    assert set(ends) == {"completed"}
