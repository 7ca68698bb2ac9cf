"""The state that the actors of one call share: tape, ledger, conversation, journal, deadlines, turn.

One `CallState` a call, made by the call and handed down. The shared structures have one writer each, so no lock is
needed: the bridge writes the tape, the session on the floor writes ledger and conversation, the driver tells `Turn`.
"""

from collections.abc import Awaitable, Callable

import attrs
import structlog
import trio

from actors.commands import Amendments, CommandBook
from actors.facts import ActorCrashed, HandoffAsked
from actors.journal import Journal
from actors.line.ledger import Ledger
from actors.line.line_watch import Keypad, VoiceActivity
from actors.line.switch import Switch
from actors.line.tape import Tape
from actors.messages import AskHandoff, Mailboxes
from actors.policy import CallPolicy
from actors.record.conversation import Conversation
from actors.supervision import Crashed, guard
from actors.turn.machine import Turn
from actors.turn_driver import Clips, SessionOnFloor, TurnDriver
from agents.context import CallContext
from agents.sentences import ENGLISH, Sentences

log = structlog.stdlib.get_logger()


def _driver_of(state: "CallState") -> TurnDriver:
    turn = Turn(state.policy, trio.current_time(), state.sentences)
    return TurnDriver(turn, state.ledger, state.journal, state.conversation, state.clips, state.switch)


def _keypad_of(state: "CallState") -> Keypad:
    has_person = state.switch.transfers is not None
    return Keypad(state.journal, state.policy, state.turn.put, state.turn.turn.has_room_for, has_person)


@attrs.frozen
class CallState:
    journal: Journal
    conversation: Conversation
    policy: CallPolicy
    context: CallContext = attrs.field(factory=lambda: CallContext("", ""))
    """The call as functions see it; completed for each function call."""
    clips: Clips = attrs.field(factory=Clips)
    activity: VoiceActivity = attrs.field(factory=VoiceActivity)
    switch: Switch = attrs.field(factory=Switch)
    sentences: Sentences = ENGLISH
    """The sentences of the agent that begins; the one on the floor brings its own."""
    tape: Tape = attrs.field(factory=Tape, init=False)
    ledger: Ledger = attrs.field(default=attrs.Factory(lambda one: Ledger(one.journal), takes_self=True), init=False)
    mail: Mailboxes = attrs.field(factory=Mailboxes.open, init=False)
    stream: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    """Of reading the stream: cancelled once Twilio says that the call is over, and when the line is dead."""
    amendments: Amendments = attrs.field(factory=Amendments, init=False)
    commands: CommandBook = attrs.field(
        default=attrs.Factory(lambda one: CommandBook(one.journal), takes_self=True), init=False
    )
    turn: TurnDriver = attrs.field(default=attrs.Factory(_driver_of, takes_self=True), init=False)
    keypad: Keypad = attrs.field(default=attrs.Factory(_keypad_of, takes_self=True), init=False)

    async def ask_handoff(self, session: SessionOnFloor, asked: AskHandoff) -> None:
        """Ask the Supervisor for the next agent; what is heard of this one now is its last reply."""
        wanted = asked.wanted
        self.ledger.end_reply(session.voice)
        told = session.agent.name, wanted.to, wanted.reason, wanted.notes, session.cursor, asked.how
        self.journal.note(HandoffAsked(*told))
        await self.mail.to_supervisor.send(asked)

    async def run_expendable(self, actor: str, run: Callable[[], Awaitable[object]]) -> None:
        """Run a part of the call that costs no more than itself if it crashes."""
        ended = await guard(run)
        if isinstance(ended, Crashed):
            self.note_crash(actor, ended.reason)

    def note_crash(self, actor: str, why: str) -> None:
        log.error("actor_crashed", actor=actor, error=why)
        self.journal.note(ActorCrashed(actor, why))
