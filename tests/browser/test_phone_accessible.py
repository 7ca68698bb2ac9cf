"""The phone's page in each of its states: accessible, no wider than the screen, asking its own server only."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from tests.browser.chromium import ALLOWED, needs_chromium, open_browser, visit, wait_until, watch
from tests.browser.lab import PAGE, Bench, on_the_bench
from tests.browser.talking import talking
from tests.browser.test_console import requests_of, shoot, violations
from web.console.rendering import PHONE, PHONE_TOLD

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.real_time, needs_chromium()]

LOOKS = [(360, False), (360, True), (1600, False), (1600, True)]
SOME = LOOKS if os.environ.get("SCREENSHOTS") else LOOKS[1:3]
"""A page whose words differ and whose looks do not is looked at twice; for pictures of it four times."""


def check(page: "Page", state: str) -> None:
    assert violations(page) == [], state
    size = page.viewport_size
    assert size is not None
    for width in (size["width"] // 2, size["width"]):  # zoomed to 200 %, and as it is
        page.set_viewport_size({"width": width, "height": size["height"]})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, state


@contextmanager
def watched_page(browser: "Browser", origin: str, width: int, dark: bool) -> "Iterator[Page]":
    """Open the phone; at the end, see that nothing went wrong and nobody else was asked."""
    scheme = "dark" if dark else "light"
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    asked, troubles = requests_of(page), watch(page)
    page.on("websocket", lambda socket: asked.append(socket.url))
    page.goto(origin + PAGE)
    yield page
    here = (origin, origin.replace("http", "ws"))
    assert [url for url in asked if not url.startswith(here)] == []
    assert [trouble for trouble in troubles if "Failed to load resource" not in trouble] == []
    page.close()


def until_status(page: "Page", sentence: str) -> None:
    wait_until(page, lambda: page.inner_text("#status") == sentence)


def warn(page: "Page", word: str) -> None:
    """Have the page tell something, as a network that goes does."""
    page.context.set_offline(word == "no_network")
    wait_until(page, lambda: page.inner_text("#notice") == PHONE_TOLD[word])


async def speaks(bench: Bench) -> None:
    """Say something loud, over and over."""
    while True:
        await bench.play(b"\x80\x00" * 4000)
        await trio.sleep(1)


@pytest.mark.parametrize(("width", "dark"), LOOKS)
async def test_the_phone_with_a_microphone_is_accessible_in_each_state(width: int, dark: bool) -> None:
    bench = Bench(speaks)

    def states(page: "Page") -> Iterator[str]:
        yield "ready"
        page.click("#call")
        until_status(page, PHONE_TOLD["connected"])
        wait_until(page, lambda: page.evaluate("document.querySelector('#theirs').value") > 0.3)
        yield "connected"
        page.click("#mute")
        until_status(page, PHONE_TOLD["muted"])
        yield "muted"
        warn(page, "no_network")
        yield "no network"
        warn(page, "line_back")
        yield "the network is back"
        page.click("#hang-up")
        until_status(page, PHONE_TOLD["caller_hung_up"])
        wait_until(page, lambda: page.is_visible("#watch"))
        yield "over"

    await play(bench, states, width, dark)


@pytest.mark.parametrize(("width", "dark"), SOME)
async def test_the_phone_without_a_microphone_is_accessible(width: int, dark: bool) -> None:
    def states(page: "Page") -> Iterator[str]:
        page.click("#call")
        wait_until(page, lambda: page.inner_text("#notice") == PHONE_TOLD["no_microphone"])
        yield "no microphone"

    await play(Bench(speaks), states, width, dark, has_devices=False)


async def play(
    bench: Bench, states: "Callable[[Page], Iterator[str]]", width: int, dark: bool, *, has_devices: bool = True
) -> None:
    """Go through states of the page, and look at each."""
    async with on_the_bench(bench) as origin:

        def drive() -> None:
            with open_browser([ALLOWED], has_devices=has_devices) as browser:
                with watched_page(browser, origin, width, dark) as page:
                    for state in states(page):
                        check(page, state)

        await visit(drive)


@pytest.mark.parametrize(("width", "dark"), SOME)
async def test_the_typed_phone_is_accessible_in_each_state(width: int, dark: bool, tmp_path: Path) -> None:
    async with talking(tmp_path, typed=True) as there:

        def drive() -> None:
            with open_browser([]) as browser, watched_page(browser, there.origin, width, dark) as page:
                until_status(page, PHONE["ready_typed"])
                check(page, "ready")
                page.click("#call")
                until_status(page, PHONE_TOLD["connected"])
                page.locator(".line").first.click()
                wait_until(page, lambda: page.locator(".line.said").count() == 1)
                check(page, "said")
                wait_until(page, lambda: page.evaluate("document.querySelector('#mine').value") > 0.3)
                shoot(page, f"phone-{width}-{'dark' if dark else 'light'}")
                page.click("#hang-up")
                wait_until(page, lambda: page.is_visible("#call"))
                check(page, "over")

        await visit(drive)
