"""An operator takes a call over with the page's phone: both hear one another, and the agent has the caller back."""

from base64 import b64decode, b64encode
from contextlib import suppress

import attrs
import orjson
import pytest
import trio
from trio.testing import MockClock
from trio_websocket import ConnectionClosed

from actors import facts
from actors.commands import DONE, Command, CommandGiven, GiveBack, HandoffTo, Outcome, Say, TakeOver
from actors.messages import CloseCall
from actors.operator import PersonOnPhone
from agents.sentences import ENGLISH
from protocol.audio import is_voiced
from protocol.deepgram import Settings
from simulators.memory import MemoryWebSocket, memory_websocket_pair
from simulators.speech import synthesise
from tests.calls.test_operator import Operated, operate
from tests.faults.short import POLICY

BACK = ENGLISH.handed_back
STREAM = "MZ" + "7" * 32


@attrs.define(eq=False)
class Phone:
    """The page's end: says a sentence, then silence, and keeps what it hears."""

    socket: MemoryWebSocket
    heard: bytearray = attrs.field(factory=bytearray)

    async def talk(self) -> None:
        words = synthesise("Hello, this is Kim, and I am not a machine.", "person-1").audio
        with suppress(ConnectionClosed):
            for start in range(0, 10**6, 1600):
                audio = words[start : start + 1600].ljust(1600, b"\xff")
                media = {"payload": b64encode(audio).decode()}
                await self.socket.send_message(
                    orjson.dumps({"event": "media", "streamSid": STREAM, "media": media}).decode()
                )
                await trio.sleep(0.2)

    async def listen(self) -> None:
        with suppress(ConnectionClosed):
            while True:
                message = orjson.loads(await self.socket.get_message())
                self.heard += b64decode(message["media"]["payload"])


@attrs.define(eq=False)
class Taken:
    """A call that is taken over, and what came of it."""

    played: Operated
    phone: Phone
    person: PersonOnPhone

    async def take_over(self, nursery: trio.Nursery) -> Outcome:
        send, receive = trio.open_memory_channel[object](1)
        nursery.start_soon(self.phone.talk)
        nursery.start_soon(self.phone.listen)
        with send, receive:
            given = CommandGiven(Command("k0", "ana", TakeOver()), send, self.person)
            assert self.played.intercom.tell(self.played.call_sid, given)
            answer = await receive.receive()
        self.played.answers.append(answer)  # type: ignore[arg-type]
        return answer.outcome  # type: ignore[attr-defined, no-any-return]


def taken(played: Operated) -> Taken:
    ours, theirs = memory_websocket_pair()
    return Taken(played, Phone(theirs), PersonOnPhone(ours, STREAM))


@pytest.mark.parametrize("how", ["command", "stop", "gone"])
async def test_the_operator_talks_with_the_caller_and_the_agent_goes_on(how: str, autojump_clock: MockClock) -> None:
    phones = list[Phone]()

    async def act(played: Operated) -> None:
        await played.wait_fact(facts.ReplyEnded)
        call = taken(played)
        phones.append(call.phone)
        async with trio.open_nursery() as nursery:
            await call.take_over(nursery)
            await trio.sleep(6)
            if how == "command":
                await played.ask(GiveBack())
            elif how == "stop":
                await call.phone.socket.send_message(f'{{"event": "stop", "streamSid": "{STREAM}", "stop": {{}}}}')
            else:
                call.phone.socket.drop()
            await call.person.over.wait()
            nursery.cancel_scope.cancel()

    played = await operate(act)
    record, spoke = played.the_record, [one for one in played.facts(facts.AgentSpoke) if one.agent == "operator"]
    assert played.exchange is not None
    back = played.exchange.log.received(Settings)[1]

    assert played.answers == [DONE] * (1 + (how == "command"))
    assert [period.agent for period in record.agents][:3] == ["first", "operator", "first"]
    assert [turn.heard for turn in record.transcript].count(BACK) == 1
    assert "A colleague has talked with the customer" in str(back)
    assert "Acme, good morning." in str(back), "the agent knows what was said before"
    assert sum(one.end - one.start for one in spoke) > 1.5, "the caller hears the operator"
    assert is_voiced(bytes(phones[0].heard)), "the operator hears the caller"
    assert (record.outcome, record.frames.unheard) == ("completed", 0)


@pytest.mark.slow
async def test_nothing_is_asked_filled_or_moved_while_an_operator_has_the_caller(autojump_clock: MockClock) -> None:
    async def act(played: Operated) -> None:
        await played.wait_fact(facts.ReplyEnded)
        call = taken(played)
        async with trio.open_nursery() as nursery:
            await call.take_over(nursery)
            began = trio.current_time()
            await played.ask(HandoffTo("second"))
            await trio.sleep_until(began + 90)
            await played.ask(GiveBack())
            nursery.cancel_scope.cancel()

    played = await operate(act)
    moved = facts.FloorTaken | facts.FloorLeft
    taken_at, back_at = (
        entry.at for entry in played.entries if isinstance(entry.fact, moved) and entry.fact.agent == "operator"
    )
    meanwhile = [entry.fact for entry in played.entries if taken_at < entry.at < back_at]
    unwanted = facts.SilenceMet | facts.CallerSilent | facts.SessionConnecting

    assert [answer.outcome for answer in played.answers] == [Outcome.DONE, Outcome.REFUSED, Outcome.DONE]
    assert not [fact for fact in meanwhile if isinstance(fact, unwanted)]
    assert BACK in played.heard_of_agents()
    assert played.the_record.outcome == "caller_silent", "who has said everything to the operator"


@pytest.mark.parametrize("ends", ["hang up", "close"])
async def test_a_call_that_ends_while_an_operator_has_it_leaves_nothing(ends: str, autojump_clock: MockClock) -> None:
    async def act(played: Operated) -> None:
        await played.wait_fact(facts.ReplyEnded)
        call = taken(played)
        async with trio.open_nursery() as nursery:
            await call.take_over(nursery)
            await trio.sleep(2)
            if ends == "hang up":
                assert played.caller is not None
                played.caller.stop()
            else:
                played.intercom.tell(played.call_sid, CloseCall("drained"))
            await call.person.over.wait()
            nursery.cancel_scope.cancel()

    played = await operate(act)

    assert played.answers == [DONE]
    assert played.the_record.outcome == ("caller_hung_up" if ends == "hang up" else "drained")


async def test_a_call_that_is_being_handed_over_is_not_taken(autojump_clock: MockClock) -> None:
    people = list[PersonOnPhone]()

    async def act(played: Operated) -> None:
        await played.wait_fact(facts.HandoffAsked)
        call = taken(played)
        people.append(call.person)
        async with trio.open_nursery() as nursery:
            await call.take_over(nursery)
            await call.person.over.wait()
            nursery.cancel_scope.cancel()
        await played.ask(Say("Hello again."))

    played = await operate(act, policy=POLICY)

    assert [answer.outcome for answer in played.answers] == [Outcome.REFUSED, Outcome.DONE]
    assert people[0].why == "a handoff is under way"
    assert played.the_record.outcome == "completed"
