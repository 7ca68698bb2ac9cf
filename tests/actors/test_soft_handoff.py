"""A soft handoff alone: each step in its order, and the hard way whenever one of them cannot be."""

from collections.abc import Awaitable, Callable

import attrs
import orjson
import pytest
import trio
from trio.testing import MockClock

from actors.errors import AgentUnavailable
from actors.facts import (
    FloorLeft,
    FloorTaken,
    FunctionAnswered,
    HandoffCommitted,
    HandoffFailed,
    HandoffGap,
    HandoffWithdrawn,
    SoftHandoffGivenUp,
)
from actors.handoff import Lost
from actors.messages import AskHandoff, SessionOver, WithdrawHandoff
from actors.turn.events import Signal
from agents.functions import END_CONVERSATION
from agents.roster import load_roster
from agents.spec import soft
from protocol.audio import silence
from protocol.deepgram import (
    AgentAudioDone,
    CancelledCall,
    ErrorReported,
    FunctionCallCancelled,
    FunctionCallRequest,
    FunctionCallResponse,
    HistoryCalls,
    InjectAgentMessage,
    SpeakUpdated,
    ThinkUpdated,
    UpdateSpeak,
    UpdateThink,
    UserStartedSpeaking,
)
from testkit.witness import ordered_by
from tests.actors.fakes import END, HAND_OFF, agent, calls, heard, says, speech, words
from tests.actors.handing_over import Scene, a_handoff_asked_for, is_of

SOFT = load_roster(
    [
        agent("first", soft("second")),
        attrs.evolve(agent("second"), voice="aura-2-mars-en", functions=(END_CONVERSATION,)),
    ]
)
CANCELLED = FunctionCallCancelled((CancelledCall("id-handoff_to_next_agent", "handoff_to_next_agent"),))
GREETING = "I am the second."
NOT_ACKNOWLEDGED = "it is not acknowledged within 1 s"
Meanwhile = Callable[[Scene], Awaitable[None]]


async def think(scene: Scene) -> UpdateThink:
    update = await scene.first.hear(UpdateThink)
    await scene.first.say(ThinkUpdated())
    return update


async def take_over(scene: Scene) -> InjectAgentMessage:
    """Acknowledge both steps, and wait for what the next agent is told to say."""
    await think(scene)
    await scene.first.hear(UpdateSpeak)
    await scene.first.say(SpeakUpdated())
    return await scene.first.hear(InjectAgentMessage)


def given_up(scene: Scene) -> list[tuple[str, str]]:
    return [(fact.step, fact.why) for fact in scene.watched.facts(SoftHandoffGivenUp)]


# It succeeds


async def test_each_step_waits_for_the_acknowledgement_of_the_one_before(autojump_clock: MockClock) -> None:
    async with a_handoff_asked_for(roster=SOFT) as scene:
        far = scene.first
        mind = await far.hear(UpdateThink)
        await far.hear_for(0.5)
        before_think = [type(message) for message in far.heard[1:]]
        await far.say(ThinkUpdated())
        voice = await far.hear(UpdateSpeak)
        await far.hear_for(0.5)
        before_speak = [type(message) for message in far.heard[1:]]
        await far.say(SpeakUpdated())
        await far.hear(InjectAgentMessage)
        scene.watched.state.amendments.amend("second", note="It was delivered.")
        scene.watched.state.turn.amend()
        amended = await far.hear(UpdateThink)

        assert before_think == [UpdateThink]
        assert before_speak == [UpdateThink, UpdateSpeak]
        assert [type(message) for message in far.heard[3:]] == [FunctionCallResponse, InjectAgentMessage, UpdateThink]
        assert "You are the second." in str(mind.think[0].prompt)
        assert "Ada wants a pension." in str(mind.think[0].prompt)
        assert [function.name for function in mind.think[0].functions] == ["end_conversation"]
        assert voice.speak[0].provider.model == "aura-2-mars-en"
        assert "You are the second." in str(amended.think[0].prompt)
        assert [attrs.evolve(each, prompt=None) for each in amended.think] == [
            attrs.evolve(each, prompt=None) for each in mind.think
        ]


async def test_an_acknowledgement_that_came_twice_before_is_none_of_the_next_agents(autojump_clock: MockClock) -> None:
    async with a_handoff_asked_for(roster=SOFT, before=[ThinkUpdated(), SpeakUpdated()]) as scene:
        await scene.first.hear(UpdateThink)
        await scene.first.hear_for(0.5)
        before_think = [type(message) for message in scene.first.heard[1:]]
        await scene.first.say(ThinkUpdated())
        await scene.first.hear(UpdateSpeak)
        await scene.first.hear_for(0.5)

        assert before_think == [UpdateThink]
        assert scene.first.said(InjectAgentMessage) == []


async def test_the_next_agent_greets_in_its_own_voice_on_the_same_session(autojump_clock: MockClock) -> None:
    """The acknowledgements take 0.25 s each, and the first audio 0.1 s."""
    async with a_handoff_asked_for(roster=SOFT) as scene:
        far = scene.first
        for update, ack in ((UpdateThink, ThinkUpdated()), (UpdateSpeak, SpeakUpdated())):
            await far.hear(update)
            await trio.sleep(0.25)
            await far.say(ack)
        told = await far.hear(InjectAgentMessage)
        outcome = await scene.decided()
        await trio.sleep(0.1)
        await far.greet(told.message)
        await trio.sleep(2)

        assert is_of(outcome, "second")
        assert (outcome.agent.name, outcome.number, scene.service.attempts) == ("second", 1, 1)
        assert (told.message, told.behavior) == (GREETING, "interrupt")
        assert scene.watched.facts(HandoffCommitted) == [HandoffCommitted("first", "second", 0.5, "soft")]
        assert scene.watched.facts(HandoffGap) == [HandoffGap("second", 0.6, "soft")]
        assert scene.watched.facts(FloorLeft) == [FloorLeft("first", 1, "handed off softly")]
        assert [(fact.agent, fact.incarnation) for fact in scene.watched.facts(FloorTaken)][1:] == [("second", 1)]
        last = scene.watched.state.conversation.last_reply
        assert last is not None
        assert (last.agent, last.heard_text()) == ("second", GREETING)


async def test_the_function_is_answered_once_and_the_old_agents_task_is_gone(autojump_clock: MockClock) -> None:
    async with a_handoff_asked_for(roster=SOFT) as scene:
        await take_over(scene)
        await scene.decided()
        await scene.first.hear_for(2)

        (answer,) = scene.first.said(FunctionCallResponse)
        assert orjson.loads(answer.content)["handed_off_to"] == "second"
        assert [(fact.agent, fact.ok) for fact in scene.watched.facts(FunctionAnswered)] == [("first", True)]
        assert scene.watched.facts(HandoffWithdrawn) == []


async def test_the_caller_is_heard_from_t0_by_the_next_agent(autojump_clock: MockClock) -> None:
    async with a_handoff_asked_for(roster=SOFT) as scene:
        await think(scene)
        scene.watched.state.tape.append(speech(8))
        await scene.first.hear_for(0.3)
        between = bytes(scene.first.audio).replace(silence(4), b"")
        await scene.first.hear(UpdateSpeak) if not scene.first.said(UpdateSpeak) else None
        await scene.first.say(SpeakUpdated())
        await scene.decided()
        await scene.first.hear_for(2)

        assert between == b""
        assert bytes(scene.first.audio).replace(silence(4), b"") == speech(8)


async def test_its_functions_are_the_next_agents_alone(autojump_clock: MockClock) -> None:
    async with a_handoff_asked_for(roster=SOFT) as scene:
        await take_over(scene)
        await scene.decided()
        await scene.first.greet(GREETING)
        await scene.first.say(calls("look_up"), END)
        answer = await scene.first.hear(FunctionCallResponse)

        assert answer.name == "look_up"
        assert "error" in orjson.loads(answer.content)


async def test_nothing_of_the_session_is_heard_from_t0_until_it_is_the_next_agents(autojump_clock: MockClock) -> None:
    async with a_handoff_asked_for(roster=SOFT) as scene:
        await think(scene)
        await scene.first.greet("One moment, I am putting you through.")
        await scene.first.hear(UpdateSpeak)
        await scene.first.say(words(1), says("Who is it?"), AgentAudioDone())
        await trio.sleep(0.1)
        received = scene.watched.state.ledger.sent
        await scene.first.say(SpeakUpdated())
        await scene.decided()

        assert received == 0
        assert is_of(scene.outcome, "second")


async def test_a_reply_that_is_still_coming_is_waited_for(autojump_clock: MockClock) -> None:
    async with a_handoff_asked_for(roster=SOFT) as scene:
        await scene.first.hear(UpdateThink)
        await scene.first.say(words(1), says("Let me put you through."), ThinkUpdated())
        await scene.first.hear_for(0.7)
        early = scene.first.said(UpdateSpeak)
        await scene.first.say(AgentAudioDone())
        await scene.first.hear(UpdateSpeak)
        await scene.first.say(SpeakUpdated())
        outcome = await scene.decided()

        assert early == []
        assert is_of(outcome, "second")
        assert scene.service.attempts == 1


async def test_a_greeting_that_never_begins_is_a_lost_session_of_the_next_agent(autojump_clock: MockClock) -> None:
    async with a_handoff_asked_for(roster=SOFT) as scene:
        await take_over(scene)
        await scene.decided()
        await scene.first.hear_for(6)
        lost = scene.watched.state.mail.supervisor.receive_nowait()

        assert isinstance(lost, SessionOver)
        assert lost.crash is not None
        assert "second: it does not say what it is asked to" in lost.crash.reason


# It cannot be, and the next agent gets a session of its own


async def not_at_all(scene: Scene) -> None:
    await scene.first.hear_for(1.5)


async def only_the_mind(scene: Scene) -> None:
    await think(scene)
    await scene.first.hear_for(1.5)


async def with_an_error(scene: Scene) -> None:
    await scene.first.hear(UpdateThink)
    await scene.first.say(ErrorReported("INVALID_SETTINGS", "no such model"))


async def with_a_drop_between_the_two(scene: Scene) -> None:
    await think(scene)
    await scene.first.hear(UpdateSpeak)
    scene.first.socket.drop()


async def by_the_caller(scene: Scene) -> None:
    await think(scene)
    await scene.first.say(UserStartedSpeaking())
    await scene.first.hear_for(0.1)
    await scene.first.say(SpeakUpdated())


async def by_a_turn_that_comes_late(scene: Scene) -> None:
    await think(scene)
    await scene.first.say(heard("And the price?"))
    await scene.first.hear_for(0.1)
    await scene.first.say(SpeakUpdated())


async def by_a_reply_without_an_end(scene: Scene) -> None:
    await think(scene)
    await scene.first.hear(UpdateSpeak)
    await scene.first.say(words(1), says("Let me put you through."), SpeakUpdated())
    await scene.first.hear_for(1.5)


async def by_another_function(scene: Scene) -> None:
    await think(scene)
    await scene.first.say(calls("look_up"))
    await scene.first.hear_for(0.1)
    await scene.first.say(SpeakUpdated())


async def by_its_age(scene: Scene) -> None:
    await think(scene)
    scene.watched.state.turn.put(Signal.SESSION_AGED)
    await scene.first.hear_for(0.1)
    await scene.first.say(SpeakUpdated())


HEARD = "the service has heard the caller begin"


@pytest.mark.parametrize(
    ("meanwhile", "step", "why"),
    [
        (not_at_all, "UpdateThink", NOT_ACKNOWLEDGED),
        (only_the_mind, "UpdateSpeak", NOT_ACKNOWLEDGED),
        (with_an_error, "UpdateThink", "the session is lost"),
        (with_a_drop_between_the_two, "UpdateSpeak", "the session is lost"),
        (by_the_caller, "UpdateSpeak", HEARD),
        (by_a_turn_that_comes_late, "UpdateSpeak", HEARD),
        (by_a_reply_without_an_end, "UpdateSpeak", "the service does not become quiet within 1 s"),
        (by_another_function, "UpdateSpeak", "other functions are at work, or this one is withdrawn"),
        (by_its_age, "UpdateSpeak", "the session is old"),
    ],
)
async def test_what_is_not_acknowledged_in_time_is_done_the_hard_way(
    meanwhile: Meanwhile, step: str, why: str, autojump_clock: MockClock
) -> None:
    async with a_handoff_asked_for(roster=SOFT) as scene:
        await meanwhile(scene)
        second = await scene.service.live()
        outcome = await scene.decided()
        await second.greet(GREETING)
        await trio.sleep(2)

        assert given_up(scene) == [(step, why)]
        assert is_of(outcome, "second")
        assert [(fact.agent, fact.incarnation) for fact in scene.watched.facts(FloorTaken)][1:] == [("second", 2)]
        assert [fact.how for fact in scene.watched.facts(HandoffCommitted)] == ["hard"]
        assert scene.service.open == 1


async def test_a_caller_who_speaks_across_t0_has_no_soft_handoff(autojump_clock: MockClock) -> None:
    """The service has heard half of a turn, and would answer it."""
    async with a_handoff_asked_for(roster=SOFT, tail=speech(4)) as scene:
        second = await scene.service.live()
        await scene.decided()
        await scene.first.hear_for(1)

        assert given_up(scene) == [("", HEARD)]
        assert scene.first.said(UpdateThink) == []
        assert second.settings is not None


async def test_a_hard_edge_sends_no_update(autojump_clock: MockClock) -> None:
    async with a_handoff_asked_for() as scene:
        await scene.service.live()
        await scene.decided()
        await scene.first.hear_for(1)

        assert scene.first.said(UpdateThink) == []
        assert given_up(scene) == []


# And nobody can be reached


async def test_a_session_that_was_half_changed_is_never_heard_again(autojump_clock: MockClock) -> None:
    refusals = (AgentUnavailable("busy"), AgentUnavailable("busy"))
    signed = attrs.evolve(HAND_OFF.functions[0], thought_signature="signed")
    request = FunctionCallRequest((signed,))
    async with a_handoff_asked_for(roster=SOFT, refusals=refusals, request=request) as scene:
        await think(scene)
        outcome = await scene.decided()
        conversation = scene.watched.state.conversation

        assert isinstance(outcome, Lost)
        assert outcome.crash is not None
        assert outcome.crash.is_retryable
        assert "half changed" in outcome.crash.reason
        done = [one for each in conversation.history() if isinstance(each, HistoryCalls) for one in each.function_calls]
        assert [one.thought_signature for one in done] == ["signed"]
        assert [fact.why for fact in scene.watched.facts(HandoffFailed)] == ["busy"]
        answer = conversation.earlier_answer("handoff_to_next_agent", '{"reason": "asked for it"}')
        assert answer is not None
        assert "cannot be reached" in answer
        assert [fact.ok for fact in scene.watched.facts(FunctionAnswered)] == [False]
        assert scene.first.said(FunctionCallResponse) == []


async def test_an_update_that_is_refused_does_not_make_the_old_agent_unable(autojump_clock: MockClock) -> None:
    refusals = (AgentUnavailable("busy"), AgentUnavailable("busy"))
    async with a_handoff_asked_for(roster=SOFT, refusals=refusals) as scene:
        await with_an_error(scene)
        outcome = await scene.decided()

        assert isinstance(outcome, Lost)
        assert outcome.crash is not None
        assert outcome.crash.is_retryable


async def test_a_session_that_was_not_changed_goes_on(autojump_clock: MockClock) -> None:
    refusals = (AgentUnavailable("busy"), AgentUnavailable("busy"))
    async with a_handoff_asked_for(roster=SOFT, refusals=refusals, tail=speech(4)) as scene:
        outcome = await scene.decided()
        answer = await scene.first.hear(FunctionCallResponse)

        assert is_of(outcome, "first")
        assert "cannot be reached" in answer.content


# It is withdrawn


async def test_a_withdrawal_before_the_first_step_leaves_the_session_as_it_is(autojump_clock: MockClock) -> None:
    async with a_handoff_asked_for(roster=SOFT, brief_takes=None) as scene:
        scene.handoff._briefed = trio.Event()
        await scene.first.say(UserStartedSpeaking(), CANCELLED, heard("Wait."))
        outcome = await scene.decided()
        await scene.first.greet("Yes?")
        await scene.first.hear_for(2)

        assert is_of(outcome, "first")
        assert scene.first.said(UpdateThink) == []
        assert scene.watched.state.ledger.sent > 0


@pytest.mark.parametrize("steps", [1, 2])
async def test_a_withdrawal_after_a_step_gives_the_old_agent_another_session(
    steps: int, autojump_clock: MockClock
) -> None:
    async with a_handoff_asked_for(roster=SOFT) as scene:
        await scene.first.hear(UpdateThink)
        if steps == 2:
            await scene.first.say(ThinkUpdated())
            await scene.first.hear(UpdateSpeak)
        await scene.first.say(CANCELLED, words(1), says("Who am I?"))
        outcome = await scene.decided()
        await trio.sleep(1)

        assert outcome == Lost(None)
        assert [HandoffWithdrawn("first", "second")] == scene.watched.facts(HandoffWithdrawn)
        assert len(scene.watched.facts(FloorTaken)) == 1
        assert scene.watched.state.ledger.sent == 0


@pytest.mark.parametrize("order", range(4))
async def test_a_withdrawal_in_the_step_of_the_last_acknowledgement_is_one_or_the_other(
    order: int, autojump_clock: MockClock
) -> None:
    with ordered_by(order):
        async with a_handoff_asked_for(roster=SOFT) as scene:
            await think(scene)
            await scene.first.hear(UpdateSpeak)
            scene.handoff.change.holder.service.note_acknowledged(SpeakUpdated)
            scene.supervisor.send_nowait(WithdrawHandoff(1, scene.handoff.change.asked.number))
            outcome = await scene.decided()
            withdrawn = len(scene.watched.facts(HandoffWithdrawn))

            assert (is_of(outcome, "second"), withdrawn, len(scene.watched.facts(FloorTaken))) in {
                (False, 1, 1),
                (True, 0, 2),
            }


async def test_a_second_handoff_meanwhile_is_refused_and_the_first_goes_the_hard_way(
    autojump_clock: MockClock,
) -> None:
    async with a_handoff_asked_for(roster=SOFT) as scene:
        await think(scene)
        await scene.first.hear(UpdateSpeak)
        again = attrs.evolve(calls("handoff_to_next_agent", arguments='{"reason": "really"}').functions[0], id="again")
        scene.first.say_nowait(attrs.evolve(calls("x"), functions=(again,)))
        scene.first.say_nowait(SpeakUpdated())
        await scene.service.live()

        assert is_of(await scene.decided(), "second")


# What the session reports behind the commit is the next agent's


@pytest.mark.parametrize("order", range(4))
async def test_a_session_that_is_lost_in_the_step_of_the_commit_is_the_next_agents_loss(
    order: int, autojump_clock: MockClock
) -> None:
    with ordered_by(order):
        async with a_handoff_asked_for(roster=SOFT) as scene:
            await think(scene)
            await scene.first.hear(UpdateSpeak)
            scene.first.say_nowait(SpeakUpdated())
            scene.first.socket.drop()
            outcome = await scene.decided()
            message = await scene.watched.state.mail.next_from(1, "")

            assert is_of(outcome, "second")
            assert outcome.number == 1
            assert isinstance(message, SessionOver)
            assert message.crash is not None


async def test_the_next_agent_may_hand_on_in_its_turn(autojump_clock: MockClock) -> None:
    third = attrs.evolve(agent("second", "third"), voice="aura-2-mars-en")
    roster = load_roster([agent("first", soft("second")), third, agent("third")])
    async with a_handoff_asked_for(roster=roster) as scene:
        await take_over(scene)
        await scene.decided()
        await scene.first.greet(GREETING)
        await scene.first.take_turn("Put me through.")
        await scene.first.say(calls("handoff_to_next_agent", arguments='{"reason": "wants more"}'))
        asked = await scene.watched.state.mail.next_from(1, "")

        assert isinstance(asked, AskHandoff)
        assert (asked.wanted.to, asked.how) == ("third", "hard")
