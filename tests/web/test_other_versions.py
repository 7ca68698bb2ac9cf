"""What another version has written: unknown fields are passed over, and what cannot be read is left to one that can.

While one version replaces another, each reads what the other has written.
"""

from collections.abc import Mapping

import attrs
import orjson
import phonenumbers  # noqa: F401 - it is imported in a thread, for which a virtual clock does not wait
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from store.databases import Arguments, Rows, SqliteDatabase
from store.fleet.statements import live_call
from store.orders.queue import NewOrder, OrderQueue
from store.tokens import TokenStore
from tests.store.fleets import call
from tests.web.fakes import LEAD, LINE, context_of, exchange
from tests.web.test_campaign_runner import RULES, create, running, shown
from tests.web.test_dispatch import ORDER, world
from web.calls.admission import Admission, Admissions
from web.calls.campaigns import settle
from web.calls.orders import Order, kept_order, written_order
from web.calls.placing import LATEST_SECONDS

CALL_SID = "CA" + "1" * 32
UNREADABLE: Mapping[str, Mapping[str, object]] = {
    "hours": {"hours": "from sunrise"},
    "days": {"days": "weekdays"},
    "pace": {"per_minute": "adaptive"},
    "retry": {"retry": {"busy": [15, 30]}},
    "outcome": {"retry": {"engaged": {"times": 1, "minutes": 1}}},
    "rule": {"holidays": "none"},
}
"""Rules that may be known to a later version."""
unreadable = pytest.mark.parametrize("newer", UNREADABLE.values(), ids=UNREADABLE)


@unreadable
async def test_a_campaign_whose_rules_cannot_be_read_is_shown_with_why_it_does_not_go_on_here(
    autojump_clock: MockClock, newer: Mapping[str, object]
) -> None:
    there = exchange()
    await there.operator("POST", "/campaigns", {"name": "spring", "csv": "to\n+12125550123\n"})
    rules = orjson.dumps({**RULES.written(), **newer}).decode()
    await context_of(there).orders.database.ask("UPDATE campaigns SET rules = :rules", {"rules": rules})

    listed = (await there.operator("GET", "/campaigns")).json()["campaigns"][0]
    paused = await there.operator("POST", "/campaigns/spring/pause")
    exported = await there.operator("GET", "/campaigns/spring/export")
    await there.operator("POST", "/campaigns/spring/cancel")
    canceled = (await there.operator("GET", "/campaigns/spring")).json()

    assert (listed["rules"], listed["progress"]["eta_seconds"]) == (orjson.loads(rules), None)
    assert "another version" in listed["why"]
    assert (canceled["state"], canceled["why"]) == ("canceled", "")  # no version goes on with it
    assert (paused.status_code, exported.status_code) == (200, 200)


@unreadable
async def test_a_campaign_whose_rules_cannot_be_read_holds_up_no_other(
    autojump_clock: MockClock, newer: Mapping[str, object]
) -> None:
    async with running() as there:
        autumn = await create(there, "autumn")
        rules = orjson.dumps({**RULES.written(), **newer}).decode()
        await there.context.orders.database.ask("UPDATE campaigns SET rules = :rules, next_turn = 0", {"rules": rules})
        await create(there, "spring", "+15557650001")
        with capture_logs() as logs:
            await trio.sleep(20)
        left = await there.context.campaigns.contacts(autumn.campaign)

        assert [name for name, _ in shown(there)] == ["ORspring"]
        assert [(one.state, one.worker) for one in left] == [("waiting", "")]
        assert [line["event"] for line in logs].count("campaign_left") == 1


@pytest.mark.parametrize(("outcome", "state"), [("busy", "waiting"), ("completed", "over")])
async def test_an_attempt_that_may_be_made_again_ends_when_a_version_comes_that_can_read_the_rules(
    autojump_clock: MockClock, outcome: str, state: str
) -> None:
    async with world() as there:
        spring, queue = await create(there, "spring"), there.context.orders
        update = "UPDATE campaigns SET rules = :rules"
        await queue.database.ask(update, {"rules": orjson.dumps({"retry": {"busy": [15]}}).decode()})
        with capture_logs() as logs:
            await there.context.outcomes.ends.note("ORspring", outcome)
        (left,) = await there.context.campaigns.contacts(spring.campaign)
        await queue.database.ask(update, {"rules": orjson.dumps(RULES.written()).decode()})
        await settle(queue, left, outcome)
        (settled,) = await there.context.campaigns.contacts(spring.campaign)

        assert (left.state, settled.state, settled.outcome) == (state, "over", outcome)
        assert [line["event"] for line in logs] == (["order_end_left"] if state == "waiting" else [])


async def test_an_order_that_cannot_be_read_waits_for_a_version_that_can_until_it_is_too_late(
    autojump_clock: MockClock,
) -> None:
    async with world() as there:
        body = {**written_order(ORDER), "on_machine": "sing"}
        new = NewOrder("OR1", LEAD, body, "key")
        await there.context.orders.put(new, "dead", lease=1, latest=LATEST_SECONDS)
        with capture_logs() as logs:
            await trio.sleep(60)
        waiting = await there.context.orders.find("OR1")
        await trio.sleep(LATEST_SECONDS)
        failed = await there.context.orders.find("OR1")

        assert waiting is not None
        assert failed is not None
        assert (waiting.state, failed.state, failed.outcome) == ("waiting", "over", "failed")
        assert {line["event"] for line in logs} == {"order_left"}
        assert there.line.placed == []


async def test_a_stream_whose_token_has_a_field_of_a_later_version_is_let_in(autojump_clock: MockClock) -> None:
    admissions = Admissions(TokenStore())
    admission = Admission(CALL_SID, "inbound", LEAD, LINE, CALL_SID, give_back=["k1", "ana"])
    token = {**attrs.asdict(admission, recurse=False), "mood": "cheerful"}
    await admissions.tokens.put("token t", orjson.dumps(token), 60)

    assert await admissions.redeem("t", CALL_SID) == admission


async def test_an_order_of_a_later_version_is_read_without_what_we_do_not_know(autojump_clock: MockClock) -> None:
    queue, order = OrderQueue(SqliteDatabase()), Order(LEAD, LINE, {}, agents="sales")
    await queue.put(NewOrder("OR1", LEAD, {**written_order(order), "mood": "cheerful"}), "w1", lease=1, latest=1)

    assert await kept_order(queue, "OR1") == order


class Silent(SqliteDatabase):
    """A database that does not answer."""

    async def ask(self, sql: str, arguments: Arguments) -> Rows:
        await trio.sleep_forever()
        raise AssertionError


async def test_a_webhook_waits_two_seconds_for_what_was_ordered_and_tells_that_it_goes_on_without_it(
    autojump_clock: MockClock,
) -> None:
    with capture_logs() as logs:
        assert await kept_order(OrderQueue(Silent()), "OR1") is None

    assert trio.current_time() == pytest.approx(2)
    assert [(line["event"], line["id"], line["why"]) for line in logs] == [
        ("order_unread", "OR1", "no answer within 2 s")
    ]


def test_a_running_call_of_a_later_version_is_read_without_what_we_do_not_know() -> None:
    about = attrs.asdict(call("CA1")) | {"mood": "cheerful"}

    assert live_call(orjson.dumps(about).decode(), "w1") == call("CA1", worker="w1")
