"""Sees to what ends a call from outside: orders in its mailbox, and the longest that it may take.

`Attendant` reads the call's own mailbox (`actors/endings/intercom.py`) for as long as the conversation lasts.
`mind_length` waits for the end of the longest call. Neither speaks to anybody: `Turn` decides how the call closes, and
an operator's commands are carried out in `actors/operator/`.
"""

from functools import partial
from typing import assert_never

import attrs
import trio

from actors.call_state import CallState
from actors.commands import CommandGiven, name_of
from actors.endings.machine import AnsweringMachine
from actors.facts import StreamFailed
from actors.messages import CloseCall, EndCallNow, MachineAnswered, NoteCallOver, NoteStreamError, ToCall
from actors.operator.command_runner import CommandRunner
from actors.ticks import Sleeper
from actors.turn.events import CloseAsked, RemarkMade


@attrs.frozen
class Attendant:
    state: CallState
    machine: AnsweringMachine
    runner: CommandRunner

    async def attend(self, mailbox: trio.MemoryReceiveChannel[ToCall]) -> None:
        async with trio.open_nursery() as nursery:
            async for message in mailbox:
                self._see_to(message, nursery)
            nursery.cancel_scope.cancel(reason="no more messages")

    def _see_to(self, message: ToCall, nursery: trio.Nursery) -> None:
        state = self.state
        match message:
            case CloseCall(outcome=outcome) | EndCallNow(outcome=outcome):
                sentence = state.policy.wording.closing if isinstance(message, CloseCall) else ""
                state.turn.put(CloseAsked(outcome, sentence))
            case MachineAnswered(verdict=verdict):
                if (beep := self.machine.told(verdict)) is not None:
                    nursery.start_soon(state.run_expendable, "machine", partial(self.machine.wait_beep, beep))
            case NoteCallOver():
                state.stream.cancel(reason="Twilio says that the call is over")
            case NoteStreamError(why=why):
                state.journal.note(StreamFailed(why))
            case CommandGiven(command=command):
                if state.commands.take(message):
                    name = f"command {name_of(command.action)}"
                    nursery.start_soon(self.runner.carry_out, command, message.phone, name=name)
            case _:
                assert_never(message)


OUTCOME = "max_length"


async def mind_length(state: CallState, longest: float) -> None:
    """End the call when it has lasted `longest` seconds.

    It is warned before, unless it is shorter than the warning, or comes back on another stream when that is past.
    """
    policy, started, sleeper = state.policy, state.journal.started, Sleeper()
    notice = started + longest - policy.deadlines.length_notice
    if longest > policy.deadlines.length_notice and trio.current_time() <= notice:
        await sleeper.sleep_until(notice)
        state.turn.put(RemarkMade(policy.wording.length_warning))
    await sleeper.sleep_until(started + longest)
    state.turn.put(CloseAsked(OUTCOME, policy.wording.length_goodbye))
