"""The state that the actors of one call share: tape, ledger, conversation, journal, deadlines, turn.

One `Desk` a call, made by the call and handed down. The shared structures have one writer each (the bridge writes the
tape; the session on the floor writes ledger and conversation; the driver tells `Turn`), so no lock is needed.
"""

import attrs
import trio

from actors.clips import ClipBook, Clips
from actors.journal import Journal
from actors.line.keypad import Keypad
from actors.line.ledger import Ledger
from actors.line.switch import Switch
from actors.line.tape import Tape
from actors.line.voice_activity import VoiceActivity
from actors.messages import Mailboxes
from actors.policy import CallPolicy
from actors.record.conversation import Conversation
from actors.turn.machine import Turn
from actors.turn_driver import TurnDriver
from agents.context import CallContext


def _driver_of(desk: "Desk") -> TurnDriver:
    turn = Turn(desk.policy.for_turn, trio.current_time())
    return TurnDriver(turn, desk.ledger, desk.journal, desk.conversation, desk.clips, desk.switch)


def _keypad_of(desk: "Desk") -> Keypad:
    has_person = desk.switch.transfers is not None
    return Keypad(desk.journal, desk.policy, desk.turn.put, desk.turn.turn.has_room_for, has_person)


@attrs.frozen
class Desk:
    """The shared state of one call."""

    call_sid: str
    journal: Journal
    tape: Tape
    ledger: Ledger
    conversation: Conversation
    policy: CallPolicy
    context: CallContext = attrs.field(factory=lambda: CallContext("", ""))
    """The call as functions see it; completed for each function call."""
    clips: Clips = attrs.field(factory=ClipBook)
    activity: VoiceActivity = attrs.field(factory=VoiceActivity)
    switch: Switch = attrs.field(factory=Switch)
    mail: Mailboxes = attrs.field(factory=Mailboxes.open)
    over: trio.Event = attrs.field(factory=trio.Event)
    """Set once Twilio says that the call is over: its stream need not be waited for."""
    turn: TurnDriver = attrs.field(default=attrs.Factory(_driver_of, takes_self=True))
    keypad: Keypad = attrs.field(default=attrs.Factory(_keypad_of, takes_self=True))
