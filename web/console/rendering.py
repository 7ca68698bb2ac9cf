"""How a page is made of its template: with the English texts, the session, and nothing of the framework's.

The framework would compile a template when it is first asked for, which blocks the loop of every call for a quarter of
a second, and run a function of its own in a thread for each page. `prepare` compiles all of them before anything is
served, once a process. A long page is made in pieces, between which the calls go on.
"""

from functools import cache

import trio
from jinja2 import Environment, PackageLoader, StrictUndefined
from quart import g

from web.console.english import TEXT

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
