"""Calls to keep."""

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import attrs

from store.records import AgentPeriod, CallRecord, FrameCounts, FunctionRecord, HandoffRecord, TurnRecord, Usage

FULL = CallRecord(
    call_sid="CA" + "1" * 32,
    stream_sid="MZ" + "2" * 32,
    direction="outbound",
    caller="+15557650000",
    line="+15551230000",
    started_at="2026-11-22T09:00:00.000+00:00",
    duration=61.25,
    outcome="completed",
    agents=(AgentPeriod("qualifier", 0.0, 30.5, 1), AgentPeriod("advisor", 30.5, 61.0)),
    handoffs=(HandoffRecord("qualifier", "advisor", 30.0, 0.75, "groq"), HandoffRecord("advisor", "closer", 60.0)),
    functions=(
        FunctionRecord(29.9, "qualifier", "handoff_to_next_agent", {"reason": "yes"}, {"status": "done"}, ok=True),
        FunctionRecord(40.0, "advisor", "look_up", {"nested": {"list": [1, None, "é\x00☎"]}}, "busy", ok=False),
    ),
    transcript=(TurnRecord(1.0, "qualifier", "Hello there.", "Hello"), TurnRecord(2.0, "caller", "Hi.")),
    restarts=1,
    frames=FrameCounts(3000, 2990, 5, 1000, 990, 10),
    faults=("session_crashed: dropped",),
    usage=Usage({"qualifier": 31.5, "advisor": 31.0}, 12, 2),
)


def at(minute: int) -> CallRecord:
    """Return a call of that minute."""
    return attrs.evolve(FULL, call_sid=f"CA{minute:032}", started_at=f"2026-11-22T09:{minute:02}:00.000+00:00")


def newer_tables(file: Path) -> str:
    """Make a file whose tables of orders are of a later version, with which no older one works; return its name."""
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE orders_schema (number integer PRIMARY KEY)")
        connection.execute("INSERT INTO orders_schema VALUES (99)")
        connection.execute("PRAGMA user_version=99")
    return str(file)


def begun(caller: str = "", line: str = "") -> CallRecord:
    """Return the record of a call whose stream begins."""
    return CallRecord("CA1", "MZ1", "inbound", caller, line, "2026-11-22T09:00:00.000+00:00", 0.0, "")


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Let no file be longer: as good as a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
