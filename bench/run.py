"""One run: one server, so many calls, from an idle process to the last hang-up.

    warm up ─▶ idle memory ─▶ set up, one call after the other ─▶ all talk ─▶ measured ─▶ handoffs ─▶ hang up

The server has a core of its own; the generators, on the others, are measured like the server is. What they cost, how
late their clocks ticked and how long the server waited for its core say whether to believe the rest.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import attrs

from bench.control import Remote
from bench.fake_deepgram import DeepgramReport, SessionReport
from bench.fake_twilio import TwilioReport
from bench.frames import FRAME_SECONDS
from bench.processes import Cores, Usage, busy_ms, free_port, resident_mb, running, usage, wait_listening
from bench.servers import ROOT, Server, Services
from bench.tally import PageReport, Span, curve_ms
from simulators.tls import certificate

WARM_UP = 5.0
"""More than one reply: every agent is talking by then."""
HANDOFFS = 11.0
"""Two handoffs of every call fit in, if no call waits for its turn to be handed on."""
TAIL = 3.0
"""For frames that are underway when a span ends; a server that paces agents may be two seconds behind them."""
SETTLING = 1.0
CONNECTING = 30.0
SILENT = 25
"""Calls that are set up before their agents say something."""
GREETING = 0.5
"""Seconds until what they say is sent, and heard."""


@attrs.frozen
class Load:
    """The load that is put on a server."""

    calls: int
    seconds: float
    turn_every: float = 0.0
    """Seconds between two turns of each caller, who speaks for half of them; 0: all the time, and no turn ends."""
    handoffs: bool = True
    regime: str = "burst"
    """`burst`: agents speak at twice real time, marks come when played; `no lead`: at real time, marks come at once."""
    asks_aloud: bool = False
    """Whether agents still speak when they ask for a handoff."""
    spread: float = 0.0
    """Seconds over which the handoffs come, each call's two at moments of its own; 0: with the next reply of each."""

    @property
    def handing_on(self) -> float:
        """Seconds that the handoffs take."""
        return HANDOFFS + self.spread


@attrs.frozen
class Way:
    """One direction of the audio."""

    frames: int
    lost: int
    duplicated: int
    disordered: int
    gaps: int
    raw_ms: tuple[float, ...]
    net_ms: tuple[float, ...]


@attrs.frozen
class Handed:
    """The handoffs of a run."""

    asked: int
    done: int
    gap_ms: tuple[float, ...]
    """From the function call to the first audio of the next agent, at the caller."""
    played_ms: tuple[float, ...]
    """The same until that audio is heard: what the last agent had said by then plays out before it."""
    overlap_ms: float
    """Audio of an agent that came to the caller after the first audio of the next one."""
    own_ms: tuple[float, ...]
    """The same without what the service itself took: from its Welcome to its SettingsApplied."""
    unheard_frames: int
    """Of the caller, since the function call, that the next agent never heard."""
    replayed_frames: int
    """That the next agent heard although the last one had heard them: said since the last turn."""
    cpu_ms: float
    """For each, beyond what the calls cost anyway."""


@attrs.frozen
class Run:
    """What one run has found. Milliseconds of CPU are per second of one call, unless they say otherwise."""

    server: str
    regime: str
    calls: int
    seconds: float
    cpu_ms: float
    user_ms: float
    setup_cpu_ms: float
    """For one call."""
    idle_mb: float
    mb_per_call: float
    to_agent: Way
    to_caller: Way
    messages_to_caller: float
    """A second, for one call: audio and marks."""
    handed: Handed | None
    dropped_calls: int
    damaged: int
    crossed: int
    load_ms: float
    """Of both generators."""
    load_busy: float
    """Share of their cores that the generators used."""
    server_busy: float
    server_waited: float
    """Share of the time in which the server wanted to run and could not."""
    others_busy: float
    """Cores used by whatever else was running on the machine."""
    tick_late_ms: float
    """99th percentile of the generators' own lateness."""


@attrs.define
class Bench:
    """A server under load, as it runs."""

    server: Server
    load: Load
    cores: Cores
    server_pid: int
    port: int
    twilio: Remote
    deepgram: Remote

    def measure(self) -> Run:
        """Go through all stages."""
        self._place(1)
        self._hang_up()
        idle_mb = resident_mb(self.server_pid)
        setup_ms = self._place(self.load.calls)
        spans = self._begin()
        used, load_used, busy = self._usage_of(spans[0])
        loaded_mb = resident_mb(self.server_pid)
        later = self._hand_off(spans[1], used) if len(spans) > 1 else 0.0
        _sleep_until(spans[-1].ends + TAIL)
        told = self.twilio.ask("report", TwilioReport)
        heard = self.deepgram.ask("report", DeepgramReport)
        self._hang_up()
        calls, seconds = self.load.calls, self.load.seconds
        return Run(
            server=self.server.name,
            regime=self.load.regime,
            calls=calls,
            seconds=seconds,
            cpu_ms=used.total_ms / calls / seconds,
            user_ms=used.user_ms / calls / seconds,
            setup_cpu_ms=setup_ms / calls,
            idle_mb=idle_mb,
            mb_per_call=(loaded_mb - idle_mb) / calls,
            to_agent=_way(sum(told.spoken) - sum(page.frames for page in heard.heard), heard.heard),
            to_caller=_way(sum(call.lost for call in told.calls), told.heard),
            messages_to_caller=told.heard[0].messages / calls / seconds,
            handed=_handed(told, heard, later) if len(spans) > 1 else None,
            dropped_calls=sum(call.dropped for call in told.calls),
            damaged=told.damaged + heard.damaged,
            crossed=told.crossed,
            load_ms=load_used / calls / seconds,
            load_busy=load_used / 1000 / seconds / len(self.cores.load),
            server_busy=used.total_ms / 1000 / seconds,
            server_waited=used.waited_ms / 1000 / seconds,
            others_busy=(busy - used.total_ms - load_used) / 1000 / seconds,
            tick_late_ms=max(told.tick_late_ms[99], heard.tick_late_ms[99]),
        )

    def _place(self, calls: int) -> float:
        """Place calls one after the other; return the CPU time of the server, in ms, until all have an agent.

        What agents say first is no part of it: they say it when so many calls have been set up, and none waits long.
        """
        used, relay = 0.0, self.server.is_relay
        for placed in range(0, calls, SILENT):
            more = min(SILENT, calls - placed)
            before = usage(self.server_pid)
            self.twilio.ask("dial", bool, calls=more, port=self.port, is_relay=relay)
            self._wait_ready(placed + more)
            used += (usage(self.server_pid) - before).total_ms
            self.deepgram.ask("greet", bool)
            time.sleep(GREETING)
        return used

    def _wait_ready(self, calls: int) -> None:
        """Wait until so many calls have an agent."""
        deadline = time.monotonic() + CONNECTING
        while (ready := self.deepgram.ask("count", int)) < calls:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.server.name}: {ready} of {calls} calls have an agent")
            time.sleep(0.02)

    def _hang_up(self) -> None:
        self.twilio.ask("hang_up", bool)
        time.sleep(SETTLING)

    def _begin(self) -> list[Span]:
        starts = time.monotonic() + 0.2
        begins = starts + WARM_UP
        spans = [Span(begins, begins + self.load.seconds)]
        if self.load.handoffs and not self.server.is_relay:
            spans.append(Span(spans[0].ends, spans[0].ends + self.load.handing_on))
        for generator in (self.twilio, self.deepgram):
            generator.ask("measure", bool, spans=spans)
            generator.ask("talk", bool, at=starts, turn_every=self.load.turn_every, regime=self.load.regime)
        return spans

    def _usage_of(self, span: Span) -> tuple[Usage, float, float]:
        """Sleep through a span; return what the server, the generators and the whole machine used in it."""
        generators = (self.twilio.process.pid, self.deepgram.process.pid)
        _sleep_until(span.begins)
        before, load, busy = usage(self.server_pid), [usage(pid) for pid in generators], busy_ms()
        _sleep_until(span.ends)
        used = usage(self.server_pid) - before
        load_used = sum((usage(pid) - was).total_ms for pid, was in zip(generators, load, strict=True))
        return used, load_used, busy_ms() - busy

    def _hand_off(self, span: Span, talking: Usage) -> float:
        """Hand every call on; return the CPU of it all beyond what the calls use that only talk."""
        before = usage(self.server_pid)
        self.deepgram.ask("hand_off", bool, at=span.begins, spread=self.load.spread, aloud=self.load.asks_aloud)
        _sleep_until(span.ends)
        used = usage(self.server_pid) - before
        return used.total_ms - talking.total_ms / self.load.seconds * self.load.handing_on


def beside(benches: Sequence[Bench], windows: int, seconds: float) -> Iterator[list[float]]:
    """Let the calls of several servers talk at once; yield the CPU of each, in ms, window by window.

    Servers that run one after the other find another machine each: its speed moves by more than they differ.
    """
    for each in benches:
        each._place(1)
        each._hang_up()
        each._place(each.load.calls)
    spans = [each._begin()[0] for each in benches]
    _sleep_until(max(span.begins for span in spans))
    for _ in range(windows):
        before = [usage(each.server_pid) for each in benches]
        time.sleep(seconds)
        yield [(usage(each.server_pid) - was).total_ms for each, was in zip(benches, before, strict=True)]
    for each in benches:
        if dropped := sum(call.dropped for call in each.twilio.ask("report", TwilioReport).calls):
            raise RuntimeError(f"{each.server.name}: {dropped} of {each.load.calls} calls did not last until the end")


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


def _way(lost: int, heard: list[PageReport]) -> Way:
    """Join both ends: counts are of all spans, latencies of the first, in which no call is handed on."""
    return Way(
        frames=sum(page.frames for page in heard),
        lost=lost,
        duplicated=sum(page.duplicated for page in heard),
        disordered=sum(page.disordered for page in heard),
        gaps=heard[0].gaps,
        raw_ms=heard[0].raw_ms,
        net_ms=heard[0].net_ms,
    )


def _handed(told: TwilioReport, heard: DeepgramReport, cpu_ms: float) -> Handed:
    heard_at = {session: moment for call in told.calls for session, moment in call.first_heard.items()}
    played_at = {session: moment for call in told.calls for session, moment in call.first_played.items()}
    asked = sum(1 for session in heard.sessions if session.asked)
    pairs = list(_pairs(heard.sessions))
    gaps = [heard_at[after.session] - before.asked for before, after in pairs if after.session in heard_at]
    played = [played_at[after.session] - before.asked for before, after in pairs if after.session in played_at]
    overlap_ms = sum(call.interleaved for call in told.calls) * FRAME_SECONDS * 1000
    own = [
        heard_at[after.session] - before.asked - (after.applied - after.opened)
        for before, after in pairs
        if after.session in heard_at
    ]
    unheard = sum(max(0, int((after.first_heard - before.asked) / FRAME_SECONDS)) for before, after in pairs)
    return Handed(
        asked=asked,
        done=len(gaps),
        gap_ms=curve_ms(gaps),
        played_ms=curve_ms(played),
        overlap_ms=overlap_ms,
        own_ms=curve_ms(own),
        unheard_frames=unheard,
        replayed_frames=heard.replayed,
        cpu_ms=cpu_ms / max(1, asked),
    )


def _pairs(sessions: list[SessionReport]) -> Iterator[tuple[SessionReport, SessionReport]]:
    """Yield each session that asked for a handoff, with the one that followed it on its call."""
    for before in sessions:
        later = [each for each in sessions if each.call == before.call and each.opened > before.opened and each.applied]
        if before.asked and later and before.call:
            yield before, min(later, key=lambda each: each.opened)


@contextmanager
def bench(server: Server, load: Load, cores: Cores, scratch: Path) -> Iterator[Bench]:
    """Start the generators and the server, and end them."""
    log = scratch / "load.log"
    with ExitStack() as stack:
        files = stack.enter_context(certificate(scratch))
        remotes = []
        for name, keys in (("deepgram", (str(files.chain), str(files.key))), ("twilio", ())):
            command = [sys.executable, "-m", f"bench.fake_{name}", *keys]
            process = stack.enter_context(running(command, cores=cores.load, cwd=ROOT, log=log))
            remotes.append(Remote(process))
        ports = remotes[0].hear(dict[str, int])
        remotes[1].hear(bool)
        port = free_port()
        services = Services(
            port,
            f"ws://127.0.0.1:{ports['deepgram']}/v1/agent/converse",
            f"http://127.0.0.1:{ports['groq']}",
            f"wss://127.0.0.1:{ports['deepgram_tls']}/v1/agent/converse",
            str(files.authority),
            str(scratch),
        )
        server_log = scratch / "server.log"
        process = stack.enter_context(
            running(
                server.command(services),
                cores=cores.server,
                cwd=server.folder,
                log=server_log,
                environ=server.environ(services),
            )
        )
        wait_listening(port, process, server_log)
        try:
            yield Bench(server, load, cores, process.pid, port, remotes[1], remotes[0])
        except (TimeoutError, RuntimeError) as failed:
            for said in (server_log, log):
                failed.add_note(f"{said.name}:\n{said.read_text()[-2000:]}")
            raise
