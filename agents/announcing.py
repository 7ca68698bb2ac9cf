"""Finds the functions that an agent has announced to the caller.

A model may say "I'll put you through" and call nothing: words alone do nothing. `announced` reads what an agent has
said and finds the functions whose phrases (`FunctionSpec.announced_by`) stand in it. An offer, a question, a condition
and a refusal announce nothing. `asks_to_wait` finds the general form: "One moment, please." Pure functions;
`actors/turn/` reminds the model.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from agents.functions import FunctionSpec
from agents.quoting import word_set
from agents.unknown import plain_words

_SENTENCE: Final = re.compile(r"[^.?!;]+[.?!;]*")
_NO_ANNOUNCEMENT: Final = word_set(
    "if could can would should shall may might cant cannot couldnt wouldnt wont not never unless whether before until "
    "like unable unfortunately didnt dont"
)


_WAIT: Final = re.compile(
    r"\b(?:(?:just a|one|give me a|wait a) (?:moment|second|sec|minute)|hold on|hang on|hold the line|bear with me"
    r"|please wait|let me (?:check|look|see|find|get|pull)|(?:ill|i will) (?:look|check|find out)"
    r"|(?:looking|checking|pulling) (?:that|it|up|into|for you))\b"
)
"""Words that ask for patience in general, in English."""
_CLAUSE: Final = re.compile(r"[,:–—]")
_GOES_ON: Final = word_set("while please ill im thank thanks ok okay")


def asks_to_wait(text: str) -> bool:
    """Whether the last words of this text ask the caller to wait, for no function that they name.

    "Let me see, that is on Tuesday" does not: what was looked for follows in the same sentence.
    """
    sentence = (_SENTENCE.findall(text) or [""])[-1]
    clauses = [words for clause in _CLAUSE.split(sentence) if (words := plain_words(clause))]
    if sentence.rstrip().endswith("?") or not all(map(_NO_ANNOUNCEMENT.isdisjoint, clauses)):
        return False
    waits = [_WAIT.search(" ".join(words)) is not None for words in clauses]
    return any(waits) and (waits[-1] or clauses[-1][0] in _GOES_ON)


def announced(text: str, functions: Iterable[FunctionSpec]) -> tuple[FunctionSpec, ...]:
    """Return the functions that these words of an agent announce, in the order of `functions`."""
    sentences = [plain_words(sentence) for sentence in _SENTENCE.findall(text) if not sentence.rstrip().endswith("?")]
    said = [_in_spaces(words) for words in sentences if _NO_ANNOUNCEMENT.isdisjoint(words)]
    return tuple(
        function
        for function in functions
        if any(_phrase(phrase) in sentence for phrase in function.announced_by for sentence in said)
    )


@lru_cache(maxsize=1024)
def _phrase(text: str) -> str:
    """Return the words of a phrase, split once: each reply of an agent is compared with all of them."""
    return _in_spaces(plain_words(text))


def _in_spaces(words: list[str]) -> str:
    """Write words so that some of them are found in others as a part of the text; no words are found nowhere."""
    return f" {' '.join(words)} "
