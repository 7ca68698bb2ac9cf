"""What the phone's page tells when network, microphone or server fail, in Chromium; and that the call goes on."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, cast

import pytest
import trio

from protocol.audio import silence
from tests.browser.chromium import ALLOWED, needs_chromium, open_browser, visit, wait_until, watch
from tests.browser.lab import PAGE, Bench, idle, on_the_bench
from tests.browser.network import network_to
from tests.browser.test_phone_audio import payload_of
from web.console.rendering import PHONE_TOLD

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

pytestmark = [pytest.mark.real_time, needs_chromium()]

SINKLESS = "AudioContext.prototype.setSinkId = async () => { throw new DOMException('none', 'NotFoundError'); }"
FACT = 'retry: 10\nid: w:0\nevent: fact\ndata: {{"at": 0, "event": "turn_heard", "text": "{}"}}\n\n'
CAPTURED = """
  globalThis.contexts = [];
  globalThis.AudioContext = class extends AudioContext {
    constructor(...given) { super(...given); contexts.push(this); }
  };
"""


def told(page: "Page", word: str) -> float:
    """Wait until the page tells something; "" is nothing. Return how long that took."""
    sentence = PHONE_TOLD[word] if word else ""
    return wait_until(page, lambda: page.inner_text("#notice") == sentence)


def stands(page: "Page", word: str) -> None:
    wait_until(page, lambda: page.inner_text("#status") == PHONE_TOLD[word])


def connect(page: "Page") -> None:
    page.click("#call")
    stands(page, "connected")


def hang_up(page: "Page", bench: Bench) -> None:
    page.click("#hang-up")
    stands(page, "caller_hung_up")
    wait_until(page, bench.over.is_set)


async def on_page(
    use: "Callable[[Page, Bench], None]",
    *,
    args: Sequence[str] = (ALLOWED,),
    has_devices: bool = True,
    script: str = "",
    conduct: Callable[[Bench], Awaitable[None]] = idle,
) -> None:
    """Open the phone's page, and use it; `script` is run before the page's own."""
    bench = Bench(conduct)
    async with on_the_bench(bench) as origin:

        def drive() -> None:
            with open_browser(args, has_devices=has_devices) as browser:
                page = browser.new_page()
                troubles = watch(page)
                if script:
                    page.add_init_script(script)
                page.goto(origin + PAGE)
                use(page, bench)
                assert [trouble for trouble in troubles if "Failed to load resource" not in trouble] == []

        await visit(drive)


# The microphone, and the other devices


async def test_a_machine_without_a_microphone_is_told() -> None:
    def use(page: "Page", _: Bench) -> None:
        page.click("#call")
        told(page, "no_microphone")
        wait_until(page, lambda: page.is_enabled("#call"))
        assert page.evaluate("document.activeElement.id") == "call"  # the keyboard is where it was

    await on_page(use, has_devices=False)


async def test_a_microphone_that_is_refused_once_may_be_allowed_afterwards() -> None:
    def use(page: "Page", bench: Bench) -> None:
        page.click("#call")
        told(page, "microphone_refused")
        page.context.grant_permissions(["microphone"])
        connect(page)
        told(page, "")
        hang_up(page, bench)

    await on_page(use, args=["--deny-permission-prompts"])


async def test_a_microphone_that_goes_in_mid_call_is_told_and_another_one_is_heard() -> None:
    """The browser ends the track, as it does when a device is unplugged or the permission is taken back."""

    def loud(bench: Bench, since: int) -> bool:
        return any(payload_of(message) != silence(1) for _, message in bench.of("media")[since:])

    def use(page: "Page", bench: Bench) -> None:
        page.context.grant_permissions(["microphone"])
        connect(page)
        wait_until(page, lambda: loud(bench, 0))
        page.context.clear_permissions()
        told(page, "microphone_gone")
        gone = len(bench.of("media"))
        wait_until(page, lambda: len(bench.of("media")) > gone + 100)
        assert {payload_of(message) for _, message in bench.of("media")[gone + 50 :]} == {silence(1)}

        page.context.grant_permissions(["microphone"])
        page.select_option("#microphone", label="Fake Audio Input 1")
        told(page, "")
        back = len(bench.of("media"))
        wait_until(page, lambda: loud(bench, back))
        hang_up(page, bench)

    await on_page(use, args=[])


async def test_the_devices_are_named_once_the_microphone_is_allowed_and_follow_what_is_plugged_in() -> None:
    def options(page: "Page", select: str) -> list[str]:
        return page.locator(f"{select} option").all_inner_texts()

    def use(page: "Page", bench: Bench) -> None:
        connect(page)
        wait_until(page, lambda: "Fake Audio Input 1" in options(page, "#microphone"))
        wait_until(page, lambda: "Fake Audio Output 1" in options(page, "#loudspeaker"))
        page.select_option("#microphone", label="Fake Audio Input 2")
        page.select_option("#loudspeaker", label="Fake Audio Output 2")
        page.evaluate(
            """() => {
                const { mediaDevices: devices } = navigator, all = devices.enumerateDevices.bind(devices);
                devices.enumerateDevices = async () => (await all()).filter(({ label }) => !label.endsWith(" 2"));
                devices.dispatchEvent(new Event("devicechange"));
            }"""
        )
        wait_until(page, lambda: not any("2" in name for name in options(page, "#microphone")))
        assert page.input_value("#microphone") == page.input_value("#loudspeaker") == ""
        assert page.inner_text("#status") == PHONE_TOLD["connected"]
        hang_up(page, bench)

    await on_page(use)


async def test_a_loudspeaker_that_cannot_be_used_is_told_and_the_call_goes_on() -> None:
    def use(page: "Page", bench: Bench) -> None:
        connect(page)
        wait_until(page, lambda: page.locator("#loudspeaker option").count() > 2)
        page.select_option("#loudspeaker", label="Fake Audio Output 1")
        told(page, "no_loudspeaker")
        hang_up(page, bench)

    await on_page(use, script=SINKLESS)


async def test_sound_that_the_browser_stops_is_told_until_it_is_back() -> None:
    def use(page: "Page", bench: Bench) -> None:
        connect(page)
        page.evaluate("contexts[0].suspend()")
        told(page, "interrupted")
        page.evaluate("contexts[0].resume()")
        told(page, "")
        hang_up(page, bench)

    await on_page(use, script=CAPTURED)


async def test_sound_that_never_runs_is_told() -> None:
    """As in a Firefox without a loudspeaker: the page would say "Connected.", and neither side would hear a word."""

    def use(page: "Page", bench: Bench) -> None:
        connect(page)
        told(page, "interrupted")
        hang_up(page, bench)

    await on_page(use, script='Object.defineProperty(BaseAudioContext.prototype, "state", { get: () => "suspended" })')


# The network


async def test_a_network_that_stalls_is_told_and_the_call_goes_on_when_it_is_back() -> None:
    bench = Bench(idle)
    async with on_the_bench(bench) as server, network_to(server) as network:

        def drive() -> None:
            with open_browser() as browser:
                page = browser.new_page()
                page.goto(network.origin + PAGE)
                connect(page)
                wait_until(page, lambda: len(bench.of("media")) > 20)
                trio.from_thread.run_sync(network.stall)
                assert told(page, "stalled") < 10  # on a quiet machine 4
                held = len(bench.of("media"))
                trio.from_thread.run_sync(network.resume)
                told(page, "line_back")
                wait_until(page, lambda: len(bench.of("media")) > held + 50)
                told(page, "")
                hang_up(page, bench)

        await visit(drive)

    chunks = [int(message["media"]["chunk"]) for _, message in bench.of("media")]  # type: ignore[index]
    assert chunks == list(range(1, len(chunks) + 1))


async def test_a_connection_that_breaks_is_told_and_one_can_call_again() -> None:
    bench = Bench(idle)
    async with on_the_bench(bench) as server, network_to(server) as network:

        def drive() -> None:
            with open_browser() as browser:
                page = browser.new_page()
                page.goto(network.origin + PAGE)
                connect(page)
                trio.from_thread.run(network.cut)
                stands(page, "line_lost")
                wait_until(page, bench.over.is_set)
                bench.over = trio.Event()
                connect(page)
                hang_up(page, bench)

        await visit(drive)


async def test_without_a_network_no_call_is_placed_and_with_it_one_is() -> None:
    def use(page: "Page", bench: Bench) -> None:
        page.context.set_offline(True)
        told(page, "no_network")
        page.click("#call")
        wait_until(page, lambda: page.is_enabled("#call"))
        told(page, "no_network")
        page.context.set_offline(False)
        told(page, "")
        connect(page)
        hang_up(page, bench)

    await on_page(use)


async def test_a_network_that_breaks_while_the_page_fetches_its_audio_is_told() -> None:
    async with on_the_bench(Bench(idle)) as server, network_to(server) as network:

        def is_given_up(page: "Page") -> bool:
            trio.from_thread.run(network.cut)
            return page.is_enabled("#call")

        def drive() -> None:
            with open_browser() as browser:
                page = browser.new_page()
                page.goto(network.origin + PAGE)
                trio.from_thread.run_sync(network.freeze)
                page.click("#call")
                wait_until(page, lambda: is_given_up(page))
                told(page, "no_network")

        await visit(drive)


@pytest.mark.parametrize("at", ["the token", "the line"])
async def test_a_call_that_a_frozen_network_keeps_from_beginning_is_given_up(at: str) -> None:
    """Else the page says "Calling …" for minutes, and has no button that ends it."""
    async with on_the_bench(Bench(idle)) as server, network_to(server) as network:

        def freeze_behind(route: "Route") -> None:
            answer = route.fetch()
            trio.from_thread.run_sync(network.freeze)
            route.fulfill(response=answer)

        def drive() -> None:
            with open_browser() as browser:
                page = browser.new_page()
                page.goto(network.origin + PAGE)
                if at == "the token":
                    trio.from_thread.run_sync(network.freeze)
                else:
                    page.route("**/console/phone/token", freeze_behind)
                page.click("#call")
                wait_until(page, lambda: page.is_enabled("#call") and page.is_visible("#call"))
                assert PHONE_TOLD["no_network" if at == "the token" else "line_lost"] in page.inner_text("main")

        await visit(drive)


# The server


ANSWERS: dict[str, tuple[int, str]] = {
    "draining": (503, '{"word": "draining"}'),
    "full": (503, '{"word": "full"}'),
    "signed_out": (401, "{}"),
    "server_failed": (500, "<h1>Internal Server Error</h1>"),
}


def answering(status: int, body: str) -> "Callable[[Route], None]":
    return lambda route: route.fulfill(status=status, body=body)


async def test_the_words_of_a_call_are_shown_though_they_were_refused_at_first() -> None:
    """As by a server that does not reach the one with the call at that moment; what was shown is not shown twice."""

    async def sound(bench: Bench) -> None:
        while True:
            await bench.play(bytes([0x10, 0x90] * 80))
            await trio.sleep(0.02)

    told = [[503, ""], [200, FACT.format("Hello")], [503, ""], [200, FACT.format("Hello") + FACT.format("there")]]

    def answer(route: "Route") -> None:
        status, body = told.pop(0) if told else (204, "")
        route.fulfill(status=cast("int", status), body=str(body), content_type="text/event-stream")

    def use(page: "Page", _: Bench) -> None:
        page.route("**/console/calls/*/events", answer)
        connect(page)
        wait_until(page, lambda: page.locator("#said .caller").count() == 2)
        assert page.inner_text("#said").count("Hello") == 1
        page.click("#hang-up")

    await on_page(use, conduct=sound)


async def test_what_a_server_answers_that_takes_no_call_is_told() -> None:
    def use(page: "Page", bench: Bench) -> None:
        for word, (status, body) in ANSWERS.items():
            page.route("**/console/phone/token", answering(status, body))
            page.click("#call")
            told(page, word)
            wait_until(page, lambda: page.is_enabled("#call"))
            page.unroute("**/console/phone/token")
        connect(page)
        hang_up(page, bench)

    await on_page(use)
