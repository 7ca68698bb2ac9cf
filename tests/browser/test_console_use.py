"""The console in use, in Chromium: filters and pages, the keyboard, what is empty or away, and a line that breaks."""

import itertools
import re
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qs, urlsplit

import attrs
import pytest
import trio

from actors.facts import ReplyText
from store.calls import DatabaseUnavailable, MemoryRecords
from store.records import TurnRecord
from store.search import CallQuery, CallSummary
from tests.browser.chromium import needs_chromium, open_browser, visit, wait_until, watch
from tests.browser.network import network_to
from tests.browser.test_console import (
    PAGES,
    Entries,
    many_records,
    requests_of,
    sample_record,
    served,
    shoot,
    violations,
    wait_live,
)
from tests.demo.sample import sample_journal
from tests.faults.short import SOFT, throw
from tests.web.console.test_watching import Running
from tests.web.fakes import API_TOKEN, CALL_SID, HERE, LEAD, context_of, exchange
from tests.web.test_serving import listening
from web.calls.live_calls import KnownCall
from web.console.rendering import LIVE, TEXT

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

pytestmark = [pytest.mark.real_time, needs_chromium()]

SOUNDS = "--autoplay-policy=no-user-gesture-required"
LOOKS = [(360, True), (1600, False)]


def asked(page: "Page") -> dict[str, str]:
    """Return the filters in the address, without those that ask for nothing."""
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def rows(page: "Page") -> int:
    return page.locator("table.calls tbody tr").count()


def until_all(page: "Page") -> None:
    """Wait for all rows: those of `many_records`, and the call that goes on, which leaves one when it does not talk."""
    wait_until(page, lambda: rows(page) in {30, 31})


async def test_filters_live_in_the_address_and_lead_back(tmp_path: Path) -> None:
    async with served(tmp_path, *many_records()) as console:

        def drive() -> None:
            with open_browser() as browser:
                page = browser.new_page()
                troubles = watch(page)
                page.goto(console.origin)
                until_all(page)
                page.select_option("[name=direction]", "outbound")
                page.fill("[name=outcome]", "completed")
                page.keyboard.press("Enter")
                wait_until(page, lambda: 0 < rows(page) < 10)
                some = rows(page)
                assert asked(page) == {"direction": "outbound", "outcome": "completed"}

                page.reload()
                wait_until(page, lambda: rows(page) == some)
                assert page.input_value("[name=outcome]") == "completed"
                page.get_by_role("link", name=TEXT["show_numbers"]).click()
                wait_until(page, lambda: page.locator("table.calls").get_by_text("+1555765").count() == some)
                assert asked(page) == {"direction": "outbound", "outcome": "completed", "numbers": "shown"}

                page.go_back()
                page.go_back()
                until_all(page)
                page.fill("[name=q]", "nobody has this")
                page.keyboard.press("Enter")
                wait_until(page, lambda: page.get_by_text(TEXT["no_match"]).count() == 1)
                page.get_by_role("link", name=TEXT["clear_filters"]).click()
                until_all(page)
                page.locator("a.outcome", has_text="busy").first.click()
                wait_until(page, lambda: asked(page) == {"outcome": "busy"})
                assert set(page.locator("a.outcome").all_inner_texts()) == {"busy"}
                assert troubles == []

        await visit(drive)


async def test_the_calls_that_go_on_come_and_go_by_themselves(tmp_path: Path) -> None:
    async with served(tmp_path) as console:
        known = context_of(console.there).live_calls
        known.news_of("order").carried()  # else it is asked for at Twilio, which knows nothing of it

        def come() -> None:
            known.add(KnownCall("new", "outbound", LEAD, "+15551230000", "in-progress", CALL_SID)).carried()

        def come_many() -> None:
            for index in range(60):
                known.add(KnownCall(f"{index}", "inbound", LEAD, "+15551230000", "in-progress", f"{index}")).carried()

        def go() -> None:
            for call in list(known.newest()):
                known.remove(call.id)

        def drive() -> None:
            with open_browser() as browser:
                page = browser.new_page()
                page.goto(console.origin)
                wait_until(page, lambda: page.locator("ul.live li").count() == 1)
                page.locator("ul.live a").focus()
                page.evaluate("document.querySelector('ul.live li').title = 'the same'")
                seconds = page.locator("ul.live .now").inner_text()
                wait_until(page, lambda: page.locator("ul.live .now").inner_text() > seconds)
                name = page.locator("ul.live a").get_attribute("href")
                trio.from_thread.run_sync(come)
                wait_until(page, lambda: page.locator("ul.live li").count() == 2)
                assert page.evaluate("document.activeElement.getAttribute('href')") == name
                assert page.locator("ul.live li[title='the same']").count() == 1  # it is not read out again
                assert LEAD not in page.content()
                trio.from_thread.run_sync(come_many)
                wait_until(page, lambda: page.locator("ul.live li").count() == 62)
                assert page.locator("form.filters").evaluate("form => form.offsetTop") < 1000  # search stays near
                page.evaluate("document.activeElement.blur()")
                page.locator("h1").click()
                tab_to(page, TEXT["to_search"])
                page.keyboard.press("Enter")
                wait_until(page, lambda: page.evaluate("document.activeElement.name") == "q")
                trio.from_thread.run_sync(go)
                wait_until(page, lambda: page.get_by_text(TEXT["no_live"]).is_visible())
                assert page.get_by_text(TEXT["no_calls"]).is_visible()
                trio.from_thread.run(console.there.records.save, sample_record())  # it takes a moment
                wait_until(page, lambda: rows(page) == 1)
                assert not page.get_by_text(TEXT["no_calls"]).is_visible()

        await visit(drive)


@pytest.mark.parametrize(("path", "asks"), [("/", "**/console/live?*"), (PAGES["campaigns"], "**/console/campaigns?*")])
async def test_a_page_that_is_left_open_asks_to_sign_in_again(path: str, asks: str, tmp_path: Path) -> None:
    """Else it would show calls that were over long ago as going on."""
    async with served(tmp_path) as console:

        def drive() -> None:
            with open_browser() as browser:
                page, loaded = browser.new_page(), list[str]()
                page.goto(console.origin + path)
                page.on("framenavigated", lambda frame: loaded.append(frame.url))
                page.route(asks, lambda route: route.fulfill(status=401, json={"error": "not signed in"}))
                wait_until(page, lambda: loaded != [])
                assert loaded[0] == page.url

        await visit(drive)


class Away(MemoryRecords):
    """A database that cannot be read, once it is away."""

    is_away = False

    async def search(self, query: CallQuery) -> list[CallSummary]:
        if self.is_away:
            raise DatabaseUnavailable("away")
        return list(await super().search(query))


@pytest.mark.parametrize(("width", "dark"), LOOKS)
async def test_what_is_empty_wrong_or_away_is_said_on_pages_for_everybody(width: int, dark: bool) -> None:
    records = Away()
    there = exchange(
        records=records,
        LEAD_SERVER_EXTERNAL_URL=HERE["LEAD_SERVER_EXTERNAL_URL"],
        TWILIO_API_URL=HERE["TWILIO_API_URL"],
        API_TOKEN=API_TOKEN,
    )
    async with listening(there) as at:

        def drive() -> None:
            with open_browser() as browser:
                scheme = "dark" if dark else "light"
                page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
                urls = requests_of(page)

                def says(text: str) -> None:
                    wait_until(page, page.get_by_text(text).first.is_visible)
                    assert violations(page) == [], text
                    assert page.evaluate("document.documentElement.scrollWidth") <= width, text

                page.goto(f"http://{at}/?q=sale")
                says(TEXT["token_hint"])
                page.fill("#token", "wrong")
                page.keyboard.press("Enter")
                says(TEXT["token_wrong"])
                page.fill("#token", API_TOKEN)
                page.keyboard.press("Enter")
                says(TEXT["no_match"])
                page.goto(f"http://{at}/")
                says(TEXT["no_calls"])
                page.goto(f"http://{at}/?since=yesterday")
                says(TEXT["date_wrong"])
                page.goto(f"http://{at}/console/calls/{CALL_SID}")
                says(TEXT["not_found_hint"])
                records.is_away = True
                page.goto(f"http://{at}/")
                says(TEXT["records_away"])
                records.is_away = False
                page.get_by_role("link", name=TEXT["back_to_list"]).click()
                says(TEXT["no_calls"])
                page.get_by_role("button", name=TEXT["sign_out"]).click()
                says(TEXT["token_hint"])
                assert [url for url in urls if not url.startswith(f"http://{at}/")] == []

        await visit(drive)


def focused(page: "Page") -> str:
    """Return what has the focus, as somebody who sees the page would call it."""
    name: str = page.evaluate(
        "(document.activeElement.innerText || document.activeElement.ariaLabel || document.activeElement.id).trim()"
    )
    return name


def tab_to(page: "Page", name: str) -> None:
    for _ in range(80):
        page.keyboard.press("Tab")
        if focused(page) == name:
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none", f"{name} does not show that it has the focus"
            return
    raise AssertionError(f"no Tab leads to {name}")


async def test_the_keyboard_leads_from_the_list_to_a_turn_that_is_heard(tmp_path: Path) -> None:
    async with served(tmp_path, sample_record()) as console:

        def drive() -> None:
            with open_browser([SOUNDS]) as browser:
                page = browser.new_page()
                troubles = watch(page)
                page.goto(console.origin)
                tab_to(page, TEXT["skip"])
                page.keyboard.press("Enter")
                assert page.evaluate("document.activeElement.id") == "main"
                tab_to(page, "2026-11-22 09:00:00")
                page.keyboard.press("Enter")
                wait_until(page, lambda: page.locator(".turn").count() > 3)
                turn = page.locator(".turn").nth(2)
                tab_to(page, turn.locator("button").inner_text())
                page.keyboard.press("Enter")
                wait_until(page, lambda: turn.get_attribute("aria-current") == "true")
                wait_until(page, lambda: page.evaluate("!document.getElementById('audio').paused"))
                assert troubles == []

        await visit(drive)


SEEN = """() => {
  const { x, y, width, height } = document.activeElement.getBoundingClientRect();
  const on_top = document.elementFromPoint(x + width / 2, y + height / 2);
  return document.activeElement.contains(on_top);
}"""
"""Whether what has the focus is not behind something else."""


async def test_the_player_hides_no_turn_that_has_the_focus(tmp_path: Path) -> None:
    async with served(tmp_path, sample_record()) as console:

        def drive() -> list[str]:
            with open_browser() as browser:
                page, hidden = browser.new_page(viewport={"width": 640, "height": 500}), list[str]()
                page.goto(console.origin + PAGES["after"])
                turns = page.locator(".turn button")
                turns.last.focus()
                for _ in range(turns.count() - 1):
                    page.keyboard.press("Shift+Tab")
                    hidden += [] if page.evaluate(SEEN) else [focused(page)]
                assert focused(page) == turns.first.inner_text()
                return hidden

        assert await visit(drive) == []


ARABIC = "أريد تغيير الموعد (42)."
PLACES_OF_ENDS = """cell => {
  const text = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT).nextNode(), range = document.createRange();
  const select = (place) => { range.setStart(text, place); range.setEnd(text, place + 1); };
  const at = (place) => { select(place); return range.getBoundingClientRect().x; };
  return at(0) - at(text.length - 1);
}"""
"""How far right of its last character a text has its first."""


async def test_long_names_leave_room_and_words_from_right_to_left_are_read_so(tmp_path: Path) -> None:
    name = "Donaudampfschifffahrtsgesellschaftskapitän" * 4
    said = (TurnRecord(1.0, "caller", ARABIC), TurnRecord(4.0, "qualifier", "One moment."))
    cut = TurnRecord(8.0, "qualifier", f"{ARABIC} {ARABIC}", ARABIC)
    kept = attrs.evolve(sample_record(), transcript=(*said, cut), facts={name: ARABIC}, metadata={name: {"id": [1]}})
    async with served(tmp_path, kept) as console:

        def drive() -> None:
            with open_browser() as browser:
                page = browser.new_page(viewport={"width": 360, "height": 800})
                page.goto(console.origin + PAGES["after"])
                values = page.locator("dd").all()
                widths = [box["width"] for value in values if (box := value.bounding_box())]
                assert min(widths) > 150
                assert page.locator("dd").filter(has_text='{"id":[1]}').count() == 1
                cells = [*page.locator(".turn td:nth-child(3)").all(), page.locator("dd").filter(has_text=ARABIC).first]
                assert [cell.evaluate(PLACES_OF_ENDS) > 0 for cell in cells[:2] + cells[3:]] == [True, False, True]
                ours = (
                    page.locator(".turn").get_by_text(TEXT["not_heard"]).last
                )  # its brackets stay around it, in two lines
                assert ours.evaluate("(node) => getComputedStyle(node).unicodeBidi") == "isolate"

        await visit(drive)


@pytest.mark.parametrize("name", PAGES)
async def test_text_is_as_large_as_the_reader_has_set_it(name: str, tmp_path: Path) -> None:
    """In the browser's own settings, which many who see badly have changed: 32 px instead of 16."""
    async with served(tmp_path, sample_record()) as console:
        console.replay(sample_journal()[:20])

        def drive() -> tuple[str, bool]:
            with open_browser(["--blink-settings=defaultFontSize=32"]) as browser:
                page = browser.new_page(viewport={"width": 640, "height": 900})
                page.goto(console.origin + PAGES[name])
                shoot(page, f"large-{name}")
                size: str = page.evaluate("getComputedStyle(document.documentElement).fontSize")
                return size, page.evaluate("document.documentElement.scrollWidth <= innerWidth")

        assert await visit(drive) == ("30px", True)


async def test_a_count_stays_in_one_line_and_a_time_says_its_zone_on_a_phone(tmp_path: Path) -> None:
    async with served(tmp_path, sample_record()) as console:

        def drive() -> None:
            with open_browser() as browser:
                page = browser.new_page(viewport={"width": 360, "height": 800})
                page.goto(console.origin + PAGES["after"])
                heights = page.locator("table.small .count").evaluate_all(
                    "cells => cells.map((cell) => { const range = document.createRange(); "
                    "range.selectNodeContents(cell); "
                    "return new Set([...range.getClientRects()].map(({ top }) => Math.round(top / 9))).size; })"
                )
                assert set(cast("list[int]", heights)) == {1}
                page.goto(console.origin)
                begun = page.locator(".calls tbody th").first
                assert TEXT["zone"] in begun.evaluate("cell => getComputedStyle(cell, '::after').content")

        await visit(drive)


async def test_back_from_a_call_the_form_asks_for_the_list_that_is_shown(tmp_path: Path) -> None:
    async with served(tmp_path, *many_records()) as console:

        def drive() -> None:
            with open_browser() as browser:
                page = browser.new_page()
                page.goto(f"{console.origin}/?direction=outbound")
                page.select_option("[name=direction]", "inbound")
                page.locator("table.calls tbody th a").first.click()
                page.wait_for_url("**/calls/**")
                page.go_back()
                wait_until(page, lambda: page.locator("[name=direction]").count() == 1)
                assert asked(page)["direction"] == page.input_value("[name=direction]") == "outbound"

        await visit(drive)


async def test_one_side_alone_is_heard_and_the_picture_leads_to_its_moment(tmp_path: Path) -> None:
    time = "document.getElementById('audio').currentTime"
    async with served(tmp_path, sample_record()) as console:

        def drive() -> None:
            with open_browser([SOUNDS]) as browser:
                page = browser.new_page(viewport={"width": 1600, "height": 900})
                troubles = watch(page)
                page.goto(console.origin + PAGES["after"])
                for side in ("caller", "agents", "both"):
                    page.select_option("#channels", side)
                box = page.locator("#picture").bounding_box()
                assert box is not None
                page.locator("#picture").click(position={"x": box["width"] * 0.5, "y": 130})
                wait_until(page, lambda: page.evaluate(time) > 1)
                page.evaluate("document.getElementById('audio').pause()")
                wait_until(page, lambda: page.locator("#cursor").is_visible())
                cursor = page.locator("#cursor").bounding_box()
                assert cursor is not None
                assert cursor["x"] - box["x"] == pytest.approx(box["width"] * 0.5, abs=60)
                marked = page.locator(".turn[aria-current]")
                assert float(marked.get_attribute("data-start") or "nan") <= page.evaluate(time) + 0.1
                assert troubles == []

        await visit(drive)


async def test_a_call_is_erased_after_a_second_thought(tmp_path: Path) -> None:
    async with served(tmp_path, sample_record()) as console:

        def drive() -> None:
            with open_browser() as browser:
                page = browser.new_page()
                page.goto(console.origin + PAGES["after"])
                page.locator("summary", has_text=TEXT["erase"]).click()
                page.get_by_role("button", name=TEXT["erase"]).click()
                assert page.url.endswith(PAGES["after"])  # the box is not ticked
                page.get_by_label(TEXT["erase_sure"]).check()
                page.get_by_role("button", name=TEXT["erase"]).click()
                wait_until(page, lambda: page.get_by_text(TEXT["no_calls"]).is_visible())

        await visit(drive)

    assert not (tmp_path / CALL_SID).exists()


async def test_a_live_page_whose_line_breaks_goes_on_without_a_gap_or_a_repetition(tmp_path: Path) -> None:
    async with served(tmp_path) as console, network_to(console.origin) as network:
        console.replay(sample_journal()[:20])

        def say(text: str) -> None:
            console.call.journal.note(ReplyText("qualifier", 99, text))

        def drive() -> list[str]:
            with open_browser() as browser:
                page = browser.new_page()
                page.goto(network.origin + PAGES["live"])
                wait_live(page)
                trio.from_thread.run_sync(say, "one")
                wait_until(page, lambda: page.get_by_text("99: one").count() + page.get_by_text("one").count() > 0)
                trio.from_thread.run(network.cut)
                trio.from_thread.run_sync(say, "two")
                wait_until(page, lambda: page.inner_text("#connection") == LIVE["lost"])
                trio.from_thread.run_sync(say, "three")
                wait_until(page, lambda: page.inner_text("#connection") == LIVE["connected"])
                trio.from_thread.run_sync(say, "four")
                wait_until(page, lambda: "four" in page.inner_text("#words"))
                return page.locator("#journal > div").all_inner_texts()

        journal = await visit(drive)

    said = [line for line in journal if '"generation":99' in line]
    assert ["one", "two", "three", "four"] == [line.rpartition('"text":"')[2].rstrip('"}') for line in said]
    assert len(journal) == 20 + 4


@pytest.mark.parametrize("says_over", [False, True])
async def test_a_live_page_stays_while_the_server_restarts(says_over: bool, tmp_path: Path) -> None:
    """A proxy answers in its place meanwhile, and the page would be the proxy's for good."""
    async with served(tmp_path) as console, network_to(console.origin) as network:
        console.replay(sample_journal()[:20])

        def drive() -> None:
            with open_browser() as browser:
                page = browser.new_page()
                page.goto(network.origin + PAGES["live"])
                wait_live(page)
                page.route("**/console/calls/**", lambda route: route.fulfill(status=502, body="Bad Gateway"))
                if says_over:
                    trio.from_thread.run_sync(console.call.ends)
                else:
                    trio.from_thread.run(network.cut)
                page.wait_for_timeout(5000)
                assert page.inner_text("#connection") == LIVE["lost"]
                page.unroute("**/console/calls/**")
                shown = page.get_by_text(TEXT["not_found"]).first if says_over else page.locator("#words > div").first
                wait_until(page, lambda: page.inner_text("body") != "" and shown.is_visible())

        await visit(drive)


async def test_the_words_stay_at_their_end_unless_their_reader_has_scrolled_back(tmp_path: Path) -> None:
    distance = "(() => { const log = document.getElementById('words'); return %s; })()"
    async with served(tmp_path) as console:
        console.replay(sample_journal()[:60])

        def say(text: str) -> None:
            console.call.journal.note(ReplyText("advisor", 99, text))

        def drive() -> None:
            with open_browser() as browser:
                page = browser.new_page(viewport={"width": 900, "height": 600})
                page.goto(console.origin + PAGES["live"])
                wait_live(page)

                def to_end() -> float:
                    left: float = page.evaluate(distance % "log.scrollHeight - log.scrollTop - log.clientHeight")
                    return left

                wait_until(page, lambda: abs(to_end()) < 2)
                for _ in range(20):
                    trio.from_thread.run_sync(
                        say, "and a good many words more, which make the last of the replies long."
                    )
                wait_until(page, lambda: page.inner_text("#words").count("a good many words") == 20)
                wait_until(page, lambda: abs(to_end()) < 2)

                page.locator("#words").hover()
                page.mouse.wheel(0, -10000)
                wait_until(page, lambda: page.evaluate(distance % "log.scrollTop") == 0)
                trio.from_thread.run_sync(say, "Still there?")
                wait_until(page, lambda: "Still there?" in page.inner_text("#words"))
                assert page.evaluate(distance % "log.scrollTop") == 0

        await visit(drive)


async def test_the_live_page_shows_levels_tasks_restarts_and_the_steps_of_a_handoff(tmp_path: Path) -> None:
    async with served(tmp_path) as console:
        console.replay(sample_journal()[:60])

        def drive() -> None:
            with open_browser() as browser:
                page = browser.new_page()
                page.goto(console.origin + PAGES["live"])
                wait_live(page)
                wait_until(page, lambda: min(meter(page, "level-caller"), meter(page, "level-agents")) > 10)
                wait_until(page, lambda: LIVE["restarting"] in page.inner_text("#troubles"))
                steps = page.inner_text("#handoff")
                for step in ("asked", "brief_asked", "session_connecting", "session_ready", "committed", "gap"):
                    assert LIVE[step] in steps, step
                assert f"({LIVE['within']} " in steps
                assert {"call", "bridge", "scribe"} <= set(page.inner_text("#tasks").split())

        await visit(drive)


@pytest.fixture
def soft_journals() -> list[Entries]:
    """The journals of a handoff on one session, and of one that was given up."""
    played = throw(roster=SOFT), throw(["deepgram: no ack speak"], roster=SOFT)
    return [cast("Entries", [entry.as_json() for entry in one.entries]) for one in played]


async def test_the_live_page_says_how_an_agent_came_to_the_floor_on_the_session_before(
    soft_journals: list[Entries], tmp_path: Path
) -> None:
    async with served(tmp_path) as console:
        console.replay(soft_journals[0])

        def again() -> None:
            console.replay(soft_journals[1])

        def drive() -> None:
            with open_browser() as browser:
                page = browser.new_page()
                page.goto(console.origin + PAGES["live"])
                wait_live(page)
                wait_until(page, lambda: LIVE["gap"] in page.inner_text("#handoff"))
                assert re.fullmatch(
                    f"second {LIVE['holds']}, {LIVE['since']} 0:[0-9]+: {LIVE['handoff']}.", page.inner_text("#floor")
                )
                assert f"{LIVE['committed']} (soft)" in page.inner_text("#handoff")
                trio.from_thread.run_sync(again)
                wait_until(page, lambda: f"{LIVE['not_softly']}: it is not" in page.inner_text("#handoff"))

        await visit(drive)


def meter(page: "Page", name: str) -> float:
    value: float = page.evaluate(f"document.getElementById('{name}').value")
    return value


async def test_the_live_page_is_worked_by_keys_and_read_by_screen_readers(tmp_path: Path) -> None:
    async with served(tmp_path) as console:
        console.replay(sample_journal()[:40])

        def drive() -> None:
            with open_browser([SOUNDS]) as browser:
                page = browser.new_page()
                page.goto(console.origin + PAGES["live"])
                wait_live(page)
                for role, name in (
                    ("log", "words"),
                    ("region", "floor"),
                    ("region", "handoff"),
                    ("region", "troubles"),
                ):
                    assert page.get_by_role(role, name=TEXT[name], exact=True).count() == 1, name  # type: ignore[arg-type]
                for name in ("silence", "level_caller", "level_agents"):
                    assert page.get_by_role("meter", name=TEXT[name]).count() == 1, name
                assert page.get_by_role("status").count() >= 2
                tab_to(page, LIVE["listen"])
                page.keyboard.press("Space")
                wait_until(page, lambda: page.inner_text("#listen") == LIVE["stop_listening"])
                wait_until(page, lambda: console.call.watch.listeners == 1)
                page.keyboard.press("Space")
                wait_until(page, lambda: console.call.watch.listeners == 0)

        await visit(drive)


async def test_on_a_slow_network_nothing_is_pressed_before_it_works(tmp_path: Path) -> None:
    """A command would be sent as a form, with its words in the address; the button of the phone would do nothing."""
    async with served(tmp_path) as console:
        console.replay(sample_journal()[:20])

        def drive() -> None:
            with open_browser() as browser:
                page, held = browser.new_page(), list["Route"]()
                for module in ("operate.js", "phone/page.js"):
                    page.route(f"**/static/{module}", lambda route: held.append(route))  # noqa: PLW0108
                page.goto(console.origin + PAGES["live"], wait_until="commit")
                command = page.locator("form[data-command=say] input")
                command.focus()
                page.keyboard.type("A sentence")
                page.keyboard.press("Enter")
                page.wait_for_timeout(300)
                assert "A+sentence" not in page.url
                held.pop().continue_()
                wait_until(page, lambda: page.evaluate("!document.getElementById('operate').inert"))
                command.fill("A sentence")
                page.keyboard.press("Enter")
                wait_until(page, lambda: page.inner_text("#command-answer") != "")

                page.goto(console.origin + "/console/phone", wait_until="commit")
                wait_until(page, page.locator("#call").is_disabled)
                held.pop().continue_()
                wait_until(page, page.locator("#call").is_enabled)

        await visit(drive)


async def test_a_campaign_is_followed_paused_and_canceled_on_its_page(tmp_path: Path) -> None:
    async with served(tmp_path) as console:
        context = context_of(console.there)

        async def call_one() -> None:
            await context.orders.over("autumn-31", "completed", "")

        async def state() -> str:
            found = await context.campaigns.find("autumn")
            return found.state if found is not None else ""

        def drive() -> list[str]:
            with open_browser() as browser:
                page = browser.new_page()
                troubles = watch(page)
                page.goto(console.origin + PAGES["campaigns"])
                card = page.locator("article[data-name=autumn]")
                trio.from_thread.run(call_one)
                wait_until(page, lambda: card.locator("progress").get_attribute("value") == "32")
                assert card.locator("[data-facts]").inner_text().startswith("numbers: 32 of 50")
                seen = [card.get_attribute("data-state") or ""]
                card.get_by_role("button", name="Pause").click()
                wait_until(page, lambda: card.get_attribute("data-state") == "paused")
                seen.append(trio.from_thread.run(state))
                card.locator("summary").click()
                card.locator("details button").click()  # without the tick it asks for one
                assert trio.from_thread.run(state) == "paused"
                card.locator("[name=sure]").check()
                card.locator("details button").click()
                wait_until(page, lambda: card.get_attribute("data-state") == "canceled")
                assert troubles == []
                return [*seen, trio.from_thread.run(state)]

        assert await visit(drive) == ["running", "paused", "canceled"]


@pytest.mark.parametrize("comes_back", [True, False], ids=["back", "over"])
async def test_the_page_of_a_call_that_was_put_through_shows_what_becomes_of_it(
    tmp_path: Path, comes_back: bool
) -> None:
    left = attrs.evolve(sample_record(), outcome="transferring")
    async with served(tmp_path, left) as console:
        context = context_of(console.there)

        def come_back() -> None:
            Running.of(context.watched.watch(left.call_sid))

        async def end() -> None:
            await context.services.records.save(attrs.evolve(left, outcome="transferred"))

        def drive() -> None:
            with open_browser() as browser:
                page = browser.new_page()
                page.goto(f"{console.origin}/console/calls/{left.call_sid}")
                assert page.locator(".badge").inner_text() == "transferring"
                if comes_back:
                    trio.from_thread.run_sync(come_back)
                    wait_until(page, lambda: page.locator("#call #floor").count() == 1)
                else:
                    trio.from_thread.run(end)
                    wait_until(page, lambda: page.locator(".badge").inner_text() == "transferred")

        await visit(drive)


COUNTED = """globalThis.waits = [];
const real = globalThis.setTimeout;
globalThis.setTimeout = (then, ms, ...more) => { waits.push(ms); return real(then, ms / 1000, ...more); };"""


async def test_a_call_whose_outcome_is_never_told_is_asked_about_less_and_less(tmp_path: Path) -> None:
    async with served(tmp_path, attrs.evolve(sample_record(), outcome="transferring")) as console:

        def drive() -> list[float]:
            with open_browser() as browser:
                page = browser.new_page()
                page.add_init_script(COUNTED)
                page.goto(console.origin + PAGES["after"])
                wait_until(page, lambda: page.evaluate("waits.length") > 14)
                return cast("list[float]", page.evaluate("waits"))

        waits = await visit(drive)

    assert waits[0] <= 3000
    assert len([wait for wait in itertools.accumulate(waits) if wait < 60_000]) < 8
    assert min(waits[-3:]) >= 60_000
