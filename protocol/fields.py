"""Reading JSON text frames field by field, so that a bad one is an error with a name and never a `KeyError`.

Every reader takes the object and the key, and raises `RemoteProtocolError` naming the key. Optional readers take a
missing key and an explicit `null` for the same thing. Nothing here knows which service is talking.
"""

import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address
from typing import Any, Final, TypeAlias, cast
from urllib.parse import SplitResult, urlsplit

import orjson

from protocol.errors import LocalProtocolError, RemoteProtocolError

JSON: TypeAlias = "Mapping[str, JSON] | Sequence[JSON] | str | int | float | bool | None"
"""A JSON value."""

Fields: TypeAlias = Mapping[str, JSON]
"""One JSON object."""

EXACT = 2**53
"""JSON numbers beyond this are not exact, and no counter is."""

_DIGITS_OF_64_BITS = 19
_HIDDEN = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
"""Categories of Unicode of which nothing is seen."""

_KINDS: Mapping[type, str] = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
}


def json_or(text: str | bytes, otherwise: object) -> Any:  # noqa: ANN401 - as `orjson.loads`
    """Read JSON text; return `otherwise` for anything that is no JSON."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return otherwise


def text_or_json(value: object) -> str:
    """Return a text as it is, and any other value as JSON text."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def hidden_in(text: str) -> str:
    """Say which character of a text one does not see, as one that was copied may have; empty if there is none."""
    hidden = next((each for each in text if each != " " and unicodedata.category(each) in _HIDDEN), None)
    return "" if hidden is None else f"There is an invisible character in it (U+{ord(hidden):04X}): type it anew."


_MOST_SHOWN: Final = 80
_LIKE_A_KEY: Final = re.compile(
    r"sk-[\w-]{16,}"  # so those of many language models begin
    r"|(?=[\da-f-]*\d)(?=[\d-]*[a-f])[\da-f-]{32,}"  # a UUID, too
    r"|(?=[A-Za-z_]*\d)(?=[\d_]*[A-Za-z])\w{20,}"
    r"|(?<![\w+/=])(?!/)(?=[\w+/=]*\d)(?=[\w+/=]*[a-z])(?=[\w+/=]*[A-Z])[\w+/=]{32,}",  # Base64, and no path
    re.ASCII,
)
_IN_A_URL: Final = re.compile(r"(://|^(?=\S*:\S*@)(?!\w+://))([^?#]*@)?([^?#]*)([?#].*)?", re.DOTALL)


def _bare(url: re.Match[str]) -> str:
    """Leave out what stands before a host and behind "?" or "#"; and the host, if it may be a part of a password."""
    start, user, host, rest = url.groups("")
    return f"{start}{'…@' if user else ''}{'…' if '@' in rest else host}{rest[:1]}{'…' if rest[1:] else ''}"


def shown(value: object) -> str:
    """Return how a refused value is repeated: a part of it, without what one does not see, and without secrets.

    A key lands in another setting as easily as a word does, and a URL may have one in front of its host or behind "?".
    """
    text = value if isinstance(value, str) else repr(value)
    bare = _IN_A_URL.sub(_bare, text[: 10 * _MOST_SHOWN])
    whole = _LIKE_A_KEY.sub(lambda key: f"{key[0][:2]}… ({len(key[0])} characters)", bare)
    cut = f"{whole[:_MOST_SHOWN]}…" if len(whole) > _MOST_SHOWN else whole
    return "".join(each if each.isprintable() else "\ufffd" for each in cut)


def counted(count: int, noun: str, plural: str = "") -> str:
    """Write a number of things: `1 agent`, `2 agents`."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def quoted(value: object) -> str:
    """Return `shown(value)`, a text in the quotes of its `repr`."""
    return repr(shown(value)) if isinstance(value, str) else shown(value)


def names_twice(text: bytes) -> Sequence[str]:
    """Return the names that stand more than once in one object of a JSON text, in order: which of them counts?"""
    twice: dict[str, None] = {}

    def note(pairs: list[tuple[str, object]]) -> None:
        counts = Counter(name for name, _ in pairs)
        twice.update(dict.fromkeys(name for name in counts if counts[name] > 1))

    try:
        json.loads(text, object_pairs_hook=note)
    except (ValueError, RecursionError):  # it is no JSON, or as deep as orjson alone reads
        return ()
    return tuple(twice)


def load_object(frame: str | bytes) -> dict[str, JSON]:
    try:
        value = orjson.loads(frame)
    except orjson.JSONDecodeError as error:
        raise RemoteProtocolError.about(frame, f"not JSON: {error.msg}") from error
    return _object_of(value, frame)


def load_object_leniently(frame: str | bytes) -> dict[str, JSON]:
    """Read one JSON object from a peer whose JSON need not be JSON.

    NaN and a number beyond all measure are null, half a character is U+FFFD, and a line break may be in a string.
    """
    try:
        value = orjson.loads(frame)
    except orjson.JSONDecodeError as error:
        try:
            read = json.loads(frame, strict=False, parse_constant=lambda _: None, parse_float=_finite, parse_int=_whole)
            value = _with_whole_characters(read)
        except ValueError:
            raise RemoteProtocolError.about(frame, f"not JSON: {error.msg}") from None
        except RecursionError:
            raise RemoteProtocolError.about(frame, "too many levels of JSON") from None
    return _object_of(value, frame)


def _object_of(value: JSON, frame: str | bytes) -> dict[str, JSON]:
    if not isinstance(value, dict):
        raise RemoteProtocolError.about(frame, f"a JSON object is wanted, not {kind(value)}")
    return cast("dict[str, JSON]", value)


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _whole(digits: str) -> int | float | None:
    """Read a whole number as orjson does: as a float where 64 bits are too few."""
    return int(digits) if len(digits) < _DIGITS_OF_64_BITS else _finite(digits)


def _with_whole_characters(value: JSON) -> JSON:
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case dict():
            return {str(_with_whole_characters(key)): _with_whole_characters(item) for key, item in value.items()}
        case list():
            return [_with_whole_characters(item) for item in value]
        case _:
            return value


def dump(value: JSON) -> str:
    """Write JSON text the way it travels: UTF-8, no spaces, keys in the order given.

    Raises: `LocalProtocolError` when the value cannot be JSON (a lone surrogate, an integer over 64 bits).
    """
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError as error:
        raise LocalProtocolError(f"cannot be sent as JSON: {error}") from error


def kind(value: object) -> str:
    """Name a JSON value's type in JSON's words."""
    return _KINDS.get(type(value), "null")


def text(fields: Fields, key: str) -> str:
    """Return a string that must be there."""
    value = fields.get(key)
    if not isinstance(value, str):
        raise _wrong(fields, key, "a string")
    return value


def optional_text(fields: Fields, key: str) -> str | None:
    """Return a string, or None when it is missing or null."""
    return None if fields.get(key) is None else text(fields, key)


def text_or(fields: Fields, key: str, default: str) -> str:
    return default if fields.get(key) is None else text(fields, key)


def words_or_nothing(fields: Fields, key: str) -> str:
    """Return a string, or "" for anything else, which is no error here."""
    value = fields.get(key)
    return value if isinstance(value, str) else ""


def whole_number(fields: Fields, key: str, default: int) -> int:
    """Return an integer sent as a number or as a numeric string, or the default when it is missing or null."""
    value = fields.get(key)
    if value is None:
        return default
    number = measurement(fields, key)
    if number is None or not number.is_integer() or abs(number) > EXACT:
        raise _wrong(fields, key, "a whole number")
    return int(number)


def measurement(fields: Fields, key: str) -> float | None:
    """Return a number sent as a number or as a string; anything unreadable is no measurement at all."""
    value = fields.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def child(fields: Fields, key: str) -> Fields:
    """Return an object that must be there."""
    value = fields.get(key)
    if not isinstance(value, dict):
        raise _wrong(fields, key, "an object")
    return cast("Fields", value)


def children(fields: Fields, key: str) -> Sequence[Fields]:
    """Return an array of objects that must be there; it may be empty."""
    value = fields.get(key)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise _wrong(fields, key, "an array of objects")
    return cast("Sequence[Fields]", value)


def texts_among(fields: Fields, key: str) -> tuple[str, ...]:
    """Return the strings of an array, or () for anything else, which is no error here."""
    value = fields.get(key)
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()


def _wrong(fields: Fields, key: str, wanted: str) -> RemoteProtocolError:
    found = f"is {kind(fields[key])}" if key in fields else "is missing"
    return RemoteProtocolError(f"{key}: {wanted} is wanted, it {found}", str(fields))


def split_url(value: str, schemes: tuple[str, ...], wanted: str) -> SplitResult:
    """Split a URL of one of these schemes, with a host, and without credentials and a fragment.

    *Raises* `ValueError` for anything else: `wanted`, and which part is odd.
    """
    if any(character.isspace() for character in value):  # `urlsplit` drops some of them
        raise ValueError(f"{wanted} (there is a space in it)")
    try:
        url = urlsplit(value)
        port = url.port
    except ValueError:
        raise ValueError(f"{wanted} (its host or its port cannot be read: a port is 1 to 65535)") from None
    if url.scheme not in schemes or not url.hostname:
        raise ValueError(wanted)
    odd = {
        "there is a name or a password before its host": url.username is not None,
        "there is a # in it": "#" in value,
        "its port is not 1 to 65535": port == 0 or url.netloc.endswith(":"),
        _why_no_host(url.hostname): not _is_host(url.hostname),
    }
    for why in (why for why, is_so in odd.items() if is_so):
        raise ValueError(f"{wanted} ({why})")
    return url


_NAME_OF_A_HOST: Final = re.compile(r"(?!.{254})(?![0-9.]+$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.|$))+")


def _is_host(name: str) -> bool:
    """Tell whether a resolver can be asked for a host: httpx and the codec of `idna` raise errors of their own."""
    try:
        return bool(ip_address(name))
    except ValueError:
        return _NAME_OF_A_HOST.fullmatch(name) is not None


def _why_no_host(name: str) -> str:
    """Say why no resolver can be asked for a host, and how one with letters beyond ASCII is written."""
    with suppress(UnicodeError):
        written = name.encode("idna")
        if not name.isascii() and written.decode("idna") == name:
            return f"its host is no name in ASCII: write {written.decode()}"
    return "its host is no address, and no name in ASCII letters, digits and hyphens"


_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE: Final = re.compile(r"([!-~]([\t -~]*[!-~])?)?")


def why_no_headers(headers: Mapping[str, str]) -> str:
    """Say which of these no HTTP request can have, and why; the value is a secret. Empty if all are headers."""
    for name, value in headers.items():
        if _HEADER_NAME.fullmatch(name) is None:
            return f"{quoted(name)} is no name of a header: write letters, digits and hyphens"
        if _HEADER_VALUE.fullmatch(value) is None:
            return f"the value of {name} has a letter beyond ASCII, a line break, or a space around it"
    return ""
