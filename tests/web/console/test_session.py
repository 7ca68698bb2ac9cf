"""Unsigned visitors get nothing of the console, and a page of another site can do nothing in a signed-in browser."""

import hmac
from html import unescape
from http.cookies import SimpleCookie

import pytest
from structlog.testing import capture_logs
from trio.testing import MockClock

from tests.web.console.visitors import CONSOLE, Visitor, signed_in, target_of
from tests.web.fakes import API_TOKEN, CALL_SID, ORIGIN, at_home, exchange, record, settings
from web.console.rendering import PHONE_TOLD, TEXT
from web.console.session import CSRF_FIELD, LIFETIME, Sessions, is_own_request, local_path

HERE = "http://127.0.0.1:8000"


@pytest.mark.parametrize("route", CONSOLE, ids=" ".join)
async def test_a_console_route_answers(route: tuple[str, str], autojump_clock: MockClock) -> None:
    method, target = route[0], target_of(route[1])
    there = exchange()
    await there.records.save(record())
    right = signed_in(there)
    name, value = next(iter(right.cookies.items()))
    wrong = Visitor(there, {name: f"{value[:-1]}{'0' if value[-1] != '0' else '1'}"}, csrf=right.csrf)
    csrf = {CSRF_FIELD: right.csrf} if method == "POST" else {}

    answers = [
        await Visitor(there).ask(method, target, **csrf),
        await wrong.ask(method, target, **csrf),
        await signed_in(there).ask(method, target),
        await right.ask(method, target, **csrf),
    ]

    assert tuple(answer.status_code for answer in answers) == CONSOLE[route]


async def test_the_token_makes_a_session_and_the_page_that_was_wanted_comes_next(autojump_clock: MockClock) -> None:
    visitor = Visitor(exchange())
    wanted = await visitor.ask("GET", "/?q=sale")
    answer = await visitor.ask("POST", "/console/sign-in", token=API_TOKEN, next="/?q=sale")
    cookie = next(iter(SimpleCookie(answer.headers["set-cookie"]).values()))

    assert wanted.status_code == 401
    assert 'name="next" value="/?q=sale"' in wanted.text
    assert (answer.status_code, answer.headers["location"]) == (303, "/?q=sale")
    assert (cookie["secure"], cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, True, "Strict", "/")
    assert cookie.key.startswith("__Host-")
    assert (await visitor.ask("GET", "/")).status_code == 200


@pytest.mark.parametrize("token", ["", "wrong", API_TOKEN[:-1], f"{API_TOKEN}x", API_TOKEN.upper(), "ü", "a" * 5000])
async def test_a_wrong_token_makes_none(token: str, autojump_clock: MockClock) -> None:
    visitor = Visitor(exchange())
    answer = await visitor.ask("POST", "/console/sign-in", token=token)

    assert (answer.status_code, visitor.cookies) == (401, {})
    assert 'role="alert"' in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_guesses_are_slowed_down_and_the_operator_still_gets_in(autojump_clock: MockClock) -> None:
    there = exchange()
    guesses = [await Visitor(there).ask("POST", "/console/sign-in", token=f"guess-{index}") for index in range(40)]
    answer = await Visitor(there).ask("POST", "/console/sign-in", token=API_TOKEN)

    assert [guess.status_code for guess in guesses] == [401] * 30 + [429] * 10
    assert answer.status_code == 303


async def test_the_token_is_compared_in_constant_time(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    seen, real = list[tuple[int, int]](), hmac.compare_digest

    def compared(one: bytes, other: bytes) -> bool:
        seen.append((len(one), len(other)))
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", compared)
    for token in ("", "w", API_TOKEN, API_TOKEN * 3):
        await Visitor(exchange()).ask("POST", "/console/sign-in", token=token)

    assert len(seen) == 4
    assert set(seen) == {(32, 32)}


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_another_site_cannot_sign_a_browser_in(site: str, autojump_clock: MockClock) -> None:
    visitor = Visitor(exchange(), headers={"Sec-Fetch-Site": site})
    answer = await visitor.ask("POST", "/console/sign-in", token=API_TOKEN)

    assert (answer.status_code, visitor.cookies) == (401, {})


async def test_a_csrf_token_is_good_for_its_own_session_only(autojump_clock: MockClock) -> None:
    there = exchange()
    one, other = signed_in(there), signed_in(there)
    one.csrf, other.csrf = other.csrf, one.csrf

    assert (await one.send("/console/sign-out")).status_code == 403


@pytest.mark.parametrize(
    ("accept", "content_type", "says"),
    [("text/html", "text/html; charset=utf-8", TEXT["stale_hint"]), ("*/*", "application/json", "CSRF")],
    ids=["a form", "a module"],
)
async def test_a_form_of_another_session_is_answered_with_a_page(
    accept: str, content_type: str, says: str, autojump_clock: MockClock
) -> None:
    """One signs out and in again in one tab, and sends a form of the other."""
    visitor = signed_in(exchange())
    visitor.csrf, visitor.headers["Accept"] = "another", accept
    answer = await visitor.send(f"/console/calls/{CALL_SID}/erase")

    assert (answer.status_code, answer.headers["content-type"], says in answer.text) == (403, content_type, True)


FORMS = {
    f"/console/calls/{CALL_SID}/erase": f"/console/calls/{CALL_SID}?numbers=shown",
    "/console/campaigns/spring/pause": "/console/campaigns",
}


@pytest.mark.parametrize("target", FORMS)
async def test_a_form_whose_session_is_over_says_that_nothing_was_changed_and_leads_back_to_its_page(
    target: str, autojump_clock: MockClock
) -> None:
    """Else the operator would take a call for erased, or a campaign for paused."""
    visitor = Visitor(exchange())
    visitor.headers["Referer"] = f"{ORIGIN}{FORMS[target]}"
    answer = await visitor.send(target)

    assert answer.status_code == 401
    assert TEXT["signed_out"] in answer.text
    assert f'name="next" value="{FORMS[target]}"' in answer.text


@pytest.mark.parametrize("referrer", ["", "-", "https://[", f"{ORIGIN}//evil.example/", "https://evil.example"])
async def test_the_page_of_a_form_is_one_of_ours(referrer: str, autojump_clock: MockClock) -> None:
    visitor = Visitor(exchange())
    visitor.headers["Referer"] = referrer
    answer = await visitor.send("/console/campaigns/spring/pause")

    assert (answer.status_code, 'name="next" value="/"' in answer.text) == (401, True)


async def test_signing_out_twice_is_no_change_that_was_not_made(autojump_clock: MockClock) -> None:
    assert TEXT["signed_out"] not in (await Visitor(exchange()).send("/console/sign-out")).text


async def test_signing_out_ends_the_session_in_the_browser(autojump_clock: MockClock) -> None:
    visitor = signed_in(exchange())
    answer = await visitor.send("/console/sign-out")

    assert (answer.status_code, answer.headers["location"]) == (303, "/console/sign-in")
    assert (await visitor.ask("GET", "/")).status_code == 401


def test_a_session_ends_after_its_lifetime_and_with_the_token() -> None:
    now = 1e9
    mine = settings()
    sessions = Sessions(Sessions.of(mine).key, secure=True, now=lambda: now)
    value = sessions.issue()
    later, other = Sessions.of(mine), Sessions.of(settings(API_TOKEN="another-long-text"))

    assert sessions.read(value) is not None
    assert later.read(later.issue()) is not None
    assert other.read(later.issue()) is None
    now += LIFETIME
    assert sessions.read(value) is None


@pytest.mark.parametrize("seconds", [-3600, -2, 3600])
def test_a_session_goes_on_though_the_clock_is_set_or_is_another_workers(seconds: float) -> None:
    now = 1e9
    sessions = Sessions(Sessions.of(settings()).key, secure=True, now=lambda: now)
    value = sessions.issue()

    now += seconds

    assert sessions.read(value) is not None


@pytest.mark.parametrize("value", ["", ".", "..", "a.b.c", "x" * 5000, "é.1.2", "a.99999999999.", "\ud800.1.2"[1:]])
def test_what_is_no_session_is_none(value: str) -> None:
    assert Sessions.of(settings()).read(value) is None


def test_a_websocket_shows_its_session_in_a_header() -> None:
    sessions = Sessions.of(settings())
    value = sessions.issue()

    assert sessions.of_header(f"a=b; {sessions.cookie}={value}") == sessions.read(value)
    assert sessions.of_header("a=b") is sessions.of_header("") is sessions.of_header("\0;=;") is None


@pytest.mark.parametrize("path", ["//evil.example", "https://evil.example", "/\\evil.example", "", "\t/x", "/a\nb"])
def test_nobody_is_sent_away_after_signing_in(path: str) -> None:
    assert local_path(path) == "/"


def test_own_requests_are_known_by_what_browsers_say() -> None:
    assert is_own_request({"sec-fetch-site": "same-origin", "origin": HERE}, "127.0.0.1:8000")
    assert is_own_request({"sec-fetch-site": "none"}, "127.0.0.1:8000")
    assert is_own_request({}, "127.0.0.1:8000")
    assert not is_own_request({"sec-fetch-site": "same-site"}, "127.0.0.1:8000")
    assert not is_own_request({"origin": "http://127.0.0.1:3000"}, "127.0.0.1:8000")


@pytest.mark.parametrize(
    ("public", "origin", "is_own"),
    [
        ("https://agent.example.com", "https://agent.example.com", True),
        ("https://Agent.example.com:443", "https://agent.example.com", True),
        ("https://agent.example.com:8443", "https://agent.example.com:8443", True),
        ("https://agent.example.com", "http://agent.example.com", False),
        ("https://agent.example.com", "https://agent.example.com.evil.example", False),
        ("https://agent.example.com", "null", False),
        ("https://agent.example.com", "http://[", False),
        ("", "", False),
    ],
)
def test_behind_a_proxy_that_writes_its_own_host_our_pages_are_those_of_the_public_address(
    public: str, origin: str, is_own: bool
) -> None:
    for host in ("10.0.0.7:8000", "switchboard", ""):
        assert is_own_request({"origin": origin, "sec-fetch-site": "same-origin"}, host, public) is is_own
    assert not is_own_request({"origin": origin, "sec-fetch-site": "cross-site"}, "10.0.0.7:8000", public)


async def test_an_operator_signs_in_through_a_proxy_that_writes_its_own_host(autojump_clock: MockClock) -> None:
    there, statuses = exchange(), []
    with capture_logs() as lines:
        for origin in (ORIGIN, "https://console.example.com"):
            async with there.client() as client:
                form, headers = {"token": API_TOKEN}, {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
                answer = await client.post("/console/sign-in", data=form, headers=headers)
                statuses.append(answer.status_code)

    assert statuses == [303, 401]
    assert PHONE_TOLD["other_address"] in unescape(answer.text)  # the token is right
    assert ["Host header" in line["fix"] for line in lines if line["event"] == "sign_in_refused"] == [True]


@pytest.mark.parametrize("pasted", [f" {API_TOKEN}", f"{API_TOKEN}\t", f"{API_TOKEN} \r\n"])
async def test_a_token_is_pasted_with_what_was_copied_around_it(pasted: str, autojump_clock: MockClock) -> None:
    async with exchange().client() as client:
        assert (await client.post("/console/sign-in", data={"token": pasted})).status_code == 303


# Without a token


async def test_without_a_token_a_browser_of_this_machine_gets_a_session(autojump_clock: MockClock) -> None:
    visitor = Visitor(at_home(), origin=HERE, headers={"Accept": "text/html", "Sec-Fetch-Site": "none"})
    page = await visitor.ask("GET", "/")

    assert page.status_code == 200
    assert "Secure" not in page.headers["set-cookie"]
    assert visitor.cookies.keys() == {"switchboard"}
    assert (await visitor.ask("POST", "/console/sign-out")).status_code == 403
    assert (await visitor.send("/console/sign-out")).status_code == 303


@pytest.mark.parametrize(
    ("origin", "headers"),
    [
        ("http://evil.example", {}),
        (ORIGIN, {}),
        (HERE, {"Sec-Fetch-Site": "cross-site"}),
        (HERE, {"Sec-Fetch-Site": "same-site"}),
        (HERE, {"Origin": "https://evil.example"}),
    ],
)
async def test_without_a_token_nobody_else_gets_one(
    origin: str, headers: dict[str, str], autojump_clock: MockClock
) -> None:
    there = at_home()
    stranger = Visitor(there, origin=origin, headers=headers)
    robbed = Visitor(there, signed_in(there).cookies, origin, headers)

    assert [(await one.ask("GET", "/")).status_code for one in (stranger, robbed)] == [401, 401]
    assert not stranger.cookies


async def test_a_page_behind_a_proxy_that_writes_another_host_is_told_so(autojump_clock: MockClock) -> None:
    visitor = Visitor(at_home(), origin=HERE, headers={"Accept": "text/html", "Sec-Fetch-Site": "none"})
    await visitor.ask("GET", "/console/phone")
    proxied = {"Accept": "*/*", "Origin": "http://127.0.0.1:8790", "Sec-Fetch-Site": "same-origin"}
    visitor.headers = proxied

    refused = await visitor.ask("POST", "/console/phone/token")

    assert (refused.status_code, refused.json()["word"]) == (401, "other_address")
    assert "Host header" in refused.json()["fix"]
