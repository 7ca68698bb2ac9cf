"""Part of promise 3 of the oracle: every word is heard in the voice of the agent that says it.

Looked at where a soft handoff was asked for: one session has two voices then. It searches what the caller heard for
the words of each sentence as another agent would sound, and for the words of sentences that were never let through.
"""

from collections.abc import Iterator

from actors import facts
from actors.line.ledger import SWITCHBOARD
from protocol.deepgram import ConversationText
from simulators.deepgram.log import Sent
from simulators.speech import synthesise
from testkit.witness import Witnessed

_SHORTEST = 1200
"""Bytes of a word (0.15 s): anything shorter may be found in another one."""


def words_are_in_their_voice(played: Witnessed) -> Iterator[str]:
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
