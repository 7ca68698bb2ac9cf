"""The simulated Deepgram lists its LLMs on the port of its socket, and refuses settings with one that is gone."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import attrs
import httpx
import pytest
import trio
from trio.testing import MockClock

from protocol.deepgram import AgentSettings, Endpoint, ErrorReported, Settings, SettingsApplied, UpdateThink, think_with
from simulators.deepgram import DeepgramKnobs, serve_deepgram
from simulators.deepgram.models import MODELS_PATH, NOT_AVAILABLE, THINK_MODELS
from simulators.faults import FaultPlan, parse_faults
from tests.simulators.deepgram.client import calling, connected, settings_for, small_scenario

GONE = "gpt-4o-mini"
KNOBS = DeepgramKnobs(retired=frozenset({GONE}))


@asynccontextmanager
async def served(*faults: str) -> AsyncIterator[int]:
    plan = FaultPlan(parse_faults(faults))
    listen = partial(serve_deepgram, small_scenario(), knobs=KNOBS, faults=plan, api_key="secret")
    async with trio.open_nursery() as nursery:
        yield await nursery.start(listen)
        nursery.cancel_scope.cancel(reason="end of the test")


async def ask(at: int, path: str = MODELS_PATH, authorization: str = "Token secret") -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(f"http://127.0.0.1:{at}{path}", headers={"authorization": authorization})


async def test_the_models_are_listed_with_their_providers_and_without_those_that_are_gone() -> None:
    async with served() as at:
        listed = (await ask(at)).json()["models"]

    assert {"id": "claude-haiku-4-5", "name": "claude-haiku-4-5", "provider": "anthropic"} in listed
    assert len(listed) == sum(map(len, THINK_MODELS.values())) - 1
    assert GONE not in {model["id"] for model in listed}


@pytest.mark.parametrize(
    ("path", "authorization", "status"),
    [
        (MODELS_PATH, "Token other", 401),
        (MODELS_PATH, "", 401),
        (MODELS_PATH, "Bearer secret", 401),
        ("/v1/agent/converse", "Token secret", 404),
        ("/", "Token secret", 404),
    ],
)
async def test_nothing_else_is_served_to_those_who_do_not_upgrade(path: str, authorization: str, status: int) -> None:
    async with served() as at:
        assert (await ask(at, path, authorization)).status_code == status


async def test_a_list_that_is_asked_for_is_no_connection() -> None:
    async with served("deepgram: refuse connect 1 times 1") as at:
        await ask(at)
        async with httpx.AsyncClient() as client:
            upgrade = {"connection": "Upgrade", "upgrade": "websocket", "authorization": "Token secret"}
            keys = {"sec-websocket-version": "13", "sec-websocket-key": "x3JJHMbDL1EzLkh9GBhXDw=="}
            refused = await client.get(f"http://127.0.0.1:{at}/v1/agent/converse", headers=upgrade | keys)

    assert refused.status_code == 503


async def test_a_client_that_says_nothing_or_leaves_harms_nobody() -> None:
    async with served() as at:
        for said in (b"", b"GET / HT"):
            async with await trio.open_tcp_stream("127.0.0.1", at) as stream:
                await stream.send_all(said or b"G")
        assert (await ask(at)).status_code == 200


def thinking(*models: str, endpoint: Endpoint | None = None) -> Settings:
    settings = settings_for(greeting=None)
    assert isinstance(settings.agent, AgentSettings)
    chain = tuple(think_with("open_ai", name, endpoint=endpoint) for name in models)
    return attrs.evolve(settings, agent=attrs.evolve(settings.agent, think=chain))


@pytest.mark.parametrize("models", [[GONE], ["gpt-5.4-mini", GONE]])
async def test_settings_with_a_model_that_is_gone_are_refused(models: Sequence[str], autojump_clock: MockClock) -> None:
    async with connected(knobs=KNOBS) as client:
        await client.send(thinking(*models))
        refused = await client.wait_for(ErrorReported)

    assert (refused.code, refused.description) == ("INVALID_SETTINGS", NOT_AVAILABLE)


async def test_a_model_behind_an_endpoint_is_somebody_elses(autojump_clock: MockClock) -> None:
    async with calling(thinking(GONE, endpoint=Endpoint("https://llm.test/v1")), knobs=KNOBS) as client:
        await client.wait_for(SettingsApplied)


async def test_an_update_to_a_model_that_is_gone_ends_the_session(autojump_clock: MockClock) -> None:
    async with calling(thinking("gpt-5.4-mini"), knobs=KNOBS) as client:
        await client.wait_for(SettingsApplied)
        await client.send(UpdateThink((think_with("open_ai", GONE),)))
        refused = await client.wait_for(ErrorReported)

    assert refused.code == "INVALID_SETTINGS"
