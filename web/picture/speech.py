"""Who spoke when, and which words belong to which stretch of sound.

The journal says when sound was heard (`agent_spoke`, `caller_spoke`) and what was said (`reply_text`, `turn_heard`)
in different entries. Here they are joined: the words of a reply or a turn are shared out over its stretches.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import attrs

from actors import facts
from actors.journal import Entry, facts_of

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


def agent_speech(entries: Iterable[Entry]) -> Iterable[Speech]:
    for (agent, _, _), reply in _replies(entries).items():
        stretches = joined(reply.stretches)
        shares = shared_words(reply.words(), stretches)
        for index, ((start, end), words) in enumerate(zip(stretches, shares, strict=True)):
            last = index == len(stretches) - 1
            yield Speech(agent, start, end, words, unheard=reply.unheard() if last else "")


def caller_speech(entries: Sequence[Entry]) -> Iterable[Speech]:
    waiting = sorted((fact.start, fact.end) for fact in facts_of(entries, facts.CallerSpoke))
    over = 0.0
    for at, text in ((entry.at, entry.fact.text) for entry in entries if isinstance(entry.fact, facts.TurnHeard)):
        own = [stretch for stretch in waiting if stretch[0] < at]
        waiting = waiting[len(own) :]
        stretches = joined(own) or [_guessed(at, text, over)]
        over = stretches[-1][1]
        for (start, end), words in zip(stretches, shared_words(text, stretches), strict=True):
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


def _replies(entries: Iterable[Entry]) -> dict[ReplyKey, _Reply]:
    replies: dict[ReplyKey, _Reply] = defaultdict(_Reply)
    begun: dict[tuple[str, int], int] = defaultdict(int)
    for entry in entries:
        match entry.fact:
            case facts.ReplyStarted(agent=agent, generation=generation):
                begun[agent, generation] += 1
            case facts.AgentSpoke(agent=agent, generation=generation, start=start, end=end):
                replies[agent, generation, begun[agent, generation]].stretches.append((start, end))
            case facts.ReplyText(agent=agent, generation=generation, text=text):
                replies[agent, generation, begun[agent, generation]].sentences.append(text)
            case facts.ReplyEnded(agent=agent, generation=generation) as ended:
                reply = replies[agent, generation, begun[agent, generation]]
                reply.text, reply.heard, reply.complete = ended.text, ended.heard, ended.complete
            case _:
                pass  # no speech
    return replies


def _guessed(at: float, text: str, earliest: float) -> Stretch:
    end = max(earliest, at - 0.3)
    return max(earliest, end - SECONDS_A_CHARACTER * len(text)), end
