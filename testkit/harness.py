"""A whole call in memory: the real actors between a simulated caller, a simulated Deepgram and a simulated Groq.

`play` here judges nothing: it returns what is left of the call. `testkit.play` is this with the oracle.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Final, TypedDict, TypeVar, Unpack

import attrs
import httpx
import trio
from trio.lowlevel import ParkingLot

from actors.call import run_call
from actors.call_services import CallPlan, CallServices, Watch
from actors.endings.intercom import Intercom
from actors.errors import AgentUnavailable
from actors.facts import Fact
from actors.journal import Entry
from actors.line.switch import TransferOrder, Transfers
from actors.policy import CallPolicy
from actors.summarizer import AskBrief
from actors.turn_driver import Clips
from agents.extras import Demo
from agents.roster import Roster, default_roster
from agents.sentences import ENGLISH, Sentences
from agents.spec import OUTBOUND
from protocol.twilio import MediaStreamDialogue, StreamStarted
from protocol.wire import PacedWebSocket, WebSocket
from simulators.deepgram import DeepgramExchange, DeepgramKnobs
from simulators.faults import Fault, FaultPlan, parse_fault
from simulators.groq import GroqSimulator
from simulators.memory import memory_websocket_pair
from simulators.scenario import Scenario, load_scenario
from simulators.twilio.caller import CallerTurns
from simulators.twilio.frames import StreamIdentity
from simulators.twilio.media import MediaCaller, StreamSummary
from store.calls import MemoryRecords
from store.checkpoints import Checkpoints
from store.records import CallRecord
from web.clients.briefs import BriefClient

F = TypeVar("F")
GROQ_KEY: Final = "gsk_test"
OUTBOUND_CALL: Final = CallPlan("", "", OUTBOUND)
KNOBS: Final = DeepgramKnobs(slice_ms=160, stt_reports_per_second=4)


@attrs.define
class LineLog:
    """A telephone line that notes what it was asked, and does as Twilio does: the stream is stopped."""

    asked: list[tuple[str, str]] = attrs.field(factory=list)
    stop: Callable[[], None] = lambda: None

    async def hang_up(self, call_sid: str) -> None:
        await trio.sleep(0.05)
        self.asked.append(("hang_up", call_sid))
        self.stop()

    async def put_through(self, call_sid: str, order: TransferOrder) -> None:  # noqa: ARG002 - as `Transfers` names it
        await trio.sleep(0.05)
        self.asked.append(("put_through", order.number))
        self.stop()

    async def redirect(self, call_sid: str, twiml: str) -> None:  # noqa: ARG002 - as `PhoneLine` names it
        await trio.sleep(0.05)
        self.asked.append(("redirect", twiml))
        self.stop()


@attrs.define
class Played:
    """The traces of a call that is over."""

    entries: list[Entry] = attrs.field(factory=list, init=False)
    records: MemoryRecords = attrs.field(factory=MemoryRecords, init=False)
    line: LineLog = attrs.field(factory=LineLog, init=False)
    record: CallRecord | None = attrs.field(default=None, init=False)
    summary: StreamSummary | None = attrs.field(default=None, init=False)
    caller: MediaCaller | None = attrs.field(default=None, init=False)
    exchange: DeepgramExchange | None = attrs.field(default=None, init=False)
    intercom: Intercom = attrs.field(factory=Intercom, init=False)
    voices: Mapping[str, str] = attrs.field(factory=dict[str, str], init=False)
    """Of each agent of the roster."""
    sentences: Sequence[Sentences] = attrs.field(default=(ENGLISH,), init=False)
    """The sentences of the roster's agents, which the switchboard says in their place."""
    call_sid: str = attrs.field(default="", init=False)
    faults: tuple[Fault, ...] = attrs.field(default=(), init=False)
    """What went wrong on purpose."""
    _noted: ParkingLot = attrs.field(factory=ParkingLot, init=False)

    def note(self, entry: Entry) -> None:
        self.entries.append(entry)
        self._noted.unpark_all()

    async def wait_fact(self, kind: type[Fact]) -> None:
        """Wait until there is a fact of this kind."""
        while not self.facts(kind):
            await self._noted.park()

    def facts(self, kind: type[F]) -> list[F]:
        return [entry.fact for entry in self.entries if isinstance(entry.fact, kind)]

    def times(self, kind: type[Fact]) -> list[float]:
        return [entry.at for entry in self.entries if isinstance(entry.fact, kind)]

    @property
    def the_record(self) -> CallRecord:
        assert self.record is not None
        return self.record

    @property
    def repeated(self) -> frozenset[str]:
        """What the switchboard says again, as long as it is quiet: fillers, and a question."""
        return frozenset(text for each in self.sentences for text in (*each.fillers, each.still_there))

    def heard_of_agents(self) -> list[str]:
        """The agents' words as the caller heard them, reply by reply."""
        return [turn.heard for turn in self.the_record.transcript if turn.speaker != "caller"]

    def said_by_caller(self) -> list[str]:
        return [turn.text for turn in self.the_record.transcript if turn.speaker == "caller"]


def unavailable(status: int) -> Exception:
    """Say why there is no session, as `web/clients/deepgram.py` does."""
    return AgentUnavailable(f"HTTP {status}", retryable=status not in {400, 401, 403, 404}, is_busy=status == 429)


async def answer_start(socket: WebSocket) -> StreamStarted:
    """Read up to `start`, as the web layer does before it hands the socket to the call."""
    dialogue = MediaStreamDialogue()
    while True:
        event = dialogue.receive(await socket.get_message())
        if isinstance(event, StreamStarted):
            return event


@asynccontextmanager
async def groq_simulator(faults: Sequence[Fault]) -> AsyncIterator[AskBrief]:
    app = GroqSimulator(faults, latency=0.3)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app)) as http:
        yield BriefClient("http://groq.test/openai/v1", GROQ_KEY, ("openai/gpt-oss-120b",), http).ask


async def hear_nothing(_played: Played) -> None:
    """The outside world leaves the call alone."""


class OwnServices(TypedDict, total=False):
    """The services of a call that `play` may be given."""

    policy: CallPolicy
    ask_brief: AskBrief
    clips: Clips
    transfers: Transfers
    operator_transfers: Transfers
    checkpoints: Checkpoints
    watch: Watch
    rng: Random
    env: Mapping[str, str]
    http: httpx.AsyncClient | None


async def play(
    scenario: str | Scenario = "sale",
    faults: Sequence[str] = (),
    *,
    plan: CallPlan = OUTBOUND_CALL,
    roster: Roster | None = None,
    knobs: DeepgramKnobs = KNOBS,
    prompt: bool = True,
    bundle: int = 4,
    played: Played | None = None,
    meanwhile: Callable[[Played], Awaitable[None]] = hear_nothing,
    turns: CallerTurns | None = None,
    identity: StreamIdentity | None = None,
    **own: Unpack[OwnServices],
) -> Played:
    """Play a scenario through `run_call` until both sides are done; `meanwhile` is what the outside world does.

    Audio travels in bundles (80 ms of the caller's, 160 ms of the service's) unless told otherwise: it makes a call
    cheaper, and its timing coarser. The sockets are `prompt`, as real ones are. The stream names the call, and the
    scenario its caller.
    """
    roster = roster or default_roster()
    script = load_scenario(scenario) if isinstance(scenario, str) else scenario
    script = script.knowing(roster.prompts(plan.direction))
    planned = (*script.faults, *map(parse_fault, faults))
    fault_plan, done = FaultPlan(planned), played or Played()
    done.voices, done.faults = {name: agent.voice for name, agent in roster.agents.items()}, planned
    done.sentences = [agent.sentences for agent in roster.agents.values()]
    ours, theirs = memory_websocket_pair()
    ours.is_prompt = prompt
    turns, identity = turns or CallerTurns(script.caller), identity or StreamIdentity()
    done.caller = MediaCaller(theirs, turns, identity, faults=fault_plan.twilio, bundle=bundle)
    exchange = DeepgramExchange(script, knobs=knobs, faults=fault_plan, refuse=unavailable, prompt=prompt)
    done.exchange = exchange
    async with exchange, groq_simulator(planned) as ask:
        services = _services(done, roster, exchange, {"ask_brief": ask, **own})
        await _carry(done, ours, attrs.evolve(plan, caller=script.caller.number), services, meanwhile)
    return done


def _services(done: Played, roster: Roster, exchange: DeepgramExchange, own: OwnServices) -> CallServices:
    demo = roster.extras.demo or Demo("")
    given: OwnServices = {"rng": Random(0), "env": demo.env, "http": demo.client(), **own}
    return CallServices(
        roster=roster,
        connect=exchange.connect,
        line=done.line,
        records=done.records,
        observe=done.note,
        intercom=done.intercom,
        **given,
    )


async def _carry(
    done: Played,
    ours: PacedWebSocket,
    plan: CallPlan,
    services: CallServices,
    meanwhile: Callable[[Played], Awaitable[None]],
) -> None:
    """Have the caller on the line, and run the call of their stream until both sides are done. Closes `ours`."""
    assert done.caller is not None
    caller = done.caller
    done.line.stop = caller.stop

    async def hang_on(task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        done.summary = await caller.run()

    async with trio.open_nursery() as nursery:
        await nursery.start(hang_on)
        started = await answer_start(ours)
        done.call_sid = started.call_sid
        nursery.start_soon(meanwhile, done)
        try:
            plan = attrs.evolve(plan, call_sid=started.call_sid, stream_sid=started.stream_sid)
            done.record = await run_call(ours, plan, services)
        finally:
            with trio.move_on_after(2, shield=True):
                await ours.aclose()
