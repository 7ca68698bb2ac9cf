"""The console as it is read out, printed, and seen in the reader's own colours."""

from pathlib import Path

import attrs
import pytest
import trio

from actors.facts import ReplyEnded, ReplyText
from store.records import HandoffRecord, TransferRecord
from tests.browser.chromium import needs_chromium, open_browser, visit, wait_until
from tests.browser.test_console import PAGES, sample_record, served, shoot, wait_live
from tests.demo.sample import sample_journal
from web.console.rendering import LIVE

pytestmark = [pytest.mark.real_time, needs_chromium()]

LISTEN = """() => {
  globalThis.told = [];
  const regions = "[aria-live], [role=log], [role=status], [role=alert], output";
  const grown = (now, before) => before.startsWith(now) ? "" : now.startsWith(before) ? now.slice(before.length) : now;
  const observer = new MutationObserver((changes) => {
    const fresh = new Set(changes.flatMap(({ addedNodes }) => [...addedNodes]));
    const within = (node) => node && (fresh.has(node) || within(node.parentNode));
    for (const { type, target, addedNodes, oldValue } of changes) {
      const region = (target.closest ? target : target.parentElement)?.closest(regions);
      if (!region || region.ariaLive === "off" || within(target)) continue;
      const texts = [...addedNodes].map(({ textContent }) => textContent);
      told.push(...(type === "childList" ? texts : [grown(target.data, oldValue)]));
    }
  });
  const all = { subtree: true, childList: true, characterData: true, characterDataOldValue: true };
  document.addEventListener("readystatechange", () => observer.observe(document, all), { once: true }); // it is parsed
}"""
"""Notes each text that the page adds to a live region: a screen reader reads it out
(https://www.w3.org/TR/wai-aria/#aria-live)."""


async def test_a_line_of_the_call_is_read_out_once_and_nothing_that_was_before_it(tmp_path: Path) -> None:
    async with served(tmp_path) as console:
        console.replay(sample_journal()[:40])
        note = console.call.journal.note

        def drive() -> list[str]:
            with open_browser() as browser:
                page = browser.new_page()
                page.add_init_script(f"({LISTEN})()")
                page.goto(console.origin + PAGES["live"])
                wait_live(page)
                wait_until(page, lambda: page.locator("#words[aria-live=polite]").count() == 1)
                for sentence in ("We open at nine.", "And close at five.", "On Sundays, never."):
                    trio.from_thread.run_sync(note, ReplyText("advisor", 99, sentence))
                    wait_until(page, lambda said=sentence: said in page.inner_text("#words"))  # type: ignore[misc]
                whole, heard = "We open at nine. And close at five. On Sundays, never.", "We open at nine."
                trio.from_thread.run_sync(note, ReplyEnded("advisor", 99, whole, heard, False))
                wait_until(page, lambda: page.locator("#words del").count() > 1)
                page.wait_for_timeout(1000)  # `now` comes four times a second
                told: list[str] = page.evaluate("told")
                return told

        told = await visit(drive)

    told = [text.strip() for text in told if text.strip()]
    assert told == [
        LIVE["connecting"],
        LIVE["connected"],
        told[2],  # with the name, and when
        "And close at five.",
        "On Sundays, never.",
        "And close at five. On Sundays, never.",
        f"({LIVE['not_heard']})",
    ]
    assert told[2].endswith("advisor: We open at nine.")


async def test_what_a_colour_shows_is_seen_in_the_readers_own_colours(tmp_path: Path) -> None:
    """Forced colours drop backgrounds. So the page draws a line at the current turn and at the cursor."""
    async with served(tmp_path, sample_record()) as console:

        def drive() -> tuple[float, str]:
            with open_browser(["--autoplay-policy=no-user-gesture-required"]) as browser:
                page = browser.new_page(forced_colors="active")
                page.goto(console.origin + PAGES["after"])
                page.locator(".turn button").nth(3).click()
                wait_until(page, lambda: page.locator(".turn[aria-current]").count() == 1)
                shoot(page, "forced-colours")
                return (
                    page.evaluate("parseFloat(getComputedStyle(document.getElementById('cursor')).borderLeftWidth)"),
                    page.evaluate("getComputedStyle(document.querySelector('.turn[aria-current]')).outlineStyle"),
                )

        assert await visit(drive) == (2.0, "solid")


async def test_a_printed_call_is_whole_and_has_nothing_to_press(tmp_path: Path) -> None:
    async with served(tmp_path, sample_record()) as console:

        def drive() -> tuple[bool, list[str]]:
            with open_browser() as browser:
                page = browser.new_page(viewport={"width": 800, "height": 600})
                page.goto(console.origin + PAGES["after"])
                page.emulate_media(media="print")
                box = "(({ scrollHeight, clientHeight }) => scrollHeight <= clientHeight)"
                whole: bool = page.evaluate(f"{box}(document.querySelector('.scroll'))")
                buttons = page.locator("button:not(.play), .button, input, audio, nav").all()
                return whole, [one.inner_text() for one in buttons if one.is_visible()]

        assert await visit(drive) == (True, [])


async def test_no_long_word_makes_a_page_wide_wherever_it_stands(tmp_path: Path) -> None:
    word = "Donaudampfschifffahrtsgesellschaftskapitän" * 8
    handoff = HandoffRecord(word, word, 38.0, 0.84, word, word, {word: word})
    kept = attrs.evolve(
        sample_record(text=word), handoffs=(handoff,), transfers=(TransferRecord(word, 8.0, word, word),)
    )
    async with served(tmp_path, kept) as console:

        def drive() -> dict[str, bool]:
            with open_browser() as browser:
                page = browser.new_page(viewport={"width": 700, "height": 900})
                fits = {}
                for name, path in PAGES.items():
                    page.goto(console.origin + path)
                    fits[name] = page.evaluate("document.documentElement.scrollWidth <= innerWidth")
                return fits

        assert set((await visit(drive)).values()) == {True}
