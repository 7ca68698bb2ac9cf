"""What a crash is, and how many are too many."""

from collections.abc import Callable
from random import Random

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from actors.errors import AgentUnavailable, NoRestartLeft
from actors.policy import RestartPolicy
from actors.supervision import (
    Crashed,
    RestartBudget,
    UnharmedAgain,
    contain,
    describe,
    guard,
    keep_running,
    root_cause,
)


class Mute(Exception):
    """Ends the program where anybody asks what it says."""

    def __str__(self) -> str:
        raise SystemExit


CRASH = Crashed(AgentUnavailable("closed"))


class Longest(Random):
    """Jitter that always waits as long as it may."""

    def uniform(self, a: float, b: float) -> float:
        return b


def budget(intensity: int = 2, period: float = 10.0) -> RestartBudget:
    return RestartBudget(RestartPolicy(intensity, period, total=50), Longest())


# Budget


async def test_a_budget_of_two_is_spent_after_two_restarts(autojump_clock: MockClock) -> None:
    purse = budget()
    purse.spend(CRASH)
    purse.spend(CRASH)

    with pytest.raises(NoRestartLeft, match="AgentUnavailable: closed") as exhausted:
        purse.spend(CRASH)

    assert exhausted.value.__cause__ is CRASH.error


async def test_restarts_of_long_ago_are_forgotten(autojump_clock: MockClock) -> None:
    purse = budget(intensity=1, period=10.0)
    purse.spend(CRASH)
    await trio.sleep(10.0)
    with pytest.raises(NoRestartLeft):
        purse.spend(CRASH)

    await trio.sleep(0.1)

    assert purse.spend(CRASH) == 0.1


async def test_a_call_has_a_total_of_its_own_whichever_agents_budget_is_spent(autojump_clock: MockClock) -> None:
    """Restarts 20 s apart never spend the budget of an agent; the fifth of the call within 100 s is one too many."""
    policy = RestartPolicy(intensity=2, period=10.0, total=4, total_period=100.0)
    total = list[float]()
    one, other = RestartBudget(policy, Longest(), total), RestartBudget(policy, Longest(), total)
    for purse in (one, other, one, other):
        assert purse.spend(CRASH) == 0.1
        await trio.sleep(20)

    with pytest.raises(NoRestartLeft):
        one.spend(CRASH)

    await trio.sleep(20.1)
    assert other.spend(CRASH) == 0.1


async def test_the_clock_of_the_total_does_not_stand_still(autojump_clock: MockClock) -> None:
    purse = RestartBudget(RestartPolicy(intensity=50, total=1, total_period=60.0), Longest())
    purse.spend(CRASH)
    await trio.sleep(60.1)

    purse.stand_still(60.1)

    assert purse.spend(CRASH) == 0.2


async def test_an_error_that_no_retry_can_mend_spends_nothing_and_ends_it(autojump_clock: MockClock) -> None:
    purse = budget(intensity=1)

    with pytest.raises(NoRestartLeft):
        purse.spend(Crashed(AgentUnavailable("bad key", retryable=False)))

    assert purse.spend(CRASH) == 0.1


async def test_the_longest_delay_doubles_up_to_its_ceiling(autojump_clock: MockClock) -> None:
    purse = budget(intensity=7)

    assert [purse.spend(CRASH) for _ in range(7)] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0])


async def test_the_delay_is_full_jitter_from_the_rng_it_was_given(autojump_clock: MockClock) -> None:
    policy = RestartPolicy(intensity=50, total=50)
    purse, again = RestartBudget(policy, Random(7)), RestartBudget(policy, Random(7))

    delays = [purse.spend(CRASH) for _ in range(50)]

    assert delays == [again.spend(CRASH) for _ in range(50)]
    assert 0 <= min(delays) < 0.5 < max(delays) <= 2.0


# Containing a crash


async def test_a_run_that_ends_is_what_it_returned(autojump_clock: MockClock) -> None:
    made_ready = []

    async def run(ready: Callable[[], None]) -> str:
        ready()
        return "done"

    assert await contain(run, lambda: made_ready.append(1)) == "done"
    assert made_ready == [1]


async def test_a_crash_of_what_was_ready_is_a_value(autojump_clock: MockClock) -> None:
    error = ValueError("no such thing")

    async def run(ready: Callable[[], None]) -> None:
        ready()
        raise error

    assert await contain(run, lambda: None) == Crashed(error)


async def test_a_crash_before_it_was_ready_is_its_starters_business(autojump_clock: MockClock) -> None:
    async def run(ready: Callable[[], None]) -> None:
        raise ExceptionGroup("starting", [AgentUnavailable("HTTP 503")])

    with pytest.raises(AgentUnavailable, match="HTTP 503"):
        await contain(run, lambda: None)


async def test_a_run_whose_readiness_was_refused_was_never_ready(autojump_clock: MockClock) -> None:
    def refuse() -> None:
        raise AgentUnavailable("too late")

    async def run(ready: Callable[[], None]) -> None:
        ready()

    with pytest.raises(AgentUnavailable, match="too late"):
        await contain(run, refuse)


async def test_cancellation_is_no_crash(autojump_clock: MockClock) -> None:
    with trio.move_on_after(1.0) as scope:
        await guard(trio.sleep_forever)

    assert scope.cancelled_caught


async def crash_while_cancelled() -> None:
    async def crash() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("while leaving")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(crash)
        nursery.start_soon(trio.sleep_forever)


async def test_a_crash_in_the_middle_of_being_cancelled_is_a_cancellation(autojump_clock: MockClock) -> None:
    with trio.move_on_after(1.0) as scope:
        await guard(crash_while_cancelled)

    assert scope.cancelled_caught


async def test_what_is_no_exception_is_never_contained(autojump_clock: MockClock) -> None:
    async def interrupt() -> None:
        raise BaseExceptionGroup("ctrl-c", [KeyboardInterrupt()])

    with pytest.raises(BaseExceptionGroup) as raised:
        await guard(interrupt)

    assert raised.value.split(KeyboardInterrupt)[1] is None


async def test_what_has_nothing_to_get_ready_is_guarded_from_the_start(autojump_clock: MockClock) -> None:
    async def fail() -> None:
        raise OSError("disk full")

    async def succeed() -> int:
        return 7

    assert await guard(succeed) == 7
    crash = await guard(fail)
    assert isinstance(crash, Crashed)
    assert crash.reason == "OSError: disk full"


# What it was


def test_only_an_agent_that_says_so_is_beyond_a_retry() -> None:
    errors = [ValueError(), AgentUnavailable("a"), AgentUnavailable("b", retryable=False)]

    assert [Crashed(error).is_retryable for error in errors] == [True, True, False]


def test_the_root_cause_is_what_we_know_by_name_before_what_came_first() -> None:
    known, other = AgentUnavailable("closed"), ValueError("after that")

    assert root_cause(ExceptionGroup("", [other, ExceptionGroup("", [known])])) is known
    assert root_cause(ExceptionGroup("", [ExceptionGroup("", [other]), KeyError("k")])) is other
    assert root_cause(known) is known


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("bad"), "ValueError: bad"),
        (TimeoutError(), "TimeoutError"),
        (OSError("first\n  second\n"), "OSError: first second"),
        (ValueError("\n"), "ValueError"),
        (Mute(), "Mute: (its text cannot be read: SystemExit)"),
    ],
)
def test_an_error_is_described_in_one_line(error: Exception, line: str) -> None:
    assert describe(error) == line


async def test_what_fails_again_and_again_is_logged_when_it_begins_and_when_it_changes() -> None:
    answers: list[str] = ["away", "away", "locked", "locked", "", "locked"]
    unharmed_again = UnharmedAgain("not_looked_after")

    async def look() -> None:
        await trio.lowlevel.checkpoint()
        if why := answers.pop(0):
            raise OSError(why)

    with capture_logs() as lines:
        well = [await unharmed_again(look) for _ in range(6)]

    assert well == [False, False, False, False, True, False]
    assert [line["error"] for line in lines] == ["OSError: away", "OSError: locked", "OSError: locked"]


async def test_what_is_run_again_and_again_tells_one_crash_once_as_long_as_it_lasts(autojump_clock: MockClock) -> None:
    answers = ["read-only", "read-only", "", "read-only"]

    async def look() -> None:
        await trio.lowlevel.checkpoint()
        if why := answers.pop(0):
            raise OSError(why)

    with capture_logs() as lines, trio.move_on_after(3.5):
        await keep_running(look, "not_looked_for", 1.0)

    assert (answers, [line["error"] for line in lines]) == ([], ["OSError: read-only"] * 2)
