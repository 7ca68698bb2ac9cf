"""One handoff alone: a holder that has asked for it, somebody in the Summarizer's place, and the service."""

import attrs
import orjson
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.errors import AgentUnavailable
from actors.facts import (
    BriefReady,
    FloorLeft,
    FloorTaken,
    FunctionAnswered,
    HandoffCommitted,
    HandoffFailed,
    HandoffGap,
    HandoffWithdrawn,
    SessionConnecting,
    SessionFailed,
)
from actors.handoff import Lost
from actors.messages import AskHandoff, Mailboxes, SessionOver, WithdrawHandoff
from actors.policy import CallPolicy, Deadlines, Numbers
from agents.functions import HandOff
from protocol.audio import silence
from protocol.deepgram import (
    CancelledCall,
    ErrorReported,
    FunctionCallCancelled,
    FunctionCallRequest,
    FunctionCallResponse,
    Settings,
    SettingsApplied,
    UserStartedSpeaking,
    Welcome,
)
from tests.actors.fakes import (
    END,
    HAND_OFF,
    calls,
    heard,
    says,
    speech,
    words,
)
from tests.actors.handing_over import a_handoff_asked_for, is_of

BUSY = AgentUnavailable("HTTP 429", is_busy=True)
CANCELLED = FunctionCallCancelled((CancelledCall("id-handoff_to_next_agent", "handoff_to_next_agent"),))
UNREACHABLE = "The second cannot be reached. Tell the customer, and go on yourself."


# It succeeds


async def test_the_next_agent_gets_the_brief_the_floor_and_the_caller_from_t0(autojump_clock: MockClock) -> None:
    async with a_handoff_asked_for() as scene:
        scene.watched.state.tape.append(speech(8))
        second = await scene.service.live()
        outcome = await scene.decided()
        await second.hear_audio(8)
        await scene.first.hear_for(1)

        assert is_of(outcome, "second")
        assert outcome.agent.name == "second"
        assert scene.watched.state.ledger.floor is outcome.voice
        assert "Ada wants a pension." in str(second.settings)
        assert scene.clerk.asked == ["second"]
        assert bytes(second.audio) == speech(8)
        assert bytes(scene.first.audio).replace(silence(4), b"") == b""


async def test_the_old_agent_is_never_answered_and_its_socket_is_gone(autojump_clock: MockClock) -> None:
    async with a_handoff_asked_for() as scene:
        await scene.service.live()
        await scene.decided()
        await wait_all_tasks_blocked()

        assert scene.first.said(FunctionCallResponse) == []
        assert scene.service.open == 1
        assert [FloorLeft("first", 1, "handed off")] == scene.watched.facts(FloorLeft)
        assert [(fact.name, fact.result, fact.ok) for fact in scene.watched.facts(FunctionAnswered)] == [
            ("handoff_to_next_agent", '{"handed_off_to":"second"}', True)
        ]


async def test_the_old_agent_remembers_its_function_with_the_signature_of_the_model(autojump_clock: MockClock) -> None:
    signed = attrs.evolve(HAND_OFF.functions[0], thought_signature="signed")
    async with a_handoff_asked_for(request=FunctionCallRequest((signed,))) as scene:
        await scene.service.live()
        await scene.decided()

        passed_on = scene.handoff.change.holder.on_call.passed_on
        assert passed_on is not None
        assert (passed_on.name, passed_on.thought_signature) == ("handoff_to_next_agent", "signed")


async def test_connecting_and_the_brief_take_as_long_as_the_longer_of_them(autojump_clock: MockClock) -> None:
    """The Brief takes 2 s; the service 0.5 s to connect, and 0.25 s to apply the settings."""
    async with a_handoff_asked_for(brief_takes=2.0) as scene:
        await trio.sleep(0.5)
        second = await scene.service.answer()
        await second.say(Welcome("request"))
        await second.hear(Settings)
        asked_after = trio.current_time() - scene.handoff.change.asked.at
        await trio.sleep(0.25)
        await second.say(SettingsApplied())
        await scene.decided()
        await second.say(words(1), says("I am the second."))
        await trio.sleep(1)

        assert asked_after == pytest.approx(2)
        assert [HandoffCommitted("first", "second", 2.25)] == scene.watched.facts(HandoffCommitted)
        assert [HandoffGap("second", 2.25)] == scene.watched.facts(HandoffGap)
        known = {"reason": "asked for it", "summary": "Ada wants a pension.", "need": "a pension"}
        assert [BriefReady("second", "groq", 2.0, brief=known)] == scene.watched.facts(BriefReady)


async def test_a_brief_that_does_not_come_in_time_is_extracted_from_what_was_said(autojump_clock: MockClock) -> None:
    async with a_handoff_asked_for(CallPolicy(deadlines=Deadlines(summary=1.5)), brief_takes=100) as scene:
        scene.watched.state.conversation.facts["need"] = "a mortgage"
        second = await scene.service.live()
        await scene.decided()

        assert scene.took == pytest.approx(1.5)
        assert [(fact.source, fact.why) for fact in scene.watched.facts(BriefReady)] == [
            ("extract", "no answer within the deadline")
        ]
        assert "a mortgage" in str(second.settings)
        assert "Yes, please." in str(second.settings)


async def test_a_dead_summarizer_costs_the_brief_and_not_the_handoff(autojump_clock: MockClock) -> None:
    async with a_handoff_asked_for(brief_takes=None) as scene:
        second = await scene.service.live()
        outcome = await scene.decided()

        assert is_of(outcome, "second")
        assert scene.took == 0
        assert [fact.source for fact in scene.watched.facts(BriefReady)] == ["extract"]
        assert "Yes, please." in str(second.settings)


async def test_a_failed_attempt_is_followed_by_a_second_one(autojump_clock: MockClock) -> None:
    async with a_handoff_asked_for(refusals=(AgentUnavailable("HTTP 503"),)) as scene:
        await scene.service.live()
        outcome = await scene.decided()

        assert is_of(outcome, "second")
        assert scene.took == pytest.approx(0.1)
        assert [SessionFailed("second", 2, "HTTP 503", retryable=True)] == scene.watched.facts(SessionFailed)
        assert [fact.why for fact in scene.watched.facts(SessionConnecting)[1:]] == ["handoff", "handoff"]


# It fails


async def test_when_no_attempt_succeeds_the_old_agent_is_told_and_goes_on(autojump_clock: MockClock) -> None:
    """Two attempts of 4 s, and 0.1 s between them."""
    async with a_handoff_asked_for() as scene:
        outcome = await scene.decided()
        response = await scene.first.hear(FunctionCallResponse)
        await scene.first.greet("Then I will help you myself.")
        scene.watched.state.tape.append(speech(8))
        await scene.first.hear_for(3)

        assert is_of(outcome, "first")
        assert scene.watched.state.conversation.facts["handoff_reason"] == ""
        assert scene.took == pytest.approx(8.1)
        assert orjson.loads(response.content) == {"error": UNREACHABLE}
        assert [HandoffFailed("first", "second", "not ready within 4 s")] == scene.watched.facts(HandoffFailed)
        assert bytes(scene.first.audio).replace(silence(4), b"") == speech(8)
        assert scene.service.open == 1


async def test_an_error_that_a_retry_cannot_mend_skips_the_second_attempt(autojump_clock: MockClock) -> None:
    async with a_handoff_asked_for() as scene:
        second = await scene.service.answer()
        await second.say(Welcome("request"))
        await second.hear(Settings)
        await second.say(ErrorReported("INVALID_SETTINGS", "no such voice"))
        outcome = await scene.decided()

        assert is_of(outcome, "first")
        assert scene.service.attempts == 2
        assert [HandoffFailed("first", "second", "INVALID_SETTINGS: no such voice")] == (
            scene.watched.facts(HandoffFailed)
        )


async def test_as_many_attempts_are_made_as_the_policy_says(autojump_clock: MockClock) -> None:
    async with a_handoff_asked_for(
        CallPolicy(numbers=Numbers(handoff_attempts=3)), refusals=tuple(AgentUnavailable("busy") for _ in range(9))
    ) as scene:
        await scene.decided()

        assert scene.service.attempts == 4


async def test_a_service_without_room_is_waited_for_and_that_is_no_failed_attempt(autojump_clock: MockClock) -> None:
    async with a_handoff_asked_for(
        CallPolicy(deadlines=Deadlines(busy_patience=10.0, busy_retry=1.0)), refusals=(BUSY,) * 5
    ) as scene:
        await trio.sleep(4.5)
        await scene.service.live()
        outcome = await scene.decided()

        assert is_of(outcome, "second")
        assert scene.took == pytest.approx(5)


async def test_a_service_that_never_has_room_is_given_up(autojump_clock: MockClock) -> None:
    """Tries at 0 to 3 s are patience; those at 3 and 3.1 s are attempts."""
    async with a_handoff_asked_for(
        CallPolicy(deadlines=Deadlines(busy_patience=3.0, busy_retry=1.0)), refusals=(BUSY,) * 50
    ) as scene:
        outcome = await scene.decided()

        assert is_of(outcome, "first")
        assert scene.took == pytest.approx(3.1)


# It is withdrawn


async def test_a_handoff_withdrawn_leaves_nothing_of_the_successor(autojump_clock: MockClock) -> None:
    async with a_handoff_asked_for() as scene:
        second = await scene.service.answer()
        await second.say(Welcome("request"))
        await trio.sleep(0.5)
        scene.watched.state.tape.append(speech(8))
        await scene.first.say(UserStartedSpeaking(), CANCELLED, heard("Wait, what does it cost?"))
        outcome = await scene.decided()
        await scene.first.greet("Nothing.")
        await scene.first.hear_for(3)

        assert is_of(outcome, "first")
        assert second.socket.closed is not None
        assert scene.service.open == 1
        assert [HandoffWithdrawn("first", "second")] == scene.watched.facts(HandoffWithdrawn)
        assert scene.watched.facts(HandoffFailed) == []
        assert bytes(scene.first.audio).replace(silence(4), b"") == speech(8)
        assert len(scene.watched.facts(FloorTaken)) == 1


async def test_a_handoff_withdrawn_during_the_second_attempt_is_no_failure(autojump_clock: MockClock) -> None:
    async with a_handoff_asked_for(refusals=(AgentUnavailable("busy"),)) as scene:
        await trio.sleep(0.5)
        await scene.first.say(CANCELLED)
        outcome = await scene.decided()

        assert is_of(outcome, "first")
        assert scene.watched.facts(HandoffFailed) == []
        assert [HandoffWithdrawn("first", "second")] == scene.watched.facts(HandoffWithdrawn)


async def test_what_the_outgoing_agent_says_and_every_fact_is_in_a_brief_that_was_ready_before(
    autojump_clock: MockClock,
) -> None:
    """The Clerk's Brief is from before: it knows of neither, and has a name that nobody has said."""
    asked = calls("handoff_to_next_agent", arguments='{"reason": "wants a pension now", "notes": "in a hurry"}')
    async with a_handoff_asked_for(request=asked, facts={"budget": "small", "name": "n/a"}) as scene:
        second = await scene.service.live()
        await scene.decided()

        prompt = str(second.settings)
        for said in ("wants a pension now", "in a hurry", "Recorded, budget", "small", "Ada wants a pension."):
            assert said in prompt
        assert '- Name: "' not in prompt


async def test_a_withdrawal_of_some_earlier_handoff_changes_nothing(autojump_clock: MockClock) -> None:
    async with a_handoff_asked_for() as scene:
        await scene.supervisor.send(WithdrawHandoff(1, 99))
        await scene.service.live()

        assert is_of(await scene.decided(), "second")


async def test_a_second_handoff_meanwhile_is_refused_and_the_first_goes_on(autojump_clock: MockClock) -> None:
    async with a_handoff_asked_for() as scene:
        again = attrs.evolve(HAND_OFF.functions[0], id="again", arguments='{"reason": "really"}')
        await scene.first.say(attrs.evolve(HAND_OFF, functions=(again,)))
        response = await scene.first.hear(FunctionCallResponse)
        await scene.service.live()
        outcome = await scene.decided()

        assert response.id == "again"
        assert response.content == scene.watched.policy.wording.refused
        assert is_of(outcome, "second")


# The old session does something else meanwhile


async def test_when_the_old_session_crashes_its_successor_comes_all_the_same(autojump_clock: MockClock) -> None:
    async with a_handoff_asked_for(brief_takes=1.0) as scene:
        scene.first.socket.drop()
        await trio.sleep(0.5)
        second = await scene.service.live()
        outcome = await scene.decided()
        scene.watched.state.tape.append(speech(8))
        await second.hear_audio(8)

        assert is_of(outcome, "second")
        assert bytes(second.audio) == speech(8)


async def test_when_the_old_session_crashes_and_no_successor_comes_the_floor_is_lost(
    autojump_clock: MockClock,
) -> None:
    async with a_handoff_asked_for(refusals=(AgentUnavailable("busy"), AgentUnavailable("busy"))) as scene:
        scene.first.socket.drop()
        outcome = await scene.decided()

        assert isinstance(outcome, Lost)
        assert outcome.crash is not None
        assert "closed" in outcome.crash.reason
        assert [HandoffFailed("first", "second", "busy")] == scene.watched.facts(HandoffFailed)
        assert scene.service.open == 0


async def test_when_the_old_session_has_run_out_and_no_successor_comes_the_floor_is_lost(
    autojump_clock: MockClock,
) -> None:
    async with a_handoff_asked_for(refusals=(AgentUnavailable("down"), AgentUnavailable("down"))) as scene:
        await scene.supervisor.send(SessionOver(1, None))
        outcome = await scene.decided()

        assert isinstance(outcome, Lost)
        assert outcome.crash is not None
        assert outcome.crash.is_retryable
        assert "the session has run out" in outcome.crash.reason


async def test_an_agent_that_hands_over_cannot_end_the_conversation_too(autojump_clock: MockClock) -> None:
    """Two decisions in one request: the first holds, and the second is refused (C19)."""
    async with a_handoff_asked_for() as scene:
        await scene.service.answer()
        await scene.first.say(END)
        refused = await scene.first.hear(FunctionCallResponse)
        await wait_all_tasks_blocked()

        assert "Something else is under way" in refused.content
        assert scene.outcome is None
        assert scene.service.open == 2
        assert len(scene.watched.facts(FloorTaken)) == 1


async def test_what_the_next_session_reports_early_is_kept_for_the_supervisor(autojump_clock: MockClock) -> None:
    async with a_handoff_asked_for() as scene:
        await scene.supervisor.send(WithdrawHandoff(2, 7))
        await wait_all_tasks_blocked()
        await scene.service.live()
        await scene.decided()

        assert scene.watched.state.mail.early == [WithdrawHandoff(2, 7)]


async def test_a_caller_who_hangs_up_during_a_handoff_leaves_no_session_behind(autojump_clock: MockClock) -> None:
    async with a_handoff_asked_for() as scene:
        await scene.service.answer()
        assert scene.service.open == 2
        scene.sessions.cancel_scope.cancel(reason="caller hung up")

    assert scene.service.open == 0


# The answer


async def test_a_request_for_a_session_that_has_lost_the_floor_is_refused() -> None:
    """An operator has asked in the moment in which the session was lost."""
    mail = Mailboxes.open()
    asked = AskHandoff(1, HandOff("second", ""), "hard")
    mail.to_supervisor.send_nowait(asked)
    mail.to_supervisor.send_nowait(SessionOver(2, None))

    assert await mail.next_from(2, "lost") == SessionOver(2, None)
    assert await asked.wait_refused() == "lost"
