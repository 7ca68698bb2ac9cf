"""The oracle itself: a whole call passes, and each thing that is wrong with what a call left behind is named."""

from collections.abc import Callable

import attrs
import pytest

from actors import facts
from actors.journal import Entry
from simulators.deepgram.log import Closed
from simulators.twilio.log import BufferCleared
from testkit.oracle import check
from testkit.witness import Witnessed, started
from tests.faults.short import throw
from web.calls.slots import Slots

Spoil = Callable[[Witnessed], None]


@pytest.fixture(name="played")
def _played() -> Witnessed:
    return throw()


def put(played: Witnessed, at: float, fact: facts.Fact) -> None:
    """Enter a fact where it belongs."""
    place = next(index for index, entry in enumerate(played.entries) if entry.at > at)
    played.entries.insert(place, Entry(0, at, fact))


def leave_a_task(played: Witnessed) -> None:
    played.records.at_work.append("actors.session.agent_session.AgentSession._listen")


def leave_a_connection_open(played: Witnessed) -> None:
    assert played.exchange is not None
    log = played.exchange.log
    log.entries = [entry for entry in log.entries if not isinstance(entry, Closed) or entry.connection != 1]


def lose_a_word(played: Witnessed) -> None:
    turns = [attrs.evolve(turn, text=turn.text.replace("help", "")) for turn in played.the_record.transcript]
    played.record = attrs.evolve(played.the_record, transcript=tuple(turns))


def hear_a_line_twice(played: Witnessed) -> None:
    transcript = played.the_record.transcript
    played.record = attrs.evolve(played.the_record, transcript=(*transcript, transcript[-2]))


def lose_frames(played: Witnessed) -> None:
    frames = attrs.evolve(played.the_record.frames, unheard=3)
    played.record = attrs.evolve(played.the_record, frames=frames)


def skip_what_was_said_in_a_handoff(played: Witnessed) -> None:
    for index, entry in enumerate(played.entries):
        if isinstance(entry.fact, facts.FloorTaken) and entry.fact.agent == "second":
            fact = attrs.evolve(entry.fact, offset=entry.fact.offset + 10)
            played.entries[index] = attrs.evolve(entry, fact=fact)


def speak_together(played: Witnessed) -> None:
    put(played, 10, facts.AgentSpoke("first", 9, 6.0, 14.5))


def speak_without_the_floor(played: Witnessed) -> None:
    put(played, 15, facts.ReplyStarted("first", 9))


def play_what_was_cleared(played: Witnessed) -> None:
    assert played.caller is not None
    played.caller.log.put(BufferCleared(started(played) + 15.0, 800, 1))


def keep_the_caller_waiting(played: Witnessed) -> None:
    assert played.caller is not None
    del played.caller._playout._intervals[1:5]
    played.policy = attrs.evolve(played.policy, deadlines=attrs.evolve(played.policy.deadlines, silence_budget=3.0))


def cut_the_goodbye(played: Witnessed) -> None:
    for index, entry in enumerate(played.entries):
        if isinstance(entry.fact, facts.GoodbyeHeard):
            played.entries[index] = attrs.evolve(entry, fact=facts.GoodbyeHeard("second", complete=False))


def save_twice(played: Witnessed) -> None:
    played.records.saves += 1


def crash(played: Witnessed) -> None:
    put(played, 5, facts.ActorCrashed("call", "KeyError: 'type'"))


def crash_a_session_by_a_mistake(played: Witnessed) -> None:
    put(played, 5, facts.SessionCrashed("first", 1, "KeyError: 'type'", retryable=True))


def take_too_long(played: Witnessed) -> None:
    assert played.caller is not None
    played.caller._playout._intervals.append((8000 * 200, 8000 * 201))
    played.entries[-1] = attrs.evolve(played.entries[-1], at=201.0)


def leak_a_slot(played: Witnessed) -> None:
    assert isinstance(played.slots, Slots)
    played.slots._taken.add("the call")


def log_a_number(played: Witnessed) -> None:
    played.logs = [{"event": "call_started", "log_level": "info", "caller": "+15551230042"}]


def log_what_was_said(played: Witnessed) -> None:
    played.logs = [{"event": "turn", "log_level": "info", "text": "Yes please."}]


@pytest.mark.parametrize(
    ("promise", "spoil"),
    [
        (1, leave_a_task),
        (1, leave_a_connection_open),
        (2, lose_a_word),
        (2, hear_a_line_twice),
        (2, lose_frames),
        (2, skip_what_was_said_in_a_handoff),
        (3, speak_together),
        (3, speak_without_the_floor),
        (3, play_what_was_cleared),
        (4, keep_the_caller_waiting),
        (5, cut_the_goodbye),
        (6, save_twice),
        (7, crash),
        (7, crash_a_session_by_a_mistake),
        (8, take_too_long),
        (9, leak_a_slot),
        (10, log_a_number),
        (10, log_what_was_said),
    ],
)
def test_what_is_wrong_with_a_call_is_named(played: Witnessed, promise: int, spoil: Spoil) -> None:
    assert [] == check(played)

    spoil(played)

    assert promise in {int(broken.partition(":")[0]) for broken in check(played)}
    assert promise not in {int(broken.partition(":")[0]) for broken in check(played, excused={promise})}
