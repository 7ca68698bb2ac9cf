"""The telephone network as load: many callers who talk without a pause, or by turns, `python -m bench.fake_twilio`.

A call is what Twilio makes of one: a signed webhook, the token out of its TwiML, a signed Media Stream, 50 frames a
second out, marks echoed when what is before them has been played. Against a relay there is only the stream.
"""

import asyncio  # noqa: TID251 - see bench.control
import base64
import hashlib
import hmac
import re
from binascii import a2b_base64, b2a_base64
from collections import deque
from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit

import attrs
import cattrs
import orjson
import uvloop
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from bench import clock
from bench.control import answer, orders
from bench.frames import BYTES_PER_SECOND, FRAME_SECONDS, Cutter, Habit, Tag, beginnings, call_sid, frame_base64, quiet
from bench.tally import Arrival, Book, Order, PageReport, Playout, Span, curve_ms

ACCOUNT, AUTH_TOKEN = "AC" + "0" * 32, "bench-auth-token"
GOODBYE_SECONDS = 0.05
BEGINNING_SECONDS = 1.0
"""From the first caller's first frame to the last one's."""

_MEDIA_HEAD = (
    b'{"event":"media","sequenceNumber":"%d","media":{"track":"inbound","chunk":"%d","timestamp":"%d","payload":"'
)
_LENGTH = re.compile(r"(?i)\ncontent-length: *(\d+)")
_TOKEN = re.compile(r'name="token" value="([^"]+)"')


@attrs.frozen
class CallReport:
    """One call, as the network saw it."""

    call: int
    first_heard: dict[int, float]
    """When the first audio of each agent session reached the caller, by session."""
    first_played: dict[int, float]
    """When the caller heard it: what was underway before it plays out first."""
    interleaved: int
    """Frames of an agent that came when the next one was to be heard already."""
    lost: int
    """Frames of agents that never came although later ones did, and no `clear` had come before these."""
    dropped: bool
    """Whether the server ended it before we did."""


@attrs.frozen
class TwilioReport:
    """What the network has to say at the end of a run."""

    spoken: list[int]
    heard: list[PageReport]
    calls: list[CallReport]
    damaged: int
    crossed: int
    """Sessions that were heard on more than one call."""
    tick_late_ms: tuple[float, ...]


@attrs.define
class Network:
    """What all calls share."""

    calls: "list[Caller]" = attrs.field(factory=list)
    book: Book = attrs.field(factory=Book)
    spoken: list[int] = attrs.field(factory=list)
    late: list[float] = attrs.field(factory=list)
    habit: Habit | None = None
    has_lead: bool = True
    """Whether marks are echoed when they are played; else at once, as if nothing were buffered."""

    async def dial(self, port: int, *, is_relay: bool) -> None:
        """Place one call and wait until its stream is open."""
        caller = Caller(self, len(self.calls) + 1)
        self.calls.append(caller)
        headers = {}
        if not is_relay:
            caller.token = await _ask_voice(port, caller.call_sid)
            headers["X-Twilio-Signature"] = _sign(f"ws://127.0.0.1:{port}/twilio")
        await ws_connect(lambda: caller, f"ws://127.0.0.1:{port}/twilio", extra_headers=headers)

    def talk(self, at: float, turn_every: float) -> None:
        """Let every caller speak from then on, each from a moment of its own; with turns, for half of each."""
        self.habit = Habit.of(turn_every)
        live = [call for call in self.calls if call.is_live]
        for call, later in zip(live, beginnings(len(live), BEGINNING_SECONDS), strict=True):
            call.talk(at + later)

    def hang_up(self) -> None:
        """End every call."""
        for call in self.calls:
            call.hang_up()

    def report(self) -> TwilioReport:
        """Sum up."""
        sessions = [session for call in self.calls for session in call.first_heard]
        return TwilioReport(
            spoken=self.spoken,
            heard=self.book.report(),
            calls=[call.report() for call in self.calls],
            damaged=sum(call.cutter.damaged for call in self.calls),
            crossed=len(sessions) - len(set(sessions)),
            tick_late_ms=curve_ms(self.late),
        )


class Caller(WSListener):
    """One call."""

    def __init__(self, network: Network, number: int) -> None:
        self.network, self.number = network, number
        self.call_sid, self.token = call_sid(number), ""
        self.first_heard: dict[int, float] = {}
        self._first_played: dict[int, float] = {}
        self._interleaved = self._newest = 0
        self.cutter = Cutter()
        self.is_live = self.dropped = False
        self._stream_sid = f"MZ{number:032x}"
        self._tail = f'"}},"streamSid":"{self._stream_sid}"}}'.encode()
        self._sequence = self._frames = 0
        self._hung_up = False
        self._playout = Playout()
        self._orders: dict[int, Order] = {}
        self._play_end = 0.0
        self._marks: deque[tuple[str, asyncio.TimerHandle]] = deque()

    # What the network sends

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Start the stream."""
        self._transport, self.is_live = transport, True
        self._send({"event": "connected", "protocol": "Call", "version": "1.0.0"}, numbered=False)
        start = {
            "accountSid": ACCOUNT,
            "streamSid": self._stream_sid,
            "callSid": self.call_sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {"token": self.token},
        }
        self._send({"event": "start", "start": start})

    def _send(self, message: dict[str, object], *, numbered: bool = True) -> None:
        if numbered:
            self._sequence += 1
            message = {**message, "sequenceNumber": str(self._sequence), "streamSid": self._stream_sid}
        self._transport.send(WSMsgType.TEXT, orjson.dumps(message))

    def audio(self, tag: Tag) -> bytes:
        """Write one frame as Twilio carries it."""
        habit = self.network.habit
        if habit is None or habit.speaks_in(tag.stream, tag.number):
            return frame_base64(tag)
        return b2a_base64(quiet(tag), newline=False)

    def talk(self, due: float) -> None:
        """Send what is due, and go on 20 ms later."""
        network, now = self.network, clock.now()
        while due <= now and self.is_live and not self._hung_up:
            self._say(now)
            network.late.append(now - due)
            due += FRAME_SECONDS
        if self.is_live and not self._hung_up:
            clock.call_at(due, self.talk, due)

    def _say(self, now: float) -> None:
        for number, page in enumerate(self.network.book.pages):
            self.network.spoken[number] += page.span.holds(now)
        payload = self.audio(Tag(self.number, 0, self._frames, now))
        self._frames += 1
        self._sequence += 1
        head = _MEDIA_HEAD % (self._sequence, self._frames, 140 + 20 * self._frames)
        self._transport.send(WSMsgType.TEXT, head + payload + self._tail)

    def hang_up(self) -> None:
        """Stop the stream, and close it a moment later."""
        if self.is_live and not self._hung_up:
            self._hung_up = True
            self._send({"event": "stop", "stop": {"accountSid": ACCOUNT, "callSid": self.call_sid}})
            clock.call_at(clock.now() + GOODBYE_SECONDS, self._close)

    def _close(self) -> None:
        if self.is_live:
            self._transport.send_close(WSCloseCode.OK)
            self._transport.disconnect()

    def report(self) -> CallReport:
        """Say how it went."""
        lost = sum(len(order.missing) for order in self._orders.values())
        return CallReport(self.number, self.first_heard, self._first_played, self._interleaved, lost, self.dropped)

    # What the server sends

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002 - picows asks
        """Note who hung up."""
        self.is_live, self.dropped = False, not self._hung_up

    def on_ws_frame(self, transport: WSTransport, message: WSFrame) -> None:
        """Take one message."""
        if message.msg_type is WSMsgType.CLOSE:
            transport.send_close(message.get_close_code())
            transport.disconnect()
        elif message.msg_type is WSMsgType.TEXT:
            self._obey(orjson.loads(message.get_payload_as_memoryview()), clock.now())

    def _obey(self, message: dict[str, dict[str, str]], now: float) -> None:
        self.network.book.page(now).messages += 1
        if "media" in message:
            self._hear(a2b_base64(message["media"]["payload"]), now)
        elif "mark" in message:
            self._mark(message["mark"]["name"], now)
        else:
            self._clear(now)

    def _hear(self, audio: bytes, now: float) -> None:
        begins = max(now, self._play_end)
        self._play_end = begins + len(audio) / BYTES_PER_SECOND
        for number, tag in enumerate(self.cutter.cut(audio)):
            page = self.network.book.page(tag.sent)
            if tag.stream not in self.first_heard:
                self.first_heard[tag.stream], self._orders[tag.stream] = now, Order()
                self._first_played[tag.stream] = begins + number * FRAME_SECONDS
                self._newest = tag.stream
            self._interleaved += tag.stream != self._newest
            arrival = self._orders[tag.stream].take(tag.number)
            page.note(arrival)
            if arrival is not Arrival.AGAIN:
                page.add(now - tag.sent, self._playout.added(tag, now, page))

    def _mark(self, name: str, now: float) -> None:
        played = max(now, self._play_end) if self.network.has_lead else now
        timer = clock.call_at(played, self._echo)
        self._marks.append((name, timer))

    def _echo(self) -> None:
        name, _ = self._marks.popleft()
        if self.is_live and not self._hung_up:
            self._send({"event": "mark", "mark": {"name": name}})

    def _clear(self, now: float) -> None:
        self._play_end = now
        for order in self._orders.values():
            order.cut()
        for _, timer in list(self._marks):
            timer.cancel()
            self._echo()


def _sign(url: str, form: Mapping[str, str] = {}) -> str:
    """Sign as Twilio does: https://www.twilio.com/docs/usage/security#validating-requests."""
    signed = url + "".join(f"{name}{form[name]}" for name in sorted(form))
    return base64.b64encode(hmac.digest(AUTH_TOKEN.encode(), signed.encode(), hashlib.sha1)).decode()


async def _ask_voice(port: int, call_sid: str) -> str:
    """Ask the server what to do with a call; return the token of its media stream."""
    url = f"http://127.0.0.1:{port}/twilio/voice"
    form = {
        "AccountSid": ACCOUNT,
        "CallSid": call_sid,
        "CallStatus": "ringing",
        "Direction": "inbound",
        "From": "+15551230000",
        "To": "+15550009999",
    }
    status, body = await _post(url, urlencode(form).encode(), _sign(url, form))
    token = _TOKEN.search(body)
    if token is None:
        raise RuntimeError(f"POST {url}: {status} {body}")
    return token[1]


async def _post(url: str, body: bytes, signature: str) -> tuple[str, str]:
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    head = (
        f"POST {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\nConnection: close\r\n"
        f"X-Twilio-Signature: {signature}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    told = (await reader.readuntil(b"\r\n\r\n")).decode()  # the length counts: not every server closes when asked to
    length = _LENGTH.search(told)
    said = await reader.readexactly(int(length[1]) if length else 0)
    writer.close()
    return told.partition("\r\n")[0], said.decode()


async def main() -> None:
    """Place calls until the benchmark closes the pipe."""
    network = Network()
    answer(True)
    async for order in orders():
        match order["do"]:
            case "dial":
                for _ in range(int(str(order["calls"]))):
                    await network.dial(int(str(order["port"])), is_relay=bool(order["is_relay"]))
            case "talk":
                network.has_lead = order["regime"] == "burst"
                network.talk(float(str(order["at"])), float(str(order["turn_every"])))
            case "measure":
                network.book.open(cattrs.structure(order["spans"], list[Span]))
                network.spoken = [0] * len(network.book.pages)
                network.late.clear()
            case "hang_up":
                network.hang_up()
            case _:
                pass
        answer(network.report() if order["do"] == "report" else True)


if __name__ == "__main__":
    uvloop.run(main())
