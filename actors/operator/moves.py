"""The commands that move a call: to another agent, to another session of the same one, to a person.

Each asks the part of the call that decides it (the Supervisor, `Turn`, the line), as an agent's function would, and
waits for what follows. Nothing here is undone when the call ends meanwhile: the call's book answers then.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import trio

from actors.call_state import CallState
from actors.commands import DONE, CommandAnswer, HandoffTo, TakeOver, TransferTo, failed, refused
from actors.facts.handoff import HandoffKind
from actors.line.switch import Wish
from actors.messages import AskHandoff
from actors.supervision import Crashed, guard
from actors.turn.events import FunctionCancelled, HandoffWanted, PersonWanted, Signal
from actors.turn.state import Phase
from actors.turn_driver import SessionOnFloor, TurnDriver
from agents.functions import HandOff, TransferToHuman

BY_OPERATOR: Final = "An operator has asked for it."
TAKEN_OVER: Final = "An operator takes the call over."
_BUSY: Final[Mapping[Phase, str]] = {
    Phase.HANDING_OVER: "a handoff is under way",
    Phase.TRANSFERRING: "the caller is being put through",
    Phase.PUTTING_THROUGH: "the caller is being put through",
    Phase.ENDING: "the call is being ended",
    Phase.HUSHED: "a message is left on an answering machine",
    Phase.CLOSING: "the call is being ended",
    Phase.OVER: "the call is over",
    Phase.TAKEN_OVER: "an operator has taken the call over",
}


def session_to_move(driver: TurnDriver) -> SessionOnFloor | CommandAnswer:
    """Return the session on the floor of a call that converses; the refusal where there is none, or it does not."""
    if driver.turn.closing is not None:
        return refused("the call is being ended")
    if (why := _BUSY.get(driver.turn.phase)) is not None:
        return refused(why)
    return driver.session or refused("no agent has the floor just now")


async def wait_until(driver: TurnDriver, holds: Callable[[], bool]) -> None:
    """Wait until something holds that can only change with an event of the turn."""
    while not holds():
        await driver.wait_change()


async def work_done(state: CallState) -> None:
    """Let what an agent that may be moved is at work on be done first: it would end with its session."""
    driver = state.turn
    with trio.move_on_after(state.policy.deadlines.restarted):
        await wait_until(
            driver, lambda: not driver.turn.session.running or isinstance(session_to_move(driver), CommandAnswer)
        )


async def hand_off(state: CallState, wanted: HandoffTo, command_id: str, agents: frozenset[str]) -> CommandAnswer:
    """Hand the call to an agent; it is done when that agent has the floor, and nothing has changed if it fails."""
    if wanted.to not in agents:
        return refused(f"there is no agent {wanted.to!r}; there are {', '.join(sorted(agents))}")
    await work_done(state)
    session = session_to_move(state.turn)
    if isinstance(session, CommandAnswer):
        return session
    if session.agent.name == wanted.to:
        return refused(f"{wanted.to} has the floor already")
    can_be_soft = session.agent.hands_softly_to(wanted.to)
    if wanted.how == "soft" and not can_be_soft:
        return refused(f"the roster has no soft edge from {session.agent.name} to {wanted.to}")
    how: HandoffKind = "soft" if can_be_soft and wanted.how != "hard" else "hard"
    asked = AskHandoff(session.number, HandOff(wanted.to, wanted.reason or BY_OPERATOR, wanted.notes), how)
    name = f"operator {command_id}"  # for the turn: it is no function's
    state.turn.put(HandoffWanted(name))  # the agent is heard no further, as with its own function
    why = await guard(partial(_wait_handoff, state, session, asked))
    if why is None:
        return DONE
    if state.turn.session is session:
        state.turn.put(FunctionCancelled(name))
    if isinstance(why, Crashed):
        raise why.error
    return failed(why)


async def _wait_handoff(state: CallState, session: SessionOnFloor, asked: AskHandoff) -> str | None:
    """Return why there was no handoff; None if there was."""
    await state.ask_handoff(session, asked)
    await asked.decided.wait()
    return asked.why


async def restart_session(state: CallState) -> CommandAnswer:
    """Open another session for the agent on the floor; it is done when that has the floor, and goes on."""
    driver, limit = state.turn, state.policy.deadlines.restarted
    await work_done(state)
    session = session_to_move(driver)
    if isinstance(session, CommandAnswer):
        return session
    driver.put(Signal.RESTART_WANTED)
    with trio.move_on_after(limit):
        await wait_until(driver, lambda: driver.session is not None and driver.session is not session)
        return DONE
    return failed(f"no session has taken the floor within {limit:g} s")


async def transfer_caller(state: CallState, wanted: TransferTo | TakeOver, command_id: str) -> CommandAnswer:
    """Tell the caller that they are put through, and ask the line for the person; of a take-over, for the operator.

    Where the line does it, the stream ends, and the call's end says that it is done (`actors/call.py`).
    """
    switch, driver = state.switch, state.turn
    if switch.by_operator is None:
        return refused("no telephone network is behind this call")
    if not wanted.number and switch.transfers is None:
        return refused("no number is given, and none is set: TRANSFER_PHONE_NUMBER")
    session = session_to_move(driver)
    if isinstance(session, CommandAnswer):
        return session
    if switch.ordered is not None:
        return refused("another transfer is under way")
    comes_back = isinstance(wanted, TakeOver)
    reason, notes = (TAKEN_OVER, "") if isinstance(wanted, TakeOver) else (wanted.reason or BY_OPERATOR, wanted.notes)
    person = TransferToHuman(reason, notes, wanted.number)
    ordered = Wish(session.agent, person, command_id=command_id, way=switch.by_operator, comes_back=comes_back)
    switch.ordered = ordered
    driver.put(PersonWanted())
    ended = await guard(partial(_wait_refused, state, ordered))
    switch.ordered = None
    if not ordered.is_told:
        driver.put(PersonWanted(wanted=False))
    if isinstance(ended, Crashed):
        raise ended.error
    return ended


async def _wait_refused(state: CallState, ordered: Wish) -> CommandAnswer:
    driver = state.turn
    with trio.move_on_after(state.policy.deadlines.remark_begun):
        await wait_until(driver, lambda: ordered.is_told or driver.turn.closing is not None)
    if not ordered.is_told:
        return failed("no agent could tell the caller that they are put through")
    await ordered.wait_refused()
    return failed(ordered.cause or "another transfer took its place")
