"""Judges by the words on the line who picked up: a person, an answering machine, or a call screen.

A call screen (a phone's, a network's, an assistant's) asks for name and reason and puts the call through, or does not.
Answering machine detection takes it for a machine. Pure, and English: other words are no evidence.
"""

import re
from collections.abc import Collection, Sequence
from enum import Enum
from typing import Final

from actors.policy import LONGEST_ANSWER
from agents.quoting import CALLER, SpokenTurn
from agents.unknown import is_question, sentences_of


class Callee(Enum):
    PERSON = "person"
    MACHINE = "machine"
    SCREENER = "screener"


def _any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns))


_SCREENS: Final = _any_of(
    r"\bscreening (service|assistant|your call|calls|this call)",
    r"\bcall (screen|screening|assist|assistant)\b|\bcall is (being )?screened\b",
    r"\b(virtual|digital|personal|google|call) assistant (for|of|answering)\b",
    r"\bcopy of this conversation\b",
    r"\b(would like|wants) to know who\b",
)
_ASKS: Final = _any_of(
    r"\b(say|state|tell|give|record|speak|announce|provide|leave) (me |us )?(your|the) (full )?name\b",
    r"\b(who is|who's|whos|who may i say is|who can i say is|who should i say is) (this|that|calling|speaking)\b",
    r"\bwho (you are|are you) (calling|and why)\b|\b(say|tell (me|us)) who (you are|you're|youre)\b",
    r"\bwhom? am i (speaking|talking)\b|\b(identify|introduce|announce) yourself\b",
    r"\b(why|what|reason|reason that) (you are|you're|youre|are you) calling\b",
    r"\b(reason|purpose) (for|of) (your|the|this) call\b",
    r"\breason for calling\b",
    r"\bwhat('s| is)?( this| it| the| your)?( call)?('s| is)? (about|regarding|concerning|in regards? to)\b",
    r"\b(this|it|call)('s| is)? in reference to\b|\bwhat (it|this) concerns\b",
    r"\bwhat (can i|shall i|should i|would you like me to) (tell|say to) (him|her|them)\b",
    r"\bhow (can|may) (i|we) (help|assist you|direct)\b",  # as a receptionist asks
    r"\bmay i (ask|know|have) (your name|who|what|why)\b",
)
_CONNECTS: Final = _any_of(
    r"\b(connect|put) (you|your call|the call|this call)\b|\bcall is being (connected|screened)\b",
    r"\b(see|check|ask|find out) (if|whether)\b.*\b(available|there|free|can (talk|take|answer))\b",
    r"\btry to (reach|connect|find|get)\b",
    r"\b(will|to) be (announced|connected|put through)\b",
    r"\bbefore (i|we) (connect|put|try)\b",
    r"\b(announce|announcing) (you|your call)\b",
)
_GREETS: Final = _any_of(
    r"\b(you've|you have|youve) reached\b(?! the (right|wrong))",
    r"\b(leave|record) (me |us )?(a|your|the|another) "
    r"(brief |short |detailed )?(message|voice note|name|number|details)\b",
    r"\b(at|after|following|wait for) the (tone|beep|signal)\b",
    r"\b(mailbox|voice ?mail(box)?|answering (machine|service))\b",
    r"\b(can't|cannot|can not|unable to) (come to|make it to|take|answer|get to) (the|your|my) (phone|call)\b",
    r"\b(call|get back to|return) (you|your call)( back)? (as soon as|when)\b",
    r"\bpress (or say )?(\w+ (for|to)|\d|zero|one|two|three|four|five|six|seven|eight|nine|star|pound|hash)\b",
    r"\b(pound|star|hash) key\b|\bparty's extension\b|\boptions have changed\b|\bsay things like\b",
    r"\bfor english (press|say|dial|stay)\b|\bpara español\b",
    r"(?<!want )(?<!like )(?<!prefer )(?<!able )\bto continue in english\b",
    r"\bif this is an? \w*\s?emergency\b|\btry your call again\b",
    r"\bin a few words (please )?(tell|say|describe)\b|\bplease (enter|dial(?! (my|me|our)\b)|key in)\b",
    r"\b(our|office|business) (office )?hours\b",
    r"\bnumber (you have|you've|you are|you're) (dialed|dialled|called|dialing|dialling|calling|trying)\b",
    r"\b(no ?one|nobody)( is)?( currently)? available\b",
    r"\b(missed your call|away from (my|the) (phone|desk)|you know what to do)\b",
    r"\b(person|party|customer|subscriber|member) (you|that you)\b",
    r"\bcall (has been|was|is being) (forwarded|sent|diverted)\b",
    r"\b(automated|automatic|voice) (voice )?(message|messaging|system|attendant)\b",
    _NO_CALL := r"\b(not in service|no longer in service|not a working number|been disconnected|circuits are busy"
    r"|can ?not be completed|can't be completed|calling restrictions|unallocated|(dialed|dialled) is invalid)\b"
    r"|\b(number|line|person|party|customer|subscriber|user)( [\w']+){0,4}?"
    r" (does not|doesn't|not) accept(ing)? (\w+ )?calls\b"
    r"|(?<!my )\bnumber( you [\w']+( [\w']+)?)? has been changed\b",
    r"\byou may hang up\b",
)
_QUEUES: Final = _any_of(
    r"\byour call is important\b",
    r"\bcalls? (may|will) be (recorded|monitored|answered)\b",
    r"\b(please|stay|remain) (hold|on the line)\b",
    r"\b(agents|lines|operators|representatives) are (currently )?busy\b",
    r"\benjoy the music\b",
    r"\bnext available (agent|representative|operator|associate|person|member|specialist|advis[eo]r)\b"
    r"|\bin the order (it|they) (was|were|is|are)\b",
)
"""A recording's words behind which a person may come to the phone."""
_ABSENT: Final = _any_of(r"\b(not|isn't|aren't) (available|able to (take|answer|come))\b", r"\bunavailable\b")
"""A recording's words, and those of a person who does not want to talk, or speaks for somebody else."""
_TAKES_NOTHING: Final = _any_of(
    r"\b(mailbox|inbox|memory|voice ?mail)( [\w']+){0,7}? (is|was|has)( currently)? full\b(?! of)",
    r"\b(mailbox|voice ?mail)( [\w']+){0,4}? (not|isn't|hasn't)( yet)?( been)? (set ?up|initiali[sz]ed)\b",
    r"(?<!if you )(?<!if you are )(?<!if you're )\b(not|cannot|can't|unable to) (currently )?"
    r"(accept(ing)?|take|receive|leave)( any| a)?( new| more)? messages?\b",
    r"\bno (voice ?mail|(more )?messages can be left)\b",
    _NO_CALL,
)
_LATER: Final = _any_of(
    r"\b(call|ring|phone) you back\b|\bback to you\b|\bin touch\b",
    r"\b(text|e ?mail|message) (me|us)\b|\bby (text|e ?mail)\b",
    r"\b(can't|cannot|can not|unable to) pick up\b|\b(i'm|i am|we're|we are) (not (here|in|home)|closed|away)\b",
    r"\byou can say\b|\bfor example\b",
)
"""Words of a recording, or of somebody who takes no call now: nobody is put through behind them."""
_OTHERS: Final = _any_of(r"\b(he|she|they)('s|'re| is| are| isn't| aren't)\b")
_ASKS_BACK: Final = _any_of(r"\b(did|do|have|are|would) you\b", r"\bshould i\b")


def is_greeting(text: str) -> bool:
    """Tell whether these are the words of a recording."""
    words = _plain_words(text)
    return _GREETS.search(words) is not None or _ABSENT.search(words) is not None


def takes_no_message(turns: Sequence[SpokenTurn]) -> bool:
    """Tell whether a recording has said that no message can be left: the mailbox is full, or there is none."""
    return _TAKES_NOTHING.search(_plain_words(_heard(turns))) is not None


def _heard(turns: Sequence[SpokenTurn], without: Collection[str] = ()) -> str:
    return " ".join(turn.text for turn in turns if turn.speaker == CALLER and turn.text not in without)


def asks_who_calls(text: str) -> bool:
    """Tell whether the callee asks for a name and a reason before taking the call."""
    words = _plain_words(text)
    if _SCREENS.search(words) is not None:
        return True
    if _ASKS.search(words) is None:
        return False
    is_recording = _GREETS.search(words) is not None or _LATER.search(words) is not None
    is_no_recording = _CONNECTS.search(words) is not None or not is_recording
    return is_no_recording or (is_question(text) and _ASKS.search(_plain_words(sentences_of(text)[-1])) is not None)


def may_connect(text: str) -> bool:
    """Tell whether these words of a call screen, behind its question, leave it open who comes to the phone."""
    words = _plain_words(text)
    waits = _CONNECTS.search(words) is not None or _QUEUES.search(words) is not None
    return waits or is_doubtful(text) or asks_who_calls(text)


def is_answer(text: str) -> bool:
    """Tell whether these words, said after an agent was heard out, are a person's: a few, and no recording's."""
    if not _is_short(text):
        return False
    words = _plain_words(text)
    if "?" in text and _ASKS_BACK.search(words) is not None:
        return True
    if _GREETS.search(words) is not None or _QUEUES.search(words) is not None:
        return False
    return _ABSENT.search(words) is None or _OTHERS.search(words) is not None


def is_doubtful(text: str) -> bool:
    """Tell whether these words, said after an agent was heard out, are as well a person's as a recording's."""
    return _is_short(text) and not is_answer(text) and _GREETS.search(_plain_words(text)) is None


def _is_short(text: str) -> bool:
    return 0 < len(text.split()) <= LONGEST_ANSWER


def judge(turns: Sequence[SpokenTurn], answers: Sequence[str]) -> Callee | None:
    """Judge by the words so far, and by those after an agent was heard out; None where they do not tell."""
    if any(map(is_answer, answers)):
        return Callee.PERSON
    heard = _heard(turns, without=set(filter(is_doubtful, answers)))
    if asks_who_calls(heard):
        return Callee.SCREENER
    return Callee.MACHINE if is_greeting(heard) else None


def _plain_words(text: str) -> str:
    return " ".join(re.sub(r"[^\w' ]", " ", text.replace("’", "'").lower()).split())
