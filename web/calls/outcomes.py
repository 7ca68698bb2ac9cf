"""How orders end, and calls without a conversation (busy, not answered, failed, called off): why, in plain words.

`why` and `why_stream` read what Twilio reports: a status, and where it knows more an error code or the carrier's SIP
response (https://www.twilio.com/docs/voice/api/call-resource#statuscallback); both are pure. A call with a media
stream leaves its own record. `Outcomes` keeps one for every other call that was ordered, under its CallSid, or under
the order's id where Twilio never had it. `OrderEnds` notes in the queue how an order's call went, wherever that was
heard. Told twice, each keeps the first. Neither raises anything: what cannot be kept is logged, and
`web/calls/unfinished.py` finds it out.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import attrs
import structlog

from actors.supervision import unharmed
from store.calls import CallRecords, DatabaseUnavailable, Save
from store.databases import answering
from store.json_text import OtherVersion
from store.orders.queue import KeptOrder, OrderQueue
from store.records import DO_NOT_CALL, NEVER_RAN, UNANSWERED, CallRecord, RecordError, stream_fault
from web.calls.admission import Admissions
from web.calls.live_calls import KnownCall
from web.calls.orders import kept_order
from web.calls.work_queue import WorkQueue

_CODES: Mapping[str, str] = {
    "10004": "the account's limit of concurrent calls was reached",
    "11200": "our own server did not answer Twilio as it should",
    "11205": "Twilio could not reach our own server",
    "13224": "the number cannot be reached",
    "21214": "the number cannot be reached",
    "21215": "calls to this country are not enabled in the account",
    "21216": "Twilio blocks calls to this number",
    "21217": "the number does not exist",
    "32005": "the number cannot be reached",
}
_SIP: Mapping[str, str] = {
    "404": "the number does not exist",
    "408": "the carrier did not answer in time",
    "410": "the number is no longer in use",
    "480": "the phone is switched off or out of reach",
    "484": "the number is not complete",
    "486": "the line was engaged",
    "487": "it rang until the time for it was over",
    "488": "the phone and Twilio have no audio format in common",
    "600": "the line was engaged",
    "603": "the call was declined",
    "604": "the number does not exist",
    "606": "the phone and Twilio have no audio format in common",
    "607": "the person called rejects calls from our number",
    "608": "the carrier rejects calls from our number",
}
_SIP_CLASSES: Mapping[str, str] = {
    "4": "the carrier refused the call",
    "5": "the carrier could not take the call",
    "6": "the call was refused",
}
_STATUSES: Mapping[str, str] = {
    "busy": "the line was engaged",
    "no-answer": "nobody picked up",
    "failed": "the call could not be put through",
    "canceled": "it was hung up before anybody answered",
    "completed": "it was answered, and over before an agent could speak",
}
_TOLD_BY_STATUS = frozenset({("busy", "487"), ("no-answer", "487"), ("canceled", "487")})
"""SIP 487 only says that the ringing was ended: these statuses say by what."""

_STREAM_CODES: Mapping[str, str] = {
    "31900": "the stream failed, and Twilio does not say why",
    "31901": "our server did not answer Twilio's connection request",
    "31902": "our server refused Twilio's connection",
    "31903": "the connection to our server broke",
    "31904": "Twilio found no way to our server",
    "31910": "Twilio could not make a TLS connection to our server",
    "31920": "our server, or the proxy in front of it, did not accept the WebSocket upgrade",
    "31921": "our server closed the stream",
    "31922": "the stream's URL does not begin with wss://",
    "31923": "the stream's URL is malformed",
    "31924": "Twilio read something that is not the WebSocket protocol, perhaps from a proxy",
    "31930": "Twilio dropped audio of the caller's: the way to our server is too slow",
    "31931": "Twilio dropped audio of ours: it had more than ten minutes to play",
    "31940": "Twilio could not set the stream up",
    "31941": "this kind of stream cannot have the track that was asked for",
    "31942": "Twilio could not set the stream up",
    "31950": "Twilio could not decode a message of ours",
    "31951": "Twilio did not understand a message of ours",
    "31952": "Twilio does not know this kind of stream",
    "31953": "no more audio came from the caller's carrier",
}
"""https://www.twilio.com/docs/api/errors, from 31900 on."""
_STREAM_CODE = re.compile(r"(?<!\d)31\d{3}(?!\d)")
_LONGEST = 200
_OURS = frozenset({"unknown", DO_NOT_CALL})
"""Outcomes that are not Twilio's."""
_OUTCOMES: Mapping[str, str] = {status: outcome for outcome, status in UNANSWERED.items() if outcome not in _OURS}
_log = structlog.stdlib.get_logger()


def why(status: str, form: Mapping[str, str]) -> str:
    """Explain how a call without a conversation ended, from the form of its last status callback."""
    code, sip = form.get("ErrorCode", ""), form.get("SipResponseCode", "") or form.get("DialSipResponseCode", "")
    if code in _CODES:
        return f"{_CODES[code]} (Twilio {code})"
    if re.fullmatch(r"[1-9][0-9]{0,5}", code) is not None:
        return f"{_STATUSES.get(status, status)} (Twilio {code}: https://www.twilio.com/docs/api/errors/{code})"
    by_status, by_carrier = _STATUSES.get(status, status), _sip(status, sip)
    return by_status if by_carrier in {None, by_status} else f"{by_carrier} (SIP {sip})"


def _sip(status: str, sip: str) -> str | None:
    """Return what the carrier's answer says of a call that was not answered, if that is more than the status says."""
    if status == "completed" or (status, sip) in _TOLD_BY_STATUS or re.fullmatch(r"[456][0-9]{2}", sip) is None:
        return None
    return _SIP.get(sip) or _SIP_CLASSES[sip[0]]


def why_stream(form: Mapping[str, str]) -> str:
    told = form.get("StreamError", "")
    given = (form.get("StreamErrorCode", ""), form.get("ErrorCode", ""), told)
    code = next((found[0] for text in given if (found := _STREAM_CODE.search(text))), "")
    if not code:
        return " ".join(told.split())[:_LONGEST] or "Twilio does not say why"
    words = _STREAM_CODES.get(code)
    return f"{words} (Twilio {code})" if words else f"Twilio {code}: https://www.twilio.com/docs/api/errors/{code}"


@attrs.define(eq=False)
class OrderEnds:
    """Where the ends of the orders of one worker are noted; `settle` decides whether there is another attempt."""

    orders: OrderQueue
    settle: Callable[[OrderQueue, KeptOrder, str, str], Awaitable[None]]
    """Is given the outcome of the order's call, and why, in plain words."""
    queue: WorkQueue[CallRecord] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.queue = WorkQueue("order_ends", lambda record: self.note(record.call_sid, record.outcome, record.why), 1)

    def put(self, record: CallRecord) -> None:
        if record.direction == "outbound":
            self.queue.put(record)

    async def note(self, name: str, outcome: str, why: str = "") -> None:
        """Note how the call of an order went, by the order's id or the CallSid; nothing if it is no order's."""
        await unharmed(partial(self._note, name, outcome, why), "order_end_not_noted", name=name, outcome=outcome)

    async def _note(self, name: str, outcome: str, why: str) -> None:
        order = await self.orders.find(name)
        if order is not None and not order.is_over:
            try:
                await self.settle(self.orders, order, outcome, why)
            except OtherVersion as exc:
                _log.warning("order_end_left", name=name, outcome=outcome, why=str(exc))


@attrs.frozen
class Outcomes:
    records: CallRecords
    save: Save
    admissions: Admissions
    ends: OrderEnds

    async def conclude(self, call: KnownCall, status: str, why: str, *, outcome: str = "") -> None:
        """Keep how a call ended, unless it has had a stream, or a record. `status` is Twilio's.

        With an `outcome`, that it has had none here, or none that anybody carried, is known.
        """
        name = call.call_sid or call.id
        may_run = status == "completed" and not (outcome or call.outcome or call.streamed)
        if may_run and await self.admissions.is_streamed(name, if_unknown=True):
            return
        if call.outcome or call.streamed:  # perhaps since just now
            return
        call.conclude(status, outcome or _OUTCOMES[status])
        if call.outcome not in UNANSWERED:  # its worker has a record of it, or will
            return
        stream_errors = await self.admissions.stream_errors(name)
        order = await kept_order(self.ends.orders, call.id) if call.direction == "outbound" else None
        record = CallRecord(
            call_sid=name,
            stream_sid="",
            direction=call.direction,
            caller=call.caller,
            line=call.line,
            started_at=call.created_at,
            duration=0.0,
            outcome=call.outcome,
            answered_by=call.answered_by,
            why=stream_errors[-1] if stream_errors and call.outcome == NEVER_RAN else why,
            faults=tuple(map(stream_fault, stream_errors)),
            metadata=order.metadata if order is not None else {},
        )
        try:
            if not await self._is_kept(name):
                await self.save(record)
        except (RecordError, OSError) as exc:
            _log.error("outcome_not_kept", call_sid=name, outcome=record.outcome, why=str(exc))
        if call.direction == "outbound":
            await self.ends.note(call.id, record.outcome, record.why)

    async def _is_kept(self, name: str) -> bool:
        try:
            with answering():
                return await self.records.get(name) is not None
        except DatabaseUnavailable:
            return False  # it can be given a record all the same, and no agent's is overwritten: there was no stream
