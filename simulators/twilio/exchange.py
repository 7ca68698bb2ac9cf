"""The parts that all calls of one simulator share, and what a call's TwiML may read and change of its call.

`OngoingCall` is `SimulatedCall` as `Performance` and `HumanLeg` see it: they are parts of it, and know no more of it.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import attrs

from simulators.faults import TwilioFaults
from simulators.scenario import Human
from simulators.twilio.caller import CallerTurns
from simulators.twilio.dialling import DialStream
from simulators.twilio.knobs import TwilioKnobs
from simulators.twilio.log import CallLog
from simulators.twilio.media import StreamSummary
from simulators.twilio.orders import CallOrder
from simulators.twilio.playout import HeardRecording
from simulators.twilio.webhooks import WebhookSender


@attrs.frozen
class Exchange:
    """What all calls of one simulator share."""

    account_sid: str
    webhooks: WebhookSender
    dial: DialStream
    knobs: TwilioKnobs
    faults: TwilioFaults
    now: Callable[[], datetime]
    new_sid: Callable[[str], str]


class OngoingCall(Protocol):
    """One call while its TwiML is executed."""

    exchange: Exchange
    sid: str
    order: CallOrder
    human: Human
    turns: CallerTurns
    log: CallLog
    streams: list[StreamSummary]
    heard: HeardRecording | None

    def parameters(self) -> dict[str, str]:
        """Return what each webhook of the call is told."""
        ...
