"""How a request that was not carried out is answered: JSON, with what is wrong and what to do about it.

`problem` writes such an answer, and `refused` gives the framework's own refusals the same form. Neither says what broke
inside: the log does.
"""

from collections.abc import Mapping

from quart import Response, jsonify
from werkzeug.exceptions import HTTPException

_FIXES: Mapping[int, str] = {
    404: "See which routes there are: docs/operations.md.",
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


async def refused(exc: HTTPException) -> Response:
    """Answer what the framework refuses, or what broke, as everything else is answered."""
    status = exc.code or 500
    response = problem(status, exc.name.lower(), fix=_FIXES.get(status, "Mend the request."))
    for name, value in exc.get_headers():
        if name.lower() != "content-type":
            response.headers[name] = value
    return response
