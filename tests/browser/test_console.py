"""The console in Chromium: on a narrow and on a wide screen, light and dark, with nothing that a caller says executed.

`SCREENSHOTS` names a folder for pictures of the pages; those in docs/console were made so, and those of the phone by
`test_phone_accessible.py`.
"""

import os
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, get_args
from urllib.parse import quote

import attrs
import orjson
import pytest
import trio

from actors.commands import DONE, Command, CommandGiven, RestartAgent, Say, refused
from actors.facts import Fact
from actors.journal import event_name
from actors.messages import EndCallNow
from actors.operator import PersonOnPhone
from agents.roster import Roster, default_roster
from protocol.audio import write_wav_header
from store.calls import MemoryRecords
from store.orders.campaigns import NewContact
from store.records import (
    AgentPeriod,
    CallRecord,
    FunctionRecord,
    HandoffRecord,
    TransferRecord,
    TurnRecord,
    Usage,
)
from tests.browser.chromium import ALLOWED, needs_chromium, open_browser, visit, wait_until, watch
from tests.demo.sample import sample_journal
from tests.web.console.test_watching import Running
from tests.web.fakes import CALL_SID, HERE, LEAD, OTHER_CALL_SID, ROSTER, Exchange, context_of, exchange, record
from tests.web.test_serving import listening
from web.calls.campaigns import CampaignRules
from web.calls.context import AppContext
from web.calls.live_calls import KnownCall
from web.calls.watching import WatchedCall
from web.console.rendering import LIVE, OPERATE, PHONE_TOLD

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.real_time, needs_chromium()]

Entries: TypeAlias = list[dict[str, object]]
WIDTHS = {"narrow": 360, "wide": 1600}
FACTS = {event_name(kind): kind for kind in get_args(Fact)}
PAGES = {
    "list": "/",
    "after": f"/console/calls/{CALL_SID}",
    "live": f"/console/calls/{OTHER_CALL_SID}",
    "campaigns": "/console/campaigns",
}


def fact_of(entry: dict[str, object]) -> Fact:
    """Read a fact back from a line of a journal."""
    kind = FACTS[str(entry["event"])]
    given = {
        field.name: entry.get(field.name, "")
        for field in attrs.fields(kind)
        if field.name in entry or field.default is attrs.NOTHING
    }
    fact: Fact = kind(**given)
    return fact


def turns_of(journal: Entries, text: str) -> Iterator[TurnRecord]:
    began = 0.0
    for one in journal:
        at = float(str(one["at"]))
        if one["event"] == "reply_started":
            began = at
        elif one["event"] == "turn_heard":
            yield TurnRecord(at, "caller", f"{one['text']}{text}")
        elif one["event"] == "reply_ended":
            said, heard = f"{one['text']}{text}", str(one["heard"])
            yield TurnRecord(began, str(one["agent"]), said, said if one["complete"] else heard, 1.12, 0.21, 0.6, 0.31)


def sample_record(call_sid: str = CALL_SID, text: str = "") -> CallRecord:
    """A record of the sample's call; `text` stands wherever somebody's text can."""
    return record(
        call_sid,
        started_at="2026-11-22T09:00:00.000+00:00",
        transcript=tuple(turns_of(sample_journal(), text)),
        duration=95.0,
        agents=(AgentPeriod("qualifier", 0, 40), AgentPeriod("advisor", 40, 70, 1), AgentPeriod("closer", 70, 95)),
        restarts=1,
        handoffs=(
            HandoffRecord("qualifier", "advisor", 38.0, 0.84, "groq", f"agreed{text}", {"needs": f"a loan{text}"}),
            HandoffRecord("advisor", "closer", 66.0, 0.91, "extract", "ready", {f"time{text}": "Tuesday at ten"}),
        ),
        functions=(
            FunctionRecord(30.0, "qualifier", f"record_fact{text}", {"name": f"income{text}"}, f"noted{text}", ok=True),
            FunctionRecord(55.0, "advisor", "quote", {"amount": 20000}, {"error": f"busy{text}"}, ok=False),
        ),
        transfers=(TransferRecord("closer", 80.0, f"asked{text}", f"declined{text}"),) if text else (),
        faults=(f"advisor crashed: connection lost{text}",),
        facts={f"income{text}": f"52,000{text}"},
        metadata={f"campaign{text}": f"autumn{text}"},
        usage=Usage({"qualifier": 41.0, "advisor": 31.5, "closer": 26.0}, 1480, 3),
        outcome=f"completed{text}",
        caller=f"{LEAD}{text}",
        why=text,
    )


def many_records() -> Iterator[CallRecord]:
    """A day's calls, of which no two are alike."""
    outcomes = ("completed", "caller_hung_up", "completed", "voicemail_left", "busy", "transferred", "completed")
    whole = sample_record()
    for index in range(30):
        agents = whole.agents[: (0, 1, 3, 0, 0, 2, 3)[index % 7]]
        yield attrs.evolve(
            whole,
            call_sid=f"CA{index:032}",
            started_at=f"2026-11-22T{8 + index // 4:02}:{index * 13 % 60:02}:{index * 7 % 60:02}.000+00:00",
            caller=f"+1555765{index * 37 % 10000:04}",
            direction=("inbound", "outbound")[index % 3 == 1],
            outcome=outcomes[index % 7],
            agents=agents,
            restarts=int(index % 9 == 0),
            duration=len(agents) * 41.0 + index,
            transfers=(TransferRecord("advisor", 60.0, "asked for one", "answered", 80.0),) * (index % 7 == 5),
        )


def write_files(folder: Path, entries: Entries) -> None:
    own = folder / CALL_SID
    own.mkdir(parents=True)
    (own / "journal.jsonl").write_bytes(b"".join(orjson.dumps(entry) + b"\n" for entry in entries))
    sound = bytes(95 * 8000 * 4)
    (own / "call.wav").write_bytes(write_wav_header(len(sound)) + sound)


async def make_campaigns(context: AppContext) -> None:
    """Make one that runs, one that Twilio's refusal has paused, one that was canceled, and one that is over."""
    for name, count, done in (("autumn", 50, 31), ("renewals", 30, 20), ("spring", 20, 6), ("survey", 12, 12)):
        contacts = [NewContact(f"{name}-{n}", n + 1, f"+1212555{n:04}", (), 0.0, {}) for n in range(count)]
        campaign = await context.campaigns.create(f"id-{name}", name, contacts, CampaignRules().written(), "running")
        assert campaign is not None
        for index in range(done):
            outcome = ("completed", "completed", "no_answer", "busy", "machine", "voicemail_left")[index % 6]
            await context.orders.over(f"{name}-{index}", outcome, "")
    await context.campaigns.turn_to("id-renewals", "paused", "Twilio refuses our number: 21212")
    await context.campaigns.turn_to("id-spring", "canceled")


@attrs.frozen
class Console:
    """A served console with a call that is over, and one that goes on."""

    there: Exchange
    origin: str
    call: Running

    def replay(self, entries: Entries) -> None:
        for entry in (one for one in entries if one["event"] != "call_ended"):
            self.call.journal.started = trio.current_time() - float(str(entry["at"]))
            self.call.journal.note(fact_of(entry))


@asynccontextmanager
async def served(
    folder: Path, *kept: CallRecord, entries: Entries | None = None, roster: Roster = ROSTER
) -> AsyncIterator[Console]:
    records = MemoryRecords()
    for one in kept:
        await records.save(one)
    write_files(folder, entries or sample_journal())
    prices = folder / "prices.toml"
    prices.write_text('currency = "USD"\nline_inbound_minute = 0.0085\nagent_minute = 0.08\nbrief = 0.0004\n')
    changes = {**HERE, "RECORDINGS_DIR": str(folder), "PRICES": str(prices)}
    nothing = {"line": None, "calls": None, "tokens": None, "orders": None, "voice": None, "run_call": None}
    there = exchange(records=records, roster=roster, **nothing, **changes)  # type: ignore[arg-type]
    context = context_of(there)
    context.live_calls.add(KnownCall("order", "inbound", LEAD, "+15551230000", "in-progress", OTHER_CALL_SID))
    await make_campaigns(context)
    async with listening(there) as at, trio.open_nursery() as nursery:
        call = await nursery.start(_carry, context.watched.watch(OTHER_CALL_SID))
        yield Console(there, f"http://{at}", call)
        nursery.cancel_scope.cancel()


async def _carry(watch: WatchedCall, task_status: trio.TaskStatus[Running]) -> None:
    """Have the tasks that a call has."""
    call = Running.of(watch)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_sound, watch, name="bridge")
        for name in ("turn", "summarizer", "scribe", "keypad", "AgentSession.run"):
            nursery.start_soon(trio.sleep_forever, name=name)
        task_status.started(call)


async def _sound(watch: WatchedCall) -> None:
    """Hear a caller who speaks, and an agent who is quieter."""
    while True:
        watch.hear_caller(b"\x8e" * 800)
        watch.hear_agents(0.0, b"\xb4" * 800)
        await trio.sleep(0.1)


def opened(browser: "Browser", console: Console, name: str, *, width: int = 1600, dark: bool = False) -> "Page":
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light")
    page.goto(console.origin + PAGES[name])
    if name == "live":
        wait_live(page)
    return page


def wait_live(page: "Page") -> None:
    wait_until(page, lambda: page.locator("#words > div").count() > 0 and page.locator("#tasks li").count() > 3)


def requests_of(page: "Page") -> list[str]:
    """Collect the addresses that a page asks for."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    return asked


def shoot(page: "Page", name: str) -> None:
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{name}.png")


def violations(page: "Page") -> list[str]:
    """What axe-core finds that is serious or critical."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:200]} {one['nodes'][0].get('failureSummary', '')[:300]}"
        for one in found
        if one["impact"] in {"serious", "critical"}
    ]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
async def test_pages_fit_are_accessible_and_ask_nobody_else(width: str, dark: bool, tmp_path: Path) -> None:
    async with served(tmp_path, sample_record(), *many_records()) as console:
        console.replay(sample_journal()[:60])

        def drive() -> None:
            with open_browser() as browser:
                for name, target in PAGES.items():
                    page = browser.new_page(
                        viewport={"width": WIDTHS[width], "height": 900}, color_scheme="dark" if dark else "light"
                    )
                    asked = requests_of(page)
                    troubles = watch(page)
                    page.goto(console.origin + target)
                    if name == "live":
                        wait_live(page)
                    shoot(page, f"{name}-{width}-{'dark' if dark else 'light'}")

                    assert troubles == [], name
                    assert [url for url in asked if not url.startswith(console.origin)] == []
                    assert violations(page) == [], name
                    wide = page.evaluate("document.documentElement.scrollWidth")
                    assert wide <= WIDTHS[width], name
                    page.close()

        await visit(drive)


async def test_a_live_page_shows_what_happens_and_turns_into_the_page_afterwards(tmp_path: Path) -> None:
    async with served(tmp_path, sample_record(), roster=default_roster()) as console:
        journal = sample_journal()
        console.replay(journal[:20])

        def more() -> None:
            console.replay(journal[20:])

        async def save() -> None:
            await console.there.records.save(sample_record(OTHER_CALL_SID))
            console.call.ends()

        def drive() -> str:
            with open_browser() as browser:
                page = opened(browser, console, "live")
                wait_until(page, lambda: page.inner_text("#floor").startswith("qualifier holds the floor"))
                assert handoff_choice(page) == ("advisor", ["qualifier"])
                trio.from_thread.run_sync(more)
                wait_until(page, lambda: page.locator("#handoff li").count() > 2)
                wait_until(page, lambda: not page.inner_text("#floor").startswith("qualifier holds"))
                wait_until(page, lambda: handoff_choice(page) == ("qualifier", ["closer"]))
                page.locator("#listen").click()
                wait_until(page, lambda: page.inner_text("#listen") == LIVE["stop_listening"])
                trio.from_thread.run(save)
                wait_until(page, lambda: page.locator(".turns").count() == 1)
                return page.inner_text("h1")

        assert "2026-11-22" in await visit(drive)


def handoff_choice(page: "Page") -> tuple[str, list[str]]:
    """The agent that a handoff would go to, and those that cannot be chosen."""
    return page.input_value("[name=to]"), page.locator("[name=to] option:disabled").all_inner_texts()


async def test_an_operator_talks_with_the_caller_on_the_phone_of_the_live_page(tmp_path: Path) -> None:
    """Sound of the page's microphone reaches the call; when the call is given back, the page says so."""
    heard = list[str | bytes]()
    async with served(tmp_path, sample_record()) as console:
        console.replay(sample_journal()[:20])

        async def attend(task_status: trio.TaskStatus[None]) -> None:
            with console.there.intercom.open(OTHER_CALL_SID) as mailbox:
                task_status.started()
                async for message in mailbox:
                    assert isinstance(message, CommandGiven)
                    assert isinstance(message.phone, PersonOnPhone)
                    message.reply_to.send_nowait(DONE)
                    while len(heard) < 20:
                        heard.extend(await message.phone.socket.get_messages())
                    message.phone.over.set()

        def drive() -> tuple[str, str]:
            with open_browser() as browser:
                page = opened(browser, console, "live")
                page.locator("#talk").click()
                wait_until(page, lambda: page.inner_text("#command-answer").startswith("You are"))
                return page.inner_text("#command-answer"), page.inner_text("#talk")

        async with trio.open_nursery() as nursery:
            await nursery.start(attend)
            told = await visit(drive)
            nursery.cancel_scope.cancel()

    assert told == ("You are on the call no longer.", "Take over with this page's phone")
    assert all('"event":"media"' in str(frame) for frame in heard)


@pytest.mark.parametrize(
    ("word", "args", "has_devices"),
    [
        ("microphone_refused", ["--deny-permission-prompts"], True),
        ("no_microphone", [ALLOWED], False),
        ("no_network", [ALLOWED], True),
    ],
)
async def test_an_operator_who_cannot_talk_is_told_why(
    word: str, args: list[str], has_devices: bool, tmp_path: Path
) -> None:
    async with served(tmp_path) as console:
        console.replay(sample_journal()[:20])

        def drive() -> None:
            with open_browser(args, has_devices=has_devices) as browser:
                page = opened(browser, console, "live")
                page.route("**/phone", lambda route: route.abort())
                page.locator("#talk").click()
                wait_until(page, lambda: page.inner_text("#command-answer") == PHONE_TOLD[word])

        await visit(drive)


async def test_an_operator_acts_on_a_live_call_from_its_page(tmp_path: Path) -> None:
    """A sentence is sent once, in the session's name; the page tells what became of it."""
    given = list[Command]()
    async with served(tmp_path, sample_record()) as console:
        console.replay(sample_journal()[:20])

        async def attend(task_status: trio.TaskStatus[None]) -> None:
            with console.there.intercom.open(OTHER_CALL_SID) as mailbox:
                task_status.started()
                async for message in mailbox:
                    if isinstance(message, EndCallNow):
                        return
                    assert isinstance(message, CommandGiven)
                    given.append(message.command)
                    answer = DONE if isinstance(message.command.action, Say) else refused("a handoff is under way")
                    message.reply_to.send_nowait(answer)

        def drive() -> list[str]:
            with open_browser() as browser:
                page = opened(browser, console, "live", width=360)
                answer_ends = "document.getElementById('command-answer').getBoundingClientRect().bottom"
                told = list[str]()
                for command, fills in (("say", "We will call you back."), ("restart", "")):
                    form = page.locator(f"form[data-command={command}]")
                    if fills:
                        form.locator("input").fill(fills)
                    form.locator("button").click()
                    wait_until(page, lambda: page.inner_text("#command-answer").count("…") == 0)
                    told.append(page.inner_text("#command-answer"))
                    assert page.evaluate(answer_ends) <= 900  # where one sees it
                page.get_by_text(OPERATE["end"]).focus()
                for key in ("Enter", "Tab", "Tab", "Enter"):
                    page.keyboard.press(key)
                wait_until(
                    page,
                    lambda: page.inner_text("#command-answer").startswith(OPERATE["hang-up"] + ": the call was told"),
                )
                return told

        async with trio.open_nursery() as nursery:
            await nursery.start(attend)
            told = await visit(drive)
            nursery.cancel_scope.cancel()

    fix = "See how the call goes, and ask again; an Idempotency-Key must be a new one."
    assert told == ["Say: done", f"Restart the session: refused — a handoff is under way — {fix}"]
    assert [command.action for command in given] == [Say("We will call you back."), RestartAgent()]
    assert all(command.by.startswith("console ") for command in given)
    assert console.there.line.hung_up == [OTHER_CALL_SID]


async def test_the_cursor_goes_through_picture_and_transcript_together(tmp_path: Path) -> None:
    async with served(tmp_path, sample_record()) as console:

        def drive() -> None:
            with open_browser(["--autoplay-policy=no-user-gesture-required"]) as browser:
                page = opened(browser, console, "after")
                where = "document.getElementById('cursor').getBoundingClientRect().toJSON()"
                turn = page.locator(".turn").nth(3)
                start = float(turn.get_attribute("data-start") or "nan")
                turn.locator("button").click()
                wait_until(page, lambda: turn.get_attribute("aria-current") == "true")
                assert page.evaluate("document.getElementById('audio').currentTime") == pytest.approx(start, abs=2.0)
                page.evaluate("document.getElementById('audio').pause()")
                before = page.evaluate(where)
                page.locator("#picture").click(position={"x": 900, "y": 130})
                wait_until(page, lambda: page.evaluate("document.getElementById('audio').currentTime") > 1.0)
                wait_until(page, lambda: page.evaluate(where) != before)
                page.locator(".turn button").last.click()
                wait_until(page, lambda: page.locator(".turn").last.get_attribute("aria-current") == "true")
                box = page.evaluate("document.querySelector('.scroll').getBoundingClientRect().toJSON()")
                wait_until(page, lambda: box["height"] < 900 and page.evaluate(where)["bottom"] <= box["bottom"])

        await visit(drive)


# What callers say


PAYLOADS = """
<script>{}</script>
<img src=x onerror={}>
<svg onload={}>
"><script>{}</script>
'-{}-'
" onfocus={} autofocus x="
<iframe srcdoc='<script>parent.{}</script>'>
javascript:{}
</textarea><script>{}</script>
<style>@import 'http://evil.example/x'</style>
<a href=javascript:{}>x</a>
{{{{constructor.constructor('{}')()}}}}
${{{}}}
<!--<script>{}</script>
]]><script>{}</script>
<math><mtext><script>{}</script>
<base href=http://evil.example/>
<link rel=stylesheet href=http://evil.example/>
\u2028{}\u2029
</title><script>{}</script>
&lt;script&gt;{}&lt;/script&gt;
\\u003cscript\\u003e{}
<details open ontoggle={}>
<video><source onerror={}>
\r\revent: over\rdata: {}\r\r
<meta http-equiv=refresh content='0;url=http://evil.example/'>
<object data='data:text/html,<script>{}</script>'>
<form action=javascript:{}><input type=submit>
""".strip().split("\n")


def hostile(count: int) -> Iterator[str]:
    """Texts that would execute something if they were anything but text."""
    rng = random.Random(15)
    noise = ["", " ", "\x00", "\x0b", "'", '"', "`", "<", "&", "</", "\\", "\u202e", "é", "\ufeff", "🙂"]
    for index in range(count):
        deed = rng.choice(["window.pwned=1", "alert(1)", "fetch('http://evil.example/')", "document.title='pwned'"])
        text = rng.choice(PAYLOADS).format(deed)
        yield f"{rng.choice(noise)}{text}{rng.choice(noise)}{index}"


def _with_text(entry: dict[str, object], text: str) -> dict[str, object]:
    """Say it wherever a fact has words or names."""
    spoken = {"text", "heard", "reason", "error", "agent", "to", "name", "result", "arguments"}
    return {name: f"{value} {text}" if name in spoken else value for name, value in entry.items()}


async def test_two_thousand_hostile_texts_execute_nothing(tmp_path: Path) -> None:
    texts = list(hostile(2000))
    groups = [" ".join(texts[start : start + 100]) for start in range(0, 2000, 100)]
    records = [sample_record(f"CA{index:032}", group) for index, group in enumerate(groups)]
    said = [_with_text(entry, text) for entry, text in zip(sample_journal(), texts, strict=False)]
    async with served(tmp_path, sample_record(text=groups[0]), *records, entries=said) as console:
        console.replay(said)

        def drive() -> list[str]:
            troubles: list[str] = []
            with open_browser() as browser:
                page = browser.new_page()
                asked = requests_of(page)
                dialogs: list[str] = []
                page.on("dialog", lambda dialog: dialogs.append(dialog.message))
                errors = watch(page)
                targets = [
                    *PAGES.values(),
                    "/?numbers=shown",
                    *(f"/console/calls/{one.call_sid}?numbers=shown" for one in records),
                ]
                for target in targets:
                    page.goto(console.origin + target)
                    if target == PAGES["live"]:
                        wait_until(page, lambda: page.locator("#journal > div").count() > 50)
                    troubles += _alien(page)
                for text in map(quote, texts[:20]):
                    page.goto(f"{console.origin}/?q={text}&outcome={text}")
                    troubles += _alien(page)
                foreign = [url for url in asked if not url.startswith(console.origin)]
                return [*troubles, *errors, *dialogs, *foreign]

        assert await visit(drive) == []


def _alien(page: "Page") -> list[str]:
    """The elements of a page that no template of ours has put there."""
    found: list[str] = page.evaluate(
        """() => { const on = (name) => name.startsWith("on"); return [
          ...(window.pwned ? ["pwned"] : []), ...(document.title === "pwned" ? ["title"] : []),
          ...document.querySelectorAll("main script, script:not([src]), iframe, object, base, style, video, math, svg"),
          ...document.querySelectorAll("main link, main meta, [action^=javascript]"),
          ...[...document.querySelectorAll("*")].filter((one) => one.getAttributeNames().some(on)),
          ...[...document.links].filter((one) => one.protocol === "javascript:"),
          ...[...document.querySelectorAll("q, del, dd, .turns td")].filter(
            (one) => getComputedStyle(one).unicodeBidi === "normal"), // their words turn those around them
        ].map((one) => one.outerHTML?.slice(0, 200) ?? String(one)); }"""
    )
    return found
