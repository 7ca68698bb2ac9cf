"""The page of campaigns shows the progress of each, and its buttons pause, resume and cancel it."""

import re

import pytest
from trio.testing import MockClock

from store.calls import DatabaseUnavailable
from store.orders.campaigns import Campaign, CampaignStore, NewContact
from tests.web.console.visitors import Visitor, signed_in
from tests.web.fakes import Exchange, context_of, exchange
from web.calls.campaigns import CampaignRules
from web.console.pages import CAMPAIGNS_PAGE
from web.console.rendering import CAMPAIGNS

HOSTILE = "<script>alert(1)</script>\"'>"


async def made(there: Exchange, name: str, *outcomes: str, state: str = "running") -> Campaign:
    """Make a campaign of three numbers, of which some have been called."""
    context = context_of(there)
    contacts = [NewContact(f"{name}-{index}", index + 1, f"+1212555012{index}", (), 0.0, {}) for index in range(3)]
    campaign = await context.campaigns.create(f"id-{name}", name, contacts, CampaignRules().written(), state)
    assert campaign is not None
    for index, outcome in enumerate(outcomes):
        await context.orders.over(f"{name}-{index}", outcome, "")
    return campaign


async def page_of(visitor: Visitor) -> str:
    return (await visitor.ask("GET", CAMPAIGNS_PAGE)).text


def buttons(page: str) -> list[str]:
    return re.findall(rf'action="{CAMPAIGNS_PAGE}/[a-z-]+/([a-z]+)"', page)


async def test_without_a_campaign_the_page_says_how_to_make_one(autojump_clock: MockClock) -> None:
    assert CAMPAIGNS["none"] in await page_of(signed_in(exchange()))


async def test_a_campaign_is_shown_as_it_goes(autojump_clock: MockClock) -> None:
    there = exchange()
    await made(there, "spring", "completed", "busy")
    visitor = signed_in(there)
    page = await page_of(visitor)
    alone = [(await visitor.ask("GET", f"{CAMPAIGNS_PAGE}?name={name}")).text for name in ("spring", "autumn")]

    assert '<progress max="3" value="2"' in page
    assert "numbers: 2 of 3 · " in page
    assert "<li>busy <b>1</b></li><li>completed <b>1</b></li>" in page
    assert (
        "mon, tue, wed, thu, fri 09:00-20:00 by the callee&#39;s clock; calls: 60 a minute, 3 to a number at most"
        in page
    )
    assert buttons(page) == ["pause", "cancel"]
    assert ['data-name="spring"' in one for one in alone] == [True, False]


async def test_whatever_is_pressed_is_read_out_with_its_campaign(autojump_clock: MockClock) -> None:
    """A screen reader's list of twenty buttons would have "Cancel" ten times."""
    there = exchange()
    await made(there, "spring")
    main = (await page_of(signed_in(there))).partition("<main")[2]
    pressed = re.findall(r"<(?:button|summary|a)\b[^>]*>", main)

    assert len(pressed) == 4
    assert [one for one in pressed if 'aria-describedby="campaign-spring"' not in one] == []


async def test_its_buttons_pause_it_go_on_and_cancel_it(autojump_clock: MockClock) -> None:
    there = exchange()
    await made(there, "spring")
    visitor, seen = signed_in(there), list[list[str]]()
    for command in ("pause", "resume", "cancel"):
        answer = await visitor.send(f"{CAMPAIGNS_PAGE}/spring/{command}")
        assert (answer.status_code, answer.headers["location"]) == (303, CAMPAIGNS_PAGE)
        seen.append(buttons(await page_of(visitor)))
    late = [await visitor.send(f"{CAMPAIGNS_PAGE}/spring/{command}") for command in ("pause", "cancel")]
    found = await context_of(there).campaigns.find("spring")

    assert seen == [["resume", "cancel"], ["pause", "cancel"], []]
    assert [answer.status_code for answer in late] == [409, 303]
    assert CAMPAIGNS["canceled_already"] in late[0].text
    assert found is not None
    assert found.state == "canceled"


async def test_one_that_is_over_has_no_buttons_and_is_not_asked_after(autojump_clock: MockClock) -> None:
    there = exchange()
    await made(there, "spring", "completed", "busy", "completed")
    page = await page_of(signed_in(there))

    assert 'data-state="over"' in page
    assert "data-open" not in page
    assert buttons(page) == []


async def test_why_a_campaign_is_paused_is_told_as_text(autojump_clock: MockClock) -> None:
    there = exchange()
    campaign = await made(there, "spring")
    await context_of(there).campaigns.turn_to(campaign.campaign, "paused", HOSTILE)
    page = await page_of(signed_in(there))

    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page


async def test_the_results_are_a_file(autojump_clock: MockClock) -> None:
    there = exchange()
    await made(there, "spring", "completed")
    answer = await signed_in(there).ask("GET", f"{CAMPAIGNS_PAGE}/spring/export")

    assert answer.headers["content-disposition"] == 'attachment; filename="spring.csv"'
    assert len(answer.text.splitlines()) == 4


async def test_only_the_newest_are_shown(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    there = exchange()
    monkeypatch.setattr("web.console.pages.MOST_CAMPAIGNS", 2)
    for name in ("spring", "summer", "autumn"):
        await made(there, name)
    page = await page_of(signed_in(there))

    assert page.count("<article") == 2


async def test_a_database_that_is_away_is_told(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> None:
        raise DatabaseUnavailable("calls.db: locked")

    monkeypatch.setattr(CampaignStore, "all", away)
    answer = await signed_in(exchange()).ask("GET", CAMPAIGNS_PAGE)

    assert (answer.status_code, answer.headers["retry-after"], "calls.db" in answer.text) == (503, "10", False)
