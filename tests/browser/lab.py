"""A phone on the bench: the real page's modules and the real server, and a call in which we say what happens.

`Bench` stands in for `run_call`: it notes what the page sends, and when, and does what its `conduct` does. `begin`
places a call from the page without its buttons, with a tap behind the loudspeaker that tells when sound begins and ends
in truth. Page and server share the machine's clock.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

import attrs
import orjson
import trio
from trio_websocket import ConnectionClosed

from actors.call_services import CallPlan, CallServices
from protocol.twilio import encode_clear, encode_mark, encode_media
from protocol.wire import PacedWebSocket
from store.records import CallRecord
from tests.web.fakes import HERE, exchange, record
from tests.web.test_serving import listening
from web.console.rendering import StaticFile, read_files

if TYPE_CHECKING:
    from playwright.sync_api import Page

PAGE = "/console/phone"
TAP = Path(__file__).with_name("tap.js")
BEGIN = """async ({ typed, constraints }) => {
  const { call, constrain } = await import("/console/static/phone/phone.js");
  constrain(constraints);
  const headers = { "X-CSRF-Token": document.querySelector("#phone").dataset.csrf };
  const ticket = async () => (await fetch("/console/phone/token", { method: "POST", headers })).json();
  globalThis.news = [];
  globalThis.taps = [];
  const url = location.origin.replace("http", "ws") + "/phone";
  const phone = globalThis.phone = await call({ url, ticket, typed, tell: (told) => news.push(told) });
  await phone.context.audioWorklet.addModule("/console/static/phone/tap.js");
  const tap = new AudioWorkletNode(phone.context, "tap");
  tap.port.onmessage = ({ data }) => taps.push(data);
  phone.playback.connect(tap).connect(phone.context.destination);
}"""

Message: TypeAlias = Mapping[str, object]


@attrs.define
class Bench:
    """The server's end of one call."""

    conduct: "Callable[[Bench], Awaitable[None]]"
    came: list[tuple[float, Message]] = attrs.field(factory=list)
    """What the page sent, and when (seconds, the wall's)."""
    sent: list[tuple[float, str]] = attrs.field(factory=list)
    over: trio.Event = attrs.field(factory=trio.Event)
    _media: PacedWebSocket | None = None
    _stream_sid: str = ""

    async def __call__(self, media: PacedWebSocket, plan: CallPlan, services: CallServices) -> CallRecord:
        """Carry a call."""
        self._media, self._stream_sid = media, plan.stream_sid
        left = record(plan.call_sid, stream_sid=plan.stream_sid, outcome="caller_hung_up", caller=plan.caller)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.conduct, self)
            try:
                while not self.came or self.came[-1][1]["event"] != "stop":
                    message = orjson.loads(await media.get_message())
                    self.came.append((time.time(), message))
            except ConnectionClosed:
                pass  # a page that is gone says nothing
            nursery.cancel_scope.cancel(reason="the call is over")
        await services.records.save(left)
        self.over.set()
        return left

    async def play(self, sound: bytes) -> None:
        """Send sound, all at once."""
        for at in range(0, len(sound), 160):
            await self._send(encode_media(self._stream_sid, sound[at : at + 160]))
        self.sent.append((time.time(), "media"))

    async def mark(self, name: str) -> None:
        """Ask to be told when what was sent has been heard."""
        await self._send(encode_mark(self._stream_sid, name))
        self.sent.append((time.time(), name))

    async def clear(self) -> None:
        """Have the rest dropped."""
        await self._send(encode_clear(self._stream_sid))
        self.sent.append((time.time(), "clear"))

    async def drop(self) -> None:
        """Break the call off, as no call ends by itself."""
        assert self._media is not None
        await self._media.aclose(1011)

    def of(self, event: str) -> list[tuple[float, Message]]:
        """Return what came of one kind."""
        return [(at, message) for at, message in self.came if message["event"] == event]

    def when_sent(self, what: str) -> list[float]:
        """Return when we sent things of this name."""
        return [at for at, name in self.sent if name == what]

    def marks(self) -> Mapping[str, float]:
        """Return when each mark came back."""
        return {str(message["mark"]["name"]): at for at, message in self.of("mark")}  # type: ignore[index]

    async def _send(self, message: str) -> None:
        assert self._media is not None
        await self._media.send_message(message)


async def idle(bench: Bench) -> None:
    """Do nothing but listen."""
    await trio.sleep_forever()


@contextmanager
def tapped() -> Iterator[None]:
    """Have servers of this process serve the tap, too."""
    files = cast("dict[str, StaticFile]", read_files())
    files["phone/tap.js"] = StaticFile(TAP.read_bytes(), "text/javascript", "tap")
    try:
        yield
    finally:
        del files["phone/tap.js"]


@asynccontextmanager
async def on_the_bench(bench: Bench, **changes: str) -> AsyncIterator[str]:
    """Serve the phone with this call behind it; yield the origin."""
    whole = {**HERE, **changes}
    there = exchange(
        line=None, calls=None, tokens=None, orders=None, records=None, voice=None, run_call=bench, objects=None, **whole
    )
    with tapped():
        async with listening(there) as at:
            yield f"http://{at}"


def begin(page: "Page", origin: str, *, typed: bool = False, constraints: Mapping[str, bool] | None = None) -> None:
    """Open the phone's page, and place a call."""
    page.goto(origin + PAGE)
    page.evaluate(BEGIN, {"typed": typed, "constraints": dict(constraints or {})})


@attrs.frozen
class Heard:
    """When sound began and ended at the ear, by the wall's clock."""

    began: Sequence[float]
    ended: Sequence[float]

    @classmethod
    def on(cls, page: "Page", *, latency: bool = True) -> "Heard":
        """Read the tap; without `latency`, when the sound left the page."""
        taps: list[dict[str, float | str]] = page.evaluate("taps")
        behind = page.evaluate("phone.context.outputLatency") if latency else 0.0
        offsets = sorted(float(tap["wall"]) - float(tap["now"]) for tap in taps)
        offset = offsets[len(offsets) // 10] + behind
        began, ended = ([float(tap["at"]) + offset for tap in taps if tap["what"] == what] for what in ("on", "off"))
        return cls(began, ended)
