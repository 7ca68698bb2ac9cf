"""No database: what each address of the server answers then, to Twilio, an operator and a browser."""

from collections import Counter
from pathlib import Path
from typing import cast

import attrs
import phonenumbers  # noqa: F401 - it is imported in a thread, for which a virtual clock does not wait
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from store.calls import DatabaseUnavailable, MemoryRecords
from store.fleet.driver import Database, PostgresDatabase
from store.fleet.postgres import PostgresFleet
from store.orders.queue import OrderQueue
from store.tokens import TokenStore
from tests.web.console.visitors import signed_in, target_of
from tests.web.fakes import (
    CALL_SID,
    LEAD,
    Exchange,
    FakeCalls,
    FakeLine,
    context_of,
    exchange,
    record,
    services,
    settings,
    voice_form,
)
from web.app import BackgroundTasks, create_app
from web.calls.call_files import JOURNAL
from web.calls.context import Opened
from web.calls.live_calls import KnownCall
from web.calls.slots import Slots
from web.routes.media import MediaStreams

NUMBER = {"number": LEAD}
COMMANDS: dict[str, object] = {
    **{kind: {"text": "Hello."} for kind in ("say", "whisper", "prompt")},
    **dict.fromkeys(("transfer", "take-over"), NUMBER),
    **{kind: {} for kind in ("restart", "give-back")},
}
BODIES: dict[str, object] = {
    "/calls": {"to": LEAD},
    "/campaigns": {"name": "spring", "csv": f"number\n{LEAD}\n"},
    **dict.fromkeys(("/forget", "/export", "/kept"), NUMBER),
    "/webhooks/resend": {"ids": "all"},
    **{f"/calls/<name>/{kind}": body for kind, body in COMMANDS.items()},
}


@attrs.define
class NoRecords(MemoryRecords):
    """Records that nobody can read or keep."""

    def __getattribute__(self, name: str) -> object:
        return super().__getattribute__(name) if name.startswith("_") else away


async def away(*_: object) -> None:
    await trio.lowlevel.checkpoint()
    raise DatabaseUnavailable("the database is away")


def nowhere(**changes: str) -> Exchange:
    database = Database("postgresql://me@/calls?host=/nowhere/at/all")
    line, records, calls, chosen = FakeLine(), NoRecords(), FakeCalls(), settings(**changes)
    slots, offered = Slots(50, PostgresFleet(50, database, worker="w1")), services(line, records)
    opened = Opened(
        offered, line, slots, TokenStore(PostgresDatabase(database)), OrderQueue(PostgresDatabase(database))
    )
    return Exchange(create_app(chosen, opened, run_call=calls), line, calls, records, slots, chosen, offered.intercom)


RULES = sorted(
    {
        (method, rule.rule)
        for rule in exchange().app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
)


@pytest.mark.parametrize(("method", "rule"), RULES)
async def test_no_address_fails_without_a_database(method: str, rule: str, autojump_clock: MockClock) -> None:
    there, target = nowhere(), target_of(rule)
    if rule.startswith("/twilio"):
        answer = await there.twilio(target, voice_form())
    elif rule == "/" or rule.startswith("/console"):
        answer = await signed_in(there).send(target) if method == "POST" else await signed_in(there).ask("GET", target)
    else:
        answer = await there.operator(method, target.replace("<number>", LEAD), BODIES.get(rule))

    assert answer.status_code in ({200, 204} if rule.startswith("/twilio") else {*range(200, 500), 503})


async def test_what_is_on_the_disk_is_shown_without_a_database(tmp_path: Path) -> None:
    there, folder = nowhere(RECORDINGS_DIR=str(tmp_path)), tmp_path / CALL_SID
    folder.mkdir()
    (folder / JOURNAL).write_text("{}\n")

    answer = await there.operator("GET", f"/calls/{CALL_SID}/journal")

    assert (answer.status_code, answer.text) == (200, "{}\n")


async def test_background_tasks_go_on_without_a_database_and_say_so_once(autojump_clock: MockClock) -> None:
    there = nowhere()
    context = context_of(there)
    context.announced.park(record(outcome="transferring"))
    context.live_calls.add(KnownCall("OR1", "outbound", LEAD, LEAD, "queued"))
    served = cast("MediaStreams", there.app.asgi_app).application
    assert isinstance(served, BackgroundTasks)

    with capture_logs() as lines, trio.move_on_after(300):
        async with trio.open_nursery() as nursery:
            for run in served.runs:
                nursery.start_soon(run)

    told = Counter(line["event"] for line in lines if line["log_level"] != "debug")
    assert [line for line in lines if line["log_level"] == "error"] == []
    assert told["texts_away"] == 1
    assert max(told.values()) < 10
