"""The official `groq` client, on trio, against the simulated Groq: in memory and over a real socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import groq
import httpx
import orjson
import pytest
import trio
from groq._base_client import get_platform
from trio.testing import MockClock

from simulators.faults import Fault, parse_fault
from simulators.groq import GroqSimulator, serve_groq

TRANSCRIPT = 'Transcript:\n- agent: "Your name?"\n- customer: "My name is John Smith."'
MODEL = "openai/gpt-oss-120b"


@asynccontextmanager
async def client_in_memory(
    simulator: GroqSimulator, *, key: str = "gsk_test", max_retries: int = 0
) -> AsyncIterator[groq.AsyncGroq]:
    http = httpx.AsyncClient(transport=httpx.ASGITransport(simulator))
    async with groq.AsyncGroq(
        api_key=key, base_url="http://groq.invalid", http_client=http, max_retries=max_retries
    ) as client:
        client._platform = get_platform()  # found out in a thread otherwise, for which a jumping clock does not wait
        yield client


@asynccontextmanager
async def client_on_a_socket(*faults: str, key: str = "gsk_test") -> AsyncIterator[groq.AsyncGroq]:
    lines: tuple[Fault, ...] = tuple(parse_fault(f"groq: {line}") for line in faults)
    async with trio.open_nursery() as nursery:
        port: int = await nursery.start(partial(serve_groq, faults=lines, latency=0.0, api_key="gsk_test"))
        async with groq.AsyncGroq(api_key=key, base_url=f"http://127.0.0.1:{port}", max_retries=0) as client:
            yield client
        nursery.cancel_scope.cancel()


async def ask(client: groq.AsyncGroq) -> str:
    answer = await client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "system", "content": "Answer in JSON."}, {"role": "user", "content": TRANSCRIPT}],
        response_format={"type": "json_object"},
    )
    return answer.choices[0].message.content or ""


async def test_it_completes_in_memory(autojump_clock: MockClock) -> None:
    async with client_in_memory(GroqSimulator()) as client:
        note = orjson.loads(await ask(client))

    assert note["name"] == "John Smith"


async def test_it_completes_over_a_real_socket() -> None:
    async with client_on_a_socket() as client:
        note = orjson.loads(await ask(client))
        models = await client.models.list()

    assert note["name"] == "John Smith"
    assert MODEL in [model.id for model in models.data]


async def test_a_wrong_key_is_an_authentication_error_in_memory(autojump_clock: MockClock) -> None:
    async with client_in_memory(GroqSimulator(api_key="gsk_right")) as client:
        with pytest.raises(groq.AuthenticationError):
            await ask(client)


async def test_a_wrong_key_is_an_authentication_error_over_a_socket() -> None:
    async with client_on_a_socket(key="gsk_wrong") as client:
        with pytest.raises(groq.AuthenticationError):
            await ask(client)


async def test_429_is_a_rate_limit_error() -> None:
    async with client_on_a_socket("429") as client:
        with pytest.raises(groq.RateLimitError) as limited:
            await ask(client)

    assert limited.value.response.headers["retry-after"] == "2"


async def test_the_client_waits_as_long_as_retry_after_says(autojump_clock: MockClock) -> None:
    simulator = GroqSimulator([parse_fault("groq: 429 times 1")], latency=0.0)
    async with client_in_memory(simulator, max_retries=1) as client:
        assert "John Smith" in await ask(client)

    assert trio.current_time() == pytest.approx(2.0, abs=0.6)


async def test_500_is_an_internal_server_error() -> None:
    async with client_on_a_socket("500") as client:
        with pytest.raises(groq.InternalServerError):
            await ask(client)


@pytest.mark.slow
async def test_a_hang_ends_with_the_trio_deadline_and_the_client_stays_usable() -> None:
    async with client_on_a_socket("hang times 1") as client:
        with trio.move_on_after(0.2) as patience:
            await ask(client)
        assert patience.cancelled_caught

        assert "John Smith" in await ask(client)


async def test_garbage_is_no_completion(autojump_clock: MockClock) -> None:
    async with client_in_memory(GroqSimulator([parse_fault("groq: garbage")])) as client:
        with pytest.raises((groq.APIError, ValueError, AttributeError)):
            await ask(client)


async def test_a_refused_connection_is_a_connection_error() -> None:
    async with client_on_a_socket("refused") as client:
        with pytest.raises(groq.APIConnectionError):
            await ask(client)


async def test_the_servers_port_is_free_again_when_it_was_cancelled() -> None:
    async with trio.open_nursery() as nursery:
        port: int = await nursery.start(serve_groq)
        nursery.cancel_scope.cancel()
    with pytest.raises(OSError, match=r".*"):
        await trio.open_tcp_stream("127.0.0.1", port)
