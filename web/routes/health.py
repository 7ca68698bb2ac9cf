"""What the platform asks: is this worker alive, may it be given a call, and what has it counted.

`/readyz` is false while draining and while every line is taken; `/healthz` is true as long as it can be asked. Both are
asked without a credential; `/metrics` needs the API token (`web.routes.credentials`).
"""

import attrs
from quart import Blueprint, Response, jsonify

from web.calls.context import AppContext
from web.calls.counts import CONTENT_TYPE


@attrs.frozen
class HealthRoutes:
    """The platform's routes; they tell no names."""

    context: AppContext

    def blueprint(self) -> Blueprint:
        """Return the routes."""
        routes = Blueprint("health", __name__)
        routes.get("/healthz")(self.healthz)
        routes.get("/readyz")(self.readyz)
        routes.get("/metrics")(self.metrics)
        return routes

    async def healthz(self) -> Response:
        """Answer."""
        response: Response = jsonify({"alive": True})
        return response

    async def readyz(self) -> Response:
        """Say whether a new call would be let in."""
        slots = self.context.slots
        response: Response = jsonify(
            {"ready": slots.accepting, "draining": slots.draining, "calls": slots.taken, "capacity": slots.capacity}
        )
        response.status_code = 200 if slots.accepting else 503
        return response

    async def metrics(self) -> Response:
        """Render the counts."""
        return Response(self.context.counts.render(), content_type=CONTENT_TYPE)
