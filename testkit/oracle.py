"""Checks that hold for every call, whatever went wrong with it: the promises of the design, seen from outside.

`check` reads what a call has left behind (journal, record, the simulators' logs, the log lines) and returns each
broken promise as a sentence. What a fault makes impossible stands in one table (`testkit.excuses`); anything else that
a case cannot keep it names in `excused`, with a reason of its own.

1 nothing is left · 2 every word is heard, once · 3 one voice at a time, none after `clear`, none robbed · 4 no long
silence · 5 goodbyes are heard, nobody is hung up on · 6 one record, and it is true · 7 no peer can crash a call · 8 it
ends in time · 9 no slot leaks, where the call had one · 10 no secrets in the logs · 11 an effect happens once · 13 a
blocked event loop is reported. A call in memory cannot show 12 (credentials) and 14 (what is kept of a person): they
are the server's.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from typing import Final

from actors import facts
from protocol.fields import counted
from simulators.deepgram.log import Closed, Connected, FaultInjected, TurnAnswered
from testkit.call_end import goodbyes_are_heard, it_ends_in_time, one_true_record
from testkit.cleared import one_voice_at_a_time
from testkit.excuses import excused_by_faults
from testkit.harness import GROQ_KEY
from testkit.heard import every_word_is_heard_once
from testkit.silence import no_long_silence
from testkit.witness import Witnessed, ended, spoken_lines, started

OURS: Final = "AgentUnavailable"
"""What a session may crash of: the far end's doing. Anything else is a mistake of ours that a restart hides."""


def check(played: Witnessed, *, excused: Collection[int] = ()) -> list[str]:
    """Return every broken promise, but for those excused, here or by the call's faults."""
    if played.record is None:
        return [] if 8 in excused else [f"8: the call had no end, and left no record: {played.escaped!r}"]
    left_out = {*excused, *excused_by_faults(played)}
    return [
        f"{number}: {broken}" for number, find in PROMISES.items() if number not in left_out for broken in find(played)
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


# 7


def no_peer_crashes_a_call(played: Witnessed) -> Iterator[str]:
    if played.escaped is not None:
        yield f"{played.escaped!r} came out of the call"
    for line in played.logs:
        if line["log_level"] in {"error", "critical"} and line["event"] != "handler_abandoned":  # which is the roster's
            yield f"the log says {line}"
    for actor in played.facts(facts.ActorCrashed):
        yield f"{actor.actor} crashed: {actor.error}"
    for session in played.facts(facts.SessionCrashed):
        if not session.error.startswith(OURS):
            yield f"a session of {session.agent} crashed by a mistake of ours: {session.error}"


# 9


def slots_are_free(played: Witnessed) -> Iterator[str]:
    if played.slots is not None and played.slots.taken:
        yield f"{played.slots.taken} of {played.slots.capacity} slots are taken, and the call is over"


# 10

SECRET_NUMBER: Final = re.compile(r"\+\d{8,15}")
SECRETS: Final = frozenset({GROQ_KEY})
"""What services are asked with."""


def no_secrets_in_the_logs(played: Witnessed) -> Iterator[str]:
    said = {turn.text for turn in played.the_record.transcript} | {line.text for line in spoken_lines(played)}
    numbers = {"".join(filter(str.isdigit, played.script.caller.number))}
    secret = {words for words in said | numbers if words} | SECRETS
    for line in played.logs:
        text = repr(line)
        if line["log_level"] != "debug" and (SECRET_NUMBER.search(text) or any(words in text for words in secret)):
            yield f"the log says {text}"


# 11


def effects_happen_once(played: Witnessed) -> Iterator[str]:
    """A restarted session that is asked again does nothing twice; what the LLM itself asks for again is done again."""
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
            yield f"{name} was done {counted(times, 'time')}, and asked for {counted(asked[name], 'time')}"


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
    6: one_true_record,
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
