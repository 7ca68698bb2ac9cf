"""A Voice Agent service that only makes load, and a Groq that only takes its time.

Every session speaks replies of four seconds in 20 ms pieces at twice real time, as Deepgram does: two seconds of
sending, two of silence, so the caller's line is never empty and the average is 50 frames a second. It dates what it
says and what it hears. `python -m bench.fake_deepgram CHAIN KEY`: the files of its certificate. When the benchmark
asks for handoffs, a session says so instead of its next reply, or of the one that begins after its own moment.
"""

import itertools
import ssl
import sys
from collections.abc import Callable, Mapping

import attrs
import cattrs
import orjson
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from bench import clock
from bench.control import answer, orders
from bench.fake_groq import serve_groq
from bench.frames import FRAME_SECONDS, Cutter, Habit, Tag, beginnings, frame
from bench.tally import Arrival, Book, Order, PageReport, Span, curve_ms

APPLYING_SECONDS = 0.02
REPLY_SECONDS = 4.0
GREETING_SECONDS = 1.0
"""What the next agent of a handoff says first."""
FIRST_WORD_SECONDS = 0.2
"""What the first agent says when calls have been set up, so that nobody has to wonder whether it is there."""
PACES = {"burst": 2.0, "no lead": 1.0}
"""How many times real time the audio comes: with no lead, the caller never has anything buffered."""
THINKING_SECONDS = 0.5
"""From the caller's turn to the function call that answers it."""


@attrs.frozen
class SessionReport:
    """One Voice Agent session, as the service saw it. Moments are `time.monotonic`, 0 for what never was."""

    session: int
    call: int
    opened: float
    applied: float
    asked: float
    """When it asked for a handoff."""
    first_heard: float
    """When the first frame it heard had been sent by the caller."""
    refused: bool


@attrs.frozen
class DeepgramReport:
    """What the service has to say at the end of a run."""

    spoken: list[int]
    """Frames sent in each span."""
    heard: list[PageReport]
    sessions: list[SessionReport]
    replayed: int
    """Frames that a later session of the same call was sent again."""
    damaged: int
    turns: int
    tick_late_ms: tuple[float, ...]
    """How late its own clock ticked: what the machine adds to every latency."""


@attrs.define
class Service:
    """What all sessions share."""

    sessions: "list[Session]" = attrs.field(factory=list)
    book: Book = attrs.field(factory=Book)
    spoken: list[int] = attrs.field(factory=list)
    streams: dict[int, Order] = attrs.field(factory=dict)
    """By call: a frame that the next agent hears again is not counted again."""
    late: list[float] = attrs.field(factory=list)
    talks_at: float = 0.0
    hands_off_within: float | None = None
    """Seconds from when a session may ask for a handoff to when the last one may; None: no handoffs are wanted yet."""
    asks_aloud: bool = False
    """Whether an agent still speaks when it asks for a handoff."""
    habit: Habit | None = None
    pace: float = PACES["burst"]
    turns: int = 0
    replayed: int = 0

    def open(self, _request: WSUpgradeRequest) -> "Session":
        """Take a new connection."""
        session = Session(self, len(self.sessions) + 1)
        self.sessions.append(session)
        return session

    def talk(self, at: float) -> None:
        """Let every session speak from then on, each at its own time within one reply."""
        self.talks_at = at
        ready = [session for session in self.sessions if session.is_live]
        for session, later in zip(ready, beginnings(len(ready), REPLY_SECONDS), strict=True):
            session.call_at(at + later, session.say)

    def greet(self) -> None:
        """Let every session say its first word that has said nothing yet."""
        for session in self.sessions:
            session.greet()

    def hand_off(self, at: float, spread: float, *, aloud: bool) -> None:
        """Let every call be handed on twice, each time at a moment of its own within half of `spread` seconds."""
        self.hands_off_within, self.asks_aloud = spread / 2, aloud
        ready = [session for session in self.sessions if session.is_live]
        for number, session in enumerate(ready):
            session.hands_off_at = at + number / len(ready) * spread / 2

    def report(self) -> DeepgramReport:
        """Sum up."""
        return DeepgramReport(
            spoken=self.spoken,
            heard=self.book.report(),
            sessions=[session.report() for session in self.sessions],
            replayed=self.replayed,
            damaged=sum(session.cutter.damaged for session in self.sessions),
            turns=self.turns,
            tick_late_ms=curve_ms(self.late),
        )


class Session(WSListener):
    """One Voice Agent session."""

    def __init__(self, service: Service, number: int) -> None:
        self.service, self.number = service, number
        self.cutter = Cutter()
        self.is_live = False
        self.hands_off_at = float("inf")
        self._order = Order()
        self._call = 0
        self._opened = self._applied = self._asked = self._first_heard = 0.0
        self._refused = self._has_spoken = False
        self._handoff = ""
        self._frames = itertools.count()
        self._replies = itertools.count(1)

    def call_at(self, moment: float, do: Callable[..., None], *arguments: object) -> None:
        """Do something later, if the session is still there then."""
        clock.call_at(moment, self._if_live, do, arguments)

    def _if_live(self, do: Callable[..., None], arguments: tuple[object, ...]) -> None:
        if self.is_live:
            do(*arguments)

    def _tell(self, kind: str, **fields: object) -> None:
        self._transport.send(WSMsgType.TEXT, orjson.dumps({"type": kind, **fields}))

    # What the client sends

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Welcome it."""
        self._transport, self._opened = transport, clock.now()
        self._tell("Welcome", request_id=f"bench-{self.number}")

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002 - picows asks
        """Fall silent."""
        self.is_live = False

    def on_ws_frame(self, transport: WSTransport, message: WSFrame) -> None:
        """Take one message."""
        if message.msg_type is WSMsgType.BINARY:
            self._hear(message.get_payload_as_bytes(), clock.now())
        elif message.msg_type is WSMsgType.TEXT:
            self._obey(orjson.loads(message.get_payload_as_memoryview()))
        elif message.msg_type is WSMsgType.CLOSE:
            transport.send_close(message.get_close_code())
            transport.disconnect()

    def _hear(self, audio: bytes, now: float) -> None:
        tags, habit = list(self.cutter.cut(audio)), self.service.habit
        for tag in tags:
            page = self.service.book.page(tag.sent)
            self._call = tag.stream
            self._first_heard = self._first_heard or tag.sent
            arrival = self._order.take(tag.number)
            page.note(arrival)
            if self.service.streams.setdefault(tag.stream, Order()).take(tag.number) is not Arrival.AGAIN:
                page.add(now - tag.sent, now - tags[-1].sent)
            else:
                self.service.replayed += arrival is not Arrival.AGAIN
            if habit is not None and habit.has_paused(tag.stream, tag.number):
                self._take_turn()

    def _obey(self, message: dict[str, object]) -> None:
        if message["type"] == "Settings":
            self._handoff = _handoff_in(message)
            clock.call_at(clock.now() + APPLYING_SECONDS, self._apply)
        elif message["type"] == "FunctionCallResponse":
            self._refused = True
            self._ask_later(clock.now())

    def _apply(self) -> None:
        if self._transport.is_disconnected:
            return
        self.is_live, self._applied = True, clock.now()
        if self.service.hands_off_within is not None:
            self.hands_off_at = self._applied + self.service.hands_off_within
        self._tell("SettingsApplied")
        if self.service.talks_at:
            self._speak(GREETING_SECONDS)
            self.call_at(self._applied + GREETING_SECONDS, self.say)

    def greet(self) -> None:
        """Say the first word, unless something has been said."""
        if self.is_live and not self._has_spoken:
            self._speak(FIRST_WORD_SECONDS)

    # What the agent says

    def say(self) -> None:
        """Begin a reply, or ask for a handoff instead."""
        now = clock.now()
        if now >= self.hands_off_at and self._handoff and not self._asked:
            self._ask_later(now)
            return
        self._speak(REPLY_SECONDS)
        self.call_at(now + REPLY_SECONDS, self.say)

    def _speak(self, seconds: float) -> None:
        now, self._has_spoken = clock.now(), True
        reply = next(self._replies)
        self._tell("ConversationText", role="assistant", content=f"This is reply {reply} of session {self.number}.")
        self._piece(reply, now, round(seconds / FRAME_SECONDS))

    def _take_turn(self) -> None:
        self.service.turns += 1
        content = f"And this is what I have to say to that, {self.service.turns}."
        self._tell("EndOfTurn", trigger="model")
        self._tell("ConversationText", role="user", content=content)

    def _piece(self, reply: int, due: float, left: int) -> None:
        service, now = self.service, clock.now()
        while due <= now and left:
            for number, span in enumerate(service.book.pages):
                service.spoken[number] += span.span.holds(now)
            self._transport.send(WSMsgType.BINARY, frame(Tag(self.number, reply, next(self._frames), now)))
            service.late.append(now - due)
            due, left = due + FRAME_SECONDS / service.pace, left - 1
        if left:
            self.call_at(due, self._piece, reply, due, left)
        else:
            self._tell("AgentAudioDone")

    def _ask_later(self, now: float) -> None:
        self._take_turn()
        if self.service.asks_aloud:
            self._speak(REPLY_SECONDS)
        self.call_at(now + THINKING_SECONDS, self._ask)

    def _ask(self) -> None:
        self._asked = clock.now()
        arguments = orjson.dumps({"reason": f"session {self.number} is through", "notes": ""}).decode()
        call = {"id": f"f{self.number}", "name": self._handoff, "arguments": arguments, "client_side": True}
        self._tell("FunctionCallRequest", functions=[call])

    def report(self) -> SessionReport:
        """Say how it went."""
        return SessionReport(
            self.number, self._call, self._opened, self._applied, self._asked, self._first_heard, self._refused
        )


def _handoff_in(settings: dict[str, object]) -> str:
    """Return the name of the function that hands the call on, "" for the last agent."""
    agent = settings.get("agent")
    think = agent.get("think") if isinstance(agent, dict) else None
    think = think[0] if isinstance(think, list) else think  # in order of preference, all with the same functions
    functions = think.get("functions", []) if isinstance(think, dict) else []
    names = [str(function["name"]) for function in functions]
    return next((name for name in names if name.startswith("handoff")), "")


def _carry_out(service: Service, order: Mapping[str, object]) -> None:
    """Do what the benchmark asks for, if it asks for more than an answer."""
    match order["do"]:
        case "talk":
            service.habit = Habit.of(float(str(order["turn_every"])))
            service.pace = PACES[str(order["regime"])]
            service.talk(float(str(order["at"])))
        case "measure":
            service.book.open(cattrs.structure(order["spans"], list[Span]))
            service.spoken = [0] * len(service.book.pages)
            service.late.clear()
        case "greet":
            service.greet()
        case "hand_off":
            service.hand_off(float(str(order["at"])), float(str(order["spread"])), aloud=bool(order["aloud"]))
        case _:
            pass


async def main(chain: str, key: str) -> None:
    """Serve until the benchmark closes the pipe."""
    service, context = Service(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain, key)
    clear = await ws_create_server(service.open, "127.0.0.1", 0)
    tls = await ws_create_server(service.open, "127.0.0.1", 0, ssl=context)
    ports = {"deepgram": clear, "deepgram_tls": tls}
    answer({name: server.sockets[0].getsockname()[1] for name, server in ports.items()} | {"groq": await serve_groq()})
    async for order in orders():
        _carry_out(service, order)
        match order["do"]:
            case "count":
                answer(sum(session.is_live for session in service.sessions))
            case "report":
                answer(service.report())
            case _:
                answer(True)


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
