"""The oracle itself: a whole call passes, and each thing that is wrong with what a call left behind is named."""

from collections import deque
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from actors import facts
from actors.journal import Entry
from simulators.deepgram.log import Closed, FaultInjected
from simulators.twilio.log import BufferCleared, DigitSent, LineSpoken
from testkit.excuses import as_table
from testkit.functions import Blocked, FunctionRun
from testkit.oracle import check
from testkit.silence import silences
from testkit.witness import Witnessed, started
from tests.examples import one_in
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
    log.entries = deque(entry for entry in log.entries if not isinstance(entry, Closed) or entry.connection != 1)


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


def hear_a_cut_reply_again_though_the_caller_spoke(played: Witnessed) -> None:
    """The journal says it was a noise; the phone knows that the caller said something."""
    assert played.caller is not None
    (spoken, *_) = [line for line in played.caller.log.of(LineSpoken) if "Yes" in line.text]
    at = spoken.at - started(played)
    played.caller.log.put(BufferCleared(spoken.at + 0.1, 800, 1))
    put(played, at + 0.2, facts.ReplyResumed("first", 3, 0.5))
    played.caller._playout._intervals.append((round(8000 * (at + 0.3)), round(8000 * (at + 0.6))))


def rob_the_caller_of_a_reply_that_nothing_has_cut(played: Witnessed) -> None:
    at, reply = next((e.at, e.fact) for e in played.entries if isinstance(e.fact, facts.ReplyStarted) and e.at > 14)
    put(played, at + 0.1, facts.UserStartedSpeaking("second"))
    put(played, at + 0.1, facts.BargeIn("second", reply.generation, 0.1, 2.5))


def begin_an_answer_anew(played: Witnessed) -> None:
    *_, goodbye = played.facts(facts.ReplyEnded)
    half = attrs.evolve(goodbye, heard=" ".join(goodbye.heard.split()[:4]), complete=False)
    put(played, played.times(facts.ReplyEnded)[-1] - 0.01, half)


def break_a_reply_off(played: Witnessed) -> None:
    """A silent service has sent half of the answer; nothing follows for longer than the budget."""
    assert played.exchange is not None
    for index, entry in enumerate(played.entries):
        if isinstance(entry.fact, facts.ReplyEnded) and "pass" in entry.fact.text:
            played.entries[index] = attrs.evolve(entry, fact=attrs.evolve(entry.fact, complete=False))
    played.exchange.log.put(FaultInjected(started(played) + 5.0, 1, "mute"))
    assert played.caller is not None
    log = played.caller.log
    log.entries = [entry for entry in log.entries if not (isinstance(entry, LineSpoken) and "Yes" in entry.text)]
    waits = attrs.evolve(played.policy.deadlines, silence_budget=1.5)
    played.policy = attrs.evolve(played.policy, deadlines=waits)


def hang_up_on_a_speaker(played: Witnessed) -> None:
    assert played.caller is not None
    over = started(played) + played.times(facts.CallEnded)[-1]
    played.caller.log.put(LineSpoken(over - 2.0, "But when are you open on Sundays in the winter, please?", over + 3.0))


def outcome_is(outcome: str) -> Spoil:
    def spoil(played: Witnessed) -> None:
        played.record = attrs.evolve(played.the_record, outcome=outcome)
        played.records._kept = {played.record.call_sid: played.record}

    spoil.__name__ = f"say_that_it_ended_as_{outcome or 'nothing'}"
    return spoil


def go_on_when_nobody_speaks(played: Witnessed) -> None:
    """Nobody says anything for a minute, and nothing ends the call."""
    played.entries[-1] = attrs.evolve(played.entries[-1], at=played.entries[-1].at + 60.0)


def log_a_number_without_its_plus(played: Witnessed) -> None:
    number = played.script.caller.number.removeprefix("+")
    played.logs = [{"event": "call_started", "log_level": "info", "caller": number}]


def log_a_key(played: Witnessed) -> None:
    played.logs = [{"event": "brief_failed", "log_level": "warning", "why": "401 for gsk_test"}]


def do_it_twice(played: Witnessed) -> None:
    played.runs += 2 * [FunctionRun(4.0, "first", "look_up", "{}")]


def block_the_loop(played: Witnessed) -> None:
    played.blocks.append(Blocked(4.0, "look_up", 0.3, "acme/agents.py:12"))


@pytest.mark.parametrize(
    ("promise", "spoil"),
    one_in(
        2,
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
            (3, hear_a_cut_reply_again_though_the_caller_spoke),
            (3, rob_the_caller_of_a_reply_that_nothing_has_cut),
            (3, begin_an_answer_anew),
            (4, break_a_reply_off),
            (5, hang_up_on_a_speaker),
            *(
                (6, outcome_is(name))
                for name in (
                    "",
                    "cut",
                    "crashed",
                    "no_agent",
                    "caller_hung_up",
                    "caller_silent",
                    "line_dead",
                    "transferred",
                )
            ),
            (8, go_on_when_nobody_speaks),
            (10, log_a_number_without_its_plus),
            (10, log_a_key),
            (11, do_it_twice),
            (13, block_the_loop),
        ],
    ),
)
def test_what_is_wrong_with_a_call_is_named(played: Witnessed, promise: int, spoil: Spoil) -> None:
    assert [] == check(played)

    spoil(played)

    assert promise in {int(broken.partition(":")[0]) for broken in check(played)}
    assert promise not in {int(broken.partition(":")[0]) for broken in check(played, excused={promise})}


def test_the_docs_show_what_faults_excuse() -> None:
    page = Path(__file__).parents[2] / "docs" / "testing-your-agents.md"

    assert as_table() in page.read_text(encoding="utf-8")


def test_a_fault_excuses_only_what_it_makes_impossible() -> None:
    played = throw(["deepgram: mute after 100 s"])
    cut_the_goodbye(played)

    assert [5] == [int(broken.partition(":")[0]) for broken in check(played)]


def test_a_goodbye_that_the_telephone_network_says_is_heard() -> None:
    played = throw(["deepgram: mute after 100 s"])
    cut_the_goodbye(played)
    put(played, played.entries[-1].at - 0.01, facts.ClosingUnsaid("completed"))
    assert [5] == [int(broken.partition(":")[0]) for broken in check(played)]

    played.line.asked = [("redirect", "<Response><Say>Goodbye.</Say></Response>")]
    replies = [entry for entry in played.entries if isinstance(entry.fact, facts.ReplyEnded)]
    played.entries.remove(replies[-1])

    assert [] == [broken for broken in check(played) if broken.startswith("5")]


def test_a_caller_who_presses_keys_does_not_wait_meanwhile(played: Witnessed) -> None:
    keep_the_caller_waiting(played)
    assert 4 in {int(broken.partition(":")[0]) for broken in check(played)}
    assert played.caller is not None
    for start, end in list(silences(played)):
        for third in (1, 2):
            played.caller.log.put(DigitSent(started(played) + start + third * (end - start) / 3, "1"))

    assert 4 not in {int(broken.partition(":")[0]) for broken in check(played)}
