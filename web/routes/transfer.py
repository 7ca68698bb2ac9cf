"""Twilio's webhooks for transfers to a person: the whisper, the key that accepts the call, and how it ended.

All of it is signed. The whisper and the key are asked for on the person's own call; which caller it is about stands in
the address, which is part of what is signed. What a caller said is spoken to the person, and logged nowhere.
"""

from collections.abc import Mapping

import attrs
import structlog
from quart import Blueprint, Response, request

from agents.sentences import ENGLISH
from protocol.twilio import FINAL_STATUSES, twiml
from web.calls.admission import CallText
from web.calls.context import AppContext
from web.calls.outcomes import why
from web.calls.returning import ANSWERED, TRANSFERRED, Returns
from web.routes.problems import count_of, xml

TAKES = "1"
_CONNECTED = frozenset({"completed", "answered"})
_NOBODY_THERE = frozenset({"busy", "failed"})
"""Ends of a ringing that the caller has no part in."""

_log = structlog.stdlib.get_logger()


@attrs.frozen
class TransferRoutes:
    context: AppContext

    def add_to(self, routes: Blueprint) -> None:
        """Add the routes to those that Twilio signs."""
        routes.post("/whisper")(self.whisper)
        routes.post("/accepted")(self.accepted)
        routes.post("/dialled")(self.dialled)

    async def whisper(self) -> Response:
        call_sid = request.args.get("call", "")
        texts = self.context.admissions
        await texts.put(call_sid, CallText.PICKED_UP)
        words, language = await texts.peek(call_sid, CallText.WHISPER), request.args.get("language")
        if words is None:
            words, language = f"{ENGLISH.call_for_you}. {ENGLISH.press_to_take}", ""
        elif language is None:  # of an earlier version
            words += f" {ENGLISH.press_to_take}"
        return xml(twiml.whisper(self.context.signatures.origin, call_sid, words, language or ""))

    async def accepted(self) -> Response:
        call_sid, digits = request.args.get("call", ""), (await request.form).get("Digits", "")
        taken = digits == TAKES
        _log.info("transfer_answered", call_sid=call_sid, taken=taken)
        if not taken:
            return xml(twiml.hang_up())
        await Returns(self.context).note_taken(call_sid)
        self.context.slots.release(call_sid)
        return xml(twiml.nothing())

    async def dialled(self) -> Response:
        """Say what follows the person: the end of the call, or the agent again, if nobody took it."""
        form, returns = await request.form, Returns(self.context)
        call_sid, status = form.get("CallSid", ""), form.get("DialCallStatus", "")
        texts = self.context.admissions
        await texts.drop(call_sid, CallText.TRANSFER)
        _log.info("person_dialled", call_sid=call_sid, status=status, bridged=form.get("DialBridged"))
        if (given_back := await texts.peek(call_sid, CallText.GIVE_BACK)) is not None:
            return xml(given_back)
        is_over = form.get("CallStatus", "") in FINAL_STATUSES
        picked_up, pressed = CallText.PICKED_UP.of(call_sid), CallText.PERSON.of(call_sid)
        person = await texts.tokens.peek_all([picked_up, pressed])
        has_talked = is_taken(form, not person or bool(person.get(pressed)))  # of an older version, it may be empty
        comes_back = await texts.drop(call_sid, CallText.TAKE_OVER) and not is_over
        if has_talked and not comes_back:
            await returns.conclude(call_sid, TRANSFERRED, ANSWERED, float(count_of(form.get("DialCallDuration", ""))))
            return xml(twiml.hang_up())
        if is_over:
            await self.context.admissions.put(call_sid, CallText.ENDED)
            await returns.conclude(call_sid, "caller_hung_up", status if status in _NOBODY_THERE else "canceled")
            return xml(twiml.nothing())
        if await self.context.admissions.told(CallText.ENDED, [call_sid]):  # a late repetition
            return xml(twiml.nothing())
        await self.context.streams.settle(call_sid)
        why = "" if has_talked else unreached(form)
        return xml(await returns.take_back(form, unreached=why, given_back=has_talked))


def is_taken(form: Mapping[str, str], may_be: bool) -> bool:
    """Tell whether a person has had the caller: as Twilio says, else as far as we know.

    `may_be`: False if their phone was picked up, they were asked for the key, and did not press it.
    """
    if form.get("DialCallStatus", "") not in _CONNECTED:
        return False
    bridged = form.get("DialBridged", "")
    return bridged == "true" or (bridged != "false" and may_be)


def unreached(form: Mapping[str, str]) -> str:
    """Return why the person did not take the call, for its record and its agent: Twilio's word, where it is one.

    A phone that was picked up counts as an answered call for Twilio, whether or not the caller was connected.
    """
    status = form.get("DialCallStatus", "") or "no-answer"
    if status in _CONNECTED:
        return "declined"
    said = why(status, form)
    return f"{status}: {said}" if "(SIP " in said else status
