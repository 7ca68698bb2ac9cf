"""Play a recorded call again, and say what is the same.

`replay` plays what `rebuild` has made of a journal with a roster, its functions answering as they did then. `compare`
names every difference in agents, handoffs, words, functions and outcome; times may differ.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

import attrs
import orjson
import structlog
import trio
from trio.testing import MockClock

from actors import facts
from actors.call_services import CallPlan
from actors.errors import BriefUnavailable
from actors.journal import Entry, facts_of
from actors.policy import CallPolicy
from agents.arguments import json_of
from agents.functions import Answer, ArgumentsRefused, CallContext, Outcome
from agents.roster import Roster
from agents.sentences import ENGLISH
from model_settings import AGENTS
from protocol.fields import JSON, json_or
from setting_reader import read_one, text_of_file
from settings import RECORDINGS_DIR
from simulators.deepgram import DeepgramKnobs
from testkit import harness
from testkit.functions import Double, with_doubles
from testkit.play import LONGEST, filler_clips, roster_of
from testkit.played_call import PlayedCall
from testkit.rebuild import Rebuilt, RecordedAnswer, rebuild
from testkit.recording import RecordedCall, ReplayRefused, anonymise, find_journal, read_journal


@attrs.frozen
class Replayed:
    """A call played again: what was recorded, what came of it now, and where they differ."""

    rebuilt: Rebuilt
    call: PlayedCall
    differences: tuple[str, ...]


async def replay(recording: RecordedCall, roster: Roster) -> Replayed:
    """Play a recorded call with a roster, on the mock clock.

    *Raises* `ReplayRefused` for a call of agents that the roster does not have.
    """
    policy = CallPolicy(keep_digits=any(one.digit for one in facts_of(recording.entries, facts.DigitPressed)))
    rebuilt = rebuild(recording, [ENGLISH, *(agent.sentences for agent in roster.agents.values())])
    named = dict.fromkeys([*rebuilt.scenario.agents, *(agent for agent, _ in rebuilt.answers)])
    strangers = [name for name in named if name not in roster.agents]
    if strangers:
        raise ReplayRefused(f"the roster has no agent {', '.join(strangers)}: the call was of another one")
    agents = with_doubles(roster, _doubles(rebuilt, roster))
    began = [one.agent for one in facts_of(recording.entries, facts.SessionConnecting)]
    knobs = _knobs_of(recording.entries)
    call = PlayedCall(script=rebuilt.scenario, policy=policy, roster=agents, bundle=1, slice_ms=knobs.slice_ms)
    with structlog.testing.capture_logs(), trio.fail_after(LONGEST):
        await harness.play(
            rebuilt.scenario,
            rebuilt.faults,
            plan=CallPlan("", "", rebuilt.direction, agents="".join(began[:1])),
            roster=agents,
            policy=policy,
            bundle=1,
            knobs=knobs,
            clips=filler_clips(agents),
            played=call,
            ask_brief=_recorded_briefs(rebuilt.briefs),
        )
    return Replayed(rebuilt, call, tuple(compare(recording.entries, call.entries)))


def _knobs_of(entries: Sequence[Entry]) -> DeepgramKnobs:
    """Have the service report how it hears if it did: one that says something now and then is not deaf."""
    did = any(one.stt_latency is not None for one in facts_of(entries, facts.LatencyReported))
    return harness.KNOBS if did else attrs.evolve(harness.KNOBS, stt_reports_per_second=0)


def _recorded_briefs(briefs: Mapping[str, Mapping[str, str]]) -> Any:  # noqa: ANN401 - an AskBrief
    async def ask(messages: list[dict[str, str]]) -> str:
        await trio.sleep(0.3)
        asked = messages[0]["content"]
        found = (brief for reader, brief in briefs.items() if f"Reader: the {reader}." in asked)
        brief = next(found, None)
        if brief is None:
            raise BriefUnavailable("the recorded call had none of a language model")
        return orjson.dumps({"summary": "As recorded.", **brief}).decode()

    return ask


def _doubles(rebuilt: Rebuilt, roster: Roster) -> dict[str, Double]:
    """Have every function that acts answer as it did; handing over and ending are done by the real ones."""
    doubles = {}
    for (agent, name), answered in rebuilt.answers.items():
        spec = roster.agents[agent].function(name)
        if spec is not None and spec.acts:
            doubles[f"{agent}.{name}"] = _as_recorded(list(answered))
    return doubles


def _as_recorded(left: list[RecordedAnswer]) -> Double:
    async def double(arguments: Any, context: CallContext) -> Outcome:  # noqa: ANN401, ARG001 - of whatever class
        given = json_of(arguments)
        assert isinstance(given, dict)
        asked = [one for one in left if all(given.get(name) == value for name, value in one.arguments.items())]
        one = (asked or left)[0]
        if len(left) > 1:
            left.remove(one)
        await trio.sleep(one.took)
        if not one.ok:
            raise ArgumentsRefused(_problems(one.result))
        return Answer(_content(one.result), dict(one.facts))

    return double


def _problems(result: str) -> Sequence[str]:
    """Return what the model was told to mend."""
    told = _content(result)
    return [str(told["error"])] if isinstance(told, Mapping) and "error" in told else [result]


def _content(result: str) -> Mapping[str, JSON] | str:
    read = json_or(result, None)
    return read if isinstance(read, dict) else result


# What is the same


_TOLD: Final = 5
"""Steps that are shown on either side of a difference."""


def compare(then: Sequence[Entry], now: Sequence[Entry]) -> Iterator[str]:
    """Yield each difference between two calls, as a sentence."""
    for what, of in VIEWS.items():
        before, after = of(then), of(now)
        if before != after:
            both = enumerate(zip(before, after, strict=False))
            place = next((number for number, (one, other) in both if one != other), min(len(before), len(after)))
            yield f"{what}: {_around(before, place)} then, {_around(after, place)} now"


def _around(steps: Sequence[str], place: int) -> str:
    shown = steps[max(0, place - _TOLD) : place + _TOLD]
    return repr(" ".join(shown)) if place < len(steps) else f"nothing after {' '.join(shown)!r}"


def _agent_words(entries: Sequence[Entry]) -> list[str]:
    """Return what the caller heard, word by word, and from whom."""
    heard = groupby((one for one in facts_of(entries, facts.ReplyEnded) if one.heard), key=attrgetter("agent"))
    return [
        word for agent, ended in heard for word in [f"{agent}:", *(part for one in ended for part in one.heard.split())]
    ]


_COURSE: Final = (
    facts.SessionConnecting
    | facts.SessionFailed
    | facts.SessionCrashed
    | facts.RestartsExhausted
    | facts.HandoffAsked
    | facts.HandoffFailed
    | facts.GoodbyeStarted
    | facts.GoodbyeHeard
)
"""Facts of the journal that must be the same: sessions, handoffs, restarts, the goodbye; no times and sounds."""


VIEWS: Final[Mapping[str, Callable[[Sequence[Entry]], list[str]]]] = {
    "agents": lambda entries: [agent for agent, _ in groupby(one.agent for one in facts_of(entries, facts.FloorTaken))],
    "handoffs": lambda entries: [f"{one.agent} to {one.to}" for one in facts_of(entries, facts.HandoffCommitted)],
    "caller": lambda entries: [one.text for one in facts_of(entries, facts.TurnHeard)],
    "words": _agent_words,
    "functions": lambda entries: [f"{one.name} {one.arguments}" for one in facts_of(entries, facts.FunctionCalled)],
    "outcome": lambda entries: [one.outcome for one in facts_of(entries, facts.CallEnded)],
    "journal": lambda entries: [
        f"{one.event} {getattr(one.fact, 'agent', '')}".strip() for one in entries if isinstance(one.fact, _COURSE)
    ],
}


def report(replayed: Replayed) -> Iterator[str]:
    """Yield the lines that `switchboard replay` prints."""
    yield replayed.call.transcript.text()
    yield ""
    for note in replayed.rebuilt.notes:
        yield f"The journal does not tell: {note}"
    for fault in replayed.rebuilt.faults:
        yield f"Played with: {fault}"
    for difference in replayed.differences:
        yield f"Differs: {difference}"
    if not replayed.differences:
        yield "The same agents, handoffs, words, functions and outcome; the same journal but for times."


def replay_call(name: str, anonymous: Path | None, environ: Mapping[str, str]) -> tuple[Sequence[str], bool]:
    """Play a call again; return what to print, and whether it was the same.

    *Raises* `ReplayRefused`, `RosterError` and `SettingsError`.
    """
    folder: Path | None = read_one(environ, RECORDINGS_DIR)
    try:
        text = text_of_file(find_journal(name, folder))
        recording = read_journal(text)
        if anonymous is not None:
            anonymous.write_text(text := anonymise(text), encoding="utf-8")
            recording = read_journal(text)
    except OSError as exc:
        raise ReplayRefused(f"{exc.filename or name}: {exc.strerror}") from exc
    except ValueError as exc:
        raise ReplayRefused(f"{name} is no journal: it {exc}") from exc
    roster = chosen_roster(environ)
    try:
        replayed = trio.run(partial(replay, recording, roster), clock=MockClock(autojump_threshold=0))
    except trio.TooSlowError as exc:
        raise ReplayRefused(f"{name} is longer than an hour, or would never end") from exc
    return list(report(replayed)), not replayed.differences


def chosen_roster(environ: Mapping[str, str]) -> Roster:
    """Load the agents of the server's setting; a person can be reached where its settings name one.

    *Raises* `RosterError` and `SettingsError`.
    """
    human = any(environ.get(name, "").strip() for name in ("TRANSFER_PHONE_NUMBER", "FALLBACK_PHONE_NUMBER"))
    return roster_of(",".join(read_one(environ, AGENTS)), human=human)
