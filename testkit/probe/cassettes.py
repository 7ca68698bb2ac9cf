"""Answers of an LLM, kept in files: one for each case and model, so that nothing is asked twice.

A cassette is keyed by everything that was asked. Where the prompt, a function or the case has changed since, it is
stale: it answers nothing any more, and says so. Runs are written one by one, so that an interrupted probe goes on.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import attrs
import cattrs
import orjson


class CassetteError(Exception):
    """A cassette cannot be read or written; the message names the file."""


@attrs.frozen
class Run:
    """One answer: what was said, the functions called (name and arguments as text), and what it took."""

    text: str
    calls: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0
    tokens_in: int = 0
    tokens_out: int = 0


@attrs.frozen
class Cassette:
    """The answers to one case by one model."""

    case: str
    model: str
    key: str
    runs: tuple[Run, ...] = ()


@attrs.frozen
class Cassettes:
    """A folder of cassettes."""

    folder: Path

    def path(self, case: str, model: str) -> Path:
        """Return where a cassette is."""
        return self.folder / _slug(model) / f"{_slug(case)}.json"

    def load(self, case: str, model: str) -> Cassette | None:
        """Read a cassette; None if there is none. *Raises* `CassetteError`."""
        path = self.path(case, model)
        if not path.exists():
            return None
        try:
            return cattrs.structure(orjson.loads(path.read_bytes()), Cassette)
        except (orjson.JSONDecodeError, cattrs.BaseValidationError, TypeError, ValueError) as error:
            raise CassetteError(f"{path} is no cassette: {error}; delete it, and the case is asked again") from error

    def save(self, cassette: Cassette) -> None:
        """Write a cassette, whole or not at all. *Raises* `CassetteError`."""
        path = self.path(cassette.case, cassette.model)
        plain: Mapping[str, object] = cattrs.unstructure(cassette)
        part = path.with_suffix(".part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(orjson.dumps(plain, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
            part.replace(path)
        except OSError as error:
            raise CassetteError(f"{path} cannot be written: {error.strerror}") from error


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-") or "case"
