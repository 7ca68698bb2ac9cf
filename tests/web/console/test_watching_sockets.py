"""A watcher on a real connection that stops reading: the server drops it, and the call does not notice."""

import socket
import time
from functools import partial

import pytest
import trio

from tests.web.console.test_watching import Running
from tests.web.fakes import API_TOKEN, CALL_SID, HERE, context_of, exchange
from tests.web.test_serving import listening
from web.sockets.connections import limit_stalled_writes

SMALL = 4096
SEGMENT = 536
"""Bytes: the loopback's own buffers would take in a megabyte before the server notices anything."""


@pytest.mark.real_time
@pytest.mark.parametrize("view", ["events", "audio"])
async def test_a_watcher_that_stops_reading_is_dropped(view: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.serving.limit_stalled_writes", partial(limit_stalled_writes, seconds=1.0))
    there = exchange(
        LEAD_SERVER_EXTERNAL_URL=HERE["LEAD_SERVER_EXTERNAL_URL"],
        TWILIO_API_URL=HERE["TWILIO_API_URL"],
        API_TOKEN=API_TOKEN,
    )
    watched = context_of(there).watched
    call = Running.of(watched.watch(CALL_SID))
    async with listening(there) as at:
        host, _, port = at.partition(":")
        with trio.socket.socket() as stream:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
            await stream.connect((host, int(port)))
            lines = [f"GET /calls/{CALL_SID}/{view} HTTP/1.1", f"Host: {at}", f"Authorization: Bearer {API_TOKEN}"]
            await stream.send("\r\n".join([*lines, "", ""]).encode())
            with trio.fail_after(20):
                while not watched.watchers:  # noqa: ASYNC110 - by a real connection
                    await trio.sleep(0.01)
                slowest = 0.0
                while watched.watchers:
                    began = time.perf_counter()
                    call.says(*["word " * 200] * 10)
                    slowest = max(slowest, time.perf_counter() - began)
                    await trio.sleep(0.02)

    assert slowest < 0.5  # a preemption by other programs; waiting for the watcher would take a second
