"""The browser's phone at the door: who gets a call, what is different about it, and that nothing else is."""

import re
from collections.abc import Mapping, Sequence

import attrs
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.call_services import CallPlan, CallServices
from actors.messages import EndCallNow
from protocol.wire import PacedWebSocket, WebSocket
from store.records import CallRecord
from store.tokens import TokenStore
from tests.web.console.visitors import Visitor, signed_in
from tests.web.fakes import STREAM_SID, Exchange, FakeCalls, Peer, at_home, context_of, exchange, record, voice_form
from web.calls.live_calls import PAGE_CALLER
from web.console.phone import LONGEST_TYPED, SpeechFailed
from web.console.rendering import PHONE_TOLD, read_files
from web.routes.media import PageLine

ORIGIN = "https://agent.example.com"
HOST = "agent.example.com"
LOCAL = "127.0.0.1:8000"


async def ticket(visitor: Visitor) -> dict[str, str]:
    """Ask for the token of a call, as the page does."""
    answer = await visitor.send("/console/phone/token")
    assert answer.status_code == 200, answer.text
    ids: dict[str, str] = answer.json()
    return ids


def page(visitor: Visitor, **headers: str) -> Peer:
    """The page's end of the stream, in the browser of this visitor."""
    cookies = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
    given = {"host": HOST, "origin": ORIGIN, "sec-fetch-site": "same-origin", "cookie": cookies, **headers}
    return Peer(target="/phone", signature="", headers={name: value for name, value in given.items() if value})


def started(visitor: Visitor, ids: Mapping[str, str]) -> Peer:
    return page(visitor).starts(ids["token"], call_sid=ids["callSid"])


async def test_a_page_with_its_token_becomes_a_call(autojump_clock: MockClock) -> None:
    there = exchange()
    visitor = signed_in(there)
    ids = await ticket(visitor)

    peer = await started(visitor, ids).says("hello").visit(there.app)

    assert there.calls.plans == [CallPlan(ids["callSid"], STREAM_SID, "inbound", PAGE_CALLER, "")]
    assert peer.said == ["accept", "send", "close 1000"]
    kept = await there.records.get(ids["callSid"])
    assert kept is not None
    assert (kept.caller, kept.direction) == (PAGE_CALLER, "inbound")


async def test_the_page_is_told_how_its_call_ended(autojump_clock: MockClock) -> None:
    there = exchange()
    visitor = signed_in(there)

    peer = await started(visitor, await ticket(visitor)).says("hello").visit(there.app)

    assert peer.answers[-1] == {"type": "websocket.close", "code": 1000, "reason": "completed"}
    assert "completed" in PHONE_TOLD


async def test_no_network_is_asked_about_a_page_and_nobody_to_whom_it_could_be_put_through(
    autojump_clock: MockClock,
) -> None:
    given: list[CallServices] = []

    async def run_call(media: PacedWebSocket, plan: CallPlan, services: CallServices) -> CallRecord:
        given.append(services)
        await services.line.hang_up(plan.call_sid)
        await services.line.redirect(plan.call_sid, "<Response/>")
        return record(plan.call_sid)

    there = exchange(run_call=run_call, TRANSFER_PHONE_NUMBER="+15559870000")
    visitor = signed_in(there)
    await started(visitor, await ticket(visitor)).visit(there.app)

    assert (there.line.hung_up, there.line.redirected) == ([], [])
    assert isinstance(given[0].line, PageLine)
    assert given[0].transfers is None


@attrs.define
class Ends(FakeCalls):
    """Calls that end like this."""

    outcome: str = ""

    async def __call__(self, media: PacedWebSocket, plan: CallPlan, services: CallServices) -> CallRecord:
        left = record(plan.call_sid, outcome=self.outcome, caller=plan.caller)
        await services.save(left)
        return left


@pytest.mark.parametrize("outcome", ["completed", "caller_hung_up", "line_dead", "crashed", "cut", "no_agent"])
async def test_a_call_from_a_page_is_over_when_its_stream_is(outcome: str, autojump_clock: MockClock) -> None:
    there = exchange(calls=Ends(outcome=outcome))
    visitor = signed_in(there)
    ids = await ticket(visitor)

    with capture_logs() as logs:
        await started(visitor, ids).visit(there.app)
        await trio.sleep(200)  # a call of Twilio's may come back for so long

    context = context_of(there)
    assert [line["outcome"] for line in logs if line["event"] == "call_ended"] == [outcome]
    assert context.announced.parked == {}
    shown = context.live_calls.find(ids["callSid"])
    assert shown is not None
    assert (shown.over, shown.outcome, there.slots.taken) == (True, outcome, 0)


async def test_a_call_that_breaks_off_in_the_door_is_over_as_well(autojump_clock: MockClock) -> None:
    there = exchange()
    visitor = signed_in(there)

    async def for_ever(socket: WebSocket, _: CallPlan) -> None:
        await trio.sleep_forever()

    there.calls.conversation = for_ever
    with trio.move_on_after(10):
        await started(visitor, await ticket(visitor)).visit(there.app)

    assert (there.slots.taken, list(context_of(there).streams.running())) == (0, [])


# -- Tokens ---------------------------------------------------------------------------------------------------------


async def test_a_token_lets_one_call_in(autojump_clock: MockClock) -> None:
    there = exchange()
    visitor = signed_in(there)
    ids = await ticket(visitor)
    await started(visitor, ids).says("hello").visit(there.app)

    again = await started(visitor, ids).visit(there.app)

    assert (again.said, len(there.calls.plans)) == (["accept", "close 1008"], 1)


async def test_a_token_of_another_visitor_lets_nobody_in_and_is_used_up(autojump_clock: MockClock) -> None:
    there = exchange()
    visitor, thief = signed_in(there), signed_in(there)
    ids = await ticket(visitor)

    stolen = await started(thief, ids).visit(there.app)
    honest = await started(visitor, ids).visit(there.app)

    assert (stolen.said, honest.said, there.calls.plans) == (["accept", "close 1008"], ["accept", "close 1008"], [])


async def test_a_token_expires(autojump_clock: MockClock) -> None:
    there = exchange(tokens=TokenStore())
    visitor = signed_in(there)
    ids = await ticket(visitor)
    await trio.sleep(61)

    late = await started(visitor, ids).visit(there.app)

    assert (late.said, there.calls.plans) == (["accept", "close 1008"], [])


@pytest.mark.parametrize("token", ["", "x", "../token", "\0", "ü" * 60, "a" * 4000])
async def test_a_token_that_nobody_gave_lets_nobody_in(token: str, autojump_clock: MockClock) -> None:
    there = exchange()
    visitor = signed_in(there)

    peer = await started(visitor, {**await ticket(visitor), "token": token}).visit(there.app)

    assert (peer.said, there.calls.plans) == (["accept", "close 1008"], [])


async def test_a_phones_token_opens_no_stream_of_twilios_and_the_other_way_round(autojump_clock: MockClock) -> None:
    there = exchange()
    visitor = signed_in(there)
    ids = await ticket(visitor)
    answer = await there.twilio("/twilio/voice", voice_form())
    twilios = answer.text.partition('name="token" value="')[2].partition('"')[0]

    at_twilios = await Peer().starts(ids["token"], call_sid=ids["callSid"]).visit(there.app)
    at_the_phone = await page(visitor).starts(twilios).visit(there.app)

    assert (at_twilios.said, at_the_phone.said) == (["accept", "close 1008"], ["accept", "close 1008"])
    assert there.calls.plans == []


async def test_two_tokens_are_of_two_calls(autojump_clock: MockClock) -> None:
    visitor = signed_in(exchange())
    one, other = await ticket(visitor), await ticket(visitor)

    assert not set(one.values()) & set(other.values()) - {one["accountSid"]}


# -- Who may ask ----------------------------------------------------------------------------------------------------

STRANGE: Mapping[str, Mapping[str, str]] = {
    "no cookie": {"cookie": ""},
    "a forged cookie": {"cookie": "__Host-switchboard=abc.1764312000.00"},
    "odd cookies": {"cookie": "=;;;\x01=\xff; __Host-switchboard"},
    "another site's page": {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
    "another site's page in an old browser": {"origin": "https://evil.example", "sec-fetch-site": ""},
    "a page without an origin": {"origin": "null"},
    "a neighbouring site's page": {"origin": "https://x.example.com", "sec-fetch-site": "same-site"},
}


@pytest.mark.parametrize("case", STRANGE)
async def test_an_upgrade_that_none_of_our_pages_asks_for_is_not_accepted(case: str, autojump_clock: MockClock) -> None:
    there = exchange()
    visitor = signed_in(there)
    ids = await ticket(visitor)

    peer = await page(visitor, **STRANGE[case]).starts(ids["token"], call_sid=ids["callSid"]).visit(there.app)

    assert (peer.said, there.calls.plans) == (["close 1008"], [])


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "switchboard", ""])
async def test_our_page_has_its_phone_behind_a_proxy_that_writes_its_own_host(
    host: str, autojump_clock: MockClock
) -> None:
    there = exchange()
    visitor = signed_in(there)
    ids = await ticket(visitor)

    peer = await page(visitor, host=host).starts(ids["token"], call_sid=ids["callSid"]).says("hello").visit(there.app)

    assert (peer.said, len(there.calls.plans)) == (["accept", "send", "close 1000"], 1)


LOCAL_ROWS: Mapping[str, tuple[Mapping[str, str], str, list[str]]] = {
    "here": ({}, "127.0.0.1", ["accept", "send", "close 1000"]),
    "from elsewhere": ({}, "10.0.0.1", ["close 1008"]),
    "by a name that leads here": (
        {"host": "evil.example", "origin": "http://evil.example"},
        "127.0.0.1",
        ["close 1008"],
    ),
}


@pytest.mark.parametrize("case", LOCAL_ROWS)
async def test_without_a_token_only_this_machine_is_served(case: str, autojump_clock: MockClock) -> None:
    headers, address, said = LOCAL_ROWS[case]
    there = at_home()
    visitor = attrs.evolve(signed_in(there), origin=f"http://{LOCAL}")
    ids = await ticket(visitor)
    peer = page(visitor, **{"host": LOCAL, "origin": f"http://{LOCAL}", **headers})
    peer.client = (address, 1234)

    await peer.starts(ids["token"], call_sid=ids["callSid"]).says("hello").visit(there.app)

    assert peer.said == said


# -- Limits ---------------------------------------------------------------------------------------------------------


async def test_a_full_switchboard_gives_no_token(autojump_clock: MockClock) -> None:
    there = exchange(MAX_CALLS="1")
    visitor = signed_in(there)
    with there.slots.take("another call"):
        answer = await visitor.send("/console/phone/token")

    assert (answer.status_code, answer.json()["word"]) == (503, "full")


async def test_a_draining_switchboard_gives_no_token(autojump_clock: MockClock) -> None:
    there = exchange()
    there.slots.drain()

    answer = await signed_in(there).send("/console/phone/token")

    assert (answer.status_code, answer.json()["word"]) == (503, "draining")


async def test_a_token_keeps_a_line_free_for_a_while(autojump_clock: MockClock) -> None:
    there = exchange(MAX_CALLS="1")
    visitor = signed_in(there)
    ids = await ticket(visitor)

    assert there.slots.free == 0
    assert (await visitor.send("/console/phone/token")).status_code == 503
    await trio.sleep(11)
    assert there.slots.free == 1
    with there.slots.take("another call"):
        late = await started(visitor, ids).visit(there.app)
    assert late.said == ["accept", "close 1013"]


async def test_a_page_that_never_starts_its_stream_leaves_nothing(autojump_clock: MockClock) -> None:
    there = exchange()
    await ticket(signed_in(there))
    await trio.sleep(200)

    assert (await there.records.list(), list(context_of(there).live_calls.newest()), there.slots.free) == ([], [], 50)


# -- Hostile frames -------------------------------------------------------------------------------------------------

HOSTILE: Mapping[str, Sequence[str | bytes]] = {
    "no JSON": ("}{", "", "\0"),
    "binary": (b"\x00" * 400, b'{"event":"start"}'),
    "JSON that is no message": ("[]", "null", "3", '"start"', '{"event":7}', '{"event":"start"}'),
    "a start that is none": (
        '{"event":"start","start":[]}',
        '{"event":"start","streamSid":"MZ1","start":{"callSid":1}}',
    ),
    "media first": ('{"event":"media","media":{"payload":"////"}}', '{"event":"mark"}', '{"event":"dtmf"}'),
    "very deep": ("[" * 5000, '{"event":' * 200),
    "very long": ("a" * 60_000,),
}


@pytest.mark.parametrize("case", HOSTILE)
async def test_frames_that_no_page_sends_cost_only_themselves(case: str, autojump_clock: MockClock) -> None:
    there = exchange()
    visitor = signed_in(there)
    ids = await ticket(visitor)
    peer = page(visitor).says(*HOSTILE[case]).starts(ids["token"], call_sid=ids["callSid"]).says("hello")

    await peer.visit(there.app)

    assert peer.said == ["accept", "send", "close 1000"]


@pytest.mark.parametrize("call_sid", ["", "CA1", "../../etc/passwd", "CA" + "g" * 32, "CA" + "1" * 33])
async def test_ids_that_are_none_are_refused(call_sid: str, autojump_clock: MockClock) -> None:
    there = exchange()
    visitor = signed_in(there)
    ids = await ticket(visitor)

    peer = await page(visitor).starts(ids["token"], call_sid=call_sid).visit(there.app)

    assert (peer.said, there.calls.plans) == (["accept", "close 1008"], [])


# -- Operators ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("goodbye", ["", "?goodbye=yes"])
async def test_an_operator_ends_a_page_without_the_network(goodbye: str, autojump_clock: MockClock) -> None:
    told: list[object] = []

    async def run_call(media: PacedWebSocket, plan: CallPlan, services: CallServices) -> CallRecord:
        with services.intercom.open(plan.call_sid) as mailbox:
            told.append(await mailbox.receive())
        return record(plan.call_sid)

    there = exchange(run_call=run_call)
    visitor = signed_in(there)
    ids = await ticket(visitor)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(started(visitor, ids).visit, there.app)
        await wait_all_tasks_blocked()
        answer = await there.operator("DELETE", f"/calls/{ids['callSid']}{goodbye}")

    assert (answer.status_code, there.line.hung_up, len(told)) == (202, [], 1)
    assert isinstance(told[0], EndCallNow) is not bool(goodbye)


# -- Typing ---------------------------------------------------------------------------------------------------------


@attrs.define
class Voice:
    """Says a sentence as so many bytes as it has characters."""

    lines: Sequence[str] = ("Hello.", "<b>Goodbye</b>", "Hello.")
    said: list[str] = attrs.field(factory=list)

    async def say(self, text: str) -> bytes:
        await trio.lowlevel.checkpoint()
        if text == "unspeakable":
            raise SpeechFailed("no such voice")
        self.said.append(text)
        return b"\x80" * len(text)


async def say(there: Exchange, content: object) -> tuple[int, bytes]:
    visitor = signed_in(there)
    async with visitor.client() as client:
        answer = await client.post("/console/phone/say", json=content, headers={"X-CSRF-Token": visitor.csrf})
    return answer.status_code, answer.content


async def test_a_sentence_is_said(autojump_clock: MockClock) -> None:
    voice = Voice()

    assert await say(exchange(voice=voice), {"text": " I  live\nin Seattle. "}) == (200, b"\x80" * 18)
    assert voice.said == ["I live in Seattle."]


@pytest.mark.parametrize(
    "content", [None, [], {}, {"text": None}, {"text": 7}, {"text": " \n"}, {"text": "a" * (LONGEST_TYPED + 1)}]
)
async def test_what_is_no_sentence_is_not_said(content: object, autojump_clock: MockClock) -> None:
    voice = Voice()

    status, _ = await say(exchange(voice=voice), content)

    assert (status, voice.said) == (400, [])


async def test_a_sentence_that_cannot_be_said_is_told(autojump_clock: MockClock) -> None:
    status, told = await say(exchange(voice=Voice()), {"text": "unspeakable"})

    assert status == 502
    assert b"no such voice" in told


async def test_the_page_offers_each_line_once_and_as_text(autojump_clock: MockClock) -> None:
    shown = (await signed_in(exchange(voice=Voice())).ask("GET", "/console/phone")).text

    assert (shown.count("Hello."), shown.count("<b>"), shown.count("&lt;b&gt;Goodbye")) == (1, 0, 1)


async def test_the_page_of_a_real_service_has_a_microphone_and_nothing_to_type(autojump_clock: MockClock) -> None:
    shown = (await signed_in(exchange()).ask("GET", "/console/phone")).text

    assert 'id="microphone"' in shown
    assert 'id="mute"' in shown
    assert 'id="sentence"' not in shown


def test_the_page_has_a_sentence_for_every_name_that_its_modules_use() -> None:
    modules = [content.decode() for name, content in read_files().items() if name.startswith("phone/")]
    used = {name for text in modules for name in re.findall(r'(?:warn|say|cheer|Refused)\([^)]*?"([a-z_]+)"', text)}
    used -= {"running"}  # a state of the browser's
    used |= {name for text in modules for name in re.findall(r'Error: "([a-z_]+)"', text)}

    assert {"microphone_refused", "calling", "no_network"} <= used <= set(PHONE_TOLD)
