"""The functions of a roster in a played call: doubles by name, and what the real handlers do.

`watched` puts an observer around each handler: it notes each run, and where a handler
keeps the event loop to itself. `answer`, `refuses`, `fails`, `hands_off` and `ends_call` make doubles.
"""

import inspect
import sys
import types
from collections.abc import Awaitable, Callable, Collection, Coroutine, Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, TypeAlias

import attrs
import orjson
import trio
from outcome import Error
from trio.testing import MockClock

from actors.session.function_results import UnfitOutcome, checked, words_of_failure
from actors.supervision import describe, leaves
from agents.arguments import json_of
from agents.functions import (
    JSON,
    Answer,
    ArgumentsRefused,
    CallContext,
    EndCall,
    FunctionFailed,
    FunctionSpec,
    HandOff,
    Outcome,
    TransferToHuman,
)
from agents.roster import Roster
from simulators.toml_reader import nearest
from testkit.step_watch import StepWatch, place_in

Double: TypeAlias = Callable[[Any, CallContext], Awaitable[Outcome]]


_WANTED: Final = "write answer({…}), or give an async function of two values"


class HandlerDeaf(Exception):
    """A handler catches every cancellation and goes on."""


MOST_CANCELLATIONS: Final = 1_000
"""Of one handler, between which it waits; as many rounds of the scheduler as `SpinWatch` lets go by in no time."""
_LEFT: Final[list[object]] = []
"""Handlers that were left in the middle: one that is forgotten is closed, and does not let itself be."""


class NoSuchFunction(Exception):
    """A double was given for a function that no agent of the roster has, or that it cannot stand in for."""


@attrs.frozen
class FunctionRun:
    """A handler was run, at so many seconds of the call."""

    at: float
    agent: str
    name: str
    arguments: str
    acts: bool = True
    """Whether it does something itself, and does not merely say what becomes of the call."""


@attrs.frozen
class Blocked:
    """A handler kept the event loop to itself, at so many seconds of the call; `place` is the file and line."""

    at: float
    function: str
    seconds: float
    place: str


@attrs.frozen
class HandlerFailed:
    """A handler of the roster's own had a mistake, at so many seconds of the call; `place` is the file and line."""

    at: float
    function: str
    what: str
    place: str = ""


def _double(outcome: Outcome | Exception, after: float = 0.0) -> Double:
    async def double(arguments: object, context: CallContext) -> Outcome:  # noqa: ARG001
        await trio.sleep(after)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return double


def answer(content: Mapping[str, JSON] | str, facts: Mapping[str, str] | None = None, *, after: float = 0.0) -> Double:
    """Make a double that answers this `after` so many seconds, and has these facts kept for the Brief."""
    return _double(Answer(content, dict(facts or {})), after)


def refuses(*why: str) -> Double:
    """Make a double that tells the model why it will not do this: a sentence for each thing that is wrong."""
    return _double(ArgumentsRefused(why))


def fails(error: Exception) -> Double:
    """Make a double that raises, as a handler with a mistake does."""
    return _double(error)


def hands_off(to: str, reason: str, notes: str = "") -> Double:
    """Make a double that hands the call to another agent."""
    return _double(HandOff(to, reason, notes))


def ends_call(reason: str = "task_complete") -> Double:
    """Make a double that ends the call."""
    return _double(EndCall(reason))


def with_doubles(roster: Roster, doubles: Mapping[str, Double]) -> Roster:
    """Put doubles in the place of handlers, by the name of the function, or by `agent.function`.

    *Raises* `NoSuchFunction`.
    """
    known = {
        name for agent in roster.agents.values() for each in agent.functions for name in names_of(agent.name, each)
    }
    for name, double in doubles.items():
        if name not in known:
            there_are = ", ".join(sorted(known))
            raise NoSuchFunction(f"functions: no agent has {name!r}{nearest(name, known)}; there are {there_are}")
        if not callable(double):
            raise NoSuchFunction(f"functions: {name!r} is {double!r:.60}, which cannot be awaited: {_WANTED}")

    def doubled(agent: str, spec: FunctionSpec) -> FunctionSpec:
        double = next((doubles[name] for name in names_of(agent, spec) if name in doubles), None)
        return spec if double is None else attrs.evolve(spec, handler=double)

    return _with_functions(roster, doubled)


def names_of(agent: str, spec: FunctionSpec) -> tuple[str, str]:
    """Return the names under which a double is looked up."""
    return f"{agent}.{spec.name}", spec.name


def watched(
    roster: Roster,
    runs: list[FunctionRun],
    blocks: list[Blocked],
    failures: list[HandlerFailed],
    doubles: Collection[str] = (),
) -> Roster:
    """Have each handler's runs noted, from now on, where it blocks the event loop, and what went wrong in it.

    A double may fail: it was made for that.
    """
    began = trio.current_time()

    def observed(agent: str, spec: FunctionSpec) -> FunctionSpec:
        async def handler(arguments: object, context: CallContext) -> Outcome:
            at = trio.current_time() - began
            runs.append(FunctionRun(at, agent, spec.name, _written(arguments), spec.acts))
            watch = StepWatch(trio.lowlevel.current_task())
            noted = [] if {*doubles} & {*names_of(agent, spec)} else failures
            try:
                with watch.watching(), _threads_in_real_time(spec.handler), _raising(at, spec.name, noted):
                    returned = spec.handler(arguments, context)
                    if not inspect.isawaitable(returned):
                        told = f"it returned {returned!r:.60}, which cannot be awaited: {_WANTED}"
                        failures.append(HandlerFailed(at, spec.name, told))
                        raise FunctionFailed("It did not work.")
                    outcome = await _until_deaf(returned)
                    problem = _unfit(outcome) or _unknown_agent(outcome, roster) or _undeclared(outcome, spec)
                if problem:
                    noted.append(HandlerFailed(at, spec.name, problem))
                return outcome
            finally:
                if watch.place:
                    blocks.append(Blocked(at, spec.name, watch.longest, watch.place))

        return attrs.evolve(spec, handler=handler)

    return _with_functions(roster, observed)


async def _until_deaf(handler: Awaitable[Outcome]) -> Outcome:
    """Await a handler, and leave it where it goes on after each of so many cancellations: no test would end."""

    async def whole() -> Outcome:
        return await handler

    outcome: Outcome = Answer(None)
    try:
        with trio.CancelScope():  # nobody cancels it; it is closed with those that the handler is left in
            outcome = await _driven(whole())
    except RuntimeError as left_open:
        if isinstance(left_open.__context__, HandlerDeaf):
            raise left_open.__context__ from None
        raise
    return outcome


@types.coroutine
def _driven(work: Coroutine[Any, Any, Outcome]) -> Generator[Any, Any, Outcome]:
    cancelled, go_on = 0, partial(work.send, None)
    while True:
        try:
            wanted = go_on()
        except StopIteration as ended:
            outcome: Outcome = ended.value
            return outcome
        try:
            sent = yield wanted  # trio wakes a task by what it sends: a value, or an error to be raised
        except BaseException as refused:  # noqa: BLE001, ASYNC103 - of asyncio, perhaps: raised where it was wanted
            go_on = partial(work.throw, refused.with_traceback(None))
            continue  # noqa: ASYNC104
        go_on = partial(work.send, sent)
        cancelled += isinstance(sent, Error) and isinstance(sent.error, trio.Cancelled)
        if cancelled > MOST_CANCELLATIONS:
            _LEFT.append(work)
            raise HandlerDeaf("it goes on although it was cancelled: let trio.Cancelled through")


@contextmanager
def _raising(at: float, function: str, failures: list[HandlerFailed]) -> Iterator[None]:
    """Note what a handler raises that none should, alone or in a nursery's group, and let it go on."""
    has_returned = False
    try:
        yield
        has_returned = True
    finally:
        error = None if has_returned else sys.exception()
        raised = [one for one in leaves(error) if not isinstance(one, trio.Cancelled)] if error is not None else []
        if raised and (what := _mistake(raised[0])):
            failures.append(HandlerFailed(at, function, what, place_in(raised[0].__traceback__)))


def _mistake(error: BaseException) -> str:
    """Say what is wrong with what a handler raised; empty for its own words to the model."""
    if isinstance(error, FunctionFailed):
        try:
            words_of_failure(error)
        except UnfitOutcome as unfit:
            return str(unfit)
    fix = "the model was told that it did not work (raise FunctionFailed for what can go wrong)"
    return "" if isinstance(error, FunctionFailed | ArgumentsRefused) else f"it raised {describe(error)}; {fix}"


def arguments_read(roster: Roster, agent: str, function: str, arguments: str) -> str:
    """Write what a function makes of a model's arguments, as a `FunctionRun` has them; empty where it refuses them."""
    spec = roster.agents[agent].function(function) if agent in roster.agents else None
    try:
        return _written(spec.parse(arguments)) if spec is not None else ""
    except ArgumentsRefused:
        return ""


def _unfit(outcome: object) -> str:
    try:
        checked(outcome)
    except UnfitOutcome as unfit:
        return str(unfit)
    return ""


def _undeclared(outcome: object, spec: FunctionSpec) -> str:
    """Say what the function's spec does not tell of this outcome: the roster proves by it that each call can end."""
    match outcome:
        case EndCall() if not spec.ends_call:
            lacks = "ends_call=True"
        case HandOff(back=True) if not spec.leads_back:
            lacks = "leads_back=True"
        case HandOff(to=to, back=False) if not spec.leads_to:
            lacks = f"leads_to={to!r}"
        case TransferToHuman() if spec.human is None:
            lacks = f"human={outcome.number!r}"
        case _:
            return ""
    return f"it returned {type(outcome).__name__}, and its FunctionSpec does not say so: write {lacks}"


def _unknown_agent(outcome: object, roster: Roster) -> str:
    if not isinstance(outcome, HandOff) or outcome.back or outcome.to in roster.agents:
        return ""
    there_are = ", ".join(sorted(roster.agents))
    return f"it handed the call to {outcome.to!r}, which is no agent of the roster; there are {there_are}"


def _written(arguments: object) -> str:
    return orjson.dumps(json_of(arguments), default=str).decode()


def _with_functions(roster: Roster, change: Callable[[str, FunctionSpec], FunctionSpec]) -> Roster:
    agents = {
        name: attrs.evolve(agent, functions=tuple(change(name, spec) for spec in agent.functions))
        for name, agent in roster.agents.items()
    }
    return attrs.evolve(roster, agents=agents)


@contextmanager
def _threads_in_real_time(handler: object) -> Iterator[None]:
    """Let time pass as on a wall while a handler of `blocking` runs: trio's mock clock does not wait for threads."""
    inner, clock = getattr(handler, "__wrapped__", None), trio.lowlevel.current_clock()
    if inner is None or inspect.iscoroutinefunction(inner) or not isinstance(clock, MockClock):
        yield
        return
    before = clock.rate, clock.autojump_threshold
    clock.rate, clock.autojump_threshold = 1.0, float("inf")
    try:
        yield
    finally:
        clock.rate, clock.autojump_threshold = before
