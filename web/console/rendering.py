"""Pages made of their templates, and the files that they load: styles, modules, worklets.

The framework would compile a template when it is first asked for, which blocks the loop of every call for a quarter of
a second, and run a function of its own in a thread for each page. `prepare` compiles all of them before anything is
served, once a process. A long page is made in pieces, between which the calls go on.

Files are read once, and served from memory: the framework would open one in a thread for each request. A browser asks
again each time, and gets 304 while the file is what it has.
"""

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path

import attrs
import trio
from jinja2 import Environment, PackageLoader, StrictUndefined
from quart import Response, g, request

from web.console.english import TEXT
from web.routes.problems import problem

_PIECES = 200
"""Of a page, made in one go: less than a millisecond."""


@cache
def prepare() -> Environment:
    """Compile every template. A name that a template does not know is an error, and not an empty text."""
    templates = Environment(autoescape=True, loader=PackageLoader("web.console"), undefined=StrictUndefined)
    templates.globals["t"] = TEXT
    for name in templates.list_templates():
        templates.get_template(name)
    return templates


async def render(template: str, **context: object) -> str:
    """Render a page. Every value is escaped; `csrf` is the token of the session, empty where there is none."""
    session = g.get("console_session")
    csrf, pieces = session.csrf if session is not None else "", list[str]()
    for piece in prepare().get_template(template).generate(csrf=csrf, **context):
        pieces.append(piece)
        if len(pieces) % _PIECES == 0:
            await trio.lowlevel.checkpoint()
    return "".join(pieces)


async def message_page(status: int, heading: str, message: str) -> Response:
    return Response(await render("message.html", heading=heading, message=message), status)


FOLDER = Path(__file__).parent / "static"
TYPES: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@attrs.frozen
class StaticFile:
    content: bytes
    content_type: str
    etag: str


@cache
def read_files() -> Mapping[str, StaticFile]:
    """Read the files of `FOLDER`, by their paths in it. Blocks."""
    found: dict[str, StaticFile] = {}
    for path in FOLDER.rglob("*"):
        if path.suffix in TYPES:
            content = path.read_bytes()
            found[path.relative_to(FOLDER).as_posix()] = StaticFile(
                content, TYPES[path.suffix], sha256(content).hexdigest()[:32]
            )
    return found


async def static_file(filename: str) -> Response:
    file = read_files().get(filename)
    if file is None:
        return problem(404, "no such file", fix="Reload the page.")
    headers = {"ETag": f'"{file.etag}"', "Cache-Control": "no-cache"}
    if file.etag in request.if_none_match:
        return Response("", 304, headers=headers)
    return Response(file.content, 200, headers=headers, content_type=file.content_type)
