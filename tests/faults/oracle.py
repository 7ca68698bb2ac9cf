"""What must be true of every call, whatever went wrong with it: the promises of the design, seen from outside.

`check` reads what a call has left behind (journal, record, the simulators' logs, the log lines) and returns each
broken promise as a sentence. It knows which faults were thrown only from the simulators' logs. A promise that a case
cannot keep is named in `excused`, by the case, with a reason of its own.

1 nothing is left · 2 every word is heard, once · 3 one voice at a time, none after `clear` · 4 no long silence ·
5 goodbyes are heard · 6 one record · 7 no peer can crash a call · 8 it ends in time · 9 no slot leaks ·
10 no secrets in the logs. Of calls that only rang, `ringing.py` asks the same, as far as it can be asked.
"""

import math
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import pairwise
from typing import Final

import attrs

from actors import facts
from actors.ledger import SWITCHBOARD
from actors.tape import KEPT_FRAMES
from protocol.audio import BYTES_PER_SECOND, FRAME_SECONDS
from protocol.deepgram import SettingsApplied
from simulators.deepgram.brain import words_of
from simulators.deepgram.log import Closed, Connected, FaultInjected, Sent
from simulators.speech import synthesise
from simulators.twilio.log import BufferCleared, LineSpoken, StreamOpened
from tests.faults.short import BUNDLE, Witnessed

OUTCOMES: Final = frozenset({"completed", "caller_hung_up", "no_agent", "caller_silent", "line_dead"})
SLACK: Final = 0.45
"""Seconds by which this coarse world may be late: 200 ms of either side at a time."""
HEARING: Final = 1.0
"""Seconds from the end of a word until it is confirmed: the recogniser's pause, and the slack."""
LONGEST: Final = 60.0
"""Seconds that a call of this size may take, whatever goes wrong: it takes 23 when nothing does."""
OURS: Final = ("AgentUnavailable", "RemoteProtocolError")
"""What a session may crash of: the far end's doing. Anything else is a mistake of ours that a restart hides."""


def check(played: Witnessed, *, excused: Collection[int] = ()) -> list[str]:
    """Return every broken promise, but for those excused."""
    if played.record is None:
        return [] if 8 in excused else [f"8: the call had no end, and left no record: {played.escaped!r}"]
    return [
        f"{number}: {broken}" for number, find in PROMISES.items() if number not in excused for broken in find(played)
    ]


# 1


def nothing_is_left(played: Witnessed) -> Iterator[str]:
    if played.records.at_work:
        yield f"still at work when the record was saved: {sorted(set(played.records.at_work))}"
    assert played.exchange is not None
    log = played.exchange.log
    closed = {entry.connection for entry in log.of(Closed)}
    deaf = {entry.connection for entry in log.of(FaultInjected) if entry.fault == "stall"}
    for entry in log.of(Connected):
        if entry.connection not in closed | deaf:
            yield f"connection {entry.connection} was not closed"
    late = [entry.connection for entry in log.of(Closed) if entry.at > started(played) + ended(played) + SLACK]
    if late:
        yield f"connections {late} were closed after the call"


# 2


def every_word_is_heard_once(played: Witnessed) -> Iterator[str]:
    record = played.the_record
    assert played.summary is not None
    if record.frames.unheard:
        yield f"{record.frames.unheard} frames of the caller reached no session"
    lost = played.summary.sent_frames - record.frames.caller_in
    if lost > BUNDLE or (lost and played.summary.how == "hung up"):
        yield f"{lost} frames of the caller did not get on the tape"
    yield from _offsets_go_on(played)
    yield from _transcript_is_what_was_said(played)


def _offsets_go_on(played: Witnessed) -> Iterator[str]:
    """A session listens from no later than where the one before it stopped."""
    asked = math.inf
    for entry in played.entries:
        match entry.fact:
            case facts.HandoffAsked(offset=offset):
                asked = offset
            case facts.HandoffFailed() | facts.HandoffWithdrawn():
                asked = math.inf
            case facts.FloorTaken(agent=agent, offset=offset):
                if offset > asked:
                    yield f"{agent} listens from frame {offset}, but the handoff was asked for at {asked}"
                asked = math.inf
            case _:
                pass


def _transcript_is_what_was_said(played: Witnessed) -> Iterator[str]:
    deaf, forgotten = deaf_from(played), max([0.0, *played.times(facts.FloorTaken)]) - KEPT_FRAMES * FRAME_SECONDS
    surely: list[str] = []
    perhaps: list[str] = []
    for line in spoken_lines(played):
        (surely if forgotten < line.at and line.until <= deaf and not perhaps else perhaps).extend(words_of(line.text))
    heard = words_of(" ".join(played.said_by_caller()))
    if heard[: len(surely)] != surely:
        yield f"the caller said {' '.join(surely)!r} before {deaf:.2f} s, and {' '.join(heard)!r} was heard"
    elif not _is_within(heard[len(surely) :], perhaps):
        yield f"after {' '.join(surely)!r} the caller said {' '.join(perhaps)!r}, and {' '.join(heard)!r} was heard"


def _is_within(some: Sequence[str], words: Sequence[str]) -> bool:
    rest = iter(words)
    return all(word in rest for word in some)


@attrs.frozen
class Line:
    """One line of the caller's, in seconds of the call; `until` is the end of its last word."""

    text: str
    at: float
    until: float


def spoken_lines(played: Witnessed) -> list[Line]:
    assert played.caller is not None
    lines = []
    for entry in played.caller.log.of(LineSpoken):
        at = entry.at - started(played)
        last = synthesise(entry.text, played.script.caller.voice).words[-1].end_byte / BYTES_PER_SECOND
        lines.append(Line(entry.text, at, at + last))
    return lines


def deaf_from(played: Witnessed) -> float:
    """Return the second of the call up to which what the caller said must have been understood.

    That is as far as the last session that could hear, and had the floor, had listened: it had to catch up with the
    tape from where it began, at the replay rate.
    """
    assert played.exchange is not None
    log, begin = played.exchange.log, started(played)
    over = min([ended(played), *played.times(facts.GoodbyeStarted)[-1:]])
    furthest = 0.0
    for connection, taken in zip(_conversing(played), played.facts(facts.FloorTaken), strict=False):
        since = next(entry.at for entry in log.of(Sent, connection) if isinstance(entry.message, SettingsApplied))
        ends = [entry.at for kind in (Closed, FaultInjected) for entry in log.of(kind, connection)]
        until = min([over, *(at - begin for at in ends)])
        furthest = max(furthest, _listened(played, since - begin, taken.offset, until) - HEARING)
    return furthest


def _listened(played: Witnessed, since: float, offset: int, until: float) -> float:
    """Return how far a session had listened that was at this frame `since`: no further while it had asked to leave."""
    is_held = False
    for entry in played.entries:
        match entry.fact:
            case facts.HandoffAsked(offset=asked) if since <= entry.at <= until:
                is_held, offset = True, asked
            case facts.HandoffFailed() | facts.HandoffWithdrawn() if is_held and entry.at <= until:
                is_held, since = False, entry.at
            case _:
                pass
    read = offset * FRAME_SECONDS
    return read if is_held else min(until, read + (until - since) * played.policy.replay_rate)


def _conversing(played: Witnessed) -> list[int]:
    """Return the connections that took the floor, in order."""
    assert played.exchange is not None
    taken = {entry.fact.incarnation for entry in played.entries if isinstance(entry.fact, facts.FloorTaken)}
    connecting = [entry.fact for entry in played.entries if isinstance(entry.fact, facts.SessionConnecting)]
    return [number for number, fact in enumerate(connecting, 1) if fact.incarnation in taken]


def holder_at(played: Witnessed, at: float) -> int:
    """Return the connection whose session had the floor last, at some second of the call; 0 if none ever had."""
    taken = zip(_conversing(played), played.times(facts.FloorTaken), strict=False)
    return max([0, *(connection for connection, since in taken if since <= at)])


# 3


def one_voice_at_a_time(played: Witnessed) -> Iterator[str]:
    spoke = sorted((fact.start, fact.end, fact.agent) for fact in played.facts(facts.AgentSpoke))
    for (_, end, one), (start, _, other) in pairwise(spoke):
        if start < end - 0.01:
            yield f"{one} spoke until {end:.2f} s, and {other} from {start:.2f} s"
    holder = ""
    for entry in played.entries:
        match entry.fact:
            case facts.FloorTaken(agent=agent):
                if holder:
                    yield f"{agent} took the floor from {holder}, who had not left it, at {entry.at:.2f} s"
                holder = agent
            case facts.FloorLeft():
                holder = ""
            case facts.ReplyStarted(agent=agent) if agent not in {holder, SWITCHBOARD}:
                yield f"{agent} spoke without the floor at {entry.at:.2f} s"
            case _:
                pass
    yield from _nothing_after_clear(played)


def _nothing_after_clear(played: Witnessed) -> Iterator[str]:
    assert played.caller is not None
    cleared = [entry.at - started(played) for entry in played.caller.log.of(BufferCleared)]
    begun = played.times(facts.ReplyStarted)
    for at in cleared:
        following = min((time for time in begun if time >= at), default=math.inf)
        for start, end in played.caller.played:
            if max(start, at + 0.02) < min(end, following - 0.02):
                yield f"after the clear at {at:.2f} s the caller heard something at {start:.2f} s, of nothing new"


# 4


def no_long_silence(played: Witnessed) -> Iterator[str]:
    """The agents' turn begins with the call, and when the caller has spoken; it ends with a reply that is no filler."""
    assert played.caller is not None
    longest = played.policy.silence_budget + SLACK + played.caller.faults.jitter
    for start, end in silences(played):
        if end - start > longest:
            yield f"the caller waited in silence from {start:.2f} to {end:.2f} s"


def silences(played: Witnessed) -> Iterator[tuple[float, float]]:
    """Yield when nothing was heard though it was the agents' turn."""
    assert played.caller is not None
    over = ended(played)
    sounds = sorted([*((line.at, line.until) for line in spoken_lines(played)), *played.caller.played])
    for since, until in owed(played):
        quiet = since
        for start, end in sounds:
            if end <= since or start >= until:
                continue
            if start > quiet:
                yield quiet, start
            quiet = max(quiet, end)
        if quiet < min(until, over):
            yield quiet, min([over, *(start for start, _ in sounds if start >= until - SLACK / 2)])


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
    goodbyes = list(_goodbyes(played))
    for fact in played.facts(facts.ReplyEnded):
        at = spoken.get(fact.generation, math.inf)
        is_goodbye = any(begun <= at <= over for begun, over in goodbyes)
        if at < math.inf and not is_goodbye and fact.text not in played.policy.fillers and fact.agent != SWITCHBOARD:
            yield at, "agent speaks"
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
            case _:
                pass


# 5


def goodbyes_are_heard(played: Witnessed) -> Iterator[str]:
    if not played.facts(facts.GoodbyeStarted) or played.the_record.outcome == "caller_hung_up":
        return
    if not any(fact.complete for fact in played.facts(facts.GoodbyeHeard)):
        yield "the goodbye was begun, and not heard to its end"
    for reply in played.facts(facts.ReplyEnded)[-1:]:
        if reply.text != reply.heard:
            yield f"of the last words, {reply.text!r}, only {reply.heard!r} were heard"


# 6


def one_record(played: Witnessed) -> Iterator[str]:
    kept = list(played.records._kept.values())
    if played.records.saves != 1 or len(kept) != 1:
        yield f"{len(kept)} records were kept, and {played.records.saves} were saved"
    if any(record.outcome not in OUTCOMES for record in kept):
        yield f"the outcome is {[record.outcome for record in kept]}"
    if [entry.event for entry in played.entries].count("call_ended") != 1:
        yield "the call did not end once"


# 7


def no_peer_crashes_a_call(played: Witnessed) -> Iterator[str]:
    if played.escaped is not None:
        yield f"{played.escaped!r} came out of the call"
    for line in played.logs:
        if line["log_level"] in {"error", "critical"}:
            yield f"the log says {line}"
    for actor in played.facts(facts.ActorCrashed):
        yield f"{actor.actor} crashed: {actor.error}"
    for session in played.facts(facts.SessionCrashed):
        if not session.error.startswith(OURS):
            yield f"a session of {session.agent} crashed by a mistake of ours: {session.error}"


# 8


def it_ends_in_time(played: Witnessed) -> Iterator[str]:
    """A caller who says nothing more may keep the line, and is asked; what we make them wait may not add up."""
    assert played.caller is not None
    last = max([0.0, *(line.until for line in spoken_lines(played)), *(end for _, end in played.caller.played)])
    until = min(ended(played), last + played.policy.silence_budget + played.policy.hang_up)
    if played.the_record.outcome == "caller_silent":
        until = min(until, *played.times(facts.CallerSilent)[-1 - played.policy.silent_asks :])
    if until > LONGEST:
        yield f"the call lasted {ended(played):.1f} s, until {until:.1f} s with somebody speaking or waiting"


# 9


def slots_are_free(played: Witnessed) -> Iterator[str]:
    if played.slots.taken:
        yield f"{played.slots.taken} of {played.slots.capacity} slots are taken, and the call is over"


# 10

SECRET_NUMBER: Final = re.compile(r"\+\d{8,15}")


def no_secrets_in_the_logs(played: Witnessed) -> Iterator[str]:
    said = {turn.text for turn in played.the_record.transcript} | {line.text for line in spoken_lines(played)}
    for line in played.logs:
        text = repr(line)
        if line["log_level"] != "debug" and (
            SECRET_NUMBER.search(text) or any(words in text for words in said if words)
        ):
            yield f"the log says {text}"


def started(played: Witnessed) -> float:
    """Return the trio time at which the call began."""
    assert played.caller is not None
    return played.caller.log.of(StreamOpened)[0].at


def ended(played: Witnessed) -> float:
    return played.times(facts.CallEnded)[-1]


PROMISES: Final[dict[int, Callable[[Witnessed], Iterator[str]]]] = {
    7: no_peer_crashes_a_call,
    6: one_record,
    1: nothing_is_left,
    2: every_word_is_heard_once,
    3: one_voice_at_a_time,
    4: no_long_silence,
    5: goodbyes_are_heard,
    8: it_ends_in_time,
    9: slots_are_free,
    10: no_secrets_in_the_logs,
}
