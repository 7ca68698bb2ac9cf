"""What an operator may do, and in which words a mistake is answered."""

import gzip
from collections.abc import Sequence
from pathlib import Path

import attrs
import httpx
import orjson
import pytest
import trio
from trio.testing import MockClock

from actors.messages import CloseCall, EndCallNow
from agents.roster import Roster
from agents.sentences import ENGLISH, Sentences
from store.calls import DatabaseUnavailable, MemoryRecords
from store.databases import Rows, SqliteDatabase
from store.orders.queue import OrderQueue
from store.records import OPERATOR, AgentPeriod, CallRecord, TurnRecord
from tests.store.samples import newer_tables
from tests.web.fakes import (
    API_TOKEN,
    CALL_SID,
    LEAD,
    LINE,
    SELLER,
    FakeLine,
    at_home,
    client_of,
    context_of,
    exchange,
    record,
    voice_form,
)
from web.clients.twilio import CallOptions, LineError

OTHER_LEAD = "+15557650001"


async def test_a_call_is_placed(autojump_clock: MockClock) -> None:
    there = exchange()

    answer = await there.operator("POST", "/calls", {"to": LEAD})

    placed = answer.json()
    assert (answer.status_code, placed["status"], placed["call_sid"]) == (201, "queued", f"CA{1:032x}")
    assert there.line.placed == [(LEAD, placed["id"])]
    assert answer.headers["location"] == f"/calls/{placed['id']}"


@pytest.mark.parametrize("order", [None, b"", {}, {"context": {}}])
async def test_the_lead_of_the_settings_is_called_when_nobody_is_named(
    order: object, autojump_clock: MockClock
) -> None:
    there = exchange(LEAD_PHONE_NUMBER="+15550001111")

    await there.operator("POST", "/calls", order)

    assert [to for to, _ in there.line.placed] == ["+15550001111"]


@pytest.mark.parametrize(
    ("order", "fields"),
    [
        (b"{", ["body"]),
        ([LEAD], ["body"]),
        ({}, ["to"]),
        ({"to": None}, ["to"]),
        ({"to": "555 765"}, ["to"]),
        ({"to": LINE}, ["to"]),
        ({"to": LEAD, "contxt": {}}, ["contxt"]),
        ({"to": LEAD, "context": "John"}, ["context"]),
        ({"to": LEAD, "context": {"nmae": "John", "need": 3, "location": "x" * 1001}},
         ["context.nmae", "context.need", "context.location"]),
        ({"to": LEAD, "machine_detection": "voicemail"}, ["machine_detection"]),
        ({"to": LEAD, "machine_detection": ["off"]}, ["machine_detection"]),
        ({"to": LEAD, "time_limit": 29}, ["time_limit"]),
        ({"to": LEAD, "time_limit": 1801}, ["time_limit"]),
        ({"to": LEAD, "time_limit": True}, ["time_limit"]),
        ({"to": LEAD, "agents": "nobody"}, ["agents"]),
        ({"to": LEAD, "agents": ["first"]}, ["agents"]),
        ({"to": LEAD, "metadata": "A-17"}, ["metadata"]),
        ({"to": LEAD, "metadata": {"note": "x" * 4097}}, ["metadata"]),
        ({"to": LEAD, "metadata": {"a": {"b": [[[[[[[1]]]]]]]}}}, ["metadata"]),
        ({"to": 1, "x": 1, "context": None, "machine_detection": "on", "time_limit": "60", "record": "yes"},
         ["x", "to", "context", "machine_detection", "time_limit", "record"]),
    ],
)  # fmt: skip
async def test_every_mistake_in_an_order_is_named(order: object, fields: list[str], autojump_clock: MockClock) -> None:
    there = exchange()

    answer = await there.operator("POST", "/calls", order)

    assert (answer.status_code, [one["field"] for one in answer.json()["problems"]]) == (400, fields)
    assert there.line.placed == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"to": "+15557650000", "to": "+15557650001"}', "to"),
        (b'{"to": "+15557650000", "context": {"name": "Ann", "name": "Bob"}}', "name"),
        (b'{"to": "+15557650000", "metadata": {"a": [{"b": 1, "\\u0062": 2}]}}', "b"),
    ],
)
async def test_of_two_values_of_one_field_none_is_taken(body: bytes, field: str, autojump_clock: MockClock) -> None:
    there = exchange()
    answer = await there.operator("POST", "/calls", body)

    told = {"field": field, "problem": "is there more than once", "fix": "Write it once."}
    assert (answer.status_code, answer.json()["problems"], there.line.placed) == (400, [told], [])


async def test_a_misspelt_field_is_answered_with_the_one_that_was_meant(autojump_clock: MockClock) -> None:
    answer = await exchange().operator("POST", "/calls", {"to": LEAD, "context": {"nmae": "John"}})

    assert answer.json()["problems"][0]["fix"] == "Did you mean name?"


@pytest.mark.parametrize("token", ["", "wrong", API_TOKEN + "x", "ü"])
@pytest.mark.parametrize(
    ("method", "target"), [("POST", "/calls"), ("GET", "/calls"), ("GET", "/calls/x"), ("DELETE", "/calls/x")]
)
async def test_a_stranger_is_refused(method: str, target: str, token: str, autojump_clock: MockClock) -> None:
    there = exchange()
    async with there.client() as client:
        headers = [(b"Authorization", f"Bearer {token}".encode())] if token else []
        answer = await client.request(method, target, headers=headers)

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


async def test_another_scheme_than_bearer_is_refused(autojump_clock: MockClock) -> None:
    async with exchange().client() as client:
        answer = await client.get("/calls", headers={"Authorization": f"Basic {API_TOKEN}"})

    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("base_url", "headers", "status"),
    [
        ("http://127.0.0.1:8000", {}, 200),
        ("http://localhost", {}, 200),
        ("http://[::1]:8000", {}, 200),
        ("http://agent.example.com", {}, 401),
        ("http://127.0.0.1:8000", {"Origin": "https://evil.example"}, 401),
        ("http://127.0.0.1:8000", {"Origin": "null"}, 401),
        ("http://127.0.0.1:8000", {"Sec-Fetch-Site": "cross-site"}, 401),
    ],
)
async def test_without_a_token_only_this_machine_is_served(
    base_url: str, headers: dict[str, str], status: int, autojump_clock: MockClock
) -> None:
    there = at_home()
    async with client_of(there.app, base_url) as client:
        answer = await client.get("/calls", headers=headers)

    assert answer.status_code == status


async def test_no_page_in_a_browser_on_this_machine_can_place_a_call(autojump_clock: MockClock) -> None:
    """Any page may have its reader's browser send a form there, unasked: to it, this machine is as good as another."""
    there = at_home()
    async with client_of(there.app, "http://127.0.0.1:8000") as client:
        order = orjson.dumps({"to": LEAD})
        answer = await client.post(
            "/calls", content=order, headers={"Content-Type": "text/plain", "Origin": "https://evil.example"}
        )

    assert (answer.status_code, there.line.placed) == (401, [])


async def test_without_a_token_another_machine_is_refused(autojump_clock: MockClock) -> None:
    there = at_home()
    transport = httpx.ASGITransport(app=there.app, client=("203.0.113.1", 5))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        answer = await client.get("/calls")

    assert answer.status_code == 401


async def test_an_order_beyond_capacity_is_to_be_tried_later(autojump_clock: MockClock) -> None:
    there = exchange(MAX_CALLS="1")
    await there.operator("POST", "/calls", {"to": LEAD})

    answer = await there.operator("POST", "/calls", {"to": LEAD})

    assert (answer.status_code, answer.headers["retry-after"], len(there.line.placed)) == (429, "10", 1)
    assert answer.json()["error"] == "every line is taken"


async def test_an_order_behind_too_many_others_is_told_so(autojump_clock: MockClock) -> None:
    there = exchange(CALLS_PER_SECOND="0.01")
    await there.operator("POST", "/calls", {"to": LEAD})

    answer = await there.operator("POST", "/calls", {"to": LEAD})

    assert (answer.status_code, answer.headers["retry-after"]) == (429, "40")
    assert answer.json()["error"] == "more than a minute of orders wait already"


async def test_an_order_during_a_drain_is_to_be_tried_later(autojump_clock: MockClock) -> None:
    there = exchange()
    there.slots.drain()

    answer = await there.operator("POST", "/calls", {"to": LEAD})

    assert (answer.status_code, "retry-after" in answer.headers) == (503, True)


async def test_what_twilio_refuses_is_told_with_its_code_and_frees_the_line(autojump_clock: MockClock) -> None:
    refusal = LineError("The number is unverified", code=21219, fix="A trial account can only call verified numbers.")
    there = exchange(line=FakeLine(refusal=refusal), MAX_CALLS="1")

    answer = await there.operator("POST", "/calls", {"to": LEAD})

    told = answer.json()
    assert (answer.status_code, told["code"], there.slots.accepting) == (502, 21219, True)
    (listed,) = (await there.operator("GET", "/calls")).json()["calls"]
    shown = (await there.operator("GET", f"/calls/{told['id']}")).json()
    assert (listed["status"], listed["outcome"], shown["status"]) == ("failed", "failed", "failed")
    assert shown["record"]["why"].startswith("Twilio refused the call: The number is unverified (Twilio 21219).")


async def test_a_call_that_may_ring_all_the_same_keeps_its_line(autojump_clock: MockClock) -> None:
    there = exchange(line=FakeLine(refusal=LineError("no answer", maybe_done=True)), MAX_CALLS="1")

    answer = await there.operator("POST", "/calls", {"to": LEAD})

    assert (answer.status_code, "is being found out" in answer.json()["in_doubt"]) == (202, True)
    assert not there.slots.accepting


async def test_an_order_behind_another_is_told_when_its_turn_is(autojump_clock: MockClock) -> None:
    there = exchange(CALLS_PER_SECOND="0.5")
    await there.operator("POST", "/calls", {"to": LEAD})

    answer = await there.operator("POST", "/calls", {"to": OTHER_LEAD})

    assert (answer.status_code, answer.json()["starts_in"], len(there.line.placed)) == (202, 2.0, 1)


async def test_an_order_to_a_number_on_the_do_not_call_list_is_refused(autojump_clock: MockClock) -> None:
    there = exchange(MAX_CALLS="1")
    await context_of(there).orders.refuse_number(LEAD, "asked for it")

    answer = await there.operator("POST", "/calls", {"to": LEAD})

    assert (answer.status_code, answer.json()["field"], there.line.placed) == (403, "to", [])
    assert there.slots.accepting


@attrs.define
class Gone:
    """A database of orders that is away."""

    async def ask(self, sql: str, arguments: object) -> Rows:
        raise DatabaseUnavailable("calls.db: database is locked")


async def test_an_order_that_cannot_be_kept_is_not_taken(autojump_clock: MockClock) -> None:
    there = exchange(orders=OrderQueue(Gone()), MAX_CALLS="1")

    answer = await there.operator("POST", "/calls", {"to": LEAD})

    assert (answer.status_code, "retry-after" in answer.headers, there.line.placed) == (503, True, [])
    assert there.slots.accepting


@pytest.mark.parametrize(
    ("method", "target"), [("POST", "/calls"), ("GET", "/campaigns"), ("GET", f"/do-not-call/{LEAD}")]
)
async def test_a_database_of_a_newer_version_says_what_helps(
    method: str, target: str, tmp_path: Path, fast_clock: MockClock
) -> None:
    there = exchange(orders=OrderQueue(SqliteDatabase(newer_tables(tmp_path / "calls.db"))))

    answer = await there.operator(method, target, {"to": LEAD} if method == "POST" else None)

    assert (answer.status_code, "retry-after" in answer.headers, there.line.placed) == (503, False, [])
    assert "Update this switchboard" in answer.json()["fix"]


async def test_an_order_is_shown_by_a_process_that_never_saw_it(autojump_clock: MockClock) -> None:
    orders = OrderQueue(SqliteDatabase())
    first = exchange(orders=orders, MAX_CALLS="2", CALLS_PER_SECOND="0.05")
    await first.operator("POST", "/calls", {"to": LEAD})
    waiting = (await first.operator("POST", "/calls", {"to": OTHER_LEAD})).json()
    later = exchange(orders=orders)

    shown = (await later.operator("GET", f"/calls/{waiting['id']}")).json()
    called_off = await later.operator("DELETE", f"/calls/{waiting['id']}")
    after = (await later.operator("GET", f"/calls/{waiting['id']}")).json()

    assert (shown["status"], shown["caller"], called_off.status_code) == ("queued", OTHER_LEAD, 202)
    assert (after["status"], after["outcome"]) == ("canceled", "canceled")


async def test_an_order_that_waits_is_called_off_by_our_name_for_it(autojump_clock: MockClock) -> None:
    there = exchange(MAX_CALLS="2", CALLS_PER_SECOND="0.5")
    await there.operator("POST", "/calls", {"to": LEAD})
    waiting = (await there.operator("POST", "/calls", {"to": OTHER_LEAD})).json()

    answer = await there.operator("DELETE", f"/calls/{waiting['id']}")

    assert (answer.status_code, answer.json()["status"], there.slots.free) == (202, "canceled", 1)
    assert there.line.hung_up == []


async def test_what_is_ordered_with_a_call_is_told_to_twilio(autojump_clock: MockClock) -> None:
    there = exchange()

    await there.operator("POST", "/calls", {"to": LEAD, "machine_detection": "off", "time_limit": 60, "record": True})

    assert there.line.options == [CallOptions(detects_machines=False, time_limit=180, records=True)]


async def test_live_and_ended_calls_are_listed_without_their_words(autojump_clock: MockClock) -> None:
    there = exchange()
    await there.twilio("/twilio/voice", voice_form())
    await there.records.save(record("CA" + "9" * 32, transcript=(TurnRecord(1.0, "caller", "my secret"),)))

    answer = await there.operator("GET", "/calls")

    assert [call["call_sid"] for call in answer.json()["calls"]] == [CALL_SID, "CA" + "9" * 32]
    assert "my secret" not in answer.text


@attrs.define
class Locked(MemoryRecords):
    """Records nobody can look up."""

    async def get(self, call_sid: str) -> CallRecord | None:
        raise DatabaseUnavailable("sqlite:///calls.db: database is locked")

    async def list(self, limit: int = 50) -> Sequence[CallRecord]:
        raise DatabaseUnavailable("sqlite:///calls.db: database is locked")


@pytest.mark.parametrize("target", ["/calls", f"/calls/{CALL_SID}"])
async def test_while_the_database_is_away_records_are_to_be_asked_for_later(
    target: str, autojump_clock: MockClock
) -> None:
    there = exchange(records=Locked())

    answer = await there.operator("GET", target)

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    assert "calls.db" not in answer.text


@pytest.mark.parametrize("limit", ["0", "-1", "x", "501", "²", pytest.param("9" * 5000, id="long")])
async def test_a_limit_that_is_none_is_refused(limit: str, autojump_clock: MockClock) -> None:
    assert (await exchange().operator("GET", f"/calls?limit={limit}")).status_code == 400


@pytest.mark.parametrize(
    ("method", "query", "fix"),
    [
        ("GET", "?outcome=failed", "Leave it out; there are limit, live."),
        ("GET", "?limti=1", "Did you mean limit?"),
        ("GET", "?live=true", "live=yes"),
        ("GET", "?limit=5&limit=6", "Write limit once."),
        ("POST", "?to=%2B15557650000", "Write it in the JSON body."),
        ("DELETE", "?goodbye=no&goodbye=yes", "Write goodbye once."),
        ("DELETE", "?godbye=yes", "Did you mean goodbye?"),
        ("DELETE", "?goodbye=please", "goodbye=yes"),
    ],
)
async def test_an_argument_that_would_be_passed_over_is_refused(
    method: str, query: str, fix: str, autojump_clock: MockClock
) -> None:
    there = exchange()
    answer = await there.operator(method, f"/calls{f'/{CALL_SID}' if method == 'DELETE' else ''}{query}")

    assert (answer.status_code, answer.json()["fix"]) == (400, fix)
    assert (there.line.hung_up, there.line.placed) == ([], [])


@pytest.mark.parametrize(
    ("method", "target", "body", "status"),
    [
        ("GET", "/nothing", None, 404),
        ("PUT", "/calls", None, 405),
        ("POST", "/calls/CA1", None, 405),
        ("POST", "/calls", b"x" * 70_000, 413),
    ],
)
async def test_what_the_framework_refuses_is_told_as_ours_is(
    method: str, target: str, body: bytes | None, status: int, autojump_clock: MockClock
) -> None:
    answer = await exchange().operator(method, target, body)

    told = answer.json()
    assert (answer.status_code, bool(told["error"]), bool(told["fix"])) == (status, True, True)
    assert ("allow" in answer.headers) == (status == 405)


@attrs.define
class Broken(MemoryRecords):
    """A store with something wrong."""

    error: Exception = attrs.field(kw_only=True)

    async def list(self, limit: int = 50) -> Sequence[CallRecord]:
        raise self.error


@pytest.mark.parametrize(("error", "status"), [(PermissionError("no"), 503), (KeyError("a bug"), 500)])
async def test_whatever_breaks_is_told_as_json(error: Exception, status: int, autojump_clock: MockClock) -> None:
    answer = await exchange(records=Broken(error=error)).operator("GET", "/calls")

    assert (answer.status_code, bool(answer.json()["error"])) == (status, True)


async def test_a_list_is_as_long_as_was_asked(autojump_clock: MockClock) -> None:
    there = exchange()
    for number in range(3):
        await there.records.save(record(f"CA{number:032}"))

    assert len((await there.operator("GET", "/calls?limit=2")).json()["calls"]) == 2


async def test_a_call_is_shown_with_its_record(autojump_clock: MockClock) -> None:
    there = exchange()
    await there.records.save(record(transcript=(TurnRecord(1.0, "caller", "Hello."),)))

    shown = (await there.operator("GET", f"/calls/{CALL_SID}")).json()

    assert (shown["status"], shown["record"]["transcript"][0]["text"]) == ("completed", "Hello.")


async def test_a_live_call_has_no_record_yet(autojump_clock: MockClock) -> None:
    there = exchange()
    await there.twilio("/twilio/voice", voice_form())

    shown = (await there.operator("GET", f"/calls/{CALL_SID}")).json()

    assert (shown["status"], shown["record"]) == ("ringing", None)


@pytest.mark.parametrize("name", ["CA" + "7" * 32, "%2e%2e%2fetc"])
async def test_an_unknown_call_is_not_found(name: str, autojump_clock: MockClock) -> None:
    assert (await exchange().operator("GET", f"/calls/{name}")).status_code == 404


async def test_a_call_of_another_worker_is_known_by_what_twilio_says(autojump_clock: MockClock) -> None:
    there = exchange(line=FakeLine(statuses={CALL_SID: "ringing"}))

    shown = (await there.operator("GET", f"/calls/{CALL_SID}")).json()

    assert shown == {"id": CALL_SID, "call_sid": CALL_SID, "status": "ringing", "record": None}


async def test_workers_that_share_their_orders_know_each_others(autojump_clock: MockClock) -> None:
    orders = OrderQueue(SqliteDatabase())
    first, second = (
        exchange(orders=orders),
        exchange(orders=orders, line=FakeLine(statuses={f"CA{1:032x}": "in-progress"})),
    )
    placed = (await first.operator("POST", "/calls", {"to": LEAD})).json()

    shown = (await second.operator("GET", f"/calls/{placed['id']}")).json()
    await second.operator("DELETE", f"/calls/{placed['id']}")

    assert (shown["call_sid"], shown["status"]) == (placed["call_sid"], "in-progress")
    assert second.line.hung_up == [placed["call_sid"]]


async def test_a_call_whose_news_went_elsewhere_is_asked_after(autojump_clock: MockClock) -> None:
    there = exchange()
    placed = (await there.operator("POST", "/calls", {"to": LEAD})).json()
    there.line.statuses[placed["call_sid"]] = "busy"
    await trio.sleep(4)

    statuses = [(await there.operator("GET", f"/calls/{placed['id']}")).json()["status"] for _ in range(2)]

    assert statuses == ["busy", "busy"]


async def test_a_call_that_twilio_cannot_tell_about_is_shown_as_it_was_known(autojump_clock: MockClock) -> None:
    there = exchange()
    placed = (await there.operator("POST", "/calls", {"to": LEAD})).json()
    there.line.refusal = LineError("down")
    await trio.sleep(4)

    assert (await there.operator("GET", f"/calls/{placed['id']}")).json()["status"] == "queued"


async def test_a_call_is_hung_up_by_our_name_for_it(autojump_clock: MockClock) -> None:
    there = exchange(MAX_CALLS="1")
    placed = (await there.operator("POST", "/calls", {"to": LEAD})).json()

    answer = await there.operator("DELETE", f"/calls/{placed['id']}")

    assert (answer.status_code, there.line.hung_up, there.slots.accepting) == (202, [placed["call_sid"]], True)


async def test_a_call_of_another_worker_is_hung_up_by_its_callsid(autojump_clock: MockClock) -> None:
    there = exchange()

    await there.operator("DELETE", f"/calls/{CALL_SID}")

    assert there.line.hung_up == [CALL_SID]


async def test_a_call_that_runs_here_is_told_who_ends_it(autojump_clock: MockClock) -> None:
    there = exchange()
    with there.intercom.open(CALL_SID) as mailbox:
        answer = await there.operator("DELETE", f"/calls/{CALL_SID}")

        assert mailbox.receive_nowait() == EndCallNow("ended_by_operator")
    assert (answer.json()["status"], there.line.hung_up) == ("completed", [CALL_SID])


async def test_a_call_that_is_to_end_with_a_goodbye_is_told_so_and_not_cut_off(autojump_clock: MockClock) -> None:
    there = exchange()
    with there.intercom.open(CALL_SID) as mailbox:
        answer = await there.operator("DELETE", f"/calls/{CALL_SID}?goodbye=yes")

        assert mailbox.receive_nowait() == CloseCall("ended_by_operator")
    assert (answer.status_code, answer.json()["status"], there.line.hung_up) == (202, "in-progress", [])


@pytest.mark.parametrize(("status", "hung_up"), [("in-progress", False), ("ringing", True)])
async def test_twilio_says_goodbye_for_a_call_of_another_worker_that_was_answered(
    status: str, hung_up: bool, autojump_clock: MockClock
) -> None:
    there = exchange(line=FakeLine(statuses={CALL_SID: status}))

    await there.operator("DELETE", f"/calls/{CALL_SID}?goodbye=yes")

    assert bool(there.line.hung_up) == hung_up
    said = [twiml.partition("<Say>")[2].partition("<")[0] for _, twiml in there.line.redirected]
    assert said == ([] if hung_up else [ENGLISH.closing])


@pytest.mark.parametrize("target", ["/calls", f"/calls/{CALL_SID}/say", "/campaigns", "/forget", "/webhooks/resend"])
async def test_a_compressed_body_is_answered_with_the_fix(target: str, autojump_clock: MockClock) -> None:
    there, headers = exchange(), {"Authorization": f"Bearer {API_TOKEN}", "Content-Encoding": "gzip"}

    async with there.client() as client:
        answer = await client.post(target, content=gzip.compress(b'{"to": "+15557650001"}'), headers=headers)

    assert (answer.status_code, "without Content-Encoding" in answer.json()["fix"]) == (415, True)


@pytest.mark.parametrize("coding", ["utf-8", "UTF-8", "identity", ""])
async def test_a_body_that_is_only_said_to_be_encoded_is_taken(coding: str, autojump_clock: MockClock) -> None:
    there, headers = exchange(), {"Authorization": f"Bearer {API_TOKEN}", "Content-Encoding": coding}

    async with there.client() as client:
        answer = await client.post("/calls", content=b'{"to": "+15557650001"}', headers=headers)

    assert answer.status_code == 201


@pytest.mark.parametrize("last", ["spanish", OPERATOR])
async def test_twilio_says_goodbye_in_the_language_of_the_agent_that_spoke_last(
    last: str, autojump_clock: MockClock
) -> None:
    own = Sentences(closing="Hasta luego.", language="es-MX")
    agents = {"seller": SELLER, "spanish": attrs.evolve(SELLER, name="spanish", sentences=own)}
    there = exchange(line=FakeLine(statuses={CALL_SID: "in-progress"}), roster=Roster(agents, "seller"))
    spoke = [AgentPeriod(name, at, at + 1.0) for at, name in enumerate(("seller", "spanish", last))]
    await there.records.save(record(outcome="transferring", agents=tuple(spoke)))

    await there.operator("DELETE", f"/calls/{CALL_SID}?goodbye=yes")

    ((_, document),) = there.line.redirected
    assert '<Say language="es-MX">Hasta luego.</Say>' in document


@pytest.mark.parametrize("name", ["x", "CAx", "CA1%3Fx", "OR" + "1" * 24])
async def test_what_is_no_call_cannot_be_hung_up(name: str, autojump_clock: MockClock) -> None:
    there = exchange()

    assert ((await there.operator("DELETE", f"/calls/{name}")).status_code, there.line.hung_up) == (404, [])


async def test_a_call_that_may_not_have_been_placed_is_to_be_hung_up_later(autojump_clock: MockClock) -> None:
    there = exchange(line=FakeLine(refusal=LineError("no answer", maybe_done=True)))
    ordered = (await there.operator("POST", "/calls", {"to": LEAD})).json()

    answer = await there.operator("DELETE", f"/calls/{ordered['id']}")

    assert (answer.status_code, "retry-after" in answer.headers) == (409, True)
    assert "is being found out" in answer.json()["error"]


async def test_a_call_that_was_never_placed_is_over_already(autojump_clock: MockClock) -> None:
    there = exchange(line=FakeLine(refusal=LineError("no", code=20003)))
    ordered = (await there.operator("POST", "/calls", {"to": LEAD})).json()

    answer = await there.operator("DELETE", f"/calls/{ordered['id']}")

    assert (answer.status_code, answer.json()["status"]) == (202, "failed")


async def test_a_hang_up_that_twilio_refuses_is_told(autojump_clock: MockClock) -> None:
    there = exchange(line=FakeLine(refusal=LineError("no", code=20003)))

    answer = await there.operator("DELETE", f"/calls/{CALL_SID}")

    assert (answer.status_code, answer.json()["code"]) == (502, 20003)
