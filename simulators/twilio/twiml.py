"""TwiML, read: what the server wants done with the call, verb by verb.

`parse_twiml` turns a document into a tuple of frozen verbs, or raises `TwimlError` with the code Twilio's debugger
would show. A verb or noun that the simulator does not act out becomes `IgnoredVerb`, so that it can be logged. Nothing
is executed here.
Codes: https://www.twilio.com/docs/api/errors (11100, 12100, 12200, 12300, 31920, 31922, 31923, 31941).
"""

import re
from collections.abc import Callable, Mapping
from typing import TypeAlias
from urllib.parse import urljoin, urlsplit
from xml.etree import ElementTree as ET

import attrs

PARAMETER_LIMIT = 500
"""Name and value of a `<Parameter>` together: https://www.twilio.com/docs/voice/twiml/stream."""
_NUMBER = re.compile(r" *[0-9]{1,9}(\.[0-9]{1,9})? *")


class TwimlError(Exception):
    """The document cannot be executed; `code` is Twilio's."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


@attrs.frozen
class StreamNoun:
    """`<Stream>`: where the call's audio goes."""

    url: str
    parameters: Mapping[str, str]
    name: str = ""
    status_callback: str = ""


@attrs.frozen
class Connect:
    """`<Connect><Stream>`: hold the call on a bidirectional stream until the server closes it."""

    stream: StreamNoun
    action: str = ""


@attrs.frozen
class Say:
    """`<Say>`: Twilio speaks to the caller."""

    text: str


@attrs.frozen
class Play:
    """`<Play>`: an audio file, or keys."""

    url: str
    digits: str = ""


@attrs.frozen
class Pause:
    """`<Pause>`: silence, in seconds."""

    length: float = 1.0


@attrs.frozen
class Dial:
    """`<Dial>`: connect the caller to somebody else."""

    number: str
    action: str = ""
    timeout: float = 30.0
    whisper: str = ""
    """The `url` of `<Number>`: what is run on the other leg before it is connected."""
    caller_id: str = ""


@attrs.frozen
class Gather:
    """`<Gather>`: ask for keys, while the verbs within it run. Acted out on the leg of somebody who is dialled."""

    action: str = ""
    digits: int = 0
    timeout: float = 5.0
    verbs: "tuple[Verb, ...]" = ()


@attrs.frozen
class Redirect:
    """`<Redirect>`: go on with the document at this URL."""

    url: str


@attrs.frozen
class Reject:
    """`<Reject>`: do not answer an inbound call."""

    reason: str = "rejected"


@attrs.frozen
class Hangup:
    """`<Hangup>`: end the call."""


@attrs.frozen
class IgnoredVerb:
    """A verb the simulator does not act out."""

    name: str


Verb: TypeAlias = Connect | Say | Play | Pause | Dial | Gather | Redirect | Reject | Hangup | IgnoredVerb


@attrs.frozen
class Document:
    """A verb's outcome: go on with another document, given or to be fetched."""

    text: str = ""
    url: str = ""
    method: str = "POST"
    base_url: str = ""
    """Where a given text came from."""


@attrs.frozen
class CallOver:
    """A verb's outcome: the call, or the leg of it, ends here."""


@attrs.frozen
class NextVerb:
    """A verb's outcome: go on with the one behind it."""


Outcome: TypeAlias = Document | CallOver | NextVerb


def parse_twiml(document: str, base_url: str = "") -> tuple[Verb, ...]:
    """Read a document; relative URLs are resolved against `base_url`, the document's own."""
    try:
        # a text, so that the encoding it was sent in and declares is no matter any more
        root = ET.fromstring(document)  # noqa: S314 # it comes from the server under test
    except (ET.ParseError, UnicodeEncodeError) as error:  # among others: anything at all before `<?xml`
        raise TwimlError(12100, f"not XML: {error}") from error
    if root.tag != "Response":
        raise TwimlError(12100, f"the root element is <{root.tag}>, not <Response>")
    return tuple(_read_verb(element, base_url) for element in root)


def _read_verb(element: ET.Element, base: str) -> Verb:
    read = _READERS.get(element.tag)
    return IgnoredVerb(element.tag) if read is None else read(element, base)


def _read_connect(element: ET.Element, base: str) -> Connect | IgnoredVerb:
    stream = element.find("Stream")
    if stream is None:
        nouns = ", ".join(child.tag for child in element) or "nothing"
        return IgnoredVerb(f"Connect with {nouns}")
    track = stream.get("track", "inbound_track")
    if track != "inbound_track":
        raise TwimlError(31941, f"track {track!r} is not allowed under <Connect>")
    noun = StreamNoun(
        url=_stream_url(stream.get("url", ""), base),
        parameters=dict(_read_parameter(child) for child in stream.iterfind("Parameter")),
        name=stream.get("name", ""),
        status_callback=_link(stream.get("statusCallback", ""), base),
    )
    return Connect(noun, _link(element.get("action", ""), base))


def _stream_url(url: str, base: str) -> str:
    if not url:
        raise TwimlError(31923, "<Stream> has no url")
    try:
        if not urlsplit(url).scheme:
            return _link(url, "wss" + base[base.index(":") :] if ":" in base else base)
    except ValueError as error:
        raise TwimlError(31923, f"<Stream url={url[:80]!r}>: {error}") from error
    return url


def _read_parameter(element: ET.Element) -> tuple[str, str]:
    name, value = element.get("name", ""), element.get("value", "")
    if len(name) + len(value) >= PARAMETER_LIMIT:
        raise TwimlError(12200, f"<Parameter name={name[:40]!r}>: name and value are {PARAMETER_LIMIT} or more")
    return name, value


def _read_dial(element: ET.Element, base: str) -> Dial:
    noun = next((child for child in element if child.tag in {"Number", "Sip", "Client"}), element)
    number = (noun.text or "").strip()
    if not number:
        raise TwimlError(13223, "<Dial> has nobody to call")
    return Dial(
        number=number,
        action=_link(element.get("action", ""), base),
        timeout=_number(element, "timeout", 30.0),
        whisper=_link(noun.get("url", ""), base) if noun is not element else "",
        caller_id=element.get("callerId", ""),
    )


def _read_gather(element: ET.Element, base: str) -> Gather:
    return Gather(
        action=_link(element.get("action", ""), base),
        digits=int(_number(element, "numDigits", 0.0)),
        timeout=_number(element, "timeout", 5.0),
        verbs=tuple(_read_verb(child, base) for child in element if child.tag != "Gather"),
    )


def _text(element: ET.Element) -> str:
    return "".join(element.itertext()).strip()


def _link(url: str, base: str) -> str:
    try:
        return urljoin(base, url) if url and base else url
    except ValueError as error:
        raise TwimlError(11100, f"{url[:80]!r}: {error}") from error


def _number(element: ET.Element, name: str, default: float) -> float:
    text = element.get(name)
    if text is None:
        return default
    if not _NUMBER.fullmatch(text):
        raise TwimlError(12200, f"<{element.tag} {name}={text[:40]!r}> is not a number")
    return float(text)


_READERS: Mapping[str, Callable[[ET.Element, str], Verb]] = {
    "Connect": _read_connect,
    "Dial": _read_dial,
    "Gather": _read_gather,
    "Hangup": lambda _element, _base: Hangup(),
    "Pause": lambda element, _base: Pause(_number(element, "length", 1.0)),
    "Play": lambda element, base: Play(_link(_text(element), base), element.get("digits", "")),
    "Redirect": lambda element, base: Redirect(_link(_text(element), base)),
    "Reject": lambda element, _base: Reject(element.get("reason", "rejected")),
    "Say": lambda element, _base: Say(_text(element)),
}
