"""Readers for the texts of settings.

Each of these takes what somebody has written and returns what it means, or raises `ValueError` with what was wanted, in
words that go on after "which is not". They know no setting by name, and read nothing but the file of prices.
"""

import math
import os
import re
from collections.abc import Iterable
from enum import Enum
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

from protocol.fields import split_url
from protocol.phone_numbers import is_phone_number
from setting_reader import Parse, text_of_file
from store.prices import Prices, read_prices

T = TypeVar("T")
E = TypeVar("E", bound=Enum)
LONGEST_SENTENCE = 500
_PRIVATE_ZONES = (
    "local", "localdomain", "internal", "intranet", "private", "lan", "home", "home.arpa", "corp", "mail", "test",
    "invalid", "onion", "alt",
)  # fmt: skip
"""Names that the public DNS keeps free: RFC 2606, 6761, 6762, 7686, 8375 and 9476, and ICANN's list of collisions."""
_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}$)({_LABEL}\.)*(?![0-9]+$|0x[0-9a-f]*$){_LABEL}")


def is_loopback(host: str) -> bool:
    """Tell whether `host` names this machine only."""
    bare = host.strip("[]").lower()
    if bare == "localhost" or bare.endswith(".localhost"):
        return True
    try:
        return ip_address(bare).is_loopback
    except ValueError:
        return False


def why_unreachable(host: str) -> str | None:
    """Say why nobody on the internet reaches `host`; None if it may be reached."""
    bare = host.strip("[]").lower()
    if is_loopback(bare):
        return "is this machine itself"
    try:
        address = ip_address(bare)
    except ValueError:
        return _why_private_name(bare)
    address = getattr(address, "ipv4_mapped", None) or address
    return None if address.is_global and not address.is_multicast else "is no address of the public internet"


def _why_private_name(name: str) -> str | None:
    if "." not in name:
        return "is a name without a domain"
    zone = next((zone for zone in _PRIVATE_ZONES if name.endswith(f".{zone}")), None)
    return None if zone is None else f"ends with .{zone}, which the public DNS does not know"


def spoken(value: str) -> str:
    if len(value) > LONGEST_SENTENCE:
        raise ValueError(f"a text of at most {LONGEST_SENTENCE} characters: half a minute of speech")
    return value


def key(value: str) -> str:
    if any(character.isspace() for character in value) or not value.isascii() or {value[:1], value[-1:]} & {'"', "'"}:
        raise ValueError("a key in plain letters and digits, without spaces, and without quotes around it")
    return value


def keys(value: str) -> str:
    """Read one key, or several with commas between them."""
    found = [key(each.strip()) for each in value.split(",")]
    return ",".join(found) if all(found) else key(" ")


def written_as(form: str | re.Pattern[str], wanted: str) -> Parse[str]:
    def parse(value: str) -> str:
        if re.fullmatch(form, value) is None:
            raise ValueError(wanted)
        return value

    return parse


account_sid = written_as("AC[0-9a-fA-F]{32}", "an account SID: AC and 32 hexadecimal digits")
api_key_sid = written_as(
    "SK[0-9a-fA-F]{32}", "the SID of an API key: SK and 32 hexadecimal digits; its secret is TWILIO_API_SECRET"
)
phone_key = written_as("[0-9*]", "one key of a phone: 0 to 9 or *")


def phone_number(value: str) -> str:
    if not is_phone_number(value):
        raise ValueError("a phone number in E.164: + and 7 to 15 digits, no spaces")
    return value


def origin(value: str) -> str:
    wanted = "an origin: https://host or https://host:port, without a path (http only for this machine)"
    url = split_url(value, ("https", "http"), wanted)
    host = url.hostname or ""
    if url.path not in {"", "/"} or url.query:
        raise ValueError(wanted)
    if not _is_reachable_host(host):
        raise ValueError(
            "an origin that Twilio can call: its host is a name in ASCII letters, digits and hyphens, such as"
            " agent.example.com, or an address, and none to bind"
        )
    if url.scheme == "http" and not is_loopback(host):
        raise ValueError(wanted)
    spelled = f"[{host}]" if ":" in host else host
    if url.netloc.lower() not in {spelled, f"{spelled}:{url.port}"}:
        raise ValueError(wanted)
    return f"{url.scheme}://{url.netloc}"


def _is_reachable_host(host: str) -> bool:
    """Tell whether a client anywhere could call `host`."""
    try:
        address = ip_address(host)
    except ValueError:
        return _HOST.fullmatch(host) is not None
    return not address.is_unspecified and getattr(address, "scope_id", None) is None


def bound_host(value: str) -> str:
    """Check an address to bind, or a name of this machine."""
    bare = value[1:-1] if value.startswith("[") and value.endswith("]") else value
    try:
        ip_address(bare)
    except ValueError:
        if re.fullmatch(r"[A-Za-z0-9._-]+", value) is None:
            raise ValueError("an address to bind, without a scheme and a port: 127.0.0.1, 0.0.0.0 or ::") from None
    return value


def host_url(value: str) -> str:
    wanted = "a scheme and a host: https://host or http://host:port"
    url = split_url(value, ("https", "http"), wanted)
    if url.path not in {"", "/"} or url.query:
        raise ValueError(wanted)
    _refuse_plain(url)
    return f"{url.scheme}://{url.netloc}"


def _refuse_plain(url: SplitResult) -> None:
    """Refuse to send a key to a service of its vendor's where anybody on the way could read it."""
    host = url.hostname or ""
    if url.scheme in {"http", "ws"} and f".{host}".endswith((".twilio.com", ".deepgram.com", ".groq.com")):
        raise ValueError(f"{url.scheme}s://{host}: on the way there anybody could read our key")


def http_url(value: str) -> str:
    _refuse_plain(split_url(value, ("https", "http"), "a URL that begins with https:// or http://"))
    return value.rstrip("/")


def collector_url(value: str) -> str:
    """Check a URL that others read; before its host there may be a name and a password."""
    http_url(re.sub(r"//[^/?#]*@", "//", value, count=1))
    return value


def socket_url(value: str) -> str:
    _refuse_plain(split_url(value, ("wss", "ws"), "a WebSocket URL that begins with wss:// or ws://"))
    return value


def records_url(value: str) -> str:
    """Check what a misspelt URL would only show when the first call is over; the rest is the database's to say.

    An @ in a password that is not written %40 would be read as the end of it, and the rest be told as the host's name.
    """
    kind, _, rest = value.partition(":")
    database = kind.partition("+")[0]
    if value == "memory:":
        return value
    if database == "sqlite" and rest.startswith("///") and rest.partition("?")[0].strip("/"):
        return _sqlite_url(kind, rest)
    if database in {"postgresql", "postgres"} and rest.startswith("//") and _can_be_split(value):
        return value
    wanted = "sqlite:///FILE, postgresql://USER:PASSWORD@HOST/NAME or memory:"
    raise ValueError(f"{wanted} (in a PASSWORD, @ : / ? # are written %40 %3A %2F %3F %23)")


def _sqlite_url(kind: str, rest: str) -> str:
    """Check what SQLite makes of a file's name: each use opens it anew, and records and orders are in the same."""
    name, query, _ = rest.removeprefix("///").partition("?")
    plain = unquote(name)
    if plain.startswith((":memory:", "file:")):
        raise ValueError("sqlite:///FILE with the plain path of a file (memory: keeps nothing)")
    file, found = _path(name), _path(plain)
    if plain.endswith("/") or (found.exists() and not found.is_file()):
        raise ValueError("sqlite:///FILE with a file: this is a folder, or a device")
    if query:
        raise ValueError("sqlite:///FILE, with nothing behind it")
    return f"{kind}:///{file}"


def _can_be_split(url: str) -> bool:
    """Tell whether a URL says to each of its hosts, of which there may be several, what libpq takes it to say."""
    try:
        user, _, hosts = urlsplit(url).netloc.rpartition("@")
        for host in hosts.split(","):
            urlsplit(f"//{host}").port  # noqa: B018 - reading it is the check
    except ValueError:
        return False
    return "@" not in user


def object_url(value: str) -> str:
    """Check the address of an object store; credentials are its driver's own settings, and in no record."""
    if re.fullmatch(r"[a-z][a-z0-9+.-]*://[^\s*?\[\]@]+", value) is None:
        raise ValueError("an address of fsspec's without credentials in it: s3://BUCKET/FOLDER, gs://…, file:///FOLDER")
    return value.rstrip("/")


def folder(value: str) -> Path | None:
    if "://" in value:
        raise ValueError("a folder on this machine, or none (an object store goes into RECORDINGS_URL)")
    if value.lower() in {"off", "no", "false"}:
        raise ValueError(f"a folder, or none (a folder of this name is ./{value})")
    return None if value.lower() == "none" else _path(value)


def _path(value: str) -> Path:
    """Read a path as a shell does: no shell reads a `.env`."""
    if not value.isprintable():
        raise ValueError("a path (in a .env file, one with backslashes has single quotes around it, or none)")
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise ValueError("a path: nobody's home has this name") from None


def price_table(value: str) -> Prices | None:
    if not value:
        return None
    try:
        return read_prices(text_of_file(_path(value)))
    except ValueError as exc:
        raise ValueError(f"a table of prices: {exc}") from exc


def agent_sources(value: str) -> tuple[str, ...]:
    """Read packages, folders and files with commas between them; which of them are there is seen later."""
    sources = tuple(filter(None, map(str.strip, value.split(","))))
    named = (one for one in sources if not (one.startswith((".", "~")) or one.endswith(".py") or os.sep in one))
    if not sources or not all(part.isidentifier() for one in named for part in one.split(".")):
        raise ValueError("the name of a package, such as acme.agents, or a path that begins with ./ or /")
    return sources


def one_of(words: Iterable[str], wanted: str = "") -> Parse[str]:
    """Read one of a few words, in whatever case."""
    known = tuple(words)

    def parse(value: str) -> str:
        if value.lower() not in known:
            raise ValueError(wanted or " or ".join(known))
        return value.lower()

    return parse


def yes_or_no(value: str) -> bool:
    return one_of(("yes", "no"))(value) == "yes"


def member_of(kind: type[E]) -> Parse[E]:
    word = one_of(each.value for each in kind)
    return lambda value: kind(word(value))


def whole(low: int, high: int) -> Parse[int]:
    def parse(value: str) -> int:
        if re.fullmatch(r"[0-9]{1,9}", value) is None or not low <= int(value) <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(value)

    return parse


def number(low: float, high: float, what: str = "a number") -> Parse[float]:
    wanted = f"{what} from {low:g} to {high:g}"

    def parse(value: str) -> float:
        if re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", value) is None:
            raise ValueError(wanted)
        if not low <= float(value) <= high:
            raise ValueError(wanted)
        return float(value)

    return parse


def seconds(low: float, high: float) -> Parse[float]:
    return number(low, high, "a number of seconds")


def seconds_or_off(low: float, high: float) -> Parse[float]:
    """Read a time, or `off` for one that never comes."""
    within = seconds(low, high)

    def parse(value: str) -> float:
        if value.lower() == "off":
            return math.inf
        try:
            return within(value)
        except ValueError as wanted:
            raise ValueError(f"{wanted}, or off") from None

    return parse
