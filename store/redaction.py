"""Leaves payment cards, or every longer number, out of the words of a call that are written down.

`Redaction` replaces them in journal, transcript and record at the moment they are written; agents, functions and the
next agent's Brief get the words as they were said. Digits may be written or spoken ("four two four two"), with spaces,
commas, dots and dashes between them. Values: nothing here reads a setting or a file.
"""

import re
from collections.abc import Mapping
from enum import Enum

import attrs
import orjson

_WORDS: Mapping[str, str] = {
    "zero": "0", "oh": "0", "one": "1", "two": "2", "three": "3", "four": "4",
    "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9",
}  # fmt: skip
_DIGIT = rf"(?:[0-9]|\b(?:{'|'.join(_WORDS)})\b)"
_RUN = re.compile(rf"(?<![\w.]){_DIGIT}(?:[\s,.\-()/]{{0,3}}{_DIGIT})+(?!\w)", re.IGNORECASE)
_ONE = re.compile(_DIGIT, re.IGNORECASE)
_CARD_LENGTHS = range(13, 20)
_MOST = 60
"""Digits in a row among which a card is looked for: two cards and a phone number."""
FEWEST = 4
"""Digits of a number that `NUMBERS` leaves out: those of a year, too."""


class RedactionRule(Enum):
    """The numbers that are left out."""

    CARDS = "cards"
    NUMBERS = "numbers"


@attrs.frozen
class Redaction:
    """Some of the rules; without any, everything is written down as it is."""

    rules: frozenset[RedactionRule] = frozenset()

    def text(self, text: str) -> str:
        """Return a text without what the rules leave out."""
        return _RUN.sub(self._instead, text) if self.rules else text

    def _instead(self, found: re.Match[str]) -> str:
        digits = "".join(_WORDS.get(one.lower(), one) for one in _ONE.findall(found[0]))
        if RedactionRule.NUMBERS in self.rules and len(digits) >= FEWEST:
            return "[number]"
        return "[card]" if RedactionRule.CARDS in self.rules and _has_card(digits) else found[0]

    def value(self, value: object) -> object:
        """Return a plain value without it: texts, numbers, and what is in lists and objects."""
        match value:
            case str():
                return self._text_or_json(value)
            case Mapping():
                return {name: self.value(inner) for name, inner in value.items()}
            case list() | tuple():
                return type(value)(self.value(inner) for inner in value)
            case int() if not isinstance(value, bool) and self.text(str(value)) != str(value):
                return self.text(str(value))
            case _:
                return value

    def _text_or_json(self, text: str) -> str:
        """Keep JSON what is JSON, as the arguments of a function are."""
        if text[:1] in {"{", "["} and self.text(text) != text:
            try:
                return orjson.dumps(self.value(orjson.loads(text))).decode()
            except orjson.JSONDecodeError:
                return self.text(text)
        return self.text(text)


def _has_card(digits: str) -> bool:
    """Tell whether there is a card's number in a run of digits; others may be said before and behind it."""
    ends = ((first, first + length) for length in _CARD_LENGTHS for first in range(len(digits) - length + 1))
    return len(digits) <= _MOST and any(_is_card(digits[first:end]) for first, end in ends)


def _is_card(digits: str) -> bool:
    """Check the last digit: ISO/IEC 7812-1, annex B."""
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return digits[0] != "0" and (doubled + sum(map(int, digits[-1::-2]))) % 10 == 0


WHOLE = Redaction()
"""Everything is written down."""
CARDS = Redaction(frozenset([RedactionRule.CARDS]))
