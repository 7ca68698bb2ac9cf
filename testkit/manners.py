"""An agent's manners, in any roster: consent before a handoff, a goodbye, an answer, and no fact lost.

The promises of the oracle are the server's; these four are the roster's: its prompts, functions and handlers. Each rule
reads what a call has left behind and yields a sentence for what is wrong; `testkit.roster_rules` has the others, and
the table of all. Words are judged in English: not with an agent that listens for other languages, or speaks in one.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import attrs
import orjson

from actors import facts
from actors.line.ledger import SWITCHBOARD
from agents.spec import AgentSpec
from simulators.deepgram.brain import words_of
from simulators.deepgram.log import Received
from testkit.played_call import PlayedCall
from testkit.witness import is_of_keypad, started

_YES: Final = re.compile(
    r"\b(yes|yeah|yep|yup|sure|ok|okay|alright|all right|please|of course|go ahead|absolutely|definitely|certainly|"
    r"gladly|fine|great|perfect|lets|let us|do that|sounds (good|great|sensible|fine|right)|id like|would like|"
    r"go on|by all means|correct|exactly|m+ ?h+m+|uh huh|if you must|appreciate (it|that)|"
    r"id love|would love|happy to|that works|why not|do it)\b"
)
_NO: Final = re.compile(
    r"^(no|nope|nah|never)\b|\b(no|nope)$|\b(no thanks?|no thank you|"
    r"not (now|today|yet|interested|really|at the moment)|"
    r"rather not|(dont|do not|wont|will not) (want|wish|need|like|put|pass|transfer|connect)|id prefer not)\b"
)
_AFTER_ALL: Final = re.compile(r"\b(yes|actually|after all|on second thoughts?|changed my mind)\b")
_ASKS: Final = re.compile(
    r"\b(talk|speak|chat) (to|with)\b|\b(put|pass|hand|transfer|connect) (me|us)\b|\bget me\b|"
    r"\b(see|reach) (a|an|the|your)\b"
)
_HOLD: Final = re.compile(
    r"\b((just )?(one|a) (moment|second|minute|sec)|hold on|hang on|bear with me|please (hold|wait)|"
    r"let me (just )?(check|look|see|find out|have a look|look (that|it) up)|give me (a|one) (moment|second|minute)|"
    r"(im )?(just |still )?(checking|looking)( (for|into|at|up))?|(i will|ill) be (right |straight )?back|"
    r"let me (just )?(find|get|pull|bring)|while i (check|look|find)|please wait|a (moment|second)|"
    r"(i will|ill) (check|look)|for you|"
    r"please|okay|ok|sure|all right|right|of course|certainly|thanks|thank you|that|this|it|up|now|then)\b"
)
_FIRST_WORDS: Final = 5
"""So much of a long fact is looked for: a Brief shortens what is long."""


def handoffs_have_consent(call: PlayedCall) -> Iterator[str]:
    """Before each handoff, the caller agrees to it, presses a key, or asks for it, in their last turn."""
    said, heard_at = "", 0.0
    for entry in call.entries:
        match entry.fact:
            case facts.TurnHeard(text=text):
                said, heard_at = text, entry.at
            case facts.HandoffAsked(agent=agent) if agent not in english_agents(call):
                pass
            case facts.HandoffAsked(agent=agent, to=to, how=how):
                if not said:
                    yield f"{agent} handed the call to {to} at {entry.at:.2f} s, and the caller had said nothing"
                elif how != "back" and not agrees(said) and not is_of_keypad(said):
                    yield (
                        f"{agent} handed the call to {to} at {entry.at:.2f} s without the caller's consent: their last "
                        f"words, at {heard_at:.2f} s, were {said!r}"
                    )
            case facts.HandoffCommitted():
                said = ""
            case _:
                pass


def english_agents(call: PlayedCall) -> set[str]:
    """Return the agents whose words, and whose callers', are English: one that names no language is one of them."""
    return {name for name, agent in call.roster.agents.items() if _is_english(agent)}


def _is_english(agent: AgentSpec) -> bool:
    heard = agent.options.listen_language or ("en",)
    speaks = agent.sentences.language.lower()
    return speaks.startswith("en" if speaks else "") and any(each.lower().startswith(("en", "multi")) for each in heard)


def agrees(said: str) -> bool:
    """Say whether these words agree to an offer, or ask for somebody."""
    words = " ".join(words_of(said))
    refused = [found.start() for found in _NO.finditer(words)]
    if refused and not _AFTER_ALL.search(words, refused[-1] + 1):
        return False
    return bool(_YES.search(words) or _ASKS.search(words) or _AFTER_ALL.search(words))


def goodbyes_are_said(call: PlayedCall) -> Iterator[str]:
    """An agent that ends the call has said something since the caller's last words, and the caller has heard it."""
    if call.outcome in {"caller_hung_up", "no_agent", "line_dead"}:
        return
    started_at = call.times(facts.GoodbyeStarted)[-1:]
    for entry in call.entries:
        if entry.at not in started_at or not isinstance(entry.fact, facts.GoodbyeStarted):
            continue
        since = max([0.0, *(at for at in call.times(facts.TurnHeard) if at <= entry.at)])
        last = [heard for at, agent, heard in replies(call) if at >= since - 0.01 and agent != SWITCHBOARD]
        if not any(last):
            yield f"{entry.fact.agent} ended the call at {entry.at:.2f} s, and the caller heard no goodbye"


def turns_are_answered(call: PlayedCall) -> Iterator[str]:
    """Each turn of the caller is answered by more than a filler."""
    others = call.roster.agents.keys() - english_agents(call)
    turns = [(entry.at, entry.fact.text) for entry in call.entries if isinstance(entry.fact, facts.TurnHeard)]
    over = call.the_record.duration
    for (at, text), (until, after) in pairwise([*turns, (over, "")]):
        said = [(agent, heard) for begun, agent, heard in replies(call) if at <= begun < until and heard]
        answers = [heard for _, heard in said]
        is_cut = not after and call.outcome in {"caller_hung_up", "no_agent", "line_dead"} and until - at < FAIR
        is_english = others.isdisjoint(agent for agent, _ in said)
        if answers and is_english and not is_cut and all(map(is_filler, answers)):
            then = f"they spoke again at {until:.2f} s" if after else f"the call ended at {until:.2f} s"
            yield f"the caller said {text!r} at {at:.2f} s, and {answers[-1]!r} was all the answer until {then}"


FAIR: Final = 6.0
"""Seconds that a caller who hangs up must have given the agent."""


def is_filler(reply: str) -> bool:
    """Say whether a reply says nothing but that the caller should wait."""
    words = " ".join(words_of(reply))
    return "" == _HOLD.sub("", words).strip()


def replies(call: PlayedCall) -> Iterator[tuple[float, str, str]]:
    """Yield every reply, those of the switchboard too: when it was first heard, by whom, and what was heard of it."""
    spoken = {fact.generation: fact.start for fact in reversed(call.facts(facts.AgentSpoke))}
    for entry in call.entries:
        if isinstance(entry.fact, facts.ReplyEnded):
            fact = entry.fact
            filler = fact.text if fact.agent == SWITCHBOARD else ""
            yield spoken.get(fact.generation, entry.at), fact.agent, fact.heard or filler


def no_fact_is_lost(call: PlayedCall) -> Iterator[str]:
    """The next agent is told what an agent has written down, or has told the caller from a function.

    One that takes a session over has its conversation, with what its functions were given and have answered.
    """
    known: list[_Known] = []
    asked_at = 0.0
    for entry in call.entries:
        match entry.fact:
            case facts.FunctionAnswered(ok=True) as answered:
                found = list(_known_from(call, answered, entry.at))
                newer = {each.slot for each in found}
                known = [each for each in known if each.slot not in newer] + found
            case facts.HandoffAsked():
                asked_at = entry.at
            case facts.HandoffCommitted(to=to, how=how):
                unheard = known if how != "soft" else [each for each in known if each.slot[0] == "fact"]
                told = f" {_told(call, asked_at, entry.at)} "
                for each in unheard:
                    if f" {' '.join(words_of(each.value)[:_FIRST_WORDS])} " not in told:
                        where = f"{each.value!r}, {each.where}"
                        yield f"{to} took the call over at {entry.at:.2f} s and was not told {where}"
            case _:
                pass


@attrs.frozen
class _Known:
    """A value that a function was given or has told; a later one in the same slot takes its place."""

    slot: tuple[str, str, str]
    value: str
    where: str


def _known_from(call: PlayedCall, answered: facts.FunctionAnswered, at: float) -> Iterator[_Known]:
    function, agent = answered.name, answered.agent
    spec = call.roster.agents[agent].function(function)
    if spec is None or not spec.acts:
        return
    for name, value in answered.facts.items():
        yield _Known(("fact", "", name), value, f"which {function} had recorded as {name!r} at {at:.2f} s")
    advice = "return it in the facts of the Answer"
    called = (fact.arguments for fact in call.facts(facts.FunctionCalled) if fact.number == answered.number)
    for name, value in _scalars(next(called, "")):
        where = f"which {agent} had given to {function} as {name!r} at {at:.2f} s: {advice}"
        yield _Known(("argument", function, name), value, where)
    if answered.facts:  # the handler says what of its answer is to be kept
        return
    heard = " ".join(words_of(" ".join(text for _, _, text in replies(call))))
    for name, value in _scalars(answered.result):
        if " ".join(words_of(value)) in heard:
            where = f"which {function} had answered as {name!r} at {at:.2f} s: {advice}"
            yield _Known(("answer", function, name), value, where)


def _scalars(text: str) -> Iterator[tuple[str, str]]:
    """Yield the words and the longer numbers of a JSON object, however deep, with their keys."""
    try:
        yield from _leaves("", orjson.loads(text or "{}"))
    except orjson.JSONDecodeError:
        return


def _leaves(key: str, value: object) -> Iterator[tuple[str, str]]:
    match value:
        case bool() | None:
            pass
        case dict():
            for name, inner in value.items():
                yield from _leaves(str(name), inner)
        case list():
            for inner in value:
                yield from _leaves(key, inner)
        case _:
            if len("".join(words_of(str(value)))) >= _SHORTEST:
                yield key, str(value)


_SHORTEST: Final = 3


def _told(call: PlayedCall, since: float, until: float) -> str:
    """Return the words of every message that a service was sent around a handoff, its Settings above all."""
    assert call.exchange is not None
    begun = started(call)
    sent = (entry for entry in call.exchange.log.of(Received) if since - 0.01 <= entry.at - begun <= until + 1.0)
    return " ".join(word for entry in sent for word in words_of(str(entry.message).replace("\\n", " ")))
