"""The do-not-call list: numbers that no order calls.

Every request shows the bearer token. A number that is put on the list is not called from that moment on: also orders
that wait, and campaigns that run, ask the list in the statement that lets a call out.
"""

import attrs
import structlog
from quart import Blueprint, Response, request

from protocol.phone_numbers import is_phone_number
from web.calls.context import AppContext
from web.routes.problems import json_answer, problem, unreachable

LONGEST_WHY = 200
MOST = 1000

_log = structlog.stdlib.get_logger()


@attrs.frozen
class DoNotCallRoutes:
    context: AppContext

    def blueprint(self) -> Blueprint:
        routes = Blueprint("do_not_call", __name__, url_prefix="/do-not-call")
        routes.get("")(self.listed)
        routes.get("/<number>")(self.shown)
        routes.put("/<number>")(self.refuse)
        routes.delete("/<number>")(self.allow)
        routes.before_request(self.refuse_malformed)
        routes.errorhandler(OSError)(unreachable)
        return routes

    async def refuse_malformed(self) -> Response | None:
        number = (request.view_args or {}).get("number", "+10000000")
        if is_phone_number(number):
            return None
        return problem(400, "the number is not in E.164", field="number", fix="Write + and 7 to 15 digits.")

    async def listed(self) -> Response:
        entries = await self.context.orders.refused_numbers(_argument("after"), MOST)
        return json_answer({"numbers": [attrs.asdict(entry) for entry in entries]})

    async def shown(self, number: str) -> Response:
        entry = await self.context.orders.refused_number(number)
        if entry is None:
            return problem(404, "the number is not on the list", fix="PUT puts it there.")
        return json_answer(attrs.asdict(entry))

    async def refuse(self, number: str) -> Response:
        """Put a number on the list; `why` is kept with it."""
        why = _argument("why")
        if len(why) > LONGEST_WHY:
            told = f"why is longer than {LONGEST_WHY} characters"
            return problem(400, told, field="why", fix="Write a short reason.")
        await self.context.orders.refuse_number(number, why)
        _log.info("number_refused")
        return await self.shown(number)

    async def allow(self, number: str) -> Response:
        if not await self.context.orders.allow_number(number):
            fix = "switchboard do-not-call list, or GET /do-not-call, lists what is."
            return problem(404, "the number is not on the list", fix=fix)
        _log.info("number_allowed")
        return Response("", 204)


def _argument(name: str) -> str:
    """Return an argument of the address, without null characters, which PostgreSQL refuses."""
    return request.args.get(name, "").replace("\0", "")
