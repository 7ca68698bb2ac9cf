"""Frames over TLS: many records in one read, at once in both directions, and an end that says so."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
import trustme

from protocol import frames
from protocol.frames import Close, FrameReader
from simulators.pacing import PacedClock
from web.sockets import frame_stream
from web.sockets.frame_stream import FrameStream

LIMIT = 2**20


@attrs.define
class Memory:
    """What OpenSSL reads from or writes to, and the most that has been in it."""

    inner: ssl.MemoryBIO
    most: int = 0

    @property
    def pending(self) -> int:
        return self.inner.pending

    def write(self, data: bytes) -> None:
        self.inner.write(data)
        self.most = max(self.most, self.inner.pending)

    def read(self) -> bytes:
        self.most = max(self.most, self.inner.pending)
        return self.inner.read()


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[FrameStream, trio.SSLStream[trio.SocketStream]]]:
    """Open our end, as after a handshake, and the service's."""
    authority = trustme.CA()
    serving, asking = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(serving)
    authority.configure_trust(asking)
    one, other = trio.socket.socketpair()
    async with trio.SocketStream(one) as near, trio.SocketStream(other) as far:
        ours = trio.SSLStream(near, asking, server_hostname="localhost", https_compatible=True)
        theirs = trio.SSLStream(far, serving, server_side=True, https_compatible=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(theirs.do_handshake)
            await ours.do_handshake()
        yield FrameStream(ours, FrameReader(masked=False, limit=LIMIT, joins_binary=True)), theirs


async def test_all_records_that_have_come_are_read_at_once() -> None:
    async with connected() as (ours, theirs):
        for number in range(20):
            await theirs.send_all(frames.message_frame(bytes([number]) * 160, masked=False))

        received = await ours.receive()

    assert received == b"".join(bytes([number]) * 160 for number in range(20))


async def test_a_read_writes_nothing_when_tls_has_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    written = list[bytes]()

    def write_some(_: trio.socket.SocketType, data: bytes) -> int:
        written.append(data)
        return len(data)

    async with connected() as (ours, theirs):
        await theirs.send_all(frames.message_frame(bytes(160), masked=False))
        await ours.receive()  # with what is left of the handshake
        monkeypatch.setattr(frame_stream, "write_some", write_some)
        for _ in range(3):
            await theirs.send_all(frames.message_frame(bytes(160), masked=False))
            await ours.receive()
        monkeypatch.undo()

    assert not written


@pytest.mark.slow
@pytest.mark.parametrize("stride", [0.02, 0.04, 0.08])
async def test_audio_that_gathers_does_not_fall_behind(stride: float, fast_clock: PacedClock) -> None:
    heard, late = 0, 0.0
    async with connected() as (ours, theirs), trio.open_nursery() as nursery:

        async def speak() -> None:
            begins = trio.current_time()
            for number in range(25):
                await trio.sleep_until(begins + number * 0.02)
                await theirs.send_all(frames.message_frame(bytes(160), masked=False))

        nursery.start_soon(speak)
        began = trio.current_time()
        while heard < 25:
            ours.gather(stride)
            received = await ours.receive()
            heard += len(received) // 160 if isinstance(received, bytes) else 0
            late = trio.current_time() - began - heard * 0.02

    assert late < 0.2


@pytest.mark.parametrize("size", [0, 1, 160, 20_000, 300_000])
async def test_what_we_say_arrives_whole_and_in_order(size: int) -> None:
    said = FrameReader(masked=True, limit=LIMIT)
    async with connected() as (ours, theirs), trio.open_nursery() as nursery:

        async def speak() -> None:
            for number in range(5):
                await ours.send(bytes([number]) * size)
            await ours.send("over")

        nursery.start_soon(speak)
        while len(said.arrived) < 6:
            said.receive(bytes(await theirs.receive_some()))

    assert list(said.arrived) == [*(bytes([number]) * size for number in range(5)), "over"]


async def test_openssl_is_given_little_at_once_since_it_keeps_all_the_room_it_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with connected() as (ours, theirs):
        assert ours._tls is not None
        incoming, outgoing = Memory(ours._tls._incoming), Memory(ours._tls._outgoing)
        monkeypatch.setattr(ours._tls, "_incoming", incoming)
        monkeypatch.setattr(ours._tls, "_outgoing", outgoing)
        await theirs.send_all(frames.message_frame(bytes(50_000), masked=False))
        received = await ours.receive()
        await ours.send(bytes(50_000))

    assert received == bytes(50_000)
    assert 160 < incoming.most < 5_000
    assert 160 < outgoing.most < 5_000


async def test_there_is_room_for_a_chunk_without_waiting() -> None:
    async with connected() as (ours, theirs):
        assert ours.send_nowait(bytes(640))

        said = FrameReader(masked=True, limit=LIMIT)
        said.receive(bytes(await theirs.receive_some()))
        assert said.arrived[0] == bytes(640)


async def test_a_service_that_stops_reading_leaves_no_room() -> None:
    async with connected() as (ours, _):
        sent = 0
        while ours.send_nowait(bytes(20_000)) and sent < 10_000:
            sent += 1

        assert 0 < sent < 10_000


async def test_the_end_of_the_connection_is_the_end() -> None:
    async with connected() as (ours, theirs):
        await theirs.send_all(frames.message_frame("last", masked=False))
        await theirs.transport_stream.aclose()

        assert await ours.receive() == "last"
        assert isinstance(await ours.receive(), frames.Close)


@pytest.mark.parametrize("gathers", [0.0, 0.02])
async def test_what_has_come_before_a_record_that_is_none_is_heard(gathers: float) -> None:
    async with connected() as (ours, theirs):
        ours.gather(gathers)
        await theirs.send_all(frames.message_frame("last words", masked=False))
        await theirs.transport_stream.send_all(b"\x17\x03\x03\x00\x05never")

        assert [await ours.receive(), await ours.receive()] == ["last words", Close(frames.ABNORMAL, "")]
