"""Twilio's door for calls that are put through: what the person is told, whether they took it, and how it ended.

All of it is signed. The whisper and the key are asked for on the person's own call; which caller it is about stands in
the address, which is part of what is signed. What a caller said is spoken to the person, and logged nowhere.
"""

import attrs
import structlog
from quart import Blueprint, Response, request

from web import twiml
from web.arrival import xml
from web.board import OVER
from web.office import Office
from web.returning import Returns
from web.routes_twilio import TwilioRoutes
from web.transfers import A_CALLER
from web.well_formed import count_of

TAKES = "1"
_CONNECTED = frozenset({"completed", "answered"})

_log = structlog.stdlib.get_logger()


@attrs.frozen
class TransferRoutes:
    """The signed routes of a transfer."""

    office: Office

    def blueprint(self) -> Blueprint:
        """Return the routes."""
        routes = Blueprint("transfer", __name__, url_prefix="/twilio")
        door = TwilioRoutes(self.office)
        routes.before_request(door.refuse_unsigned)
        routes.before_request(door.refuse_malformed)
        routes.post("/whisper")(self.whisper)
        routes.post("/accepted")(self.accepted)
        routes.post("/dialled")(self.dialled)
        return routes

    async def whisper(self) -> Response:
        """Tell the person who is calling, and ask for the key."""
        call_sid = request.args.get("call", "")
        words = await self.office.admissions.holes.peek(f"whisper {call_sid}")
        origin = self.office.signatures.origin
        return xml(twiml.whisper(origin, call_sid, words.decode() if words is not None else A_CALLER))

    async def accepted(self) -> Response:
        """Connect the person who has pressed the key, and nobody else."""
        call_sid, digits = request.args.get("call", ""), (await request.form).get("Digits", "")
        taken = digits == TAKES
        _log.info("transfer_answered", call_sid=call_sid, taken=taken)
        if not taken:
            return xml(twiml.hang_up())
        self.office.slots.release(call_sid)
        return xml(twiml.nothing())

    async def dialled(self) -> Response:
        """Say what follows the person: the end of the call, or the agent again, if nobody took it."""
        form, returns = await request.form, Returns(self.office)
        call_sid, status = form.get("CallSid", ""), form.get("DialCallStatus", "")
        if not call_sid:
            return Response("CallSid is missing", 400)
        await self.office.admissions.holes.take(f"transfer {call_sid}")
        _log.info("person_dialled", call_sid=call_sid, status=status, bridged=form.get("DialBridged"))
        if status in _CONNECTED and form.get("DialBridged", "true") != "false":
            await returns.conclude(
                call_sid, "transferred", "answered", float(count_of(form.get("DialCallDuration", "")))
            )
            return xml(twiml.hang_up())
        if form.get("CallStatus", "") in OVER:
            await returns.conclude(call_sid, "caller_hung_up", status)
            return xml(twiml.nothing())
        await self.office.streams.settle(call_sid, 5)
        return xml(await returns.take_back(form, unreached=status or "no-answer"))
