"""Things that go wrong on purpose, one line each.

A fault line names the service, what goes wrong, and when: `deepgram: drop after 8 s`. `FORMS` is the table of them (so
is `docs/simulators.md`). `parse_fault` reads one line, `FaultPlan` answers each simulator's question ("what is wrong
with this connection?"). Nothing here does anything: the simulators act it out. Nothing is random. A line that cannot be
read is a `FaultError`, which offers the nearest form.

Without `after`, a fault of a Deepgram connection comes in place of SettingsApplied (`mute`: right after it). `slow
...`, `drip` and those of updates hit every connection, the others only the first one, unless the line says which.
"""

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias

import attrs

from protocol.fields import quoted

Target: TypeAlias = Literal["deepgram", "twilio", "groq", "line"]
Kind: TypeAlias = Literal[
    "refuse connect", "drop", "silent drop", "stall", "mute", "garbage", "error", "close", "slow settings",
    "slow think", "slow tts", "drip", "jitter", "stop without close", "close without stop", "stalled reader",
    "duplicate start", "bad frames", "429", "500", "hang", "slow", "refused", "no upgrade", "no welcome", "no media",
    "cancel call", "odd messages", "model_not_found", "model_decommissioned", "json_validate_failed",
    "loss", "noise", "clipping", "echo", "cough", "two people", "no ack", "slow ack", "refuse update", "drop at update",
]  # fmt: skip

FOREVER: Final = 1_000_000


STEPS: Final[tuple[Kind, ...]] = ("drop", "silent drop", "stall", "mute", "garbage", "odd messages", "error", "close")
"""Faults that happen once to a Deepgram connection, at some moment; those without one in place of SettingsApplied."""


class FaultError(Exception):
    """A fault line that cannot be read; the message names the line and the nearest form that can."""

    def __init__(self, line: str, problem: str) -> None:
        super().__init__(f"fault {quoted(line)}: {problem}")


@attrs.frozen
class Fault:
    """One line of a scenario's `faults`."""

    line: str
    target: Target
    kind: Kind
    after: float | None = None
    """Seconds after SettingsApplied (deepgram) or `start` (twilio)."""
    seconds: float = 0.0
    """How slow, or how much jitter."""
    number: int = 0
    """HTTP status of a refusal, close code, how many bad frames, per cent of lost ones, dB of a bad line."""
    code: str = ""
    """Deepgram's error code, or which of its updates: think, speak, prompt or listen."""
    first: int = 1
    """The first connection or request that is hit."""
    times: int = FOREVER
    """How many in a row are hit."""

    def hits(self, nth: int) -> bool:
        """Say whether the nth (from 1) connection or request is hit."""
        return self.first <= nth < self.first + self.times


@attrs.frozen
class Form:
    """One way to write a fault, and what it does."""

    target: Target
    kind: Kind
    example: str
    does: str
    words: str = attrs.field(default=attrs.Factory(lambda form: form.kind, takes_self=True))
    """A regular expression for the part before the modifiers; its groups are fields of the fault."""
    modifiers: frozenset[str] = frozenset()
    once: bool = False
    """Hits only the first connection unless the line says which."""
    number: int = 0
    """Unless the line says another."""


_SECONDS: Final = r"(?P<seconds>\d{1,9}(?:\.\d{1,9})?) ?(?P<unit>s|ms)"
_CONNECTION: Final = frozenset({"on connection", "every", "times"})
_LATER: Final = _CONNECTION | {"after"}
_REQUEST: Final = frozenset({"on request", "times"})
_REFUSALS: Final = (401, 404, 429, 503)
_CLOSES: Final = (1000, 1005, 1011)


_UPDATE: Final = r"(?P<code>think|speak|prompt|listen)"
_REFUSE_WORDS: Final = (
    rf"refuse connect (?P<first>[1-9]\d{{0,8}})(?: with (?P<number>{'|'.join(map(str, _REFUSALS))}))?"
)
_CLOSE_WORDS: Final = rf"close (?P<number>{'|'.join(map(str, _CLOSES))})"

FORMS: Final = (
    Form("deepgram", "refuse connect", "refuse connect 2",
         "the 2nd connection and all later ones are refused with HTTP 503",
         words=_REFUSE_WORDS, modifiers=frozenset({"times"}), number=503),
    Form("deepgram", "no upgrade", "no upgrade", "the TCP connection is accepted, and the upgrade never answered",
         modifiers=_CONNECTION, once=True),
    Form("deepgram", "no welcome", "no welcome", "the socket is upgraded, and nothing is ever said",
         modifiers=_CONNECTION, once=True),
    Form("deepgram", "drop", "drop after 8 s", "TCP drop 8 s after SettingsApplied", modifiers=_LATER, once=True),
    Form("deepgram", "silent drop", "silent drop after 8 s",
         "the line is dead and nobody says so: all is swallowed, nothing comes, no close", modifiers=_LATER, once=True),
    Form("deepgram", "stall", "stall after 3 s", "the socket stays open; says nothing, reads nothing",
         modifiers=_LATER, once=True),
    Form("deepgram", "mute", "mute after 3 s", "reads and acknowledges, but the agent never says another word",
         modifiers=_LATER, once=True),
    Form("deepgram", "garbage", "garbage after 3 s", "one text frame that is not JSON", modifiers=_LATER, once=True),
    Form("deepgram", "odd messages", "odd messages after 3 s",
         "messages without what they must have, or with values that are none", modifiers=_LATER, once=True),
    Form("deepgram", "error", "error INTERNAL_SERVER_ERROR after 3 s", "an Error message with this code, then close",
         words=r"error (?P<code>[A-Z][A-Z0-9_]+)", modifiers=_LATER, once=True),
    Form("deepgram", "close", "close 1011 after 3 s", "a close frame with 1000, 1005 (no code) or 1011",
         words=_CLOSE_WORDS, modifiers=_LATER, once=True),
    Form("deepgram", "slow settings", "slow settings 2 s", "SettingsApplied comes 2 s late",
         words=f"slow settings {_SECONDS}", modifiers=_CONNECTION),
    Form("deepgram", "slow think", "slow think 4 s", "each answer of the model comes 4 s late",
         words=f"slow think {_SECONDS}", modifiers=_CONNECTION),
    Form("deepgram", "slow tts", "slow tts 1 s", "the first audio of each reply comes 1 s late",
         words=f"slow tts {_SECONDS}", modifiers=_CONNECTION),
    Form("deepgram", "drip", "drip", "agent audio comes at half of real time", modifiers=_CONNECTION),
    Form("deepgram", "cancel call", "cancel call 1 s",
         "the first function call still open after 1 s is cancelled, deferred or not",
         words=f"cancel call {_SECONDS}", modifiers=_CONNECTION, once=True),
    Form("deepgram", "no ack", "no ack think", "UpdateThink is done and never acknowledged; also speak, prompt, listen",
         words=f"no ack {_UPDATE}", modifiers=_CONNECTION),
    Form("deepgram", "slow ack", "slow ack think 2 s", "it is done at once, and acknowledged 2 s late",
         words=f"slow ack {_UPDATE} {_SECONDS}", modifiers=_CONNECTION),
    Form("deepgram", "refuse update", "refuse update think", "it is answered by an Error INVALID_SETTINGS, then close",
         words=f"refuse update {_UPDATE}", modifiers=_CONNECTION),
    Form("deepgram", "drop at update", "drop at update speak",
         "TCP drop when UpdateSpeak comes, which is between ThinkUpdated and SpeakUpdated",
         words=f"drop at update {_UPDATE}", modifiers=_CONNECTION),
    Form("twilio", "jitter", "jitter 60 ms", "media frames leave up to 60 ms late, in order",
         words=r"jitter (?P<seconds>\d{1,9})(?: ?(?P<unit>ms))?"),
    Form("twilio", "stop without close", "stop without close", "`stop` is sent, the socket stays open"),
    Form("twilio", "close without stop", "close without stop", "the socket is dropped, no `stop` before it"),
    Form("twilio", "stalled reader", "stalled reader after 5 s",
         "the phone side stops reading its socket 5 s after `start`", modifiers=frozenset({"after"})),
    Form("twilio", "no media", "no media after 5 s",
         "the stream carries no frame any more 5 s after `start`; all else goes on", modifiers=frozenset({"after"})),
    Form("twilio", "duplicate start", "duplicate start", "`start` is sent twice"),
    Form("twilio", "bad frames", "bad frames 3", "three unreadable text frames between the media frames",
         words=r"bad frames(?: (?P<number>\d{1,9}))?", number=1),
    Form("groq", "429", "429", "HTTP 429 with retry-after", modifiers=_REQUEST),
    Form("groq", "500", "500", "HTTP 500", modifiers=_REQUEST),
    Form("groq", "model_not_found", "model_not_found", "HTTP 404, as for a model that was shut down",
         modifiers=_REQUEST),
    Form("groq", "model_decommissioned", "model_decommissioned", "HTTP 400, as for some of them", modifiers=_REQUEST),
    Form("groq", "json_validate_failed", "json_validate_failed",
         "HTTP 400, as for a model that did not get to the end of its JSON", modifiers=_REQUEST),
    Form("groq", "hang", "hang", "accepts the request and never answers", modifiers=_REQUEST),
    Form("groq", "garbage", "garbage", "HTTP 200, and a body that is not JSON", modifiers=_REQUEST),
    Form("groq", "slow", "slow 2 s", "the answer comes 2 s late", words=f"slow {_SECONDS}", modifiers=_REQUEST),
    Form("groq", "drip", "drip", "the answer comes at one byte a second", modifiers=_REQUEST),
    Form("groq", "refused", "refused", "the connection is refused", modifiers=_REQUEST),
    Form("line", "loss", "loss 5 %", "this share of the caller's frames never arrives",
         words=r"loss (?P<number>\d{1,2}) ?%"),
    Form("line", "noise", "noise 30 dB", "a hiss, so much softer than a voice", words=r"noise (?P<number>\d{1,2}) ?dB"),
    Form("line", "clipping", "clipping 9 dB", "peaks are cut, so much above the loudness of a voice",
         words=r"clipping (?P<number>\d{1,2}) ?dB"),
    Form("line", "echo", "echo 30 dB", "the agents' sound comes back, so much softer, 200 ms later",
         words=r"echo (?P<number>\d{1,2}) ?dB"),
    Form("line", "cough", "cough after 5 s", "somebody coughs, 5 s after `start`", modifiers=frozenset({"after"})),
    Form("line", "two people", "two people after 5 s", "somebody else in the room says a sentence",
         modifiers=frozenset({"after"})),
)  # fmt: skip
OF_LINES: Final[tuple[Kind, ...]] = tuple(form.kind for form in FORMS if form.target == "line")
"""Faults of the caller's sound itself."""

_MODIFIERS: Final[Mapping[str, re.Pattern[str]]] = {
    "after": re.compile(rf" after {_SECONDS}$"),
    "on connection": re.compile(r" on connection (?P<n>[1-9]\d{0,8})$"),
    "on request": re.compile(r" on request (?P<n>[1-9]\d{0,8})$"),
    "every": re.compile(r" (?:on )?every(?: connection)?$"),
    "times": re.compile(r" times (?P<n>[1-9]\d{0,8})$"),
}


def parse_fault(line: str) -> Fault:
    """Read one fault line.

    *Raises* `FaultError`, which quotes the line and offers the nearest form.
    """
    target, colon, rest = (part.strip() for part in line.partition(":"))
    targets = tuple(dict.fromkeys(form.target for form in FORMS))
    if not colon or target not in targets:
        raise FaultError(line, f"begins with no service; write one of {_listed(targets)}{_nearest(line)}")
    words, modifiers = _split(line, " ".join(rest.split()))
    for form in FORMS:
        match = re.fullmatch(form.words, words)
        if form.target == target and match:
            return _build(line, form, match, modifiers)
    known = _listed(form.example for form in FORMS if form.target == target)
    raise FaultError(line, f"{target} has no fault {quoted(words)}{_nearest(line)}; it has {known}")


def parse_faults(lines: Iterable[str]) -> tuple[Fault, ...]:
    return tuple(parse_fault(line) for line in lines)


def _split(line: str, rest: str) -> tuple[str, dict[str, re.Match[str]]]:
    modifiers: dict[str, re.Match[str]] = {}
    while found := next(((name, m) for name, at_end in _MODIFIERS.items() if (m := at_end.search(rest))), None):
        name, match = found
        if name in modifiers:
            raise FaultError(line, f"{name!r} is there twice; leave one out")
        modifiers[name] = match
        rest = rest[: match.start()]
    return rest, modifiers


def _build(line: str, form: Form, match: re.Match[str], modifiers: Mapping[str, re.Match[str]]) -> Fault:
    unfit = [name for name in modifiers if name not in form.modifiers]
    if unfit:
        allowed = _listed(sorted(form.modifiers)) if form.modifiers else "nothing"
        raise FaultError(line, f"{form.kind!r} takes no {unfit[0]!r}; it takes {allowed}{_nearest(line)}")
    if "every" in modifiers and len(modifiers.keys() & _CONNECTION) > 1:
        raise FaultError(line, "'every connection' excludes 'on connection' and 'times'; leave one out")
    fault = Fault(line, form.target, form.kind, number=form.number, times=1 if form.once else FOREVER)
    changes: dict[str, Any] = {"after": 0.0} if form.kind == "mute" else {}
    changes |= _read_groups(match.groupdict()) | _read_modifiers(modifiers)
    return attrs.evolve(fault, **changes)


def _seconds(groups: Mapping[str, str]) -> float:
    return float(groups["seconds"]) / (1 if groups["unit"] == "s" else 1000)


def _read_groups(groups: Mapping[str, str]) -> dict[str, Any]:
    there = {name: text for name, text in groups.items() if text and name not in {"seconds", "unit"}}
    changes = {name: text if name == "code" else int(text) for name, text in there.items()}
    return changes | ({"seconds": _seconds(groups)} if groups.get("seconds") else {})


def _read_modifiers(modifiers: Mapping[str, re.Match[str]]) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if after := modifiers.get("after"):
        changes["after"] = _seconds(after.groupdict())
    if nth := modifiers.get("on connection") or modifiers.get("on request"):
        changes |= {"first": int(nth["n"]), "times": 1}
    if "every" in modifiers:
        changes["times"] = FOREVER
    if times := modifiers.get("times"):
        changes["times"] = int(times["n"])
    return changes


def _nearest(line: str) -> str:
    """Offer the form whose first word is most like the line's, and of several the one most like the whole line."""
    target, _, rest = line.rpartition(":")
    forms = [form for form in FORMS if form.target in target] or list(FORMS)
    first = difflib.get_close_matches(rest.strip().partition(" ")[0], [form.kind.split()[0] for form in forms], 1)
    alike = [form for form in forms if form.kind.split()[0] in first]
    offers = [f"{form.target}: {form.example}" for form in alike]
    near = difflib.get_close_matches(line, offers, 1, 0.0)
    return f"; did you mean {near[0]!r}?" if near else ""


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)


@attrs.frozen
class Faults:
    """The faults of one connection, stream or request, asked by kind."""

    every: tuple[Fault, ...] = ()

    def of(self, *kinds: Kind) -> tuple[Fault, ...]:
        """Return those of some kinds, in the order they were written."""
        return tuple(fault for fault in self.every if fault.kind in kinds)

    def has(self, *kinds: Kind) -> bool:
        return bool(self.of(*kinds))

    def number(self, kind: Kind) -> int:
        """Return the number that the first of a kind has; 0 where there is none."""
        return next((fault.number for fault in self.of(kind)), 0)

    def seconds(self, kind: Kind) -> float:
        """Return how long those of a kind last together."""
        return sum(fault.seconds for fault in self.of(kind))

    def begin(self, kind: Kind) -> float:
        """Return after how many seconds the first of a kind begins; infinity where there is none."""
        return min((fault.after or 0.0 for fault in self.of(kind)), default=math.inf)


@attrs.define
class FaultPlan:
    """The faults of one run, asked by each simulator for its own."""

    faults: tuple[Fault, ...] = ()
    requests: int = attrs.field(default=0, init=False)

    def of(self, *targets: Target) -> tuple[Fault, ...]:
        return tuple(fault for fault in self.faults if fault.target in targets)

    def for_connection(self, nth: int) -> Faults:
        """Return what is wrong with the nth Deepgram connection, counted from 1."""
        return Faults(tuple(fault for fault in self.of("deepgram") if fault.hits(nth)))

    @property
    def twilio(self) -> Faults:
        """The faults of every media stream, and of the sound on it."""
        return Faults(self.of("twilio", "line"))

    def groq(self) -> Faults:
        """Count one more Groq request and return what is wrong with it."""
        self.requests += 1
        return self.for_request(self.requests)

    def for_request(self, nth: int) -> Faults:
        """Return what is wrong with the nth Groq request, counted from 1."""
        return Faults(tuple(fault for fault in self.of("groq") if fault.hits(nth)))
