"""Calls that leave for a person, and calls after their stream: an agent takes them back, or their record says the end.

A call puts its caller through with `TwilioTransfers`. The words for the person wait in the token store until their
phone is answered, so any worker can be asked for them. It raises what the line raises.

`Returns` is what the webhooks that follow a stream have in common. A call goes on from its record, so any worker can
take it back, whether or not it had it before. Asked twice (Twilio may repeat a webhook), it answers the same.
"""

import time
from collections import Counter
from contextlib import suppress

import attrs
import structlog
from werkzeug.datastructures import MultiDict

from actors.commands import Command
from actors.line.switch import TransferOrder
from actors.messages import NoteStreamError
from actors.record.resumption import Resumption
from agents.quoting import neutral
from agents.sentences import Sentences
from protocol.twilio import twiml
from store.databases import ANSWER_SECONDS, answering
from store.records import NEVER_RAN, TRANSFERRING, CallRecord, RecordError, stream_fault
from web.calls.admission import LONGEST_TALK, Admission, CallText, CallTexts, arrival_of
from web.calls.context import AppContext
from web.calls.live_calls import seconds_since
from web.calls.orders import kept_order
from web.clients.twilio import Line, LineError

TRANSFERRED, UNHEARD = "transferred", "transfer_unknown"
"""Outcomes of a call that was put through: the person took it; it is over, and nobody said whether they did."""
ANSWERED = "answered"
"""The outcome of a transfer that a person took …"""
_UNTAKEN = frozenset({"", "canceled", "unknown"})
"""… and those which do not say that somebody else knew that they did not."""
STREAM_PATH = "/twilio"
ARRIVAL_SECONDS = 10.0
"""From our TwiML to the stream's `start`; a reservation that is not used by then lapses."""

LONGEST_WHISPER = 400
LOOK_SECONDS = 1.0
"""For a look that nearly always finds nothing, while a caller hears it ring."""

_log = structlog.stdlib.get_logger()


@attrs.frozen
class Returns:
    context: AppContext

    async def take_back(
        self, form: MultiDict[str, str], *, unreached: str = "", again: bool = False, given_back: bool = False
    ) -> str:
        """Connect the call to a new stream of ours, on which it goes on; return the TwiML.

        `unreached` is why the person did not take it; `given_back`: an operator had taken it over. A call that was ours
        is let in over any limit; one that ended hours ago is no more.
        """
        arrival = arrival_of(form, "")
        if await self.has_ended(arrival.call_sid):
            return twiml.nothing()
        return await self._connect(attrs.evolve(arrival, again=again, unreached=unreached, given_back=given_back))

    async def call_back(self, record: CallRecord, command: Command) -> str:
        """Connect a call that an operator has taken over, and gives back by this command; return the TwiML."""
        about = record.call_sid, record.direction, record.caller, record.line, record.call_sid
        return await self._connect(Admission(*about, given_back=True, give_back=(command.id, command.by)))

    async def _connect(self, arrival: Admission) -> str:
        call_sid = arrival.call_sid
        self.context.slots.readmit(call_sid, ARRIVAL_SECONDS)
        order = await kept_order(self.context.orders, call_sid) if arrival.direction == "outbound" else None
        ordered = order.admitted if order is not None else {}
        token = await self.context.admissions.mint(attrs.evolve(arrival, key=call_sid, resumes=True, **ordered))
        _log.info("call_taken_back", call_sid=call_sid, unreached=arrival.unreached, given_back=arrival.given_back)
        origin, sockets = self.context.signatures.origin, self.context.signatures.socket_origin
        return twiml.connect_stream(origin, sockets + STREAM_PATH, token, again=arrival.again)

    async def conclude(self, call_sid: str, outcome: str, transfer: str, talked: float = 0.0) -> None:
        """Say in the record of a call that was put through what came of it.

        The first to say it is right, unless somebody knows later that the person had taken the call.
        """
        await self.context.streams.settle(call_sid)
        self.context.slots.release(call_sid)
        record = await self.record_of(call_sid)
        if record is None:
            return
        transfers = [attrs.evolve(one, outcome=transfer, talked=talked) for one in record.transfers[-1:]]
        settled = attrs.evolve(record, transfers=(*record.transfers[:-1], *transfers))
        if record.outcome == TRANSFERRING:
            ended_by = await self.context.admissions.peek(call_sid, CallText.ENDED_BY)
            concluded = attrs.evolve(settled, outcome=ended_by or outcome)
            await self.context.services.save(concluded)
            await self.context.files.rewrite(concluded)
        elif transfer == ANSWERED and record.transfers and record.transfers[-1].outcome in _UNTAKEN:
            told = outcome if record.outcome in {UNHEARD, "caller_hung_up"} else record.outcome
            await self._amend(attrs.evolve(settled, outcome=told))

    async def conclude_left(self, call_sid: str, outcome: str, transfer: str) -> None:
        """Conclude a call that ended while it was put through; if the person had taken it, as transferred."""
        talked = await self.talked(call_sid)
        if talked is None:
            await self.conclude(call_sid, outcome, transfer)
        else:
            await self.conclude(call_sid, TRANSFERRED, ANSWERED, talked)

    async def talked(self, call_sid: str) -> float | None:
        """Return how long ago the person pressed the key; None if they have not, as far as is known."""
        taken = await self.context.admissions.peek(call_sid, CallText.PERSON)
        return round(max(0.0, await self._now() - float(taken)), 3) if taken else None

    async def note_taken(self, call_sid: str) -> None:
        """Keep when the person pressed the key, the first time."""
        if not await self.context.admissions.peek(call_sid, CallText.PERSON):
            await self.context.admissions.put(call_sid, CallText.PERSON, repr(await self._now()))

    async def _now(self) -> float:
        """Return the time that all workers have, whatever their clocks say; ours while the database is away."""
        with suppress(OSError):
            return await self.context.orders.now()
        return time.time()

    async def note_stream_error(self, call_sid: str, stream_sid: str, why: str) -> None:
        """Put an error of a stream into the record of its call: by the call, while it runs, else here."""
        if not await self.context.admissions.note_stream_error(call_sid, stream_sid, why):
            return
        if await self.context.commands.tell(call_sid, NoteStreamError(why)):
            return
        await self.context.streams.settle(call_sid)
        record = await self.record_of(call_sid)
        if record is not None:
            told = why if record.outcome == NEVER_RAN else record.why
            await self._amend(attrs.evolve(record, faults=(*record.faults, stream_fault(why)), why=told))

    async def add_stream_errors(self, record: CallRecord) -> None:
        """Put what other workers have heard of a call's streams into its record, which has just been saved."""
        told = [stream_fault(why) for why in await self.context.admissions.stream_errors(record.call_sid)]
        missing = Counter(told) - Counter(record.faults)
        if missing:
            await self._amend(attrs.evolve(record, faults=(*record.faults, *missing.elements())))

    async def _amend(self, record: CallRecord) -> None:
        """Keep what became known of a call after its record: that it ended has been announced, or will be."""
        try:
            await self.context.announced.kept_in.save(record)
        except (RecordError, OSError) as exc:
            _log.error("record_not_amended", call_sid=record.call_sid, why=str(exc))
        await self.context.files.rewrite(record)

    async def over(self, call_sid: str) -> None:
        """Take in that a call does not come back; a worker that carried it, and waits for that, is left word."""
        await self.context.streams.settle(call_sid)
        call = self.context.live_calls.find(call_sid)
        if not self.context.announced.over(call_sid) and (call is None or not call.streamed):
            await self.context.admissions.put(call_sid, CallText.OVER)

    async def has_ended(self, call_sid: str) -> bool:
        """Tell whether a record says that a call began longer ago than Twilio keeps one.

        Until then it may come back, after whatever end.
        """
        record = await self.record_of(call_sid, LOOK_SECONDS)
        return record is not None and seconds_since(record.started_at) > LONGEST_TALK

    async def sentences_of(self, call_sid: str, direction: str, line: str) -> Sentences:
        """Return the sentences of the agent that spoke last, as far as that is known, else of the first one."""
        last = await self.record_of(call_sid) or await self.context.fleet.noted(call_sid)
        return self.context.services.sentences(direction, line, Resumption(last).agent if last is not None else "")

    async def record_of(self, call_sid: str, within: float = ANSWER_SECONDS) -> CallRecord | None:
        """Return what the record says so far; None when there is none, or the database does not tell now."""
        try:
            with answering(within):
                return await self.context.services.records.get(call_sid)
        except (RecordError, OSError) as exc:
            _log.warning("record_not_read", call_sid=call_sid, why=str(exc))
            return None


def whispered(order: TransferOrder) -> str:
    """Write what the person hears before the key to press: the caller and the reason."""
    brief, says = order.brief, order.sentences
    about = ", ".join(filter(None, (neutral(brief.name, 60), neutral(brief.need, 80))))
    reasons = [text.strip().rstrip(".") for text in (order.reason, order.notes)]
    known = neutral(". ".join(filter(None, reasons)) or brief.summary.rstrip("."), LONGEST_WHISPER).rstrip(".")
    opening = f"{says.call_for_you}: {about}" if about else says.call_for_you
    return f"{opening}. {known}." if known else f"{opening}."


@attrs.frozen
class TwilioTransfers:
    """Puts calls through to `number`, unless a call asks for another; `whispers` before they are connected."""

    line: Line
    texts: CallTexts = attrs.field(converter=CallTexts)
    """Is given as the `TokenStore` that keeps them."""
    origin: str
    our_number: str
    number: str = ""
    whispers: bool = True

    async def _note_take_over(self, call_sid: str, order: TransferOrder) -> None:
        if order.comes_back:
            await self.texts.put(call_sid, CallText.TAKE_OVER)
        else:
            await self.texts.drop(call_sid, CallText.TAKE_OVER)  # of an earlier one

    async def put_through(self, call_sid: str, order: TransferOrder) -> None:
        """Have Twilio dial the person; it stops the call's stream. Raises: `LineError`."""
        number = order.number or self.number
        if not number:
            raise LineError("no person's number is known", fix="Set TRANSFER_PHONE_NUMBER.")
        if number == self.our_number:
            raise LineError("the person's number is our own line", fix="Give the number of a person.")
        whispers = self.whispers and not order.comes_back  # an operator knows who it is
        says = {"language": order.sentences.language, "press": order.sentences.press_to_take}
        document = twiml.put_through(self.origin, number, self.our_number, call_sid, whispers=whispers, **says)
        await self._note_take_over(call_sid, order)
        for earlier in (CallText.PICKED_UP, CallText.PERSON):  # of an earlier transfer of this call
            await self.texts.drop(call_sid, earlier)
        await self.texts.put(call_sid, CallText.WHISPER, whispered(order))
        await self.texts.put(call_sid, CallText.TRANSFER, document)
        try:
            await self.line.redirect(call_sid, document)
        except LineError as exc:
            refusal = exc
        else:
            return
        await self.texts.drop(call_sid, CallText.TRANSFER)
        raise refusal
