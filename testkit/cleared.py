"""Promise 3 of the oracle: one voice at a time, none of it after `clear`, no words robbed that nothing has cut.

And no answer begun anew because its session was lost.
"""

import math
from collections.abc import Iterator
from itertools import pairwise

from actors import facts
from actors.line.ledger import SWITCHBOARD
from agents.announcing import is_courtesy
from protocol.deepgram import ConversationText
from simulators.deepgram.log import Sent
from simulators.speech import synthesise
from simulators.twilio.log import BufferCleared, DigitSent
from testkit.heard import holder_at
from testkit.silence import fell_silent
from testkit.witness import Witnessed, ended, spoken_lines, started

_SHORTEST = 1200
"""Bytes of a word (0.15 s): anything shorter may be found in another one."""
_AROUND = 1.0
"""Seconds by which a voice is noticed late, at most."""
_DECIDED = 0.5
"""Seconds beyond `false_start` by which it is decided what becomes of a cut."""

_SAME_WORDS = 4
"""With so many words of it a reply has begun, and begins anew."""
_SLIPS = ("NON_EXISTENT_FUNCTION_CALLED", "functions in one turn")
"""Why a model must answer anew."""
_ROUNDING = 1e-6
"""Seconds: a resumed reply is heard at once."""


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
    yield from _nobody_is_robbed(played)
    yield from _nothing_begins_anew(played)
    yield from words_are_in_their_voice(played)


def _nothing_after_clear(played: Witnessed) -> Iterator[str]:
    assert played.caller is not None
    cleared = [entry.at - started(played) for entry in played.caller.log.of(BufferCleared)]
    begun = played.times(facts.ReplyStarted)
    for at in cleared:
        following = min((time for time in begun if time >= at), default=math.inf)
        for start, end in played.caller.played:
            again = max(start, at + 0.02)
            if again < min(end, following - 0.02) and not _is_resumed(played, at, again):
                yield f"after the clear at {at:.2f} s the caller heard something at {start:.2f} s, of nothing new"


def _is_resumed(played: Witnessed, cleared: float, again: float) -> bool:
    """Say whether a reply goes on that a sound has cut, of which nobody has understood a word, or what cuts nothing.

    A service that fell silent meanwhile cannot say that it was the caller.
    """
    until = again + _ROUNDING
    resumed = any(cleared <= at <= until for at in played.times(facts.ReplyResumed))
    echoes = [e.at for e in played.entries if isinstance(e.fact, facts.WarningReported) and e.fact.code == "AGENT_ECHO"]
    understood = [(e.at, e.fact.text) for e in played.entries if isinstance(e.fact, facts.TurnHeard)]
    polite = {at for at, text in understood if any(is_courtesy(text, each) for each in played.sentences)}
    cuts_nothing = [at in polite or at in echoes for at, _ in understood if cleared <= at <= until]
    is_lost = holder_at(played, cleared) in fell_silent(played)
    is_noise = is_lost or not _somebody_spoke(played, cleared, again)
    return resumed and (all(cuts_nothing) if cuts_nothing else is_noise)


def _somebody_spoke(played: Witnessed, since: float, until: float) -> bool:
    """Say whether the caller said something then, or pressed a key: the truth, as their phone knows it."""
    assert played.caller is not None
    keys = [entry.at - started(played) for entry in played.caller.log.of(DigitSent)]
    return any(line.at <= until and line.until >= since - _AROUND for line in spoken_lines(played)) or any(
        since - _AROUND <= at <= until for at in keys
    )


def _nobody_is_robbed(played: Witnessed) -> Iterator[str]:
    """A reply that a mere sound has cut is played on."""
    heard, resumed = played.times(facts.UserStartedSpeaking), list[tuple[float, int]]()
    resumed += [
        (entry.at, entry.fact.generation) for entry in played.entries if isinstance(entry.fact, facts.ReplyResumed)
    ]
    left = [*played.times(facts.FloorLeft), ended(played)]
    ours = played.repeated  # said again when it is quiet
    texts = {fact.generation: fact.text for fact in played.facts(facts.ReplyText)}
    begun = {entry.fact.generation: entry.at for entry in played.entries if isinstance(entry.fact, facts.ReplyStarted)}
    for entry in played.entries:
        if not isinstance(entry.fact, facts.BargeIn) or not any(entry.at - 0.05 <= at <= entry.at for at in heard):
            continue
        if texts.get(entry.fact.generation) in ours:
            continue
        at, cut = entry.at, entry.fact
        decided = at + played.policy.deadlines.false_start + _DECIDED
        is_over = any(begun[cut.generation] <= gone <= decided for gone in left)  # it is asked for again, or broken off
        is_played_on = any(at <= back and generation == cut.generation for back, generation in resumed)
        if not (is_over or is_played_on or _somebody_spoke(played, at, decided)):
            yield (
                f"{cut.agent} was cut at {at:.2f} s, when the caller had said nothing, and the last "
                f"{cut.dropped_seconds:.2f} s were never heard"
            )


def _nothing_begins_anew(played: Witnessed) -> Iterator[str]:
    """A session that is lost in mid-answer is followed by the rest of it, unless its model must answer anew."""
    ours, begun, may_begin = played.repeated, "", False
    for entry in played.entries:
        match entry.fact:
            case facts.TurnHeard():
                begun, may_begin = "", True
            case facts.HandoffCommitted():
                begun, may_begin = "", False
            case facts.SessionCrashed(error=error) if any(slip in error for slip in _SLIPS):
                begun, may_begin = "", False
            case facts.ReplyEnded(agent=agent, text=text, heard=heard, complete=complete) if text not in ours:
                if begun and heard.startswith(begun):
                    yield f"{agent} was broken off behind {begun!r}, and began anew: {heard!r}, at {entry.at:.2f} s"
                is_begun = may_begin and not complete and len(heard.split()) >= _SAME_WORDS
                begun = " ".join(heard.split()[:_SAME_WORDS]) if is_begun else ""
            case _:
                pass


def words_are_in_their_voice(played: Witnessed) -> Iterator[str]:
    """Search what was heard for words in another agent's voice, and for sentences that were never let through.

    Looked at where a soft handoff was asked for: one session has two voices then.
    """
    if not any(fact.how == "soft" for fact in played.facts(facts.HandoffAsked)):
        return
    assert played.caller is not None
    assert played.exchange is not None
    heard, voices = bytes(played.caller.heard.agents), set(played.voices.values())
    let_through = _let_through(played)
    texts = {text for text, _ in let_through}
    sounds = [synthesise(text, voice).audio for text, voice in let_through]
    told = [entry.message for entry in played.exchange.log.of(Sent)]
    shut_out = {one.content for one in told if isinstance(one, ConversationText) and one.role == "assistant"} - texts
    wrong = [(text, voice) for text in texts | shut_out for voice in voices if (text, voice) not in let_through]
    for text, voice in sorted(wrong):
        for word, audio in _words_of(text, voice):
            if audio in heard and not any(audio in sound for sound in sounds):
                why = "and was not let through" if text in shut_out else "which is another agent's voice"
                yield f"{word!r} of {text!r} was heard in {voice}, {why}"


def _let_through(played: Witnessed) -> set[tuple[str, str]]:
    """Return each sentence that the Ledger took, with its voice; those of the switchboard have each of them."""
    found: set[tuple[str, str]] = set()
    for fact in played.facts(facts.ReplyText):
        voices = played.voices.values() if fact.agent == SWITCHBOARD else [played.voices[fact.agent]]
        found.update((fact.text, voice) for voice in voices)
    return found


def _words_of(text: str, voice: str) -> Iterator[tuple[str, bytes]]:
    said = synthesise(text, voice)
    for word in said.words:
        if word.end_byte - word.start_byte >= _SHORTEST:
            yield word.text, said.audio[word.start_byte : word.end_byte]
