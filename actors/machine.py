"""What the call does when an answering machine has picked up: hangs up, or leaves a message after the beep.

`AnsweringMachine` is told Twilio's verdicts (`AnsweredBy`: Twilio reference, section 5.1). A verdict may be wrong, and
late: a person who has spoken is not taken for a machine. It owns no task; the attendant runs `wait_beep` if it is told
to. The message stands with the prompter, and is said like any last sentence; until then nothing of the agent is heard.
"""

import attrs
import trio

from actors.desk import Desk
from actors.facts import MachineDetected
from actors.prompter import Closing

HUNG_UP, MESSAGE_LEFT = "machine", "voicemail_left"
"""Outcomes of the call."""


@attrs.define(eq=False)
class AnsweringMachine:
    """One call's. Without a `message` it hangs up."""

    desk: Desk
    message: str
    _beep: trio.Event | None = attrs.field(default=None, init=False)

    def told(self, verdict: str) -> trio.Event | None:
        """Take a verdict: `machine_start`, one of `machine_end_…`, `fax`; whatever else is a person.

        Return the beep, if somebody has to wait for it.
        """
        is_machine = verdict == "fax" or verdict.startswith("machine_")
        is_over = verdict.startswith("machine_end_")
        self.desk.conversation.is_with_machine = is_machine
        if is_over and self._beep is not None:
            self._beep.set()
            return None
        believed = is_machine and self.desk.prompter.closing is None and not self._is_person(is_over=is_over)
        self.desk.journal.note(MachineDetected(verdict, believed))
        if not believed:
            return None
        if verdict == "fax" or not self.message:
            self.desk.prompter.close(Closing(HUNG_UP, "", 0.0))
            return None
        self._beep = beep = trio.Event()
        self.desk.prompter.close(Closing(MESSAGE_LEFT, self.message, self.desk.policy.closing, beep))
        if is_over:
            beep.set()
            return None
        return beep

    async def wait_beep(self, beep: trio.Event) -> None:
        """Take it for the beep when the line has been quiet for a while: of `machine_start`, no end is told.

        (Twilio gives one verdict a call: with `MachineDetection=Enable` when the greeting begins, with
        `DetectMessageEnd` when it is over.)
        """
        with trio.move_on_after(self.desk.policy.machine_greeting):
            await self._wait_quiet()
        beep.set()

    async def _wait_quiet(self) -> None:
        activity, started = self.desk.activity, self.desk.journal.started
        while True:
            quiet_at = started + activity.last + self.desk.policy.machine_quiet
            if trio.current_time() >= quiet_at:
                return
            await trio.sleep_until(quiet_at)

    def _is_person(self, *, is_over: bool) -> bool:
        """Whether it must be a person: because they have spoken, or, as a greeting is words too, have *answered*.

        Behind `machine_end_…` the greeting lies whole, and may have been transcribed; a recording talks on while the
        agent does, and does not wait to hear it out.
        """
        conversation = self.desk.conversation
        return conversation.is_answered if is_over else conversation.is_caller_heard
