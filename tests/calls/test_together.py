"""Whole calls in which a decision meets something else: work that the session is at, another decision, or keys."""

from itertools import permutations, product

import attrs
import pytest
import trio
from trio.testing import MockClock

from actors.commands import DONE, Action, HandoffTo, RestartAgent, TakeOver
from actors.facts import FloorTaken, FunctionAnswered, FunctionWithdrawn, HandoffAsked, HandoffCommitted, SessionFailed
from actors.line.switch import TransferOrder
from actors.operator import PersonOnPhone
from actors.policy import CallPolicy
from agents.functions import Answer, CallContext, EndCall, FunctionSpec, HandOff, Outcome
from agents.roster import Roster, load_roster
from protocol import twilio
from protocol.deepgram import (
    CancelledCall,
    ConversationText,
    ErrorReported,
    FunctionCallCancelled,
    FunctionCallRequest,
    InjectAgentMessage,
    InjectUserMessage,
    ServerMessage,
)
from simulators.memory import memory_websocket_pair
from tests.actors.fakes import END, HAND_OFF, ROSTER, STREAM_SID, NoArguments, calls
from tests.calls.by_hand import HandCall, a_call, sentence
from tests.calls.test_turns import with_a_person

WORK = calls("look_up")
PERSON = calls("transfer_to_human", arguments='{"reason": "wants a person"}')
CANCELLED = FunctionCallCancelled((CancelledCall("id-look_up", "look_up"),))
PREPARED = 'need: "a pension"'
"""What the work has found out, as a prompt says it."""


def both(*requests: FunctionCallRequest) -> FunctionCallRequest:
    return FunctionCallRequest(tuple(call for request in requests for call in request.functions))


def hand_off(reason: str, call_id: str) -> FunctionCallRequest:
    (call,) = HAND_OFF.functions
    return FunctionCallRequest((attrs.evolve(call, id=call_id, arguments=f'{{"reason": "{reason}"}}'),))


def answered(call: HandCall) -> list[tuple[str, bool]]:
    return [(fact.name, fact.ok) for fact in call.facts(FunctionAnswered)]


async def begin_work(call: HandCall) -> None:
    """Go on until the agent has asked for its work, which is not done yet."""
    await call.greet()
    await call.speak("I want a pension.")
    await call.far.say(WORK)
    await call.far.hear_for(0.2)


def prompt_of(call: HandCall) -> str:
    """Return what the session on the floor was told about the call."""
    return str(call.far.settings).replace("\\", "").lower()


def irreversible(work: str = "look_up") -> Roster:
    """The same agents, whose work cannot be taken back."""
    first, second = ROSTER.agents.values()
    functions = tuple(attrs.evolve(each, defer_until_eot=each.name == work) for each in first.functions)
    return load_roster([attrs.evolve(first, functions=functions), second])


@attrs.define
class Desk:
    """A line that takes the caller, and notes when."""

    orders: list[TransferOrder] = attrs.field(factory=list)

    async def put_through(self, call_sid: str, order: TransferOrder) -> None:
        self.orders.append(order)
        await trio.sleep(0.1)


@pytest.mark.parametrize("asked", list(permutations([WORK, HAND_OFF])))
async def test_work_that_is_asked_for_with_a_handoff_is_done_before_it_and_known_to_the_next_agent(
    asked: tuple[FunctionCallRequest, ...], autojump_clock: MockClock
) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("I want a pension.")
        await call.far.say(both(*asked))
        call.far = await call.service.live()

        assert answered(call) == [("look_up", True), ("handoff_to_next_agent", True)]
        assert PREPARED in prompt_of(call)


@pytest.mark.parametrize("asked", list(permutations([WORK, END])))
async def test_work_that_is_asked_for_with_the_end_is_done_before_it(
    asked: tuple[FunctionCallRequest, ...], autojump_clock: MockClock
) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("That is all.")
        await call.far.say(*sentence(1, "Goodbye.", 0.5), both(*asked))
        with trio.fail_after(5):
            await call.over.wait()

        assert answered(call) == [("look_up", True), ("end_conversation", True)]
        assert call.phone.heard(1) == 0.5
        assert call.ended.outcome == "completed"


async def test_work_that_is_asked_for_with_a_person_is_done_before_it(autojump_clock: MockClock) -> None:
    desk = Desk()
    async with a_call(with_a_person(), transfers=desk) as call:
        await call.greet()
        await call.speak("A person, please.")
        await call.far.say(*sentence(1, "I'll put you through.", 0.5), both(PERSON, WORK))
        await call.far.hear_for(4)

        assert answered(call) == [("look_up", True)]
        assert [order.brief.need for order in desk.orders] == ["a pension"]


@pytest.mark.parametrize("roster", [ROSTER, irreversible()], ids=["any", "irreversible"])
async def test_only_what_cannot_be_taken_back_is_waited_for_by_a_later_request(
    roster: Roster, autojump_clock: MockClock
) -> None:
    async with a_call(roster) as call:
        await begin_work(call)
        await call.far.say(HAND_OFF)
        call.far = await call.service.live()

        assert (PREPARED in prompt_of(call)) is (roster is not ROSTER)


@pytest.mark.parametrize("after", [0.0, 0.3])
@pytest.mark.parametrize("decision", [END, HAND_OFF, PERSON], ids=["end", "handoff", "person"])
async def test_what_cannot_be_taken_back_is_done_though_it_is_asked_for_behind_the_decision(
    decision: FunctionCallRequest, after: float, autojump_clock: MockClock
) -> None:
    """The service sends each function call in a message of its own, and holds back what cannot be taken back."""
    desk = Desk()
    async with a_call(with_a_person(irreversible()), transfers=desk) as call:
        await call.greet()
        await call.speak("Go on, please.")
        call.service.took = 0.5
        await call.far.say(*sentence(1, "Done. Goodbye.", 0.2), decision)
        await call.far.hear_for(after)
        await call.far.say(WORK)
        if decision is HAND_OFF:
            call.far = await call.service.live()
        await trio.sleep(4)

        assert answered(call)[0] == ("look_up", True)
        assert decision is not HAND_OFF or PREPARED in prompt_of(call)
        assert [order.brief.need for order in desk.orders] == ["a pension"] * len(desk.orders)
        assert (len(desk.orders), call.over.is_set()) == (decision is PERSON, decision is END)


@pytest.mark.parametrize("decision", [END, HAND_OFF, PERSON], ids=["end", "handoff", "person"])
async def test_a_caller_who_speaks_while_the_work_is_done_is_not_left(
    decision: FunctionCallRequest, autojump_clock: MockClock
) -> None:
    desk = Desk()
    async with a_call(with_a_person(), transfers=desk) as call:
        await call.greet()
        await call.speak("That is all.")
        await call.far.say(*sentence(1, "Done. Goodbye.", 0.5), both(calls("dawdle"), decision))
        await call.far.hear_for(1)
        await call.speak("One more thing.")
        await call.far.say(*sentence(2, "Yes?", 0.5))
        await call.far.hear_for(9)

        (name,) = [asked.name for asked in decision.functions]
        assert answered(call) == [("dawdle", False), (name, False)]
        assert (call.facts(HandoffCommitted), desk.orders, call.over.is_set()) == ([], [], False)


@pytest.mark.parametrize("goodbye", [sentence(1, "Goodbye.", 0.5), []], ids=["said", "unsaid"])
async def test_the_words_that_a_decision_answers_do_not_take_it_back(
    goodbye: list[ServerMessage], autojump_clock: MockClock
) -> None:
    """A function may come before them (Deepgram reference, 6.3)."""
    async with a_call() as call:
        await call.greet()
        await call.speak("When can you come?")
        await call.far.say(*sentence(3, "On Tuesday.", 0.5))
        await call.far.hear_for(1.5)
        await call.speak("", 0.8, heard=False)
        await call.far.hear_for(0.6)
        await call.far.say(*goodbye, both(WORK, END))
        await call.far.hear_for(0.3)
        await call.far.say(ConversationText("user", "That is all, thank you."))
        await call.far.hear_for(1)
        await call.far.say(*([] if goodbye else sentence(1, "Goodbye.", 0.5)))
        with trio.fail_after(5):
            await call.over.wait()

        assert answered(call) == [("look_up", True), ("end_conversation", True)]


async def test_a_handoff_that_is_withdrawn_while_the_work_is_done_is_none(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("I want a pension.")
        await call.far.say(both(WORK, HAND_OFF))
        await call.far.hear_for(0.5)
        await call.far.say(FunctionCallCancelled((CancelledCall("id-handoff_to_next_agent", "handoff_to_next_agent"),)))
        await call.far.hear_for(1)
        await call.far.say(*sentence(1, "Here it is.", 0.5))
        await call.far.hear_for(1)

        assert answered(call) == [("look_up", True)]
        assert [fact.name for fact in call.facts(FunctionWithdrawn)] == ["handoff_to_next_agent"]
        assert call.facts(HandoffCommitted) == []
        assert call.phone.heard(1) == 0.5


async def test_work_that_never_ends_holds_a_handoff_no_longer_than_its_deadline(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("I want a pension.")
        began = call.phone.now
        await call.far.say(both(calls("dawdle"), HAND_OFF))
        call.far = await call.service.live()

        assert call.phone.now - began == pytest.approx(5.0, abs=0.1)


async def test_nor_does_work_that_is_asked_for_behind_it_make_it_fail(autojump_clock: MockClock) -> None:
    async with a_call(irreversible("dawdle")) as call:
        await call.greet()
        await call.speak("I want a pension.")
        call.service.took = 1.5
        await call.far.say(HAND_OFF)
        await call.far.hear_for(0.3)
        await call.far.say(calls("dawdle"))
        call.far = await call.service.live()

        assert call.facts(SessionFailed) == []


async def test_nor_does_it_wait_for_work_whose_session_is_lost(autojump_clock: MockClock) -> None:
    async with a_call(irreversible("dawdle")) as call:
        await call.greet()
        await call.speak("I want a pension.")
        call.service.took = 0.5
        began = call.phone.now
        await call.far.say(HAND_OFF)
        await call.far.hear_for(0.1)
        await call.far.say(calls("dawdle"))
        await call.far.hear_for(0.1)
        await call.far.say(ErrorReported("gone", "GONE"))
        call.far = await call.service.live()

        assert call.phone.now - began < 1


@pytest.mark.parametrize("command", [HandoffTo("second"), RestartAgent()])
async def test_an_operator_who_moves_the_call_breaks_no_work_off(command: Action, autojump_clock: MockClock) -> None:
    async with a_call(irreversible()) as call, trio.open_nursery() as nursery:
        await begin_work(call)
        nursery.start_soon(call.command, command)
        call.far = await call.service.live()

        assert answered(call) == [("look_up", True)]
        assert (PREPARED if isinstance(command, HandoffTo) else "found") in prompt_of(call)


async def test_an_operator_who_takes_the_call_over_breaks_no_work_off(autojump_clock: MockClock) -> None:
    page, _ = memory_websocket_pair()
    async with a_call(irreversible()) as call:
        await begin_work(call)
        answer = await call.command(TakeOver(), PersonOnPhone(page, STREAM_SID))

        assert (answer, answered(call)) == (DONE, [("look_up", True)])


async def test_what_an_operator_says_while_it_is_done_is_not_heard_late(autojump_clock: MockClock) -> None:
    page, operator = memory_websocket_pair()
    async with a_call(irreversible()) as call, trio.open_nursery() as nursery:
        await begin_work(call)
        nursery.start_soon(call.command, TakeOver(), PersonOnPhone(page, STREAM_SID))
        for tone in (5, 6):
            await operator.send_message(twilio.encode_media(STREAM_SID, bytes([0x40 + tone]) * 8000))
            await trio.sleep(4.0)

        assert answered(call) == [("look_up", True)]
        assert (call.phone.heard(5), call.phone.heard(6)) == (0.0, 1.0)
        await operator.aclose()


async def test_an_operator_who_leaves_meanwhile_costs_the_agent_nothing(autojump_clock: MockClock) -> None:
    page, operator = memory_websocket_pair()
    async with a_call(irreversible()) as call, trio.open_nursery() as nursery:
        await begin_work(call)
        nursery.start_soon(call.command, TakeOver(), PersonOnPhone(page, STREAM_SID))
        await trio.sleep(0.2)
        await operator.aclose()
        await trio.sleep(6.0)

        assert answered(call) == [("look_up", True)]
        assert [fact.agent for fact in call.facts(FloorTaken)] == ["first"]


@pytest.mark.parametrize("command", [HandoffTo("second"), RestartAgent()])
async def test_an_operator_is_refused_at_once_where_the_call_is_being_ended_though_something_is_at_work(
    command: Action, autojump_clock: MockClock
) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("That is all.")
        await call.far.say(calls("dawdle"))
        await call.far.hear_for(0.2)
        await call.far.say(*sentence(1, "Goodbye.", 3.0), END)
        await call.far.hear_for(0.2)
        asked = call.phone.now
        answer = await call.command(command)

        assert (answer.why, call.phone.now) == ("the call is being ended", asked)


async def test_of_two_handoffs_the_next_agent_knows_the_reason_of_the_one_that_is_done(
    autojump_clock: MockClock,
) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("An advisor, please.")
        await call.far.say(both(hand_off("is the first", "1"), hand_off("is too late", "2")))
        call.far = await call.service.live()

        assert "is the first" in prompt_of(call)
        assert "is too late" not in prompt_of(call)


# Work that is taken back, or lost, in the moment in which it is asked for


@pytest.mark.parametrize("taken", [CANCELLED, ErrorReported("INTERNAL_SERVER_ERROR", "")], ids=["back", "away"])
async def test_what_is_withdrawn_before_it_has_begun_is_not_done(
    taken: ServerMessage, autojump_clock: MockClock
) -> None:
    """A handler that waits for nothing would do its work all the same, and again when it is asked for again."""
    done: list[str] = []

    async def note(arguments: NoArguments, context: CallContext) -> Outcome:
        done.append("once")
        return Answer({})

    first, second = ROSTER.agents.values()
    noting = FunctionSpec("look_up", "Notes it.", NoArguments, note)
    async with a_call(load_roster([attrs.evolve(first, functions=(*first.functions[1:], noting)), second])) as call:
        await call.greet()
        await call.speak("I want a pension.")
        call.far.say_nowait(WORK)
        call.far.say_nowait(taken)
        await trio.sleep(0.05)

        assert done == []


@pytest.mark.parametrize("outcomes", list(product([EndCall("done"), HandOff("second", "done")], repeat=2)))
@pytest.mark.parametrize(
    "asked",
    [("this", "that"), ("this", "this"), ("end_conversation", "this", "this"), ("this", "end_conversation", "this")],
)
async def test_decisions_of_functions_that_declare_none_do_not_wait_for_each_other(
    asked: tuple[str, ...], outcomes: tuple[Outcome, ...], autojump_clock: MockClock
) -> None:
    first, second = ROSTER.agents.values()

    def deciding(name: str, outcome: Outcome) -> FunctionSpec:
        async def decide(arguments: NoArguments, context: CallContext) -> Outcome:
            return outcome

        return FunctionSpec(name, "Does something.", NoArguments, decide)

    functions = (*first.functions, *map(deciding, ("this", "that"), outcomes))
    async with a_call(load_roster([attrs.evolve(first, functions=functions), second])) as call:
        await call.greet()
        await call.speak("I want a pension.")
        await call.far.say(*sentence(1, "Goodbye.", 0.5), both(*map(calls, asked)))
        with trio.move_on_after(5):
            await call.over.wait()

        assert answered(call) != [] or call.facts(HandoffAsked) != []


# Keys and a decision


@pytest.mark.parametrize("keys", ["0", "00"])
async def test_a_caller_who_presses_the_key_for_a_person_into_the_goodbye_is_put_through(
    keys: str, autojump_clock: MockClock
) -> None:
    desk = Desk()
    async with a_call(with_a_person(), CallPolicy(human_digit="0"), transfers=desk) as call:
        await call.greet()
        await call.speak("That is all.")
        await call.far.say(*sentence(1, "Goodbye.", 1.0), END)
        await call.far.hear_for(0.6)
        for key in keys:
            await call.phone.press(key)
        line = await call.far.hear(InjectAgentMessage)
        await call.far.say(*sentence(2, line.message, 1.0))
        await call.far.hear_for(3)

        assert call.phone.heard(1) == 1.0
        assert [order.reason for order in desk.orders] == ["The caller pressed 0 for a person"]


async def test_keys_that_are_pressed_into_the_goodbye_are_answered_and_the_goodbye_said_again(
    autojump_clock: MockClock,
) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("That is all.")
        await call.far.say(*sentence(1, "Goodbye.", 1.0), END)
        for key in "42":
            await call.far.hear_for(0.7)
            await call.phone.press(key)
        told = await call.far.hear(InjectUserMessage)
        await call.far.say(ConversationText("user", told.content), *sentence(2, "Noted. Goodbye.", 1.0), END)
        with trio.fail_after(5):
            await call.over.wait()

        assert told.content == "The caller pressed 4 2 on the keypad."
        assert call.phone.heard(2) == 1.0
        assert call.ended.outcome == "completed"
