"""One call on three workers: its webhook on one, its stream on another, and an operator at the third."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from typing import TypeAlias, cast

import attrs
import orjson
import psycopg
import pytest
import trio

from actors.call_services import CallPlan, CallServices
from actors.commands import DONE, KINDS, Command, CommandAnswer, CommandGiven, Say, TransferTo, refused
from actors.endings.intercom import Intercom
from actors.messages import CloseCall, EndCallNow, MachineAnswered, NoteCallOver, NoteStreamError, ToCall
from protocol.wire import PacedWebSocket
from store.calls import MemoryRecords
from store.checkpoints import keep_news
from store.fleet.driver import PostgresDatabase
from store.fleet.postgres import PostgresFleet
from store.fleet.shared import TELL
from store.records import CallRecord
from store.tokens import TokenStore
from tests.store.fleets import Workers, hidden
from tests.web.console.test_watching import Event, Running, parsed, words
from tests.web.console.visitors import Visitor, signed_in
from tests.web.fakes import (
    CALL_SID,
    OTHER_CALL_SID,
    Exchange,
    FakeCalls,
    FakeLine,
    Peer,
    context_of,
    record,
    services,
    settings,
    voice_form,
)
from tests.web.test_media import token_in, token_of
from web.app import BackgroundTasks, create_app
from web.calls.commands import plain_command, plain_message, read_command, read_message
from web.calls.context import Opened
from web.calls.slots import Slots
from web.from_settings import roster_of
from web.routes.media import MediaStreams
from web.routes.watch_elsewhere import CallsElsewhere

pytestmark = pytest.mark.real_time

PATIENCE = 20.0
_END_ALL = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL"
)

Ask: TypeAlias = Callable[[Exchange], Awaitable[object]]


@attrs.define
class Attentive:
    """Stands in for `run_call`: hears what the call is told, until that ends it."""

    heard: list[ToCall] = attrs.field(factory=list)
    news: trio.Event = attrs.field(factory=trio.Event)
    refuses: bool = False
    """Whether it refuses an operator's commands."""

    async def __call__(self, media: PacedWebSocket, plan: CallPlan, services: CallServices) -> CallRecord:
        outcome = "completed"
        with services.intercom.open(plan.call_sid) as mailbox:
            await media.send_message("here")
            async for message in mailbox:
                self.heard.append(message)
                self.news.set()
                if isinstance(message, CommandGiven):
                    message.reply_to.send_nowait(refused("a handoff is under way") if self.refuses else DONE)
                if isinstance(message, EndCallNow | CloseCall):
                    outcome = message.outcome
                    break
        left = record(plan.call_sid, outcome=outcome)
        await services.save(left)
        return left


@attrs.frozen
class Account:
    """Three workers of one account, with one telephone network and one store of records."""

    workers: Sequence[Exchange]
    fleets: Sequence[PostgresFleet]
    call: Attentive


@asynccontextmanager
async def three(workers: Workers, **changes: str) -> AsyncIterator[Account]:
    line, records, call, fleets, exchanges = FakeLine(), MemoryRecords(), Attentive(), list[PostgresFleet](), []

    async def adopt(left: CallRecord) -> None:
        await keep_news(records, left)

    for name in "abc":
        fleet = PostgresFleet(int(changes.get("MAX_CALLS", "50")), workers.database(), worker=name)
        tokens = TokenStore(PostgresDatabase(fleet.database))
        slots = Slots(50, fleet)
        chosen, offered = settings(**changes), attrs.evolve(services(line, records), roster=roster_of(settings()))
        app = create_app(chosen, Opened(offered, line, slots, tokens), run_call=call)
        there = Exchange(app, line, FakeCalls(), records, slots, chosen, offered.intercom)
        exchanges.append(there)
        fleets.append(fleet)
    async with trio.open_nursery() as nursery:
        for fleet in fleets:
            nursery.start_soon(fleet.run, adopt)
        with trio.fail_after(PATIENCE):
            while any(fleet.is_away for fleet in fleets):  # noqa: ASYNC110 - far away
                await trio.sleep(0.01)
        yield Account(exchanges, fleets, call)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def carried(account: Account) -> AsyncIterator[Peer]:
    """Have the webhook on the first worker and the stream on the second, for as long as the `async with` lasts."""
    peer = Peer().starts(await token_of(account.workers[0]))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.visit, account.workers[1].app)
        with trio.fail_after(PATIENCE):
            while "send" not in peer.said:
                await peer.changed.wait()
        yield peer
        nursery.cancel_scope.cancel()


async def test_a_call_whose_webhook_stream_and_end_are_on_three_workers(workers: Workers) -> None:
    async with three(workers) as account, carried(account) as peer:
        a, _, c = account.workers
        listed = (await c.operator("GET", "/calls")).json()["calls"]
        shown = (await c.operator("GET", f"/calls/{CALL_SID}")).json()
        ended = await c.operator("DELETE", f"/calls/{CALL_SID}")
        with trio.fail_after(PATIENCE):
            while not any(said.startswith("close") for said in peer.said):  # noqa: ASYNC110 - far away
                await trio.sleep(0.01)
        afterwards = (await a.operator("GET", f"/calls/{CALL_SID}")).json()

    assert [(call["call_sid"], call["status"]) for call in listed] == [(CALL_SID, "in-progress")]
    assert (shown["status"], shown["direction"], ended.status_code) == ("in-progress", "inbound", 202)
    assert account.call.heard == [EndCallNow("ended_by_operator")]
    assert (afterwards["outcome"], afterwards["record"]["call_sid"]) == ("ended_by_operator", CALL_SID)


ASKED: dict[str, tuple[Ask, ToCall]] = {
    "goodbye": (
        lambda there: there.operator("DELETE", f"/calls/{CALL_SID}?goodbye=yes"),
        CloseCall("ended_by_operator"),
    ),
    "machine": (
        lambda there: there.twilio("/twilio/amd", {"CallSid": CALL_SID, "AnsweredBy": "machine_start"}),
        MachineAnswered("machine_start"),
    ),
    "over": (
        lambda there: there.twilio("/twilio/status", {"CallSid": CALL_SID, "CallStatus": "completed"}),
        NoteCallOver(),
    ),
}


@pytest.mark.parametrize("what", ASKED)
async def test_what_one_worker_is_asked_of_a_call_its_own_worker_hears(workers: Workers, what: str) -> None:
    ask, message = ASKED[what]
    async with three(workers) as account, carried(account):
        await ask(account.workers[2])
        with trio.fail_after(PATIENCE):
            await account.call.news.wait()

    assert account.call.heard == [message]


@pytest.mark.parametrize("is_hidden", [False, True], ids=["of another version", "over for its worker"])
async def test_nothing_was_told_where_the_worker_of_the_call_does_not_say_so(workers: Workers, is_hidden: bool) -> None:
    async with three(workers) as account, carried(account):
        here, there = account.workers[0], account.workers[1]
        if not is_hidden:
            del account.fleets[1].answering[TELL]
        with hidden_from(there.intercom, CALL_SID) if is_hidden else nullcontext():
            is_told = await context_of(here).commands.tell(CALL_SID, NoteCallOver())

    assert not is_told
    assert account.call.heard == []


async def test_a_page_of_one_worker_shows_a_call_of_another_as_it_goes_on(workers: Workers) -> None:
    async with three(workers) as account, carried(account), trio.open_nursery() as nursery:
        serve_watching(account, nursery)
        call = Running.of(context_of(account.workers[1]).watched.watch(CALL_SID))
        call.says("Hello", "there")
        page = await signed_in(account.workers[2]).ask("GET", f"/console/calls/{CALL_SID}")
        nursery.start_soon(end_when_watched, call)
        with trio.fail_after(PATIENCE):
            events = await followed(signed_in(account.workers[2]), f"/console/calls/{CALL_SID}/events")
        nursery.cancel_scope.cancel()

    assert 'data-worker="b"' in page.text
    assert words(events) == ["Hello", "there", "again"]


async def followed(visitor: Visitor, path: str) -> list[Event]:
    """Return the events of a call until it is over, as a browser has them: it comes back to an answer that was cut."""
    events = list[Event]()
    while not (events and events[-1].name == "over"):
        seen = [event.id for event in events if event.id][-1:]
        visitor.headers["Last-Event-ID"] = "".join(seen)
        events += parsed((await visitor.ask("GET", path)).content)
    return events


def serve_watching(account: Account, nursery: trio.Nursery) -> Sequence[CallsElsewhere]:
    """Have each worker send its calls to the pages of the others, and return what does that."""
    owners = [getattr(run, "__self__", None) for there in account.workers for run in tasks_of(there)]
    found = [one for one in owners if isinstance(one, CallsElsewhere)]
    for one in found:
        nursery.start_soon(one.run)
    return found


async def end_when_watched(call: Running) -> None:
    while not call.watch.watchers:  # noqa: ASYNC110 - far away
        await trio.sleep(0.01)
    call.says("again")
    call.ends()


def tasks_of(there: Exchange) -> Sequence[Callable[[], Awaitable[None]]]:
    """Return the background tasks of an application, which run while it is served."""
    served = cast("MediaStreams", there.app.asgi_app).application
    assert isinstance(served, BackgroundTasks)
    return served.runs


@pytest.mark.parametrize(("is_refused", "status"), [(False, 200), (True, 409)])
async def test_a_command_given_to_one_worker_is_carried_out_and_answered_by_another(
    is_refused: bool, status: int, workers: Workers
) -> None:
    async with three(workers) as account, carried(account):
        account.call.refuses = is_refused
        with trio.fail_after(PATIENCE):
            answer = await account.workers[2].operator(
                "POST", f"/calls/{CALL_SID}/transfer", {"number": "+15550001111", "reason": "is angry"}
            )

    (given,) = account.call.heard
    assert isinstance(given, CommandGiven)
    assert given.command == Command(answer.json()["command_id"], "api", TransferTo("+15550001111", "is angry"))
    assert (answer.status_code, answer.json()["outcome"]) == (status, "refused" if is_refused else "done")


COMMANDS: dict[str, dict[str, str]] = {
    "say": {"text": "Hello."},
    "whisper": {"text": "Has a dog."},
    "prompt": {"text": "You are Alex."},
    "handoff": {"to": "advisor"},
    "restart": {},
    "transfer": {"number": "+15550001111"},
    "take-over": {"number": "+15550001111"},
    "give-back": {},
}
STREAMS = ("events", "audio")
VIEWS = {"": 200, "tasks": 200, "recording": 404, "timeline.svg": 404, "journal": 404}
"""Of a call that goes on; a recording, a picture and a journal are where its files are."""


async def test_all_that_can_be_asked_of_a_call_can_be_asked_at_any_worker(workers: Workers) -> None:
    """A route or a command that is added belongs into a table above."""
    async with three(workers) as account, carried(account), trio.open_nursery() as nursery:
        *_, pages = serve_watching(account, nursery)
        _, there, asked = account.workers
        call = Running.of(context_of(there).watched.watch(CALL_SID))
        answers = dict[str, int]()

        async def ask(method: str, what: str, body: object = None) -> None:
            answer = await asked.operator(method, f"/calls/{CALL_SID}/{what}".rstrip("/"), body)
            answers[f"{method} {what}"] = answer.status_code

        with trio.fail_after(PATIENCE):
            for command, body in COMMANDS.items():
                await ask("POST", command, body)
            for view in VIEWS:
                await ask("GET", view)
            async with trio.open_nursery() as watching:
                for stream in STREAMS:
                    watching.start_soon(ask, "GET", stream)
                while sum(bool(one.first) for one in pages._reading.values()) < len(STREAMS):  # noqa: ASYNC110
                    await trio.sleep(0.01)
                call.ends()
            await ask("DELETE", "")
        nursery.cancel_scope.cancel()

    rules = [rule for rule in asked.app.url_map.iter_rules() if rule.rule.startswith("/calls/<name>")]
    asks = [(method, rule.rule[14:]) for rule in rules for method in rule.methods or ()]
    routes = {f"{method} {what}" for method, what in asks if method not in {"HEAD", "OPTIONS"}}
    given = [type(one.command.action) for one in account.call.heard if isinstance(one, CommandGiven)]
    failed = {told: status for told, status in answers.items() if status not in {200, 202}}
    assert answers.keys() == routes
    assert given == [KINDS[command] for command in COMMANDS]
    assert failed == {f"GET {view}": status for view, status in VIEWS.items() if status == 404}


async def test_a_command_to_a_call_that_has_ended_on_its_worker_says_so(workers: Workers) -> None:
    async with three(workers) as account, carried(account):
        there = account.workers[1].intercom
        with trio.fail_after(PATIENCE), hidden_from(there, CALL_SID):
            answer = await account.workers[2].operator("POST", f"/calls/{CALL_SID}/say", {"text": "Hello."})

    assert (answer.status_code, answer.json()["outcome"]) == (200, "over")


@contextmanager
def hidden_from(intercom: Intercom, call_sid: str) -> Iterator[None]:
    """Have a call be over for its own worker, which the database does not know yet."""
    call = intercom._calls.pop(call_sid)
    try:
        yield
    finally:
        intercom._calls[call_sid] = call


def test_a_command_that_this_version_does_not_know_is_refused() -> None:
    command = Command("k1", "ana", Say("Hello."))
    plain = plain_command(command)

    assert isinstance(read_command({**plain, "do": "sing", "fields": {}}), CommandAnswer)
    assert isinstance(read_command({**plain, "fields": {"words": "Hello."}}), CommandAnswer)
    assert isinstance(read_command(None), CommandAnswer)
    assert read_command(orjson.loads(orjson.dumps(plain))) == command


@pytest.mark.parametrize(
    "message",
    [CloseCall("drained"), EndCallNow("x"), MachineAnswered("human"), NoteCallOver(), NoteStreamError("31921")],
    ids=lambda message: type(message).__name__,
)
def test_every_message_to_a_call_is_read_as_it_was_written(message: ToCall) -> None:
    assert read_message(orjson.loads(orjson.dumps(plain_message(message)))) == message


@pytest.mark.parametrize(
    "about", ["", None, [1], {}, {"kind": "Sing"}, {"kind": "CloseCall"}, {"kind": "NoteCallOver", "x": 1}], ids=repr
)
def test_a_message_of_another_version_is_refused(about: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_message(about)


async def test_the_cap_is_the_accounts(workers: Workers) -> None:
    async with three(workers, MAX_CALLS="1") as account:
        first = await account.workers[0].twilio("/twilio/voice", voice_form())
        second = await account.workers[1].twilio("/twilio/voice", voice_form(OTHER_CALL_SID))
        await account.workers[2].twilio("/twilio/status", {"CallSid": CALL_SID, "CallStatus": "completed"})
        await account.fleets[2].beat()
        third = await account.workers[1].twilio("/twilio/voice", voice_form("CA" + "3" * 32))

    assert ["<Stream" in answer.text for answer in (first, second, third)] == [True, False, True]


async def test_orders_of_all_workers_keep_the_accounts_pace(workers: Workers) -> None:
    async with three(workers, CALLS_PER_SECOND="0.1") as account:
        orders = [
            (await there.operator("POST", "/calls", {"to": f"+1555765000{number}"})).json()
            for number, there in enumerate(account.workers)
        ]

    assert [round(order.get("starts_in", 0), -1) for order in orders] == [0, 10, 20]


async def test_without_the_database_a_call_comes_in_on_one_worker_and_no_order_is_taken(workers: Workers) -> None:
    async with three(workers) as account:
        a = account.workers[0]
        with hidden(account.fleets[0].database):
            with psycopg.connect(workers.url, autocommit=True) as connection:
                connection.execute(_END_ALL)
            with trio.fail_after(PATIENCE):
                while not account.fleets[0].is_away:  # noqa: ASYNC110 - far away
                    await trio.sleep(0.01)
            answer = await a.twilio("/twilio/voice", voice_form())
            order = await a.operator("POST", "/calls", {"to": "+15557650001"})
            peer = Peer().starts(token_in(answer.text)).leaves()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(peer.visit, a.app)
                with trio.fail_after(PATIENCE):
                    while "send" not in peer.said:
                        await peer.changed.wait()
                nursery.cancel_scope.cancel()

    assert (order.status_code, order.headers["Retry-After"]) == (503, "10")
