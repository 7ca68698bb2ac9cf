"""Takes what the outside world wants of a running call, and sees to it.

`attend` reads the call's own mailbox (`actors/endings/intercom.py`) for as long as the conversation lasts. It speaks to
nobody itself: `Turn` decides how the call closes.
"""

from typing import assert_never

import trio

from actors.call_state import CallState
from actors.endings.machine import AnsweringMachine
from actors.facts import StreamFailed
from actors.messages import CloseCall, EndCallNow, MachineAnswered, NoteCallOver, NoteStreamError, ToCall
from actors.turn.events import CloseAsked


async def attend(state: CallState, machine: AnsweringMachine, mailbox: trio.MemoryReceiveChannel[ToCall]) -> None:
    """See to each message, in order."""
    async with trio.open_nursery() as nursery:
        async for message in mailbox:
            match message:
                case CloseCall(outcome=outcome):
                    state.turn.put(CloseAsked(outcome, state.policy.wording.closing))
                case EndCallNow(outcome=outcome):
                    state.turn.put(CloseAsked(outcome))
                case MachineAnswered(verdict=verdict):
                    if (beep := machine.told(verdict)) is not None:
                        nursery.start_soon(machine.wait_beep, beep)
                case NoteCallOver():
                    state.over.set()
                case NoteStreamError(why=why):
                    state.journal.note(StreamFailed(why))
                case _:
                    assert_never(message)
        nursery.cancel_scope.cancel(reason="no more messages")
