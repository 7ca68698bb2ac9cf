"""The Voice Agent service of a soak: conversations with an end, and everything that goes wrong, `bench.soak_deepgram`.

Each agent greets, hears turns and answers, is interrupted, calls functions, hands on, and at last says goodbye. What
goes wrong with a session is in the plan of its call. Groq and the speech API are beside it, as in the benchmark.
"""

import itertools
import math
from collections.abc import Callable
from random import Random

import attrs
import orjson
import uvloop
from picows import (
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_create_server,
)

from bench import clock
from bench.control import answer, orders
from bench.fake_groq import serve_groq
from bench.frames import FRAME_SECONDS, Tag, call_number, frame
from bench.soak_audio import cut, is_spoken
from bench.soak_plan import SessionPlan, Trouble, is_refused, plan_of
from bench.soak_verdict import Heard
from bench.tally import Order

PACE = 2.0
ONSET, PAUSE = 8, 15
"""Frames of speech that are a beginning, and of silence that are an end."""
THINKING_SECONDS = 0.4
FUNCTION_SECONDS = 0.3
LONGEST_CLOG = 40.0
"""A socket that is not read does not show that it was closed."""
_CALL_TAG = "call:CA"
_ARGUMENTS = {
    "schedule_followup": {"preferred_timeframe": "next Wednesday afternoon", "notes": ""},
    "record_satisfaction": {"rating": 5, "feedback": "quick"},
    "end_conversation": {"reason": "task_complete"},
}
_SMALL_TALK = ("schedule_followup", "record_satisfaction")
_GARBAGE = b'{"type": "ConversationText", "role'


@attrs.define
class Ear:
    """What the agents of one call have heard and done."""

    order: Order = attrs.field(factory=lambda: Order(next=0))
    end: int = 0
    sessions: int = 0
    applied: float = 0.0
    over: float = attrs.field(factory=clock.now)
    deaf: float = math.inf
    goodbye: float = 0.0
    asked: float = 0.0
    """When a handoff was asked for that nothing has come of yet."""


@attrs.define
class SoakService:
    """What all sessions share."""

    seed: int = 0
    connections: int = 0
    refused: int = 0
    ears: dict[int, Ear] = attrs.field(factory=dict)
    did: dict[str, int] = attrs.field(factory=dict)

    def open(self, _request: WSUpgradeRequest) -> "SoakSession | WSUpgradeResponseWithListener":
        """Take a new connection, or refuse it."""
        self.connections += 1
        if is_refused(self.seed, self.connections):
            self.count("refused")
            return WSUpgradeResponseWithListener(WSUpgradeResponse.create_error_response(503), None)
        return SoakSession(self, self.connections)

    def count(self, what: str) -> None:
        """Count one thing that was done."""
        self.did[what] = self.did.get(what, 0) + 1

    def soaked(self) -> "SoakHeard":
        """Sum up."""
        return SoakHeard([self._heard(call, ear) for call, ear in self.ears.items()], self.did)

    @staticmethod
    def _heard(call: int, ear: Ear) -> Heard:
        over = ear.over if ear.over < math.inf else 1e12  # JSON knows no infinity
        deaf = ear.deaf if ear.deaf < math.inf else 1e12
        missed = sum(is_spoken(call, number) for number in ear.order.missing)
        return Heard(call, ear.end, missed, ear.applied, over, deaf, ear.goodbye, ear.asked)


@attrs.frozen
class SoakHeard:
    """What the service has to say at the end."""

    heard: list[Heard]
    did: dict[str, int]


class SoakSession(WSListener):
    """One Voice Agent session."""

    def __init__(self, service: SoakService, number: int) -> None:
        self._service, self._number = service, number
        self._rng = Random(f"soak {service.seed} session {number}")
        self._plan = SessionPlan(Trouble.NONE, 0.0, 0.02)
        self._ear = Ear()
        self._functions: list[str] = []
        self._is_live = self._is_mute = self._is_waiting = False
        self._applied = 0.0
        self._turns = self._reply = self._voiced = self._paused = 0
        self._frames = itertools.count()
        self._ids = itertools.count(1)
        self._greets = False

    def _later(self, seconds: float, do: Callable[..., None], *arguments: object) -> None:
        clock.call_at(clock.now() + seconds, self._if_live, do, arguments)

    def _if_live(self, do: Callable[..., None], arguments: tuple[object, ...]) -> None:
        if self._is_live and not self._is_mute:
            do(*arguments)

    def _tell(self, kind: str, **fields: object) -> None:
        self._transport.send(WSMsgType.TEXT, orjson.dumps({"type": kind, **fields}))

    # What the client sends

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Welcome it."""
        self._transport = transport
        self._tell("Welcome", request_id=f"soak-{self._number}")

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002 - picows asks
        """Fall silent."""
        if self._is_live:
            self._leave()
        self._is_live = False

    def _leave(self) -> None:
        if self._ear.applied == self._applied:
            self._ear.over = clock.now()

    def on_ws_frame(self, transport: WSTransport, message: WSFrame) -> None:
        """Take one message."""
        if message.msg_type is WSMsgType.BINARY:
            if not self._is_mute:
                self._hear(message.get_payload_as_bytes())
        elif message.msg_type is WSMsgType.TEXT:
            self._obey(orjson.loads(message.get_payload_as_memoryview()))
        elif message.msg_type is WSMsgType.CLOSE:
            transport.send_close(message.get_close_code())
            transport.disconnect()

    def _hear(self, audio: bytes) -> None:
        ear = self._ear
        for tag in cut(audio):
            ear.order.take(tag.number)
            ear.end = max(ear.end, tag.number + 1)
            self._listen(is_spoken=is_spoken(tag.stream, tag.number))

    def _listen(self, *, is_spoken: bool) -> None:
        if is_spoken:
            self._voiced, self._paused = self._voiced + 1, 0
            if self._voiced == ONSET:
                self._reply += 1  # whatever is being said is cut off
                self._tell("UserStartedSpeaking")
        elif self._voiced:
            self._paused += 1
            if self._paused == PAUSE:
                is_turn, self._voiced = self._voiced >= ONSET, 0
                if is_turn and not self._is_waiting:
                    self._end_turn()

    def _obey(self, message: dict[str, object]) -> None:
        match message["type"]:
            case "Settings":
                self._set_up(message)
            case "FunctionCallResponse":
                self._ear.asked = 0.0
                self._later(FUNCTION_SECONDS, self._answer)
            case "InjectAgentMessage":
                self._service.count("injected")
                self._if_live(self._speak, (1.0,))
            case "InjectUserMessage":
                self._if_live(self._answer, ())
            case _:
                pass  # nothing that this service minds

    def _set_up(self, settings: dict[str, object]) -> None:
        tags = settings.get("tags")
        tag = next(str(one) for one in tags if str(one).startswith(_CALL_TAG)) if isinstance(tags, list) else ""
        call = call_number(tag)
        self._ear = self._service.ears.setdefault(call, Ear())
        self._plan = plan_of(self._service.seed, call).session(self._ear.sessions)
        self._ear.sessions += 1
        self._functions, self._greets = _functions_in(settings), b'"greeting":"' in orjson.dumps(settings)
        self._service.count(f"trouble: {self._plan.trouble.value}")
        if self._plan.trouble is not Trouble.NEVER:
            clock.call_at(clock.now() + self._plan.applying, self._apply)

    def _apply(self) -> None:
        if self._transport.is_disconnected:
            return
        self._is_live, self._applied = True, clock.now()
        self._ear.asked = 0.0
        self._ear.applied, self._ear.over, self._ear.deaf = self._applied, math.inf, math.inf
        self._tell("SettingsApplied")
        self._later(self._plan.after, self._fail)
        if self._greets:
            self._speak(1.0)

    # What goes wrong

    def _fail(self) -> None:
        match self._plan.trouble:
            case Trouble.DROP:
                self._transport.underlying_transport.abort()
            case Trouble.MUTE:
                self._fall_mute()
            case Trouble.CLOG:
                self._fall_mute()
                self._transport.underlying_transport.pause_reading()
                clock.call_at(clock.now() + LONGEST_CLOG, self._transport.underlying_transport.abort)
            case Trouble.ERROR:
                self._tell("Error", description="something broke", code="INTERNAL_SERVER_ERROR")
                self._later(0.05, self._transport.disconnect)
            case Trouble.GARBAGE:
                self._transport.send(WSMsgType.TEXT, _GARBAGE)
            case Trouble.SURPRISE:
                self._tell("MoodChanged", mood="curious")
            case Trouble.NONE | Trouble.LATE | Trouble.NEVER:
                pass  # not after it was applied

    def _fall_mute(self) -> None:
        self._is_mute = True
        if self._ear.applied == self._applied:
            self._ear.deaf = clock.now()

    # What is said

    def _end_turn(self) -> None:
        self._turns += 1
        self._service.count("turns")
        self._tell("EndOfTurn", trigger="model")
        self._tell("ConversationText", role="user", content=f"That is what I say in turn {self._turns}.")
        self._later(THINKING_SECONDS, self._answer_turn)

    def _answer_turn(self) -> None:
        small = [name for name in _SMALL_TALK if name in self._functions]
        handoff = next((name for name in self._functions if name.startswith("handoff")), "")
        if self._turns == 1 and small:
            self._call(small[0])
        elif self._turns >= 2 and handoff and self._rng.random() < 0.6:
            self._call(handoff)
        elif self._turns >= 3 and not handoff and self._rng.random() < 0.6:
            self._say_goodbye()
        else:
            self._answer()

    def _answer(self) -> None:
        self._is_waiting = False
        self._speak(self._rng.uniform(0.8, 2.5))

    def _say_goodbye(self) -> None:
        self._speak(1.5)
        self._later(1.5 / PACE + 0.1, self._call, "end_conversation")

    def _call(self, name: str) -> None:
        self._service.count(f"function: {name}")
        self._is_waiting = True
        if name == "end_conversation":
            self._ear.goodbye = clock.now()
        elif name.startswith("handoff"):
            self._ear.asked = clock.now()
        arguments = orjson.dumps(_ARGUMENTS.get(name, {"reason": "the customer said yes", "notes": ""})).decode()
        call = {"id": f"f{self._number}-{next(self._ids)}", "name": name, "arguments": arguments, "client_side": True}
        self._tell("FunctionCallRequest", functions=[call])

    def _speak(self, seconds: float) -> None:
        self._reply += 1
        self._tell("ConversationText", role="assistant", content=f"This is reply {self._reply} of {self._number}.")
        self._piece(self._reply, clock.now(), round(seconds / FRAME_SECONDS))

    def _piece(self, reply: int, due: float, left: int) -> None:
        now = clock.now()
        if reply != self._reply:
            return
        while due <= now and left:
            tag = Tag(self._number, reply, next(self._frames), now)
            self._transport.send(WSMsgType.BINARY, frame(tag))
            due, left = due + FRAME_SECONDS / PACE, left - 1
        if left:
            clock.call_at(due, self._if_live, self._piece, (reply, due, left))
        else:
            self._tell("AgentAudioDone")


def _functions_in(settings: dict[str, object]) -> list[str]:
    agent = settings.get("agent")
    think = agent.get("think") if isinstance(agent, dict) else None
    functions = think.get("functions", []) if isinstance(think, dict) else []
    return [str(function["name"]) for function in functions]


async def main() -> None:
    """Serve until the soak closes the pipe."""
    service = SoakService()
    server = await ws_create_server(service.open, "127.0.0.1", 0)
    answer({"deepgram": server.sockets[0].getsockname()[1], "groq": await serve_groq()})
    async for order in orders():
        match order["do"]:
            case "seed":
                service.seed = int(str(order["seed"]))
                service.connections = 0
                service.ears.clear()
                service.did.clear()
                answer(True)
            case _:
                answer(service.soaked())


if __name__ == "__main__":
    uvloop.run(main())
