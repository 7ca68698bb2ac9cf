"""The rules that any roster keeps, by name: its manners, and what its handlers and words must not do.

`find_bad_manners` applies them all. A name that nobody gave, a secret that is told, words that announce what is not
done, a handler with a mistake: each is a sentence with the time. Names and announcements are judged in English.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final

import orjson

from actors import facts
from agents.announcing import announced
from agents.quoting import word_set
from simulators.deepgram.brain import words_of
from store.records import TRANSFERRING
from testkit.call_end import LEFT
from testkit.manners import (
    english_agents,
    goodbyes_are_said,
    handoffs_have_consent,
    no_fact_is_lost,
    replies,
    turns_are_answered,
)
from testkit.played_call import PlayedCall
from testkit.witness import spoken_lines

_SECRET_WORDS: Final = re.compile(r"(?:^|_)(?:KEY|APIKEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS)(?:_|$)")
_SHORTEST_SECRET: Final = 6
_ADDRESSED: Final = re.compile(
    r"\b(?i:thanks|thank you|sorry|hello|hi|hey|good (?:morning|afternoon|evening|day)|goodbye|bye|welcome|great|"
    r"perfect|lovely|wonderful|of course|certainly|sure|okay|ok|all right|nice to meet you)"
    r"(?i: (?:again|so much|very much|back|then))?,? (?:(?:Mr|Mrs|Ms|Miss|Dr)\.? )?(?P<name>[A-Z][a-z'’-]+)(?=[.,!?])"
)
_NO_NAMES: Final = word_set(
    "monday tuesday wednesday thursday friday saturday sunday january february march april may june july august "
    "september october november december sir madam everyone there i"
)


def find_bad_manners(call: PlayedCall, *, excused: Collection[str] = ()) -> list[str]:
    """Return a sentence for each rule that is broken, with the time."""
    if call.record is None:
        return []
    return [f"{name}: {broken}" for name, find in RULES.items() if name not in excused for broken in find(call)]


def handlers_work(call: PlayedCall) -> Iterator[str]:
    """A handler of the roster's own raises nothing but what is for the model, returns an outcome, and is in time."""
    for failed in call.failures:
        place = f", in {failed.place}" if failed.place else ""
        yield f"the handler of {failed.function} had a mistake at {failed.at:.2f} s{place}: {failed.what}"
    for line in call.logs:
        if line["event"] == "handler_abandoned":
            fix = "let trio.Cancelled through, and give a shield a deadline"
            yield f"the handler of {line['function']} was abandoned, since it goes on although it was cancelled: {fix}"


def the_script_is_played(call: PlayedCall) -> Iterator[str]:
    """A call without a fault ends as its scenario says, and not before the caller has said all of their lines.

    Where the call is put through to a person it is over, whatever the scenario has for the person.
    """
    if call.faults or call.outcome == TRANSFERRING:
        return
    if call.outcome not in call.script.endings:
        yield f"the call ended as {call.outcome}, and its scenario as {' or '.join(call.script.endings)} (`ends`)"
    lines = [line.says for line in call.script.caller.lines if line.says]
    for text in lines[len(spoken_lines(call)) :]:
        yield f"the call was over at {call.the_record.duration:.2f} s, before the caller could say {text!r}"


def what_is_announced_is_done(call: PlayedCall) -> Iterator[str]:
    """An agent that says that it puts through, notes, or ends, calls the function before the caller has to ask again.

    Nothing is asked of a call with a fault, with a restart, or that the caller left: the agent may have had no time.
    """
    if call.faults or call.restarts or call.outcome in LEFT:
        return
    turns, called = call.times(facts.TurnHeard), [(each.at, each.name) for each in call.calls]
    ours, english = {text for each in call.sentences for _, text in each.all()}, english_agents(call)
    for at, agent, text in replies(call):
        if text in ours or agent not in english:  # what the server itself has had the agent say
            continue
        spec, before = call.roster.agents.get(agent), [turn for turn in turns if turn <= at]
        if spec is None or not before or (spec.offers_human and spec.function("transfer_to_human") is None):
            continue
        later = [turn for turn in turns if turn > at]
        until = later[1] if len(later) > 1 else call.the_record.duration
        found = announced(text, spec.functions, spec.sentences)
        names, since = {each.name for each in found}, 0.0
        if any(not each.acts for each in found):  # "goodbye" and "I'll put you through" are said of any way to do so
            names, since = {each.name for each in spec.functions if not each.acts}, before[-1]
        if names and not any(since <= when <= until and name in names for when, name in called):
            wanted = " or ".join(each.name for each in found)
            yield f"{agent} said {text!r} at {at:.2f} s, and had called no {wanted} by {until:.2f} s: words do nothing"


def no_secret_is_told(call: PlayedCall) -> Iterator[str]:
    """The value of a secret setting is neither said to the caller nor answered to the model."""
    secrets = {name: value for name, value in call.env.items() if _SECRET_WORDS.search(name.upper())}
    for name, value in secrets.items():
        if len(value) < _SHORTEST_SECRET:
            continue
        for at, agent, text in replies(call):
            if f" {' '.join(words_of(value))} " in f" {' '.join(words_of(text))} ":
                yield f"{agent} told the caller the value of {name} at {at:.2f} s"
        for called in call.calls:
            if value in (called.result or "") or value in orjson.dumps(called.arguments, default=str).decode():
                yield f"{called.name} told the model the value of {name}, called at {called.at:.2f} s"


def names_were_given(call: PlayedCall) -> Iterator[str]:
    """A caller is called by a name only if they, a function, the order or the roster has said it."""
    known = {word for line in spoken_lines(call) for word in words_of(line.text)}
    known |= {word for text in call.said_by_caller() for word in words_of(text)}
    known |= {word for each in call.calls for word in words_of(each.result or "")}
    known |= {word for value in call.the_record.facts.values() for word in words_of(value)}
    known |= words_in_roster(call)
    english = english_agents(call)
    known |= set(words_of(orjson.dumps(call.the_record.metadata, default=str).decode()))
    for at, agent_name, text in replies(call):
        for found in _ADDRESSED.finditer(text) if agent_name in english else ():
            if not known & set(words_of(found["name"])) and found["name"].lower() not in _NO_NAMES:
                yield f"{agent_name} called the caller {found['name']!r} at {at:.2f} s, a name that nobody gave"


def words_in_roster(call: PlayedCall) -> set[str]:
    """Return every word of the prompts and greetings: an agent's own name and the company's are among them."""
    return {
        word
        for agent in call.roster.agents.values()
        for text in (agent.prompt, agent.inbound_prompt, agent.greeting, agent.inbound_greeting, agent.role, agent.name)
        for word in words_of(text)
    }


RULES: Final[Mapping[str, Callable[[PlayedCall], Iterator[str]]]] = {
    "script": the_script_is_played,
    "consent": handoffs_have_consent,
    "goodbye": goodbyes_are_said,
    "answer": turns_are_answered,
    "facts": no_fact_is_lost,
    "announced": what_is_announced_is_done,
    "names": names_were_given,
    "secrets": no_secret_is_told,
    "handler": handlers_work,
}
"""By the names under which a call is excused from them."""
OF_ENGLISH: Final = frozenset({"consent", "answer", "announced", "names"})
"""Those that look for English words."""
