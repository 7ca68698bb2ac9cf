"""The platform is told the truth about this worker, and nothing about its callers."""

import pytest
import trio
from trio.testing import MockClock

from store.fleet.shared import START_SECONDS
from tests.web.fakes import CALL_SID, LEAD, exchange, voice_form


async def test_a_worker_that_answers_is_alive(autojump_clock: MockClock) -> None:
    async with exchange().client() as client:
        assert (await client.get("/healthz")).json() == {"alive": True}


async def test_a_worker_with_a_free_line_is_ready(autojump_clock: MockClock) -> None:
    async with exchange(MAX_CALLS="3").client() as client:
        answer = await client.get("/readyz")

    assert (answer.status_code, answer.json()) == (200, {"ready": True, "draining": False, "calls": 0, "capacity": 3})


async def test_a_full_worker_is_alive_and_not_ready(autojump_clock: MockClock) -> None:
    there = exchange(MAX_CALLS="1")
    async with there.client() as client:
        with there.slots.take("call"):
            assert [(await client.get(path)).status_code for path in ("/readyz", "/healthz")] == [503, 200]


async def test_a_draining_worker_is_not_ready(autojump_clock: MockClock) -> None:
    there = exchange()
    there.slots.drain()
    async with there.client() as client:
        answer = await client.get("/readyz")

    assert (answer.status_code, answer.json()["draining"]) == (503, True)


async def test_a_worker_whose_database_has_not_answered_yet_is_not_ready(autojump_clock: MockClock) -> None:
    there = exchange()
    there.slots.fleet._starts_until = trio.current_time() + START_SECONDS
    async with there.client() as client:
        before = await client.get("/readyz")
        await trio.sleep(START_SECONDS)
        after = await client.get("/readyz")

    assert (before.status_code, before.json()["ready"], after.status_code) == (503, False, 200)


async def test_metrics_are_prometheus_text_without_names(autojump_clock: MockClock) -> None:
    there = exchange(MAX_CALLS="3")
    await there.twilio("/twilio/voice", voice_form())
    async with there.client() as client:
        await client.post("/twilio/voice")
    answer = await there.operator("GET", "/metrics")

    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'switchboard_refused_total{why="unsigned_webhook"} 1.0' in answer.text
    assert "switchboard_calls_capacity 3.0" in answer.text
    assert "\nswitchboard_tasks " in answer.text
    assert 'switchboard_http_requests_total{method="POST",route="/twilio/voice",status="403"} 1.0' in answer.text
    assert LEAD not in answer.text
    assert CALL_SID not in answer.text


async def test_what_has_no_route_is_counted_under_none(autojump_clock: MockClock) -> None:
    there = exchange()
    async with there.client() as client:
        await client.get(f"/calls-of/{LEAD}")
        await client.request("BREW", "/coffee")
    text = (await there.operator("GET", "/metrics")).text

    assert 'switchboard_http_requests_total{method="none",route="none",status="404"} 2.0' in text
    assert LEAD not in text


@pytest.mark.parametrize("path", ["/call", "/calls/", "/twilio/voice/", "/nowhere"])
async def test_a_path_that_is_not_there_is_answered_with_those_that_are(path: str) -> None:
    async with exchange().client() as client:
        answered = await client.get(path)

    assert answered.status_code == 404
    for route in ("POST /calls", "GET /calls", "GET /calls/<name>", "DELETE /calls/<name>", "GET /healthz"):
        assert route in answered.json()["fix"], answered.json()
    assert "/console" not in answered.json()["fix"]  # its pages are for browsers, which get a page
