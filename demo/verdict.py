"""Did the call go as its scenario says? The answer is a list of what did not, in plain words.

Without faults everything must hold: every word of the caller was heard, in order; the agents came one after the other
as the scenario lists them; no frame of the caller's audio was left unheard. With faults the call must have completed.
"""

import difflib
import re
from collections.abc import Iterable, Iterator

from protocol.fields import counted
from simulators.scenario import Scenario
from store.records import CallRecord

_KEYS = re.compile(r"\(pressed \d+ keys?\)$|The caller pressed .* on the keypad")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def shortcomings(scenario: Scenario, record: CallRecord) -> tuple[str, ...]:
    """Name everything in which the call fell short of its scenario."""
    return tuple(_shortcomings(scenario, record))


def _shortcomings(scenario: Scenario, record: CallRecord) -> Iterator[str]:
    if record.outcome not in scenario.endings:
        yield f"the call ended as {record.outcome}, not as {' or '.join(scenario.endings)}"
    if scenario.faults:
        return
    yield from _wrong_words(spoken_words(scenario), heard_words(record))
    expected, came = tuple(scenario.agents), agents(record)
    if came != (expected[: len(came)] if scenario.caller.leaves else expected):
        yield f"the agents were {_listed(came)}; the scenario has {_listed(expected)}"
    if record.frames.unheard:
        yield f"heard by no agent: {counted(record.frames.unheard, 'frame')} of the caller's audio"


def spoken_words(scenario: Scenario) -> tuple[str, ...]:
    return words(line.says for line in scenario.caller.lines if line.says is not None)


def heard_words(record: CallRecord) -> tuple[str, ...]:
    """List the words the agents heard the caller say; keys that they pressed are none."""
    turns = (turn.text for turn in record.transcript if turn.speaker == "caller")
    return words(turn for turn in turns if _KEYS.match(turn) is None)


def agents(record: CallRecord) -> tuple[str, ...]:
    return tuple(dict.fromkeys(period.agent for period in record.agents))


def words(sentences: Iterable[str]) -> tuple[str, ...]:
    return tuple(word for sentence in sentences for word in _WORD.findall(sentence.casefold()))


def _wrong_words(spoken: tuple[str, ...], heard: tuple[str, ...]) -> Iterator[str]:
    for tag, start, end, heard_start, heard_end in difflib.SequenceMatcher(
        None, spoken, heard, autojunk=False
    ).get_opcodes():
        said, got = " ".join(spoken[start:end]), " ".join(heard[heard_start:heard_end])
        if tag == "delete":
            yield f"no agent heard the caller say “{said}”"
        elif tag == "insert":
            yield f"an agent heard “{got}”, which the caller did not say then"
        elif tag == "replace":
            yield f"the caller said “{said}”, an agent heard “{got}”"


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "nobody"


def unanswered(scenario: Scenario, status: str) -> tuple[str, ...]:
    """Name what is wrong with a call of which there is no record."""
    if scenario.caller.answers == status:
        return ()
    return (f"the call left no record; Twilio says it is {status}",)
