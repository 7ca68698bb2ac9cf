"""How a request that was not carried out is answered: JSON, with what is wrong and what to do about it.

`problem` writes such an answer, and `refused` gives the framework's own refusals the same form. Neither says what broke
inside: the log does.
"""

from collections.abc import Mapping
from http import HTTPStatus

from quart import Response, current_app, jsonify
from werkzeug.exceptions import HTTPException

_FIXES: Mapping[int, str] = {
    405: "Use a method that the Allow header names.",
    408: "Send the whole body at once.",
    413: "Send a shorter body.",
    500: "See the log of the server.",
}


def problem(status: int, error: str, **more: object) -> Response:
    """Return an answer that says what is wrong."""
    response: Response = jsonify({"error": error, **more})
    response.status_code = status
    return response


def _routes() -> str:
    """Name every route there is: a path that is nearly right is found quickest beside the right one."""
    named = {
        f"{method} {rule.rule}"
        for rule in current_app.url_map.iter_rules()
        for method in rule.methods or ()
        if method not in {"HEAD", "OPTIONS"}
    }
    return f"The routes are: {', '.join(sorted(named, key=lambda route: route.split()[::-1]))}."


async def refused(exc: HTTPException) -> Response:
    """Answer what the framework refuses, or what broke, as everything else is answered."""
    status = exc.code or 500
    fix = _routes() if status == HTTPStatus.NOT_FOUND else _FIXES.get(status, "Mend the request.")
    response = problem(status, exc.name.lower(), fix=fix)
    for name, value in exc.get_headers():
        if name.lower() != "content-type":
            response.headers[name] = value
    return response
