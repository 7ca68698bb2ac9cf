"""Finds the functions that an agent has announced to the caller.

A model may say "I'll put you through" and call nothing: words alone do nothing. `announced` reads what an agent has
said and finds the functions whose phrases (`FunctionSpec.announced_by`) stand in it, or whose names it says aloud. An
offer, a question, a condition and a refusal announce nothing. `asks_to_wait` finds the general form: "One moment,
please."; `asks_for_time` finds it in what the caller says, `is_courtesy` what asks for nothing, and `is_farewell` a
goodbye. What stands here is English; `Sentences` adds the phrases of another language. Pure functions; `actors/turn/`
reminds the model.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from agents.functions import GOODBYES, PASSING_ON, FunctionSpec
from agents.quoting import word_set
from agents.sentences import ENGLISH, Sentences
from agents.unknown import is_question, plain_words, sentences_of

_NO_ANNOUNCEMENT: Final = word_set(
    "if could can would should shall may might cant cannot couldnt wouldnt wont not never unless whether before until "
    "like unable unfortunately didnt dont"
)


_WAIT: Final = re.compile(
    r"\b(?:(?:just a|one|give me a|wait a) (?:moment|second|sec|minute)|hold on|hang (?:on|tight)|hold the line"
    r"|(?<!\bi )(?<!have to )(?<!need to )(?:stay|remain) on the line|(?:be|come|coming) right back$|bear with me"
    r"|please wait|let me (?:check|look|see|find|get|pull|think)|(?:looking|checking|pulling) (?:that|it|up|into|now"
    r"|for you)|(?:ill|i will) (?:look|check|find out|(?:have|take) a look(?:$| at (?:that|it|this)| for you)))\b"
)
"""Words that ask for patience in general, in English."""
_LITTLE: Final = r"(?:moment|sec|second|min|minute)s?(?:$| please| to (?:find|get|think|look)\b)"
_FEW: Final = "(?:two|five|a few|a couple of)"
_AWAY: Final = re.compile(
    r"\b(?:dont hang up(?! on)|(?:ill|i will|let me) see if|youre on hold)\b|^right back$"
    r"|\b(?:put(?:ting)? you (?:through|on hold)\b|(?:connect|transfer)r?(?:ing)? you(?:r call)?(?: now| over| to\b|$))"
    r"|^hold$|\bplease hold(?:$| while| for)|\bhold please\b|^(?:\w+ )?hold up(?:$| a )"
    r"|\b(?:you|mind) hold(?:ing)?(?:$| for an?\b)"
    rf"|(?:\b(?:give me|gimme|need|wait|(?:ill|will|wont|just|only) be)|^just) (?:a|one|{_FEW}) {_LITTLE}"
    rf"|^(?:a|one) {_LITTLE}|^{_FEW} \w+ please|^wait(?: wait)*$"
    r"|\blet me (?:grab|open (?:my|it|that)|transfer you|connect|ask (?:my|her|him|them|some)"
    r"|go (?:and|get|find|grab|check)\b|write (?:\w+ )?down)"
    r"|\b(?:ill|i (?:will|have to|need to)) (?:(?:just|go|and) )*"
    r"(?:(?:fetch|find|grab) my \w+|get (?:it|her|him|them)(?: for you)?)$"
    r"|\bim (?:just )?(?:checking|(?:looking for|getting|finding) (?:it|her|him|them|my \w+))$"
)
"""Words of a caller, who does something else meanwhile."""
_NOT_NOW: Final = re.compile(
    r"\b(?:e ?mail|(?:call|text) you|back to you|(?:some(?:one|body)|we|they) will|look(?:ing)? (?:forward|after)"
    r"|(?:hold|hang) on to|for you to|(?:moment|second|sec|minute) (?:of|to|chance|costs?))\b"
)
"""The same words where nobody has to wait on the line."""
_GOODBYE_TO: Final = re.compile(r" (?:good ?)?bye to (?!you )")
_POLITE: Final = re.compile(
    r"\b(?:mhm+|mm+ ?(?:hm+)?|hm+|uh huh|yeah|yep|yup|(?:thank you|thanks?)(?: again| a lot| a million| kindly)?|thx"
    r"|cheers|ok|okay|alright|alrighty|all right|right|sure|great|fine|perfect|lovely|wonderful|cool|awesome|exactly"
    r"|absolutely|understood|of course|excellent|amazing|brilliant|fantastic|super|fair enough|will do|same here"
    r"|likewise|ok[ea]y dok[ea]y"
    r"|(?:much |i )?(?:really )?appreciated?(?: (?:it|that|your \w+))?|no (?:problem|worries)"
    r"|i (?:see|understand)|got (?:it|you)|gotcha|(?:(?:it|that) )?makes sense|sounds good|youre welcome"
    r"|(?:very )?(?:nice|good)|for (?:(?:all )?(?:your|the) (?:help|time)|calling)(?: today)?)\b"
)
_SOON: Final = r"(?:soon|later|then|there|tomorrow|next week|(?:on )?(?:mon|tues|wednes|thurs|fri|satur|sun)day)"
_NICE: Final = r"(?:very )?(?:nice|good|great|lovely|wonderful|blessed)"
_DAY: Final = r"(?:your |the )?(?:rest of )?(?:your |the )?(?:day|evening|night|week(?:end)?|one)"
_NAMED: Final = (
    r" (?!(?:actually|agent|but|cancel|hello|help|hold|human|no|not|one|operator|please|question|sorry|stop|wait)\b)"
    r"\w+(?= /|$)"
)
"""The agent's name, and no wish: it ends the sentence."""
_FAREWELL: Final = re.compile(
    rf"\b(?:(?:good )?bye(?: for now|{_NAMED})?|goodbye(?:{_NAMED})?|take care|(?:you|same to you) (?:too|as well)"
    rf"|see (?:you|ya)(?: {_SOON})?|(?:talk|speak|catch)(?: to)?(?: you)? {_SOON}|cheerio|good night|god bless(?: you)?"
    rf"|(?:have )?a {_NICE}(?: {_DAY})?|{_NICE} {_DAY}|enjoy {_DAY}"
    r"|that(?:s|was| was) (?:all(?! right)|it|everything)(?: i need(?:ed)?)?(?: for (?:today|now))?)\b"
)
_AROUND_POLITE: Final = word_set(
    "a ah all and for ill im maam man mate much no oh sir so thats the then to uh very well yes you"
)
"""Words of courtesy, in English, and what goes with them and says nothing of its own."""
_UNSPACED: Final = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]"
)
"""Thai, Lao, Burmese, Khmer, Japanese and Chinese."""
_CLAUSE: Final = re.compile(r"[,:–—]")
_GOES_ON: Final = re.compile(
    r"(?:while|please|ill|im|thanks?|ok|okay|i (?:need|have|want|am going) to(?! (?:ask|hear|know|tell)\b)"
    r"|(?:this|it)(?:ll| will)? takes? (?:just |only )?(?:a (?:while|moment|second|minute|bit|few)|some time))\b"
)
"""How the words behind a request to wait go on with it: others may be what was looked for."""


def asks_to_wait(text: str, ours: Sentences = ENGLISH) -> bool:
    """Whether the last words of this text ask the caller to wait, for no function that they name.

    "Let me see, that is on Tuesday" does not: what was looked for follows in the same sentence.
    """
    clauses = _last_clauses(text)
    if is_question(text) or not all(map(_NO_ANNOUNCEMENT.isdisjoint, clauses)):
        return False
    plain = [" ".join(clause) for clause in clauses]
    before = len(" ".join([*plain[:-1], ""]))
    if any(found.end() > before for found in _any_of((*ours.waits,)).finditer(" ".join(plain))):
        return True
    return any(map(_waits, clauses)) and (_waits(clauses[-1]) or _GOES_ON.match(" ".join(clauses[-1])) is not None)


def asks_for_time(text: str, ours: Sentences = ENGLISH) -> bool:
    """Whether the last words of a caller ask the agent to wait; "Hold on, how much is that?" does not."""
    clauses = _last_clauses(text)[-1 if is_question(text) else 0 :]
    plain = [" ".join(clause) for clause in clauses]
    return any(_waits(clause) or _AWAY.search(words) for clause, words in zip(clauses, plain, strict=True)) or (
        _any_of((*ours.waits,)).search(" ".join(plain)) is not None
    )


def is_courtesy(text: str, ours: Sentences = ENGLISH) -> bool:
    """Whether a caller only listens ("Mhm."), thanks, agrees or says goodbye; upon a goodbye that is no new turn."""
    rest, own = _any_of((*ours.courtesies, *ours.farewells)).subn("", _in_sentences(text))
    rest, farewells = _FAREWELL.subn("", rest)
    rest, polite = _POLITE.subn("", rest)
    is_all = _AROUND_POLITE.issuperset(rest.replace("/", " ").split())
    return own + farewells + polite > 0 and is_all and not is_question(text)


def is_farewell(text: str, ours: Sentences = ENGLISH) -> bool:
    """Whether a caller takes leave: into any other sentence that is a turn, which the agent has to answer."""
    return any(words.search(_in_sentences(text)) is not None for words in (_FAREWELL, _any_of((*ours.farewells,))))


def _in_sentences(text: str) -> str:
    return " / ".join(" ".join(_words(sentence)) for sentence in sentences_of(text))


def _last_clauses(text: str) -> list[list[str]]:
    """Return the words of each clause of the last sentence."""
    sentence = (sentences_of(text) or [""])[-1]
    return [words for clause in _CLAUSE.split(sentence) if (words := _words(clause))]


def _waits(clause: list[str]) -> bool:
    words = " ".join(clause)
    return _WAIT.search(words) is not None and _NOT_NOW.search(words) is None


def announced(text: str, functions: Iterable[FunctionSpec], ours: Sentences = ENGLISH) -> tuple[FunctionSpec, ...]:
    """Return the functions that these words of an agent announce, in the order of `functions`."""
    stated = [_words(sentence) for sentence in sentences_of(text) if not is_question(sentence)]
    said = [_GOODBYE_TO.sub(" ", _in_spaces(words)) for words in stated if _NO_ANNOUNCEMENT.isdisjoint(words)]
    added = {GOODBYES: ours.farewells, PASSING_ON: ours.passing_on}
    return tuple(
        function
        for function in functions
        if ("_" in function.name and function.name in text)
        or any(
            _phrase(phrase) in sentence
            for phrase in (*function.announced_by, *added.get(tuple(function.announced_by), ()))
            for sentence in said
        )
    )


def why_never(phrase: str) -> str:
    """Say why words announce nothing, whatever an agent says with them, and what to write; "" where they may."""
    refused = sorted(_NO_ANNOUNCEMENT.intersection(_words(phrase)))
    fix = "in it, as offers and refusals have, which announce nothing: leave that word out"
    return f"has {refused[0]!r} {fix}" if refused else ""


@lru_cache(maxsize=256)
def _any_of(phrases: tuple[str, ...]) -> re.Pattern[str]:
    """Return what finds any of these phrases in plain words; none of them finds nothing."""
    plain = sorted(filter(None, (" ".join(_words(phrase)) for phrase in phrases)), key=len, reverse=True)
    return re.compile(rf"\b(?:{'|'.join(plain)})\b" if plain else "(?!)")


@lru_cache(maxsize=1024)
def _phrase(text: str) -> str:
    """Return the words of a phrase, split once: each reply of an agent is compared with all of them."""
    return _in_spaces(_words(text))


def _words(text: str) -> list[str]:
    """Split a text into words; where a script has no spaces between them, into its letters."""
    words = plain_words(text)
    return words if text.isascii() else _UNSPACED.sub(r" \g<0> ", " ".join(words)).split()


def _in_spaces(words: list[str]) -> str:
    """Write words so that some of them are found in others as a part of the text; no words are found nowhere."""
    return f" {' '.join(words)} "
