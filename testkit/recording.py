"""A recorded call: its journal read back, and made anonymous.

`read_journal` turns `journal.jsonl` into entries. A message that this version does not know is left out and told; a
known one that lacks something was written by another version, and is refused: half a call would play as another one.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import attrs
import cattrs
import orjson

from actors import facts
from actors.journal import KINDS, Entry

_NOT_FIELDS: Final = frozenset({"seq", "at", "event"})


class ReplayRefused(Exception):
    """A recorded call cannot be played again; the message says why."""


@attrs.frozen
class RecordedCall:
    """The journal of one call, and what could not be read of it."""

    entries: tuple[Entry, ...]
    unknown: tuple[str, ...] = ()
    """Messages of types that this version does not know."""


def find_journal(name: str, folder: Path | None) -> Path:
    """Find the journal of a call: a file, the folder of a call, or a call of the store by its SID.

    *Raises* `ReplayRefused`.
    """
    places = [Path(name), Path(name) / "journal.jsonl"]
    if folder is not None and re.fullmatch(r"[A-Za-z0-9_-]+", name):
        places.append(folder / name / "journal.jsonl")
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        where = f"in {folder}" if folder else "and nothing is recorded here: RECORDINGS_DIR is empty"
        raise ReplayRefused(f"{name}: there is no journal of this call {where}")
    return found


def read_journal(text: str) -> RecordedCall:
    """Read a journal file. *Raises* `ReplayRefused`."""
    entries, unknown = list[Entry](), list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        plain = _object(line, number)
        kind = KINDS.get(str(plain.get("event")))
        if kind is None:
            unknown.append(
                f"line {number}: {plain.get('event')!r} at {plain.get('at')} s is no message of this version"
            )
            continue
        entries.append(_entry(plain, kind, number))
    if not entries or not isinstance(entries[0].fact, facts.CallStarted):
        raise ReplayRefused("the journal does not begin with call_started: it is not whole, or of another version")
    if any(isinstance(entry.fact, facts.CallResumed | facts.CallParked) for entry in entries):
        raise ReplayRefused(
            "the call had more than one media stream (a transfer, or a lost line): only one can be played"
        )
    if not isinstance(entries[-1].fact, facts.CallEnded):
        raise ReplayRefused(
            "the journal does not end with call_ended: the call was cut, and nobody knows how it went on"
        )
    return RecordedCall(tuple(entries), tuple(unknown))


def _object(line: str, number: int) -> Mapping[str, object]:
    try:
        plain = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ReplayRefused(f"line {number} of the journal is not JSON: {error}") from error
    if not isinstance(plain, dict) or not {"seq", "at", "event"} <= plain.keys():
        raise ReplayRefused(f"line {number} of the journal has no seq, at and event: another version has written it")
    return plain


def _entry(plain: Mapping[str, object], kind: type[facts.Fact], number: int) -> Entry:
    known = {name: value for name, value in plain.items() if name not in _NOT_FIELDS}
    for field in attrs.fields(kind):
        if field.default is attrs.NOTHING and field.name not in known:
            event = plain["event"]
            raise ReplayRefused(
                f"line {number} of the journal: {event} has no {field.name!r}: an older version wrote it"
            )
    try:
        fact: facts.Fact = cattrs.structure(known, kind)
        return Entry(int(str(plain["seq"])), float(str(plain["at"])), fact)
    except (cattrs.BaseValidationError, ValueError, TypeError) as error:
        why = "; ".join(cattrs.transform_error(error)) if isinstance(error, cattrs.BaseValidationError) else str(error)
        raise ReplayRefused(f"line {number} of the journal: {plain['event']}: {why}") from error


_NAMES: Final = ("Robin Example", "Sam Sample", "Kim Placeholder")
_DIGITS: Final = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "oh"]
_NUMBER: Final = re.compile(r"\+?\d(?:[\s().-]?\d){3,}")
_SPOKEN: Final = re.compile(rf"\b(?:(?:{'|'.join(_DIGITS)})[\s,.-]+){{2,}}(?:{'|'.join(_DIGITS)})\b", re.IGNORECASE)
_MAIL: Final = re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+")
_SAID_NAME: Final = re.compile(
    r"\b(?:[Mm]y name is|[Tt]his is|I am|I'm|[Ii]t's)\s+((?:[A-Z][\w'’-]+)(?:\s+[A-Z][\w'’-]+){0,2})"
)
_KEEP: Final = frozenset({"call_sid", "stream_sid", "request_id", "id", "event"})


def anonymise(text: str) -> str:
    """Replace names, phone and other numbers, and mail addresses of a journal file, the same ones by the same.

    A name is what the caller gave as theirs, or what a Brief or a function has recorded as `name`.
    """
    found = _names_in(text)
    names = sorted(name for name in found if not any(name in other.split() and name != other for other in found))
    stand_ins = {name: _NAMES[number % len(_NAMES)] for number, name in enumerate(names)}
    words = {word: new for name, whole in stand_ins.items() for word, new in _pairs(name, whole)}
    lines = [orjson.dumps(_replaced(orjson.loads(line), words)).decode() for line in text.splitlines() if line.strip()]
    return "\n".join(lines) + "\n"


def _names_in(text: str) -> set[str]:
    said = (line for line in text.splitlines() if '"turn_heard"' in line or '"turn_cut_off"' in line)
    found = {match.group(1) for line in said for match in _SAID_NAME.finditer(line)}
    found |= set(re.findall(r'"(?:name|customer|full_name|first_name|last_name)"\s*:\s*"([^"]{2,60})"', text))
    functions = set(re.findall(r'"event":"function_\w+"[^}]*"name":"(\w+)"', text))
    return {name for name in found if name not in functions and name[:1].isupper()}


def _pairs(name: str, stand_in: str) -> Iterable[tuple[str, str]]:
    yield name, stand_in
    ours, theirs = name.split(), stand_in.split()
    for place, word in enumerate(ours):
        yield word, theirs[min(place, len(theirs) - 1)]


def _replaced(value: object, words: Mapping[str, str], key: str = "") -> object:
    match value:
        case str() if key not in _KEEP:
            for old, new in words.items():
                value = re.sub(rf"\b{re.escape(old)}\b", new, value, flags=re.IGNORECASE)
            value = _MAIL.sub("someone@example.com", value)
            value = _SPOKEN.sub(lambda match: re.sub(r"[A-Za-z]+", "five", match.group()), value)
            return _NUMBER.sub(lambda match: re.sub(r"\d", "5", match.group()), value)
        case dict():
            return {name: _replaced(inner, words, name) for name, inner in value.items()}
        case list():
            return [_replaced(inner, words) for inner in value]
        case _:
            return value
