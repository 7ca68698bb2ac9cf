"""Minutes of calls that come and go, everything going wrong: `uv run --group bench python -m bench.soak`.

Runs the server as a process of its own between two generators, keeps so many calls on the line, lets go, and compares
what the server holds with what it held before: tasks, sockets, file descriptors, memory for each finished call. Counts
frames of the caller that nobody heard, and calls without a record. Fails if anything is not as it must be.
"""

import argparse
import math
import sqlite3
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import attrs

from bench.control import Remote
from bench.frames import call_number
from bench.processes import Cores, descriptors, free_port, resident_mb, running, usage, wait_listening
from bench.servers import ROOT, TOKEN, Services, server_of
from bench.soak_deepgram import SoakHeard
from bench.soak_twilio import SoakReport
from bench.soak_verdict import Excuse, Heard, Sample, Soak, Spoken, broken, growth, last_half, unheard

EVERY = 2.0
WARM_UP_CALLS, WARM_UP_SECONDS = 25, 15.0
"""Things that are made once and kept (pools, threads, imports) are made before the first look."""
SETTLING = 40.0
"""For the last calls to be over, and what outlives them by its own deadline."""
SHOWN = 10
COMPLAINTS = ("call_crashed", "actor_crashed", "records_writer_crashed", "clips_crashed", "record_not_saved")
"""Events of the server's log that no trouble of ours explains."""


@attrs.frozen
class World:
    """The server and its generators."""

    pid: int
    port: int
    twilio: Remote
    deepgram: Remote
    database: Path
    log: Path
    pools: frozenset[int]
    """Ports of services to which the server keeps idle connections for the next question."""

    def sample(self) -> Sample:
        """Look at the server from outside; the tasks and calls it tells itself."""
        url, token = f"http://127.0.0.1:{self.port}/metrics", {"Authorization": f"Bearer {TOKEN}"}
        with urllib.request.urlopen(urllib.request.Request(url, headers=token), timeout=30) as told:
            gauges = dict(line.rpartition(" ")[::2] for line in told.read().decode().splitlines() if line[:1] != "#")
        ended = sum(float(value) for name, value in gauges.items() if name.startswith("switchboard_calls_ended_total{"))
        held = descriptors(self.pid, self.pools)
        return Sample(
            at=time.monotonic(),
            tasks=int(float(gauges["switchboard_tasks"])),
            sockets=held.sockets - held.pooled,
            files=held.files - held.pooled,
            pooled=held.pooled,
            resident_mb=resident_mb(self.pid),
            live=int(float(gauges["switchboard_calls_live"])),
            ended=int(ended),
        )

    def soak(self, calls: int, seconds: float, seed: int) -> Iterator[Sample]:
        """Keep calls on the line, looking from time to time; then hang up."""
        self.deepgram.ask("seed", bool, seed=seed)
        until = time.monotonic() + seconds
        self.twilio.ask("keep", bool, calls=calls, until=until, port=self.port, seed=seed)
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(EVERY, left))
            yield self.sample()
        self.twilio.ask("end_all", bool)

    def settle(self, like: Sample | None) -> Sample:
        """Wait until no call is left and, if there is something to compare with, no more is held than then."""
        deadline = time.monotonic() + SETTLING
        while True:
            is_quiet = not self.twilio.ask("live", int)
            sample = self.sample()
            level = like is None or (sample.tasks <= like.tasks and sample.files <= like.files)
            if (is_quiet and not sample.live and level) or time.monotonic() > deadline:
                return sample
            time.sleep(0.5)

    def recorded(self) -> set[str]:
        """Return the calls that have a record."""
        with closing(sqlite3.connect(self.database)) as database:
            return {sid for (sid,) in database.execute("SELECT call_sid FROM calls")}


@contextmanager
def world(scratch: Path) -> Iterator[World]:
    """Start the generators and the server, and end them."""
    cores, load_log, log, database = Cores.split(), scratch / "load.log", scratch / "server.log", scratch / "soak.db"
    with ExitStack() as stack:
        deepgram, twilio = (
            Remote(
                stack.enter_context(
                    running([sys.executable, "-m", f"bench.soak_{name}"], cores=cores.load, cwd=ROOT, log=load_log)
                )
            )
            for name in ("deepgram", "twilio")
        )
        ports, rest = deepgram.hear(dict[str, int]), twilio.hear(int)
        port = free_port()
        services = Services(
            port, f"ws://127.0.0.1:{ports['deepgram']}/v1/agent/converse", f"http://127.0.0.1:{ports['groq']}"
        )
        server = server_of("bare", scratch)
        environ = {
            **server.environ(services),
            "TWILIO_API_URL": f"http://127.0.0.1:{rest}",
            "DATABASE_URL": f"sqlite:///{database}",
        }
        command = [sys.executable, str(ROOT / "cli.py"), "serve"]
        process = stack.enter_context(running(command, cores=cores.server, cwd=scratch, log=log, environ=environ))
        wait_listening(port, process, log)
        try:
            yield World(process.pid, port, twilio, deepgram, database, log, frozenset((ports["groq"], rest)))
        except (OSError, RuntimeError) as failed:
            for said in (log, load_log):
                failed.add_note(f"{said.name}:\n{said.read_text()[-3000:]}")
            raise


def _line(began: float, sample: Sample) -> str:
    return (
        f"{sample.at - began:6.0f} s: {sample.live:4} calls, {sample.ended:5} ended, {sample.tasks:5} tasks, "
        f"{sample.sockets:4} sockets, {sample.files:4} files, {sample.resident_mb:6.1f} MB"
    )


def _watch(it: World, calls: int, seconds: float, seed: int) -> list[Sample]:
    samples: list[Sample] = []
    began, used = time.monotonic(), usage(it.pid)
    for sample in it.soak(calls, seconds, seed):
        samples.append(sample)
        if len(samples) % 5 == 0:
            print(_line(began, sample), file=sys.stderr, flush=True)
    spent = usage(it.pid) - used
    busy, waited = (each / 1000 / (time.monotonic() - began) for each in (spent.total_ms, spent.waited_ms))
    print(f"the server used {busy:.0%} of its core, and waited for it {waited:.0%} of the time", file=sys.stderr)
    return samples


def _match(spoken: list[Spoken], heard: list[Heard]) -> tuple[int, Counter[Excuse]]:
    by_call = {each.call: each for each in heard}
    lost, shown, excused = 0, 0, Counter[Excuse]()
    for call in spoken:
        count, excuse, frames = unheard(call, by_call.get(call.call))
        lost += count
        if excuse is not None:
            excused[excuse] += frames
        shown += count > 0
        if count and shown <= SHOWN:
            print(f"! {count} frames unheard: {call} {by_call.get(call.call)}", file=sys.stderr)
    return lost, excused


def run(calls: int, seconds: float, seed: int, scratch: Path) -> Soak:
    """Warm up, look, soak, look again, and compare."""
    with world(scratch) as it:
        for _ in it.soak(WARM_UP_CALLS, WARM_UP_SECONDS, seed + 1):
            pass
        it.settle(None)
        time.sleep(EVERY)
        before = it.settle(None)
        it.twilio.ask("report", SoakReport)
        print(f"before: {_line(before.at, before)}", file=sys.stderr, flush=True)
        samples = _watch(it, calls, seconds, seed)
        after = it.settle(before)
        print(f"after:  {_line(before.at, after)}", file=sys.stderr, flush=True)
        told, heard = it.twilio.ask("report", SoakReport), it.deepgram.ask("report", SoakHeard)
        recorded = {call_number(sid) for sid in it.recorded()}
        lost, excused = _match(told.spoken, heard.heard)
        _tell(told, heard)
        log = it.log.read_text()
        unrecorded = [each.call for each in told.spoken if each.call not in recorded]
        if unrecorded:
            print(f"! without a record: calls {unrecorded[:20]}", file=sys.stderr)
        return Soak(
            before=before,
            after=after,
            growth=growth(last_half(samples)),
            begun=len(told.spoken),
            recorded=len(told.spoken) - len(unrecorded),
            unheard=lost,
            excused=excused,
            refused=len(told.refused),
            left_open=sum(each.left_open for each in told.spoken),
            complaints=sum(log.count(f'"event": "{complaint}"') for complaint in COMPLAINTS),
        )


def _tell(told: SoakReport, heard: SoakHeard) -> None:
    for what, counts in (("endings", told.endings), ("the service", heard.did)):
        print(f"{what}: " + ", ".join(f"{name} {count}" for name, count in sorted(counts.items())), file=sys.stderr)
    for why in told.refused[:5]:
        print(f"! not let in: {why}", file=sys.stderr)


def as_text(found: Soak) -> str:
    """Write the figures."""
    before, after, grown = found.before, found.after, found.growth
    rows = [
        ("tasks", f"{before.tasks}", f"{after.tasks}"),
        ("sockets", f"{before.sockets}", f"{after.sockets}"),
        ("file descriptors", f"{before.files}", f"{after.files}"),
        ("pooled besides", f"{before.pooled}", f"{after.pooled}"),
        ("resident MB", f"{before.resident_mb:.1f}", f"{after.resident_mb:.1f}"),
    ]
    excused = ", ".join(f"{count} {excuse.value}" for excuse, count in found.excused.most_common()) or "none"
    per_call = f"{grown.kb_per_call:.2f} ± {2 * grown.error:.2f}"
    return "\n".join(
        [
            f"{'':18}{'before':>10}{'after':>10}",
            *(f"{name:18}{was:>10}{now:>10}" for name, was, now in rows),
            f"memory, last half: {per_call} kB a finished call ({grown.calls} calls, {grown.mb:.2f} MB)",
            f"calls: {found.begun} begun and ended, {found.recorded} records found, {found.refused} not let in",
            f"caller's frames of speech unheard: {found.unheard}; excused: {excused}",
        ]
    )


def main() -> int:
    """Soak, tell, and judge."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--calls", type=int, default=200, help="at once: 200")
    parser.add_argument("--minutes", type=float, default=6.0, help="of soaking: 6; memory needs three to level off")
    parser.add_argument("--seed", type=int, default=1, help="of the trouble: 1")
    parser.add_argument("--log", type=Path, help="keep the server's log here")
    arguments = parser.parse_args()
    if arguments.calls < 1 or not 0 < arguments.minutes < math.inf:
        parser.error("--calls must be at least 1, and --minutes more than 0")
    with tempfile.TemporaryDirectory(prefix="switchboard-soak-") as folder:
        try:
            found = run(arguments.calls, arguments.minutes * 60, arguments.seed, Path(folder))
        finally:
            log = Path(folder) / "server.log"
            if arguments.log is not None and log.exists():
                arguments.log.write_bytes(log.read_bytes())
    print(as_text(found))
    why = broken(found)
    print("\n".join(f"BROKEN: {each}" for each in why) or "all as it must be")
    return int(bool(why))


if __name__ == "__main__":
    sys.exit(main())
