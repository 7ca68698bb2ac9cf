"""A phone on the bench: the real page's modules and the real server, and a call in which we say what happens.

`Bench` stands in for `run_call`: it notes what the page sends, and when, and does what its `conduct` does. `begin`
places a call from the page without its buttons, with a tap in the audio thread: it tells what comes there and goes, and
when sound begins and ends in truth. Page and server share the machine's clock.
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
from tests.web.fakes import HERE, ROSTER, exchange, record
from tests.web.test_serving import listening
from web.console.rendering import read_files

if TYPE_CHECKING:
    from playwright.sync_api import Page

PAGE = "/console/phone"
TAP = Path(__file__).with_name("tap.js")
BEGIN = """async ({ typed, constraints, latency }) => {
  const { addModule } = AudioWorklet.prototype;
  AudioWorklet.prototype.addModule = async function (url) {
    await addModule.call(this, "/console/static/phone/tap.js");
    await addModule.call(this, url);
  };
  if (latency !== null) Object.defineProperty(AudioContext.prototype, "outputLatency", { get: () => latency });
  const { call, constrain } = await import("/console/static/phone/phone.js");
  constrain(constraints);
  const headers = { "X-CSRF-Token": document.querySelector("#phone").dataset.csrf };
  const ticket = async () => (await fetch("/console/phone/token", { method: "POST", headers })).json();
  globalThis.news = [];
  globalThis.taps = [];
  const url = location.origin.replace("http", "ws") + "/phone";
  const phone = globalThis.phone = await call({ url, ticket, typed, tell: (told) => news.push(told) });
  const tap = new AudioWorkletNode(phone.context, "tap");
  tap.port.onmessage = ({ data }) => taps.push(...data);
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
        await services.save(left)
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

    async def wait_mark(self, name: str) -> None:
        """Wait until a mark is back."""
        while name not in self.marks():  # noqa: ASYNC110 - the page sets no event
            await trio.sleep(0.01)

    async def _send(self, message: str) -> None:
        assert self._media is not None
        await self._media.send_message(message)


async def idle(bench: Bench) -> None:
    """Do nothing but listen."""
    await trio.sleep_forever()


@contextmanager
def tapped() -> Iterator[None]:
    """Have servers of this process serve the tap, too."""
    files = cast("dict[str, bytes]", read_files())
    files["phone/tap.js"] = TAP.read_bytes()
    try:
        yield
    finally:
        del files["phone/tap.js"]


@asynccontextmanager
async def on_the_bench(bench: Bench, **changes: str) -> AsyncIterator[str]:
    """Serve the phone with this call behind it; yield the origin."""
    whole = {**HERE, **changes}
    there = exchange(
        line=None,
        calls=None,
        tokens=None,
        orders=None,
        records=None,
        voice=None,
        run_call=bench,
        objects=None,
        roster=ROSTER,
        **whole,
    )
    with tapped():
        async with listening(there) as at:
            yield f"http://{at}"


def begin(
    page: "Page",
    origin: str,
    *,
    typed: bool = False,
    constraints: Mapping[str, bool] | None = None,
    latency: float | None = None,
) -> None:
    """Open the phone's page, and place a call; `latency` is what the loudspeaker says of itself."""
    page.goto(origin + PAGE)
    page.evaluate(BEGIN, {"typed": typed, "constraints": dict(constraints or {}), "latency": latency})


@attrs.frozen
class Noted:
    """What the tap has noted: `at` and `now` by the audio thread's clock, `wall` by the machine's."""

    what: str
    at: float
    name: str
    now: float
    wall: float


@attrs.frozen
class Heard:
    """What came to the audio thread (audio, mark, clear), what went (answer, frame), and when sound was on and off."""

    noted: Sequence[Noted]

    @classmethod
    def on(cls, page: "Page") -> "Heard":
        """Read the tap."""
        return cls([Noted(**tap) for tap in page.evaluate("taps")])

    def of(self, what: str) -> Sequence[Noted]:
        """Return the notes of one kind."""
        return [note for note in self.noted if note.what == what]

    def named(self, what: str) -> Mapping[str, Noted]:
        """Return the notes of one kind by name."""
        return {note.name: note for note in self.of(what)}

    @property
    def sounds(self) -> Sequence[tuple[float, float]]:
        """When each stretch of sound began and ended, by the audio thread's clock."""
        return [(on.at, off.at) for on, off in zip(self.of("on"), self.of("off"), strict=False)]

    def ended(self, behind: float) -> Sequence[float]:
        """Return when sound ended at an ear that is so many seconds behind, by the machine's clock."""
        offsets = sorted(note.wall - note.now for note in self.noted)
        return [off.at + offsets[len(offsets) // 10] + behind for off in self.of("off")]
