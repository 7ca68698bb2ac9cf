"""How a running call is reached from outside of it: by its CallSid, through a mailbox that the call itself opens.

`Intercom` is one worker's. A webhook, an operator or the drain tells it what they want of a call and goes on;
what becomes of it is the call's business. It waits for nothing and never fails: a call that is not here is not told,
and its teller learns so. `Attendant` is the call's, and reads what it is told. `mind_length` ends the longest call.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import assert_never

import attrs
import structlog
import trio

from actors.call_state import CallState
from actors.commands import CommandGiven
from actors.endings.machine import AnsweringMachine
from actors.facts import StreamFailed
from actors.messages import CloseCall, EndCallNow, MachineAnswered, NoteCallOver, NoteStreamError, ToCall
from actors.operator import CommandRunner
from actors.supervision import Standby
from actors.ticks import Sleeper
from actors.turn.events import CloseAsked, RemarkMade

MAILBOX = 8

log = structlog.stdlib.get_logger()


@attrs.define(eq=False)
class Intercom:
    _calls: dict[str, tuple[trio.MemorySendChannel[ToCall], Standby]] = attrs.field(factory=dict, init=False)

    @contextmanager
    def open(self, call_sid: str, reader: Standby | None = None) -> Iterator[trio.MemoryReceiveChannel[ToCall]]:
        """Make a call reachable, for as long as the `with` lasts; yield its mailbox. `reader` is wanted once told."""
        send, receive = trio.open_memory_channel[ToCall](MAILBOX)
        with send, receive:
            opened = self._calls[call_sid] = send, reader or Standby()
            try:
                yield receive
            finally:
                if self._calls.get(call_sid) is opened:  # else a second stream of this call is its successor
                    del self._calls[call_sid]

    def tell(self, call_sid: str, message: ToCall) -> bool:
        """Tell one call something; False if it does not run here, or does not read."""
        if (call := self._calls.get(call_sid)) is None:
            return False
        mailbox, reader = call
        reader.want()
        try:
            mailbox.send_nowait(message)
        except trio.WouldBlock:
            log.warning("call_not_told", call_sid=call_sid, what=type(message).__name__)
            return False
        return True

    def tell_all(self, message: ToCall) -> int:
        """Tell every call something; return how many were told."""
        return sum([self.tell(call_sid, message) for call_sid in list(self._calls)])


@attrs.frozen
class Attendant:
    """Reads a call's mailbox for as long as the conversation lasts. `Turn` decides how the call closes."""

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
                sentence = state.turn.turn.sentences.closing if isinstance(message, CloseCall) else ""
                state.turn.put(CloseAsked(outcome, sentence))
            case MachineAnswered(verdict=verdict):
                if self.machine.told(verdict):
                    nursery.start_soon(state.run_expendable, "machine", self.machine.wait_beep)
            case NoteCallOver():
                state.stream.cancel(reason="Twilio says that the call is over")
            case NoteStreamError(why=why):
                state.journal.note(StreamFailed(why))
            case CommandGiven(command=command):
                if state.commands.take(message):
                    name = f"command {command.name}"
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
        state.turn.put(RemarkMade(state.turn.turn.sentences.length_warning))
    await sleeper.sleep_until(started + longest)
    state.turn.put(CloseAsked(OUTCOME, state.turn.turn.sentences.length_goodbye))
