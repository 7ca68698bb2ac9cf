"""Every REST request that we send, and every answer of a simulator, is what the published OpenAPI documents know."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product

import httpx
import orjson
import pytest
import trio
from trio.testing import MockClock

from simulators.deepgram import SpeakSimulator
from simulators.deepgram.models import MODELS_PATH, listed_models
from simulators.scenario import Answers
from simulators.twilio.exchange import TwilioKnobs
from simulators.twilio.rest import TwilioSimulator
from tests.interop.differences import KNOWN
from tests.interop.oracle import SPECS, Difference, Source, read_spec
from tests.interop.rest import Recorder, RestOracle
from tests.simulators.twilio.far_end import ACCOUNT, ORIGIN, STREAM, TOKEN, FarEnd, greet_and_listen, line_open, plot
from web.clients.clips import SpeechClient, fetch_clips
from web.clients.twilio import CallOptions, TwilioApi, TwilioLine

pytestmark = pytest.mark.skipif(not SPECS.is_dir(), reason="the official specs are not beside the repository")

OURS, LEAD = "+15550009999", "+15551230000"
REDIRECTED = "<Response><Say>One moment.</Say></Response>"


def known_of(source: Source) -> set[Difference]:
    return {difference for difference in KNOWN if difference.source == source}


def found_by(oracle: RestOracle, recorder: Recorder) -> set[Difference]:
    return {difference for exchange in recorder.kept for difference in oracle.differences(*exchange)}


@asynccontextmanager
async def twilio() -> AsyncIterator[tuple[TwilioSimulator, Recorder, httpx.AsyncClient]]:
    far = FarEnd({"/twilio/voice": STREAM, "/after": "<Response/>"}, greet_and_listen)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(far)) as webhooks, trio.open_nursery() as nursery:
        knobs = TwilioKnobs(owned_numbers=frozenset({OURS, "+442071838750"}), voice_url=f"{ORIGIN}/twilio/voice")
        simulator = TwilioSimulator(plot(), webhooks, ACCOUNT, TOKEN, knobs, dial=far.dial)
        recorder = Recorder(httpx.ASGITransport(simulator))
        await nursery.start(simulator.run)
        async with httpx.AsyncClient(transport=recorder) as http:
            yield simulator, recorder, http
        nursery.cancel_scope.cancel(reason="test over")


async def test_twilios_openapi_knows_every_request_and_answer(autojump_clock: MockClock) -> None:
    async with twilio() as (simulator, recorder, http):
        api = TwilioApi(ACCOUNT, (ACCOUNT, TOKEN), "http://api.twilio.invalid", http)
        line = TwilioLine(OURS, ORIGIN, api)
        for detects, limit, records in product((False, True), (None, 600), (False, True)):
            sid = await line.place_call(LEAD, "order-1", CallOptions(detects, limit, records))
            for _ in range(3):  # queued, ringing, in progress
                await line.status_of(sid)
                await trio.sleep(1.0)
            await line.calls_to(LEAD, 3600)
            await line.redirect(sid, REDIRECTED)
            await line.hang_up(sid)
            await simulator.calls[sid].wait_over()
            await line.status_of(sid)
        await api.get("/Calls.json", {"To": LEAD, "StartTime>": "2026-11-22", "PageSize": 2})
        await api.get("/IncomingPhoneNumbers.json", {"PhoneNumber": OURS, "PageSize": 1})
        await api.get("/IncomingPhoneNumbers.json")

    assert {response.status_code for _, response in recorder.kept} == {200, 201}
    assert found_by(RestOracle.of("twilio", "twilio-calls-numbers.json"), recorder) == known_of("twilio")


@pytest.mark.parametrize("answers", ["human", "busy", "no-answer", "failed"])
async def test_callbacks_say_the_statuses_and_directions_of_the_resource(
    answers: Answers, autojump_clock: MockClock
) -> None:
    far = FarEnd({"/voice": STREAM, "/after": "<Response/>"}, greet_and_listen)
    async with line_open(far, plot(answers=answers)) as line:
        await (await line.order(Timeout="5")).wait_over()
    statuses = read_spec("twilio-calls-numbers.json")["components"]["schemas"]["call_enum_status"]["enum"]

    assert {form["CallStatus"] for form in (hook.form for hook in far.webhooks)} <= {*statuses, "initiated"}
    assert far.statuses()[-1] in statuses
    assert {hook.form["Direction"] for hook in far.webhooks} == {"outbound-api"}


async def test_deepgrams_openapi_knows_every_request_and_answer(autojump_clock: MockClock) -> None:
    recorder = Recorder(httpx.ASGITransport(SpeakSimulator()))
    async with httpx.AsyncClient(transport=recorder) as http:
        for speed, opts_out in product((None, 1.2), (False, True)):
            speech = SpeechClient("https://api.deepgram.invalid/v1/speak", "any", http, speed, opts_out)
            await fetch_clips(
                {}, [(voice, "One moment, please.") for voice in ("aura-2-mars-en", "flux-kit-en")], speech
            )
    listed = httpx.Response(200, json={"models": listed_models(())})
    recorder.kept.append((httpx.Request("GET", f"https://agent.deepgram.invalid{MODELS_PATH}"), listed))

    assert [response.status_code for _, response in recorder.kept] == [200] * 9
    assert found_by(RestOracle.of("openapi", "deepgram-openapi.yml"), recorder) == known_of("openapi")


@pytest.mark.parametrize(
    ("form", "place", "problem"),
    [
        ("To=%2B1&From=%2B2&Urls=x", "Urls", "extra"),
        ("From=%2B2", "To", "missing"),
        ("To=%2B1&From=%2B2&Timeout=soon", "Timeout", "type"),
        ("To=%2B1&From=%2B2&Record=True", "Record", "type"),
        ("To=%2B1&From=%2B2&Method=FETCH", "Method", "FETCH is not listed"),
    ],
)
def test_a_request_that_twilio_does_not_know_is_a_difference(form: str, place: str, problem: str) -> None:
    oracle = RestOracle.of("twilio", "twilio-calls-numbers.json")
    url = f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Calls.json"
    sent = httpx.Request("POST", url, content=form.encode())

    found = oracle.differences(sent, httpx.Response(400, content=orjson.dumps({})))

    assert Difference("twilio", "POST /Calls.json form", place, problem) in found
