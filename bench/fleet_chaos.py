"""Do the promises of the shared state hold while a worker is killed, one drained, and PostgreSQL restarted?

    uv run python -m bench.fleet_chaos [--seeds 20] [--first 1] [--calls 60] [--orders 30] [--old FOLDER]

Each run starts a PostgreSQL and three workers (`bench.fleet_worker`), and plays a network in front of them: calls come
in at random, the webhook of each goes to one worker that is ready and its stream to another. Meanwhile, at moments that
the seed chooses, one worker is killed with SIGKILL (another is started in its place, as a supervisor would), one is
drained, and the database is restarted. The database is looked at each 50 ms. Checked: slots and running calls are never
more than the cap; a call is turned away only while all slots were taken
(or kept for what a worker that has not reported yet may have given away); each call has exactly the record that
`bench.fleet_verdict` allows; the drained worker leaves in order and the others live; in the end nothing is held, waits
or is left, in the database and on the disk. Exits with 1 if not.

Orders come in, too, with a client's key, and a third of what Twilio (`bench.fleet_twilio`) answers is wrong. A client
that got no answer, or was told that there is no room or that the database is away, asks another worker again with its
key. Checked: an order has exactly one call, or was refused by Twilio and has none; each is over in the end.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import attrs
import psycopg

from bench.fleet_twilio import FleetTwilio
from bench.fleet_verdict import STEPS, Kept, OrderEnd, Said, Story, judge_calls, judge_order
from tests.store.throw_away_postgres import Cluster, throw_away_postgres

CAP = 16
LOOK_SECONDS = 0.05
ARRIVALS_SECONDS = 24.0
PATIENCE = 45.0
ORDER_PATIENCE = 240.0
"""Besides, for orders that are in doubt, and for calls of which nobody is told."""
_LEFT = "SELECT count(*) FROM orders WHERE state <> 'over'"
_ORDERS = "SELECT order_id, state, outcome, coalesce(call_sid, '') FROM orders"
_HELD = """SELECT (SELECT count(*) FROM slots WHERE key IS NOT NULL AND (lapses IS NULL OR lapses > clock_timestamp())),
    (SELECT count(*) FROM live_calls),
    (SELECT coalesce(sum(allowance), 0) FROM workers WHERE beat < clock_timestamp() - interval '3 s')"""
_REMNANTS = """SELECT (SELECT count(*) FROM live_calls), (SELECT count(*) FROM cut_calls),
    (SELECT count(*) FROM call_notes), (SELECT count(*) FROM commands)"""
_STILL_HELD = "SELECT slots::text FROM slots WHERE key IS NOT NULL"
_RECORDS = "SELECT call_sid, record FROM calls"
_BLIND_SECONDS = 15.0
"""Seconds after the restart in which the database cannot show how much room there was."""


@attrs.define(eq=False)
class Process:
    """One worker process, and what it has said."""

    name: str
    url: str
    folder: Path
    code: Path | None = None
    """The checkout whose code it runs; None: this one's."""
    lines: "list[tuple[float, str, str]]" = attrs.field(factory=list)
    is_ready: bool = False
    is_leaving: bool = False
    process: "subprocess.Popen[str]" = attrs.field(init=False)
    _reader: threading.Thread = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        command = [sys.executable, "-m", "bench.fleet_worker", self.url, self.name, str(self.folder), str(CAP)]
        with (self.folder / f"{self.name}.log").open("w") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own program
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, bufsize=1, cwd=self.code
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def close(self) -> None:
        """Kill it, and close what led to it."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(OSError):  # what is left in its buffer reaches nobody
                    pipe.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            what, _, call_sid = line.strip().partition(" ")
            if what == "ready" and not self.is_leaving:
                self.is_ready = True
            if what in {*STEPS, "drained", "taken", "none"}:
                self.lines.append((time.monotonic(), what, call_sid))

    def hush(self) -> None:
        """Say nothing more to it: a worker ends when it has read everything."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def tell(self, line: str) -> bool:
        """Say something to it; False if it is gone."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(line + "\n")
        except OSError:
            return False
        return True


@attrs.define(eq=False)
class Watch:
    """Looks at the database each 50 ms."""

    url: str
    restarted_at: float = 0.0
    looks: "list[tuple[float, int, int, int]]" = attrs.field(factory=list)
    over: threading.Event = attrs.field(factory=threading.Event)

    def run(self) -> None:
        """Look, until `over`."""
        while not self.over.is_set():
            try:
                with psycopg.connect(self.url, autocommit=True, connect_timeout=1) as connection:
                    while not self.over.is_set():
                        slots, calls, kept = connection.execute(_HELD).fetchone() or (0, 0, 0)
                        self.looks.append((time.monotonic(), slots, calls, kept))
                        time.sleep(LOOK_SECONDS)
            except psycopg.Error:
                time.sleep(LOOK_SECONDS)

    def most(self) -> int:
        """Return the most slots or calls that were seen."""
        return max((max(slots, calls) for _, slots, calls, _ in self.looks), default=0)

    def was_full(self, began: float, ended: float) -> bool:
        """Whether all slots were taken at some moment of this time, as far as was seen.

        After the restart, what a worker that has not reported may have given away counts as taken: it may be alive.
        While the database was away nobody could see it.
        """
        is_blind = self.restarted_at < ended and began < self.restarted_at + _BLIND_SECONDS
        seen = [
            slots + (kept if self.restarted_at < at < self.restarted_at + _BLIND_SECONDS else 0)
            for at, slots, _, kept in self.looks
            if began - 0.1 <= at <= ended + 0.1
        ]
        return is_blind if not seen else max(seen) >= CAP


@attrs.define(eq=False)
class Run:
    """One seeded run."""

    seed: int
    calls: int
    orders: int
    cluster: Cluster
    folder: Path
    old: Path | None = None
    rng: random.Random = attrs.field(init=False)
    watch: Watch = attrs.field(init=False)
    started: list[Process] = attrs.field(factory=list)
    asked: dict[str, float] = attrs.field(factory=dict)
    asked_of: dict[str, list[str]] = attrs.field(factory=dict)
    """For each call: whom its webhook asked, and then its stream."""
    seconds: dict[str, float] = attrs.field(factory=dict)
    """How long each call lasts whose stream was opened."""
    problems: list[str] = attrs.field(factory=list)
    killed: str = ""
    drained: str = ""
    killed_at: float = 0.0
    keys: dict[str, str] = attrs.field(factory=dict)
    """For each order that a client wants: the worker that was asked last."""
    asked_at: dict[str, float] = attrs.field(factory=dict)
    ended: list[tuple[float, str, str]] = attrs.field(factory=list)
    """When which call of which order is over."""
    twilio: FleetTwilio = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.rng, self.watch = random.Random(self.seed), Watch(self.cluster.url)
        self.twilio = FleetTwilio(self.folder, random.Random(self.seed + 1), self._made)

    def _made(self, order: str, call_sid: str) -> None:
        """Have a call of an order end, from a thread of Twilio's; of a fifth of them nobody is told."""
        if self.twilio.rng.random() < 0.8:
            self.ended.append((time.monotonic() + self.twilio.rng.uniform(0.5, 3), order, call_sid))

    def start(self) -> Process:
        """Start a worker: every second one with the old code, if there is any; the seed says which makes the tables."""
        code = self.old if (len(self.started) + self.seed) % 2 == 0 else None
        self.started.append(Process(f"w{len(self.started) + 1}", self.cluster.url, self.folder, code))
        return self.started[-1]

    def play(self) -> str:
        """Play the run; return a line about it."""
        self.twilio.start()
        for _ in range(3):
            self.start()
        self._wait_joined(3)
        watch = self.watch
        threading.Thread(target=watch.run, daemon=True).start()
        began = time.monotonic()
        self._arrive(began)
        self._settle(watch)
        watch.over.set()
        summary = self._judge(watch)
        self.twilio.close()
        for one in self.started:
            one.close()
        return summary

    def _wait_joined(self, workers: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while sum(one.is_ready for one in self.started) < workers:
            if time.monotonic() > deadline:
                raise TimeoutError("the workers did not join")
            time.sleep(0.05)

    def _arrive(self, began: float) -> None:
        """Have calls come in, and the three blows fall."""
        arrivals = sorted(self.rng.uniform(0, ARRIVALS_SECONDS) for _ in range(self.calls))
        blows = [
            (self.rng.uniform(2, ARRIVALS_SECONDS - 4), self.kill),
            (self.rng.uniform(2, ARRIVALS_SECONDS - 4), self.drain),
            (self.rng.uniform(2, ARRIVALS_SECONDS - 4), self.restart),
        ]
        orders = [(self.rng.uniform(0, ARRIVALS_SECONDS), self.order) for _ in range(self.orders)]
        due = sorted([*blows, *orders, *((at, self.call) for at in arrivals)], key=lambda one: one[0])
        for at, do in due:
            while time.monotonic() < began + at:
                time.sleep(0.005)
                self._connect()
            do()

    def kill(self) -> None:
        """Kill a worker, and start another."""
        victim = self.rng.choice([one for one in self.started if one.is_ready])
        victim.is_ready, victim.is_leaving = False, True
        victim.process.send_signal(signal.SIGKILL)
        victim.process.wait()
        self.killed, self.killed_at = victim.name, time.monotonic()
        self.start()

    def drain(self) -> None:
        """Drain a worker, and start another."""
        leaver = self.rng.choice([one for one in self.started if one.is_ready])
        leaver.is_ready, leaver.is_leaving = False, True
        self.drained = leaver.name
        leaver.tell("drain")
        leaver.hush()
        self.start()

    def restart(self) -> None:
        """Restart the database, while calls go on coming in."""
        self.watch.restarted_at = time.monotonic()
        threading.Thread(target=self.cluster.restart, daemon=True).start()

    def call(self) -> None:
        """Let a call come in."""
        call_sid = f"CA{self.seed:04d}{len(self.asked):028d}"
        self.asked[call_sid] = time.monotonic()
        self._tell(call_sid, f"voice {call_sid}")

    def order(self) -> None:
        """Let a client order a call."""
        self._ask_for(f"key{len(self.keys):04d}")

    def _ask_for(self, key: str) -> None:
        asked = self.rng.choice([one for one in self.started if one.is_ready])
        self.keys[key], self.asked_at[key] = asked.name, time.monotonic()
        asked.tell(f"order {key} +1212{5550000 + int(key[3:])}")

    def _ask_again(self) -> None:
        """Repeat what got no answer, or was told that the database is away; pass on what Twilio tells of calls."""
        answers = self._answers()
        for key, name in list(self.keys.items()):
            told, waited = answers.get(key, ""), time.monotonic() - self.asked_at[key]
            is_lost = not told and (name == self.killed or waited > 20)
            if (is_lost or told in {"none database", "none draining", "none full"}) and waited > 2:
                self._ask_for(key)
        now, ready = time.monotonic(), [one for one in self.started if one.is_ready]
        for at, order, call_sid in [one for one in list(self.ended) if one[0] <= now]:
            self.ended.remove((at, order, call_sid))
            self.rng.choice(ready).tell(f"called {order} {call_sid}")

    def _answers(self) -> dict[str, str]:
        """Return the last answer for each key: taken, and the order's id, or none, and why."""
        said = sorted((at, what, rest) for one in self.started for at, what, rest in one.lines)
        found: dict[str, str] = {}
        for _, what, rest in said:
            if what in {"taken", "none"}:
                key, _, more = rest.partition(" ")
                found[key] = f"{what} {more}"
        return found

    def _tell(self, call_sid: str, line: str) -> None:
        """Ask a worker that is ready, as a load balancer does."""
        asked = self.rng.choice([one for one in self.started if one.is_ready])
        self.asked_of.setdefault(call_sid, []).append(asked.name)
        asked.tell(line)

    def _connect(self) -> None:
        """Open the streams of calls whose webhooks were answered, and repeat what orders need."""
        self._ask_again()
        for one in self.started:
            for _, what, call_sid in list(one.lines):
                if what == "yes" and call_sid not in self.seconds:
                    self.seconds[call_sid] = round(self.rng.uniform(1, 6), 3)
                    self._tell(call_sid, f"stream {call_sid} {self.seconds[call_sid]:.3f}")

    def _settle(self, watch: Watch) -> None:
        """Wait until every call is over, and what the dead worker held is closed."""
        deadline = time.monotonic() + PATIENCE + (ORDER_PATIENCE if self.orders else 0)
        while time.monotonic() < deadline:
            self._connect()
            time.sleep(0.05)
            is_quiet = time.monotonic() > self.killed_at + 15 and watch.looks and watch.looks[-1][1:3] == (0, 0)
            if is_quiet and not self._orders_left() and not self._remnants():
                break
        time.sleep(3)

    def _remnants(self) -> list[str]:
        """Return what is held, waits or was left of calls that are over, in the database and on the disk."""
        try:
            with psycopg.connect(self.cluster.url, autocommit=True, connect_timeout=1) as connection:
                counts = connection.execute(_REMNANTS).fetchone() or ()
                held = [f"slot {slot}" for (slot,) in connection.execute(_STILL_HELD)]
        except psycopg.Error as exc:
            return [str(exc)]
        names = ("live_calls", "cut_calls", "call_notes", "commands")
        # what the killed worker had half written goes with the next record, a minute later
        files = [*(self.folder / "waiting").glob("[!.]*"), *(self.folder / "running").glob("*.jsonl")]
        left = [f"{count} {name}" for name, count in zip(names, counts, strict=True) if count]
        return [*left, *held, *map(str, files)]

    def _orders_left(self) -> int:
        try:
            with psycopg.connect(self.cluster.url, autocommit=True, connect_timeout=1) as connection:
                return int((connection.execute(_LEFT).fetchone() or (1,))[0])
        except psycopg.Error:
            return 1

    def _judge_orders(self) -> str:
        """Look whether each order has the one call that it should have."""
        with psycopg.connect(self.cluster.url) as connection:
            kept = {row[0]: OrderEnd(*row[1:]) for row in connection.execute(_ORDERS)}
        answers = self._answers()
        taken = {key: told.partition(" ")[2] for key, told in answers.items() if told.startswith("taken")}
        for order in {*taken.values(), *kept}:
            tries = self.twilio.tried.get(order, [])
            if wrong := judge_order(order, kept.get(order), self.twilio.made_for(order), tries):
                self.problems.append(wrong)
        known = {*taken.values()}
        self.problems += [f"{order} is kept, and is nobody's" for order in kept.keys() - known]
        self.problems += [
            f"{call.order} was called, and is nobody's" for call in self.twilio.calls if call.order not in known
        ]
        self.problems += [f"{key} was not taken: {answers.get(key)}" for key in self.keys if key not in taken]
        outcomes = Counter(end.outcome for end in kept.values())
        return f"{len(self.keys)} orders, {len(taken)} taken, {len(self.twilio.calls)} calls {dict(outcomes)}"

    def _stories(self) -> list[Story]:
        said = dict[str, list[Said]]()
        for one in self.started:
            for at, what, sid in list(one.lines):
                if what in STEPS:
                    said.setdefault(sid, []).append(Said(at, one.name, what))
        return [
            Story(
                sid,
                self.asked_of[sid][-1],
                sid in self.seconds,
                tuple(sorted(said.get(sid, []), key=lambda one: one.at)),
            )
            for sid in self.asked
        ]

    def _judge_workers(self) -> None:
        for one in self.started:
            status, is_over = one.process.poll(), any(what == "drained" for _, what, _ in one.lines)
            wanted = {self.killed: (-signal.SIGKILL, False), self.drained: (0, True)}.get(one.name, (None, False))
            if (status, is_over) != wanted:
                self.problems.append(f"{one.name} ended with {status}" + " and said it was drained" * is_over)

    def _judge(self, watch: Watch) -> str:
        kept = dict[str, list[Kept]]()
        with psycopg.connect(self.cluster.url) as connection:
            for sid, text in connection.execute(_RECORDS):
                record = json.loads(text)
                kept.setdefault(sid, []).append(Kept(record["outcome"], record["duration"], record.get("why", "")))
        stories = self._stories()
        self.problems += judge_calls(stories, kept, self.seconds, self.killed, self.killed_at)
        refused = {one.call_sid: one.last.at for one in stories if one.last.what in {"no", "full"}}
        unjust = [sid for sid, at in refused.items() if not watch.was_full(self.asked[sid], at)]
        self.problems += [f"{sid} was turned away, and there was room" for sid in unjust]
        if watch.most() > CAP:
            self.problems.append(f"{watch.most()} calls at once")
        self.problems += [f"left in the end: {left}" for left in self._remnants()]
        self._judge_workers()
        orders = self._judge_orders()
        ends = Counter(record.outcome for records in kept.values() for record in records)
        silent = sum(not one.said or one.last.what == "yes" for one in stories)
        return (
            f"seed {self.seed}: {len(self.asked)} calls, {len(refused)} turned away, {silent} unanswered by the killed "
            f"worker; records {dict(ends)}; most at once {watch.most()} of {CAP} in {len(watch.looks)} looks; "
            f"{orders}; {len(self.problems)} problems"
        )


def main() -> int:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--calls", type=int, default=60)
    parser.add_argument("--orders", type=int, default=30)
    parser.add_argument("--old", type=Path, help="a checkout of another version: every second worker runs its code")
    parser.add_argument("--logs", type=Path, help="keep what the workers log in this folder")
    asked = parser.parse_args()
    wrong = 0
    for seed in range(asked.first, asked.first + asked.seeds):
        with throw_away_postgres() as cluster, tempfile.TemporaryDirectory() as folder:
            kept = Path(folder) if asked.logs is None else asked.logs / str(seed)
            kept.mkdir(parents=True, exist_ok=True)
            run = Run(seed, asked.calls, asked.orders, cluster, kept, asked.old)
            print(run.play(), flush=True)
            for problem in run.problems:
                print(f"  NOT: {problem}", flush=True)
            wrong += bool(run.problems)
    print(f"{asked.seeds - wrong} of {asked.seeds} runs as promised")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
