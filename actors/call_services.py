"""The inputs of a call: its own plan, and the services that all calls of a server share.

`CallServices` holds what the server opened, and makes the parts that one call owns. It closes nothing.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Protocol, TypeAlias, TypeVarTuple

import attrs
import httpx
import trio

from actors.endings.intercom import Intercom
from actors.journal import Entry, Journal, JournalReader, ignore
from actors.line.switch import Transfers
from actors.policy import CallPolicy
from actors.record.resumption import Resumption
from actors.record.scribe import Scribe, ScribeThreads, Written
from actors.session.agent_session import Connect
from actors.session.opening import VoiceAgentOptions
from actors.summarizer import AskBrief
from actors.turn.machine import Turn
from actors.turn_driver import Clips
from agents.brief import Brief
from agents.context import CallContext
from agents.roster import Roster
from agents.sentences import Sentences
from store.calls import CallRecords, Save
from store.checkpoints import Checkpoints
from store.redaction import WHOLE, Redaction

Ts = TypeVarTuple("Ts")


@attrs.frozen
class CallUnderWay:
    """A call as a watcher sees it: its journal, its turn, and the task at the root of its tree."""

    journal: Journal
    turn: Turn
    task: trio.lowlevel.Task


class CallWatch(Protocol):
    """Lets the console watch a call: each fact, both sides of its audio, its turn and the tree of its tasks.

    The call waits for none of it: every method returns at once, keeps a bounded amount, and raises nothing.
    """

    def begin(self, call: CallUnderWay) -> Written:
        """The call begins, or goes on with another stream; return what is to be told of this stream's facts on disk."""
        ...

    def read(self, entry: Entry) -> None:
        """A fact was noted."""

    def hear_caller(self, audio: bytes) -> None:
        """The caller's line has sent audio."""

    def hear_agents(self, start: float, audio: bytes) -> None:
        """The caller has heard audio of the agents from second `start` of the call on."""


Watch: TypeAlias = Callable[[str], CallWatch | None]


def each_of(taps: Sequence[Callable[[*Ts], None]]) -> Callable[[*Ts], None]:
    def call(*args: *Ts) -> None:
        for tap in taps:
            tap(*args)

    return taps[0] if len(taps) == 1 else call


class PhoneLine(Protocol):
    """The requests of a call to the telephone network. Either may raise; the call ends all the same."""

    async def hang_up(self, call_sid: str) -> None:
        """End the call; a call that is over already is no error."""

    async def redirect(self, call_sid: str, twiml: str) -> None:
        """Let the network go on with these instructions; it stops the media stream."""


@attrs.frozen
class CallPlan:
    """The parties of a call. `caller` and `line` (our number) are E.164, or empty; `context` is what is known already.

    `voicemail` is what to say to an answering machine: "" hangs up on it, None is as the policy says. `longest` is the
    longest that this conversation may take, in seconds, if that is less than the policy's. `resumption` is what the
    call goes on from, if this is not its first stream.
    """

    call_sid: str
    stream_sid: str
    direction: str
    caller: str = ""
    line: str = ""
    context: Brief | None = None
    voicemail: str | None = None
    longest: float = math.inf
    resumption: Resumption | None = None
    agents: str = ""
    """Which agent begins, or which source of AGENTS; empty leaves it to the roster."""
    metadata: Mapping[str, object] = attrs.field(factory=dict[str, object])
    """The order's own data, for functions and the record."""


_APART = 0.002
_LONGEST_APART = 0.25


@attrs.define
class Endings:
    """The calls that end just now: their records, half a millisecond of work each, are made one after the other."""

    _waiting: int = attrs.field(default=0, init=False)

    async def take_turn(self) -> None:
        """Wait until those that have ended in the same moment have had their turn, a quarter of a second at most."""
        before, self._waiting = self._waiting, self._waiting + 1
        try:
            await trio.sleep(min(before * _APART, _LONGEST_APART))
        finally:
            self._waiting -= 1


@attrs.frozen
class CallServices:
    """Everything that all calls of this server share. The code that makes it closes what needs closing."""

    roster: Roster
    connect: Connect
    ask_brief: AskBrief | None
    line: PhoneLine
    records: CallRecords
    save: Save = attrs.field(default=attrs.Factory(lambda services: services.records.save, takes_self=True))
    """Keeps a record, and whatever else is to be done with it then."""
    policy: CallPolicy = attrs.field(factory=CallPolicy)
    voice_agent: VoiceAgentOptions = attrs.field(factory=VoiceAgentOptions)
    recordings: Path | None = None
    observe: Callable[[Entry], None] = ignore
    clips: Clips = attrs.field(factory=Clips)
    intercom: Intercom = attrs.field(factory=Intercom)
    transfers: Transfers | None = None
    """How a call is put through to a person; None where there is nobody."""
    operator_transfers: Transfers | None = None
    """How an operator puts a call through to any number; None where no telephone network is behind the calls."""
    rng: Random = attrs.field(factory=Random)
    checkpoints: Checkpoints | None = None
    """The log of running calls: a call has a record even if this process is killed."""
    records_audio: Callable[[str], bool] = attrs.field(default=lambda _line: True)
    """Whether the audio of calls on this number of ours is recorded."""
    endings: Endings = attrs.field(factory=Endings)
    redaction: Redaction = WHOLE
    threads: ScribeThreads = attrs.field(factory=ScribeThreads)
    """Those that write the calls' files."""
    writer: str = ""
    """The name under which they do."""
    watch: Watch = lambda _: None
    trace_id: Callable[[str], str] = lambda _: ""
    """Names the trace of a call, by its CallSid; empty where there is none."""
    recording_at: Callable[[str], str] = lambda _: ""
    """Says where the audio of a call will be, by its CallSid; empty where it stays in `recordings`."""
    followers: tuple[Callable[[CallPlan], JournalReader], ...] = ()
    """Make what else reads the Journal of a call: it must neither block nor raise."""

    env: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)
    """Settings for functions."""
    ask_json: AskBrief | None = None
    """Asks the same language model for any JSON object, after a call."""
    http: httpx.AsyncClient | None = None
    """For what functions ask of others."""

    def sentences(self, direction: str, line: str, chosen: str = "") -> Sentences:
        """Return those of the agent that begins such a call, or of the `chosen` one."""
        return self.roster.beginning(direction, line, chosen).begins.sentences

    def context(self, plan: CallPlan) -> CallContext:
        metadata = plan.metadata or (plan.resumption.record.metadata if plan.resumption is not None else {})
        return CallContext(
            plan.call_sid,
            "",
            stream_sid=plan.stream_sid,
            caller=plan.caller,
            line=plan.line,
            direction=plan.direction,
            metadata=metadata,
            env=self.env,
            http=self.http,
        )

    def scribe(self, plan: CallPlan, begins_at: float) -> Scribe | None:
        """Return a call's own, or None where nothing is recorded."""
        folder, records_audio = self.recordings, self.records_audio(plan.line)
        if folder is None:
            return None
        return Scribe(folder / plan.call_sid, begins_at, self.threads, self.writer, records_audio)
