"""Frames are read and written as the library websockets does it, at either end and however they are cut."""

from collections.abc import Iterable, Sequence

from hypothesis import assume, given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side, State

from protocol import frames
from protocol.errors import RemoteProtocolError
from protocol.frames import Close, FrameReader, Ping, Pong, Received
from tests.examples import UNICODE
from tests.protocol.test_frames import CODES, CONTROLS, CUTS, LIMIT, MESSAGES, NEARLY, in_pieces

LENGTH_FAULT = -1
LENGTHS = (
    "a length written in more bytes than it needs",
    "a length of more than 63 bits",
    "a control frame of more than 125 bytes",
)
Story = tuple[list[Received], int | None]
SIDES = st.sampled_from([Side.CLIENT, Side.SERVER])
OTHER = {Side.CLIENT: Side.SERVER, Side.SERVER: Side.CLIENT}


def ours(data: bytes, cuts: Sequence[int], sender: Side) -> Story:
    reader = FrameReader(sender is Side.CLIENT, LIMIT)
    try:
        for piece in in_pieces(data, cuts):
            reader.receive(piece)
    except RemoteProtocolError as error:
        return list(reader.arrived), LENGTH_FAULT if error.reason in LENGTHS else int(error.code)
    return list(reader.arrived), None


def theirs(data: bytes, cuts: Sequence[int], sender: Side) -> Story:
    """What websockets makes of the same bytes: it gives frames, which are put together here."""
    receiver, read = Protocol(OTHER[sender], state=State.OPEN, max_size=LIMIT), list[Received]()
    begun: Opcode | None = None
    parts: list[bytes] = []
    for piece in in_pieces(data, cuts):
        receiver.receive_data(piece)
    for frame in receiver.events_received():
        assert isinstance(frame, Frame)
        match frame.opcode:
            case Opcode.PING:
                read.append(Ping(bytes(frame.data)))
            case Opcode.PONG:
                read.append(Pong(bytes(frame.data)))
            case Opcode.CLOSE:
                said = receiver.close_rcvd
                assert said is not None
                read.append(Close(said.code, said.reason))
            case _:
                begun = frame.opcode if begun is None else begun
                parts.append(bytes(frame.data))
                if frame.fin:
                    whole = b"".join(parts)
                    try:
                        read.append(whole.decode() if begun is Opcode.TEXT else whole)
                    except UnicodeDecodeError:  # websockets leaves this to its user
                        return read, frames.INVALID_DATA
                    begun, parts = None, []
    fault = receiver.close_sent
    return read, fault.code if fault is not None and receiver.close_rcvd is None else None


def written(sender: Side, messages: Iterable[Received], pieces: Sequence[int]) -> bytes:
    """Have websockets write messages, each in several frames."""
    protocol = Protocol(sender, state=State.OPEN)
    for message in messages:
        if isinstance(message, Ping | Pong):
            (protocol.send_ping if isinstance(message, Ping) else protocol.send_pong)(message.payload)
            continue
        assert isinstance(message, str | bytes)
        begin = protocol.send_text if isinstance(message, str) else protocol.send_binary
        rest = message.encode() if isinstance(message, str) else message
        parts = []
        for size in pieces:
            parts.append(rest[:size])
            rest = rest[size:]
        parts.append(rest)
        begin(parts[0], fin=len(parts) == 1)
        for index, part in enumerate(parts[1:], 2):
            protocol.send_continuation(part, fin=index == len(parts))
    return b"".join(protocol.data_to_send())


@given(SIDES, st.lists(MESSAGES | CONTROLS, max_size=6), st.lists(st.integers(0, 90), max_size=2), CUTS)
def test_what_websockets_writes_we_read(
    sender: Side, messages: list[Received], pieces: list[int], cuts: list[int]
) -> None:
    assert ours(written(sender, messages, pieces), cuts, sender) == (messages, None)


@given(SIDES, st.lists(MESSAGES, max_size=6), st.binary(max_size=125), CODES, st.text(UNICODE, max_size=200))
def test_what_we_write_websockets_reads(
    sender: Side, messages: list[str | bytes], payload: bytes, code: int, reason: str
) -> None:
    masked = sender is Side.CLIENT
    data = b"".join(frames.message_frame(message, masked=masked) for message in messages)
    data += frames.pong_frame(payload, masked=masked) + frames.close_frame(code, reason, masked=masked)
    shortened = reason.encode()[:123].decode(errors="ignore")

    assert theirs(data, [7, 300], sender) == ([*messages, Pong(payload), Close(code, shortened)], None)


@given(SIDES, st.lists(NEARLY, max_size=4).map(b"".join), CUTS)
def test_nonsense_is_refused_where_websockets_refuses_it(sender: Side, data: bytes, cuts: list[int]) -> None:
    """The same messages arrive before a fault. Of two faults in one frame, each reader finds another one first.

    websockets looks at a length before all else in a frame, and at most of the rest when the frame has come whole.
    """
    data += bytes(200)  # so that neither waits for more before it says what is wrong
    story = ours(data, cuts, sender)
    assume(story[1] != LENGTH_FAULT)  # websockets takes a length in more bytes than it needs, which RFC 6455 forbids

    read, code = theirs(data, cuts, sender)

    assert story[0] == read
    assert code is None or story[1] is not None
