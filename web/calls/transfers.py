"""Transfers to a person through Twilio: the whispered introduction, and the TwiML that dials.

A call puts its caller through with `TwilioTransfers`. The words for the person wait in the token store until their
phone is answered, so any worker can be asked for them. It raises what the line raises.
"""

import attrs

from actors.line.switch import TransferOrder
from agents.quoting import neutral
from web.calls.ending import LONGEST_TALK
from web.calls.returning import person_token, take_over_token
from web.calls.token_store import KnownTexts
from web.clients import twiml
from web.clients.twilio import Line
from web.clients.twilio_api import LineError

KEPT_SECONDS = 120.0
"""From the redirect to the last thing that the person may ask for."""
LONGEST_WHISPER = 400
A_CALLER = "A caller for you."


def whispered(order: TransferOrder) -> str:
    """Write the introduction that the person hears before taking the call: the caller, and the reason."""
    brief = order.brief
    who = neutral(brief.name, 60)
    about = neutral(brief.need, 80)
    opening = f"A call from {who}" if who else "A caller for you"
    topic = f", about {about}" if about else ""
    reasons = [text.strip().rstrip(".") for text in (order.reason, order.notes)]
    known = neutral(". ".join(filter(None, reasons)) or brief.summary.rstrip("."), LONGEST_WHISPER)
    return f"{opening}{topic}. {known.rstrip('.')}." if known else f"{opening}{topic}."


@attrs.frozen
class TwilioTransfers:
    """Puts calls through to `number`, unless a call asks for another; `whispers` before they are connected."""

    line: Line
    texts: KnownTexts = attrs.field(converter=KnownTexts)
    origin: str
    our_number: str
    number: str = ""
    whispers: bool = True

    async def _note_take_over(self, call_sid: str, order: TransferOrder) -> None:
        if order.comes_back:
            await self.texts.put(take_over_token(call_sid), b"", LONGEST_TALK)
        else:
            await self.texts.take(take_over_token(call_sid))  # of an earlier one

    async def put_through(self, call_sid: str, order: TransferOrder) -> None:
        """Have Twilio dial the person; it stops the call's stream.

        Raises: `LineError`.
        """
        number = order.number or self.number
        if not number:
            raise LineError("no person's number is known", fix="Set TRANSFER_PHONE_NUMBER.")
        whispers = self.whispers and not order.comes_back  # an operator knows who it is
        document = twiml.put_through(self.origin, number, self.our_number, call_sid, whispers=whispers)
        await self._note_take_over(call_sid, order)
        await self.texts.take(person_token(call_sid))  # of an earlier transfer of this call
        await self.texts.put(f"whisper {call_sid}", whispered(order).encode(), KEPT_SECONDS)
        await self.texts.put(f"transfer {call_sid}", document.encode(), KEPT_SECONDS)
        try:
            await self.line.redirect(call_sid, document)
        except LineError:
            await self.texts.take(f"transfer {call_sid}")
            raise
