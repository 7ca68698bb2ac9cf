"""A handoff that has been asked for: a holder, somebody in the Summarizer's place, and the service."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import TypeGuard

import attrs
import trio

from actors.floor import Floor, FloorChange
from actors.handoff import Handoff, Lost
from actors.messages import AskHandoff, ToSupervisor
from actors.policy import CallPolicy, RestartPolicy
from actors.session.agent_session import AgentSession
from actors.session.opening import AgentOnCall, Opening, Openings, SettingsForm
from actors.supervision import RestartBudget
from agents.roster import Roster
from agents.spec import AgentSpec
from protocol.audio import FRAME_BYTES, silence
from protocol.deepgram import FunctionCallRequest, ServerMessage, Settings
from tests.actors.fakes import (
    HAND_OFF,
    PATIENCE,
    ROSTER,
    Clerk,
    FarEnd,
    FirstChoice,
    Line,
    Service,
    Watched,
    speech,
)


@attrs.define(eq=False)
class Scene:
    """The first agent has the floor, and has asked for the second."""

    watched: Watched
    service: Service
    floor: Floor
    handoff: Handoff
    first: FarEnd
    clerk: Clerk
    sessions: trio.Nursery
    supervisor: trio.MemorySendChannel[ToSupervisor]
    outcome: AgentSession | Lost | None = None
    took: float = 0.0
    """Seconds from t0 until it was decided."""
    over: trio.Event = attrs.field(factory=trio.Event)

    async def run(self) -> None:
        self.outcome = await self.handoff.run(self.sessions)
        self.took = trio.current_time() - self.handoff.change.asked.at
        self.over.set()

    async def decided(self) -> AgentSession | Lost:
        with trio.fail_after(PATIENCE):
            await self.over.wait()
        assert self.outcome is not None
        return self.outcome


def is_of(outcome: AgentSession | Lost | None, agent: str) -> TypeGuard[AgentSession]:
    """Whether this agent has the floor in the end."""
    return isinstance(outcome, AgentSession) and outcome.agent.name == agent


async def start_first(
    openings: Openings, service: Service, floor: Floor, sessions: trio.Nursery, agent: AgentSpec
) -> tuple[AgentSession, FarEnd]:

    async def settings() -> Settings:
        await trio.lowlevel.checkpoint()
        return SettingsForm("CA1").fresh(agent, None)

    on_call = AgentOnCall(agent, RestartBudget(RestartPolicy(), Random(0)))
    live = floor.new_session(on_call, Opening(settings, lambda: 0, prompt=openings.prompt))
    sessions.start_soon(floor.start, sessions, live, "first", 5.0)
    return live, await service.live()


@asynccontextmanager
async def a_handoff_asked_for(
    policy: CallPolicy | None = None,
    *,
    brief_takes: float | None = 0.0,
    refusals: tuple[Exception | None, ...] = (),
    request: FunctionCallRequest = HAND_OFF,
    facts: Mapping[str, str] | None = None,
    roster: Roster = ROSTER,
    tail: bytes = b"",
    before: Sequence[ServerMessage] = (),
) -> AsyncIterator[Scene]:
    """It is asked for at frame 20, when the caller has said "Yes, please."; with None nobody writes a Brief.

    `tail` is what the caller says then, and the service has heard; `before` is what it says before the request."""
    watched, service = Watched(policy or CallPolicy(), caller_turns=1), Service()
    state = watched.state
    openings = Openings(SettingsForm("CA1"), state.tape, state.conversation, state.policy)
    floor, clerk = Floor(state, service.connect), Clerk(state.mail.summarizer, brief_takes or 0.0)
    async with trio.open_nursery() as sessions:
        sessions.start_soon(Line(state.ledger, state.turn).run)
        sessions.start_soon(state.turn.run)
        if brief_takes is None:
            state.mail.summarizer.close()
        else:
            sessions.start_soon(clerk.run)
        live, first = await start_first(openings, service, floor, sessions, roster.agents["first"])
        watched.state.tape.append(speech(8) + silence(12))
        await first.hear_audio(20)
        await first.take_turn("Yes, please.")
        watched.state.tape.append(tail)
        await first.hear_audio(20 + len(tail) // FRAME_BYTES)
        first.audio.clear()
        service.refusals.extend(refusals)
        watched.state.conversation.record(facts or {})
        await first.say(*before, request)
        asked = await state.mail.supervisor.receive()
        assert isinstance(asked, AskHandoff)
        on_call = AgentOnCall(roster.agents["second"], RestartBudget(RestartPolicy(), Random(0)))
        handoff = Handoff(state, floor, openings, FirstChoice(), FloorChange(live, asked, on_call))
        scene = Scene(watched, service, floor, handoff, first, clerk, sessions, state.mail.to_supervisor)
        sessions.start_soon(scene.run)
        yield scene
        sessions.cancel_scope.cancel(reason="end of the test")
