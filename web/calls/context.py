"""The state that all routes of one application share. Built once, passed by hand; nothing in `web/` is global.

`AppContext` owns no connection and no task. `build_context` is the one place that says which part gets which setting.
"""

from collections.abc import Mapping
from functools import partial

import attrs
import trio

from actors.call_services import CallServices, each_of
from settings import Settings
from store.databases import SqliteDatabase
from store.fleet.shared import Fleet
from store.objects import ObjectStore
from store.orders.campaigns import CampaignStore
from store.orders.queue import OrderQueue
from store.outbox import Outbox
from store.tokens import TokenStore
from web.calls.admission import Admissions
from web.calls.call_files import CallFiles
from web.calls.campaigns import settle
from web.calls.commands import Commands
from web.calls.counts import Counts
from web.calls.ending import Announced
from web.calls.forgetting import EraseFrom, Forgetting, erase_orders
from web.calls.live_calls import LiveCalls, Streams
from web.calls.outcomes import OrderEnds, Outcomes
from web.calls.rate_limits import MOST_PENDING_STREAMS, RateLimits
from web.calls.roster_hooks import AfterCalls
from web.calls.slots import Pace, Slots
from web.calls.uploads import Uploads
from web.calls.watching import WatchedCalls
from web.calls.webhooks import PostWebhook, Webhooks
from web.clients.signatures import TwilioSignatures
from web.clients.twilio import Line


@attrs.frozen
class Opened:
    """Everything that an application needs besides its settings; tokens and orders are in memory unless given."""

    services: CallServices
    line: Line
    slots: Slots
    """The server's drain has them too."""
    tokens: TokenStore = attrs.field(factory=TokenStore)
    orders: OrderQueue = attrs.field(factory=lambda: OrderQueue(SqliteDatabase()))
    places: Mapping[str, EraseFrom] = attrs.field(factory=dict[str, EraseFrom])
    """Where else something of a call may lie, by name."""
    post_webhook: PostWebhook | None = None
    """Sends a message to the server at CALL_WEBHOOK_URL."""
    objects: ObjectStore | None = None
    """The store at RECORDINGS_URL."""


@attrs.frozen
class AppContext:
    """The parts that routes and background tasks share; `services.save` announces each record."""

    settings: Settings
    line: Line
    services: CallServices
    admissions: Admissions
    signatures: TwilioSignatures
    slots: Slots
    commands: Commands
    live_calls: LiveCalls
    counts: Counts
    pace: Pace
    outcomes: Outcomes
    announced: Announced
    after_calls: AfterCalls
    orders: OrderQueue
    outbox: Outbox
    webhooks: Webhooks | None
    files: CallFiles
    uploads: Uploads | None
    forgetting: Forgetting
    streams: Streams = attrs.field(factory=Streams)
    rate_limits: RateLimits = attrs.field(factory=RateLimits)
    pending_streams: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(MOST_PENDING_STREAMS))
    """Those that are accepted and have not shown a token yet."""
    watched: WatchedCalls = attrs.field(factory=WatchedCalls)

    @property
    def campaigns(self) -> CampaignStore:
        return CampaignStore(self.orders.database)

    @property
    def fleet(self) -> Fleet:
        return self.slots.fleet


def build_context(settings: Settings, opened: Opened) -> AppContext:
    services, slots, orders, objects = opened.services, opened.slots, opened.orders, opened.objects
    live_calls, counts, admissions = LiveCalls(), Counts(slots), Admissions(opened.tokens)
    files = CallFiles(settings.recordings_dir, objects)
    after = AfterCalls(services.roster.extras, services.ask_json, services.records, files)
    ends, outbox = OrderEnds(orders, settle), Outbox(orders.database)
    webhooks = Webhooks(outbox, services.records, opened.post_webhook) if opened.post_webhook is not None else None
    watched = WatchedCalls(files)
    uploads = Uploads(files, objects) if objects is not None else None
    ended = [watched.ended, after.put, ends.put]
    ended += [*([webhooks.ended] if webhooks else ()), *([uploads.put] if uploads else ())]
    announced = Announced(services.records, live_calls, counts, ended=each_of(ended))
    places = _places_of(opened, outbox)
    return AppContext(
        settings=settings,
        line=opened.line,
        services=attrs.evolve(
            _observed(services, counts, watched, webhooks),
            save=announced.save,
            recording_at=objects.address if objects is not None else lambda _: "",
        ),
        admissions=admissions,
        signatures=TwilioSignatures(settings.lead_server_external_url, settings.twilio_auth_token),
        slots=slots,
        commands=Commands(services.intercom, slots.fleet),
        live_calls=live_calls,
        counts=counts,
        pace=Pace(settings.calls_per_second, slots.fleet),
        outcomes=Outcomes(services.records, announced.save, admissions, ends),
        announced=announced,
        after_calls=after,
        orders=orders,
        outbox=outbox,
        webhooks=webhooks,
        files=files,
        uploads=uploads,
        forgetting=Forgetting(services.records, files, slots.fleet, live_calls, announced, watched, places),
        watched=watched,
    )


def _places_of(opened: Opened, outbox: Outbox) -> dict[str, EraseFrom]:
    """Return where, beside records and files, something is kept of a person."""
    return {
        "notes": opened.tokens.erase,
        "fleet": opened.slots.fleet.erase,
        "orders": partial(erase_orders, opened.orders),
        "webhooks": outbox.erase,
        **opened.places,
    }


def _observed(services: CallServices, counts: Counts, watched: WatchedCalls, webhooks: Webhooks | None) -> CallServices:
    followers = (*services.followers, *([webhooks.reader] if webhooks is not None else []))
    observe = each_of([counts.observe, services.observe])
    return attrs.evolve(services, observe=observe, watch=watched.watch, followers=followers)
