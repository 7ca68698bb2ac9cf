"""The phone's page, in Chromium: what it tells when something is in the way, its keys, and what it leaves behind."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from tests.browser.chromium import ALLOWED, REFUSED, needs_chromium, open_browser, visit, wait_text, wait_until, watch
from tests.browser.lab import PAGE, Bench, idle, on_the_bench
from tests.browser.talking import talking
from tests.web.fakes import API_TOKEN
from web.console.rendering import PHONE, PHONE_TOLD

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.real_time, needs_chromium()]


async def on_page(
    bench: Bench, use: "Callable[[Page], None]", args: Sequence[str] = (ALLOWED,), **changes: str
) -> None:
    """Open the phone's page, and use it."""
    async with on_the_bench(bench, **changes) as origin:

        def drive() -> None:
            with open_browser(args) as browser:
                page = browser.new_page()
                troubles = watch(page)
                page.goto(origin + PAGE)
                use(page)
                assert [trouble for trouble in troubles if "Failed to load resource" not in trouble] == []

        await visit(drive)


def level_of(page: "Page") -> float:
    return float(page.evaluate("document.querySelector('#mine').value"))


def connect(page: "Page") -> None:
    page.click("#call")
    wait_text(page, "#status", PHONE_TOLD["connected"])


async def test_one_click_calls_and_one_hangs_up() -> None:
    bench = Bench(idle)

    def use(page: "Page") -> None:
        connect(page)
        wait_until(page, lambda: len(bench.of("media")) > 20 and level_of(page) > 0)
        page.click("#hang-up")
        wait_text(page, "#status", PHONE_TOLD["caller_hung_up"])
        assert level_of(page) == 0
        wait_until(page, lambda: page.is_visible("#call") and not page.is_visible("#hang-up"))

    await on_page(bench, use)
    assert bench.came[-1][1]["event"] == "stop"


async def test_the_keyboard_does_all() -> None:
    bench = Bench(idle)

    def use(page: "Page") -> None:
        page.focus("#call")
        page.keyboard.press("Enter")
        wait_text(page, "#status", PHONE_TOLD["connected"])
        wait_until(page, lambda: page.evaluate("document.activeElement.id") == "hang-up")
        for key in ("1", "#", "Control+2", "*"):
            page.keyboard.press(key)
        page.keyboard.press("Tab")
        page.keyboard.press("Space")
        wait_until(page, lambda: page.get_attribute("#mute", "aria-pressed") == "true")
        wait_text(page, "#status", PHONE_TOLD["muted"])
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Enter")
        wait_until(page, bench.over.is_set)

    await on_page(bench, use)
    assert [message["dtmf"]["digit"] for _, message in bench.of("dtmf")] == ["1", "#", "*"]  # type: ignore[index]


async def test_a_screen_reader_finds_names_roles_and_news() -> None:
    def use(page: "Page") -> None:
        for role, name in (
            ("button", PHONE["call"]),
            ("button", PHONE["mute"]),
            ("button", "star"),
            ("combobox", PHONE["microphone"]),
            ("combobox", PHONE["loudspeaker"]),
            ("meter", PHONE["you"]),
            ("meter", PHONE["agent"]),
            ("timer", PHONE["clock"]),
            ("group", PHONE["keypad"]),
        ):
            assert page.get_by_role(role, name=name, exact=True).count() == 1, (role, name)  # type: ignore[arg-type]
        wait_until(page, lambda: page.get_by_role("status").inner_text() == PHONE["ready"])

    await on_page(Bench(idle), use)


async def test_a_refused_microphone_is_told() -> None:
    def use(page: "Page") -> None:
        page.click("#call")
        wait_text(page, "#notice", PHONE_TOLD["microphone_refused"])
        wait_until(page, lambda: page.is_enabled("#call"))

    await on_page(Bench(idle), use, [REFUSED])


async def test_a_missing_microphone_is_told() -> None:
    def use(page: "Page") -> None:
        page.evaluate(
            """() => {
                navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("none", "NotFoundError"); };
            }"""
        )
        page.click("#call")
        wait_text(page, "#notice", PHONE_TOLD["no_microphone"])

    await on_page(Bench(idle), use)


async def test_a_page_without_https_is_told_that_there_is_no_microphone() -> None:
    async with on_the_bench(Bench(idle), API_TOKEN=API_TOKEN) as origin:

        def drive() -> None:
            with open_browser([ALLOWED, "--host-resolver-rules=MAP phone.test 127.0.0.1"]) as browser:
                page = browser.new_page()
                page.goto(origin.replace("127.0.0.1", "phone.test") + PAGE)
                page.fill("#token", API_TOKEN)
                page.keyboard.press("Enter")
                wait_until(page, lambda: page.locator("#notice").count() == 1)
                wait_text(page, "#notice", PHONE_TOLD["insecure"])
                page.evaluate("document.querySelector('#notice').textContent = ''")
                page.click("#call")
                wait_text(page, "#notice", PHONE_TOLD["insecure"])
                wait_until(page, lambda: page.is_enabled("#call"))

        await visit(drive)


async def test_a_full_switchboard_is_told() -> None:
    bench = Bench(idle)
    async with on_the_bench(bench, MAX_CALLS="1") as origin:

        def drive() -> None:
            with open_browser() as browser:
                first, second = browser.new_context().new_page(), browser.new_context().new_page()
                first.goto(origin + PAGE)
                connect(first)
                second.goto(origin + PAGE)
                second.click("#call")
                wait_text(second, "#notice", PHONE_TOLD["full"])
                first.click("#hang-up")
                wait_until(first, bench.over.is_set)

        await visit(drive)


async def test_a_network_that_is_lost_and_back_is_told() -> None:
    def use(page: "Page") -> None:
        connect(page)
        page.context.set_offline(True)
        wait_text(page, "#notice", PHONE_TOLD["no_network"])
        page.context.set_offline(False)
        wait_text(page, "#notice", PHONE_TOLD["line_back"])

    await on_page(Bench(idle), use)


async def test_a_line_that_breaks_is_told_and_one_can_call_again() -> None:
    bench = Bench(idle)

    def use(page: "Page") -> None:
        connect(page)
        wait_until(page, lambda: len(bench.of("media")) > 0)
        trio.from_thread.run(bench.drop)
        wait_text(page, "#status", PHONE_TOLD["line_lost"])
        connect(page)
        page.click("#hang-up")
        wait_text(page, "#status", PHONE_TOLD["caller_hung_up"])

    await on_page(bench, use)


async def test_a_reload_ends_the_call_and_leaves_a_record(tmp_path: Path) -> None:
    """No `stop` comes then: the closed socket is the end."""
    async with talking(tmp_path, typed=True) as there:

        def drive() -> None:
            with open_browser() as browser:
                page = browser.new_page()
                page.goto(there.origin + PAGE)
                connect(page)
                wait_until(page, lambda: there.noted("reply_started") == 1)
                page.reload()
                wait_until(page, lambda: len(there.records()) == 1)
                wait_text(page, "#status", PHONE["ready_typed"])

        await visit(drive)

    (record,) = there.records()
    assert (record.outcome, record.caller) == ("caller_hung_up", "client:page")
    assert [period.agent for period in record.agents] == ["qualifier"]
    assert record.faults == ()


async def test_what_is_typed_is_answered_and_cuts_the_agent_off(tmp_path: Path) -> None:
    """From the first word typed to silence at the ear: 150 ms."""
    async with talking(tmp_path, typed=True) as there:

        def drive() -> None:
            with open_browser() as browser:
                page = browser.new_page()
                troubles = watch(page)
                page.goto(there.origin + PAGE)
                connect(page)
                wait_until(page, lambda: page.evaluate("document.querySelector('#theirs').value") > 0.3)
                page.locator(".line").first.click()
                wait_until(page, lambda: page.evaluate("document.querySelector('#mine').value") > 0.3)
                wait_until(page, lambda: there.noted("reply_ended") == 2)
                page.fill("#sentence", "<img src=x onerror=alert(1)> Who am I speaking with?")
                page.keyboard.press("Enter")
                wait_until(page, lambda: there.noted("turn_heard") == 2)
                page.click("#hang-up")
                wait_until(page, lambda: len(there.records()) == 1)
                assert troubles == []

        await visit(drive)

    (record,) = there.records()
    caller = [turn.text for turn in record.transcript if turn.speaker == "caller"]
    agents = [turn for turn in record.transcript if turn.speaker != "caller"]
    assert caller[0] == "Sure, I have a few minutes."
    assert "Who am I speaking with?" in caller[1]
    assert agents[0].heard != agents[0].text
    assert agents[1].heard == agents[1].text == "Thanks, I'll keep it short. Who am I speaking with?"
