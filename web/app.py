"""The web application: all routes around one `AppContext`, with the WebSocket of media streams in front of them.

`create_app` builds it from parts and touches nothing outside them; call it as often as you like. The caller owns the
parts (see `web.services`) and serves the application with an ASGI server that runs on trio.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import cast

import attrs
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGIReceiveEvent, ASGISendCallable, Scope
from quart import Blueprint, Request
from quart_trio import QuartTrio
from quart_trio.asgi import TrioASGIHTTPConnection
from werkzeug.exceptions import HTTPException

from actors.call import run_call
from actors.supervision import in_background, keep_running
from settings import Settings
from store.fleet.shared import TELL
from web.calls.campaign_runner import CampaignRunner
from web.calls.commands import COMMAND
from web.calls.context import AppContext, Opened, build_context
from web.calls.dispatch import Dispatcher
from web.calls.follow_up import VERDICT_LOOK_SECONDS, FollowUp, look_for_verdicts, settle_unheard, settle_unused
from web.calls.forgetting import ERASE
from web.calls.rate_limits import harden
from web.calls.unfinished import UnfinishedOrders
from web.console.pages import Console
from web.console.phone import PHONE_STREAM, CallerVoice, PhoneRoutes
from web.console.session import Sessions, SignInCheck
from web.routes import openapi
from web.routes.calls import CallRoutes
from web.routes.campaigns import LARGEST_BODY, CampaignRoutes
from web.routes.credentials import MOST_FIELDS, Credentials, request_class
from web.routes.health import HealthRoutes, count_requests
from web.routes.media import Application, MediaStreams, RunCall
from web.routes.people import PeopleRoutes
from web.routes.problems import Misrouted
from web.routes.twilio import TwilioRoutes
from web.routes.views import CallViews
from web.routes.watch_elsewhere import WATCH, CallsElsewhere
from web.sockets.asgi_events import MESSAGES
from web.worker.retention import EVERY_SECONDS, FAILED, Removal
from web.worker.watchdog import Watchdog

MAX_BODY_BYTES = 64 * 1024
BODY_SECONDS = 10
"""For a request's body to be there, once its headers are: Twilio's forms come at once."""


@attrs.define
class _Answering:
    """One request until it is answered, with the part of a nursery that the framework knows of: its scope."""

    request: Request | None
    cancel_scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    def take(self, event: ASGIReceiveEvent) -> None:
        """Take what the client sends; once it has left, nobody waits for the answer."""
        if event["type"] == "http.request" and self.request is not None:
            self.request.body.append(event["body"])
            if not event["more_body"]:
                self.request.body.set_complete()
        elif event["type"] == "http.disconnect":
            self.cancel_scope.cancel(reason="the client has left")


class HttpConnection(TrioASGIHTTPConnection):
    """One request, answered in the task that it came to if the server hands over what the client sends."""

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Answer it, unless the client leaves before."""
        if (offer := (self.scope.get("extensions") or {}).get(MESSAGES)) is None:
            await super().__call__(receive, send)
            return
        request = self._create_request_from_scope(send)
        answering = _Answering(request)
        try:
            with answering.cancel_scope:
                offer["deliver"](answering.take)
                await self.handle_request(cast("trio.Nursery", answering), request, send)
        finally:
            answering.request = None  # it knows its server, which knows us


@attrs.frozen
class BackgroundTasks:
    """Runs tasks for as long as an application lives."""

    application: Application
    runs: Sequence[Callable[[], Awaitable[None]]]

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] != "lifespan":
            await self.application(scope, receive, send)
            return
        async with in_background(*self.runs):
            await self.application(scope, receive, send)


def _tasks_of(context: AppContext, dispatcher: Dispatcher) -> Sequence[Callable[[], Awaitable[None]]]:
    unfinished = UnfinishedOrders(context, dispatcher)
    tasks: list[Callable[[], Awaitable[None]]] = [
        dispatcher.run,
        unfinished.run,
        context.outcomes.ends.queue.run,
        CampaignRunner(context, dispatcher, unfinished).run,
        context.after_calls.queue.run,
        FollowUp(context).run,
        partial(settle_unheard, context),
        partial(keep_running, partial(look_for_verdicts, context), "verdicts_not_looked_for", VERDICT_LOOK_SECONDS),
        partial(
            keep_running,
            partial(context.admissions.tokens.sweep_on, partial(settle_unused, context)),
            "texts_not_swept",
        ),
        Watchdog(context.counts.blocked).run,
    ]
    if context.uploads is not None:
        tasks.append(partial(keep_running, context.uploads.run, "uploads_crashed"))
    if context.settings.retention_days.ends:
        tasks.append(partial(keep_running, Removal.of(context).look, FAILED, EVERY_SECONDS))
    if context.webhooks is not None:
        tasks.append(partial(keep_running, context.webhooks.run, "webhooks_crashed"))
    return tasks


def _routes_of(context: AppContext, calls: CallRoutes) -> list[Blueprint]:
    routes = (
        TwilioRoutes(context),
        calls,
        CampaignRoutes(context),
        HealthRoutes(context),
        PeopleRoutes(context.orders, context.forgetting, calls.views),
        openapi,
    )
    return [each.blueprint() for each in routes]


def create_app(
    settings: Settings, opened: Opened, *, run_call: RunCall = run_call, voice: CallerVoice | None = None
) -> QuartTrio:
    """Return the application. A media stream is given to `run_call`.

    `voice` says what is typed on the phone's page, where that is how visitors speak.
    """
    context = build_context(settings, opened)
    dispatcher = Dispatcher(context)
    app = QuartTrio("switchboard", static_folder=None)
    credentials = Credentials(context)
    app.asgi_http_class = HttpConnection
    app.request_class = request_class({"/campaigns"}, LARGEST_BODY, credentials.admits)
    app.url_map.merge_slashes = False  # it would redirect, and what Twilio signed is another address then
    app.config["MAX_CONTENT_LENGTH"], app.config["BODY_TIMEOUT"] = MAX_BODY_BYTES, BODY_SECONDS
    app.config["MAX_FORM_PARTS"] = MOST_FIELDS
    views = CallViews(context, CallsElsewhere(context.fleet, context.watched))
    context.fleet.answering |= {
        COMMAND: context.commands.answer,
        TELL: context.commands.hear,
        ERASE: context.forgetting.answer,
        WATCH: views.elsewhere.answer,
    }
    calls = CallRoutes(context, dispatcher, views)
    for blueprint in _routes_of(context, calls):
        app.register_blueprint(blueprint)
    gate = SignInCheck(context, Sessions.of(settings))
    phone = PhoneRoutes(context, gate, voice)
    console = Console(context, views, calls, gate, phone, CampaignRoutes(context))
    app.register_blueprint(console.blueprint())
    app.register_error_handler(HTTPException, Misrouted(context, app.url_map).answer)
    app.after_request(harden)
    count_requests(app, context.counts)
    app.before_request(credentials.refuse_unauthenticated)
    app.before_request(openapi.refuse_misasked)
    app.after_serving(context.after_calls.queue.finish)
    if context.uploads is not None:
        app.after_serving(context.uploads.queue.finish)
    app.url_map.update()  # or the first request would have to sort the routes
    served = BackgroundTasks(app.asgi_app, (*_tasks_of(context, dispatcher), views.elsewhere.run))
    gates = {PHONE_STREAM: phone.admits}
    # Quart's own hook for middleware
    app.asgi_app = MediaStreams(served, context, run_call, gates)  # type: ignore[method-assign]
    return app
