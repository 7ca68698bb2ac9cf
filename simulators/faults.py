"""Things that go wrong on purpose, one line each.

A fault line names the service, what goes wrong, and when: `deepgram: drop after 8 s`. `parse_fault` reads one
line, `FaultPlan` answers each simulator's question ("what is wrong with this connection?"). Nothing here does
anything: the simulators act it out. Nothing is random. A line that cannot be read is a `FaultError`.

deepgram: (N-th connection: `on connection K`, `every connection`, `times N` = N connections in a row)

    refuse connect 2              the 2nd connection and all later ones are refused with HTTP 503
    refuse connect 2 times 1      only the 2nd
    refuse connect 1 with 429     refused with 401, 404, 429 or 503
    drop after 8 s                TCP drop 8 s after SettingsApplied
    silent drop after 8 s         the line is dead and nobody says so: all is swallowed, nothing comes, no close
    stall after 3 s               the socket stays open; says nothing, reads nothing
    mute after 3 s                reads and acknowledges, but the agent never says another word
    garbage after 3 s             one text frame that is not JSON
    error INTERNAL_SERVER_ERROR after 3 s    an Error message with this code, then close
    close 1011 after 3 s          a close frame with 1000, 1005 (no code) or 1011
    slow settings 2 s             SettingsApplied comes 2 s late
    slow think 4 s                each answer of the model comes 4 s late
    slow tts 1 s                  the first audio of each reply comes 1 s late
    drip                          agent audio comes at half of real time

Without `after`, the fault comes in place of SettingsApplied (`mute`: right after it). `slow ...` and `drip` hit
every connection, the others only the first one, unless the line says which.

twilio:

    jitter 60 ms                  media frames leave up to 60 ms late, in order
    stop without close            `stop` is sent, the socket stays open
    close without stop            the socket is dropped, no `stop` before it
    stalled reader after 5 s      the phone side stops reading its socket 5 s after `start`
    duplicate start               `start` is sent twice
    bad frames 3                  three unreadable text frames between the media frames

groq: (`on request K`, `times N` = N requests in a row; otherwise every request)

    429                           HTTP 429 with retry-after
    500                           HTTP 500
    hang                          accepts the request and never answers
    garbage                       HTTP 200, and a body that is not JSON
    slow 2 s                      the answer comes 2 s late
    refused                       the connection is refused
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal, TypeAlias, TypedDict, cast

import attrs

Target: TypeAlias = Literal["deepgram", "twilio", "groq"]
Kind: TypeAlias = Literal[
    "refuse connect", "drop", "silent drop", "stall", "mute", "garbage", "error", "close", "slow settings",
    "slow think", "slow tts", "drip", "jitter", "stop without close", "close without stop", "stalled reader",
    "duplicate start", "bad frames", "429", "500", "hang", "slow", "refused",
]  # fmt: skip
GroqAnswer: TypeAlias = Literal["429", "500", "hang", "garbage", "refused"]
StepKind: TypeAlias = Literal["drop", "silent drop", "stall", "mute", "garbage", "error", "close"]

FOREVER: Final = 1_000_000


class FaultError(Exception):
    """A fault line that cannot be read; the message names the line and the nearest form that can."""


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
    """HTTP status of a refusal, close code, how many bad frames."""
    code: str = ""
    """Deepgram's error code."""
    first: int = 1
    """The first connection or request that is hit."""
    times: int = FOREVER
    """How many in a row are hit."""

    def hits(self, nth: int) -> bool:
        """Say whether the nth (from 1) connection or request is hit."""
        return self.first <= nth < self.first + self.times


@attrs.frozen
class Step:
    """Something that happens to one Deepgram connection, once; `after` None: in place of SettingsApplied."""

    kind: StepKind
    after: float | None
    code: str = ""
    number: int = 0


@attrs.frozen
class ConnectionFaults:
    """What is wrong with one Deepgram connection."""

    refuse: int | None = None
    """HTTP status at the upgrade."""
    settings_delay: float = 0.0
    think_delay: float = 0.0
    tts_delay: float = 0.0
    drip: bool = False
    steps: tuple[Step, ...] = ()
    """In order of time, those in place of SettingsApplied first."""


@attrs.frozen
class TwilioFaults:
    """What is wrong with every media stream."""

    jitter: float = 0.0
    """Seconds."""
    stop_without_close: bool = False
    close_without_stop: bool = False
    stalled_reader_after: float | None = None
    duplicate_start: bool = False
    bad_frames: int = 0


@attrs.frozen
class RequestFaults:
    """What is wrong with one Groq request: first the delay, then the answer."""

    delay: float = 0.0
    answer: GroqAnswer | None = None


@attrs.define
class FaultPlan:
    """The faults of one run, asked by each simulator for its own."""

    faults: tuple[Fault, ...] = attrs.field(default=(), converter=tuple)
    requests: int = attrs.field(default=0, init=False)

    def of(self, target: Target) -> tuple[Fault, ...]:
        """Return one service's faults, in the order they were written."""
        return tuple(fault for fault in self.faults if fault.target == target)

    def for_connection(self, nth: int) -> ConnectionFaults:
        """Return what is wrong with the nth Deepgram connection, counted from 1."""
        hits = [fault for fault in self.of("deepgram") if fault.hits(nth)]
        refusals = [fault.number for fault in hits if fault.kind == "refuse connect"]
        steps = [
            Step(cast("StepKind", fault.kind), fault.after, code=fault.code, number=fault.number)
            for fault in hits
            if fault.kind in _STEPS
        ]
        return ConnectionFaults(
            refuse=refusals[0] if refusals else None,
            settings_delay=_delay(hits, "slow settings"),
            think_delay=_delay(hits, "slow think"),
            tts_delay=_delay(hits, "slow tts"),
            drip=any(fault.kind == "drip" for fault in hits),
            steps=tuple(sorted(steps, key=lambda step: -1.0 if step.after is None else step.after)),
        )

    @property
    def twilio(self) -> TwilioFaults:
        """What is wrong with the media streams."""
        faults = {fault.kind: fault for fault in self.of("twilio")}
        stalled = faults.get("stalled reader")
        bad = faults.get("bad frames")
        return TwilioFaults(
            jitter=_delay(faults.values(), "jitter"),
            stop_without_close="stop without close" in faults,
            close_without_stop="close without stop" in faults,
            stalled_reader_after=None if stalled is None else stalled.after or 0.0,
            duplicate_start="duplicate start" in faults,
            bad_frames=0 if bad is None else bad.number,
        )

    def groq(self) -> RequestFaults:
        """Count one more Groq request and return what is wrong with it."""
        self.requests += 1
        return self.for_request(self.requests)

    def for_request(self, nth: int) -> RequestFaults:
        """Return what is wrong with the nth Groq request, counted from 1."""
        hits = [fault for fault in self.of("groq") if fault.hits(nth)]
        answers = [cast("GroqAnswer", fault.kind) for fault in hits if fault.kind != "slow"]
        return RequestFaults(delay=_delay(hits, "slow"), answer=answers[0] if answers else None)


_STEPS: Final = frozenset({"drop", "silent drop", "stall", "mute", "garbage", "error", "close"})


def _delay(faults: Iterable[Fault], kind: Kind) -> float:
    return sum(fault.seconds for fault in faults if fault.kind == kind)


class _Changes(TypedDict, total=False):
    after: float
    seconds: float
    number: int
    code: str
    first: int
    times: int


@attrs.frozen
class _Form:
    """One way to write a fault: the words, then what they mean."""

    target: Target
    kind: Kind
    words: str
    """A regular expression for the part before the modifiers; its groups are the arguments."""
    example: str
    modifiers: frozenset[str] = frozenset()
    once: bool = False
    """Hits only the first connection unless the line says which."""
    read: Callable[[re.Match[str]], _Changes] = lambda _: {}


_SECONDS: Final = r"(?P<amount>\d+(?:\.\d+)?) ?(?P<unit>s|ms)"
_CONNECTION: Final = frozenset({"on connection", "every", "times"})
_LATER: Final = _CONNECTION | {"after"}
_REQUEST: Final = frozenset({"on request", "times"})
_REFUSALS: Final = (401, 404, 429, 503)
_CLOSES: Final = (1000, 1005, 1011)


def _seconds(match: re.Match[str]) -> float:
    return float(match["amount"]) / (1000 if match["unit"] == "ms" else 1)


def _read_seconds(match: re.Match[str]) -> _Changes:
    return {"seconds": _seconds(match)}


def _read_refusal(match: re.Match[str]) -> _Changes:
    return {"first": int(match["n"]), "number": int(match["status"] or 503)}


def _read_error(match: re.Match[str]) -> _Changes:
    return {"code": match["code"]}


def _read_close(match: re.Match[str]) -> _Changes:
    return {"number": int(match["code"])}


def _read_bad_frames(match: re.Match[str]) -> _Changes:
    return {"number": int(match["n"] or 1)}


_REFUSE_WORDS: Final = rf"refuse connect (?P<n>[1-9]\d*)(?: with (?P<status>{'|'.join(map(str, _REFUSALS))}))?"
_CLOSE_WORDS: Final = rf"close (?P<code>{'|'.join(map(str, _CLOSES))})"

FORMS: Final = (
    _Form("deepgram", "refuse connect", _REFUSE_WORDS, "refuse connect 2", frozenset({"times"}), read=_read_refusal),
    _Form("deepgram", "drop", "drop", "drop after 8 s", _LATER, once=True),
    _Form("deepgram", "silent drop", "silent drop", "silent drop after 8 s", _LATER, once=True),
    _Form("deepgram", "stall", "stall", "stall after 3 s", _LATER, once=True),
    _Form("deepgram", "mute", "mute", "mute after 3 s", _LATER, once=True),
    _Form("deepgram", "garbage", "garbage", "garbage after 3 s", _LATER, once=True),
    _Form("deepgram", "error", r"error (?P<code>[A-Z][A-Z0-9_]+)", "error INTERNAL_SERVER_ERROR after 3 s", _LATER,
          once=True, read=_read_error),
    _Form("deepgram", "close", _CLOSE_WORDS, "close 1011 after 3 s", _LATER, once=True, read=_read_close),
    _Form("deepgram", "slow settings", f"slow settings {_SECONDS}", "slow settings 2 s", _CONNECTION,
          read=_read_seconds),
    _Form("deepgram", "slow think", f"slow think {_SECONDS}", "slow think 4 s", _CONNECTION, read=_read_seconds),
    _Form("deepgram", "slow tts", f"slow tts {_SECONDS}", "slow tts 1 s", _CONNECTION, read=_read_seconds),
    _Form("deepgram", "drip", "drip", "drip", _CONNECTION),
    _Form("twilio", "jitter", r"jitter (?P<amount>\d+)(?: ?(?P<unit>ms))?", "jitter 60 ms",
          read=lambda match: {"seconds": int(match["amount"]) / 1000}),
    _Form("twilio", "stop without close", "stop without close", "stop without close"),
    _Form("twilio", "close without stop", "close without stop", "close without stop"),
    _Form("twilio", "stalled reader", "stalled reader", "stalled reader after 5 s", frozenset({"after"})),
    _Form("twilio", "duplicate start", "duplicate start", "duplicate start"),
    _Form("twilio", "bad frames", r"bad frames(?: (?P<n>\d+))?", "bad frames 3", read=_read_bad_frames),
    _Form("groq", "429", "429", "429", _REQUEST),
    _Form("groq", "500", "500", "500", _REQUEST),
    _Form("groq", "hang", "hang", "hang", _REQUEST),
    _Form("groq", "garbage", "garbage", "garbage", _REQUEST),
    _Form("groq", "slow", f"slow {_SECONDS}", "slow 2 s", _REQUEST, read=_read_seconds),
    _Form("groq", "refused", "refused", "refused", _REQUEST),
)  # fmt: skip

_MODIFIERS: Final[Mapping[str, re.Pattern[str]]] = {
    "after": re.compile(rf" after {_SECONDS}$"),
    "on connection": re.compile(r" on connection (?P<n>[1-9]\d*)$"),
    "on request": re.compile(r" on request (?P<n>[1-9]\d*)$"),
    "every": re.compile(r" (?:on )?every(?: connection)?$"),
    "times": re.compile(r" times (?P<n>[1-9]\d*)$"),
}


def parse_fault(line: str) -> Fault:
    """Read one fault line.

    *Raises* `FaultError`, which quotes the line and offers the nearest form.
    """
    target, colon, rest = (part.strip() for part in line.partition(":"))
    targets = tuple(dict.fromkeys(form.target for form in FORMS))
    if not colon or target not in targets:
        raise FaultError(f"fault {line!r}: begins with no service; write one of {_listed(targets)}{_nearest(line)}")
    words, modifiers = _split(line, " ".join(rest.split()))
    for form in FORMS:
        match = re.fullmatch(form.words, words)
        if form.target == target and match:
            return _build(line, form, match, modifiers)
    known = _listed(form.example for form in FORMS if form.target == target)
    raise FaultError(f"fault {line!r}: {target} has no fault {words!r}{_nearest(line)}; it has {known}")


def parse_faults(lines: Iterable[str]) -> tuple[Fault, ...]:
    """Read several fault lines; the first bad one raises `FaultError`."""
    return tuple(parse_fault(line) for line in lines)


def _split(line: str, rest: str) -> tuple[str, dict[str, re.Match[str]]]:
    modifiers: dict[str, re.Match[str]] = {}
    while found := next(((name, m) for name, at_end in _MODIFIERS.items() if (m := at_end.search(rest))), None):
        name, match = found
        if name in modifiers:
            raise FaultError(f"fault {line!r}: {name!r} is there twice; leave one out")
        modifiers[name] = match
        rest = rest[: match.start()]
    return rest, modifiers


def _build(line: str, form: _Form, match: re.Match[str], modifiers: Mapping[str, re.Match[str]]) -> Fault:
    unfit = [name for name in modifiers if name not in form.modifiers]
    if unfit:
        allowed = _listed(sorted(form.modifiers)) if form.modifiers else "nothing"
        raise FaultError(f"fault {line!r}: {form.kind!r} takes no {unfit[0]!r}; it takes {allowed}{_nearest(line)}")
    if "every" in modifiers and len(modifiers.keys() & _CONNECTION) > 1:
        raise FaultError(f"fault {line!r}: 'every connection' excludes 'on connection' and 'times'; leave one out")
    fault = Fault(line=line, target=form.target, kind=form.kind, times=1 if form.once else FOREVER)
    return attrs.evolve(fault, **(form.read(match) | _read_modifiers(form, modifiers)))


def _read_modifiers(form: _Form, modifiers: Mapping[str, re.Match[str]]) -> _Changes:
    changes: _Changes = {}
    if after := modifiers.get("after"):
        changes["after"] = _seconds(after)
    elif form.kind == "mute":
        changes["after"] = 0.0
    if nth := modifiers.get("on connection") or modifiers.get("on request"):
        changes |= {"first": int(nth["n"]), "times": 1}
    if "every" in modifiers:
        changes["times"] = FOREVER
    if times := modifiers.get("times"):
        changes["times"] = int(times["n"])
    return changes


def _nearest(line: str) -> str:
    target, _, rest = line.rpartition(":")
    forms = [f"{form.target}: {form.example}" for form in FORMS if form.target in target]
    near = difflib.get_close_matches(line, forms or [f"{form.target}: {form.example}" for form in FORMS], 1, 0.3)
    rest = rest.strip()
    near = near or [form for form in forms if rest and form.partition(": ")[2].startswith(rest.split()[0])]
    return f"; did you mean {near[0]!r}?" if near else ""


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)
