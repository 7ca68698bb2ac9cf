"""Twilio's webhooks: a call is here, how it goes, what to do when our stream is over; and transfers to a person.

An unsigned request gets 403 and no reason. Unknown fields are Twilio's right to send. A webhook never waits for
anything but the token store, and some seconds for a record; Twilio gives up on a voice webhook after 15 seconds.

The whisper and the key that accepts a transferred call are asked for on the person's own call; which caller it is about
stands in the address, which is part of what is signed. What a caller said is spoken to the person, and logged nowhere.
"""

from collections.abc import Mapping
from functools import partial
from http import HTTPStatus

import attrs
import structlog
from quart import Blueprint, Response, request
from werkzeug.datastructures import MultiDict

from actors.messages import MachineAnswered, NoteCallOver
from actors.supervision import unharmed
from agents.sentences import ENGLISH, Sentences
from protocol.twilio import FINAL_STATUSES, twiml
from store.records import FAILED, NEVER_RAN, TURNED_AWAY, CallRecord
from web.calls.admission import PAST, Admission, CallText, arrival_of, is_of_earlier
from web.calls.context import AppContext
from web.calls.ending import LOST
from web.calls.follow_up import NO_SHOW
from web.calls.live_calls import wall_time
from web.calls.orders import kept_order
from web.calls.outcomes import why, why_stream
from web.calls.placing import PLACED_SECONDS
from web.calls.returning import ANSWERED, ARRIVAL_SECONDS, STREAM_PATH, TRANSFERRED, Returns
from web.clients.signatures import SIGNATURE, Content
from web.routes.problems import count_of, malformed, xml
from web.sockets.asgi_events import headers_of, target_of
from web.sockets.connections import vouch

RETURNS = LOST | {NEVER_RAN}
"""Outcomes after which a caller still on the line gets a second stream, once: only the stream has ended."""
RINGING = "ringing"
"""Twilio's word for a call that no TwiML has answered yet."""
LETTER_SECONDS = 0.1
"""More than a letter of a sentence takes to be said: so much later comes the stream."""
_OF_A_CALL = frozenset({"twilio.voice", "twilio.status", "twilio.amd", "twilio.after", "twilio.dialled"})
"""Endpoints of webhooks that are about one call: without its CallSid nothing can be done."""
_FORM = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})

TAKES = "1"
_CONNECTED = frozenset({"completed", "answered"})
_NOBODY_THERE = frozenset({"busy", "failed"})
"""Ends of a ringing that the caller has no part in."""
_TURNED_AWAY = {"draining": "the server was being shut down", "full": "every line was taken"}

_log = structlog.stdlib.get_logger()


@attrs.frozen
class TwilioRoutes:
    context: AppContext

    def blueprint(self) -> Blueprint:
        routes = Blueprint("twilio", __name__, url_prefix="/twilio")
        routes.before_request(self.refuse_unsigned)
        routes.before_request(self.refuse_malformed)
        on_call = self.voice, self.status, self.amd, self.stream, self.after
        for webhook in (*on_call, self.whisper, self.accepted, self.dialled):
            routes.post(f"/{webhook.__name__}")(webhook)
        return routes

    async def refuse_unsigned(self) -> Response | None:
        """Answer 403 to whatever Twilio did not sign for our public address."""
        headers = headers_of(request.scope)
        content: Content = b""
        if SIGNATURE in headers and request.mimetype in _FORM:  # else nothing of it need be read
            content = MultiDict(await request.form)
        elif SIGNATURE in headers:
            content = await request.get_data(cache=True, as_text=False, parse_form_data=False)
        signatures, target = self.context.signatures, target_of(request.scope)
        if signatures.accepts_webhook(target, headers, content):
            vouch(request.scope)
            return None
        self.context.counts.refused("unsigned_webhook")
        answer = self.context.rate_limits.answer(Response("", 403))
        if answer.status_code == HTTPStatus.FORBIDDEN:  # else strangers could fill the log
            _log.warning("webhook_refused", path=request.path, **signatures.refusal(target, headers, content))
        return answer

    async def refuse_malformed(self) -> Response | None:
        """Answer 400 to ids that are none, and where the call's is missing."""
        form = await request.form
        field = malformed(form, request.args)
        is_missing = not field and not form.get("CallSid") and request.endpoint in _OF_A_CALL
        if not (field or is_missing):
            return None
        self.context.counts.refused("malformed_webhook")
        _log.warning("webhook_malformed", path=request.path, field=field or "CallSid")
        return Response("CallSid is missing" if is_missing else f"{field} is malformed", 400)

    async def voice(self) -> Response:
        """Say what to do with a call: connect it to our media stream, or tell the caller that we cannot."""
        form = await request.form
        order, call_sid, status = request.args.get("order", ""), form["CallSid"], form.get("CallStatus", "")
        is_over, is_streamed = await self._look_back(call_sid, status)
        is_earlier = status == RINGING and is_of_earlier(form)
        if is_earlier and not self.context.rate_limits.refuse(request.scope.get("client")):  # it may come for ever
            _log.warning("call_of_earlier", call_sid=call_sid, fix="If it has just come in, set this machine's clock.")
        if is_over or is_earlier:
            return xml(twiml.nothing())
        if is_streamed:  # a fallback URL, a redirect, a repetition
            return xml(await Returns(self.context).take_back(form, again=True))
        if not await self._is_its_call(order, call_sid):
            _log.warning("call_of_no_order", call_sid=call_sid, id=order, why="its order has another call, or is over")
            return xml(twiml.hang_up())
        kept = await kept_order(self.context.orders, order) if order else None
        arrival = attrs.evolve(arrival_of(form, order), **(kept.admitted if kept is not None else {}))
        says = self.context.services.sentences(arrival.direction, arrival.line, arrival.agents)
        notice = self.context.settings.notice_on(arrival.line)
        notice = notice and (says.recording_notice or notice)
        seconds = ARRIVAL_SECONDS + len(notice) * LETTER_SECONDS
        if not (token := await self.context.admissions.mint(arrival, unless=PAST)):
            return xml(twiml.nothing())
        if order and self.context.slots.draining:  # its worker keeps a slot for it
            self.context.slots.readmit(arrival.key, seconds)
        elif not await self.context.slots.let_in(arrival.key, seconds):
            await self.context.admissions.withdraw(token)
            return await self._turn_away(arrival, order, says)
        shown = self.context.live_calls.add(arrival.known(status))
        self.context.live_calls.name(shown.id, call_sid)
        origin, sockets = self.context.signatures.origin, self.context.signatures.socket_origin
        socket_url = sockets + STREAM_PATH
        return xml(twiml.connect_stream(origin, socket_url, token, notice=notice, language=says.language))

    async def status(self) -> Response:
        form = await request.form
        order, call_sid, status = request.args.get("order", ""), form.get("CallSid", ""), form.get("CallStatus", "")
        sequence = form.get("SequenceNumber", "")
        if await self._is_its_call(order, call_sid):
            self.context.live_calls.name(order, call_sid)
        self.context.live_calls.news_of(call_sid).progress(status, count_of(sequence))
        if status in FINAL_STATUSES:
            self.context.slots.release(order)
            self.context.slots.release(call_sid)
            await self._note_ended(call_sid)
            await self.context.streams.settle(call_sid)  # its record may be about to be kept
            self.context.announced.over(call_sid)
            await self._conclude(form, order)
        _log.info("call_progressed", call_sid=call_sid, status=status, error_code=form.get("ErrorCode"))
        return Response("", 204)

    async def amd(self) -> Response:
        """Tell the call whether a person or a machine has answered, on any worker."""
        form = await request.form
        call_sid, answered_by = form.get("CallSid", ""), form.get("AnsweredBy", "")
        self.context.live_calls.news_of(call_sid).answered_by = answered_by
        _log.info("call_answered", call_sid=call_sid, answered_by=answered_by)
        if not await self.context.commands.tell(call_sid, MachineAnswered(answered_by)):
            # its stream may be late, or elsewhere
            await self.context.admissions.put(call_sid, CallText.VERDICT, answered_by)
        return Response("", 204)

    async def stream(self) -> Response:
        """Take in what went wrong with a stream; this callback is the only place where Twilio says it."""
        form = await request.form
        if form.get("StreamEvent", "") == "stream-error":
            call_sid, stream_sid, why = form.get("CallSid", ""), form.get("StreamSid", ""), why_stream(form)
            _log.warning("stream_failed", call_sid=call_sid, stream_sid=stream_sid, why=why)
            await Returns(self.context).note_stream_error(call_sid, stream_sid, why)
        return Response("", 204)

    async def after(self) -> Response:
        """Say what follows our stream: another one, the end, or an apology when no agent could take or keep it."""
        form, returns = await request.form, Returns(self.context)
        call_sid = form.get("CallSid", "")
        if (document := await self._settled(form, returns)) is not None:
            return xml(document)
        await self.context.streams.end(call_sid)
        outcome = await self._outcome(call_sid)
        if outcome in RETURNS and "again" not in request.args:
            return xml(await returns.take_back(form, again=True))
        await returns.over(call_sid)
        if outcome not in FAILED:  # else a caller still on the line hears an apology
            return xml(twiml.hang_up())
        if outcome == NEVER_RAN:
            await self._conclude_no_show(form)
        _log.warning("caller_left_without_agent", call_sid=call_sid, outcome=outcome)
        fallback, line = self.context.settings.fallback_phone_number, self.context.settings.twilio_phone_number
        arrival = arrival_of(form, "")
        says = await returns.sentences_of(call_sid, arrival.direction, arrival.line)
        words = says.stream_lost_dialling if fallback else says.stream_lost
        return xml(twiml.say_and_end(words, says.language, dial=fallback or "", line=line))

    async def whisper(self) -> Response:
        call_sid = request.args.get("call", "")
        texts = self.context.admissions
        await texts.put(call_sid, CallText.PICKED_UP)
        words = await texts.peek(call_sid, CallText.WHISPER)
        if words is None:  # it is lost
            words, says = f"{ENGLISH.call_for_you}. {ENGLISH.press_to_take}", ""
        else:
            words, says = f"{words} {request.args['press']}", request.args.get("language", "")
        return xml(twiml.whisper(self.context.signatures.origin, call_sid, words, says))

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
        has_talked = is_taken(form, not person or pressed in person)
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

    async def _settled(self, form: MultiDict[str, str], returns: Returns) -> str | None:
        """Return what follows where our stream has no say in it: the call is over, or has gone on since."""
        call_sid, admissions = form.get("CallSid", ""), self.context.admissions
        if form.get("CallStatus", "") in FINAL_STATUSES:
            await self._note_ended(call_sid)
            await returns.conclude_left(call_sid, "caller_hung_up", "canceled")
            await returns.over(call_sid)
            await self._conclude_no_show(form)
            return twiml.nothing()
        if await admissions.told(CallText.ENDED, [call_sid]):  # a late repetition
            return twiml.nothing()
        if "again" not in request.args and self.context.streams.is_again(call_sid):  # a repetition, too
            return await returns.take_back(form, again=True)
        # where the stream was stopped by a transfer, that document has taken the place of ours
        return await admissions.peek(call_sid, CallText.TRANSFER)

    async def _note_ended(self, call_sid: str) -> None:
        """Take in that Twilio says of a call that it is over: tell it, wherever it runs."""
        await self.context.commands.tell(call_sid, NoteCallOver())
        if call_sid:
            await self.context.admissions.put(call_sid, CallText.ENDED)

    async def _look_back(self, call_sid: str, status: str) -> tuple[bool, bool]:
        """Tell whether a call is over, or was answered since this was said; and whether it has had a stream.

        Twilio repeats webhooks, to any worker. A signature has no time in it, so its readers can repeat one.
        While a call rings, this asks only this worker: `mint` asks the others, with the statement that puts the token.
        """
        call, rings = self.context.live_calls.find(call_sid), status == RINGING
        texts = () if rings else await self.context.admissions.texts_of(call_sid)
        is_here = call is not None and call.streamed
        is_streamed = is_here or CallText.STREAMED in texts
        is_over = (
            status in FINAL_STATUSES
            or CallText.ENDED in texts
            or (call is not None and call.over and not is_here)
            or (rings and is_streamed and call_sid not in self.context.streams.running())
            or (not rings and call is None and await Returns(self.context).has_ended(call_sid))
        )
        return is_over, is_streamed

    async def _is_its_call(self, order: str, call_sid: str) -> bool:
        """Note the call of an order, on whichever worker; False if the order has another call, or has ended without.

        Twilio has no key by which it would refuse a second creation: this is the last guard against a second call.
        """
        call = self.context.live_calls.find(order) if order else None
        if not order or (call is not None and call.call_sid == call_sid):
            return True
        try:
            kept = await self.context.orders.placed(order, call_sid, PLACED_SECONDS)
        except OSError as exc:
            _log.warning("order_not_known", call_sid=call_sid, id=order, why=str(exc))
            return True
        return kept is None or kept.call_sid == call_sid

    async def _conclude(self, form: MultiDict[str, str], order: str) -> None:
        arrival, status = arrival_of(form, order), form["CallStatus"]
        if arrival.direction == "outbound" and order:
            call = self.context.live_calls.find(arrival.call_sid) or arrival.known(status)
            await self.context.outcomes.conclude(call, status, why(status, form))

    async def _conclude_no_show(self, form: MultiDict[str, str]) -> None:
        """Keep a record of a call that never had a stream: the worker that had its first webhook may have died.

        Of the end of one that we have placed, Twilio tells by its order.
        """
        arrival = arrival_of(form, "")
        if arrival.direction == "outbound":
            return
        call = self.context.live_calls.find(arrival.call_sid) or arrival.known("completed")
        await self.context.outcomes.conclude(call, "completed", NO_SHOW)
        if not (call.outcome or call.streamed):  # it was let in; a later look finds the worker that has carried it
            self.context.live_calls.add(call).refreshed("completed")

    async def _outcome(self, call_sid: str) -> str:
        call = self.context.live_calls.find(call_sid)
        if call is not None and call.streamed:
            return call.outcome
        record = await Returns(self.context).record_of(call_sid)
        return record.outcome if record is not None else "never_ran"

    async def _turn_away(self, arrival: Admission, order: str, says: Sentences) -> Response:
        call_sid, why = arrival.call_sid, "draining" if self.context.slots.draining else "full"
        self.context.counts.refused(why)
        _log.warning("call_turned_away", call_sid=call_sid, why=why)
        if not order:  # of its end Twilio tells by it
            parties = arrival.direction, arrival.caller, arrival.line
            record = CallRecord(call_sid, "", *parties, wall_time(), 0.0, TURNED_AWAY, why=_TURNED_AWAY[why])
            await unharmed(partial(self.context.services.save, record), "outcome_not_kept", call_sid=call_sid)
        return xml(twiml.say_and_end(says.not_now if why == "draining" else says.busy, says.language))


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
