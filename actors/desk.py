"""What the actors of one call share: its tape, its ledger, its conversation, its journal, its deadlines.

One `Desk` a call, made by the call and handed down. The shared structures have one writer each (the bridge writes the
tape; whoever holds the floor writes ledger and conversation), so no lock is needed.
"""

import attrs
import trio

from actors.clips import ClipBook, Clips
from actors.conversation import Conversation
from actors.journal import Journal
from actors.keypad import Keypad
from actors.ledger import Ledger
from actors.policy import CallPolicy
from actors.prompter import Prompter
from actors.switch import Switch
from actors.tape import Tape
from actors.voice_activity import VoiceActivity


@attrs.frozen
class Desk:
    """The shared state of one call."""

    call_sid: str
    journal: Journal
    tape: Tape
    ledger: Ledger
    conversation: Conversation
    policy: CallPolicy
    clips: Clips = attrs.field(factory=ClipBook)
    activity: VoiceActivity = attrs.field(factory=VoiceActivity)
    prompter: Prompter = attrs.field(factory=Prompter)
    switch: Switch = attrs.field(factory=Switch)
    over: trio.Event = attrs.field(factory=trio.Event)
    """Set once Twilio says that the call is over: its stream need not be waited for."""
    keypad: Keypad = attrs.field(
        default=attrs.Factory(lambda desk: Keypad(desk.journal, desk.policy, desk.prompter), takes_self=True)
    )

    @property
    def quiet_since(self) -> float:
        """When (trio time) anything was last heard on the line, or the caller was through with a key."""
        return max(self.ledger.quiet_since, self.journal.started + self.activity.last, self.keypad.finished_at)
