"""One worker of `bench.fleet_chaos`: the shared state and the records of a server, without telephones and agents.

It reads orders from its input, a line each, and says what came of them:

    voice SID          a webhook: keep a slot            yes SID, or no SID
    stream SID SECONDS a stream: carry the call          in SID, or full SID; and out SID when its record is kept
    drain              let nobody new in, and end when the last call is over
"""

import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import attrs
import structlog
import trio

from store.checkpoints import keep_news
from store.fleet.driver import Database
from store.fleet.postgres import PostgresFleet
from store.fleet.shared import LiveCall, ignore
from store.records import CallRecord, RunningRecord
from store.spill import SpillingRecords
from store.sql import SqlRecords

ARRIVAL_SECONDS = 10.0


def said(*words: object) -> None:
    """Tell the benchmark something."""
    print(*words, flush=True)


@attrs.define(eq=False)
class Worker:
    """The worker."""

    fleet: PostgresFleet
    records: SpillingRecords
    calls: int = 0
    drained: trio.Event = attrs.field(factory=trio.Event)
    is_draining: bool = False

    async def voice(self, call_sid: str) -> None:
        """Answer a webhook."""
        said("yes" if await self.fleet.reserve(call_sid, ARRIVAL_SECONDS) else "no", call_sid)

    async def stream(self, call_sid: str, seconds: float) -> None:
        """Carry a call."""
        self.calls += 1
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        call = LiveCall(call_sid, call_sid, "MZ1", "inbound", "+15550000000", "+15550009999", now)
        record = CallRecord(call_sid, "MZ1", "inbound", call.caller, call.line, now, 0.0, "cut", why="its worker died")
        if await self.fleet.admit(call):
            said("in", call_sid)
            self.fleet.note(call_sid, RunningRecord(attrs.evolve(record, duration=seconds / 2)))
            await trio.sleep(seconds)
            await self.records.save(attrs.evolve(record, outcome="completed", duration=seconds, why=""))
            self.fleet.free(call_sid)
            said("out", call_sid)
        else:
            said("full", call_sid)
        self.calls -= 1
        self.look()

    def look(self) -> None:
        """See whether the drain is over."""
        if self.is_draining and not self.calls:
            self.drained.set()

    async def listen(self, nursery: trio.Nursery) -> None:
        """Do what the benchmark says."""
        stdin = trio.wrap_file(sys.stdin)
        while line := await stdin.readline():
            match line.split():
                case ["voice", call_sid]:
                    nursery.start_soon(self.voice, call_sid)
                case ["stream", call_sid, seconds]:
                    nursery.start_soon(self.stream, call_sid, float(seconds))
                case ["drain"]:
                    self.is_draining = True
                    self.fleet.drain()
                    self.look()
                case _:
                    said("unknown", line)


async def main(url: str, name: str, folder: Path, max_calls: int) -> None:
    """Work until drained, or killed."""
    records = SpillingRecords(SqlRecords(url), folder / f"{name}.waiting")
    worker = Worker(PostgresFleet(Database(url), max_calls, name), records)

    async def adopt(record: CallRecord) -> None:
        await keep_news(records, record)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(records.run)
        nursery.start_soon(partial(worker.fleet.run, ignore, adopt))
        nursery.start_soon(worker.listen, nursery)
        while worker.fleet.is_away:  # noqa: ASYNC110 - as a readiness probe asks
            await trio.sleep(0.05)
        said("ready")
        await worker.drained.wait()
        await trio.sleep(0.5)
        said("drained")
        nursery.cancel_scope.cancel(reason="drained")


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    trio.run(main, sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
