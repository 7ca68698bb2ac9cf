"""What must be true of every call, whatever went wrong with it: the promises of the design, seen from outside.

`check` reads what a call has left behind (journal, record, the simulators' logs, the log lines) and returns each
broken promise as a sentence. It knows which faults were thrown only from the simulators' logs. A promise that a case
cannot keep is named in `excused`, by the case, with a reason of its own.

1 nothing is left · 2 every word is heard, once · 3 one voice at a time, none after `clear` · 4 no long silence ·
5 goodbyes are heard · 6 one record · 7 no peer can crash a call · 8 it ends in time · 9 no slot leaks, where the call
had one · 10 no secrets in the logs · 11 an effect happens once · 13 a blocked event loop is reported. A call in memory
cannot show 12 (credentials) and 14 (what is kept of a person): they are the server's.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from itertools import pairwise
from typing import Final

from actors import facts
from actors.line.ledger import SWITCHBOARD
from simulators.deepgram.log import Closed, Connected, FaultInjected, TurnAnswered
from simulators.twilio.log import BufferCleared
from testkit.heard import every_word_is_heard_once
from testkit.silence import no_long_silence
from testkit.voices import words_are_in_their_voice
from testkit.witness import Witnessed, ended, spoken_lines, started

BAD_OUTCOMES: Final = frozenset({"", "crashed", "cut"})
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
    late = [entry.connection for entry in log.of(Closed) if entry.at > started(played) + ended(played) + played.slack]
    if late:
        yield f"connections {late} were closed after the call"


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
    yield from words_are_in_their_voice(played)


def _nothing_after_clear(played: Witnessed) -> Iterator[str]:
    assert played.caller is not None
    cleared = [entry.at - started(played) for entry in played.caller.log.of(BufferCleared)]
    begun = played.times(facts.ReplyStarted)
    for at in cleared:
        following = min((time for time in begun if time >= at), default=math.inf)
        for start, end in played.caller.played:
            again = max(start, at + 0.02)
            if again < min(end, following - 0.02) and not _was_a_noise(played, at, again):
                yield f"after the clear at {at:.2f} s the caller heard something at {start:.2f} s, of nothing new"


def _was_a_noise(played: Witnessed, cleared: float, again: float) -> bool:
    """Say whether the reply was cut by a sound that nobody understood: then it goes on, and nothing is lost."""
    begun = [at for at in played.times(facts.UserStartedSpeaking) if cleared - 1.0 <= at <= cleared + 0.02]
    return bool(begun) and not any(cleared <= at <= again for at in played.times(facts.TurnHeard))


# 5


def goodbyes_are_heard(played: Witnessed) -> Iterator[str]:
    if not played.facts(facts.GoodbyeStarted) or played.the_record.outcome == "caller_hung_up":
        return
    if not any(fact.complete for fact in played.facts(facts.GoodbyeHeard)):
        at = played.times(facts.GoodbyeStarted)[-1]
        yield f"the goodbye was begun at {at:.2f} s, and not heard to its end"
    for reply in played.facts(facts.ReplyEnded)[-1:]:
        if reply.text != reply.heard:
            yield f"of the last words, {reply.text!r}, only {reply.heard!r} were heard"


# 6


def one_record(played: Witnessed) -> Iterator[str]:
    kept = list(played.records._kept.values())
    if played.records.saves != 1 or len(kept) != 1:
        yield f"{len(kept)} records were kept, and {played.records.saves} were saved"
    if any(record.outcome in BAD_OUTCOMES for record in kept):
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
    until = min(ended(played), last + played.policy.deadlines.silence_budget + played.policy.deadlines.hang_up)
    if played.the_record.outcome == "caller_silent":
        until = min(until, *played.times(facts.CallerSilent)[-1 - played.policy.numbers.silent_asks :])
    if until > played.longest:
        yield f"the call lasted {ended(played):.1f} s, until {until:.1f} s with somebody speaking or waiting"


# 9


def slots_are_free(played: Witnessed) -> Iterator[str]:
    if played.slots is not None and played.slots.taken:
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


# 11


def effects_happen_once(played: Witnessed) -> Iterator[str]:
    """What a restarted session is asked again is done no second time; what the model itself asks for again, is."""
    assert played.exchange is not None
    asked = Counter(
        call.name
        for agent, turn, _ in {(each.agent, each.turn, each.heard) for each in played.exchange.log.of(TurnAnswered)}
        if turn is not None
        for call in (
            *played.script.agents[agent].turns[turn].calls,
            *played.script.agents[agent].turns[turn].then_calls,
        )
    )
    for name, times in Counter(run.name for run in played.runs if run.acts).items():
        if times > asked[name]:
            yield f"{name} was done {times} times, and asked for {asked[name]} times"


# 13


def nothing_blocks_the_event_loop(played: Witnessed) -> Iterator[str]:
    for block in played.blocks:
        yield (
            f"the handler of {block.function} blocked the event loop for {block.seconds:.1f} s of real time, from "
            f"{block.at:.2f} s of the call, in {block.place}: every call of the server stands still meanwhile; make it "
            "async, or wrap it in blocking()"
        )


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
    11: effects_happen_once,
    13: nothing_blocks_the_event_loop,
}
