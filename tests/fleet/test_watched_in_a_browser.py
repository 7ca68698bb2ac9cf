"""A page of one server, in Chromium, that shows and plays a call of another: by a real PostgreSQL between them."""

import pytest
import trio

from actors.facts import ReplyText
from store.fleet.shared import LiveCall
from tests.browser.chromium import needs_chromium, open_browser, visit, wait_until, watch
from tests.fleet.test_three_workers import PATIENCE, three
from tests.store.fleets import Workers
from tests.web.console.test_watching import Running
from tests.web.fakes import API_TOKEN, CALL_SID, HERE, LEAD, context_of
from tests.web.test_serving import listening
from web.console.rendering import LIVE, TEXT

pytestmark = [pytest.mark.real_time, needs_chromium()]

SOUNDS = "--autoplay-policy=no-user-gesture-required"


async def test_a_page_shows_and_plays_a_call_of_another_server(workers: Workers) -> None:
    changes = {**HERE, "API_TOKEN": API_TOKEN}
    async with three(workers, **changes) as account:
        await account.fleets[1].admit(LiveCall("order", CALL_SID, direction="inbound", caller=LEAD))
        page_server, call_server = account.workers[2], account.workers[1]
        call = Running.of(context_of(call_server).watched.watch(CALL_SID))
        async with listening(call_server), listening(page_server) as at, trio.open_nursery() as nursery:
            nursery.start_soon(speak, call)

            def say(text: str) -> None:
                call.journal.note(ReplyText("qualifier", 1, text))

            def drive() -> None:
                with open_browser([SOUNDS]) as browser:
                    page = browser.new_page()
                    troubles = watch(page)
                    page.goto(f"http://{at}/console/calls/{CALL_SID}")
                    page.fill("#token", API_TOKEN)
                    page.keyboard.press("Enter")
                    wait_until(page, lambda: page.get_by_text(f"{TEXT['carried_by']} b").count() == 1)
                    trio.from_thread.run_sync(say, "Hello from the other server.")
                    wait_until(page, lambda: "Hello from the other server." in page.inner_text("#words"))
                    wait_until(page, lambda: page.evaluate("document.getElementById('level-caller').value") > 10)
                    page.locator("#listen").click()
                    wait_until(page, lambda: call.watch.listeners == 1)
                    page.locator("#listen").click()
                    wait_until(page, lambda: call.watch.listeners == 0)
                    wait_until(page, lambda: LIVE["listening_ended"] in page.inner_text("#words"))
                    page.close()
                    wait_until(browser.new_page(), lambda: call.watch.watchers == 0)
                    assert [one for one in troubles if "Failed to load resource" not in one] == []

            with trio.fail_after(3 * PATIENCE):
                await visit(drive)
            nursery.cancel_scope.cancel()


async def speak(call: Running) -> None:
    while True:
        call.watch.hear_caller(b"\x8e" * 160)
        await trio.sleep(0.02)
