"""The parts that all calls of one simulator share, and what a call's TwiML may read and change of its call.

`OngoingCall` is `SimulatedCall` as `Performance` and `HumanLeg` see it: they are parts of it, and know no more of it.
`TwilioKnobs` are all that a test or a demo may want different.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Literal, Protocol

import attrs

from simulators.faults import Faults
from simulators.scenario import Human
from simulators.twilio.caller import CallerTurns
from simulators.twilio.dialling import DialStream
from simulators.twilio.log import CallLog
from simulators.twilio.media import StreamSummary
from simulators.twilio.orders import CallOrder
from simulators.twilio.playout import HeardRecording
from simulators.twilio.webhooks import WebhookSender


@attrs.frozen
class TwilioKnobs:
    """Delays in seconds, outcomes, strictness; the defaults are a quick but plausible Twilio."""

    ringing_after: float = 0.5
    """From `initiated` to `ringing`."""
    answered_after: float = 1.0
    """From `ringing` to the pick-up (or to `busy`, `failed`)."""
    verdict_after: float = 2.0
    """How long answering-machine detection takes."""
    stream_close_deadline: float = 5.0
    declined_status: str = "no-answer"
    """`DialCallStatus` of somebody who answered and did not want the call; they were not bridged in any case."""
    calls_per_second: float | None = None
    """Calls above this rate are accepted and queued, as Twilio does; None: no limit."""
    owned_numbers: frozenset[str] | None = None
    """The account's numbers: what `From` may be (21210 otherwise); None: any."""
    voice_url: str = ""
    """Where the calls to the account's numbers go: their voice webhook."""
    requires_wss: bool = False
    """Refuse `ws://` streams with 31922, as Twilio does. Off, so that a demo needs no certificate."""
    dials_plaintext: bool = False
    """Open `wss://` streams as `ws://`: for a server that is told it stands behind a TLS proxy."""
    outage: int | None = None
    """Answer every REST request with this HTTP status (503 becomes error 20503)."""
    creations: Literal["answered", "unanswered", "lost"] = "answered"
    """What becomes of `POST Calls.json`: `unanswered` places the call and never says so, `lost` does neither."""
    creation_takes: float = 0.0
    """Before a creation is answered; the call is placed by then."""
    listed_after: float = 0.0
    """Until a call that was placed is in the list of calls."""
    bundle: int = 1
    """Frames in a media message; see `MediaCaller`."""


@attrs.frozen
class Exchange:
    """The parts that all calls of one simulator share."""

    account_sid: str
    webhooks: WebhookSender
    dial: DialStream
    knobs: TwilioKnobs
    faults: Faults
    human: Human
    """The person that a call is put through to."""
    now: Callable[[], datetime]
    new_sid: Callable[[str], str]


class OngoingCall(Protocol):
    """One call while its TwiML is executed."""

    exchange: Exchange
    sid: str
    order: CallOrder
    turns: CallerTurns
    log: CallLog
    streams: list[StreamSummary]
    heard: HeardRecording | None

    def recording(self) -> HeardRecording:
        """Return what the call's far end has heard; it begins now, if nothing has begun it."""
        ...

    def parameters(self) -> dict[str, str]:
        """Return what each webhook of the call is told."""
        ...
