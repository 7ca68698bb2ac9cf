"""Checks what a handler returned, before anything is done with it.

`checked` copies an outcome into plain values: JSON of a bounded size for the model, short texts for the facts, nothing
that a record or a socket cannot take. None says nothing where words belong: it is no fault. What does not fit is
`UnfitOutcome`; its message names the field and the fix, for the author of the handler. A handler may return
sub-classes, cycles or endless mappings: the copy reads no further than there is room for.
"""

import math
from collections.abc import Mapping, Sequence
from types import CoroutineType
from typing import TypeVar

import attrs
import orjson

from actors.supervision import describe
from agents.functions import Answer, EndCall, FunctionFailed, HandOff, Outcome, TransferToHuman
from protocol.fields import JSON
from protocol.phone_numbers import is_phone_number

LARGEST_ANSWER = 16_384
"""Bytes of an answer's JSON text. A model that talks on a telephone has no use for more."""
LONGEST_TEXT = 4_000
"""Characters of a fact, a reason or a note."""
MOST_FACTS = 64
DEEPEST = 32
"""Levels of lists and mappings in one another."""
_INT64 = 1 << 63

T = TypeVar("T", EndCall, TransferToHuman)


class UnfitOutcome(Exception):
    """This is no outcome, or there is something in it that cannot be sent or kept."""


def checked(outcome: object) -> Outcome:
    """Return a plain copy of what a handler returned. *Raises* `UnfitOutcome`."""
    match outcome:
        case Answer(content=content, facts=facts):
            return Answer(_content(content), _facts(facts))
        case HandOff(to=to, reason=reason, notes=notes, back=back):
            return HandOff(_short("to", to), _said("reason", reason), _said("notes", notes), back is True)
        case EndCall():
            return _texts(EndCall, outcome)
        case TransferToHuman():
            plain = _texts(TransferToHuman, outcome)
            if plain.number and not is_phone_number(plain.number):
                raise UnfitOutcome(f"number is {_excerpt(plain.number)}, no phone number: write + and 7 to 15 digits")
            return plain
        case CoroutineType():
            outcome.close()
            raise UnfitOutcome("the handler returned a coroutine: await it")
        case _:
            wanted = "no Answer, HandOff, EndCall or TransferToHuman: return Answer(…)"
            raise UnfitOutcome(f"the handler returned {type(outcome).__name__}, which is {wanted}")


def words_of_failure(failed: FunctionFailed) -> tuple[str, str]:
    """Return what the model is to be told of a failure, and what its author. *Raises* `UnfitOutcome`."""
    says, cause = failed.says, failed.cause
    if not isinstance(says, str):
        raise UnfitOutcome(f"FunctionFailed has {_a(says)} to say: write it as text")
    if not says.strip():
        raise UnfitOutcome("FunctionFailed has nothing to say: write a sentence for the model")
    if isinstance(cause, BaseException):
        return str.__str__(says), describe(cause)
    known = str.__str__(cause) if isinstance(cause, str) else f"({_a(cause)}: write the cause as text)"
    return str.__str__(says), known[:LONGEST_TEXT].encode(errors="backslashreplace").decode()[:LONGEST_TEXT]


def _content(content: object) -> JSON:
    plain = _Room().value("content", content, DEEPEST)
    size = len(plain.encode() if isinstance(plain, str) else orjson.dumps(plain))
    if size > LARGEST_ANSWER:
        room = f"content takes {size:,} bytes, of {LARGEST_ANSWER:,}"
        raise UnfitOutcome(f"{room}: return what the model is to say, no more")
    return plain


def _facts(facts: object) -> Mapping[str, str]:
    if facts is None:
        return {}
    if not isinstance(facts, Mapping):
        raise UnfitOutcome(f"facts is {_a(facts)}: return a mapping of names to texts")
    plain: dict[str, str] = {}
    for name, value in facts.items():
        if value is None:
            continue  # it is not known
        if len(plain) == MOST_FACTS:
            raise UnfitOutcome(f"facts has more than {MOST_FACTS} names: keep what the next agent has to know")
        plain[_short("the name of a fact", name)] = _short(f"facts[{_excerpt(name)}]", value)
    return plain


def _texts(kind: type[T], outcome: T) -> T:
    names = [field.name for field in attrs.fields(kind)]
    return kind(**{name: _said(name, getattr(outcome, name)) for name in names})


def _said(where: str, value: object) -> str:
    """Check words that need not be there: None says nothing."""
    return "" if value is None else _short(where, value)


def _short(where: str, value: object) -> str:
    if not isinstance(value, str):
        raise UnfitOutcome(f"{where} is {_a(value)}: write it as text")
    return _Room(LONGEST_TEXT).text(where, value)


@attrs.define
class _Room:
    """The room left for one value, in characters; each value takes one at least."""

    left: int = LARGEST_ANSWER

    def value(self, where: str, value: object, depth: int) -> JSON:
        if isinstance(value, str):
            return self.text(where, value)
        self.take(where, 1)
        match value:
            case None | bool():
                return value
            case int() | float():
                return _plain_number(where, value)
            case Mapping():
                return self.mapping(where, value, depth)
            case Sequence() if not isinstance(value, bytes | bytearray | memoryview):
                return [self.value(f"{where}[{index}]", one, _below(where, depth)) for index, one in enumerate(value)]
            case _:
                raise UnfitOutcome(f"{where} is {_a(value)}, which JSON cannot say: write it as text or as a number")

    def mapping(self, where: str, value: Mapping[object, object], depth: int) -> dict[str, JSON]:
        plain: dict[str, JSON] = {}
        for name, inner in value.items():
            if not isinstance(name, str):
                raise UnfitOutcome(f"{where} has the key {_excerpt(name)}, {_a(name)}: write keys as text")
            key = self.text(f"a key of {where}", name)
            plain[key] = self.value(f"{where}[{_excerpt(key)}]", inner, _below(where, depth))
        return plain

    def text(self, where: str, value: str) -> str:
        self.take(where, len(value) + 1)
        plain = str.__str__(value)  # of a sub-class, too
        if not plain.isascii() and any("\ud800" <= letter <= "\udfff" for letter in plain):
            raise UnfitOutcome(f'{where} has half a surrogate pair in it: read it with errors="replace"')
        return plain

    def take(self, where: str, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise UnfitOutcome(f"there is no room for {where[:80]}: return what the model is to say, no more")


def _below(where: str, depth: int) -> int:
    if depth == 0:
        raise UnfitOutcome(f"{where[:80]} is {DEEPEST} levels deep, or a cycle: return something flatter")
    return depth - 1


def _plain_number(where: str, value: float) -> float:
    if isinstance(value, int):
        if not -_INT64 <= value < 2 * _INT64:
            raise UnfitOutcome(f"{where} has more than 64 bits: write it as text")
        return int.__int__(value)
    if not math.isfinite(value):
        raise UnfitOutcome(f"{where} is {float.__repr__(value)}, which JSON cannot say: leave it out, or write a text")
    return float.__float__(value)


def _a(value: object) -> str:
    kind = type(value).__name__
    return f"an {kind}" if kind[:1] in {*"aeiouAEIOU"} else f"a {kind}"


def _excerpt(name: object) -> str:
    return ascii(name)[:40] if isinstance(name, str | int | float | None) else type(name).__name__
