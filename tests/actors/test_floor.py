"""The floor alone: sessions come to it, leave it, and report what became of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from random import Random

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from trio_websocket import ConnectionClosed

from actors.errors import AgentUnavailable
from actors.facts import FloorLeft, FloorTaken, ReplyEnded, SessionConnecting, SessionFailed, SessionReady
from actors.floor import Floor, FloorChange
from actors.messages import AskHandoff, SessionOver, ToSupervisor
from actors.policy import RestartPolicy
from actors.session.agent_session import AgentSession
from actors.session.opening import AgentOnCall, Opening, SettingsForm
from actors.supervision import RestartBudget
from actors.turn.effects import EndConversation
from agents.functions import HandOff
from agents.spec import AgentSpec
from protocol.deepgram import AgentAudioDone, ServiceWarning, Settings, SettingsApplied, Welcome
from tests.actors.fakes import END, HAND_OFF, ROSTER, FarEnd, Line, Service, Watched, says, speech, words


@attrs.define(eq=False)
class Scene:
    """A floor, and the nursery of the conversation."""

    watched: Watched
    service: Service
    floor: Floor
    mailbox: trio.MemoryReceiveChannel[ToSupervisor]
    sessions: trio.Nursery

    def new_session(self, name: str = "first", start: int = 0) -> AgentSession:
        agent = ROSTER.agents[name]
        on_call = AgentOnCall(agent, RestartBudget(RestartPolicy(), Random(0)))
        return self.floor.new_session(on_call, Opening(lambda: fresh(agent), lambda: start))

    async def live(self, name: str = "first", change: FloorChange | None = None) -> tuple[AgentSession, FarEnd]:
        live = self.new_session(name)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.floor.start, self.sessions, live, "first", 5.0, change)
            far = await self.service.live()
        return live, far


async def fresh(agent: AgentSpec) -> Settings:
    await trio.lowlevel.checkpoint()
    return SettingsForm("CA1").fresh(agent, None)


@asynccontextmanager
async def an_empty_floor() -> AsyncIterator[Scene]:
    watched, service = Watched(caller_turns=1), Service()
    floor = Floor(watched.state, service.connect)
    async with trio.open_nursery() as sessions:
        sessions.start_soon(Line(watched.state.ledger, watched.state.turn).run)
        sessions.start_soon(watched.state.turn.run)
        yield Scene(watched, service, floor, watched.state.mail.supervisor, sessions)
        sessions.cancel_scope.cancel(reason="end of the test")


async def test_a_session_that_is_ready_has_the_floor(autojump_clock: MockClock) -> None:
    async with an_empty_floor() as scene:
        live, _ = await scene.live()

        assert scene.watched.state.ledger.floor is live.voice
        assert [SessionConnecting("first", 1, "first")] == scene.watched.facts(SessionConnecting)
        assert [FloorTaken("first", 1, 0)] == scene.watched.facts(FloorTaken)


async def test_the_journal_says_from_which_frame_on_the_new_holder_listens(autojump_clock: MockClock) -> None:
    async with an_empty_floor() as scene:
        scene.watched.state.tape.append(speech(10))
        live = scene.new_session(start=7)
        scene.sessions.start_soon(scene.floor.start, scene.sessions, live, "restart", 5.0)
        await scene.service.live()

        assert [FloorTaken("first", 1, 7)] == scene.watched.facts(FloorTaken)


async def test_sessions_are_numbered_in_order(autojump_clock: MockClock) -> None:
    async with an_empty_floor() as scene:
        assert [scene.new_session().number, scene.new_session("second").number] == [1, 2]


async def test_the_session_that_had_the_floor_leaves_it_in_the_step_in_which_the_next_one_takes_it(
    autojump_clock: MockClock,
) -> None:
    async with an_empty_floor() as scene:
        old, old_far = await scene.live()
        asked = AskHandoff(1, HandOff("second", ""), "hard", HAND_OFF.functions[0])
        on_call = AgentOnCall(ROSTER.agents["second"], RestartBudget(RestartPolicy(), Random(0)))
        new, _ = await scene.live("second", FloorChange(old, asked, on_call))

        assert scene.watched.state.ledger.floor is new.voice
        assert [FloorLeft("first", 1, "handed off")] == scene.watched.facts(FloorLeft)
        assert scene.watched.times(FloorLeft) == scene.watched.times(FloorTaken)[1:]
        assert scene.service.open == 1
        assert old_far.socket.closed is not None
        assert scene.mailbox.statistics().current_buffer_used == 0


async def test_what_a_session_has_said_when_it_leaves_the_floor_is_played_out_and_nothing_more_of_it(
    autojump_clock: MockClock,
) -> None:
    async with an_empty_floor() as scene:
        live, far = await scene.live()
        await far.say(words(2), says("I will put you through."), AgentAudioDone())
        await wait_all_tasks_blocked()
        scene.floor.leave(live, "handed off")
        more = scene.watched.state.ledger.put(live.voice, words(1).data)
        await trio.sleep(3)

        assert not more
        assert [fact.heard for fact in scene.watched.facts(ReplyEnded)] == ["I will put you through."]


@pytest.mark.parametrize("welcomed", [False, True])
async def test_a_session_that_is_not_ready_in_time_is_gone_with_its_socket(
    welcomed: bool, autojump_clock: MockClock
) -> None:
    async with an_empty_floor() as scene:
        live = scene.new_session()

        async def stay_mute() -> None:
            far = await scene.service.answer()
            if welcomed:
                await far.say(Welcome("request"))

        scene.sessions.start_soon(stay_mute)
        with pytest.raises(AgentUnavailable, match="not ready within 4 s") as raised:
            await scene.floor.start(scene.sessions, live, "first", 4.0)

        assert trio.current_time() == pytest.approx(4)
        assert raised.value.retryable
        assert scene.service.open == 0
        assert [SessionFailed("first", 1, "not ready within 4 s", retryable=True)] == (
            scene.watched.facts(SessionFailed)
        )
        assert scene.watched.facts(FloorTaken) == []


async def test_a_refused_connection_says_whether_it_is_worth_another_try(autojump_clock: MockClock) -> None:
    async with an_empty_floor() as scene:
        scene.service.refusals.append(AgentUnavailable("HTTP 401", retryable=False))
        with pytest.raises(AgentUnavailable, match="HTTP 401") as raised:
            await scene.floor.start(scene.sessions, scene.new_session(), "first", 4.0)

        assert not raised.value.retryable
        assert [SessionFailed("first", 1, "HTTP 401", retryable=False)] == scene.watched.facts(SessionFailed)


async def test_a_service_that_talks_nonsense_is_an_unavailable_agent(autojump_clock: MockClock) -> None:
    async with an_empty_floor() as scene:

        async def talk_nonsense() -> None:
            far = await scene.service.answer()
            with suppress(ConnectionClosed):
                while True:
                    await far.say_text("{nonsense")
                    await far.hear_for(0.5)

        scene.sessions.start_soon(talk_nonsense)
        with pytest.raises(AgentUnavailable) as raised:
            await scene.floor.start(scene.sessions, scene.new_session(), "first", 4.0)

        assert raised.value.retryable
        assert scene.service.open == 0


async def test_a_session_that_gets_ready_when_its_starter_has_just_given_up_does_not_take_the_floor(
    autojump_clock: MockClock,
) -> None:
    async with an_empty_floor() as scene:
        with trio.CancelScope() as starter:

            async def apply_and_give_up() -> None:
                far = await scene.service.answer()
                await far.say(Welcome("request"))
                await far.hear(Settings)
                await wait_all_tasks_blocked()
                far.say_nowait(SettingsApplied())
                starter.cancel()

            scene.sessions.start_soon(apply_and_give_up)
            await scene.floor.start(scene.sessions, scene.new_session(), "handoff", 4.0)
        await wait_all_tasks_blocked()

        assert starter.cancelled_caught
        assert len(scene.watched.facts(SessionReady)) == 1
        assert scene.watched.facts(FloorTaken) == []
        assert scene.watched.state.ledger.floor is None
        assert scene.service.open == 0


async def test_a_session_on_the_floor_outlives_its_starter(autojump_clock: MockClock) -> None:
    async with an_empty_floor() as scene:
        async with trio.open_nursery() as turn:
            turn.start_soon(scene.floor.start, scene.sessions, scene.new_session(), "handoff", 4.0)
            far = await scene.service.live()
            turn.cancel_scope.cancel()
        await far.greet("Still here.")
        await trio.sleep(10)

        assert scene.service.open == 1
        assert [fact.heard for fact in scene.watched.facts(ReplyEnded)] == ["Still here."]


async def test_a_crash_on_the_floor_is_reported_and_hurts_nobody(autojump_clock: MockClock) -> None:
    async with an_empty_floor() as scene:
        _, far = await scene.live()
        far.socket.drop()
        message = await scene.mailbox.receive()

        assert isinstance(message, SessionOver)
        assert message.session == 1
        assert message.crash is not None
        assert "closed" in message.crash.reason
        assert scene.service.open == 0


async def test_the_end_of_the_conversation_is_the_turns_to_say(autojump_clock: MockClock) -> None:
    async with an_empty_floor() as scene:
        _, far = await scene.live()
        await far.say(words(1), says("Goodbye."), AgentAudioDone(), END)

        assert await scene.watched.concluded() == EndConversation("completed", "task_complete", heard=True)
        assert scene.mailbox.statistics().current_buffer_used == 0


async def test_a_session_that_has_become_old_is_reported(autojump_clock: MockClock) -> None:
    async with an_empty_floor() as scene:
        _, far = await scene.live()
        await far.greet("Hello there.")
        await trio.sleep(2)
        await far.say(ServiceWarning("MAXIMUM_SESSION_LENGTH_APPROACHING", "five minutes left"))

        assert await scene.mailbox.receive() == SessionOver(1, None)


async def test_that_the_service_is_busy_is_passed_on(autojump_clock: MockClock) -> None:
    async with an_empty_floor() as scene:
        scene.service.refusals.append(AgentUnavailable("HTTP 429", is_busy=True))
        with pytest.raises(AgentUnavailable) as raised:
            await scene.floor.start(scene.sessions, scene.new_session(), "first", 4.0)

        assert raised.value.is_busy


async def test_the_gap_of_a_handoff_is_counted_from_the_promise(autojump_clock: MockClock) -> None:
    async with an_empty_floor() as scene:
        agent = ROSTER.agents["second"]
        on_call = AgentOnCall(agent, RestartBudget(RestartPolicy(), Random(0)))
        live = scene.floor.new_session(on_call, Opening(lambda: fresh(agent), lambda: 0, promised_at=0.0))

        assert live.agent.name == "second"
        assert live.voice.gap_from == 0.0
