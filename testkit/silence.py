"""Promise 4 of the oracle: the caller never waits in silence, while it is the agents' turn, longer than the budget."""

import math
from collections.abc import Iterator
from typing import Final

from actors import facts
from actors.line.ledger import SWITCHBOARD
from simulators.deepgram.log import FaultInjected
from simulators.twilio.log import DigitSent
from testkit.heard import holder_at
from testkit.witness import Witnessed, ended, has_bad_line, spoken_lines, started


def no_long_silence(played: Witnessed) -> Iterator[str]:
    """The agents' turn begins with the call, and when the caller has spoken; it ends with a reply that is no filler.

    A reply that the service breaks off without a word is still the agents' turn.
    """
    assert played.caller is not None
    longest = played.policy.deadlines.silence_budget + played.slack + played.caller.faults.seconds("jitter")
    for start, end in silences(played):
        if end - start > longest:
            yield f"the caller waited in silence from {start:.2f} to {end:.2f} s"


def silences(played: Witnessed) -> Iterator[tuple[float, float]]:
    """Yield when nothing was heard, nor a key pressed, though it was the agents' turn."""
    assert played.caller is not None
    over = ended(played)
    keys = [entry.at - started(played) for entry in played.caller.log.of(DigitSent)]
    lines = ((line.at, line.until) for line in spoken_lines(played))
    sounds = sorted([*lines, *((at, at) for at in keys), *played.caller.played, *_noises(played)])
    for since, until in owed(played):
        quiet = since
        for start, end in sounds:
            if end <= since or start >= until:
                continue
            if start > quiet:
                yield quiet, start
            quiet = max(quiet, end)
        if quiet < min(until, over):
            yield quiet, min([over, *(start for start, _ in sounds if start >= until - played.slack / 2)])


def _noises(played: Witnessed) -> list[tuple[float, float]]:
    """Return what else was as loud as a voice on a bad line: while somebody in the room speaks, nobody is silent."""
    if not has_bad_line(played):
        return []
    return [(fact.start, fact.end) for fact in played.facts(facts.CallerSpoke)]


def owed(played: Witnessed) -> Iterator[tuple[float, float]]:
    """Yield the agents' turns: from when something has to be said until an agent has begun to say it."""
    since: float | None = 0.0
    for at, what in sorted([*_turns(played), (ended(played), "over")], key=lambda turn: turn[0]):
        if what == "owes" and since is None:
            since = at
        elif what != "owes" and since is not None:
            yield since, at
            since = None


def _turns(played: Witnessed) -> Iterator[tuple[float, str]]:
    for line in spoken_lines(played):
        yield line.at, "caller speaks"
        yield line.until, "owes"
    spoken = {fact.generation: fact.start for fact in reversed(played.facts(facts.AgentSpoke))}
    goodbyes, fillers = list(_goodbyes(played)), {text for each in played.sentences for text in each.fillers}
    for fact in played.facts(facts.ReplyEnded):
        at = spoken.get(fact.generation, math.inf)
        is_goodbye = any(begun <= at <= over for begun, over in goodbyes)
        is_filler = fact.text in fillers or fact.agent == SWITCHBOARD
        if at < math.inf and not is_goodbye and not is_filler:
            yield at, "agent speaks"
    yield from ((at, "owes") for at in _broken_off(played))
    for entry in played.entries:
        match entry.fact:
            case facts.FunctionAnswered(result=result) if "ended" not in result:
                yield entry.at, "owes"
            case facts.GoodbyeStarted() | facts.HandoffAsked():
                yield entry.at, "owes"
            case facts.GoodbyeHeard():
                yield entry.at, "goodbye heard"
            case _:
                pass


_SILENTLY: Final = frozenset({"silent drop", "stall", "mute"})


def fell_silent(played: Witnessed) -> set[int]:
    """Return the connections whose service fell silent without a word."""
    assert played.exchange is not None
    return {entry.connection for entry in played.exchange.log.of(FaultInjected) if entry.fault in _SILENTLY}


def _broken_off(played: Witnessed) -> Iterator[float]:
    """Yield when a reply stopped that the service has neither ended nor been interrupted in, having fallen silent."""
    silent = fell_silent(played)
    began = {e.fact.generation: e.at for e in played.entries if isinstance(e.fact, facts.ReplyStarted)}
    cut = {fact.generation for fact in played.facts(facts.BargeIn)}
    heard = {fact.generation: fact.end for fact in played.facts(facts.AgentSpoke)}
    for fact in played.facts(facts.ReplyEnded):
        number = fact.generation
        is_left = not fact.complete and number in heard and number not in cut and fact.agent != SWITCHBOARD
        if is_left and holder_at(played, began[number]) in silent:
            yield heard[number]


def _goodbyes(played: Witnessed) -> Iterator[tuple[float, float]]:
    """Yield from when to when an agent had the last word."""
    begun = math.inf
    for entry in played.entries:
        match entry.fact:
            case facts.GoodbyeStarted():
                begun = entry.at
            case facts.GoodbyeHeard() | facts.FloorLeft() | facts.CallEnded() if begun < math.inf:
                yield begun, entry.at
                begun = math.inf
            case facts.TurnHeard():
                begun = math.inf  # the caller goes on
            case _:
                pass
