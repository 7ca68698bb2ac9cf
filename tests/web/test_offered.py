"""The services are asked which models there are, beside the calls, and what is missing is told once."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

import attrs
import httpx
import pytest
import trio
from structlog.testing import capture_logs
from structlog.typing import EventDict
from trio.testing import MockClock

from actors.facts import SessionCrashed, SessionFailed
from actors.journal import Entry
from actors.session.opening import Offered, SettingsForm, VoiceAgentOptions
from agents.roster import Roster, RosterError, default_roster, refuse_unfit
from agents.spec import AgentOptions, ThinkModel
from protocol.deepgram import AgentSettings
from tests.web.fakes import settings
from web.clients.briefs import BriefClient
from web.clients.offered import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    Refusals,
    WantedModels,
    ask_think_models,
    keep_asking,
    missing_think,
    think_models_url,
    wanted_of,
)
from web.from_settings import brief_client_of
from web.services import open_services

MINI, HAIKU = ThinkModel("open_ai", "gpt-5.4-mini"), ThinkModel("anthropic", "claude-haiku-4-5")
GPT_OSS = ("openai/gpt-oss-120b", "openai/gpt-oss-20b")


@attrs.define
class Services:
    """Deepgram and Groq, as far as they list models; `status` is what they answer with."""

    think: Sequence[ThinkModel] = (MINI, HAIKU)
    groq: Sequence[str] = GPT_OSS
    status: int = 200
    asked: list[httpx.Request] = attrs.field(factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if self.status != 200:
            return httpx.Response(self.status)
        if "think" in request.url.path:
            listed = [{"id": one.name, "name": one.name, "provider": one.provider} for one in self.think]
            return httpx.Response(200, json={"models": listed})
        return httpx.Response(200, json={"data": [{"id": name} for name in self.groq]})


@asynccontextmanager
async def asking(
    services: Services,
    refusals: Refusals | None = None,
    answer: Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]] | None = None,
) -> AsyncIterator[tuple[Offered, BriefClient, Sequence[EventDict]]]:
    chosen, offered = settings(), Offered()
    transport = httpx.MockTransport(answer or services)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport) as http, trio.open_nursery() as nursery:
        client = brief_client_of(chosen, http)
        assert client is not None
        wanted = wanted_of(chosen, default_roster())
        with capture_logs() as logs:
            doubts = refusals or Refusals()
            nursery.start_soon(partial(keep_asking, chosen, wanted, offered, client, http, refusals=doubts))
            await trio.sleep(1)
            yield offered, client, logs
            nursery.cancel_scope.cancel(reason="end of the test")


def told(logs: Sequence[EventDict]) -> list[str]:
    return sorted(log["says"] for log in logs if log["event"] == "models_missing")


@pytest.mark.parametrize(
    ("agent_url", "models_url"),
    [
        ("wss://agent.deepgram.com/v1/agent/converse", "https://agent.deepgram.com/v1/agent/settings/think/models"),
        ("wss://api.eu.deepgram.com/v1/agent/converse", "https://api.eu.deepgram.com/v1/agent/settings/think/models"),
        ("ws://127.0.0.1:8100/v1/agent/converse/", "http://127.0.0.1:8100/v1/agent/settings/think/models"),
    ],
)
def test_the_models_are_listed_beside_the_voice_agent(agent_url: str, models_url: str) -> None:
    assert think_models_url(agent_url) == models_url


async def test_what_is_all_there_is_not_told(autojump_clock: MockClock) -> None:
    async with asking(Services()) as (offered, client, logs):
        assert told(logs) == []
        assert (offered.has(MINI), client.best()) == (True, GPT_OSS)


async def test_what_is_missing_is_told_in_one_line_and_passed_over(autojump_clock: MockClock) -> None:
    services = Services(think=[HAIKU], groq=["openai/gpt-oss-20b"])
    async with asking(services) as (offered, client, logs):
        first, second = told(logs)

        assert first.startswith("open_ai/gpt-5.4-mini (THINK_MODEL): not offered; anthropic/claude-haiku-4-5 is used")
        assert first.endswith("Offered: anthropic/claude-haiku-4-5")
        assert second.startswith("openai/gpt-oss-120b (GROQ_LLM): not offered; openai/gpt-oss-20b is used instead.")
        assert offered.best([MINI, HAIKU]) == (HAIKU,)
        assert client.best() == ("openai/gpt-oss-20b",)


async def test_a_model_that_goes_later_is_told_then_and_once(autojump_clock: MockClock) -> None:
    services = Services()
    async with asking(services) as (offered, _, logs):
        services.think = [MINI]
        await trio.sleep(3 * LONGEST_PAUSE)

        assert offered.best([HAIKU, MINI]) == (MINI,)
        assert len(told(logs)) == 1


@pytest.mark.parametrize("fact", [SessionFailed, SessionCrashed])
async def test_settings_that_are_refused_are_a_reason_to_ask_at_once(
    fact: type[SessionFailed | SessionCrashed], autojump_clock: MockClock
) -> None:
    seen: list[Entry] = []
    services, refusals = Services(), Refusals(seen.append)
    async with asking(services, refusals) as (offered, _, _):
        services.think = [HAIKU]
        refusals.notice(Entry(1, 0.0, fact("qualifier", 1, "HTTP 503", True)))
        await trio.sleep(1)
        before = offered.best([MINI, HAIKU])
        refusals.notice(Entry(2, 0.0, fact("qualifier", 1, "INVALID_SETTINGS: model not available", False)))
        await trio.sleep(1)

        assert (before, offered.best([MINI, HAIKU])) == ((MINI, HAIKU), (HAIKU,))
        assert [entry.seq for entry in seen] == [1, 2]


@attrs.define
class SlowServices(Services):
    """Takes five seconds for each answer."""

    async def answer(self, request: httpx.Request) -> httpx.Response:
        answer = self(request)
        await trio.sleep(5)
        return answer


REFUSED = Entry(2, 0.0, SessionFailed("qualifier", 1, "INVALID_SETTINGS: model not available", False))


async def test_a_doubt_that_comes_while_the_service_is_asked_is_asked_about_afterwards(
    autojump_clock: MockClock,
) -> None:
    services, refusals = SlowServices(), Refusals()
    async with asking(services, refusals, services.answer) as (offered, _, _):  # it has been asked for a second
        services.think = [HAIKU]
        refusals.notice(REFUSED)
        await trio.sleep(15)

        assert offered.best([MINI, HAIKU]) == (HAIKU,)


@pytest.mark.parametrize(
    "failed_for", [0.0, 2 * LONGEST_PAUSE], ids=["until then it answered", "it has failed for long"]
)
async def test_a_doubt_outlasts_a_question_that_fails(autojump_clock: MockClock, failed_for: float) -> None:
    services, refusals = Services(), Refusals()
    async with asking(services, refusals) as (offered, _, _):
        services.think, services.status = [HAIKU], 503
        await trio.sleep(failed_for)
        refusals.notice(REFUSED)
        await trio.sleep(1)
        services.status = 200
        await trio.sleep(FIRST_PAUSE)

        assert offered.best([MINI, HAIKU]) == (HAIKU,)


@pytest.mark.parametrize("status", [401, 404, 503])
async def test_a_service_that_does_not_say_is_asked_again_and_nothing_is_passed_over(
    status: int, autojump_clock: MockClock
) -> None:
    services = Services(think=[HAIKU], status=status)
    async with asking(services) as (offered, client, _):
        before = (offered.best([MINI, HAIKU]), client.best())
        services.status = 200
        await trio.sleep(FIRST_PAUSE)

        assert before == ((MINI, HAIKU), GPT_OSS)
        assert offered.best([MINI, HAIKU]) == (HAIKU,)


def test_when_nothing_that_is_wanted_is_offered_the_service_is_still_asked_for_it() -> None:
    offered = Offered(frozenset({("google", "gemini-3.5-flash")}))

    assert offered.best([MINI, HAIKU]) == (MINI, HAIKU)
    assert "nothing else is left" in missing_think([WantedModels("THINK_MODEL", MINI)], offered)


async def test_a_provider_that_is_spelled_in_another_way_is_known(autojump_clock: MockClock) -> None:
    services = Services(think=[ThinkModel("OpenAI", MINI.name), ThinkModel("somebody", HAIKU.name)])
    async with httpx.AsyncClient(transport=httpx.MockTransport(services)) as http:
        listed = await ask_think_models(settings(), http)

    assert listed == {("open_ai", MINI.name), ("", HAIKU.name)}
    assert Offered(listed).has(HAIKU)
    assert not Offered(listed).has(ThinkModel("anthropic", MINI.name))


async def test_the_services_are_open_before_anything_was_asked() -> None:
    """Nobody listens at the addresses of these settings."""
    with trio.fail_after(5):
        async with open_services(settings(DEEPGRAM_AGENT_URL="ws://192.0.2.1/v1/agent/converse")) as opened:
            first, *_ = opened.services.voice_agent.defaults.think or ()

            assert opened.services.voice_agent.offered.best([first]) == (MINI,)


def changed(change: Callable[[AgentOptions], AgentOptions]) -> Roster:
    roster = default_roster()
    agents = {name: attrs.evolve(agent, options=change(agent.options)) for name, agent in roster.agents.items()}
    return attrs.evolve(roster, agents=agents)


def test_the_models_of_an_agent_are_wanted_too() -> None:
    roster = changed(lambda options: attrs.evolve(options, think=(ThinkModel("google", "gemini-3.5-flash"),)))

    found = missing_think(wanted_of(settings(), roster), Offered(frozenset({("open_ai", MINI.name)})))

    assert "google/gemini-3.5-flash (options of the agent advisor)" in found


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"think": (ThinkModel("groq", "openai/gpt-oss-20b"),)}, "groq needs an endpoint"),
        (
            {"think": (ThinkModel("deepgram", "think-fast"),), "mip_opt_out": True},
            "think-fast cannot be had with mip_opt_out",
        ),
        (
            {"speak_speed": 0.6},
            "speak_speed: is 0.6 .SPEAK_SPEED, .* too slow for the Aura voice aura-2-.*: write 0.7 or",
        ),
        ({"eot_threshold": 0.2}, "eot_threshold: is 0.2; write a number from 0.5 to 1"),
        ({"eager_eot_threshold": 0.8}, "eager_eot_threshold: is 0.8, above eot_threshold: write at most 0.7"),
        ({"eot_timeout_ms": 20}, "eot_timeout_ms: is 20; write a number from 500 to 10000"),
        ({"temperature": -1.0}, "temperature: is -1.0; write a number from 0 to 2"),
        ({"listen_language": ("de",)}, "listen_language: flux-general-en hears English only: choose flux-general-mul"),
        ({"listen_model": "nova-3", "listen_language": ("de", "en")}, "listen_language: nova-3 takes one language"),
    ],
)
def test_options_of_an_agent_that_cannot_work_are_refused_at_the_start(options: dict[str, object], says: str) -> None:
    roster = changed(lambda given: attrs.evolve(given, **options))  # type: ignore[arg-type]

    with pytest.raises(RosterError, match=says):
        refuse_unfit(roster, settings().options, {})


async def test_what_is_offered_reaches_the_settings_of_the_next_session(autojump_clock: MockClock) -> None:
    async with asking(Services(think=[HAIKU])) as (offered, _, _):
        form = SettingsForm("CA1", VoiceAgentOptions(settings().options, offered))
        written = form.fresh(default_roster().agents["qualifier"], None)

    assert isinstance(written.agent, AgentSettings)
    assert [think.provider.model for think in written.agent.think] == [HAIKU.name]
