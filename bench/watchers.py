"""What watching costs the calls that are watched: `uv run --group bench python -m bench.watchers`, two minutes.

25 calls of one server talk throughout. In turns nobody watches, ten watch one of the calls, nobody, each call has a
watcher, nobody … A watcher reads the server-sent events of a call, as a page does. From the first ten on, two more stop
reading at once, one of the events and one of the audio: the server has to drop them. It fails (exit status 1) when a
frame was lost or the 99th percentile of the audio's latency grew by 5 ms or more, and cannot tell (2) where nobody's
own phases differ by so much.
"""

import argparse
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import attrs
import httpx

from bench.fake_deepgram import DeepgramReport
from bench.fake_twilio import TwilioReport
from bench.processes import Cores
from bench.run import TAIL, WARM_UP, Bench, Load, bench
from bench.servers import TOKEN, server_of
from bench.tally import Span
from bench.watching_verdict import NOBODY, Phase, judge, noise_ms

TEN, EACH = "ten on one call", "one on each call"
KINDS = {NOBODY: 0, TEN: 10, EACH: -1}
PAUSE = 2.0
"""Between two phases, for watchers to leave and others to come."""
SMALL = 4096
SEGMENT = 536
"""Bytes, of a reader that stops: the loopback's own buffers would take in minutes of what it is sent."""


@attrs.define
class Watchers:
    """Reads the events of calls, each in a thread; counts what comes."""

    port: int
    bytes_read: int = 0
    streams: int = 0
    _open: ExitStack = attrs.field(factory=ExitStack)

    def start(self, wanted: int) -> None:
        """Open so many streams of one call, or one of each (-1)."""
        live = self.live_calls() if wanted else []
        for call_sid in live if wanted < 0 else live[:1] * wanted:
            stream = self._open.enter_context(self.ask(call_sid, "events", socket.socket()))
            self.streams += 1
            threading.Thread(target=self._read, args=[stream], daemon=True).start()

    def live_calls(self) -> list[str]:
        """Return the calls that go on."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        listed = httpx.get(f"http://127.0.0.1:{self.port}/calls?limit=500", headers=headers).raise_for_status().json()
        return [str(call["call_sid"]) for call in listed["calls"] if call["status"] == "in-progress"]

    def ask(self, call_sid: str, view: str, stream: socket.socket) -> socket.socket:
        """Ask for a view of a call."""
        stream.connect(("127.0.0.1", self.port))
        lines = [f"GET /calls/{call_sid}/{view} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {TOKEN}"]
        stream.sendall("\r\n".join([*lines, "", ""]).encode())
        return stream

    def _read(self, stream: socket.socket) -> None:
        try:
            while part := stream.recv(65536):
                self.bytes_read += len(part)
        except OSError:
            return

    def stop(self) -> None:
        """Close them."""
        self._open.close()


@attrs.define
class Deaf:
    """A watcher that reads nothing."""

    view: str
    stream: socket.socket

    @classmethod
    def of(cls, watchers: Watchers, view: str) -> "Deaf":
        """Begin to watch the newest call, and stop reading."""
        stream = socket.socket()
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
        return cls(view, watchers.ask(watchers.live_calls()[0], view, stream))

    def told(self) -> str:
        """Read what has come after all, and say whether the server has gone."""
        self.stream.settimeout(1.0)
        with self.stream:
            try:
                while self.stream.recv(65536):
                    pass
            except TimeoutError:
                return "not dropped yet: what it was sent lies in the kernel's buffers"
            except OSError:
                pass  # the server has reset the connection
        return "dropped"


@attrs.frozen
class Session:
    """Phases of one run, and what was used in each."""

    phases: tuple[Phase, ...]
    cpu_ms: tuple[float, ...]
    streams: tuple[int, ...]
    deaf: tuple[str, ...]


def _plan(rounds: int) -> list[str]:
    return [NOBODY, *[TEN, NOBODY, EACH, NOBODY] * rounds]


@attrs.define
class WatchedBench(Bench):
    """A run whose calls are watched, by one kind of watchers after the other."""

    def watch(self, plan: list[str]) -> Session:
        """Go through the phases."""
        self._place(self.load.calls)
        starts, seconds = time.monotonic() + 0.2, self.load.seconds
        begins = [starts + WARM_UP + number * (seconds + PAUSE) for number in range(len(plan))]
        spans = [Span(begin, begin + seconds) for begin in begins]
        for generator in (self.twilio, self.deepgram):
            generator.ask("measure", bool, spans=spans)
            generator.ask("talk", bool, at=starts, turn_every=0.0, regime=self.load.regime)
        cpu, streams, deaf = list[float](), list[int](), list[Deaf]()
        for kind, span in zip(plan, spans, strict=True):
            print(f"{kind} …", file=sys.stderr)
            watchers = Watchers(self.port)
            watchers.start(KINDS[kind])
            if kind == TEN and not deaf:
                deaf = [Deaf.of(watchers, view) for view in ("events", "audio")]
            used, _, _ = self._usage_of(span)
            cpu.append(used.total_ms / seconds / self.load.calls)
            watchers.stop()
            streams.append(watchers.streams)
        time.sleep(TAIL)
        told, heard = self.twilio.ask("report", TwilioReport), self.deepgram.ask("report", DeepgramReport)
        left = tuple(f"{one.view}: {one.told()}" for one in deaf)
        self._hang_up()
        return Session(tuple(_phases(plan, told, heard)), tuple(cpu), tuple(streams), left)


def _phases(plan: list[str], told: TwilioReport, heard: DeepgramReport) -> Iterator[Phase]:
    ways = ((told.spoken, heard.heard), (heard.spoken, told.heard))
    for number, kind in enumerate(plan):
        lost = sum(spoken[number] - pages[number].frames for spoken, pages in ways)
        to_agents, to_callers = (pages[number].net_ms[99] for _, pages in ways)
        yield Phase(kind, lost, (to_agents, to_callers))


def _table(session: Session) -> Iterator[str]:
    yield "| who watches | streams | frames lost | p99 to agents, ms | to callers, ms | CPU a call, ms/s |"
    yield "|---|---|---|---|---|---|"
    for phase, cpu, streams in zip(session.phases, session.cpu_ms, session.streams, strict=True):
        ways = " | ".join(f"{ms:.1f}" for ms in phase.p99_ms)
        yield f"| {phase.kind} | {streams} | {phase.lost} | {ways} | {cpu:.1f} |"


def main() -> None:
    """Measure, write a table, and say whether it holds."""
    parser = argparse.ArgumentParser(prog="python -m bench.watchers", description=__doc__)
    parser.add_argument("--calls", type=int, default=25)
    parser.add_argument("--seconds", type=float, default=9.0, help="length of one phase")
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    cores = Cores.split()
    os.sched_setaffinity(0, cores.load)  # watchers are somewhere else, as a rule
    with tempfile.TemporaryDirectory() as folder:
        load = Load(given.calls, given.seconds, handoffs=False)
        with bench(server_of("ours", Path(folder)), load, cores, Path(folder)) as it:
            session = WatchedBench(**attrs.asdict(it, recurse=False)).watch(_plan(given.rounds))
    print(f"{given.calls} calls\n", *_table(session), "", sep="\n")
    print(f"noise: without watchers the p99 differs by {noise_ms(session.phases):.1f} ms from phase to phase")
    found = judge(session.phases)
    for one in found:
        print(f"{one.kind}: {one.added_ms:+.1f} ms at the 99th percentile, {one.lost} frames lost: {one.verdict}")
    for told in session.deaf:
        print(f"a watcher that reads nothing, of the {told}")
    verdicts = {one.verdict.partition(":")[0] for one in found}
    sys.exit(1 if "FAIL" in verdicts else 2 if "cannot tell" in verdicts else 0)


if __name__ == "__main__":
    main()
