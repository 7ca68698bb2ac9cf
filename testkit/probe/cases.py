"""Labelled cases: the beginning of a conversation, and a function that must, must not yet, or must never be called.

A file of cases is TOML. It is checked against the roster: a case for an agent or a function that there is not is a
`ScenarioError`, which names the file, the case and the fix. A case knows the request that it is asked by.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, cast, get_args

import attrs
import orjson

from agents.brief import BRIEF_NAMES, Brief
from agents.roster import Roster
from agents.spec import OUTBOUND, AgentSpec
from protocol.fields import JSON, quoted
from simulators.toml_reader import ScenarioError, Table, nearest, parse_toml, text_of

Expect: TypeAlias = Literal["must", "must not yet", "must never"]

CALLER: Final = "caller: "
AGENT: Final = "agent: "


@attrs.frozen
class Case:
    """One case."""

    name: str
    agent: str
    function: str
    expect: Expect
    said: tuple[str, ...]
    """The conversation so far, after the greeting: "caller: …" and "agent: …" lines; the caller has the last word."""
    arguments: Mapping[str, JSON] = attrs.field(factory=dict)
    """What the call must be made with, among others."""
    says_not: tuple[str, ...] = ()
    """What must not be said or written, whatever is called."""
    brief: Mapping[str, str] = attrs.field(factory=dict)
    direction: str = OUTBOUND

    def request(self, roster: Roster, model: str) -> Mapping[str, JSON]:
        """Write the body of a chat completion request."""
        agent = roster.agents[self.agent]
        known: dict[str, Any] = dict(self.brief)
        brief = Brief(**known) if known else None
        messages: list[JSON] = [{"role": "system", "content": agent.prompt_with(brief, self.direction)}]
        messages.append({"role": "assistant", "content": agent.greeting_with(brief, self.direction)})
        for line in self.said:
            role = "user" if line.startswith(CALLER) else "assistant"
            messages.append({"role": role, "content": line.partition(": ")[2]})
        return {"model": model, "messages": messages, "tools": tools_of(agent)}

    def key(self, roster: Roster, model: str) -> str:
        """Return what a cassette is kept under: another prompt, function, model or conversation has another key."""
        return sha256(orjson.dumps(self.request(roster, model), option=orjson.OPT_SORT_KEYS)).hexdigest()


def tools_of(agent: AgentSpec) -> list[JSON]:
    """Write an agent's functions as tools."""
    definitions = (function.definition() for function in agent.functions)
    return [
        {
            "type": "function",
            "function": {"name": one.name, "description": one.description, "parameters": cast("JSON", one.parameters)},
        }
        for one in definitions
    ]


def load_cases(paths: Sequence[Path], roster: Roster) -> list[Case]:
    """Read files of cases, and check them against the roster. *Raises* `ScenarioError`."""
    cases = [case for path in paths for case in _read(path, roster)]
    names = [case.name for case in cases]
    for name in names:
        if names.count(name) > 1:
            raise ScenarioError(f"case {quoted(name)} is there twice; give each a name of its own")
    return cases


def _read(path: Path, roster: Roster) -> list[Case]:
    table = parse_toml(text_of(path), path.name)
    cases = [_case(each, roster) for each in table.tables("case")]
    table.done()
    return cases


def _case(table: Table, roster: Roster) -> Case:
    name = table.text("name")
    agent = _known(table, "agent", table.text("agent"), list(roster.agents))
    functions = [function.name for function in roster.agents[agent].functions]
    case = Case(
        name=name,
        agent=agent,
        function=_known(table, "function", table.text("function"), functions),
        expect=cast("Expect", _known(table, "expect", table.text("expect"), list(get_args(Expect)))),
        said=table.texts("said"),
        arguments=table.json("arguments"),
        says_not=table.texts("says_not"),
        brief={key: str(value) for key, value in table.mapping("brief").items()},
        direction=_known(table, "direction", table.text("direction", OUTBOUND), ["inbound", OUTBOUND]),
    )
    table.done()
    for line in case.said:
        if not line.startswith((CALLER, AGENT)):
            raise table.wrong("said", f'has {quoted(line)}; begin each line with "caller: " or "agent: "')
    if not case.said or not case.said[-1].startswith(CALLER):
        raise table.wrong("said", "does not end with the caller; the model is asked what comes next")
    for field in case.brief:
        _known(table, "brief", field, [*BRIEF_NAMES, "reason", "notes"])
    if case.arguments and case.expect != "must":
        raise table.wrong("arguments", 'goes with expect = "must" only')
    return case


def _known(table: Table, key: str, value: str, choices: Sequence[str]) -> str:
    if value not in choices:
        raise table.wrong(key, f"is {quoted(value)}{nearest(value, choices)}; there are {', '.join(choices)}")
    return value
