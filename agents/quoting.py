"""Other people's words, made safe to repeat to a language model.

Owns `SpokenTurn` (one thing said on the line) and the one way in which anything a caller said enters a prompt:
`neutral` and `in_quotes`. It never judges what the words mean; it takes away what could act as structure (line breaks,
headings, fences, tags, quotation marks, invisible characters). Nothing here raises.
"""

import re
import unicodedata
from typing import Final

import attrs

CALLER: Final = "caller"
SPEAKERS: Final = frozenset({CALLER, "switchboard", "operator"})
"""The speakers of a transcript that are no agents."""
STRUCTURE: Final = "#`<>{}[]|*~\\^="


class _Plain(dict[int, str]):
    """A translation that learns: what no word is made of becomes a space."""

    def __missing__(self, code: int) -> str:
        each = chr(code)
        plain = " " if unicodedata.category(each)[0] in "CZ" else each
        if len(self) < _MOST_KNOWN:
            self[code] = plain
        return plain


_MOST_KNOWN: Final = 5_000
_PLAIN: Final = _Plain(str.maketrans({**dict.fromkeys(STRUCTURE, " "), **dict.fromkeys('"“”„‟«»', "'")}))
_RULES: Final = re.compile(r"-{2,}|_{2,}")


@attrs.frozen
class SpokenTurn:
    """One finished turn as it was heard; `speaker` is `CALLER` or the name of an agent."""

    speaker: str
    text: str

    def as_line(self, limit: int) -> str:
        """Write the turn as one list item of a prompt."""
        who = "customer" if self.speaker == CALLER else f"{neutral(self.speaker, 40)} (colleague)"
        return f"- {who}: {in_quotes(self.text, limit)}"


def neutral(text: str, limit: int) -> str:
    """Turn any text into one line of plain words of at most `limit` characters."""
    compatible = unicodedata.normalize("NFKC", text)  # look-alikes, such as a full-width number sign
    line = " ".join(_RULES.sub("-", compatible.translate(_PLAIN)).split())
    return line if len(line) <= limit else line[: limit - 3].rstrip() + "..."


def in_quotes(text: str, limit: int) -> str:
    """Put any text between quotation marks that it cannot close."""
    return f'"{neutral(text, limit)}"'


def word_set(text: str) -> frozenset[str]:
    """Read a list of words that is easier to keep as a line of text."""
    return frozenset(text.split())
