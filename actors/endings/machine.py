"""Deals with answering machines and call screens.

`AnsweringMachine` is told Twilio's verdicts (`AnsweredBy`: Twilio reference, section 5.1). A verdict may be wrong, and
late, and knows only people and machines; so the words on the line are judged as well (`actors/endings/callee.py`). A
person is left to the agent, a call screen hears who calls and why, and a machine is hung up on, or left a message after
its beep.
It owns no task; the attendant runs `wait_beep` if it is told to. The message is the call's last sentence; until the
beep nothing of the agent is heard.
"""

import attrs
import trio

from actors.call_state import CallState
from actors.endings.callee import Callee, is_doubtful, judge, may_connect, takes_no_message
from actors.facts import CallScreened, MachineDetected
from actors.turn.events import CloseAsked, RemarkMade, Signal
from actors.turn.state import MACHINE
from agents.quoting import CALLER, SpokenTurn

MESSAGE_LEFT = "voicemail_left"
"""The outcome of a call to a machine that was left a message; else it is `MACHINE`."""


@attrs.define(eq=False)
class AnsweringMachine:
    """Without a `message` it hangs up. `introduction` gives name and reason in one sentence."""

    state: CallState
    message: str
    introduction: str = ""
    _is_person: bool = attrs.field(default=False, init=False)
    """Whether Twilio has said so."""
    _is_told: bool = attrs.field(default=False, init=False)
    """Whether a machine has picked up, as Twilio says and its words do not deny."""
    _has_beeped: bool = attrs.field(default=False, init=False)
    """Or nothing is to be said after the beep."""
    _listening: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _found: Callee | None = attrs.field(default=None, init=False)
    """The party that was found to have picked up."""

    def told(self, verdict: str) -> bool:
        """Take a verdict: `human`, `machine_start`, one of `machine_end_…`, `fax`; any other is no evidence.

        Return whether somebody has to `wait_beep`.
        """
        is_machine = verdict == "fax" or verdict.startswith("machine_")
        is_over = verdict.startswith("machine_end_")
        if self._is_told and verdict.startswith("machine_"):  # the end of the greeting, or it has come twice
            if is_over:
                self._end_greeting()
            return False
        self.state.conversation.is_with_machine = is_machine
        self._is_person = self._is_person or verdict == "human"
        believed = is_machine and self.state.turn.turn.closing is None and self._who() is not Callee.PERSON
        self.state.journal.note(MachineDetected(verdict, believed))
        if not believed:
            return False
        if verdict == "fax":
            self._hang_up()
            return False
        self._is_told = True
        if is_over:
            self._end_greeting()
        elif self._who() is Callee.MACHINE:
            self._settle()
        return self._found is not Callee.MACHINE or not self._has_beeped

    async def wait_beep(self) -> None:
        """Find out who it is, and take it for the beep when a machine's line has been quiet for a while.

        (Twilio gives one verdict a call: with `MachineDetection=Enable` when the greeting begins, with
        `DetectMessageEnd` when it is over.)
        """
        longest = self.state.policy.deadlines.machine_greeting
        limit = trio.current_time() + longest
        with trio.move_on_at(limit), self._listening:
            await self._listen()
        if self._settle() is Callee.SCREENER:
            await self._introduce()
            with trio.move_on_after(self.state.policy.deadlines.longest_turn):
                await self._wait_mailbox()
            limit = trio.current_time() + longest
        if self._found is Callee.MACHINE:  # else the agent has them already
            with trio.move_on_at(limit):
                await self._wait_quiet()
            self._hear()

    async def _wait_mailbox(self) -> None:
        """Wait for the party behind a call screen: a mailbox answers if nobody takes the call."""
        conversation, text = self.state.conversation, ""
        while not text or may_connect(text):
            await conversation.wait_caller()
            text = conversation.last_turn() or ""
        if self.state.turn.turn.closing is None and judge([SpokenTurn(CALLER, text)], [text]) is Callee.MACHINE:
            self._found = Callee.MACHINE
            self._end_with_machine()

    async def _listen(self) -> None:
        """Wait until their words say who it is, or the line has been quiet for a while: less, behind other words.

        Words that may be a person's are waited for to be answered by the agent, and by them.
        """
        conversation, told_at = self.state.conversation, trio.current_time()
        deadlines = self.state.policy.deadlines
        while self._who() is None:
            due = self._quiet_for(deadlines.machine_breath if conversation.caller_turns else deadlines.machine_quiet)
            if any(map(is_doubtful, conversation.answers())):
                due = self._quiet_for(deadlines.first_word)
            if not (self.state.activity.last or conversation.caller_turns):
                due = max(due, told_at + deadlines.first_word)
            if trio.current_time() >= due:
                return
            with trio.move_on_at(due):
                await conversation.wait_caller()

    async def _wait_quiet(self) -> None:
        while True:
            quiet_at = self._quiet_for(self.state.policy.deadlines.machine_quiet)
            if trio.current_time() >= quiet_at:
                return
            await trio.sleep_until(quiet_at)

    def _quiet_for(self, seconds: float) -> float:
        """Return when the line will have been quiet for so long, if nothing more is heard on it."""
        return self.state.journal.started + self.state.activity.last + seconds

    def _who(self) -> Callee | None:
        conversation = self.state.conversation
        return Callee.PERSON if self._is_person else judge(conversation.turns(), conversation.answers())

    def _end_greeting(self) -> None:
        if self._settle() is Callee.MACHINE:
            self._hear()
        self._listening.cancel(reason="the greeting is over")

    def _settle(self) -> Callee:
        """Say who it is, once, and end the call if nobody will come to the phone."""
        if self._found is None:
            self._found = self._who() or Callee.MACHINE
            self.state.conversation.is_with_machine = self._found is Callee.MACHINE
            if self._found is Callee.MACHINE:
                self._end_with_machine()
        return self._found

    def _end_with_machine(self) -> None:
        if self.message and not takes_no_message(self.state.conversation.turns()):
            self.state.turn.put(CloseAsked(MESSAGE_LEFT, self.message, waits_for_beep=True))
        else:
            self._has_beeped = True  # there is nothing to say after it
            self._hang_up()

    async def _introduce(self) -> None:
        """Have the agent introduce itself unless it already has; then it waits for the callee."""
        self.state.journal.note(CallScreened())
        before = self.state.conversation.last_reply
        await trio.sleep(self.state.policy.deadlines.machine_quiet)
        reply = self.state.conversation.last_reply
        said = reply.text if reply is not None and reply is not before else ""
        names = {word.strip(".,;:!?") for word in self.introduction.split()[1:] if word[:1].isupper() and word != "I"}
        if names.isdisjoint(said.replace(",", " ").replace(".", " ").split()):  # the caller's name is missing
            self.state.turn.put(RemarkMade(self.introduction))

    def _hang_up(self) -> None:
        self.state.turn.put(CloseAsked(MACHINE))

    def _hear(self) -> None:
        if not self._has_beeped:
            self._has_beeped = True
            self.state.turn.put(Signal.BEEP_HEARD)
