"""The console in Chromium says that its data are old when the network, the server or the session is away."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from actors.commands import DONE, CommandGiven, Say
from actors.facts import ReplyText
from tests.browser.chromium import needs_chromium, open_browser, visit, wait_until
from tests.browser.network import network_to
from tests.browser.test_console import PAGES, opened, served, violations, wait_live
from tests.demo.sample import sample_journal
from tests.web.fakes import OTHER_CALL_SID
from web.console.rendering import LIVE, OPERATE, TEXT

if TYPE_CHECKING:
    from playwright.sync_api import Route

pytestmark = [pytest.mark.real_time, needs_chromium()]

LISTEN = """async () => {
  const { Listener } = await import("/console/static/listen.js");
  const whens = [], { start } = AudioBufferSourceNode.prototype;
  AudioBufferSourceNode.prototype.start = function (when) {
    whens.push(when - this.context.currentTime);
    start.call(this, when);
  };
  const late = new Uint8Array(1600 * 100), steps = (from) => late.slice(1600 * from, 1600 * (from + 10));
  const stream = new ReadableStream({
    start(controller) {
      for (let from = 0; from < 100; from += 10) controller.enqueue(steps(from));
      setTimeout(() => { controller.enqueue(steps(0)); controller.close(); }, 1500);
    },
  });
  globalThis.fetch = async () => new Response(stream);
  await new Listener("", () => {}, () => {}).start();
  return whens;
}"""


@pytest.mark.parametrize(("path", "asks"), [("/", "**/console/live?*"), (PAGES["campaigns"], "**/console/campaigns?*")])
async def test_a_page_whose_server_is_away_says_that_what_it_shows_is_old(path: str, asks: str, tmp_path: Path) -> None:
    async with served(tmp_path) as console:

        def drive() -> None:
            with open_browser() as browser:
                page = browser.new_page(viewport={"width": 360, "height": 780})
                page.goto(console.origin + path)
                away = page.get_by_text(TEXT["away"])
                assert not away.is_visible()
                page.route(asks, lambda route: route.abort())
                wait_until(page, away.is_visible)
                assert away.evaluate("(node) => node.getBoundingClientRect().bottom") <= 780
                assert violations(page) == []
                page.unroute(asks)
                wait_until(page, lambda: not away.is_visible())

        await visit(drive)


async def test_a_list_whose_network_stands_still_says_so_and_goes_on_behind_it(tmp_path: Path) -> None:
    async with served(tmp_path) as console, network_to(console.origin) as network:

        def drive() -> None:
            with open_browser() as browser:
                page = browser.new_page()
                page.goto(network.origin)
                trio.from_thread.run_sync(network.freeze)
                wait_until(page, page.get_by_text(TEXT["away"]).is_visible)
                trio.from_thread.run_sync(network.resume)
                wait_until(page, lambda: not page.get_by_text(TEXT["away"]).is_visible())

        await visit(drive)


async def test_a_live_page_whose_network_stands_still_says_so_and_shows_the_whole_call_behind_it(
    tmp_path: Path,
) -> None:
    """No connection breaks: a browser would wait for minutes, and the page show a call that has long gone on."""
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
                trio.from_thread.run_sync(network.freeze)
                wait_until(page, lambda: page.inner_text("#connection") == LIVE["lost"])
                trio.from_thread.run_sync(say, "two")
                page.wait_for_timeout(7000)
                assert page.inner_text("#connection") == LIVE["lost"]
                trio.from_thread.run_sync(network.resume)
                wait_until(page, lambda: page.inner_text("#connection") == LIVE["connected"])
                wait_until(page, lambda: page.locator("#journal > div").count() == 22)
                return page.locator("#journal > div").all_inner_texts()

        journal = await visit(drive)

    assert ["one", "two"] == [line.rpartition('"text":"')[2].rstrip('"}') for line in journal[-2:]]


async def test_a_listener_does_not_stay_behind_by_what_a_network_held_up(tmp_path: Path) -> None:
    async with served(tmp_path) as console:

        def drive() -> list[float]:
            with open_browser(["--autoplay-policy=no-user-gesture-required"]) as browser:
                page = opened(browser, console, "list")
                ahead: list[float] = page.evaluate(LISTEN)
                return ahead

        ahead = await visit(drive)

    assert 10 < len(ahead) < 30  # of ten seconds that came at once, and one second after them
    assert max(ahead) <= 1.0


async def test_what_was_written_is_there_again_behind_the_form_to_sign_in(tmp_path: Path) -> None:
    """The server restarts, say, and the session is over meanwhile: the live page gives way to the form."""
    async with served(tmp_path) as console, network_to(console.origin) as network:
        console.replay(sample_journal()[:20])

        def signed_out(route: "Route") -> None:
            route.fulfill(status=401, body="<main>Sign in</main>", content_type="text/html")

        def drive() -> list[str]:
            with open_browser() as browser:
                page = browser.new_page()
                page.goto(network.origin + PAGES["live"])
                wait_live(page)
                prompt = page.locator("form[data-command=prompt] textarea")
                page.get_by_text(OPERATE["prompt"]).first.click()
                prompt.fill("You are patient.\nYou are brief.")
                page.locator("form[data-command=transfer] input[name=reason]").fill("asks for a person")
                page.route("**/console/calls/**", signed_out)
                trio.from_thread.run(network.cut)
                wait_until(page, lambda: page.inner_text("body") == "Sign in")
                page.unroute("**/console/calls/**")
                page.goto(network.origin + PAGES["live"])
                wait_until(page, prompt.is_visible)
                reasons = page.locator("#operate input[name=reason]").all()
                return [prompt.input_value(), *(field.input_value() for field in reasons)]

        assert await visit(drive) == ["You are patient.\nYou are brief.", "asks for a person"]


async def test_a_listener_is_told_why_nothing_is_heard(tmp_path: Path) -> None:
    async with served(tmp_path) as console:
        console.replay(sample_journal()[:20])

        def drive() -> None:
            with open_browser() as browser:
                page = opened(browser, console, "live")
                refusal = {"error": "too many watch already", "fix": "Close other pages, or try again later."}
                page.route("**/audio", lambda route: route.fulfill(status=503, json=refusal))
                page.click("#listen")
                wait_until(page, lambda: page.inner_text("#connection") == " — ".join(refusal.values()))
                assert page.inner_text("#listen") == LIVE["listen"]

        await visit(drive)


async def test_a_command_that_was_not_carried_out_stays_to_be_sent_again(tmp_path: Path) -> None:
    """As where the session has expired meanwhile: the fix is told, and nothing has to be written anew."""
    async with served(tmp_path) as console:
        console.replay(sample_journal()[:20])
        given = list[object]()

        async def attend(task_status: trio.TaskStatus[None]) -> None:
            with console.there.intercom.open(OTHER_CALL_SID) as mailbox:
                task_status.started()
                async for message in mailbox:
                    assert isinstance(message, CommandGiven)
                    given.append(message.command.action)
                    message.reply_to.send_nowait(DONE)

        def expired(route: "Route") -> None:
            route.fulfill(status=401, json={"error": "not signed in", "fix": "Sign in at /console/sign-in."})

        def drive() -> None:
            with open_browser() as browser:
                page = opened(browser, console, "live")
                field = page.locator("form[data-command=say] input")
                page.route("**/say", expired)
                field.fill("We will call you back.")
                field.press("Enter")
                told = f"{OPERATE['say']}: not signed in — Sign in at /console/sign-in."
                wait_until(page, lambda: page.inner_text("#command-answer") == told)
                assert field.input_value() == "We will call you back."
                page.unroute("**/say")
                field.press("Enter")
                wait_until(page, lambda: page.inner_text("#command-answer") == f"{OPERATE['say']}: {OPERATE['done']}")
                wait_until(page, lambda: field.input_value() == "")

        async with trio.open_nursery() as nursery:
            await nursery.start(attend)
            await visit(drive)
            nursery.cancel_scope.cancel()

    assert given == [Say("We will call you back.")]
