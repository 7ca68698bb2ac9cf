"""Names are looked up in threads of their own, once for all who ask, and nobody waits for a resolver that is silent."""

import socket
import threading
from collections.abc import Callable, Iterator

import httpx
import pytest
import structlog
import trio
from trio.testing import MockClock

from actors.errors import AgentUnavailable
from tests.web.fakes import settings
from web.clients.deepgram import CONNECT_SECONDS
from web.clients.resolver import (
    ANSWER_SECONDS,
    FRESH_SECONDS,
    PATIENCE_SECONDS,
    QUESTIONS,
    STALE_SECONDS,
    THREADS,
    Resolver,
    resolving,
)
from web.services import open_services

ADDRESS = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 9))
OTHER = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.2", 9))


class BlackHole:
    """A resolver that never answers, until the test is over."""

    def __init__(self) -> None:
        self._asked, self._came = 0, threading.Event()
        self._over = threading.Event()

    def __call__(self, *question: object) -> list[object]:
        self._asked += 1
        self._came.set()
        self._over.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    def asked(self) -> int:
        """Return how often it was asked; the threads that ask are on the machine's clock, and may be late."""
        self._came.wait(30)
        return self._asked

    def close(self) -> None:
        self._over.set()


@pytest.fixture
def black_hole(monkeypatch: pytest.MonkeyPatch) -> Iterator[BlackHole]:
    hole, real = BlackHole(), socket.getaddrinfo

    def look_up(host: str | bytes, *rest: object) -> object:
        is_number = bool(rest) and rest[-1] == socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return real(host, *rest) if is_number else hole(host, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    yield hole
    hole.close()


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    """Say what the next questions are answered, here and now: an autojump clock does not wait for threads."""
    coming: list[Callable[[], object]] = []

    async def run_sync(_look_up: object, *, limiter: object, abandon_on_cancel: bool) -> object:
        await trio.sleep(0.1)
        if (answer := coming.pop(0)) is None:
            await trio.sleep_forever()
        return answer()

    monkeypatch.setattr(trio.to_thread, "run_sync", run_sync)
    return coming


def refused(code: int) -> Callable[[], object]:
    def answer() -> object:
        raise socket.gaierror(code, "no")

    return answer


async def ask(host: str = "deepgram.test") -> object:
    return await trio.socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM)


async def test_a_silent_resolver_is_left_after_four_seconds_and_the_log_says_so(
    black_hole: BlackHole, autojump_clock: MockClock
) -> None:
    with structlog.testing.capture_logs() as logs:
        async with resolving(Resolver()):
            with pytest.raises(socket.gaierror, match=r"no nameserver has said where deepgram\.test is") as refusal:
                await ask()

    assert refusal.value.errno == socket.EAI_AGAIN
    assert trio.current_time() == ANSWER_SECONDS
    assert [(line["event"], line["host"]) for line in logs] == [("dns_silent", "deepgram.test")]


async def test_forty_five_calls_ask_one_question_and_take_one_thread(
    black_hole: BlackHole, autojump_clock: MockClock
) -> None:
    async def call() -> None:
        with pytest.raises(socket.gaierror):
            await ask()

    async with resolving(Resolver()), trio.open_nursery() as nursery:
        for _ in range(45):
            nursery.start_soon(call)

    assert black_hole.asked() == 1


async def test_nobody_else_waits_for_its_threads(black_hole: BlackHole, autojump_clock: MockClock) -> None:
    """Not even when every question is another one."""

    async def call(number: int) -> None:
        with pytest.raises(socket.gaierror):
            await ask(f"host-{number}.test")

    async with resolving(Resolver()), trio.open_nursery() as nursery:
        for number in range(100):
            nursery.start_soon(call, number)
        await trio.sleep(ANSWER_SECONDS / 2)
        assert trio.to_thread.current_default_thread_limiter().borrowed_tokens == 0
        assert 0 < black_hole.asked() <= THREADS

    assert trio.current_time() == ANSWER_SECONDS


async def test_of_more_questions_at_once_the_rest_fails_at_once(
    black_hole: BlackHole, autojump_clock: MockClock
) -> None:
    refused = list[float]()

    async def call(number: int) -> None:
        with pytest.raises(socket.gaierror):
            await ask(f"host-{number}.test")
        refused.append(trio.current_time())

    async with resolving(Resolver()), trio.open_nursery() as nursery:
        for number in range(QUESTIONS + 5):
            nursery.start_soon(call, number)

    assert sorted(refused) == [0.0] * 5 + [ANSWER_SECONDS] * QUESTIONS


async def test_everything_that_dials_is_told(black_hole: BlackHole, autojump_clock: MockClock) -> None:
    """Deepgram's socket, and what httpx asks of Groq and Twilio."""
    chosen = settings(DEEPGRAM_AGENT_URL="wss://agent.deepgram.test/v1/agent/converse", DATABASE_URL="memory:")
    async with open_services(chosen) as opened:
        began = trio.current_time()
        with pytest.raises(AgentUnavailable, match="no nameserver has said where"):
            async with opened.services.connect():
                raise AssertionError("nobody is there")
        assert trio.current_time() - began < CONNECT_SECONDS
        async with httpx.AsyncClient() as http:
            with pytest.raises(httpx.ConnectError, match="no nameserver has said where"):
                await http.get("http://api.groq.test/")


async def test_an_answer_is_kept_for_half_a_minute(
    answers: list[Callable[[], object]], autojump_clock: MockClock
) -> None:
    answers += [lambda: [ADDRESS], lambda: [OTHER]]
    async with resolving(Resolver()):
        first, second = await ask(), await ask()
        await trio.sleep(FRESH_SECONDS)
        third = await ask()

    assert (first, second, third) == ([ADDRESS], [ADDRESS], [OTHER])


async def test_who_is_given_an_answer_may_do_with_it_what_they_like(
    answers: list[Callable[[], object]], autojump_clock: MockClock
) -> None:
    answers.append(lambda: [ADDRESS])
    async with resolving(Resolver()):
        for _ in range(3):
            found = await ask()
            assert isinstance(found, list)
            assert found.pop() == ADDRESS  # trio sorts them in place


@pytest.mark.parametrize("silent", [True, False], ids=["silent", "failing"])
async def test_while_no_nameserver_answers_an_address_that_was_good_is_used_again(
    silent: bool, answers: list[Callable[[], object] | None], autojump_clock: MockClock
) -> None:
    answers += [lambda: [ADDRESS], None if silent else refused(socket.EAI_AGAIN)]
    async with resolving(Resolver()):
        await ask()
        await trio.sleep(FRESH_SECONDS)
        began = trio.current_time()

        assert await ask() == [ADDRESS]
        assert trio.current_time() - began <= PATIENCE_SECONDS


async def test_an_old_address_is_not_used_for_ever_nor_where_the_name_is_gone(
    answers: list[Callable[[], object]], autojump_clock: MockClock
) -> None:
    answers += [lambda: [ADDRESS], refused(socket.EAI_NONAME), lambda: [ADDRESS], refused(socket.EAI_AGAIN)]
    async with resolving(Resolver()):
        await ask("gone.test")
        await trio.sleep(FRESH_SECONDS)
        with pytest.raises(socket.gaierror):
            await ask("gone.test")
        await ask("old.test")
        await trio.sleep(STALE_SECONDS)
        with pytest.raises(socket.gaierror):
            await ask("old.test")


async def test_what_the_system_makes_of_a_strange_name_is_a_refusal(
    answers: list[Callable[[], object]], autojump_clock: MockClock
) -> None:
    def label_too_long() -> object:
        raise UnicodeError("label too long")

    answers.append(label_too_long)
    async with resolving(Resolver()):
        with pytest.raises(socket.gaierror, match="label too long"):
            await ask()


async def test_trio_has_its_own_resolver_back_afterwards(autojump_clock: MockClock) -> None:
    async with resolving(Resolver()):
        pass

    assert trio.socket.set_custom_hostname_resolver(None) is None
