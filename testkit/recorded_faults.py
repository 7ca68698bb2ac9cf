"""What failed in a recorded call: a fault line for each session that was slow, lost, or fell silent."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from actors import facts
from actors.journal import Entry

USUAL_START: Final = 0.165
"""Seconds from connecting to SettingsApplied, in the simulated service."""
NOTICEABLE: Final = 0.06
AN_AGE: Final = 6.0
"""A session that has not answered a turn for so long has fallen silent."""
A_PIECE: Final = 0.16
"""Seconds of a reply that the simulated service sends at a time."""
JUST_BEFORE: Final = 0.1
"""A session that is mute so long before it has understood a turn does nothing about it."""
_BY_THE_SERVICE: Final = ("closed (", "HTTP", "has read nothing", "_")
_REFUSALS: Final = ("401", "404", "429", "503")
_CLOSES: Final = ("1000", "1005", "1011")


def recorded_faults(entries: Sequence[Entry]) -> Iterator[str]:
    """Yield the fault lines with which the call is played again."""
    yield from _without_doubt([*_mute(entries), *_faults(entries), *_left_goodbye(entries)])


def _faults(entries: Sequence[Entry]) -> Iterator[str]:
    """Yield a fault line for each session that failed, was slow to start, or was lost."""
    connection, ready, alive = 0, dict[int, tuple[int, float]](), dict[int, float]()
    of_incarnation, agents = dict[int, int](), _agents_of(entries)
    for entry in entries:
        match entry.fact:
            case facts.SessionConnecting(incarnation=incarnation):
                connection += 1
                of_incarnation[incarnation] = connection
            case facts.SessionFailed(incarnation=incarnation, error=error):
                yield _failure(of_incarnation.get(incarnation, connection or 1), error)
            case facts.SessionReady(incarnation=incarnation, took=took) if incarnation in of_incarnation:
                number = of_incarnation[incarnation]
                ready[incarnation] = (number, entry.at)
                if took - USUAL_START > NOTICEABLE:
                    yield f"deepgram: slow settings {took - USUAL_START:.3f} s on connection {number}"
            case facts.SessionCrashed(incarnation=incarnation, error=error) if incarnation in ready:
                number, began = ready[incarnation]
                sign = _stopped(entries, entry) or alive.get(incarnation, began)
                yield from _loss(number, error, max(0.0, entry.at - began), max(0.0, sign - began))
            case _:
                pass
        if ready and _is_sign_of_life(entry.fact) and getattr(entry.fact, "agent", "") in agents[max(ready)]:
            alive[max(ready)] = entry.at


def _agents_of(entries: Sequence[Entry]) -> Mapping[int, Collection[str]]:
    """Return the agents of each session: a soft handoff connects none."""
    agents: dict[int, list[str]] = {}
    for entry in entries:
        match entry.fact:
            case (
                facts.SessionConnecting(agent=agent, incarnation=number)
                | facts.FloorTaken(agent=agent, incarnation=number)
            ):
                agents.setdefault(number, []).append(agent)
            case _:
                pass
    return agents


def _left_goodbye(entries: Sequence[Entry]) -> Iterator[str]:
    """Yield a fault line for a goodbye that stopped in the middle, which ended the call."""
    connection, ready = 0, 0.0
    for entry in entries:
        match entry.fact:
            case facts.SessionConnecting():
                connection += 1
            case facts.SessionReady():
                ready = entry.at
            case facts.GoodbyeHeard(complete=False) if (at := _stopped(entries, entry)) is not None:
                yield f"deepgram: silent drop after {max(0.0, at - ready):.3f} s on connection {connection}"
            case _:
                pass


def _stopped(entries: Sequence[Entry], lost: Entry) -> float | None:
    """Return when the service stopped in the middle of the reply that was under way at this entry, if one was.

    It had sent what was heard of it, twice as fast as it was heard, in pieces of `A_PIECE`.
    """
    cut = {e.fact.generation for e in entries if isinstance(e.fact, facts.BargeIn)}
    left = (
        e.fact.generation
        for e in entries
        if isinstance(e.fact, facts.ReplyEnded) and 0.0 <= e.at - lost.at < 0.1
        if not e.fact.complete and e.fact.agent == getattr(lost.fact, "agent", "") and e.fact.generation not in cut
    )
    number = next(left, None)
    spoke = [e.fact for e in entries if isinstance(e.fact, facts.AgentSpoke) and e.fact.generation == number]
    if not spoke:
        return None
    pieces = round(sum(fact.end - fact.start for fact in spoke) / A_PIECE)
    return spoke[0].start + (pieces - 1) * A_PIECE / 2 + A_PIECE / 4


def _without_doubt(lines: Sequence[str]) -> Iterator[str]:
    """Leave out that a session fell silent where it is said that it had gone mute."""
    mute = {line.rpartition(" on ")[2] for line in lines if "mute" in line}
    for line in lines:
        if "silent drop" not in line or line.rpartition(" on ")[2] not in mute:
            yield line


def _mute(entries: Sequence[Entry]) -> Iterator[str]:
    """Yield a fault line for each session that has heard a turn and never said or did anything again."""
    connection, ready, heard = 0, 0.0, 0.0
    agents = _agents_of(entries)
    known: Collection[str] = ()
    for entry in (*entries, Entry(0, entries[-1].at, facts.SessionConnecting("", 0, "over"))):
        match entry.fact:
            case facts.TurnHeard() if not heard:
                heard = entry.at
            case facts.ReplyText(agent=speaks) | facts.FunctionCalled(agent=speaks) if speaks in known:
                heard = 0.0
            case facts.SessionCrashed() | facts.SessionConnecting(why="over") if heard:
                if entry.at - heard > AN_AGE:
                    at = max(0.0, heard - ready - JUST_BEFORE)
                    yield f"deepgram: mute after {at:.3f} s on connection {connection}"
                heard = 0.0
            case facts.SessionConnecting(incarnation=incarnation):
                connection, known = connection + 1, agents.get(incarnation, ())
            case facts.SessionReady():
                ready, heard = entry.at, 0.0
            case _:
                pass


def _failure(connection: int, error: str) -> str:
    if found := re.search(r"HTTP (\d{3})", error):
        status = found.group(1) if found.group(1) in _REFUSALS else "503"
        return f"deepgram: refuse connect {connection} with {status} times 1"
    if found := re.search(r"\b([A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+)\b", error):
        return f"deepgram: error {found.group(1)} on connection {connection}"
    if "not ready" in error:
        return f"deepgram: slow settings 60 s on connection {connection}"
    return f"deepgram: drop on connection {connection}"


def _loss(connection: int, error: str, at: float, sign: float) -> Iterator[str]:
    where = f"after {at:.3f} s on connection {connection}"
    if "sign of life" in error or "does not say" in error:
        yield f"deepgram: silent drop after {sign + 0.02:.3f} s on connection {connection}"
    elif not any(word in error for word in _BY_THE_SERVICE):
        return  # our own giving up, which comes again where its reason does
    elif found := re.search(r"\b([A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+)\b", error):
        yield f"deepgram: error {found.group(1)} {where}"
    elif (found := re.search(r"code (\d{4})", error)) and found.group(1) in _CLOSES:
        yield f"deepgram: close {found.group(1)} {where}"
    else:
        yield f"deepgram: drop {where}"


def _is_sign_of_life(fact: facts.Fact) -> bool:
    if isinstance(fact, facts.ReplyEnded):  # played to its end, it was sent to its end
        return fact.complete
    return isinstance(
        fact,
        facts.UserStartedSpeaking
        | facts.TurnHeard
        | facts.ReplyStarted
        | facts.ReplyText
        | facts.FunctionCalled
        | facts.LatencyReported
        | facts.WarningReported
        | facts.FloorTaken,
    )
