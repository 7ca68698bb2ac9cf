"""The Supervisor alone: who is first_session when sessions crash, hand over and end, and what the next one is told."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import orjson
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.errors import AgentUnavailable
from actors.facts import (
    FloorTaken,
    HandoffFailed,
    ReplyEnded,
    RestartsExhausted,
    SessionConnecting,
    SessionCrashed,
    SessionRestarting,
    TurnHeard,
)
from actors.floor import Floor
from actors.messages import ToSupervisor, WithdrawHandoff
from actors.policy import CallPolicy, Deadlines, RestartPolicy
from actors.session.opening import Openings, SettingsForm
from actors.supervisor import Supervisor
from actors.turn.effects import EndConversation
from actors.turn.events import KeysEntered
from agents.brief import Brief
from agents.functions import handoff_to_next_agent
from agents.roster import Roster, load_roster
from protocol.audio import silence
from protocol.deepgram import (
    AgentAudioDone,
    AgentSettings,
    ErrorReported,
    FunctionCallResponse,
    HistoryText,
    InjectUserMessage,
    ServiceWarning,
    Settings,
    SettingsApplied,
    UserStartedSpeaking,
    Welcome,
)
from tests.actors.fakes import (
    END,
    HAND_OFF,
    PATIENCE,
    ROSTER,
    Clerk,
    FarEnd,
    FirstChoice,
    Line,
    Service,
    Watched,
    agent,
    calls,
    heard,
    says,
    speech,
    words,
)

DOWN = AgentUnavailable("HTTP 503")
BUSY = AgentUnavailable("HTTP 429", is_busy=True)


@attrs.define(eq=False)
class Scene:
    """A Supervisor, and the world around it."""

    watched: Watched
    service: Service
    supervisor: Supervisor
    address: trio.MemorySendChannel[ToSupervisor]
    clerk: Clerk
    outcome: EndConversation | str | None = None
    over: trio.Event = attrs.field(factory=trio.Event)

    async def run(self) -> None:
        turn = self.watched.state.turn
        with turn.talk:
            await self.supervisor.run()
            self.outcome = self.watched.facts(RestartsExhausted)[-1].error
        self.outcome = self.outcome or turn.conclusion
        self.over.set()

    async def ended(self) -> EndConversation | str:
        with trio.fail_after(PATIENCE):
            await self.over.wait()
        assert self.outcome is not None
        return self.outcome

    async def crash(self, far: FarEnd) -> None:
        await wait_all_tasks_blocked()
        far.socket.drop()

    @property
    def first_session(self) -> list[str]:
        return [fact.agent for fact in self.watched.facts(FloorTaken)]


CIRCLE = load_roster([agent("first", "second"), agent("second", "first")])


@asynccontextmanager
async def a_conversation(
    policy: CallPolicy | None = None,
    *,
    refusals: tuple[Exception | None, ...] = (),
    roster: Roster = ROSTER,
    context: Brief | None = None,
) -> AsyncIterator[Scene]:
    watched, service = Watched(policy or CallPolicy(), caller_turns=1), Service()
    service.refusals.extend(refusals)
    state = watched.state
    clerk, floor = Clerk(state.mail.summarizer), Floor(state, service.connect)
    openings = Openings(SettingsForm("CA1"), state.tape, state.conversation, state.policy)
    supervisor = Supervisor(state, roster, floor, openings, FirstChoice(), context)
    scene = Scene(watched, service, supervisor, state.mail.to_supervisor, clerk)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Line(state.ledger, state.turn).run)
        nursery.start_soon(state.turn.run)
        nursery.start_soon(clerk.run)
        nursery.start_soon(scene.run)
        yield scene
        nursery.cancel_scope.cancel(reason="end of the test")


def told(far: FarEnd) -> AgentSettings:
    """What the session was told in its settings."""
    assert far.settings is not None
    assert isinstance(far.settings.agent, AgentSettings)
    return far.settings.agent


def greeting_of(far: FarEnd) -> str | None:
    return told(far).greeting


def history_of(far: FarEnd) -> list[tuple[str, str]]:
    """What the session was told had been said: (role, text)."""
    context = told(far).context
    messages = () if context is None else context.messages
    return [(message.role, message.content) for message in messages if isinstance(message, HistoryText)]


# The plain conversation


async def test_the_first_agent_takes_the_floor_and_greets_and_its_end_is_the_end(autojump_clock: MockClock) -> None:
    async with a_conversation() as scene:
        far = await scene.service.live()
        await far.greet("Goodbye.")
        await far.say(END)
        outcome = await scene.ended()

        assert outcome == EndConversation("completed", "task_complete", heard=True)
        assert greeting_of(far) == "I am the first."
        assert history_of(far) == []
        assert scene.service.open == 0


async def test_what_is_known_of_the_customer_is_told_to_the_first_agent(autojump_clock: MockClock) -> None:
    async with a_conversation(context=Brief(summary="An old friend of the house.")) as scene:
        far = await scene.service.live()

        assert "An old friend of the house." in str(far.settings)


async def test_a_cancelled_conversation_leaves_no_session_behind(autojump_clock: MockClock) -> None:
    service = None
    with trio.CancelScope() as call:
        async with a_conversation() as scene:
            service = scene.service
            await service.live()
            call.cancel(reason="caller hung up")

    assert service is not None
    assert service.open == 0


async def test_a_call_that_goes_on_behind_its_goodbye_has_a_session_again(autojump_clock: MockClock) -> None:
    """The session is lost while its goodbye is heard, and the caller presses a key over it."""
    async with a_conversation() as scene:
        far = await scene.service.live()
        await far.say(words(3), says("Goodbye."), AgentAudioDone(), END)
        await scene.crash(far)
        await trio.sleep(1)
        assert scene.first_session == ["first"]
        scene.watched.state.turn.put(KeysEntered("5"))
        again = await scene.service.live()

        assert (await again.hear(InjectUserMessage)).content == "The caller pressed 5 on the keypad."


# Restarts


async def test_a_restarted_agent_goes_on_with_what_was_said_and_does_not_greet_again(
    autojump_clock: MockClock,
) -> None:
    async with a_conversation() as scene:
        far = await scene.service.live()
        await far.greet("I am the first.")
        await trio.sleep(2)
        await far.take_turn("What does it cost?")
        await far.say(words(1), says("Ten pounds."), AgentAudioDone())
        await trio.sleep(2)
        await scene.crash(far)
        again = await scene.service.live()
        await again.hear_for(3)

        assert greeting_of(again) is None
        assert history_of(again) == [
            ("assistant", "I am the first."),
            ("user", "What does it cost?"),
            ("assistant", "Ten pounds."),
        ]
        assert again.said(InjectUserMessage) == []
        assert scene.first_session == ["first", "first"]


async def test_a_turn_that_was_not_answered_is_asked_again_and_is_no_new_turn(autojump_clock: MockClock) -> None:
    """Its reply had no audio yet."""
    async with a_conversation() as scene:
        far = await scene.service.live()
        await far.greet("I am the first.")
        await trio.sleep(2)
        await far.take_turn("What does it cost?")
        await far.say(says("Well, ten"))
        await trio.sleep(1)
        await scene.crash(far)
        again = await scene.service.live()
        asked = await again.hear(InjectUserMessage)
        await again.say(heard("What does it cost?"), words(1), says("Ten pounds."), AgentAudioDone())
        await trio.sleep(2)

        assert asked.content == "What does it cost?"
        assert history_of(again) == [("assistant", "I am the first.")]
        assert len(scene.watched.facts(TurnHeard)) == 1
        assert scene.watched.facts(ReplyEnded)[-1].heard == "Ten pounds."


async def test_what_the_caller_interrupted_is_told_as_far_as_it_was_heard(autojump_clock: MockClock) -> None:
    async with a_conversation() as scene:
        far = await scene.service.live()
        await far.greet("One two three four five six seven eight.", 4)
        await trio.sleep(2)
        await far.say(UserStartedSpeaking())
        await scene.crash(far)
        again = await scene.service.live()

        assert history_of(again) == [("assistant", "One two three four")]
        assert greeting_of(again) is None


@pytest.mark.parametrize("seconds_heard", [0.0, 1.0])
async def test_an_agent_that_had_not_got_beyond_its_greeting_greets_again(
    seconds_heard: float, autojump_clock: MockClock
) -> None:
    async with a_conversation() as scene:
        far = await scene.service.live()
        await far.say(words(4), says("I am the first."))
        await trio.sleep(seconds_heard)
        await scene.crash(far)
        again = await scene.service.live()

        assert greeting_of(again) == "I am the first."
        assert history_of(again) == []


async def test_only_what_nobody_has_transcribed_is_heard_again(autojump_clock: MockClock) -> None:
    """Eight frames are transcribed, twelve are breath, eight were sent to the session that crashed, eight to nobody."""
    async with a_conversation() as scene:
        far = await scene.service.live()
        tape = scene.watched.state.tape
        tape.append(speech(8) + silence(12))
        await far.hear_audio(20)
        await far.take_turn("Hello.")
        tape.append(speech(8, first=8))
        await far.hear_audio(28)
        await scene.crash(far)
        tape.append(speech(8, first=16))
        again = await scene.service.live()

        assert await again.hear_audio(16) == speech(16, first=8)
        assert scene.watched.facts(FloorTaken)[-1].offset == 20


async def test_restarts_wait_longer_each_time_and_the_third_crash_in_a_row_is_the_last(
    autojump_clock: MockClock,
) -> None:
    """0.1 s, then 0.2 s, then nobody is left."""
    async with a_conversation(refusals=(DOWN,) * 9) as scene:
        outcome = await scene.ended()

        assert isinstance(outcome, str)
        assert "HTTP 503" in outcome
        assert scene.service.attempts == 3
        assert trio.current_time() == pytest.approx(0.3)
        assert [fact.delay for fact in scene.watched.facts(SessionRestarting)] == [0.1, 0.2]
        assert len(scene.watched.facts(RestartsExhausted)) == 1


async def test_a_session_that_never_gets_ready_costs_its_deadline_and_a_restart(autojump_clock: MockClock) -> None:
    """Three times 5 s, and 0.3 s between."""
    async with a_conversation(CallPolicy(deadlines=Deadlines(session_start=5.0))) as scene:
        outcome = await scene.ended()

        assert outcome == "AgentUnavailable: not ready within 5 s"
        assert trio.current_time() == pytest.approx(15.3)
        assert scene.service.open == 0


async def test_an_error_that_a_retry_cannot_mend_is_not_retried(autojump_clock: MockClock) -> None:
    async with a_conversation(refusals=(AgentUnavailable("HTTP 401", retryable=False),)) as scene:
        outcome = await scene.ended()

        assert isinstance(outcome, str)
        assert scene.service.attempts == 1
        assert trio.current_time() == 0


async def test_after_a_slip_of_the_models_its_turn_is_asked_again(autojump_clock: MockClock) -> None:
    async with a_conversation() as scene:
        far = await scene.service.live()
        await far.greet("I am the first.")
        await trio.sleep(2)
        await far.take_turn("What do I owe?")
        await far.greet("Let me see.")
        await trio.sleep(2)
        await far.say(ErrorReported("NON_EXISTENT_FUNCTION_CALLED", "fly"))
        again = await scene.service.live()
        asked = await again.hear(InjectUserMessage)

        assert asked.content == "What do I owe?"
        assert history_of(again) == [("assistant", "I am the first.")]


async def test_a_model_that_slips_again_and_again_spends_the_restart_budget(autojump_clock: MockClock) -> None:
    async with a_conversation() as scene:
        far = await scene.service.live()
        await far.take_turn("What do I owe?")
        for sessions_left in (2, 1, 0):
            await far.say(ErrorReported("NON_EXISTENT_FUNCTION_CALLED", "fly"))
            far = await scene.service.live() if sessions_left else far
        outcome = await scene.ended()

        assert isinstance(outcome, str)
        assert scene.service.attempts == 3


async def test_two_agents_that_hand_to_each_other_need_the_caller_in_between(autojump_clock: MockClock) -> None:
    async with a_conversation(roster=CIRCLE) as scene:
        first = await scene.service.live()
        await first.say(HAND_OFF)
        second = await scene.service.live()
        await second.greet("I am the second.")
        await second.say(HAND_OFF)
        refused = await second.hear(FunctionCallResponse)
        await second.say(heard("Back to the first, please."), HAND_OFF)
        await scene.service.live()

        assert "has not said anything since" in refused.content
        assert scene.first_session == ["first", "second", "first"]


async def test_crashes_on_the_floor_spend_the_same_budget(autojump_clock: MockClock) -> None:
    async with a_conversation() as scene:
        for _ in range(3):
            await scene.crash(await scene.service.live())
        outcome = await scene.ended()

        assert isinstance(outcome, str)
        assert [fact.incarnation for fact in scene.watched.facts(SessionCrashed)] == [1, 2, 3]


async def test_an_error_on_the_floor_that_cannot_be_mended_ends_it(autojump_clock: MockClock) -> None:
    async with a_conversation() as scene:
        far = await scene.service.live()
        await far.say(ErrorReported("USER_AUDIO_FORMAT", "no mulaw"))
        outcome = await scene.ended()

        assert isinstance(outcome, str)
        assert scene.service.attempts == 1


async def crash_after_a_greeting(scene: Scene, seconds: float) -> None:
    far = await scene.service.live()
    await far.greet("Good morning.", 1)
    await trio.sleep(seconds)
    await scene.crash(far)


async def test_crashes_far_apart_never_exhaust_the_budget(autojump_clock: MockClock) -> None:
    """One a minute: no more than five are within five minutes."""
    async with a_conversation(CallPolicy(deadlines=Deadlines(silence_budget=1e6))) as scene:
        for _ in range(10):
            await crash_after_a_greeting(scene, 61)
        await scene.service.live()

        assert scene.outcome is None
        assert scene.first_session == ["first"] * 11


async def test_a_service_that_drops_each_session_after_some_words_has_an_end(autojump_clock: MockClock) -> None:
    """11 s a session, so the budget of 2 in 10 s is never spent: seven sessions, 0.1 s between them, and no more."""
    async with a_conversation(CallPolicy(deadlines=Deadlines(silence_budget=1e6))) as scene:
        for _ in range(7):
            await crash_after_a_greeting(scene, 11)
        outcome = await scene.ended()

        assert isinstance(outcome, str)
        assert scene.first_session == ["first"] * 7
        assert trio.current_time() == pytest.approx(7 * 11 + 6 * 0.1)


@pytest.mark.parametrize("is_owed", [True, False], ids=["asked to speak", "listening"])
async def test_sessions_that_start_slowly_and_are_lost_without_a_word_have_an_end(
    is_owed: bool, autojump_clock: MockClock
) -> None:
    """4.9 s each, with a budget of 2 in 9.5 s: 9.8 s of starting prove nothing, in anybody's turn."""
    policy = CallPolicy(restarts=RestartPolicy(period=9.5, total=50), deadlines=Deadlines(silence_budget=1e6))
    async with a_conversation(policy) as scene:
        if not is_owed:
            await crash_after_a_greeting(scene, 20)
        for _ in range(3 - (not is_owed)):
            far = await scene.service.answer()
            await trio.sleep(4.9)
            await far.apply_settings()
            await scene.crash(far)
        outcome = await scene.ended()

        assert isinstance(outcome, str)
        assert trio.current_time() == pytest.approx(20 + 2 * 4.9 + 0.3 if not is_owed else 3 * 4.9 + 0.3)


async def test_the_restarts_of_all_agents_are_counted_together(autojump_clock: MockClock) -> None:
    policy = CallPolicy(restarts=RestartPolicy(total=3))
    async with a_conversation(policy) as scene:
        await scene.crash(await scene.service.live())
        await scene.crash(await scene.service.live())
        _, second = await hand_over(scene)
        await scene.crash(second)
        await scene.crash(await scene.service.live())
        outcome = await scene.ended()

        assert isinstance(outcome, str)
        assert scene.first_session == ["first"] * 3 + ["second"] * 2


async def test_a_service_without_room_is_waited_for_without_a_restart(autojump_clock: MockClock) -> None:
    async with a_conversation(
        CallPolicy(deadlines=Deadlines(busy_patience=10.0, busy_retry=1.0)), refusals=(BUSY,) * 5
    ) as scene:
        await scene.service.live()

        assert scene.service.attempts == 6
        assert trio.current_time() == pytest.approx(5)
        assert scene.watched.facts(SessionRestarting) == []


async def test_a_service_that_never_has_room_is_given_up_when_patience_and_budget_are_spent(
    autojump_clock: MockClock,
) -> None:
    async with a_conversation(
        CallPolicy(deadlines=Deadlines(busy_patience=3.0, busy_retry=1.0)), refusals=(BUSY,) * 50
    ) as scene:
        outcome = await scene.ended()

        assert isinstance(outcome, str)
        assert trio.current_time() == pytest.approx(3.3)


async def test_a_session_that_has_become_old_is_renewed_in_a_pause_and_goes_on(autojump_clock: MockClock) -> None:
    async with a_conversation() as scene:
        far = await scene.service.live()
        await far.greet("I am the first.")
        await trio.sleep(2)
        await far.say(ServiceWarning("MAXIMUM_SESSION_LENGTH_APPROACHING", "five minutes left"))
        again = await scene.service.live()

        assert scene.first_session == ["first", "first"]
        assert greeting_of(again) is None
        assert history_of(again) == [("assistant", "I am the first.")]
        assert [fact.why for fact in scene.watched.facts(SessionConnecting)] == ["first", "renewal"]
        assert scene.watched.facts(SessionCrashed) == []
        assert scene.watched.facts(SessionRestarting) == []


# Handoffs


async def hand_over(scene: Scene) -> tuple[FarEnd, FarEnd]:
    """Let the first agent talk a little, and hand the call to the second."""
    first = await scene.service.live()
    await first.greet("I am the first.")
    await trio.sleep(2)
    await first.take_turn("I want the second.")
    await first.say(HAND_OFF)
    second = await scene.service.live()
    return first, second


async def test_after_a_handoff_the_next_agent_has_the_conversation(autojump_clock: MockClock) -> None:
    async with a_conversation() as scene:
        first, second = await hand_over(scene)
        await second.greet("I am the second. Goodbye.")
        await second.say(END)
        outcome = await scene.ended()

        assert outcome == EndConversation("completed", "task_complete", heard=True)
        assert scene.first_session == ["first", "second"]
        assert "Ada wants a pension." in str(second.settings)
        assert first.socket.closed is not None
        assert scene.watched.facts(SessionCrashed) == []


async def test_a_successor_that_crashes_is_restarted_with_its_brief_and_only_its_own_conversation(
    autojump_clock: MockClock,
) -> None:
    async with a_conversation() as scene:
        _, second = await hand_over(scene)
        await second.greet("I am the second.")
        await trio.sleep(2)
        await scene.crash(second)
        again = await scene.service.live()

        assert scene.first_session == ["first", "second", "second"]
        assert history_of(again) == [("assistant", "I am the second.")]
        assert greeting_of(again) is None
        assert "Ada wants a pension." in str(again.settings)


async def test_a_successor_that_crashes_before_it_has_greeted_greets_the_customer_by_name(
    autojump_clock: MockClock,
) -> None:
    async with a_conversation() as scene:
        _, second = await hand_over(scene)
        await scene.crash(second)
        again = await scene.service.live()

        assert greeting_of(again) == "I am the second."
        assert again.said(InjectUserMessage) == []


async def test_a_successor_that_crashes_in_the_very_step_in_which_it_takes_the_floor_is_restarted(
    autojump_clock: MockClock,
) -> None:
    async with a_conversation() as scene:
        first = await scene.service.live()
        await first.say(HAND_OFF)
        second = await scene.service.answer()
        await second.say(Welcome("request"))
        await second.hear(Settings)
        second.say_nowait(SettingsApplied())
        second.say_nowait(ErrorReported("INTERNAL_SERVER_ERROR", "sorry"))
        await scene.service.live()

        assert scene.first_session == ["first", "second", "second"]


async def test_every_agent_has_a_budget_of_its_own(autojump_clock: MockClock) -> None:
    async with a_conversation() as scene:
        await scene.crash(await scene.service.live())
        await scene.crash(await scene.service.live())
        _, second = await hand_over(scene)
        await scene.crash(second)
        await scene.crash(await scene.service.live())
        await scene.service.live()

        assert scene.first_session == ["first"] * 3 + ["second"] * 3


async def test_a_handoff_that_fails_leaves_the_old_agent_its_floor(autojump_clock: MockClock) -> None:
    async with a_conversation(refusals=(None, DOWN, DOWN)) as scene:
        first = await scene.service.live()
        await first.say(HAND_OFF)
        response = await first.hear(FunctionCallResponse)
        await first.greet("Then I will do it. Goodbye.")
        await first.say(END)
        outcome = await scene.ended()

        assert "cannot be reached" in response.content
        assert outcome == EndConversation("completed", "task_complete", heard=True)
        assert scene.first_session == ["first"]


async def test_when_the_old_session_crashes_and_no_successor_comes_the_old_agent_is_restarted(
    autojump_clock: MockClock,
) -> None:
    async with a_conversation(refusals=(None, DOWN, DOWN)) as scene:
        first = await scene.service.live()
        await first.greet("I am the first.")
        await trio.sleep(2)
        await first.take_turn("I want the second.")
        await first.say(HAND_OFF)
        await scene.crash(first)
        again = await scene.service.live()
        asked = await again.hear(InjectUserMessage)

        assert scene.first_session == ["first", "first"]
        assert asked.content == "I want the second."
        assert [HandoffFailed("first", "second", "HTTP 503")] == scene.watched.facts(HandoffFailed)


async def test_of_an_end_and_a_handoff_in_one_breath_the_first_holds(autojump_clock: MockClock) -> None:
    async with a_conversation() as scene:
        first = await scene.service.live()
        await first.greet("Goodbye.")
        await first.say(END, HAND_OFF)
        refused = await first.hear(FunctionCallResponse)
        outcome = await scene.ended()

        assert (refused.id, "Something else is under way" in refused.content) == ("id-handoff_to_next_agent", True)
        assert outcome == EndConversation("completed", "task_complete", heard=True)
        assert scene.service.open == 0


@pytest.mark.parametrize(
    ("to", "why"), [("nobody", "There is no agent 'nobody'."), ("first", "You have the call already: go on yourself.")]
)
async def test_a_handoff_to_an_agent_that_cannot_take_it_is_refused(
    to: str, why: str, autojump_clock: MockClock
) -> None:
    first = ROSTER.agents["first"]
    lost = attrs.evolve(first, functions=(*first.functions, handoff_to_next_agent(to, name="handoff_to_nobody")))
    async with a_conversation(roster=Roster({"first": lost}, "first")) as scene:
        far = await scene.service.live()
        await far.say(calls("handoff_to_nobody", arguments='{"reason": "asked for it"}'))
        response = await far.hear(FunctionCallResponse)
        await far.greet("I am still here.")
        await trio.sleep(2)

        assert orjson.loads(response.content) == {"error": why}
        assert [fact.heard for fact in scene.watched.facts(ReplyEnded)] == ["I am still here."]


async def test_a_handoff_can_be_asked_for_again_after_it_was_refused(autojump_clock: MockClock) -> None:
    async with a_conversation(refusals=(None, DOWN, DOWN)) as scene:
        first = await scene.service.live()
        await first.say(HAND_OFF)
        await first.hear(FunctionCallResponse)
        await first.say(heard("Try again."), HAND_OFF)
        await scene.service.live()

        assert scene.first_session == ["first", "second"]


async def test_late_messages_of_what_is_decided_change_nothing(autojump_clock: MockClock) -> None:
    async with a_conversation() as scene:
        far = await scene.service.live()
        await scene.address.send(WithdrawHandoff(1, 7))
        await scene.address.send(WithdrawHandoff(7, 7))
        await far.greet("Goodbye.")
        await far.say(END)

        assert await scene.ended() == EndConversation("completed", "task_complete", heard=True)
        assert scene.first_session == ["first"]
