"""The API for operators: place a call, list calls, read one, give it a command, hang it up.

`POST /calls/{name}/say` and its siblings give a command to a call that goes on, and answer with what became of it: 200:
it is done, or the call ended first; 202: the call has not decided it yet; 409: it was refused; 502: it was tried and
failed. With an `Idempotency-Key` an order or a command is carried out once, however often it is sent.

Every request shows the bearer token (`web.routes.credentials`). Errors are JSON, say which field is wrong and what to
write instead, and all of them at once. What Twilio refuses is 502, with Twilio's code.
"""

import math
import re
import secrets
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeAlias, assert_never

import attrs
import structlog
from quart import Blueprint, Response, request
from quart.typing import ResponseReturnValue

from actors.commands import KINDS, OVER, Command, CommandAnswer, Outcome
from settings import TransferMode
from store.orders.queue import DoNotCall, KeptOrder, SameKey
from store.records import TRANSFERRING, UNANSWERED, RecordError, record_as_json
from web.calls.admission import CallText
from web.calls.commands import NotHere, Pending
from web.calls.context import AppContext
from web.calls.dispatch import Dispatcher
from web.calls.live_calls import KnownCall
from web.calls.operator_commands import BY_OPERATOR, hang_up_at_once, hang_up_politely, operate, read_action
from web.calls.orders import (
    AlreadyRinging,
    ClientKey,
    InDoubt,
    Lack,
    NoLine,
    OrderAnswer,
    OrderError,
    Placed,
    Refused,
    Taken,
    Waiting,
    read_order,
)
from web.calls.returning import Returns
from web.calls.shown_live import everywhere, find_elsewhere, known_as_json, shown_live
from web.clients.twilio import LineError, ask_status
from web.routes.credentials import bearer_of
from web.routes.problems import (
    CHANGE_VERSION,
    OTHER_VERSION,
    body_of_request,
    is_call_sid,
    is_name,
    json_answer,
    key_of_request,
    mistaken,
    no_such_call,
    problem,
    unreachable,
)
from web.routes.views import CallViews

_NO_LINE: Mapping[Lack, str] = {
    Lack.DRAINING: "the server is being shut down",
    Lack.FULL: "every line is taken",
    Lack.DATABASE: "the database is away, and an order could be lost",
    Lack.REFUSED: OTHER_VERSION,
    Lack.QUEUE: "more than a minute of orders wait already",
}

_AWAY = frozenset({Lack.DRAINING, Lack.DATABASE})
_STATUS: Mapping[Outcome, int] = {
    Outcome.DONE: 200,
    Outcome.OVER: 200,
    Outcome.REFUSED: 409,
    Outcome.FAILED: 502,
}
WhoAsks: TypeAlias = Callable[[], str]
"""Says by which way in a command comes: "api", or a session of the console."""

_log = structlog.stdlib.get_logger()


def _shown(name: str, call_sid: str, call: KnownCall | None, more: Mapping[str, object], status: int = 200) -> Response:
    known = known_as_json(call) if call is not None else {"id": name, "call_sid": call_sid}
    return json_answer({**known, **more}, status)


def _accepted(name: str, call_sid: str, call: KnownCall | None, status: str) -> Response:
    return _shown(name, call_sid, call, {"status": status}, 202)


def _status(outcome: str) -> str:
    """Return how a call with this outcome ended, in Twilio's words."""
    return UNANSWERED.get(outcome, "completed")


def _taken(call: KnownCall, taken: Taken) -> Response:
    """Answer an order that was taken: 201 when its call is placed, 202 while that is to come or in doubt."""
    told: dict[str, object] = {"id": call.id, "call_sid": call.call_sid, "status": call.status}
    match taken:
        case Placed():
            status = 201
        case Waiting(seconds=seconds):
            status, told = 202, {**told, "starts_in": round(seconds, 1)}
        case InDoubt(why=why):
            status, told = 202, {**told, "in_doubt": f"{why}; whether the call was placed is being found out"}
        case Refused(error=exc):
            error = f"Twilio did not place the call: {exc.reason}"
            return problem(502, error, id=call.id, code=exc.code, fix=exc.fix)
        case _:
            assert_never(taken)
    response = json_answer(told, status)
    response.headers["Location"] = f"/calls/{call.id}"
    return response


def _status_of(order: KeptOrder) -> str:
    return _status(order.outcome) if order.is_over else "queued"


def _already_ringing(call: KnownCall | None) -> Response:
    error = "our last call to this number has not been answered yet"
    if call is None:
        return problem(409, error, fix="Wait until that call is over.")
    fix = f"Wait until that call is over, or hang it up: DELETE /calls/{call.id}."
    return problem(409, error, id=call.id, call_sid=call.call_sid, fix=fix)


@attrs.frozen
class CallRoutes:
    context: AppContext
    dispatcher: Dispatcher
    views: CallViews

    def blueprint(self) -> Blueprint:
        routes = Blueprint("calls", __name__, url_prefix="/calls")
        routes.post("")(self.place)
        routes.get("")(self.listed)
        routes.get("/<name>")(self.shown)
        routes.delete("/<name>")(self.hung_up)
        self.views.add_to(routes, "")
        self.add_commands(routes, "", lambda: "api")
        routes.before_request(self.refuse_malformed)
        routes.errorhandler(OSError)(unreachable)
        return routes

    def add_commands(self, routes: Blueprint, prefix: str, who: WhoAsks) -> None:
        for command in KINDS:
            view = partial(self.command, command, who)
            routes.add_url_rule(f"{prefix}/<name>/{command}", f"command_{command}", view, methods=["POST"])

    async def refuse_malformed(self) -> Response | None:
        return None if is_name((request.view_args or {}).get("name", "-")) else no_such_call()

    async def place(self) -> Response:
        body = await body_of_request()
        try:
            order = read_order(body, self.context.settings, self.context.services.roster.beginners)
        except OrderError as exc:
            return mistaken("the order", exc)
        if (given := key_of_request()) is None:
            return await self._answer(await self.dispatcher.take_unless_ringing(order))
        key = ClientKey.of(given, bearer_of(request.headers.get("authorization", "")), body)
        answer = await self.dispatcher.take_once(order, key)
        if isinstance(answer, SameKey) and answer.order.digest != key.digest:
            fix = "Take a new key for a new order, and repeat an order word for word."
            return problem(422, "the Idempotency-Key stands for another order", field="Idempotency-Key", fix=fix)
        return await self._answer(answer)

    async def _answer(self, answer: OrderAnswer) -> Response:
        match answer:
            case NoLine():
                return self._no_free_line(answer)
            case AlreadyRinging():
                self.context.counts.refused("ringing")
                return _already_ringing(answer.call)
            case SameKey(order=order):
                return await self._repeated(order)
            case DoNotCall():
                self.context.counts.refused("do_not_call")
                fix = "Take it off only where the person has asked to be called: switchboard do-not-call remove NUMBER."
                return problem(403, "the number is on the do-not-call list", field="to", fix=fix)
            case (call, taken):
                return _taken(call, taken)
            case _:
                assert_never(answer)

    async def _repeated(self, order: KeptOrder) -> Response:
        """Answer with the first order: as it goes now, wherever it was taken."""
        name, call = order.order_id, self.context.live_calls.find(order.order_id)
        call_sid = order.call_sid or (call.call_sid if call is not None else "")
        starts_in = self.dispatcher.turn_of(name)
        status = call.status if call is not None else await self._ask_status(call_sid) or _status_of(order)
        told: dict[str, object] = {"id": name, "call_sid": call_sid, "status": status}
        if starts_in is not None:
            told["starts_in"] = round(starts_in, 1)
        elif order.state == "asking":
            told["in_doubt"] = "whether the call was placed is being found out"
        response = json_answer(told, 201 if call_sid else 202)
        response.headers["Location"], response.headers["Idempotent-Replayed"] = f"/calls/{name}", "true"
        return response

    async def listed(self) -> Response:
        text = request.args.get("limit", "50")
        if re.fullmatch(r"[0-9]{1,3}", text) is None or not 1 <= int(text) <= 500:
            return problem(400, "limit is not a whole number from 1 to 500", field="limit", fix="limit=50")
        limit = int(text)
        calls = await everywhere(self.context)
        if request.args.get("live", "no") == "yes":
            return json_answer({"calls": await shown_live(calls[:limit], self.context)})
        live = [known_as_json(call) for call in calls]
        records = await self.context.services.records.list(limit)
        unspoken = [attrs.evolve(record, transcript=()) for record in records]
        ended = [{"status": _status(record.outcome), **record_as_json(record)} for record in unspoken]
        for record in ended:
            record.pop("transcript")
        return json_answer({"calls": [*live, *ended][:limit]})

    async def shown(self, name: str) -> Response:
        call = self.context.live_calls.find(name)
        call_sid = await self.views.call_sid(name)
        try:
            record = await self.context.services.records.get(call_sid)
        except RecordError as exc:
            return problem(500, f"the record of this call cannot be read: {exc}")
        if record is not None:
            over = {"status": _status(record.outcome), "outcome": record.outcome}
            return _shown(name, call_sid, call, {**over, "record": record_as_json(record)})
        call = call or await find_elsewhere(self.context, name)
        status = await self._ask_status(call_sid) if call is None or call.stale else None
        if call is None:
            return await self._shown_elsewhere(name, call_sid, status)
        if status is not None:
            call.refreshed(status)
            if call.over:
                self.context.slots.release(call.id)
        return _shown(name, call_sid, call, {"record": None})

    async def _shown_elsewhere(self, name: str, call_sid: str, status: str | None) -> Response:
        """Show a call that no worker carries: as Twilio tells of it, or as its order is kept."""
        order = await self.context.orders.find(name)
        if order is not None:
            call = self.dispatcher.shown(order)
            more = {"outcome": order.outcome, "why": order.why} if order.is_over else {}
            return _shown(name, order.call_sid, call, {"status": status or _status_of(order), "record": None, **more})
        return no_such_call() if status is None else _shown(name, call_sid, None, {"status": status, "record": None})

    async def command(self, command: str, who: WhoAsks, name: str) -> ResponseReturnValue:
        body, key = await body_of_request(), key_of_request()
        try:
            action, by = read_action(command, body, self.context.services.roster.agents)
        except OrderError as exc:
            return mistaken("the command", exc)
        call_sid = await self.views.call_sid(name)
        given = Command(key or secrets.token_hex(8), f"{who()}: {by}" if by else who(), action)
        answer = await operate(self.context, call_sid, given)
        known = self.context.live_calls.find(name)
        if isinstance(answer, NotHere) and known is not None and known.over:
            answer = OVER
        shown = {"id": name, "call_sid": call_sid, "command": command, "command_id": given.id}
        _log.info("call_commanded", call_sid=call_sid, command=command, by=given.by, answer=_word(answer))
        return _not_here(known) if isinstance(answer, NotHere) else _answered(answer, shown)

    async def hung_up(self, name: str, by: str = "api") -> Response:
        call_sid, call = await self.views.call_sid(name), self.context.live_calls.find(name)
        if not call_sid.startswith("CA") and await self.dispatcher.call_off(name, "called off by the operator"):
            call = self.context.live_calls.find(name)
            return _accepted(name, call_sid, call, "canceled")
        if not is_call_sid(call_sid):
            return no_such_call() if call is None else self._without_sid(name, call)
        end = hang_up_politely if request.args.get("goodbye") == "yes" else hang_up_at_once
        await self.context.admissions.put(call_sid, CallText.ENDED_BY, BY_OPERATOR)
        try:
            status = await end(self.context, call_sid)
        except LineError as exc:
            await self.context.admissions.drop(call_sid, CallText.ENDED_BY)
            return problem(502, f"Twilio did not hang up: {exc.reason}", code=exc.code, fix=exc.fix)
        self.context.slots.release(call.id if call is not None else name)
        if call is None or call.outcome == TRANSFERRING:  # no stream of ours ends with it
            is_warm = self.context.settings.transfer_mode is TransferMode.WARM  # else no key tells that it was taken
            await Returns(self.context).conclude_left(call_sid, BY_OPERATOR, "canceled" if is_warm else "unknown")
        _log.info("call_hung_up", call_sid=call_sid, by=by)
        return _accepted(name, call_sid, call, status)

    @staticmethod
    def _without_sid(name: str, call: KnownCall) -> Response:
        """Answer that there is nothing to hang up: the order failed, or nobody knows yet whether it was placed."""
        if call.over:
            return _accepted(name, "", call, call.status)
        fix = "Try again in some seconds."
        return problem(409, "whether the call was placed is being found out", fix=fix, retry_seconds=10)

    async def _ask_status(self, call_sid: str) -> str | None:
        return await ask_status(self.context.line, call_sid) or None if is_call_sid(call_sid) else None

    def _no_free_line(self, none: NoLine) -> Response:
        self.context.counts.refused(none.lack.value)
        if none.lack is Lack.REFUSED:
            return problem(503, _NO_LINE[none.lack], fix=CHANGE_VERSION)
        status, wait = 503 if none.lack in _AWAY else 429, math.ceil(none.seconds)
        return problem(status, _NO_LINE[none.lack], fix="Try again later.", retry_seconds=wait)


def _not_here(call: KnownCall | None) -> Response:
    if call is None:
        return no_such_call()
    return problem(409, f"the call is not with an agent: {call.outcome or call.status}", fix="Try again later.")


def _word(answer: CommandAnswer | Pending | NotHere) -> str:
    if isinstance(answer, CommandAnswer):
        return answer.outcome.value
    return "pending" if isinstance(answer, Pending) else "none"


def _answered(answer: CommandAnswer | Pending, shown: Mapping[str, object]) -> Response:
    if isinstance(answer, Pending):
        return json_answer({**shown, "outcome": "pending"}, 202)
    told, status = {**shown, "outcome": answer.outcome.value, "why": answer.why}, _STATUS[answer.outcome]
    if status == 200:
        return json_answer(told)
    fix = "See how the call goes, and ask again; an Idempotency-Key must be a new one."
    return json_answer({"error": answer.why, **told, "fix": fix}, status)
