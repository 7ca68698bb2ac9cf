"""A scenario written in Python: what the caller does and what the agents answer, in the order of the conversation.

`conversation` takes steps and returns a `Scenario`, the same value as a TOML file gives. What an agent `answers`
belongs to the caller's words before it.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import attrs

from actors.policy import describe_keys
from protocol.fields import JSON
from simulators.scenario import (
    ENDINGS,
    Caller,
    CallerLine,
    Scenario,
    ScriptedAgent,
    ScriptedCall,
    ScriptedTurn,
    has_words,
)
from simulators.toml_reader import ScenarioError, nearest

__all__ = ["answers", "calls", "conversation", "hangs_up", "presses", "says", "waits"]


@attrs.frozen
class AgentAnswer:
    """An agent's answer to the caller's words before it."""

    agent: str
    turn: ScriptedTurn


Step: TypeAlias = CallerLine | AgentAnswer
Sentences: TypeAlias = str | Sequence[str]
Calls: TypeAlias = ScriptedCall | Sequence[ScriptedCall]


def says(text: str, *, pause: float = 0.6, barge_in: float | None = None) -> CallerLine:
    """Have the caller say something, `pause` seconds after the agents, or `barge_in` seconds into their reply.

    *Raises* `ScenarioError` for a text without words.
    """
    if not has_words(text):
        raise ScenarioError(f"says({text!r}): nobody can speak that; write words, or waits(seconds)")
    return CallerLine(says=text, pause=pause, barge_in=barge_in)


def presses(digits: str, *, pause: float = 0.6) -> CallerLine:
    """Have the caller press keys."""
    return CallerLine(digits=digits, pause=pause)


def waits(seconds: float) -> CallerLine:
    """Have the caller keep silent."""
    return CallerLine(silent=seconds)


def hangs_up(*, after: float | None = None) -> CallerLine:
    """Have the caller hang up: when they were answered, or `after` so many seconds, whatever the agents do."""
    return CallerLine(hangs_up=True, after=after)


def calls(name: str, /, **arguments: JSON) -> ScriptedCall:
    """Have the model call a function."""
    return ScriptedCall(name, arguments)


def answers(
    agent: str,
    *sentences: str,
    calls: Calls = (),
    then: Sentences = (),
    then_calls: Calls = (),
    on_error: Sentences = (),
) -> AgentAnswer:
    """Have an agent answer: sentences and calls in one turn, and when all calls were answered well, `then`."""
    turn = ScriptedTurn("", sentences, _calls(calls), _sentences(then), _calls(then_calls), _sentences(on_error))
    if not turn.says and not turn.calls:
        raise ScenarioError(f"answers({agent!r}): says nothing and calls nothing; write a sentence, or calls=calls(…)")
    return AgentAnswer(agent, turn)


def conversation(
    *steps: Step,
    name: str = "conversation",
    ends: str = "completed",
    hangs_up: bool = False,
    voice: str = "caller-1",
    number: str = "+15551230000",
    patience: float = 8.0,
    fallback: Mapping[str, str] | None = None,
) -> Scenario:
    """Put steps together to a scenario.

    The caller hangs up after the last answer if `hangs_up`; else the agents have to. `fallback` is what an agent says
    to words that no step answers.

    *Raises* `ScenarioError` for an answer to nothing, and for an outcome that there is not.
    """
    if ends not in ENDINGS:
        raise ScenarioError(f"ends is {ends!r}{nearest(ends, ENDINGS)}; write one of {', '.join(ENDINGS)}")
    heard, agents = "", dict[str, list[ScriptedTurn]]()
    for number_of_step, step in enumerate(steps, 1):
        if isinstance(step, CallerLine):
            entries = tuple(filter(None, (step.digits or "").split("#")))
            heard = step.says or (describe_keys(entries) if entries else heard)
            continue
        if not heard:
            raise ScenarioError(f"step {number_of_step}: {step.agent} answers, and the caller has said nothing")
        agents.setdefault(step.agent, []).append(attrs.evolve(step.turn, hears=heard))
    lines = tuple(step for step in steps if isinstance(step, CallerLine))
    last_words = fallback or {}
    return Scenario(
        name=name,
        description="",
        caller=Caller(voice=voice, number=number, patience=patience, hangs_up=hangs_up, lines=lines),
        agents={
            agent: ScriptedAgent(agent, turns=tuple(turns), fallback=_sentences(last_words.get(agent, ())))
            for agent, turns in agents.items()
        },
        ends=ends,
    )


def _sentences(of: Sentences) -> tuple[str, ...]:
    return (of,) if isinstance(of, str) else tuple(of)


def _calls(of: Calls) -> tuple[ScriptedCall, ...]:
    return (of,) if isinstance(of, ScriptedCall) else tuple(of)
