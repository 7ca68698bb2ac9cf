"""Whatever a handler returns or raises, the call goes on, the model is told, and the record can be written."""

import json
import sys
from collections import OrderedDict, UserDict, deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from pathlib import Path
from typing import NoReturn, cast
from uuid import UUID

import attrs
import orjson
import pytest
import structlog
import trio
from trio.testing import MockClock

from actors.session.function_calls import ABANDON_SECONDS, Failed, FunctionResult, run_function
from actors.session.function_results import LARGEST_ANSWER, LONGEST_TEXT, UnfitOutcome, checked
from agents.functions import (
    Answer,
    CallContext,
    EndCall,
    FunctionFailed,
    FunctionSpec,
    HandOff,
    Outcome,
    TransferToHuman,
)
from agents.spec import AgentSpec
from protocol.deepgram import FunctionCall
from protocol.fields import JSON

HALF = "\ud83d"


@attrs.frozen
class NoArguments:
    """Nothing to say."""


def a_cycle() -> dict[str, object]:
    ring: dict[str, object] = {}
    ring["ring"] = ring
    return ring


def nested(levels: int) -> object:
    value: object = "core"
    for _ in range(levels):
        value = [value]
    return value


class Colour(Enum):
    RED = "red"


class Size(IntEnum):
    BIG = 3


class Word(StrEnum):
    YES = "yes"


class Shouted(str):
    __slots__ = ()

    def __str__(self) -> str:
        return self.upper()


class Exact(float):
    pass


class Endless(Mapping[str, object]):
    """A mapping that never comes to its end."""

    def __getitem__(self, name: str) -> object:
        return name

    def __iter__(self) -> Iterator[str]:
        while True:
            yield "more"

    def __len__(self) -> int:
        return 1


class Broken(dict[str, object]):
    def items(self) -> NoReturn:
        raise RuntimeError("the connection behind it is closed")


UNFIT: tuple[object, ...] = (
    Decimal("1.5"), Fraction(1, 3), object(), object, len, b"bytes", bytearray(b"b"), {1, 2}, frozenset(), 1j,
    float("nan"), float("inf"), Exact("nan"), datetime.now(UTC), UUID(int=7),
    Path("/etc"), Colour.RED, NoArguments(), 1 << 64, -(1 << 63) - 1, HALF,
    f"half {HALF} a pair", {HALF: 1}, {1: "one"}, {None: 0}, {("a",): 1}, {Colour.RED: 1},
    a_cycle(), nested(40), nested(5000),
    "x" * 1_000_000, ["x"] * 100_000, {str(n): n for n in range(100_000)},
    Endless(), iter("abc"), (n for n in range(3)), Broken(a=1), UserDict({1: 2}), Answer({}),
)  # fmt: skip


def agent(handler: Callable[..., Awaitable[Outcome]], deadline: float = 5.0) -> AgentSpec:
    spec = FunctionSpec("do", "Does it.", NoArguments, handler, deadline=deadline)
    return AgentSpec("qualifier", "qualifies", "You qualify.", "Hello.", "aura-2-mars-en", (spec,))


async def run(handler: Callable[..., Awaitable[Outcome]], deadline: float = 5.0) -> FunctionResult:
    call = FunctionCall("fc1", "do", "{}", client_side=True)
    return await run_function(agent(handler, deadline), call, CallContext("CA1", "qualifier"))


async def returned(outcome: object) -> FunctionResult:
    async def handler(arguments: NoArguments, context: CallContext) -> Outcome:
        await trio.lowlevel.checkpoint()
        return outcome  # type: ignore[return-value]  # what an author may write by mistake

    return await run(handler)


@pytest.mark.parametrize("value", UNFIT, ids=lambda value: type(value).__name__)
async def test_what_cannot_be_sent_is_told_to_the_model_and_named_in_the_journal(value: object) -> None:
    result = await returned(Answer({"x": value}))  # type: ignore[dict-item]

    assert isinstance(result, Failed)
    assert result.is_done  # the handler has done what it does: nobody is to do it again
    assert "do was done" in orjson.loads(result.text())["error"]
    assert "content" in result.cause or "room" in result.cause or "closed" in result.cause
    assert len(result.cause) < 500


@pytest.mark.parametrize("content", [b"{}", {"a"}, HALF, ["a", {1}], "x" * 20_000, "é" * 10_000, Endless()])
async def test_a_content_that_is_no_json_is_refused(content: object) -> None:
    assert isinstance(await returned(Answer(cast("str", content))), Failed)


@pytest.mark.parametrize(("content", "told"), [(5, "5"), (None, "null"), (["a", 1.5], '["a",1.5]'), (False, "false")])
async def test_a_content_may_be_any_json(content: JSON, told: str) -> None:
    result = await returned(Answer(content))

    assert isinstance(result, Answer)
    assert result.text() == told


@pytest.mark.parametrize(
    "value",
    [None, True, 0, 1.5, "ü", (), [1, (2, [3])], {"a": {}}, OrderedDict(b=1), Size.BIG, Word.YES, Shouted("a"),
     Exact(1.5), range(3), 2**63, nested(20), "x" * 10_000],
)  # fmt: skip
async def test_what_is_json_or_a_kind_of_it_is_sent_as_plain_values(value: object) -> None:
    result = await returned(Answer({"x": cast("str", value)}))

    assert isinstance(result, Answer)
    assert orjson.loads(result.text()) == {"x": json.loads(json.dumps(value, default=list))}


@pytest.mark.parametrize("value", [5, 1.5, True, object(), b"five", ["a"], HALF, "x" * 5_000, Decimal(5)])
async def test_a_fact_is_a_text_of_bounded_length(value: object) -> None:
    result = await returned(Answer({"ok": True}, facts={"rating": cast("str", value)}))

    assert isinstance(result, Failed)
    assert "facts['rating']" in result.cause


@pytest.mark.parametrize("facts", [5, ["a"], {5: "a"}, {HALF: "a"}, {str(n): "a" for n in range(100)}, Broken()])
async def test_facts_are_a_mapping_of_names(facts: object) -> None:
    assert isinstance(await returned(Answer({"ok": True}, cast("dict[str, str]", facts))), Failed)


@pytest.mark.parametrize(
    ("facts", "kept"), [(None, {}), ({"x": None}, {}), ({"x": None, "y": "", "z": "1"}, {"y": "", "z": "1"})]
)
async def test_a_fact_that_is_none_is_not_known_and_costs_no_answer(facts: object, kept: dict[str, str]) -> None:
    """As `facts={"email": row.get("email")}` has it."""
    assert await returned(Answer({"ok": True}, cast("dict[str, str]", facts))) == Answer({"ok": True}, kept)


async def test_words_that_are_none_are_none_but_where_a_call_goes_is_said() -> None:
    nothing = cast("str", None)

    assert await returned(HandOff("advisor", nothing, nothing)) == HandOff("advisor", "", "")
    assert await returned(EndCall(nothing)) == EndCall("")
    assert await returned(TransferToHuman(nothing, nothing, nothing)) == TransferToHuman("", "", "")
    assert isinstance(await returned(HandOff(nothing, "why")), Failed)


@pytest.mark.parametrize("text", [5, HALF, "x" * 5_000, b"why"])
async def test_the_words_of_the_other_outcomes_are_checked_as_well(text: object) -> None:
    words = cast("str", text)
    outcomes = HandOff("advisor", words), HandOff(words, "why"), EndCall(words), TransferToHuman("why", words)

    assert all([isinstance(await returned(outcome), Failed) for outcome in outcomes])


async def test_what_a_handler_keeps_hold_of_cannot_change_under_the_call() -> None:
    kept: list[JSON] = [1]
    facts: dict[str, str] = {"name": Shouted("john")}
    result = await returned(Answer({"list": kept}, facts))
    kept.append("more")
    facts["name"] = "jack"

    assert result == Answer({"list": [1]}, {"name": "john"})
    assert isinstance(result, Answer)
    assert type(result.facts["name"]) is str


@pytest.mark.parametrize("outcome", [None, "done", {"ok": True}, 5, Exception("x"), Answer, [Answer({})], deque()])
async def test_what_is_no_outcome_is_refused(outcome: object) -> None:
    result = await returned(outcome)

    assert isinstance(result, Failed)
    assert "the handler returned" in result.cause


async def test_a_coroutine_that_nobody_awaited_is_closed() -> None:
    async def inner() -> Outcome:
        await trio.lowlevel.checkpoint()
        return Answer({})

    result = await returned(inner())

    assert isinstance(result, Failed)
    assert "await it" in result.cause


def test_what_is_checked_is_bounded() -> None:
    assert checked(Answer("x" * (LARGEST_ANSWER - 1))) == Answer("x" * (LARGEST_ANSWER - 1))
    assert checked(EndCall("x" * (LONGEST_TEXT - 1))) == EndCall("x" * (LONGEST_TEXT - 1))
    with pytest.raises(UnfitOutcome, match="room"):
        checked(Answer("x" * (LARGEST_ANSWER + 1)))


class Odd(BaseException):
    """Not an `Exception`: what another framework cancels its tasks with."""


class Mute(Exception):
    """Says nothing: `str` of it raises."""

    def __str__(self) -> str:
        raise RuntimeError("the connection that it names is closed")


class Lying(Odd):
    """Quits, and says no text."""

    def __str__(self) -> str:
        return cast("str", 5)


class Shouting(Exception):
    """Says a text that is none of Python's own."""

    def __str__(self) -> str:
        return Shouted("gone")


class Wordless(FunctionFailed):
    """Keeps no words."""

    def __init__(self) -> None:
        pass


def in_groups(levels: int) -> ExceptionGroup[Exception]:
    error: Exception = OSError("core")
    for _ in range(levels):
        error = ExceptionGroup("", [error])
    return cast("ExceptionGroup[Exception]", error)


RAISED: tuple[BaseException, ...] = (
    ValueError(HALF), ExceptionGroup("two", [OSError("a"), KeyError("b")]), SystemExit(3), KeyboardInterrupt(),
    GeneratorExit(), Odd("gone"), StopIteration(), StopAsyncIteration(), RecursionError(),
    MemoryError(), trio.TooSlowError(),
    BaseExceptionGroup("mixed", [SystemExit(1), ValueError("b")]), trio.WouldBlock(), trio.RunFinishedError(),
    Mute(), Lying(), Shouting(), KeyError(Mute()), ExceptionGroup("a", [Mute()]), BaseExceptionGroup("b", [Lying()]),
    in_groups(3_000), Wordless(), *(FunctionFailed(cast("str", odd)) for odd in (None, 5, {"a": 1}, ["a"], b"a")),
)  # fmt: skip


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
async def test_whatever_a_handler_raises_only_its_function_fails(error: BaseException) -> None:
    async def handler(arguments: NoArguments, context: CallContext) -> Outcome:
        await trio.lowlevel.checkpoint()
        raise error

    result = await run(handler)

    assert isinstance(result, Failed)
    assert result.cause
    assert not result.is_done
    assert "did not work" in orjson.loads(result.text())["error"]


@pytest.mark.parametrize("cause", [5, None, ValueError("gone"), Mute(), object(), HALF, "x" * 10_000_000])
async def test_what_a_handler_says_went_wrong_is_told_to_its_author_as_a_short_text(cause: object) -> None:
    async def handler(arguments: NoArguments, context: CallContext) -> Outcome:
        await trio.lowlevel.checkpoint()
        raise FunctionFailed("The calendar is closed.", cast("str", cause))

    result = await run(handler)

    assert isinstance(result, Failed)
    assert result.error == "The calendar is closed."
    assert type(result.cause) is str
    assert len(result.cause.encode()) <= LONGEST_TEXT  # for a terminal, too


@pytest.mark.parametrize(
    "error", [KeyError("a"), ZeroDivisionError(), OSError("no file"), ValueError(HALF), AssertionError()]
)
async def test_whatever_a_validator_raises_only_its_function_fails(error: Exception) -> None:
    def refuse(_instance: object, _field: object, _value: object) -> NoReturn:
        raise error

    @attrs.frozen
    class Checked:
        """Arguments that are looked at."""

        day: str = attrs.field(default="monday", validator=refuse)

    async def handler(arguments: Checked, context: CallContext) -> Outcome:
        raise AssertionError("it does not come to this")

    spec = FunctionSpec("do", "Does it.", Checked, handler)
    whose = attrs.evolve(agent(handler), functions=(spec,))
    call = FunctionCall("fc1", "do", '{"day": "monday"}', client_side=True)

    result = await run_function(whose, call, CallContext("CA1", "qualifier"))

    assert isinstance(result, Failed)
    assert orjson.loads(result.text())["error"]


async def test_a_handler_that_leaves_in_the_middle_of_its_own_nursery_fails_alone() -> None:
    async def handler(arguments: NoArguments, context: CallContext) -> Outcome:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            await trio.lowlevel.checkpoint()
            sys.exit(1)

    result = await run(handler)

    assert isinstance(result, Failed)
    assert "SystemExit" in result.cause


async def sleep_under_a_shield(arguments: NoArguments, context: CallContext) -> Outcome:
    with trio.CancelScope(shield=True):
        await trio.sleep(600)
    return Answer({"ok": True})


async def swallow_the_cancellation(arguments: NoArguments, context: CallContext) -> Outcome:
    for _ in range(600):
        try:
            await trio.sleep(1)
        except BaseException:  # noqa: BLE001, ASYNC103 - what an author may write by mistake
            with trio.CancelScope(shield=True):
                await trio.sleep(1)
    return Answer({"ok": True})


async def leave_a_task_that_does_not_listen(arguments: NoArguments, context: CallContext) -> Outcome:
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(sleep_under_a_shield, arguments, context)
    return Answer({"ok": True})


DEAF = (sleep_under_a_shield, swallow_the_cancellation, leave_a_task_that_does_not_listen)


@pytest.mark.parametrize("handler", DEAF)
async def test_a_handler_that_does_not_listen_is_abandoned(
    autojump_clock: MockClock, handler: Callable[..., Awaitable[Outcome]]
) -> None:
    with structlog.testing.capture_logs() as logs:
        result = await run(handler, deadline=3.0)

    assert isinstance(result, Failed)
    assert trio.current_time() == 3.0 + ABANDON_SECONDS
    assert [("handler_abandoned", "do")] == [(line["event"], line["function"]) for line in logs]


@pytest.mark.parametrize("handler", DEAF)
async def test_a_caller_who_hangs_up_does_not_wait_for_it_either(
    autojump_clock: MockClock, handler: Callable[..., Awaitable[Outcome]]
) -> None:
    with trio.move_on_after(1.0) as scope:
        await run(handler, deadline=60.0)

    assert scope.cancelled_caught
    assert trio.current_time() == 1.0 + ABANDON_SECONDS


async def test_a_handler_that_cleans_up_is_waited_for_and_its_answer_counts(autojump_clock: MockClock) -> None:
    async def commit(arguments: NoArguments, context: CallContext) -> Outcome:
        with trio.CancelScope(shield=True):
            await trio.sleep(3.5)
        return Answer({"booked": True})

    assert Answer({"booked": True}) == await run(commit, deadline=3.0)
    assert trio.current_time() == 3.5


async def test_one_that_never_ends_has_until_its_deadline(autojump_clock: MockClock) -> None:
    async def wait(arguments: NoArguments, context: CallContext) -> Outcome:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            await trio.sleep_forever()

    result = await run(wait, deadline=3.0)

    assert isinstance(result, Failed)
    assert result.cause == "deadline"
    assert trio.current_time() == 3.0
