"""The state that all routes of one application share. Built once, passed by hand; nothing in `web/` is global.

`AppContext` owns no connection and no task. `build_context` is the one place that says which part gets which setting.
"""

from collections.abc import Mapping

import attrs

from actors.call import CallServices
from actors.record.watching import each_of, kept_here
from settings import Settings
from store.fleet.memory import MemoryFleet
from store.fleet.shared import Fleet
from store.objects import ObjectStore
from store.orders.campaigns import CampaignStore
from store.orders.databases import SqliteOrders
from store.orders.queue import OrderQueue
from store.outbox import Outbox
from web.calls.admission import Admissions, Verdicts
from web.calls.after_call import AfterCalls
from web.calls.call_files import CallFiles
from web.calls.campaigns import settle
from web.calls.commands import Commands
from web.calls.counts import Counts
from web.calls.ending import Announced
from web.calls.forgetting import Forgetting, KeptOrders, Place
from web.calls.live_calls import LiveCalls
from web.calls.order_ends import OrderEnds
from web.calls.outcomes import Outcomes
from web.calls.rate_limits import PendingStreams, RateLimits
from web.calls.slots import Pace, Slots
from web.calls.streams import Streams
from web.calls.token_store import MemoryTokenStore, TokenStore
from web.calls.uploads import Uploads
from web.calls.watching import WatchedCalls
from web.calls.webhooks import PostWebhook, Webhooks
from web.clients.signatures import TwilioSignatures
from web.clients.twilio import Line


@attrs.frozen
class AppContext:
    """The parts that routes and background tasks share; `services.records` announces each record that is saved."""

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
    verdicts: Verdicts
    orders: OrderQueue
    outbox: Outbox
    webhooks: Webhooks | None
    files: CallFiles
    uploads: Uploads | None
    forgetting: Forgetting
    streams: Streams = attrs.field(factory=Streams)
    rate_limits: RateLimits = attrs.field(factory=RateLimits)
    pending_streams: PendingStreams = attrs.field(factory=PendingStreams)
    watched: WatchedCalls = attrs.field(factory=WatchedCalls)

    @property
    def campaigns(self) -> CampaignStore:
        """Return the campaigns, which are kept with the orders."""
        return CampaignStore(self.orders.database)

    @property
    def fleet(self) -> Fleet:
        """Return what this worker shares with others."""
        return self.slots.fleet


def build_context(
    settings: Settings,
    services: CallServices,
    line: Line,
    *,
    tokens: TokenStore | None = None,
    slots: Slots | None = None,
    orders: OrderQueue | None = None,
    places: Mapping[str, Place] | None = None,
    post_webhook: PostWebhook | None = None,
    objects: ObjectStore | None = None,
) -> AppContext:
    """Build the state of one application; tokens and orders are kept in this worker's memory where none are given.

    `post_webhook` sends a message to the server at CALL_WEBHOOK_URL, where there is one; `objects` is the store at
    RECORDINGS_URL.
    """
    slots = slots or Slots(settings.calls_per_worker, MemoryFleet(settings.max_calls))
    live_calls, counts = LiveCalls(), Counts(slots)
    after = AfterCalls(services.roster.extras, services.ask_json, services.records)
    orders = orders or OrderQueue(SqliteOrders())
    ends, outbox = OrderEnds(orders, settle), Outbox(orders.database)
    webhooks = Webhooks(outbox, services.records, post_webhook) if post_webhook is not None else None

    watched, files = WatchedCalls(), CallFiles(settings.recordings_dir, objects)
    uploads = Uploads(files, objects) if objects is not None else None
    ended = [after.put, ends.put]
    ended += [webhooks.ended] if webhooks is not None else []
    ended += [uploads.put] if uploads is not None else []
    announced = Announced(services.records, live_calls, counts, ended=each_of(ended))
    tokens = tokens or MemoryTokenStore()
    admissions = Admissions(tokens)

    ours: dict[str, Place] = {"notes": tokens, "fleet": slots.fleet, "orders": KeptOrders(orders), "webhooks": outbox}
    return AppContext(
        settings=settings,
        line=line,
        services=attrs.evolve(
            services,
            records=announced,
            observe=each_of([counts.observe, services.observe]),
            watch=watched.watch,
            recording_at=objects.address if objects is not None else kept_here,
            followers=(*services.followers, *([webhooks.reader] if webhooks is not None else [])),
        ),
        admissions=admissions,
        signatures=TwilioSignatures(settings.lead_server_external_url, settings.twilio_auth_token),
        slots=slots,
        commands=Commands(services.intercom, slots.fleet),
        live_calls=live_calls,
        counts=counts,
        pace=Pace(settings.calls_per_second, slots.fleet),
        outcomes=Outcomes(announced, admissions, ends),
        announced=announced,
        after_calls=after,
        verdicts=Verdicts(admissions, services.intercom),
        orders=orders,
        outbox=outbox,
        webhooks=webhooks,
        files=files,
        uploads=uploads,
        forgetting=Forgetting(
            records=services.records,
            files=files,
            fleet=slots.fleet,
            live_calls=live_calls,
            parked_calls=announced.parked_calls,
            watched=watched,
            places={**ours, **(places or {})},
        ),
        watched=watched,
    )
