"""Pages made of their templates, and the files that they load: styles, modules, worklets.

The framework would compile a template when it is first asked for, which blocks the loop of every call for a quarter of
a second, and run a function of its own in a thread for each page. `prepare` compiles all of them before anything is
served, once a process. A long page is made in pieces, between which the calls go on.

Every English text of the pages stands in `english.toml`; a page's module gets its own as JSON.

Files are read once, and served from memory: the framework would open one in a thread for each request. A browser asks
again each time, and gets 304 while the file is what it has.
"""

import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import trio
from jinja2 import Environment, PackageLoader, StrictUndefined
from quart import Response, g, request

from store.masking import mask
from web.clients.operator import time_left
from web.picture.words import arguments_text, result_text
from web.routes.problems import problem

_TEXTS: Mapping[str, Mapping[str, str]] = tomllib.loads(Path(__file__).with_name("english.toml").read_text("utf-8"))
TEXT, LIVE, OPERATE, CAMPAIGNS = (_TEXTS[table] for table in ("pages", "live", "operate", "campaigns"))
PHONE, PHONE_KEYS, PHONE_TOLD = (_TEXTS[table] for table in ("phone", "phone_keys", "phone_told"))
_PIECES = 200
"""Of a page, made in one go: less than a millisecond."""


@cache
def prepare() -> Environment:
    """Compile every template. A name that a template does not know is an error, and not an empty text."""
    templates = Environment(autoescape=True, loader=PackageLoader("web.console"), undefined=StrictUndefined)
    templates.globals.update(t=TEXT, words=LIVE, o=OPERATE, p=PHONE, told=PHONE_TOLD, c=CAMPAIGNS)
    templates.filters.update(
        number=shown_number,
        time=shown_time,
        duration=shown_duration,
        moment=shown_moment,
        value=result_text,
        arguments=arguments_text,
        left=time_left,
    )
    for name in templates.list_templates():
        templates.get_template(name)
    return templates


def shown_number(text: str, whole: bool) -> str:
    """Return a text with its phone numbers as they are shown: the last two digits, unless the operator asks for all."""
    return (text if whole else mask(text)) or TEXT["unknown_caller"]


def shown_time(moment: str | float) -> str:
    """Return a moment, as text or in seconds since 1970, in UTC; the page says that it is."""
    try:
        when = datetime.fromisoformat(moment) if isinstance(moment, str) else datetime.fromtimestamp(moment, UTC)
        return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError):
        return str(moment)


def shown_duration(seconds: float) -> str:
    return _clock(round(seconds), 1, "02.0f")


def shown_moment(seconds: float) -> str:
    return _clock(round(10 * seconds), 10, "04.1f")


def _clock(count: int, in_a_second: int, form: str) -> str:
    """Write a time as 0:07 or 2:01:40; `form` is that of its seconds."""
    minutes, rest = divmod(count, 60 * in_a_second)
    hours, minutes = divmod(minutes, 60)
    return f"{f'{hours}:{minutes:02}' if hours else minutes}:{rest / in_a_second:{form}}"


async def render(template: str, **context: object) -> str:
    """Render a page. Every value is escaped; `csrf` is the token of the session, empty where there is none."""
    session = g.get("console_session")
    context["csrf"] = session.csrf if session is not None else ""
    context["shows_numbers"] = request.args.get("numbers") == "shown"
    pieces = list[str]()
    for piece in prepare().get_template(template).generate(context):
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


@cache
def read_files() -> Mapping[str, bytes]:
    """Read the files of `FOLDER`, by their paths in it. Blocks."""
    paths = [path for path in FOLDER.rglob("*") if path.suffix in TYPES]
    return {path.relative_to(FOLDER).as_posix(): path.read_bytes() for path in paths}


async def static_file(filename: str) -> Response:
    content = read_files().get(filename)
    if content is None:
        return problem(404, "no such file", fix="Reload the page.")
    response = Response(content, content_type=TYPES[Path(filename).suffix], headers={"Cache-Control": "no-cache"})
    await response.add_etag()
    return await response.make_conditional(request)
