"""An operator's requests come through, and what goes wrong is said in words that help."""

import httpx
import pytest
import trio
from trio.testing import MockClock

from tests.web.fakes import API_TOKEN, LEAD, LINE, Exchange, client_of, exchange, record
from web.clients.operator import Operator, OperatorError
from web.clients.twilio import CallOptions


def operator(there: Exchange, token: str = API_TOKEN) -> Operator:
    client = client_of(there.app)
    client.headers["Authorization"] = f"Bearer {token}"
    return Operator(client)


def answering(answer: httpx.Response | Exception) -> Operator:
    def respond(request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return Operator(httpx.AsyncClient(transport=httpx.MockTransport(respond), base_url="http://server.test"))


async def test_a_call_is_followed_from_its_first_ring_to_its_record(autojump_clock: MockClock) -> None:
    there = exchange()
    placed = await operator(there).place(LEAD, {"name": "John"})
    call_sid, call_id = str(placed["call_sid"]), str(placed["id"])

    async def happen() -> None:
        for sequence, status in enumerate(["ringing", "in-progress", "completed"]):
            await trio.sleep(2)
            form = {"CallSid": call_sid, "CallStatus": status, "SequenceNumber": str(sequence)}
            await there.twilio(f"/twilio/status?order={call_id}", form)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(happen)
        seen = [shown async for shown in operator(there).follow(call_id)]

    assert [shown["status"] for shown in seen] == ["queued", "ringing", "in-progress", "completed"]
    assert seen[-1]["record"] is None


async def test_the_record_of_a_call_is_waited_for(autojump_clock: MockClock) -> None:
    there = exchange()
    placed = await operator(there).place(LEAD, {})
    kept = record(str(placed["call_sid"]))

    async def happen() -> None:
        await trio.sleep(1.5)
        call = {"CallSid": kept.call_sid, "CallStatus": "completed", "SequenceNumber": "3"}
        await there.twilio(f"/twilio/status?order={placed['id']}", call)
        await there.app.asgi_app.context.services.save(kept)  # type: ignore[attr-defined]

    async with trio.open_nursery() as nursery:
        nursery.start_soon(happen)
        seen = [shown async for shown in operator(there).follow(str(placed["id"]))]

    assert seen[-1]["record"] is not None


async def test_recent_calls_are_listed(autojump_clock: MockClock) -> None:
    there = exchange()
    await there.records.save(record())

    assert [call["outcome"] for call in await operator(there).listed("calls", "calls")] == ["completed"]


async def test_every_mistake_is_told_with_its_fix(autojump_clock: MockClock) -> None:
    with pytest.raises(OperatorError) as refused:
        await operator(exchange()).place(LINE, {"nmae": "John"})

    assert str(refused.value).splitlines() == [
        "the order has mistakes in it.",
        "to is our own number. Give the number of the person to call.",
        "context.nmae is not a field. Did you mean name?",
    ]


async def test_a_wrong_token_is_told(autojump_clock: MockClock) -> None:
    with pytest.raises(OperatorError, match="token is missing or wrong"):
        await operator(exchange(), "wrong").listed("calls", "calls")


async def test_options_that_are_not_chosen_are_not_sent(autojump_clock: MockClock) -> None:
    there = exchange()

    await operator(there).place(LEAD, {}, time_limit=60, machine_detection=None)

    assert there.line.options == [CallOptions(time_limit=180)]


async def test_a_server_that_is_not_there_is_told_with_what_to_do() -> None:
    with pytest.raises(OperatorError, match="switchboard serve"):
        await answering(httpx.ConnectError("refused")).listed("calls", "calls")


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(502, text="<h1>Bad gateway</h1>"),
        httpx.Response(404, json=["no"]),
        httpx.Response(200, text="<h1>"),
    ],
)
async def test_something_else_than_a_switchboard_is_told(answer: httpx.Response) -> None:
    with pytest.raises(OperatorError, match="Is this a switchboard"):
        await answering(answer).listed("calls", "calls")


HALF = "caf\udce9"
"""How a word in Latin-1 arrives from a terminal."""


async def test_what_is_not_utf_8_is_said_to_be_so(autojump_clock: MockClock) -> None:
    there = exchange()
    asked = operator(there)
    with pytest.raises(OperatorError, match="not UTF-8"):
        await asked.place(LEAD, {"name": HALF})
    with pytest.raises(OperatorError, match="not UTF-8"):
        await asked.ask("POST", "calls", "OR1", "say", content={"text": HALF})
    with pytest.raises(OperatorError, match="not UTF-8"):
        [part async for part in asked.export(HALF)]
    with pytest.raises(OperatorError, match="no such call"):
        await asked.ask("GET", "calls", HALF)
    with pytest.raises(OperatorError, match="not UTF-8"):
        await asked.listed("do-not-call", "numbers", {"after": HALF})


@pytest.mark.parametrize("body", ["null", "[]", "5", '{"calls": 5}', '{"calls": [5]}', '{"calls": null}'])
async def test_json_that_is_no_answer_of_ours_is_told(body: str) -> None:
    with pytest.raises(OperatorError, match="Is this a switchboard"):
        await answering(httpx.Response(200, text=body)).listed("calls", "calls")


async def test_a_body_that_cannot_be_unpacked_is_told() -> None:
    broken = httpx.DecodingError("no gzip")

    with pytest.raises(OperatorError, match="No answer"):
        await answering(broken).listed("calls", "calls")


async def test_a_list_whose_pages_are_all_the_same_is_read_no_further(autojump_clock: MockClock) -> None:
    page = httpx.Response(200, json={"numbers": [{"number": LEAD}, {"number": LINE}]})

    with pytest.raises(OperatorError, match="Every page of the list is the same"), trio.fail_after(1):
        await answering(page).refused_numbers()
