"""Promises 5, 6 and 8 of the oracle: how a call ends.

A goodbye is heard, and nobody is hung up on while they speak. There is one record, and its outcome is what happened, as
the far ends have seen it. Nothing keeps a call going for longer than its deadline.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from actors import facts
from simulators.twilio.log import DigitSent
from store.records import ANSWERED
from testkit.silence import silences
from testkit.witness import Witnessed, ended, spoken_lines, started

GOOD: Final = frozenset(ANSWERED) - {"crashed", "cut"}
"""No fault of any far end makes another outcome right."""
LEFT: Final = frozenset({"caller_hung_up", "line_dead"})
NOTICED: Final = 0.5
"""Seconds from the first sound of a voice until a line is known to carry one."""


# 5


def goodbyes_are_heard(played: Witnessed) -> Iterator[str]:
    """What no agent could say, the telephone network says."""
    yield from _nobody_is_hung_up_on(played)
    if not played.facts(facts.GoodbyeStarted) or played.the_record.outcome == "caller_hung_up":
        return
    is_said_by_line = played.facts(facts.ClosingUnsaid) and any(what == "redirect" for what, _ in played.line.asked)
    if not (is_said_by_line or any(fact.complete for fact in played.facts(facts.GoodbyeHeard))):
        at = played.times(facts.GoodbyeStarted)[-1]
        yield f"the goodbye was begun at {at:.2f} s, and not heard to its end"
    for reply in played.facts(facts.ReplyEnded)[-1:]:
        if reply.text != reply.heard:
            yield f"of the last words, {reply.text!r}, only {reply.heard!r} were heard"


def _nobody_is_hung_up_on(played: Witnessed) -> Iterator[str]:
    if played.the_record.outcome in LEFT or not played.line.asked:
        return
    over = ended(played)
    for line in spoken_lines(played):
        if line.at + NOTICED + played.slack < over < line.until:
            yield f"the caller was hung up on at {over:.2f} s, while they said {line.text!r}"


# 6


def one_true_record(played: Witnessed) -> Iterator[str]:
    kept = list(played.records._kept.values())
    if played.records.saves != 1 or len(kept) != 1:
        yield f"{len(kept)} records were kept, and {played.records.saves} were saved"
    for record in kept:
        if record.outcome not in GOOD:
            yield f"the outcome is {record.outcome!r}"
            continue
        lacks, is_true = _EVIDENCE.get(record.outcome, _BY_REQUEST)
        if not is_true(played):
            yield f"the outcome is {record.outcome!r}, and {lacks}"
    if sum(entry.event in {"call_ended", "call_parked"} for entry in played.entries) != 1:
        yield "the call did not end once"


def _caller_left(played: Witnessed) -> bool:
    """Whether the stream ended from the other side, before the line was asked for anything."""
    return any(fact.how != "call over" for fact in played.facts(facts.CallerHungUp))


def _no_agent_was_left(played: Witnessed) -> bool:
    return (
        any(what == "redirect" for what, _ in played.line.asked)
        and bool(played.facts(facts.RestartsExhausted))
        and any(fault.target == "deepgram" for fault in played.faults)
    )


def _caller_was_silent(played: Witnessed) -> bool:
    """Whether they were asked as often as they must be, and have said nothing since the first time of it."""
    questions, most = {each.still_there for each in played.sentences}, played.policy.numbers.silent_asks
    asked = [
        entry.at for entry in played.entries if isinstance(entry.fact, facts.ReplyText) and entry.fact.text in questions
    ][-most:]  # after their silence, or since the service may not hear them
    return len(asked) == most and not any(at > asked[0] for at in played.times(facts.TurnHeard))


def _somebody_asked_for_it(played: Witnessed) -> bool:
    """Whether something else than agents and caller ends the call: an operator, a limit, a machine, a transfer."""
    outcome = played.the_record.outcome
    closed = any(fact.outcome == outcome for fact in played.facts(facts.CallClosing))
    return closed or bool(played.facts(facts.MachineDetected)) or bool(played.facts(facts.TransferAsked))


_Evidence = tuple[str, Callable[[Witnessed], bool]]
_EVIDENCE: Final[Mapping[str, _Evidence]] = {
    "completed": ("no agent has ended the conversation", lambda played: bool(played.facts(facts.GoodbyeHeard))),
    "caller_hung_up": ("the caller has not hung up", _caller_left),
    "no_agent": ("the service has done nothing that would end it", _no_agent_was_left),
    "line_dead": (
        "the line was alive",
        lambda played: any(fault.kind in {"no media", "stalled reader"} for fault in played.faults),
    ),
    "caller_silent": ("the caller was not silent", _caller_was_silent),
}
_BY_REQUEST: Final[_Evidence] = ("nobody has asked for it", _somebody_asked_for_it)


# 8


def it_ends_in_time(played: Witnessed) -> Iterator[str]:
    """No silence outlasts the question whether the caller is there, and waits for a far end do not add up.

    A caller may keep silent when it is their turn, and is asked: that time does not count.
    """
    over, owed = ended(played), list(silences(played))
    deadlines = played.policy.deadlines
    longest = deadlines.caller_silence + deadlines.silence_budget + played.slack + deadlines.hang_up
    theirs = 0.0
    for start, end in _quiet(played):
        if end - start > longest:
            yield f"nobody said or did anything from {start:.2f} to {end:.2f} s, and the call went on"
        theirs += end - start - sum(max(0.0, min(end, until) - max(start, since)) for since, until in owed)
    if over - theirs > played.longest:
        yield f"the call lasted {over:.1f} s, {over - theirs:.1f} s of them with somebody speaking or waiting"


def _quiet(played: Witnessed) -> Iterator[tuple[float, float]]:
    """Yield when nobody was heard, on either side, and no key was pressed."""
    assert played.caller is not None
    over = ended(played)
    keys = [entry.at - started(played) for entry in played.caller.log.of(DigitSent)]
    sounds = [
        *((line.at, line.until) for line in spoken_lines(played)), *played.caller.played, *((at, at) for at in keys)
    ]  # fmt: skip
    quiet = 0.0
    for start, end in sorted([*sounds, (over, math.inf)]):
        if min(start, over) > quiet:
            yield quiet, min(start, over)
        quiet = max(quiet, end)
