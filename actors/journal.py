"""The log book of one call: every message, state change and cancellation, in one order.

`Journal` stamps facts with the call's own time and passes each entry to its readers, in order, at once. It keeps
nothing itself: transcript, record, live view and file are its readers. A reader is called synchronously and must not
block; an exception of a reader ends the call, so readers that may fail (the Scribe's file)
put a mailbox between.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, cached_property
from typing import Any, Final, TypeAlias, TypeVar, cast, get_args

import attrs
import trio

from actors.facts import Fact, FrameRefused, ReplyText, TurnCutOff, TurnHeard, Unrecognised
from protocol.fields import JSON, json_or
from store.json_text import json_text
from store.redaction import CallRedaction

_MOST_PASSED_OVER, _LONGEST_TYPE = 10, 100
_WORD_START = re.compile(r"(?<!^)(?=[A-Z])")


@cache
def _snake_case(name: str) -> str:
    return _WORD_START.sub("_", name).lower()


def event_name(fact: type[object]) -> str:
    """Return the snake_case name under which a fact stands in `journal.jsonl`."""
    return _snake_case(fact.__name__)


@attrs.frozen
class Entry:
    """One line of the Journal. `at` is seconds since the call started."""

    seq: int
    at: float
    fact: Fact

    @property
    def event(self) -> str:
        return event_name(type(self.fact))

    def as_json(self) -> dict[str, JSON]:
        fields = {name: getattr(self.fact, name) for name, _, _ in _FIELDS[type(self.fact)]}  # none is an object
        return {"seq": self.seq, "at": round(self.at, 3), "event": self.event, **fields}

    @cached_property
    def line(self) -> bytes:
        """The entry as JSON text with a line end, written once for all readers."""
        return json_text(self.as_json())


KINDS: Final[Mapping[str, type[Fact]]] = {event_name(kind): kind for kind in get_args(Fact)}
F = TypeVar("F")


def read_entries(journal: bytes) -> list[Entry]:
    """Read what `Entry.line` has written, as far as it can be.

    A line that is cut, or of a kind that this version does not know, is left out. A field that is missing (an older
    version wrote it) or strange is empty, or as its kind has it by default; a truth value is true.
    """
    plain = (json_or(line, None) for line in journal.splitlines())
    known = ((one, KINDS.get(str(one.get("event")))) for one in plain if isinstance(one, dict))
    return [_read_entry(one, kind) for one, kind in known if kind is not None]


def _read_entry(plain: Mapping[str, Any], kind: type[Fact]) -> Entry:
    values, at = dict[str, Any](), plain.get("at")
    for name, type_, empty in _FIELDS[kind]:
        value: object = plain.get(name)
        if isinstance(value, type_) and (type_ is bool or not isinstance(value, bool)):
            values[name] = tuple(value) if isinstance(value, list) else value
        elif empty is not attrs.NOTHING:
            values[name] = empty
    return Entry(plain.get("seq", 0), at if isinstance(at, int | float) else 0.0, kind(**values))


_IN_JSON: Final[Mapping[Any, tuple[Any, object]]] = {
    int: (int, 0),
    float: (int | float, 0.0),
    float | None: (int | float, None),
    bool: (bool, True),
    Mapping[str, str]: (dict, {}),
    Mapping[str, int]: (dict, {}),
    tuple[str, ...]: (list, ()),
}
"""Of the types that facts have besides text."""


def _json_fields(kind: type[Fact]) -> Sequence[tuple[str, Any, object]]:
    """Return the fields, each with its type in JSON and what it is where nothing is written; NOTHING: as by default."""
    kinds = ((field, *_IN_JSON.get(cast("Any", field.type), (str, ""))) for field in attrs.fields(kind))
    return [(one.name, type_, empty if one.default is attrs.NOTHING else attrs.NOTHING) for one, type_, empty in kinds]


_FIELDS: Final[Mapping[type[object], Sequence[tuple[str, Any, object]]]] = {
    kind: _json_fields(kind) for kind in KINDS.values()
}


def facts_of(entries: Iterable[Entry], kind: type[F]) -> list[F]:
    return [entry.fact for entry in entries if isinstance(entry.fact, kind)]


JournalReader: TypeAlias = Callable[[Entry], None]


def ignore(*_: object) -> None:
    """Take no notice: the default where nobody watches, or waits."""


_WORDY = frozenset({
    *("text", "heard", "arguments", "result", "facts", "reason", "notes", "brief"),
    *("why", "error", "description", "problems", "fields"),
})  # fmt: skip
"""The fields of facts in which there may be words of the call."""


def _redacted_fact(fact: Fact, redaction: CallRedaction) -> Fact:
    if not redaction.rule.rules:
        return fact
    match fact:
        case TurnHeard(text=text):
            return attrs.evolve(fact, text=redaction.turn(text))
        case TurnCutOff(text=text):
            return attrs.evolve(fact, text=redaction.unsure_turn(text))
        case ReplyText(agent=agent, text=text):
            return attrs.evolve(fact, text=redaction.sentence(agent, text))
        case _:
            words = {name: value for name, value in attrs.asdict(fact, recurse=False).items() if name in _WORDY}
            # a value keeps its type, which mypy cannot see
            return attrs.evolve(fact, **{name: redaction.rule.value(value) for name, value in words.items()})  # type: ignore[arg-type]


@attrs.define
class Journal:
    """The facts of one call, in order. Created at the start of its stream, inside trio."""

    _readers: Sequence[JournalReader] = ()
    started: float = attrs.field(factory=trio.current_time)
    """When (trio time) the call started: earlier, if it has had a stream before."""
    redaction: CallRedaction = attrs.field(factory=CallRedaction)
    """What of the words is not written down."""
    count: int = attrs.field(default=0, init=False)
    _passed_over: set[Fact] = attrs.field(factory=set, init=False)

    @property
    def now(self) -> float:
        """Seconds since the call started."""
        return trio.current_time() - self.started

    def note(self, fact: Fact) -> None:
        entry = Entry(self.count, self.now, _redacted_fact(fact, self.redaction))
        self.count += 1
        for read in self._readers:
            read(entry)

    def note_unrecognised(self, where: str, what: str) -> None:
        """Note a message of a type that we do not know, once, and some types in all: it may come with every frame."""
        self._note_once(Unrecognised(where, what[:_LONGEST_TYPE]))

    def note_refused(self, where: str, why: str) -> None:
        """Note a message that cannot be read, once for each reason, and some reasons in all."""
        self._note_once(FrameRefused(where, why[:_LONGEST_TYPE]))

    def _note_once(self, passed_over: Fact) -> None:
        alike = sum(type(passed_over) is type(each) for each in self._passed_over)
        if passed_over not in self._passed_over and alike < _MOST_PASSED_OVER:
            self._passed_over.add(passed_over)
            self.note(passed_over)
