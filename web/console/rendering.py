"""How a page is made of its template: with the English texts, the session, and nothing of the framework's.

The framework's `render_template` runs a function of its own in a thread, once for each page.
"""

from jinja2 import StrictUndefined
from quart import current_app, g
from quart_trio import QuartTrio

from web.console.english import TEXT


def prepare(app: QuartTrio) -> None:
    """Have a name that a template does not know be an error, and not an empty text."""
    app.jinja_env.undefined = StrictUndefined


async def render(template: str, **context: object) -> str:
    """Render a page. Every value is escaped; `csrf` is the token of the session, empty where there is none."""
    session = g.get("console_session")
    page = current_app.jinja_env.get_template(template)
    return await page.render_async(t=TEXT, csrf=session.csrf if session is not None else "", **context)
