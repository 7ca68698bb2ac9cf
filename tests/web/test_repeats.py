"""The same order once more, by a client's key, and the same number once more, while it rings."""

from pathlib import Path

import attrs
import httpx
import orjson
import pytest
import trio
from trio.testing import MockClock

from store.databases import SqliteDatabase
from store.orders.queue import OrderQueue
from tests.web.fakes import API_TOKEN, CALL_SID, LEAD, Exchange, FakeLine, exchange, voice_form
from web.calls.orders import ClientKey
from web.clients.twilio import PLAIN_CALL, CallOptions, LineError

OTHER_LEAD = "+15557650001"
KEY = "4f1c8a0e-order-17"


async def order_again(there: Exchange, body: object, key: str = KEY, *, token: str = API_TOKEN) -> httpx.Response:
    async with there.client() as client:
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key}
        return await client.post("/calls", content=orjson.dumps(body), headers=headers)


@attrs.define
class SlowLine(FakeLine):
    """A telephone network that takes its time to place a call, and refuses the first few."""

    refuses: int = 0

    async def place_call(self, to: str, order: str, options: CallOptions = PLAIN_CALL) -> str:
        await trio.sleep(8)
        if self.refuses:
            self.refuses -= 1
            raise LineError("The number is unverified", code=21219)
        return await super().place_call(to, order, options)


async def test_an_order_that_is_repeated_with_its_key_is_the_first_one(autojump_clock: MockClock) -> None:
    there = exchange()
    first, second, third = [await order_again(there, {"to": LEAD, "time_limit": 90}) for _ in range(3)]

    assert first.json() == second.json() == third.json()
    assert [answer.status_code for answer in (first, second, third)] == [201] * 3
    assert first.headers["location"] == second.headers["location"]
    assert ["idempotent-replayed" in answer.headers for answer in (first, second)] == [False, True]
    assert len(there.line.placed) == 1


async def test_a_body_written_in_another_order_is_the_same_one(autojump_clock: MockClock) -> None:
    there = exchange()
    await order_again(there, {"to": LEAD, "time_limit": 90})

    assert (await order_again(there, {"time_limit": 90, "to": LEAD})).status_code == 201
    assert len(there.line.placed) == 1


@pytest.mark.parametrize("body", [b"", b" ", b"\n", b" {}\n"])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER "])
async def test_an_order_of_the_usual_number_is_the_same_one_however_it_is_written(
    body: bytes, scheme: str, autojump_clock: MockClock
) -> None:
    there = exchange(LEAD_PHONE_NUMBER=LEAD)
    first = await order_again(there, {})
    async with there.client() as client:
        headers = {"Authorization": f"{scheme} {API_TOKEN}", "Idempotency-Key": KEY}
        second = await client.post("/calls", content=body, headers=headers)

    assert (second.status_code, second.json()) == (201, first.json())
    assert len(there.line.placed) == 1


@pytest.mark.parametrize("other", [{"to": OTHER_LEAD}, {"to": LEAD, "time_limit": 90}, {"to": LEAD, "time_limit": 60}])
async def test_another_order_under_the_same_key_is_refused(other: object, autojump_clock: MockClock) -> None:
    there = exchange()
    await order_again(there, {"to": LEAD})

    answer = await order_again(there, other)

    assert (answer.status_code, answer.json()["field"]) == (422, "Idempotency-Key")
    assert len(there.line.placed) == 1


async def test_another_key_is_another_order(autojump_clock: MockClock) -> None:
    there = exchange()
    await order_again(there, {"to": LEAD})
    answer = await order_again(there, {"to": OTHER_LEAD}, "another-key")

    assert (answer.status_code, len(there.line.placed)) == (202, 1)  # its turn comes


@pytest.mark.parametrize("key", ["", " ", "two words", "x" * 256, "ä"])
async def test_a_key_that_is_none_is_refused(key: str, autojump_clock: MockClock) -> None:
    there = exchange()
    async with there.client() as client:
        headers = [(b"Authorization", f"Bearer {API_TOKEN}".encode()), (b"Idempotency-Key", key.encode())]
        answer = await client.post("/calls", content=orjson.dumps({"to": LEAD}), headers=headers)

    assert (answer.status_code, answer.json()["field"], there.line.placed) == (400, "Idempotency-Key", [])


async def test_an_order_with_mistakes_uses_no_key_up(autojump_clock: MockClock) -> None:
    there = exchange()

    refused, taken = await order_again(there, {"to": "5"}), await order_again(there, {"to": LEAD})

    assert (refused.status_code, taken.status_code) == (400, 201)


async def test_repetitions_while_the_first_is_being_placed_share_its_answer(autojump_clock: MockClock) -> None:
    there, answers = exchange(line=SlowLine()), list[httpx.Response]()

    async def again(after: float, body: object) -> None:
        await trio.sleep(after)
        answers.append(await order_again(there, body))

    async with trio.open_nursery() as nursery:
        for after in (0.0, 0.0, 0.0, 4.0, 7.9):
            nursery.start_soon(again, after, {"to": LEAD})
        nursery.start_soon(again, 1.0, {"to": OTHER_LEAD})

    assert sorted(answer.status_code for answer in answers) == [201, 201, 201, 201, 201, 422]
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    assert len(there.line.placed) == 1


async def test_a_client_that_gave_up_gets_the_first_order(autojump_clock: MockClock) -> None:
    """Its first request is cancelled while Twilio is being asked: nobody knows whether the call rings."""
    there = exchange(line=SlowLine())
    with trio.move_on_after(5):
        await order_again(there, {"to": LEAD})

    second = await order_again(there, {"to": LEAD})
    shown = await there.operator("GET", f"/calls/{second.json()['id']}")
    await there.twilio(f"/twilio/status?order={second.json()['id']}", voice_form(CALL_SID, outbound=True))
    third = await order_again(there, {"to": LEAD})

    assert (second.status_code, "is being found out" in second.json()["in_doubt"]) == (202, True)
    assert shown.json()["caller"] == LEAD
    assert (third.status_code, third.json()["call_sid"]) == (201, CALL_SID)
    assert third.json()["id"] == second.json()["id"]


async def test_an_order_that_waits_is_repeated_without_another_turn(autojump_clock: MockClock) -> None:
    there = exchange(CALLS_PER_SECOND="0.1")
    await there.operator("POST", "/calls", {"to": OTHER_LEAD})
    first = await order_again(there, {"to": LEAD})
    await trio.sleep(4)

    second = await order_again(there, {"to": LEAD})

    assert (first.status_code, second.status_code) == (202, 202)
    assert second.json() == {**first.json(), "starts_in": 6.0}


@pytest.mark.parametrize("refusal", ["twilio", "full", "drain"])
async def test_an_order_that_was_refused_may_be_tried_again(refusal: str, autojump_clock: MockClock) -> None:
    there = exchange(line=SlowLine(refuses=refusal == "twilio"), MAX_CALLS="1")
    if refusal == "full":
        there.slots.reserve("another", 60)
    there.slots.draining = refusal == "drain"
    first = await order_again(there, {"to": LEAD})
    there.slots.release("another")
    there.slots.draining = False

    second = await order_again(there, {"to": LEAD})

    assert first.status_code == {"twilio": 502, "full": 429, "drain": 503}[refusal]
    assert (second.status_code, len(there.line.placed)) == (201, 1)


async def test_a_key_is_known_to_other_workers_and_after_a_restart(tmp_path: Path) -> None:
    file, line = str(tmp_path / "calls.db"), FakeLine(statuses={f"CA{1:032x}": "completed"})
    first = await order_again(exchange(orders=OrderQueue(SqliteDatabase(file)), line=line), {"to": LEAD})

    later = exchange(orders=OrderQueue(SqliteDatabase(file)), line=line)
    second, other = await order_again(later, {"to": LEAD}), await order_again(later, {"to": OTHER_LEAD})

    assert (second.status_code, second.json()) == (201, {**first.json(), "status": "completed"})
    assert (other.status_code, len(line.placed)) == (422, 1)


async def test_a_key_is_kept_for_a_day(autojump_clock: MockClock) -> None:
    passed = [0.0]
    there = exchange(orders=OrderQueue(SqliteDatabase(now=lambda: passed[0])))
    first = await order_again(there, {"to": LEAD})
    over = voice_form(first.json()["call_sid"], outbound=True) | {"CallStatus": "completed", "SequenceNumber": "3"}
    await there.twilio(f"/twilio/status?order={first.json()['id']}", over)
    passed[0] = 86_000.0
    second = await order_again(there, {"to": LEAD})
    passed[0] = 86_500.0
    third = await order_again(there, {"to": LEAD})

    assert [answer.json()["id"] == first.json()["id"] for answer in (second, third)] == [True, False]


def test_a_key_belongs_to_its_token() -> None:
    keys = [ClientKey.of(KEY, token, b"{}") for token in ("Bearer a", "Bearer b")]

    assert keys[0].name != keys[1].name
    assert keys[0].digest == keys[1].digest


# The same number again


@pytest.mark.parametrize("status", ["queued", "initiated", "ringing"])
async def test_a_number_that_rings_already_is_not_called_again(status: str, autojump_clock: MockClock) -> None:
    there = exchange(CALLS_PER_SECOND="100")
    first = (await there.operator("POST", "/calls", {"to": LEAD})).json()
    told = voice_form(first["call_sid"], outbound=True) | {"CallStatus": status, "SequenceNumber": "1"}
    await there.twilio(f"/twilio/status?order={first['id']}", told)

    again, other = [await there.operator("POST", "/calls", {"to": number}) for number in (LEAD, OTHER_LEAD)]

    assert (again.status_code, again.json()["id"], other.status_code) == (409, first["id"], 202)
    assert "has not been answered yet" in again.json()["error"]


@pytest.mark.parametrize("status", ["in-progress", "completed", "busy", "no-answer", "failed", "canceled"])
@pytest.mark.parametrize("heard", ["here", "at Twilio only"])
async def test_a_number_that_rings_no_more_may_be_called_again(
    status: str, heard: str, autojump_clock: MockClock
) -> None:
    there = exchange()
    first = (await there.operator("POST", "/calls", {"to": LEAD})).json()
    if heard == "here":
        told = voice_form(first["call_sid"], outbound=True) | {"CallStatus": status, "SequenceNumber": "2"}
        await there.twilio(f"/twilio/status?order={first['id']}", told)
    there.line.statuses[first["call_sid"]] = status
    await trio.sleep(4)

    assert (await there.operator("POST", "/calls", {"to": LEAD})).status_code == 201


async def test_two_orders_for_one_number_at_the_same_time_are_one_call(autojump_clock: MockClock) -> None:
    there, answers = exchange(line=SlowLine()), list[int]()

    async def place() -> None:
        answers.append((await there.operator("POST", "/calls", {"to": LEAD})).status_code)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(place)

    assert (sorted(answers), len(there.line.placed)) == ([201, 409, 409], 1)
