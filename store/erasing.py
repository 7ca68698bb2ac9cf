"""Names and numbers to erase, and where they are mentioned.

`Subject` is a person by number, or calls by id; it finds every spelling of them in text and in bytes. `files_with`
finds the files that mention one, and `scrub` takes the mention out of a file that is otherwise somebody else's. All of
it but `Subject` blocks, and raises `OSError`.
"""

import re
from collections.abc import Collection
from functools import cached_property
from pathlib import Path

import attrs

from store.private import write_whole

ERASED = "[erased]"
SHORTEST = 20
"""Characters of the id of a call that can be looked for in texts: ours and Twilio's are longer."""
AUDIO = frozenset({".wav", ".ulaw"})
"""Files without words in them: they go with their call."""
_GAP = r"[\s().\-\u00a0\u2011/]{0,3}"


@attrs.frozen(slots=False)
class Subject:
    """A person's number in E.164, or "" for a call alone, and the CallSids of the calls that go with it."""

    number: str = ""
    calls: frozenset[str] = frozenset()

    @property
    def hints(self) -> tuple[str, ...]:
        """Return short texts of which every mention holds one: what a database looks for first."""
        return (*([self.number[-4:]] if self.number else ()), *self.ids)

    @property
    def ids(self) -> tuple[str, ...]:
        """Return the CallSids that are long enough to be looked for."""
        return tuple(sorted(call for call in self.calls if len(call) >= SHORTEST))

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Match a mention: the number with or without `+`, country code 1, spaces and brackets; a CallSid."""
        found = [rf"(?<![0-9A-Za-z]){re.escape(call)}(?![0-9A-Za-z])" for call in self.ids]
        if self.number:
            digits = self.number.removeprefix("+")
            is_american = digits.startswith("1") and len(digits) == 11
            lead, rest = (rf"(?:1{_GAP})?", digits[1:]) if is_american else ("", digits)
            found.append(rf"(?<![0-9A-Za-z])(?:\+|%2B|00)?{lead}\(?{_GAP.join(rest)}(?![0-9])")
        return re.compile("|".join(found) or r"(?!)")

    def is_in(self, text: str) -> bool:
        return any(hint in text for hint in self.hints) and self.pattern.search(text) is not None

    def scrubbed(self, text: str) -> str:
        return self.pattern.sub(ERASED, text)

    def scrubbed_value(self, value: object) -> object:
        """Return a plain JSON value without its mentions, in names and in numbers too."""
        match value:
            case str():
                return self.scrubbed(value)
            case dict():
                return {self.scrubbed(str(name)): self.scrubbed_value(inner) for name, inner in value.items()}
            case list() | tuple():
                return [self.scrubbed_value(inner) for inner in value]
            case int() if not isinstance(value, bool) and self.is_in(str(value)):
                return ERASED
            case _:
                return value


def _text_of(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace")


def files_with(folder: Path, subject: Subject) -> list[Path]:
    """Return the files below a folder, hidden ones too, that mention the subject or are named for one of its calls."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return [path for path in files if _mentions(path, subject)]


def _mentions(path: Path, subject: Subject) -> bool:
    if any(call in str(path) for call in subject.ids):
        return True
    try:
        return path.suffix not in AUDIO and subject.is_in(_text_of(path))
    except FileNotFoundError:  # it was sent, or swept, in between
        return False


def remove_all(paths: Collection[Path]) -> int:
    """Remove files; return how many there were."""
    for path in paths:
        path.unlink(missing_ok=True)
    return len(paths)


def scrub(path: Path, subject: Subject) -> None:
    write_whole(path, subject.scrubbed(_text_of(path)).encode())
