"""The record of a call: one `CallRecord`, whatever way the call ended.

These are values: nothing here reads a clock, a disk or a socket. `record_as_json` and `record_from_json` are each
other's inverse; a record written by a newer version reads back without the fields this version does not know.
`RecordError` is raised for anything that is not a record. The older turns of a call under way are packed, and come to
its checkpoint without being made objects again.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

import attrs
import cattrs
import orjson

from store.json_text import json_text, unpacked_lines

TRANSFERRING = "transferring"
"""The outcome of a call that is put through to a person, until somebody says what came of it."""

TURNED_AWAY = "turned_away"
NEVER_RAN = "never_ran"
"""The outcome of a call that was answered, and on which no media stream of ours ever ran."""

DO_NOT_CALL = "do_not_call"
"""The outcome of an order whose number is on the do-not-call list."""

UNANSWERED = {
    "busy": "busy",
    "no_answer": "no-answer",
    "failed": "failed",
    "canceled": "canceled",
    DO_NOT_CALL: "canceled",
    "unknown": "failed",
    TURNED_AWAY: "completed",
    NEVER_RAN: "completed",
}
"""The outcomes of a call that no agent ever spoke on, each with Twilio's status for it."""

ANSWERED = (
    *("completed", "caller_hung_up", "caller_silent", "max_length", "no_agent", "line_dead", "crashed", "cut"),
    *("machine", "voicemail_left", TRANSFERRING, "transferred", "transfer_unknown", "ended_by_operator", "drained"),
)
"""The outcomes of a call that an agent was there for."""

FAILED = frozenset({NEVER_RAN, "crashed", "no_agent", "cut", "line_dead"})
"""The outcomes of a call that was answered, and that a fault has ended."""


def stream_fault(why: str) -> str:
    return f"media stream: {why}"


class RecordError(ValueError):
    """This is not a call record; the message says why."""


@attrs.frozen
class AgentPeriod:
    """One agent's time on the floor, in seconds since the call started."""

    agent: str
    started: float
    ended: float
    restarts: int = 0


@attrs.frozen
class HandoffRecord:
    """One handoff: when it was asked for, and the silence the caller heard before the next agent spoke (seconds)."""

    from_agent: str
    to_agent: str
    asked_at: float
    gap: float | None = None
    brief_source: str = ""
    cause: str = ""
    """Why, in the model's words."""
    brief: Mapping[str, str] = attrs.field(factory=dict)
    """What the next agent was told."""
    how: str = ""
    """How it was done: hard (a session of its own), soft (on the one that was open) or back (its own conversation goes
    on); empty if it was not."""
    took: float | None = None
    """Seconds until the next agent had the floor."""


@attrs.frozen
class TransferRecord:
    """One transfer to a person: who asked for it and when, why, what came of it (`answered`, or why nobody took it)."""

    agent: str
    asked_at: float
    reason: str
    outcome: str = ""
    talked: float = 0.0
    """Seconds that the person's own call lasted, with what was whispered to them; or since they took the call, where
    only that is known."""


OPERATOR = "operator"
"""The name under which an operator has the floor."""


@attrs.frozen
class CommandRecord:
    """One command of an operator's, decided at second `at`. `fields` are what was asked, without phone numbers."""

    at: float
    id: str
    by: str
    command: str
    outcome: str
    why: str = ""
    fields: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class FunctionRecord:
    """One function an agent called, with what it was answered."""

    at: float
    agent: str
    name: str
    arguments: Mapping[str, object]
    result: Mapping[str, object] | str
    ok: bool
    thought_signature: str = ""


@attrs.frozen
class TurnRecord:
    """One turn of the conversation; `heard` is what the caller can have heard of an agent's `text`."""

    at: float
    speaker: str
    text: str
    heard: str = ""
    latency: float | None = None
    """Of an agent's answer: seconds from the confirmed turn of the caller to its first audio."""
    stt: float | None = None
    """The part of it that Deepgram's speech-to-text took, in seconds, as it reports it."""
    llm: float | None = None
    """The language model's part: to the first words of the answer."""
    tts: float | None = None
    """Text-to-speech's part."""


@attrs.frozen
class FrameCounts:
    """Audio frames (20 ms each) by what became of them."""

    caller_in: int = 0
    caller_sent: int = 0
    unheard: int = 0
    agent_in: int = 0
    agent_sent: int = 0
    dropped: int = 0


@attrs.frozen
class Usage:
    """Usage of paid services; `CallRecord.duration` is the phone line's part."""

    agent_seconds: Mapping[str, float] = attrs.field(factory=dict)
    """For each agent: how long its Voice Agent sessions were open, from the first attempt to connect."""
    spoken_characters: int = 0
    """That the agents were given a voice for, heard or not."""
    summaries: int = 0
    """Requests to the language model that writes Briefs."""
    summary_tokens_in: int = 0
    """Tokens that it read for them, as its API counts; 0 where it does not say."""
    summary_tokens_out: int = 0
    """Tokens that it wrote."""


@attrs.frozen
class CallRecord:
    """A whole call: its parties, what was said and done, how it ended."""

    call_sid: str
    stream_sid: str
    direction: str
    caller: str
    line: str
    started_at: str
    duration: float
    outcome: str
    agents: tuple[AgentPeriod, ...] = ()
    handoffs: tuple[HandoffRecord, ...] = ()
    functions: tuple[FunctionRecord, ...] = ()
    transcript: tuple[TurnRecord, ...] = ()
    restarts: int = 0
    frames: FrameCounts = attrs.field(factory=FrameCounts)
    faults: tuple[str, ...] = ()
    transfers: tuple[TransferRecord, ...] = ()
    facts: Mapping[str, str] = attrs.field(factory=dict)
    """What functions recorded of the caller."""
    answered_by: str = ""
    """Who picked up, in Twilio's words; empty where nobody found out."""
    why: str = ""
    """Why a call was never answered, in plain words, where its outcome alone does not say."""
    usage: Usage = attrs.field(factory=Usage)
    metadata: Mapping[str, object] = attrs.field(factory=dict)
    """What the order of the call said of it, unread by us."""
    extracted: Mapping[str, object] = attrs.field(factory=dict)
    """What the roster wanted to know of the call (`EXTRACT`), as a language model has filled it in afterwards."""
    listeners: int = 0
    """How often an operator has listened in while it lasted."""
    commands: tuple[CommandRecord, ...] = ()
    """What an operator has asked of the call while it lasted, and what became of it."""
    trace_id: str = ""
    """Of its OpenTelemetry trace; empty where calls are not traced."""
    recording: str = ""
    """Where its audio is in the object store (`RECORDINGS_URL`), soon after its end; empty where there is none, or no
    audio was recorded. Until it is there it is in `RECORDINGS_DIR`, as all audio is without the setting."""


@attrs.frozen
class RunningRecord:
    """The record of a call under way: `packed` turns (`turn_line`) come before those of the record."""

    record: CallRecord
    packed: tuple[bytes, ...] = ()

    @property
    def lines(self) -> Iterator[bytes]:
        """The packed turns, each as JSON text with a line end."""
        return chain.from_iterable(map(unpacked_lines, self.packed))


def _json_object(value: object, _: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise TypeError(f"expected an object, got {type(value).__name__}")
    return value


def _json_object_or_text(value: object, _: object) -> Mapping[str, object] | str:
    return value if isinstance(value, str) else _json_object(value, _)


_converter = cattrs.Converter()
_converter.register_structure_hook_func(lambda kind: kind == Mapping[str, object], _json_object)
_converter.register_structure_hook_func(lambda kind: kind == Mapping[str, object] | str, _json_object_or_text)
_converter.register_unstructure_hook_func(lambda kind: kind == Mapping[str, object], dict)
_converter.register_unstructure_hook_func(lambda kind: kind == Mapping[str, object] | str, lambda value: value)


def prepare_records() -> None:
    """Have the code written that turns records into JSON: the first call of a process would pay for it, 4 ms."""
    _converter.get_unstructure_hook(CallRecord)


def record_as_json(record: CallRecord) -> dict[str, object]:
    plain: dict[str, object] = _converter.unstructure(record)
    return plain


def record_from_json(plain: object) -> CallRecord:
    """Read a record back from plain JSON values. Raises: `RecordError` when a field is missing or of the wrong kind."""
    try:
        return _converter.structure(plain, CallRecord)
    except (cattrs.BaseValidationError, TypeError, ValueError, KeyError, AttributeError) as exc:
        raise RecordError("; ".join(cattrs.transform_error(exc, path="record"))) from exc


def turn_line(turn: TurnRecord) -> bytes:
    return json_text(attrs.asdict(turn))


def turn_of(line: bytes) -> TurnRecord:
    return TurnRecord(**orjson.loads(line))


def encode_record(record: CallRecord) -> bytes:
    """Render a record as indented JSON text. Raises nothing: see `json_text`."""
    return json_text(record_as_json(record), indent=True)


def encode_running(record: CallRecord, lines: Iterable[bytes]) -> bytes:
    """Render the record of a call under way, on one line, with packed turns before its own. Raises nothing."""
    plain = _converter.unstructure(record)
    plain["transcript"] = [*(orjson.Fragment(line.strip()) for line in lines), *plain["transcript"]]
    return json_text(plain)


def decode_record(text: bytes) -> CallRecord:
    """Read a record back from JSON text. Raises: `RecordError`."""
    try:
        plain = orjson.loads(text)
    except orjson.JSONDecodeError as exc:
        raise RecordError(f"not JSON: {exc}") from exc
    return record_from_json(plain)
