"""The REST API: what is sent, what is sent again, and in which words a refusal comes back."""

import random
import subprocess
import sys
from collections.abc import Callable
from urllib.parse import parse_qs

import attrs
import httpx
import pytest
import trio
from trio.testing import MockClock

from web.clients.twilio import CallOptions, LineError, TwilioApi, TwilioLine

ACCOUNT = "AC" + "0" * 32
CALL = "CA" + "1" * 32
CREATED = {"sid": CALL, "status": "queued"}

Answer = httpx.Response | Exception


def refusal(status: int, code: int, **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"code": code, "message": f"refused {code}", "status": status}, headers=headers)


@attrs.define
class Api:
    """Twilio's REST API: answers in order, the last one for ever, and notes the requests."""

    answers: list[Answer]
    requests: list[httpx.Request] = attrs.field(factory=list)
    times: list[float] = attrs.field(factory=list)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        await trio.lowlevel.checkpoint()
        self.requests.append(request)
        self.times.append(trio.current_time())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, content=answer.content, headers=answer.headers)

    @property
    def form(self) -> dict[str, list[str]]:
        return parse_qs(self.requests[-1].content.decode(), keep_blank_values=True)

    def line(self) -> TwilioLine:
        http = httpx.AsyncClient(transport=httpx.MockTransport(self))
        api = TwilioApi(ACCOUNT, (ACCOUNT, "token"), "http://twilio.test:8125", http, random.Random(7))
        return TwilioLine("+15551230000", "https://agent.example.com", api)


def api(*answers: Answer) -> Api:
    return Api(list(answers) or [httpx.Response(201, json=CREATED)])


async def test_a_call_is_placed_with_our_addresses(autojump_clock: MockClock) -> None:
    there = api()

    assert await there.line().place_call("+15557650000", "order-1") == CALL
    assert str(there.requests[0].url) == f"http://twilio.test:8125/2010-04-01/Accounts/{ACCOUNT}/Calls.json"
    assert there.form == {
        "To": ["+15557650000"],
        "From": ["+15551230000"],
        "Url": ["https://agent.example.com/twilio/voice?order=order-1"],
        "StatusCallback": ["https://agent.example.com/twilio/status?order=order-1"],
        "StatusCallbackEvent": ["initiated", "ringing", "answered", "completed"],
        "MachineDetection": ["Enable"],
        "AsyncAmd": ["true"],
        "AsyncAmdStatusCallback": ["https://agent.example.com/twilio/amd"],
    }


async def test_requests_carry_the_accounts_credentials(autojump_clock: MockClock) -> None:
    there = api()
    await there.line().place_call("+15557650000", "order")

    assert there.requests[0].headers["authorization"].startswith("Basic ")


async def test_a_refusal_for_too_many_requests_is_tried_again(autojump_clock: MockClock) -> None:
    there = api(refusal(429, 20429), refusal(429, 20429), httpx.Response(201, json=CREATED))

    assert await there.line().place_call("+15557650000", "order") == CALL
    assert len(there.requests) == 3


async def test_twilio_says_how_long_to_wait(autojump_clock: MockClock) -> None:
    there = api(refusal(429, 20429, **{"Retry-After": "1.5"}), httpx.Response(201, json=CREATED))
    await there.line().place_call("+15557650000", "order")

    assert there.times[1] - there.times[0] == pytest.approx(1.5)


async def test_nobody_makes_us_wait_longer_than_five_seconds(autojump_clock: MockClock) -> None:
    there = api(refusal(429, 20429, **{"Retry-After": "3600"}), httpx.Response(201, json=CREATED))
    await there.line().place_call("+15557650000", "order")

    assert there.times[1] - there.times[0] == pytest.approx(5)


@pytest.mark.parametrize("asked", ["nan", "-inf", "inf", "tomorrow", "9" * 5000])
async def test_a_time_to_wait_that_is_none_is_not_waited_for(asked: str, autojump_clock: MockClock) -> None:
    there = api(refusal(429, 20429, **{"Retry-After": asked}), httpx.Response(201, json=CREATED))
    await there.line().place_call("+15557650000", "order")

    assert 0 <= there.times[1] - there.times[0] <= 5


async def test_four_refusals_are_enough(autojump_clock: MockClock) -> None:
    there = api(refusal(429, 20429))

    with pytest.raises(LineError) as refused:
        await there.line().place_call("+15557650000", "order")
    assert (refused.value.code, refused.value.maybe_done, len(there.requests)) == (20429, False, 4)


PROBLEM = {"type": "https://x", "title": "No", "status": 500, "code": 20500, "detail": "try later"}


@pytest.mark.parametrize(
    "answer",
    [
        *(httpx.Response(status, html="<h1>Bad</h1>") for status in (500, 502, 503)),
        refusal(500, 20500),
        refusal(503, 20503),
        httpx.Response(500, json=PROBLEM),
    ],
)
async def test_a_call_that_may_have_been_placed_is_never_placed_again(
    answer: httpx.Response, autojump_clock: MockClock
) -> None:
    there = api(answer)

    with pytest.raises(LineError) as failed:
        await there.line().place_call("+15557650000", "order")
    assert (failed.value.maybe_done, len(there.requests)) == (True, 1)


@pytest.mark.parametrize(
    ("failure", "maybe"),
    [
        (httpx.ReadTimeout("slow"), True),
        (httpx.RemoteProtocolError("cut"), True),
        (httpx.ConnectError("refused"), False),
        (httpx.ConnectTimeout("nobody"), False),
        (httpx.ProxyError("407 Proxy Authentication Required"), False),
    ],
)
async def test_a_request_that_was_lost_says_whether_the_call_may_ring(
    failure: Exception, maybe: bool, autojump_clock: MockClock
) -> None:
    there = api(failure)

    with pytest.raises(LineError) as failed:
        await there.line().place_call("+15557650000", "order")
    assert (failed.value.maybe_done, len(there.requests)) == (maybe, 1)


async def test_a_refusal_says_what_to_do(autojump_clock: MockClock) -> None:
    with pytest.raises(LineError) as refused:
        await api(refusal(400, 21219)).line().place_call("+15557650000", "order")

    assert (refused.value.reason, refused.value.code) == ("refused 21219", 21219)
    assert "trial account" in refused.value.fix


async def test_a_refusal_in_the_newer_form_is_understood(autojump_clock: MockClock) -> None:
    problem = {"type": "https://x", "title": "No", "status": 403, "code": 20008, "detail": "not here"}

    with pytest.raises(LineError) as refused:
        await api(httpx.Response(403, json=problem)).line().place_call("+15557650000", "order")
    assert (refused.value.reason, refused.value.code) == ("not here", 20008)


async def test_an_answer_that_is_not_json_is_an_error_like_others(autojump_clock: MockClock) -> None:
    with pytest.raises(LineError) as refused:
        await api(httpx.Response(201, text="hello")).line().place_call("+15557650000", "order")

    assert refused.value.maybe_done


async def test_a_call_is_hung_up(autojump_clock: MockClock) -> None:
    there = api(httpx.Response(200, json=CREATED))
    await there.line().hang_up(CALL)

    assert there.requests[0].url.path.endswith(f"/Calls/{CALL}.json")
    assert there.form == {"Status": ["completed"]}


async def test_a_call_is_sent_elsewhere(autojump_clock: MockClock) -> None:
    there = api(httpx.Response(200, json=CREATED))
    await there.line().redirect(CALL, "<Response/>")

    assert there.form == {"Twiml": ["<Response/>"]}


@pytest.mark.parametrize(("status", "code"), [(400, 21220), (404, 20404)])
@pytest.mark.parametrize("act", [TwilioLine.hang_up, lambda line, sid: line.redirect(sid, "<Response/>")])
async def test_a_call_that_is_over_already_is_no_error(
    act: Callable[[TwilioLine, str], object], status: int, code: int, autojump_clock: MockClock
) -> None:
    there = api(refusal(status, code))

    await act(there.line(), CALL)  # type: ignore[misc]

    assert len(there.requests) == 1


@pytest.mark.parametrize("answer", [refusal(401, 20003), httpx.ConnectError("refused"), httpx.Response(200, text="x")])
async def test_a_hang_up_that_fails_is_said(answer: Answer, autojump_clock: MockClock) -> None:
    with pytest.raises(LineError) as failed:
        await api(answer).line().hang_up(CALL)
    assert not failed.value.maybe_done


async def test_twilio_is_asked_how_a_call_goes(autojump_clock: MockClock) -> None:
    assert await api(httpx.Response(200, json={"sid": CALL, "status": "busy"})).line().status_of(CALL) == "busy"


async def test_a_call_that_twilio_does_not_know_has_no_status(autojump_clock: MockClock) -> None:
    assert await api(refusal(404, 20404)).line().status_of(CALL) is None


@pytest.mark.parametrize("answer", [refusal(401, 20003), httpx.ConnectError("refused")])
async def test_a_status_that_cannot_be_had_is_said(answer: Answer, autojump_clock: MockClock) -> None:
    with pytest.raises(LineError):
        await api(answer).line().status_of(CALL)


async def test_a_request_can_be_cancelled(autojump_clock: MockClock) -> None:
    there = api(refusal(429, 20429, **{"Retry-After": "4"}))

    with trio.move_on_after(1) as patience:
        await there.line().hang_up(CALL)
    assert patience.cancelled_caught


@pytest.mark.slow
def test_a_server_is_imported_without_what_it_does_not_use() -> None:
    """Each of these is megabytes of a process that does not use it."""
    program = "import sys, server; sys.exit(bool({'aiohttp', 'requests', 'twilio.rest', 'psycopg'} & set(sys.modules)))"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0  # noqa: S603 - our own words


async def test_what_is_ordered_besides_is_told_in_twilios_words(autojump_clock: MockClock) -> None:
    there = api()
    await there.line().place_call("+15557650000", "OR1", CallOptions(False, 180, records=True))

    form = there.form
    assert (form["TimeLimit"], form["Record"], form["RecordingChannels"]) == (["180"], ["true"], ["dual"])
    assert "MachineDetection" not in form


async def test_calls_to_somebody_are_listed_from_a_moment_on_by_twilios_clock(autojump_clock: MockClock) -> None:
    def made(sid: str, at: str) -> dict[str, object]:
        return {**CREATED, "sid": sid, "date_created": f"Wed, 25 Nov 2026 {at} +0000"}

    later, earlier = "CA" + "2" * 32, "CA" + "1" * 32
    page = {"calls": [made(later, "12:00:05"), made(earlier, "11:59:00")], "page": 0, "next_page_uri": None}
    there = api(httpx.Response(200, json=page, headers={"Date": "Wed, 25 Nov 2026 12:00:30 GMT"}))

    found = await there.line().calls_to("+15557650000", 60.0)

    assert found == [later]
    assert (there.requests[0].url.params["To"], there.requests[0].url.params["From"]) == (
        "+15557650000",
        "+15551230000",
    )


async def test_a_list_that_is_not_to_be_had_is_told(autojump_clock: MockClock) -> None:
    with pytest.raises(LineError, match="cannot be reached"):
        await api(httpx.ConnectError("refused")).line().calls_to("+15557650000", 60.0)


@pytest.mark.parametrize("sid", [None, "", 5, "CA1", "../../x", CALL + "\n", [CALL], {"sid": CALL}])
async def test_a_call_whose_sid_is_none_may_ring_all_the_same(sid: object, autojump_clock: MockClock) -> None:
    with pytest.raises(LineError) as failed:
        await api(httpx.Response(201, json={"sid": sid, "status": "queued"})).line().place_call("+15557650000", "OR1")
    assert failed.value.maybe_done


@pytest.mark.parametrize("page", [{}, {"calls": None}, {"calls": {}}, {"calls": ["x"]}, {"calls": [CREATED, {}]}])
async def test_a_list_that_is_none_tells_of_no_call(page: object, autojump_clock: MockClock) -> None:
    with pytest.raises(LineError, match="no list of calls"):
        await api(httpx.Response(200, json=page)).line().calls_to("+15557650000", 60.0)


@pytest.mark.parametrize("call", [{}, {"status": None}, {"status": 5}, {"status": ["busy"]}])
async def test_a_call_without_a_status_has_none_that_is_known(call: object, autojump_clock: MockClock) -> None:
    with pytest.raises(LineError, match="no call"):
        await api(httpx.Response(200, json=call)).line().status_of(CALL)
