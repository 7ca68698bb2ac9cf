"""The console's routes: each reads what a page shows, and renders it.

Every request has passed the gate (`web.console.session`). A page is a view of records and events: no logic of its own.
"""

import attrs
from quart import Blueprint
from quart.typing import ResponseReturnValue
from quart_trio import QuartTrio

from web.calls.context import AppContext
from web.console.files import read_files, static_file
from web.console.rendering import prepare, render
from web.console.session import Gate


@attrs.frozen
class Console:
    """The pages of one application."""

    context: AppContext
    gate: Gate

    @classmethod
    def of(cls, context: AppContext) -> "Console":
        """Return the pages around an context."""
        return cls(context, Gate.of(context))

    def install(self, app: QuartTrio) -> None:
        """Register the routes, and what templates need."""
        prepare(app)
        read_files()
        app.register_blueprint(self.blueprint())

    def blueprint(self) -> Blueprint:
        """Return the routes."""
        routes = Blueprint("console", __name__, template_folder="templates")
        routes.get("/console/static/<path:filename>")(static_file)
        routes.add_url_rule("/console/sign-in", "sign_in", self.gate.sign_in, methods=["GET", "POST"])
        routes.post("/console/sign-out")(self.gate.sign_out)
        routes.get("/")(self.calls)
        routes.before_request(self.gate.refuse_strangers)
        routes.after_request(self.gate.dress)
        return routes

    async def calls(self) -> ResponseReturnValue:
        """Show the list of calls."""
        return await render("calls.html")
