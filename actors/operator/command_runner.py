"""Carries out an operator's commands, each in a task of its own, until it knows what became of it.

`CommandRunner` belongs to one call. It touches no socket and takes no decision of the Supervisor's or of `Turn`'s: it
asks them, and waits for what follows. Every wait has a limit. What crashes is an answer, too; a call that ends cancels
it, and the book answers what is left.
"""

from functools import partial
from typing import Final, assert_never

import attrs
import trio

from actors.call_state import CallState
from actors.commands import (
    DONE,
    Action,
    ChangePrompt,
    Command,
    CommandAnswer,
    GiveBack,
    HandoffTo,
    PersonOnLine,
    RestartAgent,
    Say,
    TakeOver,
    TransferTo,
    Whisper,
    failed,
    refused,
)
from actors.messages import TakeFloor
from actors.operator.moves import hand_off, restart_session, session_to_move, transfer_caller, wait_until, work_done
from actors.operator.person import PersonOnPhone
from actors.supervision import Crashed, guard
from actors.turn.events import RemarkMade, Signal
from actors.turn.state import Phase

_TRIES: Final = 3


@attrs.define(eq=False)
class CommandRunner:
    state: CallState
    agents: frozenset[str] = frozenset()
    _saying: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    """Sentences are said one after the other."""
    _phone: PersonOnPhone | None = attrs.field(default=None, init=False)
    """On which an operator has taken the call over last."""

    async def carry_out(self, command: Command, phone: PersonOnLine | None = None) -> None:
        ended = await guard(lambda: self._act(command, phone if isinstance(phone, PersonOnPhone) else None))
        if isinstance(ended, Crashed):
            self.state.note_crash("operator", ended.reason)
            self.state.commands.decide(command.id, failed(f"it crashed: {ended.reason}"))

    async def _act(self, command: Command, phone: PersonOnPhone | None) -> None:
        if phone is not None:
            answer = await self._take_over(phone)
        else:
            answer = await self._answer(command.action, command.id)
        self.state.commands.decide(command.id, answer)

    async def _answer(self, action: Action, command_id: str) -> CommandAnswer:
        match action:
            case Say(text=text):
                return await self._say(text, command_id)
            case Whisper() | ChangePrompt():
                return await self._amend(action)
            case HandoffTo():
                return await hand_off(self.state, action, command_id, self.agents)
            case RestartAgent():
                return await restart_session(self.state)
            case TransferTo() | TakeOver():
                return await transfer_caller(self.state, action, command_id)
            case GiveBack():
                return await self._give_back()
            case _:
                assert_never(action)

    # The page's phone

    async def _take_over(self, phone: PersonOnPhone) -> CommandAnswer:
        """Give the floor to the operator; it is done when the caller and the operator hear one another."""
        is_there = await phone.wait(partial(work_done, self.state))
        session = session_to_move(self.state.turn) if is_there else refused("the operator has left")
        if isinstance(session, CommandAnswer):
            phone.refuse(session.why)
            return session
        self.state.turn.put(Signal.TAKEN_OVER)
        self.state.amendments.note_person()
        self._phone = phone
        taken = TakeFloor(session.number, partial(phone.converse, self.state), phone.refuse)
        await self.state.mail.to_supervisor.send(taken)
        await phone.began.wait()
        return refused(phone.why_refused) if phone.why_refused else DONE

    async def _give_back(self) -> CommandAnswer:
        """Have the agent take the caller back; it is done when a session has the floor."""
        driver, phone, limit = self.state.turn, self._phone, self.state.policy.deadlines.restarted
        if phone is None or phone.over.is_set():
            return refused("nobody has taken this call over")
        phone.give_back()
        with trio.move_on_after(limit):
            await phone.over.wait()
            await wait_until(driver, lambda: driver.session is not None)
            return DONE
        return failed(f"no session has taken the floor within {limit:g} s")

    # Words

    async def _say(self, text: str, command_id: str) -> CommandAnswer:
        """Have the agent on the floor say a sentence; it is done when the agent has begun, and the caller hears it."""
        turn, limit = self.state.turn.turn, self.state.policy.deadlines.remark_begun
        with trio.move_on_after(limit):
            async with self._saying:
                for _ in range(_TRIES):
                    answer = await self._try_to_say(text, command_id)
                    if answer is not None:
                        return answer
        if turn.remark is not None and turn.remark.id == command_id:
            self.state.turn.put(RemarkMade(""))  # it is not to come after the answer
        return failed(f"no agent has begun to say it within {limit:g} s")

    async def _try_to_say(self, text: str, command_id: str) -> CommandAnswer | None:
        """Return what became of the sentence; None if it was lost, with its session or to another remark."""
        driver = self.state.turn
        turn = driver.turn
        await wait_until(driver, lambda: turn.remark is None or turn.closing is not None)
        if turn.closing is not None or turn.phase is Phase.ENDING:
            return refused("the call is being ended")
        session = driver.session
        driver.put(RemarkMade(text, id=command_id))
        while turn.awaits_remark(command_id):
            session = driver.session or session
            await driver.wait_change()
        if turn.remark_begun == command_id:
            return DONE
        is_lost = session is not driver.session or turn.remark is not None
        return None if is_lost else failed("the service was asked to say it, and has not begun in time")

    async def _amend(self, action: Whisper | ChangePrompt) -> CommandAnswer:
        """Change what the agents are told; it is done when the session on the floor has it in its prompt."""
        agent, amendments = self.state.turn.speaker, self.state.amendments
        if agent is None:
            return refused("no agent has the floor yet")
        note, prompt = (action.text, "") if isinstance(action, Whisper) else ("", action.text)
        if not amendments.has_room_for(agent, note=note, prompt=prompt):
            return refused("the prompt is too long with it: the service would cut it")
        return await self._wait_amended(amendments.amend(agent.name, note=note, prompt=prompt))

    async def _wait_amended(self, version: int) -> CommandAnswer:
        driver, limit = self.state.turn, self.state.policy.deadlines.amended
        driver.amend()
        with trio.move_on_after(limit):
            await wait_until(driver, lambda: driver.session is not None and driver.session.amended >= version)
            return DONE
        return failed(f"no session has acknowledged it within {limit:g} s; the next one has it")
