"""An operator takes a call over by telephone, and the agent has it back: by hanging up, or by a command."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import attrs
import httpx
import pytest
import trio
from trio.testing import MockClock

from actors import facts
from agents.sentences import ENGLISH
from protocol.deepgram import Settings
from simulators.scenario import Human
from simulators.twilio.log import WarningRaised, WebhookAnswered
from store.records import CallRecord
from tests.calls.exchange import Switchboard, open_switchboard
from tests.faults.short import ROSTER, SHORT
from tests.web.fakes import API_TOKEN, client_of

OPERATOR = "+15559870000"
GIVEN_BACK = ENGLISH.handed_back
Act: TypeAlias = Callable[[Switchboard], Awaitable[None]]


async def ask(there: Switchboard, command: str, key: str = "", **fields: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {API_TOKEN}", **({"Idempotency-Key": key} if key else {})}
    async with client_of(there.app) as client:
        client.timeout = httpx.Timeout(None)
        call_sid = there.facts(facts.CallStarted)[0].call_sid
        return await client.post(f"/calls/{call_sid}/{command}", json=fields, headers=headers)


async def wait_fact(there: Switchboard, kind: type[facts.Fact], count: int = 1) -> None:
    while len([one for one in there.entries if isinstance(one.fact, kind)]) < count:  # noqa: ASYNC110 - soon
        await trio.sleep(0.05)


async def played(human: Human, act: Act) -> tuple[Switchboard, CallRecord]:
    """Play the short call; see that nothing of it is left, and that Twilio took every document."""
    async with open_switchboard(attrs.evolve(SHORT, human=human), ROSTER, MAX_CALLS="1") as there:
        with trio.fail_after(600):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(act, there)
                call = await there.call_in()
        record = await there.record_of(call)
    assert there.slots.taken == 0
    assert [warning for warning in call.log.of(WarningRaised) if warning.code != 31951] == []
    assert all(hook.status in {200, 204} for hook in call.log.of(WebhookAnswered))
    return there, record


def commands(record: CallRecord) -> list[tuple[str, str]]:
    return [(one.command, one.outcome) for one in record.commands]


async def test_the_call_goes_on_when_the_operator_hangs_up(autojump_clock: MockClock) -> None:
    """The caller says every line, the agents answer, and the agent who comes back knows all that was said before."""
    answers = list[dict[str, str]]()

    async def act(there: Switchboard) -> None:
        await wait_fact(there, facts.ReplyEnded, 2)
        answers.append((await ask(there, "whisper", text="The parcel was delivered.")).json())
        answers.append((await ask(there, "take-over", number=OPERATOR)).json())

    there, record = await played(Human(after=2.0, talks=6.0, says="Hello, this is Kim."), act)
    (transfer,) = record.transfers
    heard = [turn.heard for turn in record.transcript if turn.speaker != "caller"]
    last = there.deepgram.log.received(Settings)[1]

    assert [answer["outcome"] for answer in answers] == ["done", "done"]
    assert (record.outcome, transfer.outcome) == ("completed", "given back")
    assert commands(record) == [("whisper", "done"), ("take-over", "done")]
    assert GIVEN_BACK in heard
    assert [turn.text for turn in record.transcript if turn.speaker == "caller"] == [
        line.says for line in SHORT.caller.lines
    ]
    assert [period.agent for period in record.agents] == ["first", "first", "second"]
    assert "The parcel was delivered." in str(last), "what was whispered before is known after"
    assert "A colleague has talked with the customer" in str(last)
    assert "Let me look." in str(last), "and so is what was said"


@pytest.mark.parametrize("twice", [False, True])
async def test_the_operator_gives_the_call_back_by_a_command(twice: bool, autojump_clock: MockClock) -> None:
    answers = list[httpx.Response]()

    async def act(there: Switchboard) -> None:
        await wait_fact(there, facts.ReplyEnded, 2)
        await ask(there, "take-over", number=OPERATOR)
        await wait_fact(there, facts.CallParked)
        await trio.sleep(8.0)
        answers.append(await ask(there, "give-back", "the-key"))
        if twice:
            answers.append(await ask(there, "give-back", "the-key"))

    _, record = await played(Human(after=2.0, talks=600.0, says="Hello, this is Kim."), act)

    assert [answer.json()["outcome"] for answer in answers] == ["done"] * (1 + twice)
    assert commands(record) == [("take-over", "done"), ("give-back", "done")]
    assert (record.outcome, record.transfers[-1].outcome) == ("completed", "given back")
    assert record.duration < 120


async def test_an_operator_who_does_not_answer_is_nobody_reached(autojump_clock: MockClock) -> None:
    async def act(there: Switchboard) -> None:
        await wait_fact(there, facts.ReplyEnded, 2)
        await ask(there, "take-over", number=OPERATOR)

    _, record = await played(Human(after=2.0, answers="busy"), act)

    assert (record.outcome, record.transfers[-1].outcome) == ("completed", "busy")
    assert ENGLISH.unreached in [turn.heard for turn in record.transcript]


async def test_nobody_gives_back_what_was_not_taken_over(autojump_clock: MockClock) -> None:
    answers = list[httpx.Response]()

    async def act(there: Switchboard) -> None:
        await wait_fact(there, facts.ReplyEnded)
        answers.append(await ask(there, "give-back"))

    _, record = await played(Human(), act)

    assert [(answer.status_code, answer.json()["outcome"]) for answer in answers] == [(409, "refused")]
    assert record.outcome == "completed"
