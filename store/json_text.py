"""JSON text of any value: every part of a call can be written, whatever it contains; and how it is kept in memory.

`json_text` cannot fail. What JSON has no form for should have been refused where it came in (a handler's result in
`actors/session/function_results.py`); what gets this far all the same is written in the nearest form that there is.
`known_fields` reads what another version of this program has written; what cannot be read stays for one that can.
"""

import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO
from typing import Final, TypeVar

import attrs
import orjson

T = TypeVar("T", bound=attrs.AttrsInstance)

_REORDERS: Final = re.compile(rb"\xe2(?:\x80[\xa8-\xae]|\x81[\xa6-\xa9])")
"""Characters that end a line, or have others shown in another order than they stand in: in JSON text they are escaped.

https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters
"""
_DEEPEST: Final = 64
_ELLIPSIS: Final = "…"
_WINDOW_BITS: Final = 12
_HASH_LEVEL: Final = 5
"""Of zlib: memory for a text of some kilobytes, 32 kB in all."""


def json_text(value: object, *, indent: bool = False) -> bytes:
    """Write a value as JSON text with a line end; indented for people. Raises nothing."""
    option = orjson.OPT_APPEND_NEWLINE | (orjson.OPT_INDENT_2 if indent else 0)
    try:
        text = orjson.dumps(value, option=option)
    except (orjson.JSONEncodeError, RecursionError):
        text = orjson.dumps(_Mender().mended(value, _DEEPEST), option=option)
    if b"\xe2" in text:  # few texts have one
        text = _REORDERS.sub(_escaped, text)
    return bytes(memoryview(text))  # what orjson returns takes 4 kB, however short it is


def _escaped(found: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(found[0].decode())


class OtherVersion(ValueError):
    """This version cannot read what another one has written."""


def known_fields(kind: type[T], plain: Mapping[str, object]) -> T:
    """Make a value of what any version has written; fields that this one does not know are passed over.

    Raises: `OtherVersion`.
    """
    names = {field.name for field in attrs.fields(kind)}
    try:
        return kind(**{name: value for name, value in plain.items() if name in names})
    except (TypeError, ValueError) as exc:
        raise OtherVersion(f"another version has written this {kind.__name__}: {exc}") from exc


def packed_on(packed: bytes, lines: bytes) -> bytes:
    """Return packed lines with some more of them: compressed as if all had been at once, but for six bytes.

    `zlib.compress` takes 256 kB to do it, four times as long, and leaves gaps of that size among what is kept.
    """
    before = _unpacked(packed)[-(1 << _WINDOW_BITS) :]
    packer = zlib.compressobj(wbits=-_WINDOW_BITS, memLevel=_HASH_LEVEL, zdict=before)
    return packed + packer.compress(lines) + packer.flush(zlib.Z_SYNC_FLUSH)


def unpacked_lines(packed: bytes) -> Iterator[bytes]:
    """Yield the lines, with their ends, one at a time: a line that nobody keeps takes no memory."""
    return iter(BytesIO(_unpacked(packed)))


def _unpacked(packed: bytes) -> bytes:
    return zlib.decompressobj(-_WINDOW_BITS).decompress(packed)


@attrs.define
class _Mender:
    """Makes a plain copy; a list or mapping that holds itself, or that is too deep, is an ellipsis there."""

    _copies: dict[int, object] = attrs.field(factory=dict, init=False)

    def mended(self, value: object, depth: int) -> object:
        """Return the nearest that JSON has a form for."""
        if value is None or isinstance(value, bool | orjson.Fragment):
            return value
        if isinstance(value, float):
            return float.__float__(value)
        if not isinstance(value, dict | list | tuple | set | frozenset):
            return _integer_or_text(value)
        if depth == 0:
            return _ELLIPSIS
        if id(value) not in self._copies:
            self._copies[id(value)] = _ELLIPSIS
            self._copies[id(value)] = self._copy(value, depth - 1)
        return self._copies[id(value)]

    def _copy(self, value: Iterable[object], depth: int) -> object:
        if isinstance(value, dict):
            return {_text(name): self.mended(inner, depth) for name, inner in dict.items(value)}
        return [self.mended(inner, depth) for inner in value]


def _integer_or_text(value: object) -> int | str:
    if isinstance(value, int) and -(1 << 63) <= value < 1 << 64:
        return int.__int__(value)
    return _text(value)


def _text(value: object) -> str:
    if isinstance(value, str):
        return str.__str__(value).encode(errors="backslashreplace").decode()
    if isinstance(value, int):
        return hex(int.__int__(value))  # no number of digits is too many for it
    return f"<{type(value).__name__}>".encode(errors="backslashreplace").decode()
