"""Campaigns and the do-not-call list over HTTP: what is made, what is refused and why, and what comes of it."""

import csv
import io
from collections.abc import Mapping

import attrs
import orjson
import phonenumbers  # noqa: F401 - it is imported in a thread, for which a virtual clock does not wait
import pytest
from trio.testing import MockClock

from store.calls import DatabaseUnavailable
from store.databases import Rows, SqliteDatabase
from store.orders.queue import OrderQueue
from tests.web.fakes import LEAD, context_of, exchange, record
from web.calls.campaigns import settle
from web.routes.campaigns import LARGEST_BODY

NUMBERS = "to,name\n+12125550123,Zoë\n+14155550123,Al\n"
SPRING = {"name": "spring", "csv": NUMBERS}
SID = "CA" + "1" * 32


async def test_a_campaign_is_made_shown_and_listed(autojump_clock: MockClock) -> None:
    there = exchange(MAX_CALLS="10")

    made = await there.operator("POST", "/campaigns", {**SPRING, "most_calls": 2})
    shown = await there.operator("GET", "/campaigns/spring")
    listed = await there.operator("GET", "/campaigns")

    assert (made.status_code, made.headers["location"]) == (201, "/campaigns/spring")
    assert made.json()["state"] == "running"
    assert made.json()["progress"] == {
        "numbers": 2, "done": 0, "calling": 0, "waiting": 2, "calls": 0, "outcomes": {}, "eta_seconds": 2.0,
    }  # fmt: skip
    assert (made.json()["rules"]["most_calls"], made.json()["rules"]["at_once"]) == (2, 5)
    assert shown.json()["name"] == listed.json()["campaigns"][0]["name"] == "spring"


async def test_every_mistake_of_a_campaign_is_told_at_once_and_nothing_is_kept(autojump_clock: MockClock) -> None:
    there = exchange()
    bad = {"name": "spring", "csv": "to,name\n+12125550123,Zoë\n5,Al\n6,Bo\n", "most_calls": 0}

    answer = await there.operator("POST", "/campaigns", bad)

    problems = answer.json()["problems"]
    assert (answer.status_code, [(one.get("line"), one["field"]) for one in problems]) == (
        400,
        [(None, "most_calls"), (3, "to"), (4, "to")],
    )
    assert (await there.operator("GET", "/campaigns")).json() == {"campaigns": []}
    assert await context_of(there).orders.database.ask("SELECT * FROM orders", {}) == []


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b"{", ["body"]),
        ([], ["body"]),
        ({}, ["name", "csv"]),
        ({"name": "Spring", "csv": NUMBERS}, ["name"]),
        ({**SPRING, "nme": 1, "paused": "yes"}, ["nme", "paused"]),
        ({**SPRING, "time_limit": 1}, ["time_limit", "time_limit"]),
    ],
)
async def test_a_malformed_campaign_is_refused(body: object, fields: list[str], autojump_clock: MockClock) -> None:
    answer = await exchange().operator("POST", "/campaigns", body)

    assert (answer.status_code, [one["field"] for one in answer.json()["problems"]]) == (400, fields)


async def test_a_name_is_used_once_so_that_a_repeated_request_calls_nobody_twice(autojump_clock: MockClock) -> None:
    there = exchange()
    await there.operator("POST", "/campaigns", SPRING)

    assert (await there.operator("POST", "/campaigns", SPRING)).status_code == 409
    assert len(await context_of(there).orders.database.ask("SELECT * FROM orders", {})) == 2


async def test_a_campaign_is_paused_goes_on_and_is_canceled(autojump_clock: MockClock) -> None:
    there = exchange()
    await there.operator("POST", "/campaigns", {**SPRING, "paused": True})

    first = (await there.operator("GET", "/campaigns/spring")).json()["state"]
    commands = ("resume", "pause", "cancel", "cancel")
    states = [(await there.operator("POST", f"/campaigns/spring/{one}")).json()["state"] for one in commands]

    assert [first, *states] == ["paused", "running", "paused", "canceled", "canceled"]
    assert (await there.operator("POST", "/campaigns/spring/resume")).status_code == 409
    shown = (await there.operator("GET", "/campaigns/spring")).json()
    assert (shown["progress"]["outcomes"], shown["progress"]["calls"]) == ({"canceled": 2}, 0)


@pytest.mark.parametrize(
    ("method", "target"),
    [("GET", "/campaigns/none"), ("GET", "/campaigns/none/export"), ("POST", "/campaigns/none/pause")],
)
async def test_a_campaign_that_there_is_not_is_not_found(method: str, target: str, autojump_clock: MockClock) -> None:
    assert (await exchange().operator(method, target)).status_code == 404


FORMULAS = {"need": "=SUM(A1)", "name": "+cmd|' /C calc'!A0", "location": "\r=1+1", "timeline": "@A1", "reason": "-1+1"}


async def test_results_have_records_and_what_was_found_out(autojump_clock: MockClock) -> None:
    there = exchange()
    await there.operator("POST", "/campaigns", SPRING)
    orders, store = context_of(there).orders, context_of(there).campaigns
    campaign = await store.find("spring")
    assert campaign is not None
    first = (await store.contacts(campaign.campaign))[0]
    placed = await orders.placed(first.order_id, SID, 60)
    assert placed is not None
    await there.records.save(record(SID, facts=FORMULAS, answered_by="human"))
    await settle(orders, placed, "completed")

    sheet = (await there.operator("GET", "/campaigns/spring/export")).text
    lines = (await there.operator("GET", "/campaigns/spring/export?format=jsonl")).text.splitlines()

    rows = list(csv.DictReader(io.StringIO(sheet, newline="")))
    assert [(row["line"], row["to"], row["state"], row["outcome"], row["calls"]) for row in rows] == [
        ("2", "+12125550123", "over", "completed", "1"),
        ("3", "+14155550123", "waiting", "", "0"),
    ]
    assert (rows[0]["call_sid"], rows[0]["duration"]) == (SID, "12.5")
    assert {name: rows[0][f"facts.{name}"] for name in FORMULAS} == {
        name: f"'{text}" for name, text in FORMULAS.items()
    }
    assert [call["record"]["answered_by"] for call in orjson.loads(lines[0])["calls"]] == ["human"]
    assert orjson.loads(lines[1])["calls"] == []
    assert (await there.operator("GET", "/campaigns/spring/export?format=xls")).status_code == 400


async def test_a_campaign_may_be_larger_than_other_requests_for_who_has_the_token(autojump_clock: MockClock) -> None:
    there = exchange()
    large = {"name": "spring", "csv": NUMBERS + "\n" * 100_000}
    too_large = {"name": "autumn", "csv": "\n" * (LARGEST_BODY // 2 + 1)}

    made, stranger, other, huge = [
        await there.operator("POST", "/campaigns", large),
        await there.operator("POST", "/campaigns", large, token="wrong"),
        await there.operator("POST", "/calls", large),
        await there.operator("POST", "/campaigns", too_large),
    ]

    assert [one.status_code for one in (made, stranger, other, huge)] == [201, 401, 413, 413]


# The do-not-call list


async def test_a_number_is_put_on_the_list_and_taken_off(autojump_clock: MockClock) -> None:
    there = exchange()

    put = await there.operator("PUT", f"/do-not-call/{LEAD}?why=asked+for+it")
    refused = await there.operator("POST", "/calls", {"to": LEAD})
    listed = (await there.operator("GET", "/do-not-call")).json()["numbers"]
    taken = await there.operator("DELETE", f"/do-not-call/{LEAD}")
    called = await there.operator("POST", "/calls", {"to": LEAD})

    assert (put.status_code, put.json()["why"], refused.status_code) == (200, "asked for it", 403)
    assert [one["number"] for one in listed] == [LEAD]
    assert (taken.status_code, called.status_code) == (204, 201)
    assert (await there.operator("GET", f"/do-not-call/{LEAD}")).status_code == 404
    assert (await there.operator("DELETE", f"/do-not-call/{LEAD}")).status_code == 404


@pytest.mark.parametrize("target", ["/do-not-call/555", f"/do-not-call/{LEAD}?why={'x' * 201}"])
async def test_what_is_no_entry_of_the_list_is_refused(target: str, autojump_clock: MockClock) -> None:
    assert (await exchange().operator("PUT", target)).status_code == 400


@attrs.define
class Gone:
    """A database that is away."""

    async def ask(self, sql: str, arguments: object) -> Rows:
        raise DatabaseUnavailable("calls.db: database is locked")


class Strict(SqliteDatabase):
    """A database that refuses null characters, as PostgreSQL does."""

    async def ask(self, sql: str, arguments: Mapping[str, object]) -> Rows:
        assert "\0" not in "".join(map(str, arguments.values()))
        return await super().ask(sql, arguments)


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/campaigns/%00", 404),
        ("GET", "/campaigns/spring%00/export", 404),
        ("POST", "/campaigns/%00/pause", 404),
        ("GET", "/do-not-call?after=%00", 200),
        ("PUT", f"/do-not-call/{LEAD}?why=%00asked", 200),
    ],
)
async def test_null_characters_are_no_error_of_ours(
    method: str, target: str, status: int, autojump_clock: MockClock
) -> None:
    answer = await exchange(orders=OrderQueue(Strict())).operator(method, target)

    assert answer.status_code == status


@pytest.mark.parametrize("target", ["/campaigns", "/campaigns/spring", "/do-not-call", f"/do-not-call/{LEAD}"])
async def test_while_the_database_is_away_it_is_to_be_tried_later(target: str, autojump_clock: MockClock) -> None:
    answer = await exchange(orders=OrderQueue(Gone())).operator("GET", target)

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    assert "calls.db" not in answer.text
