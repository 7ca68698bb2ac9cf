"""Checks before the first call: does every service answer, and can Twilio reach us?

Each check asks one service one harmless question and answers with a `Finding`; none places a call, and none raises
for what it finds. Those of Twilio's side are in `web/twilio_checks.py`.

The check of languages asks nobody, and refuses nothing. A voice of Deepgram's has its language at the end of its name;
Cartesia's have none, and nothing is said of them.
"""

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile

import httpx
import trio

from actors.errors import AgentUnavailable
from actors.session.agent_session import Connect
from actors.session.opening import Offered, SettingsForm, VoiceAgentOptions
from actors.session.wire import AgentWire
from agents.spec import AgentOptions
from protocol import deepgram
from protocol.deepgram import CARTESIA, FLUENT_FLUX
from settings import Settings
from store.calls import DatabaseRefused
from store.databases import SqliteDatabase
from store.objects import open_objects
from store.sql import SqlRecords
from web.calls.call_files import CallFiles
from web.clients.clips import ClipRefused
from web.clients.deepgram import voice_agent_connector
from web.clients.http import http_client
from web.clients.offered import (
    NotTold,
    ask_summary_models,
    ask_think_models,
    missing_summary,
    missing_think,
    summary_setting,
    wanted_of,
)
from web.clients.twilio import TwilioApi
from web.from_settings import brief_client_of, fillers_of, roster_of, speech_client_of
from web.routes.problems import CHANGE_VERSION
from web.twilio_checks import Finding, check_twilio, check_way_in

CHECK_SECONDS = 10.0
CLOCK_SECONDS = 5.0


async def check_deepgram(connect: Connect, opening: deepgram.Settings) -> Finding:
    """Open a Voice Agent session with the first agent's settings, and close it again."""
    try:
        async with connect() as socket:
            wire = AgentWire(socket, CHECK_SECONDS)
            await wire.receive_until(deepgram.Welcome)
            await wire.send(opening)
            await wire.receive_until(deepgram.SettingsApplied)
    except AgentUnavailable as exc:
        return Finding(well=False, says=exc.reason, fix=_session_fix(exc))
    return Finding(well=True, says="opened a session and took the first agent's settings")


_SESSION_FIXES = (
    ("http 401", "Check DEEPGRAM_API_KEY."),
    ("http 402", "Add credit to the Deepgram project."),
    ("http 403", "Check DEEPGRAM_API_KEY: it may not use the Voice Agent API."),
    ("http 404", "Check DEEPGRAM_AGENT_URL."),
    ("listen", "Check the LISTEN_* settings: LISTEN_MODEL and LISTEN_LANGUAGE first."),
    ("think", "Check the THINK_* settings: THINK_PROVIDER, THINK_MODEL and THINK_FALLBACK first."),
    ("speak", "Check the voices: *_VOICE_MODEL, SPEAK_FALLBACK and SPEAK_SPEED."),
)
"""Fixes, by a word in the reason of a refused session; a status of its own stands at the beginning."""


def _session_fix(refused: AgentUnavailable) -> str:
    passing = "Try again, and check the network and DEEPGRAM_AGENT_URL."
    lasting = "Check DEEPGRAM_API_KEY, DEEPGRAM_AGENT_URL, and the LISTEN_*, THINK_* and voice settings."
    reason = refused.reason.lower()
    named = (fix for word, fix in _SESSION_FIXES if word in reason and ("http" not in word or reason.startswith(word)))
    return next(named, passing if refused.retryable else lasting)


async def check_think_models(settings: Settings, http: httpx.AsyncClient) -> Finding:
    """Ask Deepgram whether it has the LLMs that our agents may think with."""
    wanted, offered = wanted_of(settings, roster_of(settings)), Offered()
    try:
        offered.think = await ask_think_models(settings, http)
    except NotTold as why:
        if why.status == httpx.codes.NOT_FOUND:
            return Finding(well=True, says="this Deepgram does not list its models")
        is_ours = why.status in {401, 403}
        fix = "Check DEEPGRAM_API_KEY." if is_ours else "Check the network and DEEPGRAM_AGENT_URL."
        return Finding(well=False, says=why.reason, fix=fix)
    missing = missing_think(wanted, offered)
    if missing:
        settings_named = dict.fromkeys(each.setting for each in wanted if not offered.has(each.model))
        return Finding(well=False, says=missing, fix=f"Change {' and '.join(settings_named)}.")
    names = dict.fromkeys(str(each.model) for each in wanted)
    return Finding(well=True, says=f"has {', '.join(names)}")


async def check_fillers(settings: Settings, http: httpx.AsyncClient) -> Finding:
    """Have the filler for a silence spoken in the voice of each agent."""
    speech = speech_client_of(settings, http)
    for voice, filler in fillers_of(roster_of(settings)):
        try:
            await speech.speak(voice, filler)
        except ClipRefused as exc:
            fix = "Check DEEPGRAM_API_KEY, DEEPGRAM_SPEAK_URL and the voices (*_VOICE_MODEL)."
            return Finding(well=False, says=f"{voice}: {exc}", fix=fix)
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            fix = "Check the network and DEEPGRAM_SPEAK_URL."
            return Finding(well=False, says=f"{voice}: {type(exc).__name__}", fix=fix)
    return Finding(well=True, says="gives the fillers in every voice")


def language_of_voice(voice: str) -> str:
    """Return the language that a voice speaks; empty where its name does not tell."""
    return "" if voice.startswith(CARTESIA) or voice.count("-") < 2 else voice.rpartition("-")[2]


def heard_by(model: str, languages: Sequence[str]) -> frozenset[str]:
    """Return the languages that a recogniser listens for; none where it listens for all that it knows."""
    asked = frozenset(name.lower().partition("-")[0] for name in languages) or (
        frozenset() if model == FLUENT_FLUX else frozenset({"en"})
    )
    return frozenset() if "multi" in asked else asked


def unfit(voice: str, options: AgentOptions) -> Iterator[str]:
    """Yield which of an agent's options do not fit its voice, and why."""
    spoken, heard = language_of_voice(voice), heard_by(options.listen_model or "", options.listen_language or ())
    if heard and spoken and spoken not in heard:
        yield f"speaks {spoken} ({voice}) and hears {', '.join(sorted(heard))} ({options.listen_model})"
    for other in options.speak_fallback or ():
        if spoken and language_of_voice(other) not in {"", spoken}:
            yield f"speaks {spoken} ({voice}), and {language_of_voice(other)} when that fails ({other})"


async def check_languages(settings: Settings) -> Finding:
    """See whether ears and voices of each agent are of one language; ask nobody."""
    odd, spoken = list[str](), set[str]()
    for agent in roster_of(settings).agents.values():
        spoken.add(language_of_voice(agent.voice))
        odd += (f"{agent.name} {why}" for why in unfit(agent.voice, agent.options.over(settings.options)))
    if odd:
        fix = "If that is not meant, change LISTEN_MODEL and LISTEN_LANGUAGE, or the voice."
        return Finding(well=True, says="; ".join(odd), fix=fix)
    return Finding(
        well=True, says=f"every agent hears what it speaks: {', '.join(sorted(spoken - {''})) or 'not told'}"
    )


_IS_READ_ONLY = "SELECT current_setting('transaction_read_only')::boolean"


async def check_records(settings: Settings) -> Finding:
    if settings.database_url == "memory:":
        return Finding(well=True, says="forgotten at the end of the server: DATABASE_URL is memory:")
    try:
        records = SqlRecords(settings.database_url)
        await records.list(1)
        if isinstance(records.database, SqliteDatabase):
            records.database.close()
        elif (await records.database.ask(_IS_READ_ONLY, {}))[0][0]:
            raise OSError("it only lets itself be read: a replica? Write the primary into DATABASE_URL.")  # noqa: TRY301
    except (OSError, ValueError) as exc:
        fix = "Check DATABASE_URL; until it answers, records wait on this machine's disk."
        fix = CHANGE_VERSION if isinstance(exc, DatabaseRefused) else fix
        return Finding(well=False, says=str(exc), fix=fix)
    return Finding(well=True, says="the database answers")


async def check_recordings(url: str) -> Finding:
    """Write a few bytes to the object store, read them back, and remove them."""
    try:
        await CallFiles(None, open_objects(url)).in_store(partial(_try_out, url), CHECK_SECONDS)
    except OSError as exc:
        return Finding(well=False, says=str(exc), fix="Check RECORDINGS_URL, and its driver's credentials.")
    return Finding(well=True, says=f"{url} keeps what it is sent")


def _try_out(url: str) -> None:
    objects = open_objects(url)
    with NamedTemporaryFile() as file:
        file.write(b"switchboard check")
        file.flush()
        objects.drop(objects.upload(Path(file.name), "check"))


async def check_groq(settings: Settings, http: httpx.AsyncClient) -> Finding:
    """Ask Groq, or the LLM service used instead, for the models that write Briefs."""
    client = brief_client_of(settings, http)
    if client is None:
        return Finding(well=True, says="not used: Briefs are made from the facts of the call")
    key, url = ("GROQ_API_KEY", "GROQ_BASE_URL") if settings.summary_url is None else ("SUMMARY_API_KEY", "SUMMARY_URL")
    try:
        client.offered = await ask_summary_models(client)
    except NotTold as why:
        fix = f"Try again, and check {url}." if why.status else f"Check the network and {url}."
        fix = f"Check {key}." if why.status in {401, 403} else fix
        return Finding(well=False, says=why.reason, fix=fix)
    setting = summary_setting(settings)
    missing = missing_summary(setting, client)
    if missing:
        return Finding(well=False, says=missing, fix=f"Change {setting}.")
    return Finding(well=True, says=f"has {', '.join(client.models)}")


async def check_clock(settings: Settings, http: httpx.AsyncClient, now: Callable[[], float] = time.time) -> Finding:
    """Compare this machine's clock with Twilio's, in whole seconds."""
    try:
        answer = await http.get(settings.twilio_api_url)
        theirs = parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (httpx.HTTPError, KeyError, ValueError) as exc:
        return Finding(well=True, says=f"not compared: Twilio gave no date ({type(exc).__name__})")
    off = abs(now() - theirs)
    if off > CLOCK_SECONDS:
        return Finding(well=False, says=f"{off:.0f} s off", fix="Synchronise this machine's clock (NTP).")
    return Finding(well=True, says=f"agrees with Twilio's to {max(1.0, off):.0f} s")


def check_token(settings: Settings) -> Finding:
    """See whether an operator from elsewhere could place calls."""
    says = "required of every operator" if settings.api_token else "not set: calls are placed from this machine only"
    return Finding(well=True, says=says)


async def _within(check: Callable[[], Awaitable[Finding]]) -> Finding:
    with trio.move_on_after(CHECK_SECONDS):
        return await check()
    return Finding(well=False, says=f"no answer within {CHECK_SECONDS:g} s", fix="Check the network.")


async def check_session(connect: Connect, settings: Settings, http: httpx.AsyncClient) -> Finding:
    """Open a session as a call would: with the models that are wanted and offered."""
    offered = Offered()
    with suppress(NotTold):  # which `check_think_models` tells
        offered.think = await ask_think_models(settings, http)
    return await check_deepgram(connect, first_settings(settings, offered))


def first_settings(settings: Settings, offered: Offered | None = None) -> deepgram.Settings:
    """Return what a session of the first agent is opened with."""
    roster = roster_of(settings)
    return SettingsForm("check", VoiceAgentOptions(settings.options, offered or Offered())).fresh(roster.begins, None)


async def check_everything(settings: Settings) -> Mapping[str, Finding]:
    """Make every check, side by side, each within `CHECK_SECONDS`; return what they find, by subject."""
    findings = {"API token": check_token(settings)}

    async def note(subject: str, check: Callable[[], Awaitable[Finding]]) -> None:
        findings[subject] = await _within(check)

    context = httpx.create_ssl_context()
    connect = voice_agent_connector(settings.deepgram_agent_url, settings.deepgram_api_key, context)
    async with http_client(verify=context, timeout=CHECK_SECONDS) as http, trio.open_nursery() as nursery:
        api = TwilioApi(settings.twilio_account_sid, settings.rest_credentials, settings.twilio_api_url, http)
        checks: dict[str, Callable[[], Awaitable[Finding]]] = {
            "Deepgram": partial(check_session, connect, settings, http),
            "Think models": partial(check_think_models, settings, http),
            "Fillers": partial(check_fillers, settings, http),
            "Records": partial(check_records, settings),
            "Groq" if settings.summary_url is None else "Briefs": partial(check_groq, settings, http),
            "Twilio": partial(check_twilio, settings, api),
            "Public address": partial(check_way_in, settings, context),
            "Clock": partial(check_clock, settings, http),
            "Languages": partial(check_languages, settings),
        }
        if settings.recordings_url is not None:
            checks["Recordings"] = partial(check_recordings, settings.recordings_url)
        for subject, check in checks.items():
            nursery.start_soon(note, subject, check)
    return dict(sorted(findings.items()))
