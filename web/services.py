"""The HTTP clients and background tasks that one worker keeps open while it serves.

`open_services` puts them together with what the settings decide (`web.from_settings`): into the `CallServices` of
`run_call` and the `Line` of the routes. It owns the pools, the task that hands records to the database and the one that
fetches the clips, and ends them; it opens no call. It fails before anything is open: with `RosterError`, or with
`OSError` for a folder that cannot be written to. A database that is away is no failure, and neither is a service that
gives no clips.
"""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from ssl import SSLContext
from typing import TypedDict

import attrs
import httpx
import structlog
import trio

from actors.call_services import CallPlan
from actors.journal import Entry, JournalReader, ignore
from actors.session.opening import VoiceAgentOptions
from actors.supervision import in_background, keep_running, unharmed
from actors.turn_driver import Clips
from agents.roster import Roster
from settings import Settings, wants_traces
from store.calls import CallRecords
from store.checkpoints import keep_news
from store.records import CallRecord, prepare_records
from store.spill import SpillingRecords
from web.calls.context import Opened
from web.clients.briefs import BriefClient
from web.clients.clips import keep_fetching
from web.clients.http import http_client
from web.clients.offered import Refusals, keep_asking, wanted_of
from web.clients.resolver import Resolver, resolving
from web.from_settings import (
    CallStores,
    brief_client_of,
    call_services_of,
    fillers_of,
    line_of,
    roster_of,
    speech_client_of,
    warn_of_misspelt_voices,
    webhook_client_of,
)
from web.worker.left_recordings import joining

TIMEOUT = httpx.Timeout(10.0, connect=5.0)
LIMITS = httpx.Limits(max_connections=200, max_keepalive_connections=50, keepalive_expiry=60.0)

FUNCTION_TIMEOUT = httpx.Timeout(5.0, connect=3.0)
FUNCTION_LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=30.0)
"""Of the client for functions: connections of their own, so that a slow service keeps none from Twilio."""

LAST_RECORDS_SECONDS = 2.0
"""For the database to take what the last calls left; what it does not take waits for the next start."""

_log = structlog.stdlib.get_logger()


@asynccontextmanager
async def open_services(
    settings: Settings, *, observe: Callable[[Entry], None] = ignore, functions: httpx.AsyncBaseTransport | None = None
) -> AsyncIterator[Opened]:
    """Open what calls and routes need, for as long as the `async with` lasts.

    `functions` is the network of the functions that ask other services, where it is not the real one.
    """
    roster, stores = roster_of(settings), CallStores.of(settings)
    prepare_records()
    warn_of_misspelt_voices(settings, roster)
    context, rng = httpx.create_ssl_context(), random.Random()
    clips, voice_agent, refusals = Clips(), VoiceAgentOptions(settings.options), Refusals(observe)
    async with (
        closing_at_end(stores),
        joining(settings.recordings_dir) as writer,
        resolving(Resolver()),
        writing(stores.records),
        http_client(verify=context, timeout=TIMEOUT, limits=LIMITS) as http,
        function_client(context, functions) as theirs,
        httpx.AsyncClient(verify=context, timeout=TIMEOUT, limits=FUNCTION_LIMITS, trust_env=False) as telling,
        tracing(settings) as traced,
    ):
        line, briefs = line_of(settings, http, rng), briefs_of(settings, roster, http)
        services = attrs.evolve(
            call_services_of(settings, roster, stores, line, briefs=briefs, context=context),
            voice_agent=voice_agent,
            observe=refusals.notice,
            clips=clips,
            rng=rng,
            writer=writer,
            http=theirs,
            **traced,
        )
        fetch = partial(keep_fetching, clips, fillers_of(roster))
        ask = partial(keep_asking, settings, wanted_of(settings, roster), voice_agent.offered, briefs, http)
        async with in_background(
            *sharing(stores),
            partial(unharmed, partial(fetch, speech_client_of(settings, http)), "clips_crashed"),
            partial(unharmed, partial(ask, refusals=refusals), "models_crashed"),
        ):
            yield stores.opened(settings, services, line, webhook_client_of(settings, telling))


def briefs_of(settings: Settings, roster: Roster, http: httpx.AsyncClient) -> BriefClient | None:
    """Return what writes Briefs by the roster's schema, if there is a language model for it."""
    briefs = brief_client_of(settings, http)
    if briefs is not None:
        briefs.schema = roster.brief_schema
    else:
        _log.warning("groq_not_configured", brief="made from the facts of the call")
    return briefs


def function_client(context: SSLContext, transport: httpx.AsyncBaseTransport | None) -> httpx.AsyncClient:
    """Return the client that functions share; `transport` takes the place of the network, as in a demo."""
    if transport is not None:
        return httpx.AsyncClient(transport=transport, timeout=FUNCTION_TIMEOUT, trust_env=False)
    return http_client(verify=context, timeout=FUNCTION_TIMEOUT, limits=FUNCTION_LIMITS)


@asynccontextmanager
async def closing_at_end(stores: CallStores) -> AsyncIterator[None]:
    """Close the stores behind the `async with`: SQLite leaves no log beside its files then."""
    try:
        yield
    finally:
        with trio.move_on_after(LAST_RECORDS_SECONDS, shield=True):
            await trio.to_thread.run_sync(stores.close, limiter=trio.CapacityLimiter(1), abandon_on_cancel=True)


@asynccontextmanager
async def writing(records: CallRecords) -> AsyncIterator[None]:
    """Run the writer of a store that has one, for as long as the `async with` lasts."""
    if not isinstance(records, SpillingRecords):
        yield
        return
    async with in_background(partial(keep_running, records.run, "records_writer_crashed")):
        yield
        with trio.move_on_after(LAST_RECORDS_SECONDS):
            await records.finish()


def sharing(stores: CallStores) -> Iterator[Callable[[], Awaitable[None]]]:
    """Go through the tasks that write running calls down, and share them with the other workers."""

    async def adopt(record: CallRecord) -> None:
        try:
            await keep_news(stores.records, record)
        except ValueError as exc:
            _log.error("cut_call_refused", call_sid=record.call_sid, why=str(exc))

    if stores.checkpoints is not None:
        yield partial(keep_running, stores.checkpoints.run, "checkpoints_crashed")
    yield partial(keep_running, partial(stores.fleet.run, adopt), "fleet_crashed")


class _Traced(TypedDict, total=False):
    trace_id: Callable[[str], str]
    followers: tuple[Callable[[CallPlan], JournalReader], ...]


@asynccontextmanager
async def tracing(settings: Settings) -> AsyncIterator[_Traced]:
    """Send the traces of calls, if a collector is named, for as long as the `async with` lasts."""
    if not wants_traces(settings.environ):
        yield {}
        return
    try:  # its packages are an extra, and 20 MB
        from web.calls.call_trace import (  # noqa: PLC0415
            CallTrace,
            Tracing,
            trace_id_of,
        )
    except ModuleNotFoundError as exc:
        fix = "pip install 'switchboard-voice[otel]', or unset OTEL_EXPORTER_OTLP_ENDPOINT."
        raise OSError(f"OpenTelemetry is not installed ({exc.name}): {fix}") from exc
    try:
        traces = Tracing.of(settings.environ)
    except ValueError as exc:
        raise OSError(f"OpenTelemetry does not start: {exc} Look at your settings OTEL_….") from exc
    thinks = settings.think_provider, settings.think_model[0]
    async with traces.sending():
        yield {"trace_id": trace_id_of, "followers": (lambda plan: CallTrace(plan, traces, *thinks).read,)}
