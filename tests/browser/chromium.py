"""Debian's Chromium, driven headless by Playwright, with a microphone of our making.

Playwright's synchronous interface has an event loop of its own, so a whole visit runs in one thread, beside the server
under trio: `visit` runs it. What a visit needs of the server it asks by `trio.from_thread`.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest
import trio

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

T = TypeVar("T")

PROGRAM = shutil.which("chromium")
_ALWAYS = ("--no-sandbox",)  # its sandbox wants more than a container may do
_DEVICES = "--use-fake-device-for-media-stream"
ALLOWED = "--use-fake-ui-for-media-stream"
"""Each page that asks for the microphone gets it."""
REFUSED = "--deny-permission-prompts"
SECONDS = 60.0


def needs_chromium() -> pytest.MarkDecorator:
    """Mark tests that need Chromium: skipped where there is none, unless REQUIRE_CHROMIUM says that there must be."""
    missing = PROGRAM is None and not os.environ.get("REQUIRE_CHROMIUM")
    return pytest.mark.skipif(missing, reason="chromium is not installed: apt-get install chromium")


@contextmanager
def open_browser(
    args: Sequence[str] = (ALLOWED,), sound: Path | None = None, *, has_devices: bool = True
) -> "Iterator[Browser]":
    """Start Chromium; `sound` is what the microphone hears, once."""
    from playwright.sync_api import sync_playwright  # 0.3 s, and only where a browser is opened

    devices = (_DEVICES,) if has_devices else ()
    microphone = (f"--use-file-for-fake-audio-capture={sound}%noloop",) if sound is not None else ()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=[*_ALWAYS, *devices, *args, *microphone])
        try:
            yield browser
        finally:
            browser.close()


def watch(page: "Page") -> list[str]:
    """Collect what goes wrong on a page: errors, and what the policy forbids."""
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    return troubles


def wait_until(page: "Page", condition: Callable[[], bool], seconds: float = SECONDS) -> float:
    """Wait until something holds; return how long that took.

    Playwright's own wait for a function would have the page evaluate text, which the policy forbids.
    """
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"not within {seconds:g} s: {page.inner_text('main')}"
        page.wait_for_timeout(10)
    return time.monotonic() - began


def wait_text(page: "Page", selector: str, text: str) -> None:
    """Wait until an element reads so: a page shows what comes of an action a moment after it."""
    wait_until(page, lambda: page.inner_text(selector) == text)


async def visit(drive: Callable[[], T]) -> T:
    """Run a visit in a thread of its own."""
    return await trio.to_thread.run_sync(partial(drive), abandon_on_cancel=True)
