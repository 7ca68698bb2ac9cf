"""`GET /openapi.json`: what API clients may ask, as OpenAPI 3.1.

The table has a line for each route that an operator's program may use; routes that Twilio signs, and the console's, are
not for programs. A test holds it against the application's own routes: one that is added needs its line.
"""

import re
from collections.abc import Mapping
from typing import Final

import attrs
from quart import Blueprint, Response, request

from actors.commands import KINDS
from protocol.fields import JSON
from web.routes.problems import json_answer, misasked


@attrs.frozen
class Operation:
    """One route: its method and path, what it does, the statuses of success, and whether it takes a JSON body."""

    method: str
    path: str
    does: str
    answers: tuple[int, ...] = (200,)
    takes_json: bool = False
    kind: str = "application/json"
    is_open: bool = False
    """It needs no token."""
    asks: Mapping[str, str] | None = attrs.field(factory=dict[str, str])
    """The pattern of each argument that its address may have; None lets any pass."""
    once: bool = False
    """With an `Idempotency-Key` it is done once, however often it is sent."""


_ANY: Final = r"[\s\S]*"


def _command(name: str) -> Operation:
    does = str(KINDS[name].__doc__).partition("\n")[0]
    return Operation("POST", f"/calls/{{name}}/{name}", does, (200, 202), takes_json=True, once=True)


OPERATIONS: Final = (
    Operation("POST", "/calls", "Place a call.", (201, 202), takes_json=True, once=True),
    Operation("GET", "/calls", "List live and recent calls, newest first.", asks={"limit": _ANY, "live": "yes|no"}),
    Operation("GET", "/calls/{name}", "Show one call, with its record once it is over."),
    Operation("DELETE", "/calls/{name}", "Hang a call up: at once, or after a goodbye.", (202,),
              asks={"goodbye": "yes|no"}),
    Operation("GET", "/calls/{name}/audio", "Send both sides of a call that goes on.", kind="application/octet-stream"),
    Operation("GET", "/calls/{name}/events", "Send the journal as it goes on.", kind="text/event-stream"),
    Operation("GET", "/calls/{name}/journal", "Send the journal, a JSON object a line.", kind="application/x-ndjson"),
    Operation("GET", "/calls/{name}/recording", "Send the recording, or a part of it.", (200, 206), kind="audio/wav"),
    Operation("GET", "/calls/{name}/tasks", "Show the tree of a call's tasks."),
    Operation("GET", "/calls/{name}/timeline.svg", "Draw the call.", kind="image/svg+xml"),
    *map(_command, KINDS),
    Operation("POST", "/campaigns", "Make a campaign, with all its numbers or not at all.", (201,), takes_json=True),
    Operation("GET", "/campaigns", "List the newest campaigns, newest first."),
    Operation("GET", "/campaigns/{name}", "Show one campaign, and how it goes."),
    Operation("POST", "/campaigns/{name}/pause", "Place no more calls of it for now."),
    Operation("POST", "/campaigns/{name}/resume", "Go on with it."),
    Operation("POST", "/campaigns/{name}/cancel", "End it."),
    Operation("GET", "/campaigns/{name}/export", "Give the results: a line for each number.", kind="text/csv",
              asks={"format": "csv|jsonl"}),
    Operation("GET", "/do-not-call", "List numbers, in order, from behind `after`.", asks={"after": _ANY}),
    Operation("GET", "/do-not-call/{number}", "Show whether a number is on the list."),
    Operation("PUT", "/do-not-call/{number}", "Put a number on the list.", asks={"why": _ANY}),
    Operation("DELETE", "/do-not-call/{number}", "Take a number from the list.", (204,)),
    Operation("POST", "/kept", "List what is kept of a person, by call or by number.", takes_json=True),
    Operation("POST", "/export", "Send all of it as a ZIP file.", takes_json=True, kind="application/zip"),
    Operation("POST", "/forget", "Erase all of it, and answer with the proof.", takes_json=True),
    Operation("GET", "/webhooks", "List the newest webhooks in one state.", asks={"state": "dead|waiting|sent"}),
    Operation("POST", "/webhooks/resend", "Let dead webhooks wait to be sent again.", takes_json=True),
    Operation("GET", "/healthz", "Say that the worker answers.", asks=None, is_open=True),
    Operation("GET", "/readyz", "Say whether a new call would be let in.", (200, 503), asks=None, is_open=True),
    Operation("GET", "/metrics", "Render the counts.", kind="text/plain", asks=None),
    Operation("GET", "/openapi.json", "Give this document.", asks=None, is_open=True),
)  # fmt: skip


def document() -> dict[str, JSON]:
    """Write the table as an OpenAPI 3.1 document."""
    methods: dict[str, dict[str, JSON]] = {}
    for one in OPERATIONS:
        methods.setdefault(one.path, {})[one.method.lower()] = _described(one)
    paths: dict[str, JSON] = dict(methods)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Switchboard", "version": "1", "description": "docs/operations.md explains it."},
        "paths": paths,
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{"token": []}],
    }  # fmt: skip


def _described(one: Operation) -> JSON:
    named: list[JSON] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", one.path)
    ]
    asked: list[JSON] = [
        {"name": name, "in": "query", "schema": {"type": "string", "pattern": f"^(?:{pattern})$"}}
        for name, pattern in (one.asks or {}).items()
    ]
    key: JSON = {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string"}}
    done: dict[str, JSON] = {str(status): {"description": "Done.", "content": {one.kind: {}}} for status in one.answers}
    refused: JSON = {"description": "It was refused, and why.", "content": {"application/json": {}}}
    described: dict[str, JSON] = {
        "summary": one.does,
        "parameters": [*named, *asked, *([key] if one.once else [])],
        "responses": {**done, "default": refused},
    }
    if one.takes_json:
        described["requestBody"] = {"content": {"application/json": {"schema": {"type": "object"}}}}
    if one.is_open:
        described["security"] = []
    return described


_ARGUMENT: Final = re.compile(r"<(?:\w+:)?(\w+)>")
_BY_ROUTE: Final = {(one.method, one.path): one for one in OPERATIONS}


async def refuse_misasked() -> Response | None:
    """Answer 400 to arguments of an address that the document does not have."""
    path = _ARGUMENT.sub(r"{\1}", request.url_rule.rule) if request.url_rule is not None else ""
    one = _BY_ROUTE.get(("GET" if request.method == "HEAD" else request.method, path))
    return None if one is None or one.asks is None else misasked(one.asks, takes_json=one.takes_json)


def blueprint() -> Blueprint:
    routes = Blueprint("openapi", __name__)
    routes.get("/openapi.json")(openapi)
    return routes


async def openapi() -> Response:
    return json_answer(document())
