"""A function that asks an HTTP service: arguments go where they belong, and what goes wrong is told to the model."""

import math
import re
import sys
from datetime import date
from enum import Enum
from pathlib import Path

import attrs
import httpx
import orjson
import pytest
import trio
from trio.testing import MockClock

from agents.context import CallContext
from agents.functions import MAYBE_DONE, Answer, FunctionFailed, FunctionSpec
from agents.http_function import http_function
from agents.roster import RosterError, refuse_unfit, roster_from
from agents.spec import AS_THE_SERVER


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


@attrs.frozen
class Order:
    number: str
    size: Size = Size.SMALL
    day: date | None = None


def order(url: str = "https://shop.test/orders/{number}", **changes: object) -> FunctionSpec:
    return http_function("find_order", "Finds an order.", url, arguments=Order, **changes)  # type: ignore[arg-type]


@attrs.define
class Service:
    """Notes what it is asked, and answers this."""

    answer: httpx.Response = attrs.field(factory=lambda: httpx.Response(200, json={"state": "sent"}))
    asked: list[httpx.Request] = attrs.field(factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return self.answer


async def ask(spec: FunctionSpec, sent: dict[str, object], service: Service, **env: str) -> object:
    async with httpx.AsyncClient(transport=httpx.MockTransport(service)) as http:
        outcome = await spec.handler(
            spec.parse(orjson.dumps(sent).decode()), CallContext("CA1", "desk", env=env, http=http)
        )
    assert isinstance(outcome, Answer)
    return outcome.content


async def failure(spec: FunctionSpec, sent: dict[str, object], service: Service, **env: str) -> str:
    with pytest.raises(FunctionFailed) as failed:
        await ask(spec, sent, service, **env)
    return failed.value.says


async def test_arguments_take_their_places_and_the_rest_is_the_query(autojump_clock: MockClock) -> None:
    service = Service()

    content = await ask(order(), {"number": "A 17/b?c", "day": "2027-03-24"}, service)

    assert content == {"state": "sent"}
    assert str(service.asked[0].url) == "https://shop.test/orders/A%2017%2Fb%3Fc?size=small&day=2027-03-24"


async def test_what_is_no_get_sends_json_and_waits_for_the_end_of_the_turn(
    autojump_clock: MockClock,
) -> None:
    service, spec = Service(), order(method="POST")

    await ask(spec, {"number": "A17", "size": "LARGE"}, service)

    assert (service.asked[0].method, orjson.loads(service.asked[0].content)) == ("POST", {"size": "large"})
    assert spec.defer_until_eot
    assert not order().defer_until_eot


SHOP = """\
import attrs
from agents.functions import END_CONVERSATION
from agents.http_function import http_function
from agents.spec import AgentSpec
find = http_function(
    "find", "Finds.", "{SHOP_URL}/find", arguments=attrs.make_class("Empty", []), headers={"X": "{SHOP_KEY}"}
)
AGENT = AgentSpec("desk", "desk", "You help.", "Hello.", "aura-2-luna-en", (find, END_CONVERSATION))
ROSTER = (AGENT,)
"""


@pytest.mark.parametrize(
    ("more", "environ", "told"),
    [
        ("ENV_PREFIX = 'SHOP_'", {"SHOP_URL": "https://shop.test"}, ["{SHOP_KEY} is missing: set it"]),
        ("ENV_PREFIX = 'SHOP_'", {"SHOP_KEY": " "}, ["{SHOP_URL} is missing: set it", "{SHOP_KEY} is missing: set it"]),
        ("ENV_PREFIX = 'MY_'", {"SHOP_URL": "https://shop.test", "SHOP_KEY": "x"}, ["no ENV_PREFIX"] * 2),
        ("", {"SHOP_URL": "https://shop.test", "SHOP_KEY": "x"}, ["no ENV_PREFIX"] * 2),
        ("ENV_PREFIX = 'SHOP_'", {"SHOP_URL": "https://shop.test", "SHOP_KEY": "x"}, []),
    ],
)
def test_a_setting_that_a_function_would_miss_on_a_call_is_told_at_the_start(
    more: str, environ: dict[str, str], told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "shop_by_http", raising=False)
    (tmp_path / "shop_by_http.py").write_text(SHOP + more)
    roster = roster_from(["shop_by_http"])

    try:
        refuse_unfit(roster, AS_THE_SERVER, environ)
        problems = []
    except RosterError as refused:
        problems = [str(problem) for problem in refused.problems]

    assert [says in problem for says, problem in zip(told, problems, strict=True)] == [True] * len(told)
    assert all(problem.startswith("agent 'desk': functions.find: {SHOP_") for problem in problems)


async def test_settings_fill_the_address_and_the_headers(autojump_clock: MockClock) -> None:
    service = Service()
    spec = order("{SHOP_URL}/orders/{number}", headers={"Authorization": "Bearer {SHOP_KEY}"})

    await ask(spec, {"number": "A17"}, service, SHOP_URL="https://shop.test/v1/", SHOP_KEY="s3cret")

    assert service.asked[0].url.path == "/v1/orders/A17"
    assert service.asked[0].headers["authorization"] == "Bearer s3cret"
    assert await failure(spec, {"number": "A17"}, service, SHOP_KEY="s3cret") == "find_order is not set up."


ODD_NUMBERS = [
    *("..", ".", "...", "../../admin", "@evil.test", "//evil.test", "\\evil.test", ":80@evil.test/", "%2e%2e"),
    *("a\r\nX: y", "?x=1", "#x", "{SHOP_KEY}"),
]


@pytest.mark.parametrize("number", ODD_NUMBERS)
async def test_no_argument_changes_the_host_or_the_folder_that_is_asked(number: str, autojump_clock: MockClock) -> None:
    service = Service()
    with trio.move_on_after(1):
        try:
            await ask(order(), {"number": number}, service)
        except FunctionFailed:
            assert service.asked == []

    for request in service.asked:
        assert request.url.host == "shop.test"
        assert request.url.raw_path.partition(b"?")[0].startswith(b"/orders/")
        assert request.url.raw_path.partition(b"?")[0].count(b"/") == 2


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://{number}.shop.test/", "begin with https://HOST/"),
        ("https://shop.test{number}", "begin with https://HOST/"),
        ("{number}://shop.test/", "begin with https://HOST/"),
        ("{SHOP_URL}{number}", "begin with https://HOST/"),
        ("https://{number}@shop.test/", "begin with https://HOST/"),
        ("ftp://shop.test/", "begin with https://HOST/"),
        ("/orders/{number}", "begin with https://HOST/"),
        ("https://shop.test/{nmber}", "{nmber} is no argument of Order"),
        ("https://shop.test:99999/", "has no host that can be asked"),
        ("https://[::1/", "has no host that can be asked"),
    ],
)
def test_an_address_that_an_argument_could_change_is_refused(url: str, told: str) -> None:
    with pytest.raises(ValueError, match="url: ") as refused:
        order(url)

    assert told in str(refused.value)


@pytest.mark.parametrize("blank", ["{number!s}", "{number:>9}", "{number!r:{size}}"])
def test_a_blank_is_a_name_and_nothing_else(blank: str) -> None:
    with pytest.raises(ValueError, match="is no argument of Order"):
        order(f"https://shop.test/orders/{blank}/state")


@pytest.mark.parametrize("changes", [{"method": "get"}, {"method": "HEAD"}, {"timeout": 0}, {"timeout": math.nan}])
def test_a_method_or_a_time_that_no_request_has_is_refused(changes: dict[str, object]) -> None:
    (name,) = changes

    with pytest.raises(ValueError, match=f"{name}: .* is not "):
        order(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"headers": {"X-Order": "{number}"}}, "headers: {number} is no setting: no argument is sent in a header"),
        ({"headers": {"X Order": "1"}}, "headers: 'X Order' is no name of a header"),
        ({"headers": {"": "1"}}, "headers: '' is no name of a header"),
        ({"headers": {"X-Order": "Größe"}}, "headers: the value of X-Order has a letter beyond ASCII"),
        ({"headers": {"X-Order": "1\r\nHost: evil.test"}}, "headers: the value of X-Order has a letter beyond"),
        ({"headers": {"X-Order": 1}}, "headers: {'X-Order': 1} is no dict of texts"),
        ({"facts": {"state": 1}}, "facts: {'state': 1} is no dict of texts"),
        ({"facts": ["state"]}, "facts: ['state'] is no dict of texts"),
        ({"headers": "X-Order: 1"}, "headers: 'X-Order: 1' is no dict of texts"),
        ({"timeout": "5"}, "timeout: '5' is not more than 0 seconds"),
        ({"url": "https://a.example/{"}, "url: 'https://a.example/{' cannot be read: Single '{'"),
    ],
)
def test_what_no_request_can_have_is_refused(changes: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        order(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("env", "told"),
    [
        ({"SHOP_KEY": "s3cret\n"}, "find_order is not set up."),
        ({"SHOP_KEY": "s3crét"}, "find_order is not set up."),
        ({"SHOP_URL": "https://shop.test:a"}, "The service of find_order cannot be reached."),
        ({"SHOP_URL": "https://xn--a.test"}, "The service of find_order cannot be reached."),
    ],
)
async def test_a_setting_that_no_request_can_have_is_told(
    env: dict[str, str], told: str, autojump_clock: MockClock
) -> None:
    spec = order("{SHOP_URL}/orders/{number}", headers={"Authorization": "{SHOP_KEY}"})
    service = Service()

    assert told == await failure(
        spec, {"number": "A17"}, service, **{"SHOP_URL": "https://shop.test", "SHOP_KEY": "k", **env}
    )
    assert service.asked == []


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (httpx.Response(404), "The service of find_order answered 404 Not Found."),
        (httpx.Response(503), "The service of find_order answered 503 Service Unavailable."),
        (
            httpx.Response(302, headers={"Location": "http://10.0.0.1/"}),
            "The service of find_order answered 302 Found.",
        ),
        (httpx.Response(200, html="<p>hi"), "The service answered something that cannot be read."),
        (httpx.Response(200, content=b"1" * 70_000), "The service of find_order answered more than can be told."),
    ],
)
async def test_what_goes_wrong_is_told_to_the_model(
    answer: httpx.Response, told: str, autojump_clock: MockClock
) -> None:
    service = Service(answer)

    assert await failure(order(), {"number": "A17"}, service) == told
    assert len(service.asked) == 1


@pytest.mark.parametrize(
    ("answer", "content"),
    [
        (httpx.Response(200, json=[1, 2]), [1, 2]),
        (httpx.Response(200, text="null"), None),
        (httpx.Response(204), {"done": True}),
        (httpx.Response(200, text="on its way"), "on its way"),
        (httpx.Response(200, content=b'\xef\xbb\xbf{"state": "sent"}'), {"state": "sent"}),
        (
            httpx.Response(
                200, content='{"town": "Köln"}'.encode("latin-1"), headers={"Content-Type": "a/json; charset=latin-1"}
            ),
            {"town": "Köln"},
        ),
        (
            httpx.Response(200, content=b"K\xf6ln", headers={"Content-Type": "text/plain; charset=ISO-8859-1"}),
            "Köln",
        ),
        (httpx.Response(200, content=b"[1]", headers={"Content-Type": "a/json; charset=nothing"}), [1]),
    ],
)
async def test_any_json_is_an_answer(answer: httpx.Response, content: object, autojump_clock: MockClock) -> None:
    assert await ask(order(), {"number": "A17"}, Service(answer)) == content


async def test_a_service_that_is_slow_or_away_is_told(autojump_clock: MockClock) -> None:
    async def hang(_: httpx.Request) -> httpx.Response:
        await trio.sleep_forever()
        raise AssertionError

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    def hang_up(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("hung up", request=request)

    def know_no_scheme(request: httpx.Request) -> httpx.Response:
        raise httpx.UnsupportedProtocol("no http:// or https://", request=request)

    def break_down(_: httpx.Request) -> httpx.Response:
        return httpx.Response(502)

    for method, unsure in (("GET", [False] * 5), ("POST", [True, False, False, True, True])):
        spec, said = order(method=method, timeout=2.0), list[str]()
        for answers in (hang, refuse, know_no_scheme, hang_up, break_down):
            async with httpx.AsyncClient(transport=httpx.MockTransport(answers)) as http:
                with pytest.raises(FunctionFailed) as failed:
                    await spec.handler(Order("A17"), CallContext("CA1", "desk", http=http))
            said.append(failed.value.says)

        told = ["did not answer within 2 s", *["cannot be reached"] * 3, "answered 502 Bad Gateway"]
        assert all(one in words for one, words in zip(told, said, strict=True))
        assert [words.endswith(MAYBE_DONE) for words in said] == unsure


@pytest.mark.parametrize(
    "answer", [httpx.Response(200, html="<p>hi"), httpx.Response(201, content=b"1" * 70_000), httpx.Response(204)]
)
async def test_what_a_service_has_done_is_done_whatever_it_says(
    answer: httpx.Response, autojump_clock: MockClock
) -> None:
    assert await ask(order(method="POST"), {"number": "A17"}, Service(answer)) == {"done": True}


async def test_facts_are_kept_by_the_keys_of_the_answer(autojump_clock: MockClock) -> None:
    service = Service(
        httpx.Response(200, json={"state": "sent", "day": None, "count": 2, "ok": True, "in": ["A", None]})
    )
    spec = order(
        facts={"order_state": "state", "day": "day", "boxes": "count", "more": "nothing", "paid": "ok", "parts": "in"}
    )
    async with httpx.AsyncClient(transport=httpx.MockTransport(service)) as http:
        outcome = await spec.handler(Order("A17"), CallContext("CA1", "desk", http=http))

    assert isinstance(outcome, Answer)
    assert outcome.facts == {"order_state": "sent", "boxes": "2", "paid": "true", "parts": '["A",null]'}
