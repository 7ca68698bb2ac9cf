"""Peers that stall, over real sockets: each is given up within its deadline, and it is written down.

The seconds are those of a fast clock, twenty in a real one.
"""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import cast

import pytest
import trio
from hypercorn.trio import serve
from hypercorn.typing import Framework
from wsproto.utilities import generate_accept_token

from actors.facts import CallerHungUp, SessionCrashed, SessionFailed
from actors.line.reply import Voice
from actors.twilio_bridge import TwilioBridge
from demo.stage import Door, Keys, demo_settings
from protocol import frames
from protocol.frames import FrameReader
from protocol.twilio import MediaArrived
from simulators.pacing import PacedClock
from simulators.twilio.codec import encode_event
from tests.actors.fakes import STREAM_SID, Watched, speech, words
from tests.e2e.line import SHORT, open_line
from web.app import BODY_SECONDS, create_app
from web.services import open_services
from web.serving import server_config
from web.sockets.frame_stream import FrameStream
from web.sockets.open_socket import CLOSE_SECONDS
from web.sockets.versions import install

pytestmark = pytest.mark.real_time

SLACK = 4.0
"""Two fifths of a second of this machine's, if nothing else is said."""
Talk = Callable[[trio.SocketStream], Awaitable[None]]


@asynccontextmanager
async def listening(talk: Talk, *, buffer: int | None = None) -> AsyncIterator[int]:
    """Have every connection to a port answered so."""
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        if buffer is not None:
            listener.socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_SNDBUF, buffer)
        await nursery.start(trio.serve_listeners, talk, [listener])
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel(reason="end of the test")


# Twilio


@pytest.mark.parametrize(
    ("speaks", "died_of", "after"),
    [(True, {"reads nothing", "plays nothing"}, 10 + 2), (False, {"no media"}, 10)],
    ids=["it does not read", "it does not speak"],
)
async def test_a_line_that_stalls_is_left(
    speaks: bool, died_of: set[str], after: float, fast_clock: PacedClock
) -> None:
    """The buffers between hold less than two seconds of audio; and nobody waits long for a goodbye.

    Who does not read plays nothing either: which of the two is noticed first depends on what the buffers took.
    """
    watched, ends = Watched(), list[tuple[CallerHungUp, float]]()

    async def carry(stream: trio.SocketStream) -> None:
        voice = Voice("first")
        watched.state.ledger.grant(voice)
        watched.state.ledger.put(voice, words(60).data)
        socket = FrameStream(stream, FrameReader(masked=True, limit=2**16))
        left = await TwilioBridge(watched.state, socket, STREAM_SID).run()
        await socket.aclose()
        ends.append((left, trio.current_time() - began))

    async with listening(carry, buffer=4096) as port:
        with trio.socket.socket() as peer:
            peer.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 4096)
            await peer.connect(("127.0.0.1", port))
            began = trio.current_time()
            while not ends:
                media = encode_event(MediaArrived(speech(1), None), sequence=2, stream_sid=STREAM_SID)
                if speaks:
                    await peer.send(frames.message_frame(media, masked=True))
                await trio.sleep(0.5)

    ((left, took),) = ends
    assert left.how in died_of
    assert 10 <= took <= after + CLOSE_SECONDS + SLACK


# Deepgram


async def test_a_service_that_accepts_and_says_nothing_is_given_up_whatever_it_has_accepted(
    tmp_path: Path, fast_clock: PacedClock
) -> None:
    """The upgrade, the Welcome, SettingsApplied: what never comes costs 5 s, and after three of them none is tried."""
    faults = ["deepgram: no upgrade", "deepgram: no welcome on connection 2", "deepgram: stall on connection 3"]
    async with open_line(tmp_path, SHORT, *faults) as line:
        call = line.call_in()
        await line.wait_over(call)
        record = await line.record_of(call)

    assert record.outcome == "no_agent"
    assert len(line.facts(SessionFailed)) == 3
    assert all("within 5 s" in fact.error for fact in line.facts(SessionFailed))
    assert 15 <= record.duration <= 15.3 + 2 * SLACK


async def test_a_service_that_answers_pings_and_nothing_else_is_noticed(tmp_path: Path, fast_clock: PacedClock) -> None:
    async with open_line(tmp_path, SHORT, "deepgram: silent drop after 200 ms", SILENCE_BUDGET="10") as line:
        call = line.call_in()
        await line.wait_over(call)
        record = await line.record_of(call)

    assert (record.outcome, record.restarts) == ("completed", 1)
    error = line.facts(SessionCrashed)[0].error  # what it was asked for last depends on the machine
    assert "it gives no sign of life" in error or "it does not say what it is asked to" in error


async def drip_upgrade(stream: trio.SocketStream) -> None:
    await drip(stream, b"HTTP/1.1 101 Switching Protocols\r\n")


async def drip_welcome(stream: trio.SocketStream) -> None:
    head = (await stream.receive_some()).decode("latin-1")
    key = head.partition("Sec-WebSocket-Key: ")[2].partition("\r\n")[0]
    token = generate_accept_token(key.encode())
    await stream.send_all(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + token
        + b"\r\n\r\n"
    )
    await drip(stream, frames.message_frame('{"type": "Welcome", "request_id": "1"}', masked=False))


async def drip(stream: trio.SocketStream, text: bytes) -> None:
    """Send a byte now and then, as far as anybody listens; never as a limit of five or ten seconds is over."""
    with suppress(trio.BrokenResourceError):
        for byte in text:
            await trio.sleep(1.5)
            await stream.send_all(bytes([byte]))
        await trio.sleep_forever()


async def test_a_service_that_drips_is_given_up(tmp_path: Path, fast_clock: PacedClock) -> None:
    """First with the upgrade, then with the Welcome behind it."""
    calls = itertools.cycle([drip_upgrade, drip_welcome])

    async def talk(stream: trio.SocketStream) -> None:
        await next(calls)(stream)

    async with (
        listening(talk) as port,
        open_line(tmp_path, DEEPGRAM_AGENT_URL=f"ws://127.0.0.1:{port}/v1/agent/converse") as line,
    ):
        call = line.call_in()
        await line.wait_over(call)
        record = await line.record_of(call)

    assert record.outcome == "no_agent"
    assert len(line.facts(SessionFailed)) == 3
    assert 15 <= record.duration <= 15.3 + 2 * SLACK


# Clients of our web server


@asynccontextmanager
async def our_server(folder: Path) -> AsyncIterator[int]:
    door, closing = Door(), trio.Event()
    settings = demo_settings(
        Keys(operator="operator"),
        {
            "DEEPGRAM_API_KEY": "key",
            "DEEPGRAM_AGENT_URL": "ws://127.0.0.1:9/v1/agent/converse",
            "DEEPGRAM_SPEAK_URL": f"{door.url}/v1/speak",
            "GROQ_API_KEY": "key",
            "GROQ_BASE_URL": door.url,
        },
        twilio=door.url,
        server=door.url,
        recordings=folder,
    )
    install()
    config = server_config(settings)
    config.bind, config.loglevel = [door.bind], "CRITICAL"
    async with open_services(settings) as opened, trio.open_nursery() as nursery:
        app = cast("Framework", create_app(settings, opened))
        await nursery.start(partial(serve, app, config, shutdown_trigger=closing.wait, mode="asgi"))
        yield int(door.url.rpartition(":")[2])
        closing.set()


UNSIGNED = b"POST /twilio/voice HTTP/1.1\r\nHost: here\r\nContent-Type: application/x-www-form-urlencoded\r\n"
SIGNATURE = b"X-Twilio-Signature: none\r\n"
FORM = UNSIGNED + SIGNATURE
JSON = b"POST %s HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
LENGTH, CHUNKED = b"Content-Length: 1000\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n"
ONE_REQUEST = b"GET %s HTTP/1.1\r\nHost: here\r\n\r\n"
H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
H2_UPGRADE = b"GET /healthz HTTP/1.1\r\nHost: here\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
OPERATOR = b"Authorization: Bearer operator\r\n"
UPGRADE = b"GET /twilio HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"


STALLS: Mapping[str, tuple[bytes, float]] = {
    "nothing": (b"", 5.0),
    "headers": (FORM + b"X-Slow: ", 5.0),
    "upgrade": (UPGRADE + b"Sec-WebSocket-Key: ", 5.0),
    "form": (FORM + b"Content-Length: 1000\r\n\r\nCallSid=", BODY_SECONDS),
    "an unsigned form": (UNSIGNED + b"Content-Length: 1000\r\n\r\nCallSid=", 0.0),
    "a webhook's body": (JSON % b"/twilio/voice" + SIGNATURE + LENGTH, BODY_SECONDS),
    "a webhook's chunks": (JSON % b"/twilio/status" + SIGNATURE + CHUNKED, BODY_SECONDS),
    "an order's body": (JSON % b"/calls" + OPERATOR + LENGTH, BODY_SECONDS),
    "an order's chunks": (JSON % b"/calls" + OPERATOR + CHUNKED, BODY_SECONDS),
    "a stranger's order": (JSON % b"/calls" + LENGTH, 0.0),
    "a body nobody reads": (JSON % b"/nowhere" + LENGTH, 0.0),
    "after an answer": (ONE_REQUEST % b"/healthz", 5.0),
    "after two answers": (2 * (ONE_REQUEST % b"/healthz"), 5.0),
    "after a 404": (ONE_REQUEST % b"/nowhere", 5.0),
    "HTTP/2": (H2_PREFACE, 0.0),
    "an offer of HTTP/2": (H2_UPGRADE + b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n", 5.0),
}
"""What a peer says before it drips, and after how long it is hung up on."""


async def seconds_until_hung_up_on(port: int, begin: bytes) -> float:
    began = trio.current_time()
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream, trio.open_nursery() as nursery:
        await stream.send_all(begin)
        if begin:
            nursery.start_soon(drip, stream, b"x" * 900)
        with trio.move_on_after(40), suppress(trio.BrokenResourceError):
            while await stream.receive_some():
                """A response is no hang-up."""
        took = trio.current_time() - began
        nursery.cancel_scope.cancel(reason="hung up on")
    return took


async def test_requests_that_never_end_are_hung_up_on(tmp_path: Path, fast_clock: PacedClock) -> None:
    took = dict[str, float]()

    async def stall(kind: str, begin: bytes) -> None:
        took[kind] = await seconds_until_hung_up_on(port, begin)

    async with our_server(tmp_path) as port, trio.open_nursery() as nursery:
        for kind, (begin, _) in STALLS.items():
            nursery.start_soon(stall, kind, begin)

    late = {
        kind: took[kind] for kind, (_, within) in STALLS.items() if not within - 0.5 <= took[kind] <= within + SLACK
    }
    assert late == {}
