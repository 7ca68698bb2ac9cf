"""An operator's commands to a call that goes on: one route each, for API clients and for the console's page.

`POST /calls/{name}/say` and its siblings give a command to the call, and answer with what became of it. With an
`Idempotency-Key` a command is carried out once, however often it is sent. 200: it is done, or the call ended first;
202: the call has not decided it yet; 409: it was refused; 502: it was tried and failed.
"""

import secrets
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, TypeAlias

import attrs
import structlog
from quart import Blueprint, Response
from quart.typing import ResponseReturnValue

from actors.commands import KINDS, OVER, Command, CommandAnswer, Outcome
from web.calls.commands import NotHere, Pending
from web.calls.context import AppContext
from web.calls.live_calls import KnownCall
from web.calls.operating import operate, read_action
from web.calls.orders import OrderError
from web.routes.problems import body_of_request, json_answer, key_of_request, mistaken, no_such_call, problem
from web.routes.views import CallViews

_STATUS: Final[Mapping[Outcome, int]] = {
    Outcome.DONE: 200,
    Outcome.OVER: 200,
    Outcome.REFUSED: 409,
    Outcome.FAILED: 502,
}

_log = structlog.stdlib.get_logger()

WhoAsks: TypeAlias = Callable[[], str]
"""Says by which way in a command comes: "api", or a session of the console."""


@attrs.frozen
class OperatorRoutes:
    context: AppContext
    views: CallViews

    def add_to(self, routes: Blueprint, prefix: str, who: WhoAsks) -> None:
        for command in KINDS:
            view = partial(self.command, command, who)
            routes.add_url_rule(f"{prefix}/<name>/{command}", f"command_{command}", view, methods=["POST"])

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
    fix = "See how the call goes, and ask again under a new key."
    return json_answer({"error": answer.why, **told, "fix": fix}, status)
