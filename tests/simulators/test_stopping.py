import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from simulators.asgi import Message, Receive, Request, Response, Send, answer_scope, serve_app
from simulators.command import SIGNALS, until_stopped


@pytest.fixture(autouse=True)
def _ignored() -> Iterator[None]:
    """Have both signals ignored, as a shell does with SIGINT for what a script runs in the background."""
    before = [signal.signal(number, signal.SIG_IGN) for number in SIGNALS]
    yield
    for number, handler in zip(SIGNALS, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
async def test_a_signal_stops_what_would_swallow_an_interrupt_and_the_next_one_ends_the_process(number: int) -> None:
    then: list[object] = []

    async def work() -> None:
        with suppress(KeyboardInterrupt):  # as hypercorn does with one in a request
            signal.raise_signal(number)
        then.extend(signal.getsignal(each) for each in SIGNALS)
        await trio.sleep_forever()

    assert await until_stopped(work)
    assert then == [signal.SIG_DFL, signal.SIG_DFL]
    assert [signal.getsignal(each) for each in SIGNALS] == [signal.SIG_IGN, signal.SIG_IGN]


async def test_work_that_ends_by_itself_was_not_stopped() -> None:
    assert not await until_stopped(trio.lowlevel.checkpoint)


async def at_length(scope: Message, receive: Receive, send: Send) -> None:
    async def answer(_: Request) -> Response:
        await trio.lowlevel.checkpoint()
        return Response(200, bytes(2**24))

    await answer_scope(scope, receive, send, answer)


@pytest.mark.real_time
@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux gives such a peer up")
async def test_a_client_that_reads_nothing_keeps_no_simulator_from_stopping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulators.asgi.STALL_SECONDS", 0.5)
    async with trio.open_nursery() as peers:
        async with trio.open_nursery() as simulator:
            port = await simulator.start(partial(serve_app, at_length))
            client = await trio.open_tcp_stream("127.0.0.1", port)
            peers.start_soon(leave, client)
            await client.send_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
            await client.receive_some(1)
            await wait_all_tasks_blocked(0.05)  # the answer fills all buffers
            simulator.cancel_scope.cancel(reason="it is stopped")
        assert client.socket.fileno() >= 0
        peers.cancel_scope.cancel(reason="end of the test")


async def leave(client: trio.SocketStream) -> None:
    try:
        await trio.sleep(25)
    finally:
        await trio.aclose_forcefully(client)
