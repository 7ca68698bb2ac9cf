"""Grammar of faults: one line names a service, what goes wrong, and when.

The forms are listed in `simulators.faults`. `parse_fault` reads a line by a table of forms; a line that none of them
fits is a `FaultError`, which offers the nearest.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal, TypeAlias, TypedDict

import attrs

Target: TypeAlias = Literal["deepgram", "twilio", "groq", "line"]
Kind: TypeAlias = Literal[
    "refuse connect", "drop", "silent drop", "stall", "mute", "garbage", "error", "close", "slow settings",
    "slow think", "slow tts", "drip", "jitter", "stop without close", "close without stop", "stalled reader",
    "duplicate start", "bad frames", "429", "500", "hang", "slow", "refused", "no upgrade", "no welcome", "no media",
    "cancel call", "odd messages", "model_not_found", "model_decommissioned", "json_validate_failed",
    "loss", "noise", "clipping", "echo", "cough", "two people", "no ack", "slow ack", "refuse update", "drop at update",
]  # fmt: skip

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


class _Changes(TypedDict, total=False):
    after: float
    seconds: float
    number: int
    code: str
    first: int
    times: int


@attrs.frozen
class Form:
    """One way to write a fault: the words, then what they mean."""

    target: Target
    kind: Kind
    words: str
    """A regular expression for the part before the modifiers; its groups are fields of the fault."""
    example: str
    modifiers: frozenset[str] = frozenset()
    once: bool = False
    """Hits only the first connection unless the line says which."""
    number: int = 0
    """Unless the line says another."""


_SECONDS: Final = r"(?P<seconds>\d+(?:\.\d+)?) ?(?P<unit>s|ms)"
_CONNECTION: Final = frozenset({"on connection", "every", "times"})
_LATER: Final = _CONNECTION | {"after"}
_REQUEST: Final = frozenset({"on request", "times"})
_REFUSALS: Final = (401, 404, 429, 503)
_CLOSES: Final = (1000, 1005, 1011)


_UPDATE: Final = r"(?P<code>think|speak|prompt|listen)"
_REFUSE_WORDS: Final = rf"refuse connect (?P<first>[1-9]\d*)(?: with (?P<number>{'|'.join(map(str, _REFUSALS))}))?"
_CLOSE_WORDS: Final = rf"close (?P<number>{'|'.join(map(str, _CLOSES))})"

FORMS: Final = (
    Form("deepgram", "refuse connect", _REFUSE_WORDS, "refuse connect 2", frozenset({"times"}), number=503),
    Form("deepgram", "no upgrade", "no upgrade", "no upgrade", _CONNECTION, once=True),
    Form("deepgram", "no welcome", "no welcome", "no welcome", _CONNECTION, once=True),
    Form("deepgram", "drop", "drop", "drop after 8 s", _LATER, once=True),
    Form("deepgram", "silent drop", "silent drop", "silent drop after 8 s", _LATER, once=True),
    Form("deepgram", "stall", "stall", "stall after 3 s", _LATER, once=True),
    Form("deepgram", "mute", "mute", "mute after 3 s", _LATER, once=True),
    Form("deepgram", "garbage", "garbage", "garbage after 3 s", _LATER, once=True),
    Form("deepgram", "odd messages", "odd messages", "odd messages after 3 s", _LATER, once=True),
    Form("deepgram", "error", r"error (?P<code>[A-Z][A-Z0-9_]+)", "error INTERNAL_SERVER_ERROR after 3 s", _LATER,
          once=True),
    Form("deepgram", "close", _CLOSE_WORDS, "close 1011 after 3 s", _LATER, once=True),
    Form("deepgram", "slow settings", f"slow settings {_SECONDS}", "slow settings 2 s", _CONNECTION),
    Form("deepgram", "slow think", f"slow think {_SECONDS}", "slow think 4 s", _CONNECTION),
    Form("deepgram", "slow tts", f"slow tts {_SECONDS}", "slow tts 1 s", _CONNECTION),
    Form("deepgram", "drip", "drip", "drip", _CONNECTION),
    Form("deepgram", "cancel call", f"cancel call {_SECONDS}", "cancel call 1 s", _CONNECTION, once=True),
    Form("deepgram", "no ack", f"no ack {_UPDATE}", "no ack think", _CONNECTION),
    Form("deepgram", "slow ack", f"slow ack {_UPDATE} {_SECONDS}", "slow ack think 2 s", _CONNECTION),
    Form("deepgram", "refuse update", f"refuse update {_UPDATE}", "refuse update think", _CONNECTION),
    Form("deepgram", "drop at update", f"drop at update {_UPDATE}", "drop at update speak", _CONNECTION),
    Form("twilio", "jitter", r"jitter (?P<seconds>\d+)(?: ?(?P<unit>ms))?", "jitter 60 ms"),
    Form("twilio", "stop without close", "stop without close", "stop without close"),
    Form("twilio", "close without stop", "close without stop", "close without stop"),
    Form("twilio", "stalled reader", "stalled reader", "stalled reader after 5 s", frozenset({"after"})),
    Form("twilio", "no media", "no media", "no media after 5 s", frozenset({"after"})),
    Form("twilio", "duplicate start", "duplicate start", "duplicate start"),
    Form("twilio", "bad frames", r"bad frames(?: (?P<number>\d+))?", "bad frames 3", number=1),
    Form("groq", "429", "429", "429", _REQUEST),
    Form("groq", "500", "500", "500", _REQUEST),
    Form("groq", "model_not_found", "model_not_found", "model_not_found", _REQUEST),
    Form("groq", "model_decommissioned", "model_decommissioned", "model_decommissioned", _REQUEST),
    Form("groq", "json_validate_failed", "json_validate_failed", "json_validate_failed", _REQUEST),
    Form("groq", "hang", "hang", "hang", _REQUEST),
    Form("groq", "garbage", "garbage", "garbage", _REQUEST),
    Form("groq", "slow", f"slow {_SECONDS}", "slow 2 s", _REQUEST),
    Form("groq", "drip", "drip", "drip", _REQUEST),
    Form("groq", "refused", "refused", "refused", _REQUEST),
    Form("line", "loss", r"loss (?P<number>\d{1,2}) ?%", "loss 5 %"),
    Form("line", "noise", r"noise (?P<number>\d{1,2}) ?dB", "noise 30 dB"),
    Form("line", "clipping", r"clipping (?P<number>\d{1,2}) ?dB", "clipping 9 dB"),
    Form("line", "echo", r"echo (?P<number>\d{1,2}) ?dB", "echo 30 dB"),
    Form("line", "cough", "cough", "cough after 5 s", frozenset({"after"})),
    Form("line", "two people", "two people", "two people after 5 s", frozenset({"after"})),
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


def _build(line: str, form: Form, match: re.Match[str], modifiers: Mapping[str, re.Match[str]]) -> Fault:
    unfit = [name for name in modifiers if name not in form.modifiers]
    if unfit:
        allowed = _listed(sorted(form.modifiers)) if form.modifiers else "nothing"
        raise FaultError(f"fault {line!r}: {form.kind!r} takes no {unfit[0]!r}; it takes {allowed}{_nearest(line)}")
    if "every" in modifiers and len(modifiers.keys() & _CONNECTION) > 1:
        raise FaultError(f"fault {line!r}: 'every connection' excludes 'on connection' and 'times'; leave one out")
    fault = Fault(line, form.target, form.kind, number=form.number, times=1 if form.once else FOREVER)
    return attrs.evolve(fault, **(_read_groups(match.groupdict()) | _read_modifiers(form, modifiers)))


def _seconds(groups: Mapping[str, str]) -> float:
    return float(groups["seconds"]) / (1 if groups["unit"] == "s" else 1000)


def _read_groups(groups: Mapping[str, str]) -> _Changes:
    changes: _Changes = {}
    if groups.get("seconds"):
        changes["seconds"] = _seconds(groups)
    if number := groups.get("number"):
        changes["number"] = int(number)
    if code := groups.get("code"):
        changes["code"] = code
    if first := groups.get("first"):
        changes["first"] = int(first)
    return changes


def _read_modifiers(form: Form, modifiers: Mapping[str, re.Match[str]]) -> _Changes:
    changes: _Changes = {}
    if after := modifiers.get("after"):
        changes["after"] = _seconds(after.groupdict())
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
