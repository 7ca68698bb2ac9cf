"""The list of calls: what the address asks for, page by page, with nothing of a caller's taken for markup."""

import re

import attrs
import pytest
import trio
from markupsafe import escape
from trio.testing import MockClock

from actors.facts import FloorTaken
from agents.roster import default_roster
from store.calls import DatabaseUnavailable, MemoryRecords
from store.orders.campaigns import NewContact
from store.search import CallQuery, CallSummary
from tests.web.console.test_watching import Running
from tests.web.console.visitors import Visitor, signed_in
from tests.web.fakes import LEAD, context_of, exchange, record
from web.calls.campaigns import CampaignRules
from web.calls.live_calls import KnownCall
from web.console.pages import PAGE, asked_by
from web.console.rendering import TEXT

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


async def kept(count: int, **changes: object) -> MemoryRecords:
    records = MemoryRecords()
    for index in range(count):
        started = f"2026-11-22T09:{index // 60:02}:{index % 60:02}.000+00:00"
        await records.save(record(f"CA{index:032}", started_at=started, **changes))
    return records


def called(page: str) -> list[str]:
    return re.findall(r'<th scope="row"[^>]*><a href="/console/calls/(CA[0-9]+)"', page)


async def test_every_page_follows_the_one_before(autojump_clock: MockClock) -> None:
    visitor = signed_in(exchange(records=await kept(2 * PAGE + 7)))
    target, seen = "/?q=completed", list[str]()
    while target:
        page = (await visitor.ask("GET", target)).text
        seen += called(page)
        found = re.search(r'rel="next" href="([^"]+)"', page)
        target = found.group(1).replace("&amp;", "&") if found else ""

    assert seen == [f"CA{index:032}" for index in reversed(range(2 * PAGE + 7))]


async def test_numbers_are_masked_until_the_operator_asks(autojump_clock: MockClock) -> None:
    there = exchange(records=await kept(1))
    context_of(there).live_calls.add(KnownCall("order", "outbound", LEAD, "+15551230000", "in-progress"))
    visitor = signed_in(there)

    assert LEAD not in (await visitor.ask("GET", "/")).text + (await visitor.ask("GET", "/console/live")).text
    assert LEAD in (await visitor.ask("GET", "/?numbers=shown")).text
    assert LEAD in (await visitor.ask("GET", "/console/live?numbers=shown")).text


async def test_numbers_in_the_reason_of_a_call_are_masked_until_the_operator_asks() -> None:
    there = exchange(records=MemoryRecords())
    why = f"{LEAD} is not a valid number"
    await there.records.save(record("CA" + "1" * 32, outcome="failed", why=why, faults=(LEAD,)))
    visitor, page = signed_in(there), f"/console/calls/CA{'1' * 32}"

    assert LEAD not in (await visitor.ask("GET", page)).text
    assert why in (await visitor.ask("GET", f"{page}?numbers=shown")).text


async def test_the_rows_of_no_call_are_no_empty_answer() -> None:
    """Firefox makes no document of one, and the page would say that the server does not answer."""
    visitor = signed_in(exchange(records=MemoryRecords()))
    answer = await visitor.ask("GET", "/console/live")
    assert answer.text.strip()
    assert "<li" not in answer.text


@pytest.mark.parametrize("target", ["/", "/console/live"])
async def test_a_call_that_goes_on_has_floor_seconds_and_last_words(target: str, autojump_clock: MockClock) -> None:
    """Of the first of many; the others are listed, too."""
    there = exchange(records=await kept(0))
    context = context_of(there)
    for index in range(PAGE + 1):
        context.live_calls.add(KnownCall(f"CA{index}", "inbound", LEAD, "", "in-progress", f"CA{index}"))
    call = Running.of(context.watched.watch(f"CA{PAGE}"))
    call.journal.note(FloorTaken("advisor", 1, 0))
    call.says(HOSTILE)
    await trio.sleep(75)
    page = (await signed_in(there).ask("GET", target)).text
    rows = re.findall(r'href="/console/calls/(CA[0-9]+)".*?class="now"[^>]*>(.*?)</span>', page, re.DOTALL)

    assert rows[0] == (f"CA{PAGE}", f"1:15 · advisor · qualifier: <q>{escape(HOSTILE)}</q>")
    assert (len(rows), rows[-1]) == (PAGE + 1, ("CA0", ""))


@pytest.mark.parametrize("count", [1, 3])
async def test_where_there_is_one_agent_nobody_can_be_handed_the_floor(count: int, autojump_clock: MockClock) -> None:
    whole = default_roster()
    there = exchange(roster=attrs.evolve(whole, agents=dict([*whole.agents.items()][:count])))
    Running.of(context_of(there).watched.watch("CA1"))
    page = (await signed_in(there).ask("GET", "/console/calls/CA1")).text

    assert ('data-command="handoff"' in page) == (count > 1)
    assert ('data-command="say"' in page, TEXT["no_script"] in page) == (True, True)


@pytest.mark.parametrize("target", ["/", "/console/live", f"/console/calls/CA{0:032}", "/console/campaigns"])
async def test_a_time_says_its_zone(target: str, autojump_clock: MockClock) -> None:
    """In a table, the head of its column does."""
    there = exchange(records=await kept(1))
    live = KnownCall("order", "outbound", LEAD, "+15551230000", "in-progress")
    context_of(there).live_calls.add(live.carried("2026-11-22T10:00:00+01:00"))
    contact = NewContact("spring-1", 1, LEAD, (), 0.0, {})
    await context_of(there).campaigns.create("id", "spring", [contact], CampaignRules().written(), "running")
    page = (await signed_in(there).ask("GET", target)).text
    times = re.findall(
        r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]+[^<\"]{5}", re.sub("<table.*</table>", "", page, flags=re.DOTALL)
    )

    assert times
    assert all(" UTC" in each for each in times)


@pytest.mark.parametrize("target", ["/", "/?outcome=crashed", "/?before=2026~CA"])
async def test_an_empty_list_says_why(target: str, autojump_clock: MockClock) -> None:
    page = (await signed_in(exchange(records=await kept(0))).ask("GET", target)).text
    why = {"/": "no_calls", "/?outcome=crashed": "no_match"}.get(target, "end_of_list")

    assert TEXT[why] in page


@pytest.mark.parametrize("address", ["/console/nothing", "/console/campaigns/", "/console/calls/CA1/nothing"])
async def test_an_address_that_leads_nowhere_has_a_page(address: str, autojump_clock: MockClock) -> None:
    there = exchange()

    answer = await signed_in(there).ask("GET", address)

    assert answer.status_code == 404
    assert TEXT["no_page_hint"] in answer.text
    assert (await Visitor(there).ask("GET", address)).status_code == 401


async def test_a_store_that_is_away_is_told(autojump_clock: MockClock) -> None:
    class Away(MemoryRecords):
        async def search(self, query: CallQuery) -> list[CallSummary]:
            raise DatabaseUnavailable("away")

    answer = await signed_in(exchange(records=Away())).ask("GET", "/")

    assert answer.status_code == 503
    assert TEXT["records_away"] in answer.text


@pytest.mark.parametrize("field", ["caller", "outcome", "direction", "started_at"])
async def test_what_a_record_holds_is_text_and_never_markup(field: str, autojump_clock: MockClock) -> None:
    records = MemoryRecords()
    await records.save(record(**{field: HOSTILE}))
    page = (await signed_in(exchange(records=records)).ask("GET", "/?numbers=shown")).text

    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page
    assert "<img" not in page


@pytest.mark.parametrize("filter_", ["q", "outcome", "since", "until", "direction"])
async def test_what_an_address_holds_is_text_and_never_markup(filter_: str, autojump_clock: MockClock) -> None:
    visitor = signed_in(exchange(records=await kept(1)))
    for page in (
        await visitor.ask("GET", f"/?{filter_}={HOSTILE}"),
        await Visitor(visitor.there).ask("GET", "/?q=<a>"),
    ):
        assert "<script>alert" not in page.text
        assert "<img" not in page.text
        assert "<a>" not in page.text


@pytest.mark.parametrize("given", ["2026-11-31", "yesterday", "9999-12-31T", "\0"])
def test_a_date_that_is_none_is_told_and_asks_for_nothing(given: str) -> None:
    asked = asked_by({"since": given})

    assert asked.problems == (TEXT["date_wrong"],)
    assert asked.query.since == ""


@pytest.mark.parametrize(
    ("since", "until", "told"),
    [("2026-11-23", "2026-11-22", ["dates_crossed"]), ("2026-11-22", "2026-11-22", []), ("2026-11-23", "", [])],
)
def test_dates_between_which_there_is_no_day_are_told(since: str, until: str, told: list[str]) -> None:
    assert asked_by({"since": since, "until": until}).problems == tuple(TEXT[name] for name in told)


def test_a_query_has_no_characters_that_postgresql_refuses() -> None:
    asked = asked_by({"q": "a\0", "outcome": "busy\0", "direction": "\0", "before": "2026\0~CA\0"})

    assert (asked.query.words, asked.query.outcome, asked.query.direction) == (["a"], "busy", "")
    assert asked.query.before == ("2026", "CA")


def test_filters_become_a_query() -> None:
    asked = asked_by({"q": " sale ", "since": "2026-11-22", "until": "9999-12-31", "troubled": "yes", "before": "a~b"})

    assert asked.query == CallQuery(text="sale", since="2026-11-22", troubled=True, before=("a", "b"), limit=PAGE + 1)
    assert asked.address(q="", troubled="") == "/?since=2026-11-22&until=9999-12-31"
