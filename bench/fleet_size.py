"""What do 10,000 live calls cost the database that workers share?

    uv run python -m bench.fleet_size [--calls 10000] [--workers 50] [--seconds 20]

Starts a PostgreSQL of its own, fills it with live calls of simulated workers, and has them beat as `PostgresFleet`
does: each 2 s one statement with the notes of a quarter of its calls (of 1,000 bytes). Meanwhile calls come and end at
56 a second (10,000 calls of three minutes), tokens are left and taken for each, and 50 commands a second go to 30
workers that listen. All of it by the statements and the driver of `store/fleet/`, in this one process. Prints p50, p99
and the longest of each in milliseconds, and PostgreSQL's processor time and write-ahead log.
"""

import argparse
import os
import random
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import psycopg
import trio

from store.calls import DatabaseUnavailable
from store.fleet import statements
from store.fleet.driver import Database, PostgresDatabase, listen
from store.fleet.migrations import migrate
from store.tokens import TokenStore
from tests.store.throw_away_postgres import Cluster, throw_away_postgres

NOTE_BYTES = 1000
SHARE = 0.25
ADMISSIONS = 56.0
COMMANDS = 50.0
LISTENERS = 30
_TICKS = os.sysconf("SC_CLK_TCK")


def postgres_seconds(cluster: Cluster) -> float:
    """Return the processor time of the server and its processes, those that have ended included."""
    master = (cluster.folder / "base" / "postmaster.pid").read_text().split()[0]
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[1] == master:
            ticks += int(fields[11]) + int(fields[12])
        if path.parent.name == master:
            ticks += sum(map(int, fields[11:15]))
    return ticks / _TICKS


@attrs.define(eq=False)
class Size:
    """The simulated account."""

    cluster: Cluster
    calls: int
    workers: int
    took: "defaultdict[str, list[float]]" = attrs.field(factory=lambda: defaultdict(list))
    asked: int = 0
    refused: int = 0
    too_slow: int = 0
    databases: list[Database] = attrs.field(factory=list)
    rng: random.Random = attrs.field(factory=lambda: random.Random(1))

    def database(self) -> Database:
        """Open the connections of one worker, or of several."""
        database = Database(self.cluster.url)
        database.is_ready = True
        self.databases.append(database)
        return database

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Measure one thing."""
        began = time.perf_counter()
        yield
        self.took[what].append((time.perf_counter() - began) * 1000)
        self.asked += 1

    def fill(self) -> None:
        """Have all calls run."""
        per_worker = self.calls // self.workers
        with psycopg.connect(self.cluster.url, autocommit=True) as connection:
            connection.execute("UPDATE account SET max_calls = %s", (self.calls + 500,))
            connection.execute("INSERT INTO slots (slot) SELECT generate_series(1, %s)", (self.calls + 500,))
            connection.execute(
                "INSERT INTO workers (worker) SELECT 'w' || g FROM generate_series(0, %s) g", (self.workers - 1,)
            )
            connection.execute(
                "INSERT INTO live_calls (key, call_sid, worker, about)"
                " SELECT 'CA' || w || '-' || k, 'CA' || w || '-' || k,"
                " 'w' || w, %s FROM generate_series(0, %s) w, generate_series(1, %s) k",
                ("{}" + " " * 250, self.workers - 1, per_worker),
            )
            connection.execute(
                "UPDATE slots SET key = l.key, worker = l.worker, since = clock_timestamp() FROM"
                " (SELECT *, row_number() OVER () AS n FROM live_calls) l WHERE slots.slot = l.n"
            )
            connection.execute("INSERT INTO call_notes SELECT call_sid, repeat('x', %s) FROM live_calls", (NOTE_BYTES,))
            for table in ("slots", "live_calls", "call_notes", "workers", "tokens"):
                connection.execute(f"VACUUM ANALYZE {table}".encode())

    async def beats(self, worker: int, database: Database) -> None:
        """Beat, with the notes of a quarter of the calls."""
        per_worker = self.calls // self.workers
        await trio.sleep(self.rng.uniform(0, 2))
        while True:
            due = trio.current_time() + 2
            sids = [f"CA{worker}-{k}" for k in self.rng.sample(range(1, per_worker + 1), int(per_worker * SHARE))]
            notes = [self.rng.randbytes(NOTE_BYTES // 2).hex() for _ in sids]
            beat = {"worker": f"w{worker}", "left": None}
            with self.timed("beat"):
                await database.ask(statements.BEAT, {**beat, "sids": sids, "notes": notes}, even_away=True)
            await trio.sleep_until(due)

    async def arrivals(self, databases: list[Database]) -> None:
        """Have calls come in; one of ours ends for each."""
        number = 0
        async with trio.open_nursery() as nursery:
            while True:
                await trio.sleep(self.rng.expovariate(ADMISSIONS))
                number += 1
                nursery.start_soon(self.arrive, databases[number % len(databases)], number)

    async def arrive(self, database: Database, number: int) -> None:
        """Let one call come; count it if the database takes too long for a worker to wait."""
        try:
            await self.call(database, f"CAnew{number}", f"w{number % self.workers}")
        except DatabaseUnavailable:
            self.too_slow += 1
            database.is_away = False

    async def call(self, database: Database, key: str, worker: str) -> None:
        """Let a call in, by a webhook on one worker and a stream on another; end it some seconds later."""
        tokens, other = TokenStore(PostgresDatabase(database)), f"w{self.rng.randrange(self.workers)}"
        reserve = {"key": key, "worker": other, "seconds": 10, "careful": False, "left": None}
        with self.timed("reserve (webhook)"):
            self.refused += not await database.ask(statements.RESERVE, reserve)
        with self.timed("token left"):
            await tokens.put(f"token {key}", b"x" * 300, 60)
        with self.timed("token taken"):
            assert await tokens.take(f"token {key}") is not None
        admit = {**reserve, "worker": worker, "call_sid": key, "about": "{}", "over": False}
        with self.timed("admit (stream)"):
            self.refused += not await database.ask(statements.ADMIT, admit)
        await trio.sleep(self.rng.uniform(1, 6))
        with self.timed("end"):
            await database.ask(statements.FREE, {"worker": worker, "keys": [key], "sids": []})

    async def commands(self, database: Database) -> None:
        """Send commands to calls, and hear them."""
        sent: dict[str, float] = {}
        receivers: list[trio.MemoryReceiveChannel[str]] = []
        async with trio.open_nursery() as nursery:
            for worker in range(LISTENERS):
                send, receive = trio.open_memory_channel[str](1000)
                receivers.append(receive)
                nursery.start_soon(listen, database.conninfo, f"worker w{worker}", send.send_nowait)
                nursery.start_soon(self.hear, f"w{worker}", receive, database, sent)
            await trio.sleep(1)
            number = 0
            while True:
                await trio.sleep(1 / COMMANDS)
                number += 1
                body, name = str(number), f"CA{number % LISTENERS}-1"
                sent[body] = time.perf_counter()
                nursery.start_soon(database.ask, statements.TELL, {"name": name, "body": body})

    async def hear(
        self, worker: str, news: "trio.MemoryReceiveChannel[str]", database: Database, sent: dict[str, float]
    ) -> None:
        """Take the commands of a worker when they are announced."""
        async for _ in news:
            rows = await database.ask(statements.HEAR, {"worker": worker, "after": 0})
            for _number, _sid, body in rows:
                self.took["command heard"].append((time.perf_counter() - sent[body]) * 1000)
            await database.ask(statements.HEARD, {"ids": [number for number, _sid, _body in rows]})

    async def lists(self, database: Database) -> None:
        """List the live calls, as pages do."""
        while True:
            await trio.sleep(1)
            with self.timed("list of 1,000"):
                await database.ask(statements.LIVE)

    async def run(self, seconds: float) -> None:
        """Do all of it for so long."""
        await migrate(self.database())
        await trio.to_thread.run_sync(self.fill)
        with trio.move_on_after(seconds):
            async with trio.open_nursery() as nursery:
                for group in range(10):
                    shared = self.database()
                    for worker in range(group, self.workers, 10):
                        nursery.start_soon(self.beats, worker, shared)
                nursery.start_soon(self.arrivals, [self.database() for _ in range(10)])
                nursery.start_soon(self.commands, self.database())
                nursery.start_soon(self.lists, self.database())
        for database in self.databases:
            database.close()


def main() -> int:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=20.0)
    asked = parser.parse_args()
    with throw_away_postgres() as cluster:
        size = Size(cluster, asked.calls, asked.workers)
        with psycopg.connect(cluster.url, autocommit=True) as connection:
            before, began, own = postgres_seconds(cluster), time.monotonic(), time.process_time()
            trio.run(size.run, asked.seconds)
            took = time.monotonic() - began
            used, ours = postgres_seconds(cluster) - before, time.process_time() - own
            wal = connection.execute("SELECT wal_bytes FROM pg_stat_wal").fetchone()
    print(
        f"{asked.calls} live calls, {asked.workers} workers, {took:.0f} s with filling; {size.refused} refused, "
        f"{size.too_slow} of which a statement took more than a second"
    )
    for what, each in size.took.items():
        ordered = sorted(each)
        p50, p99 = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]
        print(f"  {what}: {len(ordered)}, p50 {p50:.1f}, p99 {p99:.1f}, longest {ordered[-1]:.1f} ms")
    print(f"  statements a second: {size.asked / asked.seconds:.0f}")
    print(f"  PostgreSQL: {used:.1f} s of processor, this process {ours:.1f} s; WAL {wal[0] if wal else 0} bytes")
    return 1 if size.refused else 0


if __name__ == "__main__":
    sys.exit(main())
