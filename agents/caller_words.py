"""Names, places and wishes, picked out of what was said without asking a language model.

Owns the patterns of the local extract: `said_by_caller` returns the caller's words, or an empty string for what was not
said. It prefers saying nothing to guessing: a wrong name in the next agent's greeting is worse than none. It never
raises and never looks at what an agent said except to know what was asked.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from agents.quoting import CALLER, SpokenTurn, word_set
from agents.unknown import is_no_name, is_question, sentences_of

_WORD: Final = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")
_SHORT: Final = re.compile(r"\b(Dr|Ft|Mr|Mrs|Ms|Mt|St)\.(?= [A-Z])")
"""Words with a point behind them that ends no sentence."""
_CLAUSE_END: Final = re.compile(
    r"[,;:.?!]|\s-\s|\b(?:and|but|so|because|since|if|please|thanks|thank you)\b", re.IGNORECASE
)

_ASKS_NAME: Final = re.compile(
    r"\byour (?:\w+ )?name\b|\bwho am i (?:speaking|talking)\b|\bwho's (?:speaking|this)\b", re.IGNORECASE
)
_ASKS_PLACE: Final = re.compile(
    r"\bwhere\b[^?]*\byou\b|\b(?:which|what|your) (?:city|state|town|area|part of)\b|\byour location\b", re.IGNORECASE
)
_ASKS_NEED: Final = re.compile(
    r"\bhelp (?:you )?with\b|\bbrings? you\b|\bbrought you\b|\blooking for\b|\bin mind\b|\binterested in\b"
    r"|\byou like to (?:discuss|talk about)\b|\bwhat .*\bneed\b",
    re.IGNORECASE,
)

_STATES_NAME: Final = re.compile(
    r"\b(?:(my (?:\w+ )?name)(?: is|'s)|i am called|i'm called|you can call me|call me)\s+(.+)", re.IGNORECASE
)
_INTRODUCES: Final = re.compile(r"\b(?:[Tt]his is|[Tt]his's)\s+(.+)")
_PRESENTS: Final = re.compile(r"^(?:i'm|i am|it's|it is|that's|name's|this is)\s+(.+)", re.IGNORECASE)
_STATES_PLACE: Final = re.compile(
    r"\b(?:live in|living in|based in|located in|calling from|i'm from|i am from|i'm (?:up |over )?in|i am in|we're in"
    r"|here in|over in)\s+(.+)",
    re.IGNORECASE,
)
_STATES_NEED: Final = re.compile(
    r"\b(?:help (?:me )?with|advice (?:on|about)|interested in|looking (?:for|into)|talk(?:ing)? about|questions? about"
    r"|thinking about|information (?:on|about)|(?:calling|called|asking) about)\s+(.+)",
    re.IGNORECASE,
)
_DENIES: Final = re.compile(r"\b(?:not|never|no longer|don't|doesn't|didn't|isn't|aren't|wasn't)\b", re.IGNORECASE)

_UNIT: Final = r"(?:days?|weeks?|months?|years?)"
_DAY: Final = r"(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_PART: Final = r"(?: (?:morning|afternoon|evening))?"
_TENS: Final = r"(?:thirty|forty|fifty|sixty|seventy|eighty)(?:[- ](?:one|two|three|four|five|six|seven|eight|nine))?"
_TIMELINE: Final = re.compile(
    rf"\b(?:(?:retire|retiring|stop working|start|done|ready|buy|move|sell)\s+)?"
    rf"(?:(?:by|before|at) (?:the )?(?:age (?:of )?)?(?:\d{{2,4}}|{_TENS})\b"
    rf"|(?:by|before) (?:the end of )?(?:next|this|the) {_UNIT}"
    rf"|(?:by|before) the end of (?:next|this|the) \w+"
    rf"|(?:with)?in (?:about |around |roughly )?(?:the next )?(?:\w+ )?(?:or \w+ )?{_UNIT}"
    rf"|next (?:{_UNIT}|{_DAY}){_PART}|this (?:week|month|year)|as soon as possible|right away)\b",
    re.IGNORECASE,
)

_FILLERS: Final = word_set(
    "yes yeah yep sure okay ok um uh er hmm oh well hi hello hey so of course right actually no sorry just mostly "
    "mainly it's its that's"
)
_NOT_A_NAME: Final = word_set(
    "a an the in on at to of for with from by and but or not no nope nothing none i i'm im you he she it it's we they "
    "me my your our this that is are was be am do does don't can can't cannot could will won't would calling speaking "
    "looking interested here there good fine great busy sorry retired driving happy okay ok yes yeah sure thanks thank "
    "please what who why how when where which hello hi hey maybe just really right well actually again about like "
    "ignore later back tomorrow anytime wait one moment second minute pardon excuse hold hang tell stop repeat"
)
_SELDOM_A_NAME: Final = word_set(
    "today tonight monday tuesday wednesday thursday friday saturday sunday christmas too also crazy tired ready sick "
    "lost confused angry upset trouble sales work office total english spanish french german italian portuguese polish "
    "zero two three four five six seven eight nine ten taking"
)
"""Words of a name only with a capital, and where others go with them or "My name is …" stands before them."""
_SMALL: Final = word_set("of de la van von der del di da los las")
_LEADING: Final = word_set("some a an the my our little bit of getting about maybe with")


def said_by_caller(turns: Sequence[SpokenTurn]) -> dict[str, str]:
    """Find the caller's last name, place and time for what they want, and their first need, by the Brief's entries."""
    said = list(_sentences(turns))
    times = (_TIMELINE.search(sentence) for _, sentence in said if not _DENIES.search(sentence))
    return {
        "name": _first(_name_in(sentence, asked) for asked, sentence in reversed(said)),
        "location": _first(_place_in(sentence, asked) for asked, sentence in reversed(said)),
        "need": _first(_need_in(sentence, asked) for asked, sentence in said),
        "timeline": _first(time[0].strip() for time in reversed(list(times)) if time),
    }


def _sentences(turns: Sequence[SpokenTurn]) -> Iterator[tuple[str, str]]:
    """Pair every sentence of the caller with the question that it may answer."""
    asked = ""
    for turn in turns:
        text = _SHORT.sub(r"\1", turn.text.replace("’", "'"))
        if turn.speaker == CALLER:
            yield from ((asked, sentence.strip()) for sentence in sentences_of(text) if sentence.strip(" .?!"))
        else:
            asked = " ".join(sentence for sentence in sentences_of(text) if is_question(sentence))


def _name_in(sentence: str, asked: str) -> str:
    if stated := _STATES_NAME.search(sentence):
        return _name(stated[2], alone=stated[1] is not None)
    if introduced := _INTRODUCES.search(sentence):
        return _name(introduced[1], capitals=True)
    if not _ASKS_NAME.search(asked) or is_question(sentence):
        return ""
    answer = _without_fillers(sentence)
    presented = _PRESENTS.search(answer)
    return _name(presented[1] if presented else answer, whole=True)


def _name(text: str, *, capitals: bool = False, whole: bool = False, alone: bool = False) -> str:
    """Read up to three words of a name; `whole` wants nothing else in the clause, `alone` takes what is seldom one."""
    words = _WORD.findall(_clause(text))
    name: list[str] = []
    for word in words:
        if not _may_be_name(word, capitals=capitals):
            break
        name.append(word)
    is_of_another = any(word.casefold().endswith("'s") for word in name)
    is_odd = len(name) > 3 or is_of_another or _is_doubtful(name, alone=alone)
    if is_odd or (whole and not _is_all(name, words)) or is_no_name(" ".join(name)):
        return ""
    return _titled(name)


def _place_in(sentence: str, asked: str) -> str:
    wanted = bool(_ASKS_PLACE.search(asked))
    if stated := _STATES_PLACE.search(sentence):
        return _place(stated[1], capitals=not wanted)
    if not wanted or is_question(sentence):
        return ""
    answer = _without_fillers(sentence)
    if _name_in(sentence, asked):  # both were asked for: the place stands behind the name
        answer = answer.partition(",")[2].strip().removeprefix("in ").removeprefix("from ")
    return _place(answer, whole=True)


def _place(text: str, *, capitals: bool = False, whole: bool = False) -> str:
    """Read a town and perhaps its state, which a recogniser puts behind a comma."""
    town, _, state = text.partition(",")
    name = _place_name(town, capitals=capitals, whole=whole)
    behind = _place_name(state, capitals=True, whole=False) if name else ""
    return f"{name}, {behind}" if behind else name


def _place_name(text: str, *, capitals: bool, whole: bool) -> str:
    words = _WORD.findall(_clause(text))
    if words and words[0].casefold() == "the":
        words, capitals = words[1:], True
    name: list[str] = []
    for word in words:
        small = name and word.casefold() in _SMALL
        if not small and not _may_be_name(word, capitals=capitals):
            break
        name.append(word)
    return "" if len(name) > 4 or _is_doubtful(name) or (whole and not _is_all(name, words)) else _titled(name)


def _may_be_name(word: str, *, capitals: bool) -> bool:
    plain = word.casefold()
    return plain not in _NOT_A_NAME and (word[0].isupper() or not (capitals or plain in _SELDOM_A_NAME))


def _is_doubtful(name: Sequence[str], *, alone: bool = False) -> bool:
    """Say whether words that are seldom a name stand alone here, or with others that have no capital."""
    seldom = [word.casefold() in _SELDOM_A_NAME for word in name]
    is_capital = all(word[0].isupper() or word.casefold() in _SMALL for word in name)
    return any(seldom) and not (is_capital and (alone or not all(seldom)))


def _is_all(name: Sequence[str], words: Sequence[str]) -> bool:
    """Say whether the whole answer is a name: nothing else in it, and not just the capital of a sentence."""
    sentence = bool(name) and name[0][0].isupper() and any(word.islower() and word not in _SMALL for word in name[1:])
    return len(name) == len(words) and not sentence


def _need_in(sentence: str, asked: str) -> str:
    if is_question(sentence) or _DENIES.search(sentence):
        return ""
    if stated := _STATES_NEED.search(sentence):
        return _phrase(stated[1], 8)
    if not _ASKS_NEED.search(asked) or _name_in(sentence, asked) or _place_in(sentence, asked):
        return ""
    need = _phrase(_without_fillers(sentence), 5)
    more_asked = _ASKS_NAME.search(asked) or _ASKS_PLACE.search(asked)
    return "" if more_asked and any(word[0].isupper() for word in need.split()[1:]) else need


def _phrase(text: str, most: int) -> str:
    words = _clause(text).split()
    while words and words[0].casefold() in _LEADING:
        words = words[1:]
    pronoun = bool(words) and words[0].casefold() in _NOT_A_NAME
    return "" if pronoun or len(words) > most else " ".join(words)


def _clause(text: str) -> str:
    return _CLAUSE_END.split(text, maxsplit=1)[0].strip()


def _without_fillers(sentence: str) -> str:
    words = sentence.split()
    while words and words[0].strip(",.!").casefold() in _FILLERS:
        words = words[1:]
    return " ".join(words)


def _titled(words: Sequence[str]) -> str:
    return " ".join(word if word.casefold() in _SMALL or not word.islower() else word.capitalize() for word in words)


def _first(found: Iterator[str]) -> str:
    return next(filter(None, found), "")
