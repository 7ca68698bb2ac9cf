"""Takes what the outside world wants of a running call, and sees to it.

`attend` reads the call's own mailbox (`actors/intercom.py`) for as long as the conversation lasts. It speaks to nobody
itself: what is to be said stands on the desk, with the prompter.
"""

from typing import assert_never

import trio

from actors.desk import Desk
from actors.facts import StreamFailed
from actors.machine import AnsweringMachine
from actors.messages import CloseCall, EndCall, MachineAnswered, NoteCallOver, NoteStreamError, ToCall
from actors.prompter import Closing


async def attend(desk: Desk, machine: AnsweringMachine, mailbox: trio.MemoryReceiveChannel[ToCall]) -> None:
    """See to each message, in order."""
    async with trio.open_nursery() as nursery:
        async for message in mailbox:
            match message:
                case CloseCall(outcome=outcome):
                    desk.prompter.close(Closing(outcome, desk.policy.closing_sentence, desk.policy.closing))
                case EndCall(outcome=outcome):
                    desk.prompter.close(Closing(outcome, sentence="", within=0.0))
                case MachineAnswered(verdict=verdict):
                    if (beep := machine.told(verdict)) is not None:
                        nursery.start_soon(machine.wait_beep, beep)
                case NoteCallOver():
                    desk.over.set()
                case NoteStreamError(why=why):
                    desk.journal.note(StreamFailed(why))
                case _:
                    assert_never(message)
        nursery.cancel_scope.cancel(reason="no more messages")
