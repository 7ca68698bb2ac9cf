"""The API for webhooks that have not arrived: list them, send them again."""

import re

import attrs
from quart import Blueprint, Response, request

from store.outbox import Outbox
from web.routes.problems import json_answer, json_of_request, problem, unreachable

_STATES = ("dead", "waiting", "sent")
MOST = 200


@attrs.frozen
class WebhookRoutes:
    outbox: Outbox

    def blueprint(self) -> Blueprint:
        routes = Blueprint("webhooks", __name__, url_prefix="/webhooks")
        routes.get("")(self.listed)
        routes.post("/resend")(self.resend)
        away = unreachable("the outbox cannot be read now; nothing is lost", "webhooks_unavailable")
        routes.errorhandler(OSError)(away)
        return routes

    async def listed(self) -> Response:
        """List the newest of them in one state: dead, unless another is asked for."""
        state = request.args.get("state", "dead")
        if state not in _STATES:
            return problem(400, "state is none of dead, waiting, sent", field="state", fix="state=dead")
        events = [attrs.asdict(event) for event in await self.outbox.listed(state, MOST)]
        for event in events:
            event.pop("body")
        return json_answer({"webhooks": events})

    async def resend(self) -> Response:
        """Let dead ones wait to be sent again."""
        match await json_of_request():
            case {"ids": "all"}:
                count = await self.outbox.resend(None)
            case {"ids": [*ids]} if all(isinstance(one, str) and re.fullmatch(r"msg_[0-9a-f]{27}", one) for one in ids):
                count = await self.outbox.resend(ids)
            case _:
                return problem(
                    400, "the body names no webhooks", field="ids", fix='{"ids": ["msg_…"]} or {"ids": "all"}'
                )
        return json_answer({"resent": count})
