"""The exchange's directory: which agents there are, who answers first, and proof that no caller gets stuck.

Owns the list of shipped agents and every check that can be made before a call. It reads modules by name (each has its
`AgentSpec` in `AGENT`) and never touches a call. What is wrong is reported together as one `RosterError`, each problem
with its file and field.
"""

import importlib
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Final, TypeAlias

import attrs

from agents.brief import brief_schema
from agents.checks import problems_of_agent
from agents.functions import handoff_to_next_agent
from agents.spec import AgentSpec
from protocol.fields import JSON

ROSTER: Final = (
    "agents.qualifier",
    "agents.advisor",
    "agents.closer",
)

_LOADING_ERRORS: Final = (
    *(ImportError, SyntaxError, NameError, AttributeError, TypeError, ValueError),
    *(LookupError, ArithmeticError, RuntimeError, OSError, AssertionError),
)
"""Errors that a mistake in an agent's module raises when it is imported."""

Source: TypeAlias = str | ModuleType | AgentSpec


@attrs.frozen
class Problem:
    """One thing that is wrong with an agent, and where to mend it."""

    file: str
    field: str
    text: str

    def __str__(self) -> str:
        """Write it as one line of a report."""
        return f"{self.file}: {self.field}: {self.text}"


class RosterError(Exception):
    """The roster cannot take calls; `problems` says everything that must be mended."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Write one line for each problem."""
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


@attrs.frozen
class Roster:
    """Checked agents by name, and who answers first."""

    agents: Mapping[str, AgentSpec]
    first: str

    @property
    def brief_schema(self) -> Mapping[str, JSON]:
        """The JSON Schema of a Brief with every entry that any agent asks for."""
        return brief_schema(
            {name: says for agent in self.agents.values() for name, says in agent.brief_entries.items()}
        )


def default_roster(*, voices: Mapping[str, str] | None = None, human: bool = False) -> Roster:
    """Load the shipped agents; `voices` changes voices by agent name, an empty voice changes nothing."""
    return load_roster(ROSTER, voices=voices, human=human)


def load_roster(
    sources: Sequence[Source], *, first: str = "", voices: Mapping[str, str] | None = None, human: bool = False
) -> Roster:
    """Load and check agents, each a module (by name or as it is) or a spec; the first one answers unless `first` says.

    `human` says whether a call can be put through to a person.

    *Raises* `RosterError`.
    """
    loaded = [_load(source) for source in sources]
    _refuse(_repeated(loaded))
    files = {agent.name: file for agent, file in loaded}
    agents = _voiced(_joined({agent.name: agent for agent, _ in loaded}, files), voices or {})
    if human:
        agents = {name: agent.with_human() if agent.offers_human else agent for name, agent in agents.items()}
    begins = first or next(iter(agents), "")
    _refuse(
        Problem(files[name], field, text)
        for name, agent in agents.items()
        for field, text in problems_of_agent(agent, names=frozenset(agents), human=human)
    )
    _refuse(_problems_of_graph(agents, files, begins))
    return Roster(agents=agents, first=begins)


def _load(source: Source) -> tuple[AgentSpec, str]:
    if isinstance(source, AgentSpec):
        return source, f"agent {source.name!r}"
    try:
        module = importlib.import_module(source) if isinstance(source, str) else source
    except _LOADING_ERRORS as error:
        raise RosterError([_not_loaded(str(source), error)]) from error
    agent: object = getattr(module, "AGENT", None)
    if not isinstance(agent, AgentSpec):
        raise RosterError([Problem(_file_of(module), "AGENT", "the module has no AgentSpec of this name")])
    return agent, _file_of(module)


def _not_loaded(name: str, error: Exception) -> Problem:
    """Say where the module could not be loaded: the file and line of its own mistake, where there is one."""
    if isinstance(error, SyntaxError) and error.filename:
        return Problem(_in_project(error.filename), f"line {error.lineno}", f"syntax error: {error.msg}")
    place = traceback.extract_tb(error.__traceback__)[-1]
    what = f"{type(error).__name__}: {error}"
    if "importlib" in place.filename:  # the module itself was not found
        return Problem(name, "import", f"cannot be imported: {what}")
    return Problem(_in_project(place.filename), f"line {place.lineno}", f"cannot be imported: {what}")


def _file_of(module: ModuleType) -> str:
    """Name the file as an editor opened on the project would."""
    return _in_project(getattr(module, "__file__", None) or f"{module.__name__}.py")


def _in_project(file: str) -> str:
    path, root = Path(file), Path(__file__).parent.parent
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _refuse(problems: Iterable[Problem]) -> None:
    if found := list(problems):
        raise RosterError(found)


def _repeated(loaded: Sequence[tuple[AgentSpec, str]]) -> Iterator[Problem]:
    counts = Counter(agent.name for agent, _ in loaded)
    seen: dict[str, str] = {}
    for agent, file in loaded:
        if counts[agent.name] > 1 and agent.name in seen:
            yield Problem(file, "name", f"{agent.name!r} is the name of another agent, in {seen[agent.name]}")
        seen.setdefault(agent.name, file)


def _joined(agents: Mapping[str, AgentSpec], files: Mapping[str, str]) -> dict[str, AgentSpec]:
    """Give every agent the handoffs that others asked for with `joins_from`."""
    joined = dict(agents)
    for guest in agents.values():
        for host, when in guest.joins_from.items():
            if host not in joined:
                raise RosterError([Problem(files[guest.name], "joins_from", f"there is no agent {host!r}")])
            function = handoff_to_next_agent(guest.name, name=f"handoff_to_{guest.name}", when=when)
            known = joined[host]
            joined[host] = attrs.evolve(
                known, functions=(*known.functions, function), hands_to=(*known.hands_to, guest.name)
            )
    return joined


def _voiced(agents: Mapping[str, AgentSpec], voices: Mapping[str, str]) -> dict[str, AgentSpec]:
    _refuse(Problem("voices", name, "there is no agent of this name") for name in voices if name not in agents)
    return {name: attrs.evolve(agent, voice=voices.get(name) or agent.voice) for name, agent in agents.items()}


def _problems_of_graph(agents: Mapping[str, AgentSpec], files: Mapping[str, str], first: str) -> Iterator[Problem]:
    if first not in agents:
        yield Problem("roster", "first", f"there is no agent {first!r}" if agents else "the roster has no agents")
        return
    reached = _closure({first}, {name: agent.hands_to for name, agent in agents.items()})
    for name in agents.keys() - reached:
        yield Problem(files[name], "name", f"no agent hands to {name!r} and it is not the first: it is never reached")
    callers: dict[str, list[str]] = {name: [] for name in agents}
    for name, agent in agents.items():
        for target in agent.hands_to:
            callers[target].append(name)
    ending = _closure({name for name, agent in agents.items() if any(f.ends_call for f in agent.functions)}, callers)
    for name in (name for name in agents if name not in ending):
        circle = " -> ".join([name, *agents[name].hands_to])
        yield Problem(files[name], "hands_to", f"{circle}: nobody in this circle can end the call")


def _closure(start: set[str], edges: Mapping[str, Sequence[str]]) -> set[str]:
    """Collect everything that can be reached along the edges."""
    reached, waiting = set(start), list(start)
    while waiting:
        found = [target for target in edges[waiting.pop()] if target not in reached]
        reached.update(found)
        waiting += found
    return reached
