"""The Calls resource over HTTP, in memory."""

import attrs
import httpx
import pytest
import trio
from trio.testing import MockClock

from simulators.twilio import rest
from simulators.twilio.exchange import TwilioKnobs
from simulators.twilio.rest import TwilioSimulator
from simulators.twilio.serving import serve_twilio
from tests.simulators.twilio.far_end import ACCOUNT, ORIGIN, STREAM, TOKEN, FarEnd, greet_and_listen, line_open, plot

SAY = "<Response><Say>Hi.</Say></Response>"


async def test_a_created_call_has_every_key_of_the_resource(autojump_clock: MockClock) -> None:
    async with line_open(FarEnd({"/voice": SAY})) as line:
        await trio.sleep(60.0)
        response = await line.post("Calls.json", To="+15551230000", From="+15550009999", Url=f"{ORIGIN}/voice")

    call = response.json()
    assert response.status_code == 201
    assert call["sid"].startswith("CA")
    assert len(call["sid"]) == 34
    assert call["date_created"] == "Sun, 22 Nov 2026 09:01:00 +0000"
    assert {key: call[key] for key in ("status", "direction", "to", "from", "to_formatted", "duration")} == {
        "status": "queued",
        "direction": "outbound-api",
        "to": "+15551230000",
        "from": "+15550009999",
        "to_formatted": "(555) 123-0000",
        "duration": None,
    }
    assert call["subresource_uris"]["user_defined_messages"].endswith("/UserDefinedMessages.json")


async def test_a_call_is_fetched_while_it_goes_on_and_after(autojump_clock: MockClock) -> None:
    async with line_open(FarEnd({"/voice": STREAM}, greet_and_listen)) as line:
        call = await line.order()
        await trio.sleep(2.0)
        during = (await line.get(f"Calls/{call.sid}.json")).json()
        await call.wait_over()
        after = (await line.get(f"Calls/{call.sid}.json")).json()

    assert (during["status"], during["end_time"], during["duration"]) == ("in-progress", None, None)
    assert (after["status"], after["duration"]) == ("completed", str(call.duration))
    assert after["start_time"] is not None
    assert after["end_time"] is not None


async def test_calls_are_listed_newest_first_by_page_and_filter(autojump_clock: MockClock) -> None:
    async with line_open(FarEnd({"/voice": SAY})) as line:
        calls = [await line.order(To=f"+1555123000{index}") for index in range(5)]
        first = (await line.get("Calls.json?PageSize=2")).json()
        second = (await line.rest.get(first["next_page_uri"])).json()
        one = (await line.get("Calls.json?To=%2B15551230003")).json()

    assert [call["sid"] for call in first["calls"]] == [calls[4].sid, calls[3].sid]
    assert [call["sid"] for call in second["calls"]] == [calls[2].sid, calls[1].sid]
    assert second["previous_page_uri"] == first["uri"]
    assert [call["sid"] for call in one["calls"]] == [calls[3].sid]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("StartTime>=2026-11-22", [0, 1, 2]),
        ("StartTime>=2026-11-23", []),
        ("StartTime<=2026-11-22", []),
        ("StartTime<=2026-11-23", [0, 1, 2]),
        ("StartTime=2026-11-22", [0, 1, 2]),
        ("StartTime=2026-11-21", []),
        ("StartTime>=2026-11-22T09:01:00Z", [1, 2]),
        ("StartTime>=2026-11-22T10:01:00%2B01:00", [1, 2]),
        ("StartTime<=2026-11-22T09:01:00Z", [0]),
        ("StartTime>=2026-11-22T09:00:30Z&StartTime<=2026-11-22T09:01:30Z", [1]),
        ("StartTime=2026-11-22T09:02:00Z", [2]),
        ("EndTime>=2026-11-22T09:01:00Z", [1]),
        ("EndTime<=2026-11-22T09:01:00Z", [0]),
        ("Status=completed&StartTime>=2026-11-22", [0, 1]),
        ("Status=in-progress", [2]),
        ("Status=queued", [3]),
        ("From=%2B15550009999&To=%2B15551230003", [3]),
        ("From=%2B15550008888", []),
        ("StartTime>=2026-11-22&PageSize=2", [1, 2]),
    ],
)
async def test_calls_are_found_by_when_they_started_and_ended(
    query: str, found: list[int], autojump_clock: MockClock
) -> None:
    """Three calls a minute apart from 9:00 UTC, the last still going on, and a fourth that has not been dialled yet."""
    far = FarEnd({"/0": SAY, "/1": SAY, "/2": "<Response><Pause length='600'/></Response>"})
    async with line_open(far, knobs=TwilioKnobs(calls_per_second=1 / 60)) as line:
        calls = [await line.order(To=f"+1555123000{index}", Url=f"{ORIGIN}/{index}") for index in range(4)]
        await trio.sleep(150.0)
        listed = (await line.get(f"Calls.json?{query}")).json()["calls"]

    assert {call["sid"] for call in listed} == {calls[index].sid for index in found}


@pytest.mark.parametrize("query", ["StartTime>=yesterday", "StartTime=2026-13-01", "EndTime<=22 Nov 2026"])
async def test_a_time_that_is_none_is_refused(query: str, autojump_clock: MockClock) -> None:
    async with line_open(FarEnd({"/voice": SAY})) as line:
        await line.order()
        response = await line.get(f"Calls.json?{query}")

    assert (response.status_code, response.json()["code"]) == (400, 20001)


@pytest.mark.parametrize("page", ["PageSize=0", "PageSize=²", "PageSize=" + "9" * 5000, "Page=" + "9" * 5000, "Page=x"])
async def test_a_page_that_makes_no_sense_is_the_usual_one(page: str, autojump_clock: MockClock) -> None:
    async with line_open(FarEnd({"/voice": SAY})) as line:
        call = await line.order()
        listed = (await line.get(f"Calls.json?{page}")).json()

    assert [one["sid"] for one in listed["calls"]] == [call.sid]


OWNED = frozenset({"+15550009999", "+15551239999", "+442071838750"})


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("", ["+15550009999", "+15551239999", "+442071838750"]),
        ("%2B15551239999", ["+15551239999"]),
        ("555***9999", ["+15550009999", "+15551239999"]),
        ("%2B15557777777", []),
    ],
)
async def test_the_accounts_numbers_are_found_by_number_or_pattern(
    asked: str, found: list[str], autojump_clock: MockClock
) -> None:
    async with line_open(FarEnd(), knobs=TwilioKnobs(owned_numbers=OWNED)) as line:
        listed = (await line.get(f"IncomingPhoneNumbers.json?PhoneNumber={asked}")).json()

    assert [number["phone_number"] for number in listed["incoming_phone_numbers"]] == found


async def test_where_any_number_will_do_the_account_has_whichever_is_asked_for(autojump_clock: MockClock) -> None:
    async with line_open(FarEnd(), knobs=TwilioKnobs(voice_url=f"{ORIGIN}/voice")) as line:
        asked = (await line.get("IncomingPhoneNumbers.json?PhoneNumber=%2B15557777777")).json()
        listed = (await line.get("IncomingPhoneNumbers.json")).json()

    (number,) = asked["incoming_phone_numbers"]
    assert (number["phone_number"], number["voice_url"]) == ("+15557777777", f"{ORIGIN}/voice")
    assert (number["capabilities"]["voice"], number["capabilities"]["sms"]) == (True, True)
    assert [one["phone_number"] for one in listed["incoming_phone_numbers"]] == ["+15550009999"]


@pytest.mark.parametrize(
    ("method", "path", "code", "status"),
    [
        ("POST", "IncomingPhoneNumbers.json", 20004, 405),
        ("GET", "Calls/CA" + "f" * 32 + ".json", 20404, 404),
        ("POST", "Calls/CA" + "f" * 32 + ".json", 20404, 404),
        ("GET", "Messages.json", 20404, 404),
        ("PUT", "Calls.json", 20004, 405),
        ("POST", "Calls.json", 21201, 400),
    ],
)
async def test_what_is_not_there_or_not_allowed_has_twilios_code(
    method: str, path: str, code: int, status: int, autojump_clock: MockClock
) -> None:
    async with line_open(FarEnd()) as line:
        response = await line.rest.request(method, f"/2010-04-01/Accounts/{ACCOUNT}/{path}")

    assert (response.status_code, response.json()["code"]) == (status, code)


async def test_wrong_credentials_are_20003(autojump_clock: MockClock) -> None:
    async with line_open(FarEnd()) as line:
        line.simulator.api_keys = {"SK1": "secret"}
        key = await line.rest.get(f"/2010-04-01/Accounts/{ACCOUNT}/Calls.json", auth=("SK1", "secret"))
        wrong = await line.rest.get(f"/2010-04-01/Accounts/{ACCOUNT}/Calls.json", auth=(ACCOUNT, "wrong"))
        none = await httpx.AsyncClient(transport=httpx.ASGITransport(line.simulator), base_url="http://x.invalid").get(
            f"/2010-04-01/Accounts/{ACCOUNT}/Calls.json"
        )

    assert key.status_code == 200
    assert (wrong.status_code, wrong.json()["code"]) == (401, 20003)
    assert (none.status_code, none.json()["code"]) == (401, 20003)


async def test_a_call_can_be_deleted(autojump_clock: MockClock) -> None:
    async with line_open(FarEnd({"/voice": SAY})) as line:
        call = await line.order()
        deleted = await line.rest.delete(f"/2010-04-01/Accounts/{ACCOUNT}/Calls/{call.sid}.json")
        gone = await line.get(f"Calls/{call.sid}.json")

    assert (deleted.status_code, gone.status_code) == (204, 404)


async def test_calls_above_the_rate_are_queued_and_not_refused(autojump_clock: MockClock) -> None:
    far = FarEnd({"/voice": SAY})
    async with line_open(far, knobs=TwilioKnobs(calls_per_second=1.0)) as line:
        calls = [await line.order() for _ in range(3)]
        for call in calls:
            await call.wait_over()
        last = (await line.get(f"Calls/{calls[2].sid}.json")).json()

    starts = [hook.at for hook in far.webhooks if hook.form.get("CallStatus") == "initiated"]
    assert starts == pytest.approx([0.0, 1.0, 2.0])
    assert last["queue_time"] == "2000"


async def test_too_many_orders_at_once_are_20429(autojump_clock: MockClock) -> None:
    client = httpx.AsyncClient()
    simulator = TwilioSimulator(plot(), client, ACCOUNT, TOKEN)
    transport = httpx.ASGITransport(simulator)
    async with (
        client,
        httpx.AsyncClient(transport=transport, base_url="http://x.invalid", auth=(ACCOUNT, TOKEN)) as rest,
    ):
        form = {"To": "+15551230000", "From": "+15550009999", "Url": f"{ORIGIN}/voice"}
        responses = [await rest.post(f"/2010-04-01/Accounts/{ACCOUNT}/Calls.json", data=form) for _ in range(65)]

    assert {response.status_code for response in responses[:64]} == {201}
    assert (responses[64].status_code, responses[64].json()["code"]) == (429, 20429)


async def test_an_outage_is_20503(autojump_clock: MockClock) -> None:
    async with line_open(FarEnd()) as line:
        line.simulator.knobs = attrs.evolve(line.simulator.knobs, outage=503)
        response = await line.get("Calls.json")

    assert (response.status_code, response.json()["code"]) == (503, 20503)


async def test_a_hand_can_ring_the_server_and_look_at_the_call(autojump_clock: MockClock) -> None:
    async with line_open(FarEnd({"/voice": SAY})) as line:
        placed = await line.rest.post("/simulator/call-in", data={"Url": f"{ORIGIN}/voice"})
        sid = placed.json()["sid"]
        await line.simulator.calls[sid].wait_over()
        log = (await line.rest.get(f"/simulator/calls/{sid}")).json()
        wav = await line.rest.get(f"/simulator/calls/{sid}/heard.wav")
        nothing = await line.rest.get("/simulator/nothing")

    assert placed.json()["direction"] == "inbound"
    assert {"entry": "VerbExecuted", "verb": "Say", "detail": "Hi."}.items() <= log[3].items()
    assert wav.content[:4] == b"RIFF"
    assert nothing.status_code == 404


async def test_of_calls_long_over_the_audio_goes_first_and_then_the_calls(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest, "HEARD", 1)
    monkeypatch.setattr(rest, "KEPT", 2)
    async with line_open(FarEnd({"/voice": SAY}), plot(hangs_up=False)) as line:
        first, *_ = [await line.order() for _ in range(4)]
        assert len(line.simulator.calls) == 4, "all of them go on"
        for call in tuple(line.simulator.calls.values()):
            await call.wait_over()
        last = await line.order()
        left = list(line.simulator.calls.values())

    assert [call.heard is None for call in left] == [True, False, True]
    assert (first in left, left[-1]) == (False, last)


async def test_an_observer_sees_every_entry_with_its_call(autojump_clock: MockClock) -> None:
    seen: list[tuple[str, object]] = []
    async with line_open(FarEnd({"/voice": SAY})) as line:
        line.simulator.observe = lambda sid, entry: seen.append((sid, entry))
        call = await line.order()
        await call.wait_over()

    assert seen == [(call.sid, entry) for entry in call.log.entries]


async def test_sids_are_the_same_in_every_run(autojump_clock: MockClock) -> None:
    sids = []
    for _ in range(2):
        async with line_open(FarEnd({"/voice": SAY})) as line:
            sids.append((await line.order()).sid)

    assert sids[0] == sids[1]


async def test_another_service_names_no_call_as_the_one_before_it() -> None:
    """A server that outlives it, or its database, would take one call for the other."""
    sids = []
    for _ in range(2):
        async with trio.open_nursery() as nursery, httpx.AsyncClient(trust_env=False) as client:
            port: int = await nursery.start(serve_twilio, plot())
            url = f"http://127.0.0.1:{port}/simulator/call-in"
            sids.append((await client.post(url, data={"Url": f"{ORIGIN}/voice"})).json()["sid"])
            nursery.cancel_scope.cancel(reason="test over")

    assert sids[0] != sids[1]
