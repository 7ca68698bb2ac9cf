"""What the settings decide: agents, stores, deadlines, and the clients that need nothing but an HTTP client.

Nothing here runs a task or asks the network. `web.services` opens what these functions return, and closes it; the
checks before a start (`web.checkup`) ask them too.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from random import Random
from ssl import SSLContext
from tempfile import TemporaryFile

import attrs
import httpx
import structlog

from actors.call_services import CallServices
from actors.policy import CallPolicy, Deadlines, Wording
from agents.roster import SHIPPED, Roster, refuse_unfit, roster_from
from model_settings import misspelt_voices
from protocol.deepgram.settings import CARTESIA
from settings import Settings, TransferMode
from store.calls import CallRecords, MemoryRecords
from store.checkpoints import Checkpoints
from store.databases import IN_MEMORY, SqlDatabase, SqliteDatabase
from store.fleet.shared import Fleet
from store.objects import ObjectStore, open_objects
from store.orders.queue import OrderQueue
from store.private import make_folders
from store.spill import SpillingRecords
from store.sql import SqlRecords
from store.tokens import SqliteTokens, TokenStore
from web.calls.context import Opened
from web.calls.forgetting import EraseFrom, erase_left_files
from web.calls.returning import TwilioTransfers
from web.calls.slots import Slots
from web.calls.webhooks import PostWebhook
from web.clients.briefs import GROQ_PATH, BriefClient
from web.clients.clips import SpeechClient
from web.clients.deepgram import voice_agent_connector
from web.clients.twilio import Line, TwilioApi, TwilioLine
from web.clients.webhook import WebhookClient

_log = structlog.stdlib.get_logger()


def roster_of(settings: Settings) -> Roster:
    """Load the agents that AGENTS names, and see whether they can work with these settings. Raises: `RosterError`."""
    roster = roster_from(settings.agents, voices=settings.voices, human=bool(settings.person))
    refuse_unfit(roster, settings.options, settings.environ)
    return roster


def warn_of_misspelt_voices(settings: Settings, roster: Roster) -> None:
    """Log what names no agent among the voices; of the shipped agents' voices, `unknown_names` tells."""
    for told in misspelt_voices(settings.voices, roster.agents) if settings.agents != SHIPPED else ():
        _log.warning("setting_unknown", says=told)


def fillers_of(roster: Roster) -> tuple[tuple[str, str], ...]:
    """Return the agents' voices that Deepgram has itself, with their fillers: only those can speak a clip."""
    agents = [agent for agent in roster.agents.values() if not agent.voice.startswith(CARTESIA)]
    return tuple(dict.fromkeys((agent.voice, agent.sentences.filler) for agent in agents))


def has_person(settings: Settings, roster: Roster) -> bool:
    """Whether agents and keys can reach a person: the settings' own, or a function's."""
    functions = [function for agent in roster.agents.values() for function in agent.functions]
    return bool(settings.person) or any(function.human for function in functions)


def policy_of(settings: Settings) -> CallPolicy:
    budget = settings.silence_budget
    return CallPolicy(
        summary_mode=settings.summary_mode,
        human_digit=settings.human_digit or "",
        keep_digits=settings.keep_digits,
        our_number=settings.twilio_phone_number,
        fallback_number=settings.fallback_phone_number or "",
        deadlines=Deadlines(
            silence_budget=budget,
            filler_lead=min(CallPolicy().deadlines.filler_lead, budget / 4),
            think_patience=settings.think_patience,
            summary=settings.summary_deadline,
            caller_silence=settings.caller_silence,
            longest_call=settings.max_call_seconds,
        ),
        wording=Wording(voicemail=settings.voicemail_message),
    )


def records_of(settings: Settings) -> CallRecords:
    """Return the store that `DATABASE_URL` names; a database with a folder for what it does not take."""
    url = settings.database_url
    if url == "memory:":
        return MemoryRecords()
    database = SqlRecords(url)
    if database.file is not None:
        return SpillingRecords(database, Path(f"{database.file}.waiting"))
    folder = settings.recordings_dir
    return SpillingRecords(database, folder / ".waiting" if folder is not None else Path("switchboard.waiting"))


def fleet_of(settings: Settings, records: CallRecords) -> tuple[Fleet, SqlDatabase]:
    """Return what workers share, and where orders are kept: a PostgreSQL, else this process and its disk."""
    if not settings.database_url.startswith("postgres"):
        sqlite = sqlite_of(records) or SqliteDatabase()
        apart = SqliteDatabase(sqlite.file)  # an order does not wait for a search in the records
        return Fleet(settings.max_calls), apart
    # psycopg and its libraries are 9 MB, which one process with SQLite does without
    from store.fleet.driver import Database, PostgresDatabase  # noqa: PLC0415
    from store.fleet.postgres import PostgresFleet  # noqa: PLC0415

    database = Database(settings.database_url)
    return PostgresFleet(settings.max_calls, database), PostgresDatabase(database)


def texts_of(settings: Settings, orders: SqlDatabase) -> SqlDatabase:
    """Return where small texts are kept: a call leaves some, and waits for no disk, no order, and no erasure."""
    if not isinstance(orders, SqliteDatabase):
        return orders
    if settings.recordings_dir is not None:
        return SqliteTokens(str(settings.recordings_dir / ".tokens.db"))
    return SqliteTokens(IN_MEMORY if orders.file == IN_MEMORY else f"{orders.file}.tokens")


def sqlite_of(records: CallRecords) -> SqliteDatabase | None:
    """Return the file of SQLite in which records are kept; orders are kept there, too."""
    match records:
        case SpillingRecords(inner=SqlRecords(database=SqliteDatabase() as database)):
            return database
        case _:
            return None


def make_folder(folder: Path, setting: str) -> None:
    """Make the folder of a setting, and try to write to it. Blocks. Raises: `OSError`, with the setting."""
    try:
        make_folders(folder)
        with TemporaryFile(dir=folder):
            pass  # it can be written to
    except OSError as exc:
        raise OSError(f"{folder} cannot be written to: {exc.strerror}. Check {setting}.") from exc


@attrs.frozen
class CallStores:
    """Where calls are kept, while they last and afterwards, and what the workers share."""

    records: CallRecords
    checkpoints: Checkpoints | None
    fleet: Fleet
    orders: SqlDatabase
    tokens: TokenStore
    objects: ObjectStore | None

    @classmethod
    def of(cls, settings: Settings) -> "CallStores":
        """Decide it by the settings, and make the folders. Blocks. Raises: `OSError`, with the setting of a folder."""
        if settings.recordings_dir is not None:
            make_folder(settings.recordings_dir, "RECORDINGS_DIR")
        records = records_of(settings)
        if (sqlite := sqlite_of(records)) is not None:
            make_folder(Path(sqlite.file).parent, "DATABASE_URL")
        fleet, orders = fleet_of(settings, records)
        checkpoints = None
        if isinstance(records, SpillingRecords):  # calls are written down beside their records, while they last
            checkpoints = Checkpoints(records.folder.running, records)
            fleet.running = checkpoints.running
        objects = open_objects(settings.recordings_url) if settings.recordings_url is not None else None
        return cls(records, checkpoints, fleet, orders, TokenStore(texts_of(settings, orders)), objects)

    def close(self) -> None:
        """Close what is open of files of SQLite; a fleet closes its PostgreSQL. Blocks."""
        for database in (self.orders, self.tokens.database, sqlite_of(self.records)):
            if isinstance(database, SqliteDatabase):
                database.close()

    def opened(self, settings: Settings, services: CallServices, line: Line, post: PostWebhook | None) -> Opened:
        slots = Slots(settings.calls_per_worker, self.fleet)
        return Opened(services, line, slots, self.tokens, OrderQueue(self.orders), self.places, post, self.objects)

    @property
    def places(self) -> Mapping[str, EraseFrom]:
        """Where something of a call may lie, beside its record, its files, and what workers share."""
        places: dict[str, EraseFrom] = {}
        if self.checkpoints is not None:
            places["running"] = self.checkpoints.erase
        if isinstance(self.records, SpillingRecords):
            places["waiting"] = partial(erase_left_files, self.records.folder.path)
        return places


def line_of(settings: Settings, http: httpx.AsyncClient, rng: Random) -> TwilioLine:
    api = TwilioApi(settings.twilio_account_sid, settings.rest_credentials, settings.twilio_api_url, http, rng)
    return TwilioLine(settings.twilio_phone_number, settings.lead_server_external_url, api)


def transfers_of(settings: Settings, line: Line, tokens: TokenStore) -> TwilioTransfers:
    """Return the way to a person: of the settings, a function's own, or an operator's."""
    return TwilioTransfers(
        line=line,
        texts=tokens,
        origin=settings.lead_server_external_url,
        our_number=settings.twilio_phone_number,
        number=settings.person,
        whispers=settings.transfer_mode is TransferMode.WARM,
    )


def speech_client_of(settings: Settings, http: httpx.AsyncClient) -> SpeechClient:
    speed, opts_out = settings.speak_speed, settings.mip_opt_out
    return SpeechClient(settings.deepgram_speak_url, settings.deepgram_api_key, http, speed, opts_out)


def webhook_client_of(settings: Settings, http: httpx.AsyncClient) -> PostWebhook | None:
    """Return what sends webhooks; None where nobody is to be told."""
    if settings.call_webhook_url is None:
        return None
    client = WebhookClient(
        settings.call_webhook_url, settings.call_webhook_secret, http, allows_private=settings.call_webhook_private
    )
    return client.post


def brief_client_of(settings: Settings, http: httpx.AsyncClient) -> BriefClient | None:
    """Return the client for the LLM that writes Briefs; None where the settings name none."""
    if settings.summary_url is None and settings.summary_key is None:
        return None
    groq = f"{settings.groq_base_url.removesuffix(GROQ_PATH)}{GROQ_PATH}"
    models = settings.summary_model or settings.groq_llm
    return BriefClient(settings.summary_url or groq, settings.summary_key, models, http)


def call_services_of(
    settings: Settings,
    roster: Roster,
    stores: CallStores,
    line: TwilioLine,
    *,
    briefs: BriefClient | None,
    context: SSLContext,
) -> CallServices:
    transfers = transfers_of(settings, line, stores.tokens)
    return CallServices(
        roster=roster,
        connect=voice_agent_connector(settings.deepgram_agent_url, settings.deepgram_api_key, context),
        ask_brief=briefs.ask if briefs is not None else None,
        line=line,
        records=stores.records,
        policy=policy_of(settings),
        recordings=settings.recordings_dir,
        redaction=settings.redact,
        records_audio=settings.record_audio.has,
        transfers=transfers if has_person(settings, roster) else None,
        operator_transfers=transfers,
        checkpoints=stores.checkpoints,
        env=roster.extras.env(settings.environ),
        ask_json=partial(briefs.ask, schema={}) if briefs is not None else None,
    )
