"""Models that the services offer: asks Deepgram and the API that writes Briefs, and says which are missing.

`keep_asking` runs beside the calls: it asks when the server starts and every ten minutes after that, tells once what is
missing and what is used instead, and lets the Settings of the next sessions and the next Briefs know. It keeps nobody
waiting: until a service has answered, every model that is wanted counts as offered. `switchboard check` asks the same.
Shapes: https://developers.deepgram.com/reference/voice-agent/think-models, https://platform.openai.com/docs/api-reference/models
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from urllib.parse import urlsplit

import attrs
import httpx
import orjson
import structlog
import trio
from trio.lowlevel import ParkingLot

from actors.facts import SessionCrashed, SessionFailed
from actors.journal import Entry, ignore
from actors.session.opening import Offered
from agents.roster import Roster
from agents.spec import ThinkModel
from settings import Settings
from web.clients.briefs import BriefClient

FIRST_PAUSE, LONGEST_PAUSE = 15.0, 600.0
"""Seconds from one question to the next: the first that has no answer, and any that has one."""
_SHOWN = 12
_SPELLED = {name.replace("_", ""): name for name in ("open_ai", "anthropic", "google", "nvidia", "deepgram", "groq")}

_log = structlog.stdlib.get_logger()


class NotTold(Exception):
    """A service has not said what it offers; `status` is its HTTP status, 0 where there was no answer."""

    def __init__(self, reason: str, status: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


@attrs.frozen
class WantedModels:
    """A model, and what asks for it: a setting, or an agent."""

    setting: str
    model: ThinkModel


def wanted_of(settings: Settings, roster: Roster) -> tuple[WantedModels, ...]:
    """List the LLMs that agents may think with, in the order of preference."""
    first = len(settings.think_model)
    ours = settings.options.think or ()
    listed = [
        WantedModels("THINK_MODEL" if place < first else "THINK_FALLBACK", model) for place, model in enumerate(ours)
    ]
    theirs = [
        WantedModels(f"options of the agent {agent.name}", model)
        for agent in roster.agents.values()
        for model in agent.options.think or ()
    ]
    return (*listed, *theirs)


def think_models_url(agent_url: str) -> str:
    url = urlsplit(agent_url)
    path = url.path.rstrip("/").removesuffix("/converse")
    return f"{'https' if url.scheme == 'wss' else 'http'}://{url.netloc}{path}/settings/think/models"


async def ask_think_models(settings: Settings, http: httpx.AsyncClient) -> frozenset[tuple[str, str]]:
    """Ask Deepgram which LLMs it runs: pairs of provider, as we spell it, and model. Raises: `NotTold`."""
    headers = {"Authorization": f"Token {settings.deepgram_api_key}"}
    listed = await _listed(http, think_models_url(settings.deepgram_agent_url), headers, "models")
    return frozenset((_spelled(each.get("provider")), str(each["id"])) for each in listed)


async def ask_summary_models(client: BriefClient) -> frozenset[str]:
    """Ask the API that writes Briefs which models it has. Raises: `NotTold`."""
    return frozenset(
        str(each["id"]) for each in await _listed(client.http, f"{client.url}/models", client.headers, "data")
    )


async def _listed(
    http: httpx.AsyncClient, url: str, headers: Mapping[str, str], key: str
) -> Sequence[Mapping[str, object]]:
    try:
        answer = await http.get(url, headers=dict(headers))
        if not answer.is_success:
            raise NotTold(f"HTTP {answer.status_code}", answer.status_code)
        listed = orjson.loads(answer.content)[key]
        found = [each for each in listed if isinstance(each, dict) and each.get("id")]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as exc:
        raise NotTold(type(exc).__name__) from exc
    if not found:
        raise NotTold("an empty list")
    return found


def _spelled(provider: object) -> str:
    return _SPELLED.get(re.sub("[^a-z]", "", str(provider).lower()), "")


def missing_think(wanted: Iterable[WantedModels], offered: Offered) -> str:
    """Name in one line the LLMs that are not offered, and their replacements; "" if all are offered."""
    every = tuple(wanted)
    gone = [each for each in every if not offered.has(each.model)]
    left = [each.model for each in every if offered.has(each.model)]
    models = [ThinkModel(*pair) for pair in sorted(offered.think or ())]
    names = [str(model) if model.provider else model.name for model in models]
    return _line([(each.setting, str(each.model)) for each in gone], str(left[0]) if left else "", names)


def missing_summary(setting: str, client: BriefClient) -> str:
    """Name in one line the missing models for the Brief, and their replacements; "" if all are offered."""
    offered = client.offered or frozenset(client.models)
    left = [model for model in client.models if model in offered]
    gone = [(setting, model) for model in client.models if model not in offered]
    return _line(gone, left[0] if left else "", sorted(offered), nothing="Briefs are extracts from what was said")


def _line(
    gone: Sequence[tuple[str, str]], instead: str, offered: Sequence[str], nothing: str = "nothing else is left"
) -> str:
    if not gone:
        return ""
    names = ", ".join(f"{model} ({setting})" for setting, model in dict.fromkeys(gone))
    more = f" and {len(offered) - _SHOWN} more" if len(offered) > _SHOWN else ""
    used = f"{instead} is used instead" if instead else nothing
    return f"{names}: not offered; {used}. Offered: {', '.join(offered[:_SHOWN])}{more}"


@attrs.define(eq=False)
class Refusals:
    """Settings that the Voice Agent API has refused: a model may have gone since it was asked. Passes journals on."""

    observe: Callable[[Entry], None] = ignore
    count: int = attrs.field(default=0, init=False)
    news: ParkingLot = attrs.field(factory=ParkingLot, init=False)

    def notice(self, entry: Entry) -> None:
        match entry.fact:
            case SessionFailed(error=why) | SessionCrashed(error=why) if "INVALID_SETTINGS" in why:
                self.count += 1
                self.news.unpark_all()
            case _:
                pass  # nothing that a list of models could explain
        self.observe(entry)


async def keep_asking(
    settings: Settings,
    wanted: Sequence[WantedModels],
    offered: Offered,
    client: BriefClient | None,
    http: httpx.AsyncClient,
    *,
    refusals: Refusals,
) -> None:
    """Ask both services now and then, and pass on what they offer; Deepgram also when it has refused settings."""

    async def think() -> str:
        offered.think = await ask_think_models(settings, http)
        return missing_think(wanted, offered)

    async def summary(client: BriefClient) -> str:
        client.offered = await ask_summary_models(client)
        return missing_summary(summary_setting(settings), client)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(_keep_asking, "deepgram", think, refusals)
        if client is not None:
            nursery.start_soon(_keep_asking, "summary", lambda: summary(client), Refusals())


def summary_setting(settings: Settings) -> str:
    return "SUMMARY_MODEL" if settings.summary_model else "GROQ_LLM"


async def _keep_asking(service: str, ask: Callable[[], Awaitable[str]], doubts: Refusals) -> None:
    """Ask at growing intervals until an answer comes, then every ten minutes or when in doubt; log changes.

    A doubt is settled by an answer to what was asked after it.
    """
    pause, told = FIRST_PAUSE, ""
    while True:
        known = doubts.count
        try:
            line = await ask()
        except NotTold as why:
            if pause == FIRST_PAUSE:
                _log.info("models_not_listed", service=service, why=why.reason)
            rest, pause = pause, min(2 * pause, LONGEST_PAUSE)
        else:
            if line and line != told:
                _log.warning("models_missing", service=service, says=line)
            rest, pause, told = LONGEST_PAUSE, FIRST_PAUSE, line
        with trio.move_on_after(rest):
            while doubts.count == known:
                await doubts.news.park()
            pause = FIRST_PAUSE
