"""The caller leaves, or the agent does, as people report it of other voice agents on the telephone: in whole calls.

Each test names the report it is about.
"""

import attrs
import pytest
import trio
from trio.testing import MockClock

from actors.messages import MachineAnswered
from protocol.deepgram import (
    ConversationText,
    ForceEndTurn,
    FunctionCall,
    FunctionCallRequest,
    FunctionCallResponse,
    InjectAgentMessage,
)
from simulators.scenario import parse_scenario
from testkit.harness import play
from tests.actors.fakes import CALL_SID, END, HAND_OFF, calls
from tests.calls.by_hand import STARTED, Telephone, a_call, sentence
from tests.calls.test_turns import POLICY, WITHDRAWN, was_hung_up_on

PARTING = POLICY.deadlines.parting_words

# jambonz/jambonz-feature-server#997: the last words of a caller who hangs up at once are in no transcript

LEAVES = parse_scenario("""
ends = "caller_hung_up"
[[caller.line]]
says = "What does it cost?"
[[caller.line]]
says = "Yes, please cancel my order."
[[caller.line]]
hangs_up = true
after = 0.1

[agents.qualifier]
prompt_contains = "You are Alex"
fallback = ["Shall I cancel it?"]
[[agents.qualifier.turn]]
hears = "never said by anybody"
says = ["Never."]
""")


async def test_the_last_words_of_a_caller_who_hangs_up_at_once_are_in_the_record(autojump_clock: MockClock) -> None:
    call = await play(LEAVES)

    assert call.said_by_caller() == ["What does it cost?", "Yes, please cancel my order."]
    assert (call.the_record.outcome, call.line.asked) == ("caller_hung_up", [])


@pytest.mark.parametrize("late", [0.2, 0.8])
async def test_the_call_is_over_as_soon_as_they_are_transcribed(late: float, autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("", heard=False)
        await call.phone.hang_up()
        left = call.phone.now
        await call.far.hear(ForceEndTurn)
        await call.far.hear_for(late)
        await call.far.say(ConversationText("user", "Yes, cancel it."), calls("look_up"))
        await call.over.wait()

        assert call.ended.transcript[-1].text == "Yes, cancel it."
        assert call.phone.now - left == pytest.approx(late, abs=0.01)
        assert call.line.asked == []


@pytest.mark.parametrize("is_heard", [True, False])
async def test_a_caller_of_whom_nothing_more_is_heard_is_waited_for_a_moment_or_not_at_all(
    is_heard: bool, autojump_clock: MockClock
) -> None:
    async with a_call() as call:
        await call.greet()
        call.phone.is_loud = True
        await call.far.say(*[STARTED] * is_heard)
        await call.far.hear_for(0.5)
        await call.phone.hang_up()
        left = call.phone.now
        await call.over.wait()

        assert call.phone.now - left == pytest.approx(PARTING * is_heard, abs=0.01)
        assert call.ended.outcome == "caller_hung_up"


async def test_who_is_waited_for_is_hung_up_on_by_nobody(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("", heard=False)
        await call.phone.hang_up()
        await call.far.hear(ForceEndTurn)
        assert call.intercom.tell(CALL_SID, MachineAnswered("fax"))
        await call.over.wait()

        assert (call.ended.outcome, call.line.asked) == ("caller_hung_up", [])


# XiyaoWang0519/agent-call#9: the agent ends the call together with "let me check"


@pytest.mark.parametrize("words", ["One moment, let me check.", "Let me see.", "Let me think of a quick one to share."])
async def test_an_agent_that_asks_the_caller_to_wait_and_ends_the_call_says_goodbye_first(
    words: str, autojump_clock: MockClock
) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("Tell me a joke.")
        await call.far.say(*sentence(1, words, 1.0), END)
        answer = await call.far.hear(FunctionCallResponse)
        await call.far.hear_for(1.0)
        assert not was_hung_up_on(call)

        await call.far.say(*sentence(2, "Goodbye.", 1.0))
        with trio.fail_after(2):
            await call.over.wait()
        assert answer.content == POLICY.wording.ask_goodbye
        assert (call.phone.heard(2), call.ended.outcome) == (1.0, "completed")


async def test_a_goodbye_that_asks_for_patience_is_a_goodbye(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("That is all.")
        await call.far.say(*sentence(1, "Just a moment, and you will have the letter. Goodbye.", 1.0), END)
        with trio.fail_after(2):
            await call.over.wait()

        assert call.ended.outcome == "completed"


# bolna-ai/bolna#1038: an end that was taken back stays in the history, and the agent never hangs up again


@pytest.mark.parametrize("is_lost", [False, True], ids=["", "session lost"])
@pytest.mark.parametrize("call_id", ["id-end_conversation", "another"])
async def test_an_agent_whose_end_was_taken_back_can_end_the_call_when_it_is_asked_to(
    call_id: str, is_lost: bool, autojump_clock: MockClock
) -> None:
    again = FunctionCallRequest((FunctionCall(call_id, "end_conversation", '{"reason": "customer_goodbye"}', True),))
    async with a_call() as call:
        await call.greet()
        await call.speak("That is all.")
        await call.far.say(*sentence(1, "Goodbye then.", 2.0), END)
        await call.far.hear_for(0.7)
        await call.speak("Wait, when do you open?")
        await call.far.say(WITHDRAWN)
        if is_lost:
            call.far.socket.drop()
            call.far = await call.service.live()
        await call.far.hear_for(0.3)
        await call.far.say(*sentence(2, "At nine.", 1.0))
        await call.far.hear_for(2)
        assert not was_hung_up_on(call)

        await call.speak("Please hang up.")
        await call.far.say(*sentence(3, "Goodbye.", 1.0), again)
        with trio.fail_after(2):
            await call.over.wait()
        assert (call.phone.heard(3), call.ended.outcome) == (1.0, "completed")


# livekit/agents#5150: one request has the same decision twice, or one beside other work


@pytest.mark.parametrize("call_id", ["id-end_conversation", "another"])
@pytest.mark.parametrize("is_said", [True, False])
async def test_an_end_that_one_request_asks_for_twice_is_one_goodbye_and_one_end(
    is_said: bool, call_id: str, autojump_clock: MockClock
) -> None:
    (end,) = END.functions
    goodbye = sentence(1, "Goodbye then.", 2.0)
    async with a_call() as call:
        await call.greet()
        await call.speak("That is all.")
        await call.far.say(*(goodbye if is_said else []), FunctionCallRequest((end, attrs.evolve(end, id=call_id))))
        if not is_said:
            await call.far.hear(FunctionCallResponse)
            await call.far.say(*goodbye)
        with trio.fail_after(4):
            await call.over.wait()

        assert (call.phone.heard(1), call.ended.outcome, len(call.line.asked)) == (2.0, "completed", 1)


@pytest.mark.parametrize("call_id", ["id-handoff_to_next_agent", "another"])
async def test_a_handoff_that_one_request_asks_for_twice_is_one_greeting(
    call_id: str, autojump_clock: MockClock
) -> None:
    (handoff,) = HAND_OFF.functions
    async with a_call() as call:
        await call.greet()
        await call.speak("The next one, please.")
        await call.far.say(
            FunctionCallRequest((handoff, attrs.evolve(handoff, id=call_id), *calls("look_up").functions))
        )
        first, call.far = call.far, await call.service.live()
        await call.far.say(*sentence(1, "I am the second.", 1.0))
        await call.far.hear_for(8)

        assert (call.service.attempts, call.phone.heard(1)) == (2, 1.0)
        assert [answer.name for answer in first.said(FunctionCallResponse)].count("handoff_to_next_agent") <= 1
        assert not was_hung_up_on(call)


# pipecat-ai/pipecat#2741, bolna-ai/bolna#1050: Twilio echoes marks twice, or in another order


async def test_marks_that_come_back_in_another_order_or_twice_cost_nobody_a_word(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[dict[str, object]] = []
    plain = Telephone._send

    async def send(phone: Telephone, event: str, **fields: object) -> None:
        if event != "mark":
            await plain(phone, event, **fields)
        elif held:  # the later one first, and twice
            for each in (fields, fields, held.pop()):
                await plain(phone, event, **each)
        else:
            held.append(fields)

    monkeypatch.setattr(Telephone, "_send", send)
    async with a_call() as call:
        await call.greet()
        await call.speak("And?")
        await call.far.say(*sentence(1, "It is ten.", 2.0))
        await call.far.hear_for(3)
        await call.speak("That is all.")
        await call.far.say(*sentence(2, "Goodbye then.", 2.0), END)
        with trio.fail_after(6):
            await call.over.wait()

        assert (call.phone.heard(1), call.phone.heard(2), call.ended.outcome) == (2.0, 2.0, "completed")
        assert call.far.said(InjectAgentMessage) == []
