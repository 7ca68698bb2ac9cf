"""Keeps a caller from waiting in silence: a filler, then recovery.

`mind_session` is a child of each session, for as long as the agents' turn depends on it; `mind_vacancy` is a child of
the conversation, for the moments when nobody has the floor. Both fill a silence in time (promise 4); what a filler does
not mend, `mind_session` ends as a crash of its session, and the Supervisor's restart budget leads on to the apology.
"""

import math
from collections.abc import Awaitable, Callable

import trio

from actors.agent_wire import AgentWire
from actors.desk import Desk
from actors.errors import AgentUnavailable
from actors.facts import SilenceMet
from actors.ledger import SWITCHBOARD
from actors.patience import Patience
from agents.spec import AgentSpec

_SHORTEST_SPEECH = 0.4


async def mind_session(
    desk: Desk,
    agent: AgentSpec,
    patience: Patience,
    ask_filler: Callable[[], Awaitable[None]],
    is_busy: Callable[[], bool],
) -> None:
    """Fill a silence of the agent's once; a second one, with nothing said or done between, is a crash.

    A caller who answers the filler starts a new turn, and not a new count: a dead session would live on fillers.

    `ask_filler` has the agent speak; what it has not begun within the filler's lead, a clip says. `is_busy` tells
    whether the model waits for one of our functions: that is no fault of the session's.

    *Raises* `AgentUnavailable` when the agent stays silent.
    """
    policy, filled, asked = desk.policy, -1, -math.inf
    while True:
        silent = await patience.wait_silence(policy.silence_budget - policy.filler_lead)
        if patience.done == filled and not is_busy():
            raise AgentUnavailable(
                f"{agent.name} was silent for {trio.current_time() - silent:.1f} s when it had to speak"
            )
        if silent > asked:  # else the same silence: the turn was put to the model again, and echoed
            asked = silent
            await ask_filler()
        with trio.move_on_at(silent + policy.silence_budget):
            await patience.wait_sound()
        if patience.is_closed:  # the caller has spoken instead, and nothing was filled
            continue
        filled = patience.done
        if patience.silent_since is None:
            desk.journal.note(SilenceMet(agent.name, round(trio.current_time() - silent, 3), "agent"))
        else:
            say_clip(desk, agent.voice, agent.name, silent)
            patience.go_on()


def say_clip(desk: Desk, voice: str, agent: str, silent: float) -> None:
    """Say the filler without an agent, as far as there is a clip of it."""
    clip = desk.clips.get(voice)
    desk.journal.note(SilenceMet(agent, round(trio.current_time() - silent, 3), "nothing" if clip is None else "clip"))
    if clip is not None:
        desk.ledger.announce(clip, desk.policy.filler)


async def mind_deafness(desk: Desk, wire: AgentWire, patience: Patience, is_listening: Callable[[], bool]) -> None:
    """Open the agents' turn when the caller has spoken and the service has given no sign since."""
    while True:
        start, end = await desk.activity.wait_spoken()
        started = desk.journal.started
        if end - start >= _SHORTEST_SPEECH and wire.last_heard < started + end and is_listening():
            patience.begin(started + end)


async def mind_vacancy(desk: Desk, voice: Callable[[], str], is_owed: Callable[[], bool]) -> None:
    """Fill each silence in which nobody has the floor: while connecting, restarting, or handing over.

    Where it is not the agents' turn (`is_owed`), a vacancy as short as a restart usually is gets no clip, however long
    the caller had been thinking before it.
    """
    ledger, policy = desk.ledger, desk.policy
    while True:
        while ledger.floor is not None:
            await ledger.wait_floor()
        began = trio.current_time()
        while ledger.floor is None:
            silent = desk.quiet_since
            due = max(silent + policy.silence_budget, began + (0.0 if is_owed() else policy.filler_lead))
            with trio.move_on_at(max(due, trio.current_time() + ledger.unplayed)):
                await ledger.wait_floor()
            if ledger.floor is None and not ledger.unplayed and trio.current_time() >= due:
                say_clip(desk, voice(), SWITCHBOARD, silent)
                began = trio.current_time() + policy.silence_budget
