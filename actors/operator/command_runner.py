"""Carries out an operator's commands, each in a task of its own, until it knows what became of it.

`CommandRunner` belongs to one call. It touches no socket and takes no decision of the Supervisor's or of `Turn`'s: it
asks them, and waits for what follows. Every wait has a limit. What crashes is an answer, too; a call that ends cancels
it, and the book answers what is left.
"""

from collections.abc import Callable
from typing import Final, assert_never

import attrs
import structlog
import trio

from actors.call_state import CallState
from actors.commands import DONE, Action, Answer, Command, Say, Whisper, failed, refused
from actors.facts import ActorCrashed
from actors.supervision import Crashed, guard
from actors.turn.events import RemarkMade
from actors.turn.values import Phase

AMEND_SECONDS: Final = 15.0
"""For the service to acknowledge a prompt, or for a session that has it to take the floor."""
BEGIN_SECONDS: Final = 45.0
"""For a sentence to be begun: it waits for a pause, may be refused while the caller speaks, and outlives a session."""
_TRIES: Final = 3

log = structlog.stdlib.get_logger()


@attrs.define(eq=False)
class CommandRunner:
    """Carries out the commands of one call."""

    state: CallState
    _saying: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    """Sentences are said one after the other."""

    async def carry_out(self, command: Command) -> None:
        """Carry out a command that is new, and answer it."""
        ended = await guard(lambda: self._act(command))
        if isinstance(ended, Crashed):
            log.error("actor_crashed", actor="operator", error=ended.reason)
            self.state.journal.note(ActorCrashed("operator", ended.reason))
            self.state.commands.decide(command.id, failed(f"it crashed: {ended.reason}"))

    async def _act(self, command: Command) -> None:
        self.state.commands.decide(command.id, await self._answer(command.action, command.id))

    async def _answer(self, action: Action, command_id: str) -> Answer:
        match action:
            case Say(text=text):
                return await self._say(text, command_id)
            case Whisper(text=text):
                return await self._whisper(text)
            case _:
                assert_never(action)

    # Words

    async def _say(self, text: str, command_id: str) -> Answer:
        """Have the agent on the floor say a sentence; it is done when the agent has begun, and the caller hears it."""
        turn = self.state.turn.turn
        answer = failed(f"nobody has begun to say it within {BEGIN_SECONDS:g} s")
        with trio.move_on_after(BEGIN_SECONDS):
            async with self._saying:
                for _ in range(_TRIES):
                    await self._wait_until(lambda: not turn.remark or turn.is_closing)
                    if turn.is_closing or turn.phase is Phase.ENDING:
                        return refused("the call is being ended")
                    session = self.state.turn.session
                    self.state.turn.put(RemarkMade(text, id=command_id))
                    while turn.awaits_remark(command_id):
                        session = self.state.turn.session or session
                        await self.state.turn.wait_change()
                    if turn.has_begun_remark(command_id):
                        return DONE
                    if session is self.state.turn.session and not turn.remark:  # else it was lost with its session
                        return failed("the service was asked to say it, and has not begun")
        return answer

    async def _whisper(self, text: str) -> Answer:
        """Tell the agents a fact; it is done when the session on the floor has it in its prompt."""
        agent = self.state.turn.speaker
        if agent is not None and not self.state.amendments.has_room_for(agent, note=text):
            return refused("the prompt is too long with it: the service would cut it")
        return await self._wait_amended(self.state.amendments.add_note(text))

    async def _wait_amended(self, version: int) -> Answer:
        driver = self.state.turn
        driver.amend()
        with trio.move_on_after(AMEND_SECONDS):
            await self._wait_until(lambda: driver.session is not None and driver.session.amended >= version)
            return DONE
        return failed(f"no session has acknowledged it within {AMEND_SECONDS:g} s; the next one has it")

    async def _wait_until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds that can only change with an event of the turn."""
        while not holds():
            await self.state.turn.wait_change()
