"""A call that was played, and what a test may expect of it, in sentences.

Each `expect_…` returns the call, so that they can be chained, or raises `ExpectationFailed` with the transcript and the
place. A turn is a turn of the caller's, counted from 1: "after turn 3" is any time since the caller has finished it.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import date, time
from enum import Enum
from functools import partial
from typing import Final, Self

import attrs

from actors import facts
from actors.facts.handoff import HandoffKind
from actors.line.ledger import SWITCHBOARD
from agents.arguments import json_of
from agents.roster import Roster
from protocol.audio import BYTES_PER_SECOND
from protocol.fields import counted, json_or
from simulators.deepgram.brain import words_of
from simulators.speech import synthesise
from simulators.toml_reader import nearest
from store.records import OPERATOR
from testkit.functions import FunctionRun, arguments_read
from testkit.silence import silences
from testkit.transcript import ExpectationFailed, Transcript, transcript_of
from testkit.witness import Witnessed

PLAYED: Final[list["PlayedCall"]] = []
"""The calls played since the plugin last looked."""


@attrs.frozen
class Handoff:
    """A handoff that was committed: `at` seconds, when the caller had finished so many turns."""

    agent: str
    to: str
    at: float
    turn: int
    how: str = "hard"
    """Hard or soft."""


@attrs.frozen
class Called:
    """A function that the model called, and what it was answered; None while it was not.

    `arguments` are as the model wrote them, `read` as the handler was given them; None where none was run, as for
    arguments that were refused.
    """

    agent: str
    name: str
    at: float
    arguments: Mapping[str, object]
    result: str | None = None
    ok: bool | None = None
    read: Mapping[str, object] | None = None


@attrs.define
class PlayedCall(Witnessed):
    """One played call."""

    roster: Roster = attrs.field(kw_only=True)
    broken: list[str] = attrs.field(factory=list, init=False)
    """What the oracle has found."""

    def __str__(self) -> str:
        """Write its transcript."""
        return str(self.transcript)

    @property
    def transcript(self) -> Transcript:
        """The words and acts of the call, in order."""
        return transcript_of(self.entries)

    @property
    def outcome(self) -> str:
        """How the call ended, as its record says."""
        return self.the_record.outcome

    @property
    def agents(self) -> list[str]:
        """The agents that had the call, in order."""
        return [stint.agent for stint in self.the_record.agents]

    @property
    def restarts(self) -> int:
        """How many sessions were opened again."""
        return self.the_record.restarts

    @property
    def longest_silence(self) -> float:
        """The longest silence, in seconds, that the caller met while it was the agents' turn."""
        return max((end - start for start, end in silences(self)), default=0.0)

    @property
    def handoffs(self) -> list[Handoff]:
        """The handoffs that were committed."""
        found, turn, asked = list[Handoff](), 0, 0
        for entry in self.entries:
            match entry.fact:
                case facts.TurnHeard():
                    turn += 1
                case facts.HandoffAsked():
                    asked = turn
                case facts.HandoffCommitted(agent=agent, to=to, how=how):
                    found.append(Handoff(agent, to, entry.at, asked, how))
                case _:
                    pass
        return found

    @property
    def calls(self) -> list[Called]:
        """The functions that the model called."""
        answers = {fact.number: fact for fact in self.facts(facts.FunctionAnswered)}
        found, runs = list[Called](), [*self.runs]
        for entry in self.entries:
            if isinstance(fact := entry.fact, facts.FunctionCalled):
                answered = answers.get(fact.number)
                result, ok = (answered.result, answered.ok) if answered else (None, None)
                run = next(filter(partial(self._is_of, fact), runs), None)
                if run is not None:
                    runs.remove(run)
                read = None if run is None else _read(run.arguments)
                found.append(Called(fact.agent, fact.name, entry.at, _read(fact.arguments), result, ok, read))
        return found

    def gap(self, to: str) -> float:
        """Return the seconds from the first handoff to this agent until the caller could hear it."""
        for handoff in self.the_record.handoffs:
            if handoff.to_agent == to and handoff.gap is not None:
                return handoff.gap
        raise self.failure(f"{to} never spoke after a handoff")

    def brief(self, to: str) -> Mapping[str, str]:
        """Return what the Brief told an agent that took the call over, by the names of its fields."""
        told = [handoff.brief for handoff in self.the_record.handoffs if handoff.to_agent == to]
        if not told:
            raise self.failure(f"nobody handed the call to {to}, so it had no Brief")
        return told[-1]

    @property
    def expected_seconds(self) -> float:
        """How long the caller's lines and pauses, and the agents' words, take together."""
        caller = self.script.caller
        said = [synthesise(line.says, caller.voice).seconds for line in caller.lines if line.says]
        waits = [line.silent or max(line.pause, caller.patience) for line in caller.lines]
        heard = len(self.caller.heard.agents) / BYTES_PER_SECOND if self.caller is not None else 0.0
        return sum(said) + sum(waits) + heard

    # Expectations

    def expect_agents(self, *names: str) -> Self:
        """Expect these agents to have had the call, in this order, and nobody else."""
        self._refuse_unknown("agent", names)
        if list(names) != self.agents:
            place = next((stint.started for stint, want in zip(self.the_record.agents, names, strict=False)
                          if stint.agent != want), None)  # fmt: skip
            raise self.failure(f"expected the agents {list(names)}; there were {self.agents}", place)
        return self

    def expect_handoff(
        self,
        to: str,
        after_turn: int | None = None,
        before_turn: int | None = None,
        how: HandoffKind | None = None,
    ) -> Self:
        """Expect a handoff to this agent, asked for after that turn of the caller's, and before the other.

        `how`: hard, soft, or back.
        """
        self._refuse_unknown("agent", [to])
        every = [handoff for handoff in self.handoffs if handoff.to == to]
        found = [handoff for handoff in every if how in (None, handoff.how)]
        wanted = f"a {f'{how} ' if how else ''}handoff to {to}{_between(after_turn, before_turn)}"
        if every and not found:
            raise self.failure(f"expected {wanted}; it was {every[0].how}", every[0].at)
        if not found:
            others = ", ".join(f"to {other.to} at {other.at:.2f} s" for other in self.handoffs)
            raise self.failure(f"expected {wanted}; there was none to {to}{others and f' ({others})'}")
        for handoff in found:
            if (after_turn is None or handoff.turn >= after_turn) and (
                before_turn is None or handoff.turn < before_turn
            ):
                return self
        turns = ", ".join(f"turn {handoff.turn} at {handoff.at:.2f} s" for handoff in found)
        raise self.failure(f"expected {wanted}; it came after {turns}", found[0].at)

    def expect_no_handoff(self, to: str | None = None) -> Self:
        """Expect nobody to have taken the call over; or only not this agent."""
        self._refuse_unknown("agent", filter(None, [to]))
        for handoff in self.handoffs:
            if to in (None, handoff.to):
                raise self.failure(
                    f"expected no handoff{f' to {to}' if to else ''}; {handoff.to} took over", handoff.at
                )
        return self

    def expect_called(self, name: str, /, times: int | None = None, **arguments: object) -> Self:
        """Expect the model to have called a function with these arguments among others, so many times.

        A call counts if its handler was run: one with arguments that were refused has done nothing.
        """
        self._refuse_unknown("function", [name])
        every = [called for called in self.calls if called.name == name]
        found = [called for called in every if called.read is not None]
        sent = {key: _sent(value) for key, value in arguments.items()}
        matching = [called for called in found if _has(called, sent)]
        often = f" {counted(times, 'time')}" if times is not None else ""
        wanted = f"{name} to be called{often}{_with(arguments)}"
        if every and not found and times != 0:
            told = f"at {every[0].at:.2f} s with {dict(every[0].arguments)}, but not run: {every[0].result}"
            raise self.failure(f"expected {wanted}; it was called {told}", every[0].at)
        if not found and times != 0:
            others = sorted({called.name for called in self.calls})
            raise self.failure(f"expected {wanted}; it was not called; {', '.join(others) or 'no function'} was")
        if (times is None and not matching) or (times is not None and len(matching) != times):
            seen = "; ".join(f"at {called.at:.2f} s with {dict(called.arguments)}" for called in found)
            raise self.failure(f"expected {wanted}; it was called {seen}", found[0].at if found else None)
        return self

    def expect_heard(self, text: str, by: str | None = None) -> Self:
        """Expect the caller to have heard these words, from this agent; case and punctuation do not count."""
        self._refuse_unknown("agent", filter(None, [by]))
        heard = [turn for turn in self.the_record.transcript if turn.speaker != "caller" and by in (None, turn.speaker)]
        if not any(_says(turn.heard, text) for turn in heard):
            unheard = next((turn for turn in heard if _says(turn.text, text)), None)
            why = f"it was said, and only {unheard.heard!r} of it was heard" if unheard else "nobody said it"
            raise self.failure(
                f"expected the caller to hear {text!r}{f' from {by}' if by else ''}; {why}",
                unheard.at if unheard else None,
            )
        return self

    def expect_not_heard(self, text: str) -> Self:
        """Expect the caller not to have heard these words, from anybody; case and punctuation do not count."""
        for turn in self.the_record.transcript:
            if turn.speaker != "caller" and _says(turn.heard, text):
                raise self.failure(f"expected the caller not to hear {text!r}; {turn.speaker} said it", turn.at)
        return self

    def expect_said(self, text: str) -> Self:
        """Expect the agents to have understood these words of the caller's."""
        if not any(_says(turn, text) for turn in self.said_by_caller()):
            raise self.failure(f"expected the caller to have said {text!r}; {self.said_by_caller()} was understood")
        return self

    def expect_outcome(self, outcome: str) -> Self:
        """Expect the call to have ended so."""
        if self.outcome != outcome:
            raise self.failure(f"expected the outcome {outcome}; it was {self.outcome}", self.the_record.duration)
        return self

    def expect_restarts(self, count: int) -> Self:
        """Expect so many sessions to have been opened again."""
        if self.restarts != count:
            at = self.times(facts.SessionRestarting)
            raise self.failure(
                f"expected {counted(count, 'restart')}; there were {self.restarts}", at[0] if at else None
            )
        return self

    def expect_brief(self, to: str, /, **fields: str) -> Self:
        """Expect the Brief of an agent to hold these words in these fields."""
        self._refuse_unknown("agent", [to])
        told = self.brief(to)
        for field, text in fields.items():
            if not _says(told.get(field, ""), text):
                at = next(handoff.at for handoff in self.handoffs if handoff.to == to)
                raise self.failure(
                    f"expected the Brief for {to} to say {text!r} in {field!r}; it says {dict(told)}", at
                )
        return self

    def _is_of(self, called: facts.FunctionCalled, run: FunctionRun) -> bool:
        """Say whether a handler was run for this call. What the model left out may be another default each time."""
        meant = arguments_read(self.roster, called.agent, called.name, called.arguments)
        given, had = _read(called.arguments).keys(), _read(run.arguments)
        is_same = all(value == had.get(name) for name, value in _read(meant).items() if name in given)
        return (run.agent, run.name) == (called.agent, called.name) and meant != "" and is_same

    def _refuse_unknown(self, kind: str, names: Iterable[str]) -> None:
        """Refuse a misspelt name: that nobody called it, or handed the call to it, is true of any."""
        agents = self.roster.agents
        functions = {spec.name for agent in agents.values() for spec in agent.functions}
        known = {*agents, SWITCHBOARD, OPERATOR} if kind == "agent" else functions | {each.name for each in self.calls}
        for name in names:
            if name not in known:
                there_are = ", ".join(sorted(agents if kind == "agent" else functions))
                near = nearest(name, known)
                raise self.failure(f"the roster has no {kind} {name!r}{near}; there are {there_are}")

    def failure(self, sentence: str, place: float | None = None) -> ExpectationFailed:
        """Say what was expected, with the transcript and the place."""
        return ExpectationFailed(sentence, self.transcript, place)


def _read(arguments: str) -> Mapping[str, object]:
    read = json_or(arguments or "{}", arguments)
    return read if isinstance(read, dict) else {"": read}


def _has(called: Called, sent: Mapping[str, object]) -> bool:
    """Say whether a call has these arguments: as the model wrote them, or as its function reads them."""
    read = {**called.arguments, **(called.read or {})}
    return all(value in (called.arguments.get(name), read.get(name)) for name, value in sent.items())


def _sent(value: object) -> object:
    """Return a value as the model sends it; what is no argument's value, such as `pytest.approx(…)`, as it is."""
    if isinstance(value, list | tuple):
        return [_sent(each) for each in value]
    return json_of(value) if isinstance(value, Enum | date | time) or attrs.has(type(value)) else value


def _between(after: int | None, before: int | None) -> str:
    return (f" after turn {after}" if after is not None else "") + (f" before turn {before}" if before else "")


def _with(arguments: Mapping[str, object]) -> str:
    return " with " + ", ".join(f"{name}={value!r}" for name, value in arguments.items()) if arguments else ""


def _says(text: str, words: str) -> bool:
    return re.search(rf"(^| ){re.escape(' '.join(words_of(words)))}( |$)", " ".join(words_of(text))) is not None
