"""The API for a person's data: list it, export it, erase it. And the do-not-call list: numbers that no order calls.

Whose data it is stands in the body and not in the address, which proxies write down. A number that is put on the list
is not called from that moment on: also orders that wait, and campaigns that run, ask the list in the statement that
lets a call out. Every request shows the bearer token.
"""

from collections.abc import AsyncIterator
from functools import partial
from typing import IO

import attrs
import structlog
from quart import Blueprint, Response, abort, request

from protocol.phone_numbers import is_phone_number
from store.erasing import Subject
from store.orders.queue import OrderQueue
from web.calls.forgetting import Forgetting, GoesOn
from web.routes.problems import is_name, json_answer, json_of_request, problem, unreachable
from web.routes.views import CallViews

_CHUNK = 256 * 1024
LONGEST_WHY = 200
MOST_REFUSED = 1000
_log = structlog.stdlib.get_logger()


@attrs.frozen
class PeopleRoutes:
    orders: OrderQueue
    forgetting: Forgetting
    views: CallViews

    def blueprint(self) -> Blueprint:
        routes = Blueprint("people", __name__)
        routes.post("/kept")(self.kept)
        routes.post("/export")(self.export)
        routes.post("/forget")(self.forget)
        routes.get("/do-not-call")(self.refused)
        routes.get("/do-not-call/<number>")(self.shown)
        routes.put("/do-not-call/<number>")(self.refuse)
        routes.delete("/do-not-call/<number>")(self.allow)
        routes.before_request(self.refuse_malformed)
        routes.errorhandler(OSError)(unreachable)
        return routes

    async def kept(self) -> Response:
        name = await self._name()
        return json_answer(await self.forgetting.kept(await self.forgetting.subject(name)))

    async def export(self) -> Response:
        name = await self._name()
        subject = await self.forgetting.subject(name)
        if not await self._is_anything(subject):
            return self._nothing()
        packed = await self.forgetting.export(subject)
        headers = {"Content-Disposition": 'attachment; filename="kept.zip"'}
        return Response(self._sent(packed), 200, headers=headers, content_type="application/zip")

    async def forget(self) -> Response:
        name = await self._name()
        subject = await self.forgetting.subject(name)
        if not subject.number and not await self._is_anything(subject):
            return self._nothing()
        try:
            proof = await self.forgetting.erase(name, subject)
        except GoesOn as exc:
            fix = f"Wait until it is over, or hang it up: DELETE /calls/{exc.call_sid}."
            return problem(409, "a call goes on now", call_sid=exc.call_sid, fix=fix)
        return json_answer(attrs.asdict(proof))

    async def _is_anything(self, subject: Subject) -> bool:
        kept = await self.forgetting.kept(subject)
        return bool(kept["calls"] or kept["mentioned_in"])

    async def _name(self) -> str:
        """Read whose it is: a number, or a call by either of its names; answer 400 to anything else."""
        match await json_of_request():
            case {"number": str(number), **others} if is_phone_number(number) and not others:
                return number
            case {"call": str(call), **others} if is_name(call) and not call.isdecimal() and not others:
                return await self.views.call_sid(call)
            case _:
                fix = 'Write {"number": "+15557650000"} or {"call": "CA…"}.'
                return abort(problem(400, "the body names neither a number in E.164 nor a call", fix=fix))

    async def _sent(self, packed: IO[bytes]) -> AsyncIterator[bytes]:
        with packed:
            while chunk := await self.forgetting.files.in_thread(partial(packed.read, _CHUNK)):
                yield chunk

    @staticmethod
    def _nothing() -> Response:
        return problem(404, "nothing of this name is kept", fix="Use a call of GET /calls or switchboard calls.")

    async def refuse_malformed(self) -> Response | None:
        number = (request.view_args or {}).get("number", "+10000000")
        if is_phone_number(number):
            return None
        return problem(400, "the number is not in E.164", field="number", fix="Write + and 7 to 15 digits.")

    async def refused(self) -> Response:
        entries = await self.orders.refused_numbers(_argument("after"), MOST_REFUSED)
        return json_answer({"numbers": [attrs.asdict(entry) for entry in entries]})

    async def shown(self, number: str) -> Response:
        entry = await self.orders.refused_number(number)
        if entry is None:
            return problem(404, "the number is not on the list", fix="PUT puts it there.")
        return json_answer(attrs.asdict(entry))

    async def refuse(self, number: str) -> Response:
        """Put a number on the list; `why` is kept with it."""
        why = _argument("why")
        if len(why) > LONGEST_WHY:
            told = f"why is longer than {LONGEST_WHY} characters"
            return problem(400, told, field="why", fix="Write a short reason.")
        await self.orders.refuse_number(number, why)
        _log.info("number_refused")
        return await self.shown(number)

    async def allow(self, number: str) -> Response:
        if not await self.orders.allow_number(number):
            fix = "switchboard do-not-call list, or GET /do-not-call, lists what is."
            return problem(404, "the number is not on the list", fix=fix)
        _log.info("number_allowed")
        return Response("", 204)


def _argument(name: str) -> str:
    """Return an argument of the address, without null characters, which PostgreSQL refuses."""
    return request.args.get(name, "").replace("\0", "")
