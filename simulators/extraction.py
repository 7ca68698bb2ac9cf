"""Extraction of facts from a transcript in a prompt, as a careful reader does it: nothing that is not in it.

Pure functions from the text of chat messages to the entries of a note. They stand in for a language model: every value
is taken from a line of the transcript or from a recorded fact, and an entry nobody spoke of stays empty.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from protocol.fields import JSON

ENTRIES = ("summary", "name", "location", "need", "timeline", "preferences", "engagement", "next_step")
CUSTOMERS = frozenset({"caller", "customer", "user", "human", "client"})

_LINE = re.compile(r"^\s*[-*]?\s*([A-Za-z][\w -]{0,40}?)\s*(?:\([^)]*\))?\s*:\s*(.+?)\s*$")
_PROPER = r"[A-Z][\w'’.-]*"
_NAME = re.compile(
    rf"(?i:my name is|my name's|name's|i am called|call me|this is|i'm|i am|it's)\s+({_PROPER}(?: {_PROPER}){{0,2}})"
)
_PLACE = re.compile(
    rf"(?i:live in|living in|based in|located in|calling from|i'm in|i am in|i'm from|i am from|here in)\s+"
    rf"({_PROPER}(?:,? {_PROPER}){{0,2}})"
)
_NEED = re.compile(
    r"(?i)(?:help with|help me with|interested in|looking for|looking into|talk about|advice on|advice about|"
    r"thinking about|questions about)\s+([^.,!?;]+)"
)
_TIME = re.compile(
    r"(?i)\b(?:(?:retire|start|done|ready) )?(?:by|before|within|in the next|at)\s+(?:age )?"
    r"(?:\d+|sixty|fifty|next \w+|the end of \w+(?: \w+)?|\w+ (?:days|weeks|months|years))\b"
    r"|\bnext \w+day(?: (?:morning|afternoon|evening))?|\bas soon as possible|\bright away|\bnext (?:week|month|year)"
)  # fmt: skip
_WISH = re.compile(r"(?i)\b(?:prefer|rather|please (?:call|email|text)|mornings?|afternoons?|evenings?)\b")
_YES = re.compile(r"(?i)^(?:yes|yeah|sure|okay|ok|of course|please|that would be|sounds good|absolutely)\b")
_NO = re.compile(r"(?i)\b(?:not interested|no thanks|no thank you|too busy|bad time|stop calling)\b")
_FILLERS = re.compile(r"(?i)^(?:(?:um|uh|well|sure|yes|yeah|it's|it is|i'm in|in|i need|mostly|mainly|help with),? )+")

_ASKS_NAME = re.compile(r"(?i)\bname\b|who am i speaking")
_ASKS_PLACE = re.compile(r"(?i)\bwhere\b|\b(?:which|what) (?:city|state|town|area)\b|\blocation\b|located")
_ASKS_NEED = re.compile(
    r"(?i)help (?:you )?with|brings you|looking for|interested in|like to (?:discuss|talk about)|what .*\bneed"
)
_OFFERS = re.compile(r"(?i)\b(advisor|consultation|appointment|follow-up|schedule|meeting|call you)\b[^?]*\?")


@attrs.frozen
class SaidLine:
    """One thing said; `asked` is what an agent had said before it."""

    customer: bool
    text: str
    asked: str = ""


def read_lines(prompt: str) -> tuple[tuple[SaidLine, ...], dict[str, str]]:
    """Split a prompt into what was said and what is given as recorded facts."""
    said: list[SaidLine] = []
    facts: dict[str, str] = {}
    asked, recorded = "", False
    for raw in prompt.splitlines():
        if raw.strip().rstrip(":").casefold() in {"transcript", "conversation"}:
            recorded = False
        elif "record" in raw.casefold() and raw.rstrip().endswith(":"):
            recorded = True
        elif match := _LINE.match(raw):
            speaker, text = match[1].strip(), match[2].strip('"“”')
            customer = speaker.casefold() in CUSTOMERS
            if recorded:
                facts[speaker] = text
            else:
                said.append(SaidLine(customer, text, asked))
                asked = asked if customer else text
    return tuple(said), facts


def extract(prompt: str) -> dict[str, str]:
    """Note down what the prompt's transcript says, entry by entry."""
    said, facts = read_lines(prompt)
    mine = [line for line in said if line.customer]
    note = {
        "name": _last(mine, lambda line: _stated(line, _NAME, _ASKS_NAME, 3)),
        "location": _last(mine, lambda line: _stated(line, _PLACE, _ASKS_PLACE, 4)),
        "need": _last(mine[::-1], _need),
        "timeline": _last(mine, lambda line: _found(_TIME, line.text)),
        "preferences": "; ".join(line.text for line in mine if _WISH.search(line.text)),
        "engagement": _engagement(mine),
        "next_step": _agreed(mine),
    }
    note |= {name: value for name, value in facts.items() if name in ENTRIES}
    return {"summary": _summary(note, facts, mine), **note}


def fill_in(schema: Mapping[str, Any], note: Mapping[str, str], prompt: str) -> dict[str, JSON]:
    """Write an object as a JSON Schema wants it: what nobody spoke of is empty, or the least that the schema takes."""
    required = schema.get("required", ())
    return {
        name: _fitting(wanted, note.get(name, ""), note, prompt)
        for name, wanted in schema.get("properties", {}).items()
        if name in note or name in required or (wanted.get("type", "string") == "string" and "enum" not in wanted)
    }


def _fitting(wanted: Mapping[str, Any], text: str, note: Mapping[str, str], prompt: str) -> JSON:
    choices: Sequence[JSON] = wanted.get("enum", ())
    if choices:
        said = prompt.casefold()
        return text if text in choices else next((one for one in choices if str(one).casefold() in said), choices[0])
    match wanted.get("type"):
        case "integer" | "number":
            least: float = wanted.get("minimum", 0)
            return max(0, least)
        case "boolean":
            return False
        case "array":
            return []
        case "object":
            return fill_in(wanted, note, prompt)
        case _:
            return text


def _last(lines: Sequence[SaidLine], find: Callable[[SaidLine], str]) -> str:
    return next(filter(None, map(find, reversed(lines))), "")


def _stated(line: SaidLine, statement: re.Pattern[str], question: re.Pattern[str], most_words: int) -> str:
    if match := statement.search(line.text):
        return match[1].rstrip(".,")
    if not question.search(line.asked):
        return ""
    answer = _FILLERS.sub("", line.text).split(".")[0].rstrip("!, ")
    words = answer.replace(",", " ").split()
    proper = bool(words) and all(word[0].isupper() for word in words)
    return answer if proper and len(words) <= most_words and not _YES.match(answer) else ""


def _need(line: SaidLine) -> str:
    if match := _NEED.search(line.text):
        return match[1].strip()
    if not _ASKS_NEED.search(line.asked) or _NO.search(line.text):
        return ""
    answer = re.split(r"[.,!?]", _FILLERS.sub("", line.text))[0].strip()
    return answer if 0 < len(answer.split()) <= 6 and not _YES.match(answer) else ""


def _found(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match[0] if match else ""


def _engagement(mine: Sequence[SaidLine]) -> str:
    if any(_NO.search(line.text) for line in mine):
        return "not interested now"
    return "agreeable" if any(_YES.match(line.text) for line in mine) else ""


def _agreed(mine: Sequence[SaidLine]) -> str:
    offers: Iterator[str] = (
        match[1].casefold()
        for line in reversed(mine)
        if _YES.match(line.text) and (match := _OFFERS.search(line.asked))
    )
    offer = next(offers, "")
    return f"agreed to: {offer}" if offer else ""


def _summary(note: Mapping[str, str], facts: Mapping[str, str], mine: Sequence[SaidLine]) -> str:
    where = f" from {note['location']}" if note["location"] else ""
    wants = f" wants to talk about {note['need']}" if note["need"] else " is on the phone"
    sentences = [f"{note['name'] or 'The customer'}{where}{wants}."]
    if note["timeline"]:
        sentences.append(f"Time: {note['timeline']}.")
    if mine:
        sentences.append(f"They last said: {mine[-1].text}")
    sentences += [f"Recorded {name.replace('_', ' ')}: {value}." for name, value in facts.items() if name not in note]
    return " ".join(sentences)
