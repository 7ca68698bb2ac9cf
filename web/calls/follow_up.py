"""Follow-up of calls that may come back, and of callers who never reached our media stream.

`FollowUp` asks Twilio about calls that were put through if no webhook reports their end, so that their records get an
outcome; also about those that a stopped server left so. It finds what another worker has heard in the token store.
`run` ends by being cancelled, and then announces what is left; it raises nothing that Twilio, the database or a folder
raises. `look_for_verdicts` finds there Twilio's verdicts (a person, or a machine) that another worker was told, or that
came before the call's stream. `settle_unheard` gives a record to each call that came in and never opened its stream.
"""

from functools import partial

import attrs
import orjson
import structlog
import trio

from actors.messages import MachineAnswered, NoteCallOver
from actors.supervision import keep_running, unharmed
from protocol.twilio import FINAL_STATUSES
from store.calls import readable_record
from store.json_text import known_fields
from store.records import NEVER_RAN, TRANSFERRING, UNANSWERED
from store.search import CallQuery
from web.calls.admission import LONGEST_TALK, TOKEN_SECONDS, Admission, CallText
from web.calls.context import AppContext
from web.calls.ending import ParkedCall
from web.calls.live_calls import KnownCall
from web.calls.returning import ANSWERED, TRANSFERRED, UNHEARD, Returns
from web.clients.twilio import ask_status

LOOK_SECONDS = 5.0
VERDICT_LOOK_SECONDS = 1.0
FIRST_ASK = 120.0
"""From the transfer to the first question how it goes: ringing, whisper and key take less than a minute."""
ASK_SECONDS = 60.0
RECALLED = 200
"""Calls that were put through when the server stopped: the newest ones."""

OVERDUE_SECONDS = TOKEN_SECONDS + 15.0
"""From the last news of a call: by then its token was redeemed or has expired, however slow the database was."""
NO_SHOW_LOOK_SECONDS = 5.0
"""The line of a call that another worker carries is kept here for no longer."""
_OVER = {None, *FINAL_STATUSES}
"""What Twilio tells of a call that is over, or gone."""
NO_SHOW = "the caller never reached an agent: they hung up, or the media stream could not be opened"

_log = structlog.stdlib.get_logger()


@attrs.define(eq=False)
class FollowUp:
    context: AppContext
    _has_recalled: bool = attrs.field(default=False, init=False)

    async def run(self) -> None:
        try:
            await keep_running(self.look, "follow_up_crashed", LOOK_SECONDS)
        finally:
            self.context.announced.close()

    async def recall(self) -> None:
        """Take up again the calls that were put through in an earlier life of the server."""
        records, announced = self.context.services.records, self.context.announced
        try:
            found = await records.search(CallQuery(outcome=TRANSFERRING, limit=RECALLED))
            read = [await readable_record(records, one.call_sid) for one in found]
            running = [call.call_sid for call in await self.context.fleet.live()]
        except OSError as exc:  # tried again with the next look
            _log.debug("transfers_not_recalled", why=str(exc))
            return
        known = {*self.context.streams.running(), *running, *announced.parked}
        for record in read:
            if record is not None and record.call_sid not in known:
                await self.context.admissions.drop(record.call_sid, CallText.RESUMED)  # it came back before
                announced.park(record)
        self._has_recalled = True

    async def look(self) -> None:
        """Look once after every call that is parked, and whether another worker has heard that one of ours is over."""
        announced, admissions = self.context.announced, self.context.admissions
        if not self._has_recalled:
            await self.recall()
        for call_sid in await admissions.told(CallText.ENDED, self.context.streams.running()):
            self.context.services.intercom.tell(call_sid, NoteCallOver())
        parked = dict(announced.parked)
        resumed = await admissions.told(CallText.RESUMED, [*parked])
        over = await admissions.told(CallText.OVER, [*parked])
        for call_sid, each in parked.items():
            if resumed.get(call_sid, admissions.worker) != admissions.worker:
                announced.leave(call_sid)  # another worker has it now, and will tell of its end
                self.context.live_calls.news_of(call_sid).carried_elsewhere()
                self.context.watched.forget(call_sid)
            elif each.record.outcome == TRANSFERRING:
                await self._look_after_transfer(each)
            elif call_sid in over:
                announced.over(call_sid)
        announced.announce_overdue()

    async def _look_after_transfer(self, parked: ParkedCall) -> None:
        call_sid, returns = parked.record.call_sid, Returns(self.context)
        if not parked.is_to_be_asked_after(FIRST_ASK, ASK_SECONDS):
            return
        record = await returns.record_of(call_sid)
        if record is not None and record.outcome != TRANSFERRING:
            self.context.announced.leave(call_sid)  # another worker heard, and has told, of its end
            self.context.live_calls.news_of(call_sid).ended(record.outcome)
            self.context.watched.ended(record)
        elif (
            trio.current_time() >= parked.since + LONGEST_TALK or await ask_status(self.context.line, call_sid) in _OVER
        ):
            _log.warning("transfer_not_heard_of", call_sid=call_sid)
            if await returns.talked(call_sid) is None:
                await returns.conclude(call_sid, UNHEARD, "unknown")
            else:  # how long, nobody has said
                await returns.conclude(call_sid, TRANSFERRED, ANSWERED)


async def look_for_verdicts(context: AppContext) -> None:
    """Tell each call here its verdict (a person, or a machine), once."""
    verdicts = await context.admissions.told(CallText.VERDICT, context.streams.expecting_verdicts())
    for call_sid in verdicts.keys() & {*context.streams.expecting_verdicts()}:
        if context.services.intercom.tell(call_sid, MachineAnswered(verdicts[call_sid])):
            context.streams.expect_no_verdict(call_sid)


async def settle_unheard(context: AppContext) -> None:
    """Look now and then after calls without a stream here, of which nothing was heard for a while. Raises nothing.

    A caller who came in may have hung up before their stream opened, or Twilio could not open it: they get a record. A
    number of Twilio's needs no status callback, so nobody may tell. Of a server that is stopped before it has looked,
    another one sees to it, or its next start (`settle_unused`). How a call goes that was ordered, another worker may
    have heard, and noted.
    """
    while True:
        await trio.sleep(NO_SHOW_LOOK_SECONDS)
        for call in context.live_calls.overdue(OVERDUE_SECONDS):
            settle = _record_no_show if call.direction == "inbound" else _hear_of_order
            await unharmed(partial(settle, context, call), "unheard_call_crashed", call_sid=call.call_sid)


async def settle_unused(context: AppContext, text: bytes) -> None:
    """Do as `settle_unheard` for a call whose worker has died. Only its unused token is left."""
    try:
        told = known_fields(Admission, dict(orjson.loads(text)))
    except (TypeError, ValueError):
        return  # another text
    is_first = told.direction == "inbound" and not (told.resumes or told.visitor or told.takes_over)
    if is_first and context.live_calls.find(told.call_sid) is None:
        call = told.known("completed").dated(told.came_at)
        await unharmed(partial(context.outcomes.conclude, call, "completed", NO_SHOW), "unheard_call_crashed")


async def _record_no_show(context: AppContext, call: KnownCall) -> None:
    await context.outcomes.conclude(call, "completed", NO_SHOW)
    if call.outcome or context.fleet.is_away or not await context.admissions.is_streamed(call.call_sid):
        return  # where it could not be looked up, it is with the next look
    try:
        is_found = await context.fleet.find(call.call_sid) or await readable_record(
            context.services.records, call.call_sid
        )
    except OSError:
        return
    # workers that share a file of SQLite cannot tell who carries a call; one that is over nobody does
    if (context.fleet.worker or call.over) and not is_found:  # let in, and its worker has died, or was not told so
        await context.outcomes.conclude(call, "completed", NO_SHOW, outcome=NEVER_RAN)
    elif not call.streamed:  # another worker has, or had, the stream: the call is shown there
        context.live_calls.remove(call.id)


async def _hear_of_order(context: AppContext, call: KnownCall) -> None:
    try:
        order = await context.orders.find(call.id)
        # an attempt of a campaign's number is no order any more where another one follows
        record = await readable_record(context.services.records, call.call_sid) if order is None else None
    except OSError:
        return
    known = order or record
    outcome = "canceled" if known is None else known.outcome
    context.live_calls.name(call.id, order.call_sid if order is not None else "")
    if call.call_sid and await context.admissions.is_streamed(call.call_sid):
        context.slots.release(call.id)
        call.carried_elsewhere()
    elif order is None:
        context.slots.release(call.id)
        call.conclude(UNANSWERED.get(outcome, "completed"), outcome)
    elif order.is_over:
        context.slots.release(call.id)
        await context.outcomes.conclude(call, UNANSWERED.get(outcome, "completed"), order.why, outcome=outcome)
