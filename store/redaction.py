"""Leaves payment cards, or every longer number, out of the words of a call that are written down.

`Redaction` replaces them in journal, transcript and record at the moment they are written; agents, functions and the
next agent's Brief get the words as they were said. Digits may be written or spoken ("four two four two"), with spaces,
commas, dots and dashes between them. `CallRedaction` is one call's: there a number may be said over several turns. It
holds nothing back: what may be the beginning of a number is left out at once, before anybody knows how it goes on.
Nothing here reads a setting or a file.
"""

import re
from collections.abc import Mapping
from enum import Enum

import attrs
import orjson

_UNITS = "one two three four five six seven eight nine"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_WORDS: Mapping[str, str] = {
    **dict.fromkeys(("zero", "oh", "o", "nought"), "0"),
    **{word: str(number) for number, word in enumerate(f"{_UNITS} {_TEENS}".split(), 1)},
    **{word: str(10 * number) for number, word in enumerate(_TENS.split(), 2)},
}
_TIMES: Mapping[str, int] = {"": 1, "double": 2, "triple": 3, "quadruple": 4}
_PAIR = rf"(?:{_TENS.replace(' ', '|')})[\s-]+(?:{_UNITS.replace(' ', '|')})"
_NUMBER = rf"\d|\b(?:{_PAIR}|{'|'.join(_WORDS)})\b"
_DIGIT = rf"(?:\b(?:double|triple|quadruple)\s+)?(?:{_NUMBER})"
_GAP = r"[\s,.\-()/_\u2010-\u2015\u2212]{0,3}(?:\b(?:(?:and\s+)?then|dash|hyphen|space)\b[\s,]{1,3})?"
_RUN = re.compile(rf"(?<![\w.])(?=[\ddefnoqstz]){_DIGIT}(?:{_GAP}{_DIGIT})+(?!\w)", re.IGNORECASE)
_PIECE = re.compile(rf"(?<![\w.])(?=[\ddefnoqstz]){_DIGIT}(?:{_GAP}{_DIGIT})*(?!\w)", re.IGNORECASE)
"""Digits that may be some of a number's: a single one, too."""
_SAME = str.maketrans("ıİſ", "iis")
"""Letters that are taken for others where case is ignored."""
_PAUSE = re.compile(r"(?:[\W_]|\b(?:and|then|um|uh|er|so|ok|okay|yes|yeah)\b)*", re.IGNORECASE)
"""Anything that does not part digits: signs, and words that mean nothing."""
_AMOUNT = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_YEAR = re.compile(
    rf"(?:19|20)\d\d|(?:nineteen|twenty)[\s-]+(?:oh[\s-]+)?(?:{_PAIR}|[a-z]+)"
    r"|(?:ten|eleven|twelve)[\s-]+(?:fifteen|oh[\s-]+five|(?:twenty|thirty|forty|fifty)(?:[\s-]+five)?)",
    re.IGNORECASE,
)
"""Or the time of a day, in words."""
_ONE = re.compile(rf"(?:(double|triple|quadruple)\s+)?({_NUMBER})", re.IGNORECASE)
_CARD_LENGTHS = range(13, 20)
_MOST = 60
"""Digits in a row among which a card is looked for: two cards and a phone number."""
FEWEST = 4
"""Digits of a number that `NUMBERS` leaves out: those of a year, too; and from so many on the beginning of one."""
CARD = "[card]"
PART = "[digits]"
"""Stands for some of a number's digits."""


_MARKS = re.compile(r"\[(?:number|card|digits)\]")


def has_gaps(written: object) -> bool:
    """Say whether numbers were left out of a plain value when it was written down."""
    return _MARKS.search(str(written)) is not None


class RedactionRule(Enum):
    CARDS = "cards"
    NUMBERS = "numbers"


@attrs.frozen
class Redaction:
    """Some of the rules; without any, everything is written down as it is."""

    rules: frozenset[RedactionRule] = frozenset()
    parts: frozenset[str] = frozenset()
    """Digits that a call has had left out: four of them are left out again, wherever they come."""

    def text(self, text: str) -> str:
        return _RUN.sub(self._instead, text) if self.rules else text

    def _instead(self, found: re.Match[str]) -> str:
        return self.mark(_digits(found[0])) or found[0]

    def mark(self, digits: str) -> str:
        """Return what stands instead of digits in a row; "" where they are written down."""
        if RedactionRule.NUMBERS in self.rules and len(digits) >= FEWEST:
            return "[number]"
        if RedactionRule.CARDS in self.rules and _has_card(digits):
            return CARD
        return PART if len(digits) >= FEWEST and any(digits in one or one in digits for one in self.parts) else ""

    def value(self, value: object) -> object:
        """Return a redacted copy of a plain value: texts, numbers, lists and objects."""
        match value:
            case str():
                return self._text_or_json(value)
            case Mapping():
                return {self.value(name): self.value(inner) for name, inner in value.items()}
            case list() | tuple():
                return type(value)(self.value(inner) for inner in value)
            case int() | float() if not isinstance(value, bool):
                whole = str(value).partition(".")[0]
                return value if (told := self.text(whole)) == whole else told
            case _:
                return value

    def _text_or_json(self, text: str) -> str:
        """Redact JSON text inside its values, so that it stays JSON."""
        if text[:1] in {"{", "["} and self.text(text) != text:
            try:
                return orjson.dumps(self.value(orjson.loads(text))).decode()
            except orjson.JSONDecodeError:
                return self.text(text)
        return self.text(text)


@attrs.define
class CallRedaction:
    """What a rule leaves out of one call, where a number may come in parts: turn by turn, sentence by sentence.

    Of what the caller says it leaves out any four digits that begin or end a turn, and all that go on with those
    which the caller's last turn ended with. A year and an amount with commas are written down, if they stand alone.
    """

    rule: Redaction = attrs.field(factory=Redaction)
    _begun: dict[str, str] = attrs.field(factory=dict)
    """For each speaker: the digits with which the last words ended."""

    def turn(self, text: str) -> str:
        """Return what the caller has said, without it."""
        return self._said(_CALLER, text)

    def unsure_turn(self, text: str) -> str:
        """Return what the caller has said, without it; the turn will come again, whole."""
        begun, written = dict(self._begun), self._said(_CALLER, text)
        self._begun = begun
        return written

    def sentence(self, agent: str, text: str) -> str:
        """Return what an agent has said, without it."""
        return self._said(f"agent {agent}", text)

    def _said(self, speaker: str, text: str) -> str:
        if not self.rule.rules:
            return text
        parts, start = list[str](), 0
        begun, self._begun[speaker] = self._begun.get(speaker, ""), ""
        has_card = self.rule.mark(begun + _digits(" ".join(_PIECE.findall(text)))) == CARD
        if _PAUSE.fullmatch(text):
            self._begun[speaker] = begun
        for found in _PIECE.finditer(text):
            is_last = _PAUSE.fullmatch(text, found.end()) is not None
            is_first = _PAUSE.fullmatch(text, 0, found.start()) is not None
            digits = _digits(found[0])
            is_amount = _AMOUNT.fullmatch(found[0]) is not None
            goes_on = bool(begun) and (is_first or (len(digits) >= FEWEST and not is_amount))
            whole = (begun * goes_on + digits)[-_MOST:]
            begins = (is_first or is_last) and not is_amount and not _YEAR.fullmatch(found[0])
            is_part = speaker == _CALLER and (goes_on or begins or has_card)
            parts += text[start : found.start()], self._left_out(found[0], whole, is_part=is_part)
            start, begun = found.end(), ""
            if is_last:
                self._begun[speaker] = whole
        return self.rule.text("".join(parts) + text[start:])

    def _left_out(self, said: str, whole: str, *, is_part: bool) -> str:
        """Return the redacted form of digits that, with those before them, make `whole`."""
        mark = self.rule.mark(whole) or (PART if is_part and len(whole) >= FEWEST else "")
        if not mark:
            return said
        others = {one for one in self.rule.parts if not whole.startswith(one)}
        self.rule = attrs.evolve(self.rule, parts=frozenset({*others, whole}))
        return mark


_CALLER = "caller"


def _digits(said: str) -> str:
    found = _ONE.findall(said.translate(_SAME).lower())
    return "".join(_number(one) * _TIMES[times] for times, one in found)


def _number(one: str) -> str:
    tens, *unit = re.split(r"[\s-]+", one)
    return _WORDS[tens][0] + _WORDS[unit[0]] if unit else _WORDS.get(one) or str(int(one))


def _has_card(digits: str) -> bool:
    """Tell whether there is a card's number in a run of digits; others may be said before and behind it.

    In a longer run there may be any number.
    """
    ends = ((first, first + length) for length in _CARD_LENGTHS for first in range(len(digits) - length + 1))
    return len(digits) > _MOST or any(_is_card(digits[first:end]) for first, end in ends)


def _is_card(digits: str) -> bool:
    """Check the last digit: ISO/IEC 7812-1, annex B."""
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return digits[0] != "0" and (doubled + sum(map(int, digits[-1::-2]))) % 10 == 0


WHOLE = Redaction()
"""Everything is written down."""
CARDS = Redaction(frozenset([RedactionRule.CARDS]))
