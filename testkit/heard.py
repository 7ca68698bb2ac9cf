"""Promise 2 of the oracle: every word of the caller's is heard, once, by the session whose it was."""

import math
from collections.abc import Iterator, Sequence

from actors import facts
from actors.line.tape import KEPT_FRAMES
from protocol.audio import FRAME_SECONDS
from protocol.fields import counted
from simulators.deepgram.brain import words_of
from simulators.deepgram.log import Closed, FaultInjected
from testkit.witness import Witnessed, ended, has_bad_line, is_of_keypad, spoken_lines, started


def every_word_is_heard_once(played: Witnessed) -> Iterator[str]:
    record = played.the_record
    assert played.summary is not None
    if record.frames.unheard:
        yield f"{counted(record.frames.unheard, 'frame')} of the caller reached no session"
    lost = played.summary.sent_frames - record.frames.caller_in
    if lost > played.bundle or (lost and played.summary.how == "hung up"):
        yield f"{counted(lost, 'frame')} of the caller did not get on the tape"
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
    is_clean = not has_bad_line(played)  # it swallows words
    for line in spoken_lines(played):
        (surely if forgotten < line.at and line.until <= deaf and is_clean and not perhaps else perhaps).extend(
            words_of(line.text)
        )
    heard = words_of(" ".join(text for text in played.said_by_caller() if not is_of_keypad(text)))
    if heard[: len(surely)] != surely:
        yield f"the caller said {' '.join(surely)!r} before {deaf:.2f} s, and {' '.join(heard)!r} was heard"
    elif not _is_within(heard[len(surely) :], perhaps):
        yield f"after {' '.join(surely)!r} the caller said {' '.join(perhaps)!r}, and {' '.join(heard)!r} was heard"


def _is_within(some: Sequence[str], words: Sequence[str]) -> bool:
    rest = iter(words)
    return all(word in rest for word in some)


def deaf_from(played: Witnessed) -> float:
    """Return the second of the call up to which what the caller said must have been understood.

    That is as far as the last session that could hear, and had the floor, had listened: it had to catch up with the
    tape from where it began, at the replay rate.
    """
    assert played.exchange is not None
    log, begin = played.exchange.log, started(played)
    over = min([ended(played), *played.times(facts.GoodbyeStarted)[-1:]])
    furthest, connections = 0.0, connections_by_session(played)
    for entry in played.entries:
        if not isinstance(entry.fact, facts.FloorTaken):
            continue
        connection, since, offset = connections[entry.fact.incarnation], entry.at, entry.fact.offset
        ends = [end.at for kind in (Closed, FaultInjected) for end in log.of(kind, connection)]
        until = min([over, *(at - begin for at in ends)])
        furthest = max(furthest, _listened(played, since, offset, until) - played.hearing)
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
    return read if is_held else min(until, read + (until - since) * played.policy.numbers.replay_rate)


def connections_by_session(played: Witnessed) -> dict[int, int]:
    """Return the connection of each session, by the session's number."""
    return {fact.incarnation: number for number, fact in enumerate(played.facts(facts.SessionConnecting), 1)}


def holder_at(played: Witnessed, at: float) -> int:
    """Return the connection whose session had the floor last, at some second of the call; 0 if none ever had."""
    connections = connections_by_session(played)
    taken = [
        entry.fact.incarnation
        for entry in played.entries
        if isinstance(entry.fact, facts.FloorTaken) and entry.at <= at
    ]
    return max([0, *(connections[incarnation] for incarnation in taken)])
