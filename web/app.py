"""The web application of one exchange: routes around one `Office`, with the media door in front.

`create_app` builds it from parts and touches nothing outside them; call it as often as you like. Whoever calls it owns
the parts (see `web.services`) and serves the application with an ASGI server that runs on trio.
"""

from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from actors.call import CallServices, run_call
from settings import Settings
from web.calls.context import opening
from web.calls.dispatch import Dispatcher
from web.calls.follow_up import FollowUp
from web.calls.no_shows import NoShows
from web.calls.rate_limits import harden
from web.calls.repeats import RepeatedOrders
from web.calls.slots import Slots
from web.calls.token_store import Holes
from web.clients.twilio import Line
from web.console.pages import Console
from web.routes.calls import CallRoutes
from web.routes.credentials import Credentials
from web.routes.health import HealthRoutes
from web.routes.media import MediaDoor, RunCall
from web.routes.misrouted import Misrouted
from web.routes.timing import count_requests
from web.routes.transfer import TransferRoutes
from web.routes.twilio import TwilioRoutes
from web.worker.background import WorkingHours
from web.worker.watchdog import Watchdog

MAX_BODY_BYTES = 64 * 1024
BODY_SECONDS = 10
"""For a request's body to be there, once its headers are: Twilio's forms come at once."""


def create_app(
    settings: Settings,
    services: CallServices,
    line: Line,
    *,
    holes: Holes | None = None,
    slots: Slots | None = None,
    run_call: RunCall = run_call,
) -> QuartTrio:
    """Return the application. `slots` is shared by whoever drains it; `run_call` is what a media stream is given to."""
    office = opening(settings, services, line, holes=holes, slots=slots)
    dispatcher = Dispatcher(office)
    app = QuartTrio("switchboard", static_folder=None)
    app.url_map.merge_slashes = False  # it would redirect, and what Twilio signed is another address then
    app.config["MAX_CONTENT_LENGTH"], app.config["BODY_TIMEOUT"] = MAX_BODY_BYTES, BODY_SECONDS
    for routes in (
        TwilioRoutes(office),
        TransferRoutes(office),
        CallRoutes(office, dispatcher, RepeatedOrders(office)),
        HealthRoutes(office),
    ):
        app.register_blueprint(routes.blueprint())
    Console.of(office).install(app)
    app.register_error_handler(HTTPException, Misrouted(office, app.url_map).answer)
    app.after_request(harden)
    count_requests(app, office.counts)
    Credentials(office).guard(app)
    watchdog = Watchdog(office.counts.blocked)
    follow = (FollowUp(office).run, NoShows(office).run, office.verdicts.run, office.counts.watch_lag, watchdog.run)
    at_work = WorkingHours(app.asgi_app, (dispatcher.run, *follow))
    app.asgi_app = MediaDoor(at_work, office, run_call)  # type: ignore[method-assign]  # Quart's own hook for middleware
    return app
