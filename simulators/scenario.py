"""Scenarios: what the caller, the agents and the person say in a simulated call.

A scenario is a TOML file: the caller's lines and when they are said, each agent's answers and function calls, and
the faults. This module reads and checks the file; it plays nothing, and matches nothing that was heard. A file that
cannot be right is a `ScenarioError`, which names the file, the key and the fix.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Final, Literal, TypeAlias

import attrs

from protocol.fields import JSON, quoted
from protocol.phone_numbers import is_phone_number
from simulators.faults import Fault, FaultError, parse_fault
from simulators.toml_reader import ScenarioError, Table, nearest, parse_toml, text_of

__all__ = [
    "Answers", "Caller", "CallerLine", "Human", "HumanAnswers", "Scenario", "ScenarioError", "ScriptedAgent",
    "ScriptedCall", "ScriptedTurn", "load_scenario", "parse_scenario", "shipped_scenarios",
]  # fmt: skip

Answers: TypeAlias = Literal["human", "busy", "no-answer", "failed", "machine"]
HumanAnswers: TypeAlias = Literal["human", "busy", "no-answer", "failed"]

SHIPPED: Final = Path(__file__).parent / "scenarios"


@attrs.frozen
class ScriptedCall:
    """A function that an agent calls."""

    name: str
    """Its name, as the agent has it."""
    arguments: Mapping[str, JSON] = attrs.field(factory=dict)
    """What it is called with, by name."""


@attrs.frozen
class ScriptedTurn:
    """An agent's answer to one thing it hears."""

    hears: str
    """What the agent heard: the turn that is most like it is taken."""
    says: tuple[str, ...] = ()
    """Sentences, one ConversationText each."""
    calls: tuple[ScriptedCall, ...] = ()
    """Called right after `says`, in the same turn."""
    then: tuple[str, ...] = ()
    """Said when every call was answered without an error."""
    then_calls: tuple[ScriptedCall, ...] = ()
    """Called right after `then`."""
    on_error: tuple[str, ...] = ()
    """Said instead of `then` when a call was answered with an error."""
    slow: float = 0.0
    """So many seconds more than usual the model takes for it."""
    slow_then: float = 0.0
    """The same, for what follows the answers of its calls."""


@attrs.frozen
class ScriptedAgent:
    """One agent's scripted brain."""

    name: str
    """As the roster has it."""
    prompt_contains: str = ""
    """Words of its prompt, by which it is known where no tag `agent:NAME` is sent, as when it takes a session over."""
    turns: tuple[ScriptedTurn, ...] = ()
    """Its answers."""
    fallback: tuple[str, ...] = ()
    """Said when something was heard that no turn answers."""
    fallback_slow: float = 0.0
    """How many seconds later than usual that comes."""


@attrs.frozen
class CallerLine:
    """One thing the caller does: says, presses keys, keeps silent, or hangs up."""

    says: str | None = None
    """The words."""
    pause: float = 0.6
    """Seconds of silence after the agents' speech before it is done."""
    barge_in: float | None = None
    """Instead of a pause: this many seconds after the agents' reply began."""
    digits: str | None = None
    """Keys that are pressed: 0 to 9, * and #."""
    silent: float | None = None
    """Seconds of silence."""
    hangs_up: bool = False
    """The caller hangs up."""
    after: float | None = None
    """Done this many seconds after the previous line ended, whatever the agents do; in a file, of a hang-up only."""


@attrs.frozen
class Caller:
    """The caller."""

    voice: str = "caller-1"
    """Name of a synthesised voice."""
    number: str = "+15551230000"
    """The caller's phone number."""
    patience: float = 8.0
    """Seconds of silence after which the next line is said anyway."""
    hangs_up: bool = True
    """Hangs up when the last line has been answered; false: waits for the agents to hang up."""
    answers: Answers = "human"
    """Who picks up an outbound call, or why nobody does."""
    lines: tuple[CallerLine, ...] = ()
    """What the caller does, in order."""

    @property
    def leaves(self) -> bool:
        """Whether the caller hangs up, at the end or as a line."""
        return self.hangs_up or any(line.hangs_up for line in self.lines)


@attrs.frozen
class Human:
    """The person to whom a call may be put through, and how long the caller waits for them. Times are seconds."""

    answers: HumanAnswers = "human"
    """Whether they pick up, or why not."""
    after: float = 3.0
    """Of ringing, before anything is answered."""
    presses: str = "1"
    """The key they press when they are asked to; "nothing": none."""
    hangs_up_after: float | None = None
    """They hang up so long after picking up, whatever is being said to them."""
    says: str = ""
    """Their first words to the caller."""
    talks: float = 5.0
    """How long they are connected to the caller, unless their words take longer."""
    caller_waits: float | None = None
    """The caller hangs up so long after being put through."""
    voice: str = "person-1"
    """Name of a synthesised voice."""


ENDINGS: Final = (
    *("completed", "caller_hung_up", "caller_silent", "max_length", "no_agent", "line_dead", "crashed", "cut"),
    *("machine", "voicemail_left", "transferring", "transferred", "transfer_unknown", "ended_by_operator", "drained"),
)
"""Outcomes of calls that were answered: a scenario can end with one of them."""


@attrs.frozen
class Scenario:
    """One conversation: the caller, the agents' scripts, the person they may ask for, and what goes wrong."""

    name: str
    """What it is called."""
    description: str
    """What happens, in a sentence."""
    caller: Caller
    """The caller."""
    agents: Mapping[str, ScriptedAgent]
    """The agents' scripts, by name."""
    faults: tuple[Fault, ...] = ()
    """What goes wrong."""
    human: Human | None = None
    """Left out where the scenario does not care: Twilio's knobs say how a dialled number answers."""
    ends: str = "completed"
    """The outcome that the call should have."""

    @property
    def endings(self) -> tuple[str, ...]:
        """The outcomes that it allows: a caller who hangs up ends the call too."""
        return (self.ends, "caller_hung_up") if self.caller.leaves else (self.ends,)

    def check_agents(self, functions: Mapping[str, Collection[str]]) -> None:
        """Refuse a script for an agent that a roster does not have, or calls of a function that this agent has not.

        `functions` are the roster's, by agent. `transfer_to_human` an agent has only where a person can be reached.

        *Raises* `ScenarioError`.
        """
        for name, agent in self.agents.items():
            if name not in functions:
                raise ScenarioError(f"{self.name}: agents.{name}: the roster has no such agent{_hint(name, functions)}")
            calls = (call.name for turn in agent.turns for call in (*turn.calls, *turn.then_calls))
            for called in calls:
                if called not in functions[name] and called != "transfer_to_human":
                    told = f"it has no function {quoted(called)}{_hint(called, functions[name])}"
                    raise ScenarioError(f"{self.name}: agents.{name}: {told}")

    def knowing(self, prompts: Mapping[str, str]) -> "Scenario":
        """Let agents be known by their prompts too, by name: one that takes a session over sends no tag."""
        known = {
            name: attrs.evolve(agent, prompt_contains=agent.prompt_contains or prompts.get(name, ""))
            for name, agent in self.agents.items()
        }
        return attrs.evolve(self, agents=known)

    def agent_for(self, tags: Iterable[str], prompt: str = "") -> ScriptedAgent | None:
        """Find the agent that a Settings message is for: by its tag `agent:<name>`, else by its prompt."""
        for tag in tags:
            kind, _, name = tag.partition(":")
            if kind == "agent" and name in self.agents:
                return self.agents[name]
        marked = (one for one in self.agents.values() if one.prompt_contains and one.prompt_contains in prompt)
        return max(marked, key=lambda agent: len(agent.prompt_contains), default=None)


def _hint(name: str, known: Collection[str]) -> str:
    return f"{nearest(name, known)}; there are {', '.join(known)}"


def shipped_scenarios() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in SHIPPED.glob("*.toml")))


def load_scenario(name_or_path: str | Path) -> Scenario:
    """Read a shipped scenario by name, or any by its path.

    *Raises* `ScenarioError`.
    """
    path = Path(name_or_path)
    if isinstance(name_or_path, str) and path.suffix != ".toml" and len(path.parts) == 1:
        path = SHIPPED / f"{name_or_path}.toml"
        if not path.is_file():
            known = ", ".join(shipped_scenarios())
            hint = nearest(name_or_path, shipped_scenarios())
            raise ScenarioError(
                f"no scenario is called {quoted(name_or_path)}{hint}; there are {known}, or give a .toml file"
            )
    return parse_scenario(text_of(path), where=path.name, name=path.stem)


def parse_scenario(text: str, *, where: str = "scenario", name: str = "scenario") -> Scenario:
    """Read a scenario from TOML text; `where` is what errors call it.

    *Raises* `ScenarioError`.
    """
    table = parse_toml(text, where)
    agents = table.table("agents")
    scenario = Scenario(
        name=table.text("name", name),
        description=table.text("description", ""),
        caller=_caller(table.table("caller")),
        agents={name: _agent(agents.table(name)) for name in agents.content},
        faults=tuple(_fault(table, line) for line in table.texts("faults")),
        human=_human(table.table("human")) if "human" in table.content else None,
        ends=table.optional_choice("ends", ENDINGS) or "completed",
    )
    table.done()
    return scenario


def _fault(table: Table, line: str) -> Fault:
    try:
        return parse_fault(line)
    except FaultError as problem:
        raise table.wrong("faults", str(problem)) from problem


def _caller(table: Table) -> Caller:
    caller = table.read(Caller, lines=tuple(map(_line, table.tables("line"))))
    if not is_phone_number(caller.number):
        raise table.wrong("number", f"is {quoted(caller.number)}; write it like '+15551230000'")
    return caller


def _human(table: Table) -> Human:
    human = table.read(Human)
    if not re.fullmatch(r"[0-9*#]|nothing", human.presses):
        raise table.wrong("presses", f'is {quoted(human.presses)}; write one key, 0 to 9, * or #, or "nothing"')
    for key in ("presses", "hangs_up_after", "says", "talks"):
        if key in table.content and human.answers != "human":
            raise table.wrong(key, 'needs somebody who answers; leave it out, or write answers = "human"')
    return human


def has_words(text: str) -> bool:
    """Tell whether anything of a text can be spoken."""
    return any(map(str.isalnum, text))


def _line(table: Table) -> CallerLine:
    line = table.read(CallerLine)
    deeds = [key for key in ("says", "digits", "silent", "hangs_up") if key in table.content]
    if len(deeds) != 1:
        there = " and ".join(deeds) or "nothing"
        raise table.wrong("", f"does {there}; write exactly one of says, digits, silent, hangs_up")
    if line.barge_in is not None and "pause" in table.content:
        raise table.wrong("barge_in", "excludes pause; leave one out")
    if line.after is not None and not line.hangs_up:
        raise table.wrong("after", "goes with hangs_up = true only; write pause for a line that is said")
    if line.digits is not None and not re.fullmatch(r"[0-9*#]+", line.digits):
        raise table.wrong("digits", f"is {quoted(line.digits)}; a phone has 0 to 9, * and #")
    if line.says is not None and not has_words(line.says):
        raise table.wrong("says", f"is {quoted(line.says)}, which nobody can speak; write words, or silent = 2.0")
    return line


def _agent(table: Table) -> ScriptedAgent:
    return table.read(ScriptedAgent, name=table.name, turns=tuple(map(_turn, table.tables("turn"))))


def _turn(table: Table) -> ScriptedTurn:
    turn = table.read(ScriptedTurn, calls=_calls(table, "calls"), then_calls=_calls(table, "then_calls"))
    if not turn.says and not turn.calls:
        raise table.wrong("", "answers nothing; write says or calls")
    for key in ("then", "then_calls", "on_error"):
        if key in table.content and not turn.calls:
            raise table.wrong(key, "comes after calls, and there are none; write says, or add calls")
    return turn


def _calls(table: Table, key: str) -> tuple[ScriptedCall, ...]:
    return tuple(call.read(ScriptedCall) for call in table.tables(key))
