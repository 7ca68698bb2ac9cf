"""Who spoke when, and which words belong to which stretch of sound.

The journal says when sound was heard (`agent_spoke`, `caller_spoke`) and what was said (`reply_text`, `turn_heard`)
in different entries. Here they are joined: the words of a reply or a turn are shared out over its stretches.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import attrs

from web.picture.facts import JournalEntry, at, event, flag, named, number, text

BREATH_SECONDS = 0.45
SECONDS_A_CHARACTER = 0.06

Stretch: TypeAlias = tuple[float, float]
ReplyKey: TypeAlias = tuple[str, int, int]


@attrs.frozen
class Speech:
    """One stretch of speech: the words heard in it, and those of a cut reply that the caller never heard."""

    speaker: str
    start: float
    end: float
    words: str
    unheard: str = ""


@attrs.define
class _Reply:
    stretches: list[Stretch] = attrs.Factory(list)
    sentences: list[str] = attrs.Factory(list)
    text: str = ""
    heard: str = ""
    complete: bool = True

    @property
    def said(self) -> str:
        return self.text or " ".join(self.sentences)

    def words(self) -> str:
        return self.said if self.complete else self.heard

    def unheard(self) -> str:
        return "" if self.complete else self.said.removeprefix(self.heard).strip()


def agent_speech(entries: Iterable[JournalEntry]) -> Iterable[Speech]:
    for (agent, _, _), reply in _replies(entries).items():
        stretches = joined(reply.stretches)
        shares = shared_words(reply.words(), stretches)
        for index, ((start, end), words) in enumerate(zip(stretches, shares, strict=True)):
            last = index == len(stretches) - 1
            yield Speech(agent, start, end, words, unheard=reply.unheard() if last else "")


def caller_speech(entries: Sequence[JournalEntry]) -> Iterable[Speech]:
    waiting = sorted((number(entry, "start"), number(entry, "end")) for entry in named(entries, "caller_spoke"))
    over = 0.0
    for turn in named(entries, "turn_heard"):
        own = [stretch for stretch in waiting if stretch[0] < at(turn)]
        waiting = waiting[len(own) :]
        stretches = joined(own) or [_guessed(turn, over)]
        over = stretches[-1][1]
        for (start, end), words in zip(stretches, shared_words(text(turn, "text"), stretches), strict=True):
            yield Speech("caller", start, end, words)
    for start, end in joined(waiting):
        yield Speech("caller", start, end, "")


def joined(stretches: Iterable[Stretch], gap: float = BREATH_SECONDS) -> list[Stretch]:
    """Join stretches that less than this separates: a breath, unless told otherwise."""
    whole: list[Stretch] = []
    for start, end in sorted(stretches):
        if whole and start - whole[-1][1] < gap:
            whole[-1] = (whole[-1][0], max(end, whole[-1][1]))
        else:
            whole.append((start, end))
    return whole


def shared_words(words: str, stretches: Sequence[Stretch]) -> list[str]:
    split = words.split()
    total = sum(end - start for start, end in stretches) or 1.0
    shares, first, spent = [], 0, 0.0
    for start, end in stretches:
        spent += end - start
        last = round(len(split) * spent / total)
        shares.append(" ".join(split[first:last]))
        first = last
    return shares


def _replies(entries: Iterable[JournalEntry]) -> dict[ReplyKey, _Reply]:
    replies: dict[ReplyKey, _Reply] = defaultdict(_Reply)
    begun: dict[tuple[str, int], int] = defaultdict(int)
    for entry in entries:
        agent, generation = text(entry, "agent"), int(number(entry, "generation"))
        begun[agent, generation] += event(entry) == "reply_started"
        key = (agent, generation, begun[agent, generation])
        match event(entry):
            case "agent_spoke":
                replies[key].stretches.append((number(entry, "start"), number(entry, "end")))
            case "reply_text":
                replies[key].sentences.append(text(entry, "text"))
            case "reply_ended":
                reply = replies[key]
                reply.text, reply.heard = text(entry, "text"), text(entry, "heard")
                reply.complete = flag(entry, "complete")
            case _:
                pass
    return replies


def _guessed(turn: JournalEntry, earliest: float) -> Stretch:
    end = max(earliest, at(turn) - 0.3)
    return max(earliest, end - SECONDS_A_CHARACTER * len(text(turn, "text"))), end
