"""The telephone network of a soak: calls that come and go, and end in every way, `python -m bench.soak_twilio`.

It keeps so many calls on the line as it is told: one that is over is replaced by a new one. It is also Twilio's REST
API, as far as the server uses it to end a call: a call that is redirected or completed loses the stream.
"""

import asyncio  # noqa: TID251 - see bench.control
import re
from collections.abc import Coroutine
from urllib.parse import urlencode

import attrs
import uvloop
from picows import WSError, WSMsgType, WSTransport, ws_connect

from bench import clock
from bench.control import answer, orders
from bench.fake_twilio import ACCOUNT, Caller, Network, _ask_voice, _post, _sign
from bench.frames import Tag
from bench.soak_audio import caller_base64
from bench.soak_plan import CallPlan, Ending, plan_of
from bench.soak_verdict import Spoken

PATIENCE = 10.0
"""For the server to close a socket after `stop`."""
DIAL_PAUSE = 0.04
"""Between two calls: 25 a second at most."""
_REST = re.compile(rb"^POST \S*/Calls/(CA[0-9a-f]{32})\.json")
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
_BABBLE = b'{"event":"media","media":{"payl'


@attrs.frozen
class SoakReport:
    """The calls of a soak, and what went wrong with them."""

    spoken: list[Spoken]
    refused: list[str]
    endings: dict[str, int]


@attrs.define
class SoakNetwork(Network):
    """What all calls share."""

    port: int = 0
    seed: int = 0
    numbers: int = 0
    until: float = 0.0
    live: "dict[str, SoakCaller]" = attrs.field(factory=dict)
    over: list[Spoken] = attrs.field(factory=list)
    refused: list[str] = attrs.field(factory=list)
    tasks: "set[asyncio.Task[None]]" = attrs.field(factory=set)

    async def keep(self, calls: int, until: float) -> None:
        """Keep so many calls on the line until then."""
        self.until = until
        while clock.now() < self.until:
            if len(self.live) < calls:
                self.do(self.place())
            await asyncio.sleep(DIAL_PAUSE)

    def do(self, what: Coroutine[None, None, None]) -> None:
        """Do something beside."""
        task = asyncio.create_task(what)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def place(self) -> None:
        """Place one call."""
        self.numbers += 1
        caller = SoakCaller(self, self.numbers, plan_of(self.seed, self.numbers))
        self.live[caller.call_sid] = caller
        try:
            caller.token = await _ask_voice(self.port, caller.call_sid)
            url = f"ws://127.0.0.1:{self.port}/twilio"
            await ws_connect(lambda: caller, url, extra_headers={"X-Twilio-Signature": _sign(url)})
        except (OSError, RuntimeError, WSError, asyncio.IncompleteReadError) as exc:
            self.live.pop(caller.call_sid, None)
            self.refused.append(f"call {caller.number}: {exc!r}")

    async def tell_over(self, call_sid: str) -> None:
        """Tell the server that a call is completed, as a status callback does."""
        url = f"http://127.0.0.1:{self.port}/twilio/status"
        form = {"AccountSid": ACCOUNT, "CallSid": call_sid, "CallStatus": "completed"}
        await _post(url, urlencode(form).encode(), _sign(url, form))

    def end_all(self) -> None:
        """Take no more calls, and hang up on those there are."""
        self.until = 0.0
        for caller in list(self.live.values()):
            caller.hang_up()

    def soaked(self) -> SoakReport:
        """Sum up, and begin anew."""
        over, self.over = self.over, []
        refused, self.refused = self.refused, []
        endings: dict[str, int] = {}
        for spoken in over:
            ending = plan_of(self.seed, spoken.call).ending.name
            endings[ending] = endings.get(ending, 0) + 1
        return SoakReport(over, refused, endings)

    async def rest(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Be the REST API on one connection."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                await reader.readexactly(int(length[1]) if length else 0)
                asked = _REST.match(head)
                body = b'{"sid":"%s","status":"completed"}' % (asked[1] if asked else b"")
                writer.write(_HEAD % len(body) + body)
                if asked and (caller := self.live.get(asked[1].decode())) is not None:
                    caller.sentence()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


class SoakCaller(Caller):
    """One call of a soak."""

    def __init__(self, network: SoakNetwork, number: int, plan: CallPlan) -> None:
        super().__init__(network, number)
        self._soak, self._plan = network, plan
        self._began = self._ended = self._sentenced = 0.0
        self._left_open = False

    def audio(self, tag: Tag) -> bytes:
        """Write one frame, of speech or of a pause."""
        return caller_base64(tag)

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Start the stream, and speak from then on."""
        super().on_ws_connected(transport)
        self._began = clock.now()
        self.talk(self._began)
        clock.call_at(self._began + self._plan.lasts, self._end)
        if self._plan.babbles_at is not None:
            clock.call_at(self._began + self._plan.babbles_at, self._babble)

    def _babble(self) -> None:
        if self.is_live and not self._hung_up:
            self._transport.send(WSMsgType.TEXT, _BABBLE)

    def _end(self) -> None:
        if not self.is_live or self._hung_up:
            return
        match self._plan.ending:
            case Ending.GOODBYE | Ending.STOP:
                self.hang_up()
            case Ending.STOP_ALONE:
                self._fall_silent()
                self._send({"event": "stop", "stop": {"accountSid": ACCOUNT, "callSid": self.call_sid}})
                clock.call_at(clock.now() + PATIENCE, self._give_up)
            case Ending.CLOSE:
                self._fall_silent()
                self._close()
            case Ending.CUT:
                self._fall_silent()
                self._transport.underlying_transport.abort()

    def _fall_silent(self) -> None:
        self._hung_up, self._ended = True, clock.now()

    def hang_up(self) -> None:
        """Stop the stream, and close it a moment later."""
        if self.is_live and not self._hung_up:
            self._ended = clock.now()
            super().hang_up()

    def sentence(self) -> None:
        """Lose the stream, as the REST API has been asked for something else."""
        self._sentenced = self._sentenced or clock.now()
        self.hang_up()

    def _give_up(self) -> None:
        if self.is_live:
            self._left_open = True
            self._transport.underlying_transport.abort()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Note how it was, and make room for another call."""
        super().on_ws_disconnected(transport)
        for _, timer in self._marks:
            timer.cancel()
        self._marks.clear()
        self._soak.live.pop(self.call_sid, None)
        ended = self._ended or clock.now()
        self._soak.over.append(Spoken(self.number, self._began, ended, self._frames, self._sentenced, self._left_open))
        self._soak.do(self._soak.tell_over(self.call_sid))


async def main() -> None:
    """Take orders until the soak closes the pipe."""
    network = SoakNetwork()
    rest = await asyncio.start_server(network.rest, "127.0.0.1", 0)
    answer(int(rest.sockets[0].getsockname()[1]))
    async for order in orders():
        match order["do"]:
            case "keep":
                network.port, network.seed = int(str(order["port"])), int(str(order["seed"]))
                network.do(network.keep(int(str(order["calls"])), float(str(order["until"]))))
                answer(True)
            case "end_all":
                network.end_all()
                answer(True)
            case "live":
                network.late.clear()
                answer(len(network.live))
            case _:
                answer(network.soaked())


if __name__ == "__main__":
    uvloop.run(main())
