"""Commands from outside: what a request may say, and what is answered, wherever the call runs and however it ends."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import attrs
import orjson
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from actors.call_services import CallUnderWay
from actors.commands import (
    DONE,
    OVER,
    Action,
    ChangePrompt,
    Command,
    CommandAnswer,
    CommandGiven,
    GiveBack,
    HandoffTo,
    RestartAgent,
    Say,
    TakeOver,
    TransferTo,
    Whisper,
    failed,
    refused,
)
from actors.facts import Fact, FloorTaken, ReplyText, TurnHeard
from actors.journal import Entry, Journal
from actors.policy import CallPolicy
from actors.turn.machine import Turn
from agents.context import LONGEST_SENTENCE
from store.records import CommandRecord
from tests.web.console.visitors import signed_in
from tests.web.fakes import CALL_SID, LEAD, OTHER_CALL_SID, Exchange, context_of, exchange, record
from web.calls.commands import ANSWER_SECONDS
from web.calls.live_calls import KnownCall
from web.calls.operator_commands import LONGEST_BY, LONGEST_FACT, LONGEST_PROMPT, read_action
from web.calls.orders import OrderError
from web.calls.shown_live import LONGEST_WORDS

SENTENCE = "We will call you back."


@asynccontextmanager
async def running(there: Exchange, *answers: CommandAnswer | None) -> AsyncIterator[list[Command]]:
    """Have a call of this application go on, which answers commands so; None: not yet."""
    given, left = list[Command](), list(answers)

    async def attend(task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with there.intercom.open(CALL_SID) as mailbox:
            task_status.started()
            async for message in mailbox:
                assert isinstance(message, CommandGiven)
                given.append(message.command)
                if (answer := left.pop(0)) is not None:
                    message.reply_to.send_nowait(answer)

    async with trio.open_nursery() as nursery:
        await nursery.start(attend)
        yield given
        nursery.cancel_scope.cancel()


WELL: Sequence[tuple[str, dict[str, object], Action]] = [
    ("say", {"text": f"  {SENTENCE}\n"}, Say(SENTENCE)),
    ("say", {"text": "x" * LONGEST_SENTENCE, "by": "ana"}, Say("x" * LONGEST_SENTENCE)),
    ("whisper", {"text": "x" * LONGEST_FACT}, Whisper("x" * LONGEST_FACT)),
    ("prompt", {"text": "Be brief.\n\nBe kind.\n"}, ChangePrompt("Be brief.\n\nBe kind.")),
    ("handoff", {"to": "advisor", "how": "hard", "notes": " a\nb"}, HandoffTo("advisor", "", "a b", "hard")),
    ("restart", {}, RestartAgent()),
    ("transfer", {"number": LEAD, "reason": "is angry"}, TransferTo(LEAD, "is angry")),
    ("take-over", {}, TakeOver()),
    ("give-back", {"by": "ana"}, GiveBack()),
]
WRONG: Sequence[tuple[str, object, list[str]]] = [
    ("say", {}, ["text"]),
    ("say", {"text": " "}, ["text"]),
    ("say", {"text": "… \x00"}, ["text"]),
    ("say", {"text": 7}, ["text"]),
    ("say", {"text": "x" * (LONGEST_SENTENCE + 1)}, ["text"]),
    ("say", {"txt": SENTENCE}, ["txt", "text"]),
    ("say", {"text": SENTENCE, "by": "x" * (LONGEST_BY + 1)}, ["by"]),
    ("say", {"text": SENTENCE, "by": "ana\n"}, ["by"]),
    ("say", [], ["body"]),
    ("whisper", {"text": "x" * (LONGEST_FACT + 1), "by": 7}, ["text", "by"]),
    ("prompt", {"text": "x" * (LONGEST_PROMPT + 1)}, ["text"]),
    ("handoff", {}, ["to"]),
    ("handoff", {"to": "nobody", "how": "fast", "reason": 7}, ["to", "reason", "how"]),
    ("handoff", {"to": ["advisor"], "how": {}}, ["to", "how"]),
    ("restart", {"text": "now"}, ["text"]),
    ("transfer", {"number": "5557650000"}, ["number"]),
    ("take-over", {"number": 7}, ["number"]),
]


@pytest.mark.parametrize(("name", "body", "action"), WELL)
def test_a_body_that_is_right_is_read(name: str, body: dict[str, object], action: Action) -> None:
    assert read_action(name, orjson.dumps(body), frozenset({"advisor"})) == (action, body.get("by", ""))


@pytest.mark.parametrize(("name", "body", "fields"), WRONG)
def test_every_mistake_is_named_with_its_fix(name: str, body: object, fields: list[str]) -> None:
    with pytest.raises(OrderError) as refusal:
        read_action(name, orjson.dumps(body), frozenset({"advisor"}))

    assert [one.field for one in refusal.value.problems] == fields
    assert all(one.problem and one.fix for one in refusal.value.problems)


def test_a_body_that_is_no_json_is_a_mistake_too() -> None:
    with pytest.raises(OrderError):
        read_action("say", b"{")


@pytest.mark.parametrize(
    ("answer", "status", "outcome"),
    [(DONE, 200, "done"), (OVER, 200, "over"), (refused("no"), 409, "refused"), (failed("mute"), 502, "failed")],
)
async def test_a_command_is_answered_with_what_became_of_it(
    answer: CommandAnswer, status: int, outcome: str, autojump_clock: MockClock
) -> None:
    there = exchange()
    async with running(there, answer) as given:
        told = await there.operator("POST", f"/calls/{CALL_SID}/say", {"text": SENTENCE, "by": "ana"})

    assert (told.status_code, told.json()["outcome"], told.json()["why"]) == (status, outcome, answer.why)
    assert given == [Command(told.json()["command_id"], "api: ana", Say(SENTENCE))]
    assert told.json()["command"] == "say"


async def test_a_command_has_the_id_of_its_key(autojump_clock: MockClock) -> None:
    there = exchange()
    async with running(there, DONE) as given, there.client() as client:
        headers = {"Authorization": "Bearer the-token-of-the-operator", "Idempotency-Key": "key-1"}
        await client.post(f"/calls/{CALL_SID}/say", json={"text": SENTENCE}, headers=headers)
        bad = await client.post(
            f"/calls/{CALL_SID}/say", json={"text": "x"}, headers={**headers, "Idempotency-Key": "a b"}
        )

    assert [command.id for command in given] == ["key-1"]
    assert (bad.status_code, bad.json()["field"]) == (400, "Idempotency-Key")


async def test_a_command_that_is_not_decided_in_time_is_pending(autojump_clock: MockClock) -> None:
    there = exchange()
    async with running(there, None):
        began = trio.current_time()
        told = await there.operator("POST", f"/calls/{CALL_SID}/say", {"text": SENTENCE})

    assert (told.status_code, told.json()["outcome"]) == (202, "pending")
    assert trio.current_time() - began == pytest.approx(ANSWER_SECONDS)


async def test_a_page_asks_in_the_name_of_its_session(autojump_clock: MockClock) -> None:
    there = exchange()
    visitor = signed_in(there)
    async with running(there, DONE) as given, visitor.client() as client:
        told = await client.post(
            f"/console/calls/{CALL_SID}/say", json={"text": SENTENCE}, headers={"X-CSRF-Token": visitor.csrf}
        )

    assert told.json()["outcome"] == "done"
    assert [command.by.partition(" ")[0] for command in given] == ["console"]


async def test_no_such_call(autojump_clock: MockClock) -> None:
    told = await exchange().operator("POST", f"/calls/{CALL_SID}/say", {"text": SENTENCE})

    assert told.status_code == 404


async def test_a_call_that_is_over_is_an_answer(autojump_clock: MockClock) -> None:
    there = exchange()
    await there.records.save(record())
    told = await there.operator("POST", f"/calls/{CALL_SID}/say", {"text": SENTENCE})

    assert (told.status_code, told.json()["outcome"]) == (200, "over")


async def test_a_command_that_a_call_had_before_it_ended_is_answered_as_it_was(autojump_clock: MockClock) -> None:
    there = exchange()
    kept = CommandRecord(3.0, "key-1", "api", "say", "failed", "mute", {"text": SENTENCE})
    await there.records.save(attrs.evolve(record(), commands=(kept,)))
    async with there.client() as client:
        headers = {"Authorization": "Bearer the-token-of-the-operator", "Idempotency-Key": "key-1"}
        same = await client.post(f"/calls/{CALL_SID}/say", json={"text": SENTENCE}, headers=headers)
        other = await client.post(f"/calls/{CALL_SID}/say", json={"text": "Hello."}, headers=headers)

    assert (same.json()["outcome"], same.json()["why"]) == ("failed", "mute")
    assert other.json()["outcome"] == "over"


@pytest.mark.parametrize("query", ["", "?goodbye=yes"])
async def test_the_log_says_who_has_ended_a_call(query: str, autojump_clock: MockClock) -> None:
    there = exchange()
    with capture_logs() as logs, there.intercom.open(CALL_SID):
        await there.operator("DELETE", f"/calls/{CALL_SID}{query}")
        await signed_in(there).send(f"/console/calls/{CALL_SID}/hang-up{query}")

    by_api, by_session = [log["by"] for log in logs if log["event"] == "call_hung_up"]
    assert (by_api, by_session.split()[0], len(by_session)) == ("api", "console", len("console 01234567"))


async def test_what_is_said_is_in_no_log(autojump_clock: MockClock) -> None:
    there = exchange()
    with capture_logs() as logs:
        async with running(there, DONE):
            await there.operator("POST", f"/calls/{CALL_SID}/say", {"text": SENTENCE})

    assert [log["answer"] for log in logs if log["event"] == "call_commanded"] == ["done"]
    assert SENTENCE not in str(logs)


async def test_the_calls_that_go_on_are_listed_with_floor_seconds_and_last_words(autojump_clock: MockClock) -> None:
    """One is carried here and is read off its log, one is ringing."""
    there = exchange()
    context = context_of(there)
    for name, status in ((CALL_SID, "in-progress"), (OTHER_CALL_SID, "ringing")):
        context.live_calls.add(KnownCall(name, "inbound", "+15557650000", "", status, name))
    journal = Journal()
    watched = context.watched.watch(CALL_SID)
    watched.begin(CallUnderWay(journal, Turn(CallPolicy(), 0.0), trio.lowlevel.current_task()))
    said: Sequence[Fact] = (
        FloorTaken("advisor", 1, 0),
        ReplyText("advisor", 1, "Hi."),
        TurnHeard("advisor", "x" * 300),
    )
    for number, fact in enumerate(said):
        watched.read(Entry(number, 0.0, fact))
    await trio.sleep(7)
    calls = {one["call_sid"]: one for one in (await there.operator("GET", "/calls?live=yes")).json()["calls"]}

    shown = calls[CALL_SID]
    assert (shown["floor"], shown["seconds"], shown["speaker"]) == ("advisor", 7.0, "caller")
    assert shown["last_words"] == "x" * LONGEST_WORDS
    assert (calls[OTHER_CALL_SID]["floor"], calls[OTHER_CALL_SID]["status"]) == ("", "ringing")
