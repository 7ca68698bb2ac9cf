"""Frames are read and written as wsproto does it, whatever comes and however it is cut; wsproto is the oracle."""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, TextMessage
from wsproto.events import Ping as TheirPing
from wsproto.events import Pong as TheirPong

from protocol import frames
from protocol.errors import RemoteProtocolError
from protocol.frames import Close, FrameReader, Ping, Pong, Received
from tests.examples import EXAMPLES, FULL, UNICODE

LIMIT = 100_000
Story: TypeAlias = tuple[list[Received], int | None]
"""What was read, and the close code of the fault that ended it."""

CODES = st.one_of(st.sampled_from([1000, 1001, 1003, 1007, 1011, 1013]), st.integers(3000, 4999))
MESSAGES = st.one_of(
    st.text(UNICODE, max_size=300), st.binary(max_size=300), st.sampled_from(["x" * 70_000, b"y" * 126])
)
CONTROLS = st.one_of(
    st.binary(max_size=125).map(Ping),
    st.binary(max_size=125).map(Pong),
)
SIDES = st.sampled_from([ConnectionType.CLIENT, ConnectionType.SERVER])
CUTS = st.lists(st.integers(1, 400), max_size=30)


def in_pieces(data: bytes, cuts: Sequence[int]) -> Iterable[bytes]:
    for cut in cuts:
        yield data[:cut]
        data = data[cut:]
    yield data


def ours(data: bytes, cuts: Sequence[int], sender: ConnectionType) -> Story:
    reader = FrameReader(sender is ConnectionType.CLIENT, LIMIT)
    try:
        for piece in in_pieces(data, cuts):
            reader.receive(piece)
    except RemoteProtocolError as error:
        return list(reader.arrived), int(error.code)
    return list(reader.arrived), None


@attrs.define
class Oracle:
    """What wsproto makes of the same bytes: whole messages, as ours are."""

    read: list[Received] = attrs.field(factory=list)
    texts: list[str] = attrs.field(factory=list)
    binaries: list[bytes] = attrs.field(factory=list)

    def take(self, event: Event) -> None:
        match event:
            case TextMessage(data=text, message_finished=last):
                self.texts.append(text)
                if last:
                    self.read.append("".join(self.texts))
                    self.texts.clear()
            case BytesMessage(data=data, message_finished=last):
                self.binaries.append(bytes(data))
                if last:
                    self.read.append(b"".join(self.binaries))
                    self.binaries.clear()
            case TheirPing():
                self.read.append(Ping(bytes(event.payload)))
            case TheirPong():
                self.read.append(Pong(bytes(event.payload)))
            case CloseConnection():
                self.read.append(Close(int(event.code), event.reason or ""))
            case _:
                raise AssertionError(event)


def theirs(data: bytes, cuts: Sequence[int], sender: ConnectionType) -> Story:
    receiver = ConnectionType.SERVER if sender is ConnectionType.CLIENT else ConnectionType.CLIENT
    connection, oracle = Connection(receiver), Oracle()
    for piece in in_pieces(data, cuts):
        connection.receive_data(piece)
        for event in connection.events():
            if isinstance(event, CloseConnection) and connection.state is ConnectionState.OPEN:
                return oracle.read, int(event.code)  # its own, for a fault of the peer's
            oracle.take(event)
    return oracle.read, None


def written(sender: ConnectionType, messages: Iterable[Received], pieces: Sequence[int]) -> bytes:
    """Have wsproto write messages, each in several frames."""
    connection, data = Connection(sender), b""
    for message in messages:
        if isinstance(message, Ping | Pong):
            kind = TheirPing if isinstance(message, Ping) else TheirPong
            data += connection.send(kind(payload=message.payload))
            continue
        assert isinstance(message, str | bytes)
        rest = message
        for size in pieces:
            data += connection.send(_part(rest[:size], last=False))
            rest = rest[size:]
        data += connection.send(_part(rest, last=True))
    return data


def _part(data: str | bytes, *, last: bool) -> TextMessage | BytesMessage:
    if isinstance(data, str):
        return TextMessage(data=data, message_finished=last)
    return BytesMessage(data=data, message_finished=last)


@given(SIDES, st.lists(MESSAGES | CONTROLS, max_size=6), st.lists(st.integers(0, 90), max_size=2), CUTS)
def test_what_wsproto_writes_we_read(
    sender: ConnectionType, messages: list[Received], pieces: list[int], cuts: list[int]
) -> None:
    assert ours(written(sender, messages, pieces), cuts, sender) == (messages, None)


@given(SIDES, st.lists(MESSAGES, max_size=6), st.binary(max_size=125), CODES, st.text(UNICODE, max_size=200))
def test_what_we_write_wsproto_reads(
    sender: ConnectionType, messages: list[str | bytes], payload: bytes, code: int, reason: str
) -> None:
    masked = sender is ConnectionType.CLIENT
    data = b"".join(frames.message_frame(message, masked=masked) for message in messages)
    data += frames.pong_frame(payload, masked=masked) + frames.close_frame(code, reason, masked=masked)
    shortened = reason.encode()[:123].decode(errors="ignore")

    assert theirs(data, [], sender) == ([*messages, Pong(payload), Close(code, shortened)], None)


@pytest.mark.parametrize("code", [1005, 1006, 1015, 42])
def test_a_close_code_that_cannot_be_said_is_left_out(code: int) -> None:
    assert theirs(frames.close_frame(code, "why", masked=True), [], ConnectionType.CLIENT) == ([Close(1005, "")], None)


def test_masks_are_new_each_time() -> None:
    assert len({frames.message_frame(b"the same", masked=True) for _ in range(10)}) == 10


FIRST = st.one_of(st.integers(0, 255), st.sampled_from([0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x88, 0x89, 0x8A]))
LENGTHS = st.one_of(st.integers(0, 255), st.sampled_from([0x00, 0x02, 0x05, 0x7E, 0x7F, 0x80, 0x82, 0x85, 0xFE, 0xFF]))
NEARLY = st.builds(lambda first, length, rest: bytes((first, length)) + rest, FIRST, LENGTHS, st.binary(max_size=14))


def test_text_that_is_not_utf8_is_refused_whole_or_in_pieces() -> None:
    for data in (b"\x81\x02\xc3\x28", b"\x01\x01\xc3\x80\x01\x28"):
        assert ours(data, [], ConnectionType.SERVER) == ([], 1007)


@given(SIDES, st.lists(NEARLY, max_size=4).map(b"".join), CUTS)
@settings(max_examples=2 * EXAMPLES if FULL else EXAMPLES)
@example(ConnectionType.SERVER, b"\x82\x7e\x00\x05hello", [])
@example(ConnectionType.SERVER, b"\x82\x7f\x80\0\0\0\0\0\0\0", [])
@example(ConnectionType.SERVER, b"\x88\x02\x03\xed", [])
@example(ConnectionType.SERVER, b"\x88\x01\x03", [])
@example(ConnectionType.SERVER, b"\x88\x03\x03\xe8\xff", [])
@example(ConnectionType.SERVER, b"\x81\x01\xff", [])
@example(ConnectionType.SERVER, b"\x01\x01x\x81\x01x", [])
@example(ConnectionType.SERVER, b"\x80\x00", [])
@example(ConnectionType.SERVER, b"\xc1\x00", [])
@example(ConnectionType.SERVER, b"\x83\x00", [])
@example(ConnectionType.SERVER, b"\x09\x00", [])
@example(ConnectionType.SERVER, b"\x89\x7e\x00\x80", [])
@example(ConnectionType.CLIENT, b"\x81\x00", [])
@example(ConnectionType.SERVER, b"\x81\x80\x00\x00\x00\x00", [])
@example(ConnectionType.SERVER, b"\x88\x00\x81\x01x", [])
def test_nonsense_is_refused_as_wsproto_refuses_it(sender: ConnectionType, data: bytes, cuts: list[int]) -> None:
    """Only `RemoteProtocolError` escapes. wsproto looks into text that has not come in full yet; we do not."""
    data += bytes(200)  # so that neither waits for more before it says what is wrong
    (read, code), (expected, wanted) = ours(data, cuts, sender), theirs(data, cuts, sender)

    if code == frames.TOO_BIG:  # wsproto has no limit
        assert read == expected[: len(read)]
    elif wanted == frames.INVALID_DATA:
        assert read[: len(expected)] == expected
        assert code != frames.INVALID_DATA or read == expected
    else:
        assert (read, code) == (expected, wanted)


@pytest.mark.parametrize(
    "data",
    [
        frames.message_frame(b"x" * 11, masked=False),
        b"\x02\x06" + b"x" * 6 + b"\x80\x05" + b"x" * 5,
        b"\x82\x7f" + (2**40).to_bytes(8),
    ],
)
def test_a_message_over_the_limit_is_refused_before_it_is_read(data: bytes) -> None:
    reader = FrameReader(masked=False, limit=10)
    with pytest.raises(RemoteProtocolError) as refused:
        reader.receive(data)

    assert (refused.value.code, list(reader.arrived)) == (1009, [])


def test_a_message_in_empty_pieces_takes_no_memory() -> None:
    reader = FrameReader(masked=False, limit=10)
    reader.receive(b"\x02\x00" + b"\x00\x00" * 10_000)

    assert len(reader._parts) == 0
    reader.receive(b"\x80\x01x")
    assert list(reader.arrived) == [b"x"]


def test_audio_in_pieces_is_joined_up_to_the_next_message_of_another_kind() -> None:
    reader = FrameReader(masked=False, limit=10, joins_binary=True)
    said: list[str | bytes] = [b"one", b"", b"two", "text", "more", b"three", b"four"]
    reader.receive(b"".join(frames.message_frame(message, masked=False) for message in said))
    reader.receive(b"\x89\x00" + frames.message_frame(b"five", masked=False))

    assert list(reader.arrived) == [b"onetwo", "text", "more", b"threefour", frames.Ping(b""), b"five"]


def test_a_message_at_the_limit_is_read() -> None:
    reader = FrameReader(masked=False, limit=10)
    reader.receive(b"\x02\x06" + b"x" * 6 + b"\x80\x04" + b"x" * 4)

    assert list(reader.arrived) == [b"x" * 10]


def test_what_came_before_a_fault_has_arrived_and_nothing_comes_after_it() -> None:
    reader = FrameReader(masked=False, limit=10)
    with pytest.raises(RemoteProtocolError, match="opcode 0x3"):
        reader.receive(b"\x81\x03one\x83\x00")
    reader.receive(b"\x81\x03two")

    assert list(reader.arrived) == ["one"]


def test_a_long_message_that_drips_is_looked_at_once() -> None:
    """A megabyte in pieces of four hundred bytes is put together, not parsed anew with each piece."""
    reader, data = FrameReader(masked=True, limit=2**20), frames.message_frame(b"z" * 2**20, masked=True)
    for start in range(0, len(data), 400):
        reader.receive(data[start : start + 400])

    assert list(reader.arrived) == [b"z" * 2**20]
