"""The roster: which agents there are, which of them begins a call, and proof that no caller gets stuck.

Owns every check of the agents together that can be made before a call; `agents/loading.py` finds and imports them. It
never touches a call. What is wrong is reported together as one `RosterError`, each problem with its file and field.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import attrs

from agents import ROSTER
from agents.brief import brief_schema
from agents.checks import problems_of_agent, problems_of_options
from agents.extras import NOTHING_MORE, Extras, extras_of
from agents.functions import handoff_to_next_agent
from agents.http_function import settings_of
from agents.loading import Named, RosterError, RosterProblem, Source, agents_of, import_roster, load_agent, refuse
from agents.spec import INBOUND, AgentOptions, AgentSpec, SoftEdge
from agents.spec_types import wrong_types
from protocol.fields import JSON

__all__ = [
    "ROSTER", "SHIPPED", "Roster", "RosterError", "RosterProblem", "default_roster", "load_roster", "roster_from",
]  # fmt: skip

SHIPPED: Final = ("agents",)
"""The package of the shipped agents, as AGENTS names it."""


@attrs.frozen
class Roster:
    """Checked agents by name, and which of them begins a call.

    `first` begins the calls that no other agent begins; `entries` names the first agent of each source of AGENTS.
    """

    agents: Mapping[str, AgentSpec]
    first: str
    extras: Extras = NOTHING_MORE
    entries: Mapping[str, str] = attrs.field(factory=dict[str, str])

    def beginning(self, direction: str, line: str, chosen: str = "") -> "Roster":
        """Return the roster of one call: its order says which agent is the first, or the called number does."""
        inbound = self.extras.inbound
        called = inbound.get(line) or inbound.get("") if direction == INBOUND else ""
        first = self.entry(chosen) or called or self.first
        return self if first == self.first else attrs.evolve(self, first=first)

    @property
    def begins(self) -> AgentSpec:
        """The agent that begins a call."""
        return self.agents[self.first]

    @property
    def beginners(self) -> frozenset[str]:
        """The names by which an order may choose the agent that begins."""
        return frozenset({*self.agents, *self.entries})

    def entry(self, chosen: str) -> str:
        """Return the agent that an order means, by its name or by its source; empty if there is none."""
        return self.entries.get(chosen) or (chosen if chosen in self.agents else "")

    @property
    def functions(self) -> Mapping[str, tuple[str, ...]]:
        return {name: tuple(function.name for function in agent.functions) for name, agent in self.agents.items()}

    def prompts(self, direction: str) -> Mapping[str, str]:
        return {name: agent.task(direction) for name, agent in self.agents.items()}

    @property
    def brief_schema(self) -> Mapping[str, JSON]:
        return brief_schema(
            {name: says for agent in self.agents.values() for name, says in agent.brief_entries.items()}
        )


def default_roster(*, human: bool = False) -> Roster:
    return roster_from(SHIPPED, human=human)


def roster_from(sources: Sequence[str], *, voices: Mapping[str, str] | None = None, human: bool = False) -> Roster:
    """Load and check the agents of every source of AGENTS; the first agent of each may begin calls.

    `voices` changes voices by agent name; an empty voice, and one of an agent that there is not, changes nothing.

    *Raises* `RosterError`.
    """
    modules = {source: import_roster(source) for source in dict.fromkeys(sources)}
    listed = {source: agents_of(module) for source, module in modules.items()}
    loaded = [named for each in listed.values() for named in each]
    extras = extras_of(modules.values(), {agent.name for agent, _ in loaded})
    entries = {source: each[0][0].name for source, each in listed.items() if each}
    return _checked(loaded, voices or {}, human=human, extras=extras, entries=entries)


def load_roster(sources: Sequence[Source], *, human: bool = False) -> Roster:
    """Load and check agents, each a module (by name or as it is) or a spec; the first one answers.

    `human` says whether a call can be put through to a person.

    *Raises* `RosterError`.
    """
    return _checked([load_agent(source) for source in sources], {}, human=human)


def refuse_unfit(roster: Roster, defaults: AgentOptions, environ: Mapping[str, str]) -> None:
    """Refuse a roster that cannot work with a server's options and settings. *Raises* `RosterError`."""
    refuse(
        RosterProblem(f"agent {name!r}", field, text)
        for name, agent in roster.agents.items()
        for field, text in (
            *problems_of_options(agent.options.over(defaults), agent.voice),
            *_missing(agent, roster.extras.env_prefixes, environ),
        )
    )


def _missing(agent: AgentSpec, prefixes: tuple[str, ...], environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each setting that an `http_function` lacks: on a call, it could only fail."""
    for field, name in ((f"functions.{each.name}", name) for each in agent.functions for name in settings_of(each)):
        if not name.startswith(prefixes):
            yield field, f"{{{name}}} begins with no ENV_PREFIX of the roster: add it there"
        elif not environ.get(name, "").strip():
            yield field, f"{{{name}}} is missing: set it in the environment or in .env"


def _checked(
    loaded: Sequence[Named],
    voices: Mapping[str, str],
    *,
    human: bool,
    extras: Extras = NOTHING_MORE,
    entries: Mapping[str, str] | None = None,
) -> Roster:
    refuse(RosterProblem(file, field, text) for agent, file in loaded for field, text in wrong_types(agent))
    refuse(_repeated(loaded))
    files = {agent.name: file for agent, file in loaded}
    joined = _joined({agent.name: agent for agent, _ in loaded}, files)
    agents = {name: attrs.evolve(agent, voice=voices.get(name) or agent.voice) for name, agent in joined.items()}
    if human:
        agents = {name: agent.with_human() if agent.offers_human else agent for name, agent in agents.items()}
    refuse(
        RosterProblem(files[name], field, text)
        for name, agent in agents.items()
        for field, text in problems_of_agent(agent, agents, human=human)
    )
    roster = Roster(agents=agents, first=next(iter(agents), ""), extras=extras, entries=entries or {})
    refuse(_problems_of_graph(roster, files))
    return roster


def _repeated(loaded: Sequence[Named]) -> Iterator[RosterProblem]:
    seen: dict[str, str] = {}
    for agent, file in loaded:
        if agent.name in seen:
            yield RosterProblem(file, "name", f"{agent.name!r} is the name of another agent, in {seen[agent.name]}")
        seen.setdefault(agent.name, file)


def _joined(agents: Mapping[str, AgentSpec], files: Mapping[str, str]) -> dict[str, AgentSpec]:
    """Give every agent the handoffs that others asked for with `joins_from`."""
    joined = dict(agents)
    for guest in agents.values():
        for host, when in guest.joins_from.items():
            if host not in joined:
                raise RosterError([RosterProblem(files[guest.name], "joins_from", f"there is no agent {host!r}")])
            function = handoff_to_next_agent(guest.name, name=f"handoff_to_{guest.name}", when=when)
            known, edge = joined[host], SoftEdge(guest.name) if isinstance(host, SoftEdge) else guest.name
            joined[host] = attrs.evolve(known, functions=(*known.functions, function), hands_to=(*known.hands_to, edge))
    return joined


def _problems_of_graph(roster: Roster, files: Mapping[str, str]) -> Iterator[RosterProblem]:
    agents = roster.agents
    if not agents:
        yield RosterProblem("roster", "ROSTER", "has no agents: list them, such as ROSTER = ('.front_desk',)")
        return
    begin = {roster.first, *roster.extras.inbound.values(), *roster.entries.values()}
    reached = _closure(begin, {name: agent.hands_to for name, agent in agents.items()})
    for name in agents.keys() - reached:
        yield RosterProblem(
            files[name], "name", f"no agent hands to {name!r} and it begins no call: it is never reached"
        )
    hosts = {name: [host for host, agent in agents.items() if name in agent.hands_to] for name in agents}
    returning = {name for name, agent in agents.items() if any(function.leads_back for function in agent.functions)}
    for name in sorted(returning):
        if not hosts[name]:
            yield RosterProblem(files[name], "functions", f"nobody hands to {name!r}: there is nobody to hand back to")
    following = {name: [*agents[name].hands_to, *(hosts[name] if name in returning else ())] for name in agents}
    callers = {name: [other for other in agents if name in following[other]] for name in agents}
    ending = _closure({name for name, agent in agents.items() if any(f.ends_call for f in agent.functions)}, callers)
    endless = [name for name in agents if name not in ending and following[name]]
    while endless:
        circle = _circle(endless[0], following)
        way = " -> ".join([*circle, circle[0]])
        problem = f"{way}: nobody in this circle can end the call: add END_CONVERSATION"
        yield RosterProblem(files[circle[0]], "hands_to", problem)
        led = _closure(set(circle), callers)
        endless = [name for name in endless if name not in led]


def _circle(first: str, edges: Mapping[str, Sequence[str]]) -> list[str]:
    """Follow the first edge of each until one comes again; return those on the way from it."""
    way = [first]
    while (after := edges[way[-1]][0]) not in way:
        way.append(after)
    return way[way.index(after) :]


def _closure(start: set[str], edges: Mapping[str, Sequence[str]]) -> set[str]:
    """Collect everything that can be reached along the edges."""
    reached, waiting = set(start), list(start)
    while waiting:
        found = [target for target in edges[waiting.pop()] if target not in reached]
        reached.update(found)
        waiting += found
    return reached
