"""A call as a chart: who spoke, when and what, which sessions were open, what was called and what went wrong.

`read_chart` turns the journal's facts into the spans and moments that a picture is made of. It draws nothing and
knows no coordinates: everything is in seconds since the call started. Facts it does not know are left out.
"""

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs

from web.picture.facts import JournalEntry, arguments_text, at, event, flag, left_by, named, number, text, worded
from web.picture.speech import Speech, agent_speech, caller_speech

CALLER = "caller"
LINE = "line"
SUMMARIZER = "summarizer"
SWITCHBOARD = "switchboard"
"""Who says the clips: no agent, but one speaks in its stead."""
STREAM_ENDS = ("call_parked", "call_ended")
SESSION_ENDS = (
    "session_crashed", "session_failed", "floor_left", "handoff_failed", "handoff_withdrawn", *STREAM_ENDS,
)  # fmt: skip

_OF_HANDOFFS = {
    **dict.fromkeys(("handoff_committed", "handoff_failed", "handoff_withdrawn", "soft_handoff_given_up"), "to"),
    "handoff_gap": "agent",
}
"""What comes of a handoff, and where it says to whom it was."""


class MarkKind(enum.Enum):
    """The meaning of a glyph on the picture; the value is its name in the legend."""

    BARGE_IN = "barge-in"
    CRASH = "crash"
    RESTART = "restart"
    EXHAUSTED = "restarts exhausted"
    GOODBYE = "goodbye"
    HANG_UP = "hang-up"
    DIGIT = "key pressed"
    WARNING = "warning"
    SILENCE = "silence met"
    PERSON = "put through to a person"


@attrs.frozen
class SessionSpan:
    """One session of an agent: when it began to connect, was ready, held the floor and was over."""

    agent: str
    incarnation: int
    connecting: float
    ready: float | None
    floor: float | None
    ended: float
    ending: str
    why: str


@attrs.frozen
class FunctionFlag:
    """A function an agent called; `ok` is None while nobody answered."""

    agent: str
    at: float
    name: str
    arguments: object
    result: object
    ok: bool | None
    withdrawn: bool = False

    @property
    def label(self) -> str:
        return f"{self.name}({arguments_text(self.arguments)})"


@attrs.frozen
class Mark:
    """A moment worth a glyph, on the lane it happened on."""

    kind: MarkKind
    lane: str
    at: float
    detail: str


@attrs.frozen
class HandoffSpan:
    """From the moment it was asked for to the next agent's first audio, or to its failure."""

    origin: str
    target: str
    asked: float
    landed: float
    gap: float | None
    reason: str
    failure: str = ""
    how: str = ""
    """Soft, or empty for the usual way."""
    given_up: str = ""
    """Why it was not done softly, where that was wanted."""


@attrs.frozen
class Summary:
    """The Summarizer at work, until its Brief was ready."""

    reader: str
    start: float
    end: float
    source: str
    why: str


@attrs.frozen
class Chart:
    duration: float
    outcome: str
    agents: tuple[str, ...]
    speech: tuple[Speech, ...]
    sessions: tuple[SessionSpan, ...]
    flags: tuple[FunctionFlag, ...]
    handoffs: tuple[HandoffSpan, ...]
    summaries: tuple[Summary, ...]
    marks: tuple[Mark, ...]


def read_chart(entries: Sequence[JournalEntry]) -> Chart:
    speech = (*caller_speech(entries), *agent_speech(entries))
    ended = next(named(entries[::-1], "call_ended", "call_parked"), {})
    latest = max((at(entry) for entry in entries), default=0.0)
    duration = max(latest, number(ended, "duration"), *(span.end for span in speech), 0.0)
    agents = dict.fromkeys(text(entry, "agent") for entry in entries)
    return Chart(
        duration=duration,
        outcome="put through to a person" if text(ended, "event") == "call_parked" else text(ended, "outcome"),
        agents=tuple(name for name in agents if name not in {"", SWITCHBOARD}),
        speech=speech,
        sessions=(*_sessions(entries, duration), *_taken_over(entries, duration)),
        flags=tuple(_flags(entries)),
        handoffs=tuple(_handoffs(entries, duration)),
        summaries=tuple(_summaries(entries)),
        marks=tuple(filter(None, map(_mark, entries))),
    )


def _handoffs(entries: Sequence[JournalEntry], duration: float) -> Iterable[HandoffSpan]:
    came = list[tuple[JournalEntry, list[JournalEntry]]]()
    for entry in entries:
        if event(entry) == "handoff_asked":
            came.append((entry, []))
        elif event(entry) in _OF_HANDOFFS:
            # another one may have been asked for meanwhile, and was refused
            theirs = [one for one in reversed(came) if text(one[0], "to") == text(entry, _OF_HANDOFFS[event(entry)])]
            began = at(entry) - number(entry, "gap" if event(entry) == "handoff_gap" else "took")
            for _, following in sorted(theirs, key=lambda one: abs(at(one[0]) - began))[:1]:
                following.append(entry)
    return (_handoff(asked, following, duration) for asked, following in came)


def _up_to(entries: Sequence[JournalEntry], *events: str) -> Sequence[JournalEntry]:
    """Cut behind the first of these facts."""
    stop = next((index for index, entry in enumerate(entries) if event(entry) in events), len(entries))
    return entries[: stop + 1]


def _handoff(asked: JournalEntry, following: Sequence[JournalEntry], duration: float) -> HandoffSpan:
    committed = next(named(following, "handoff_committed"), None)
    refused = next(named(following, "handoff_failed", "handoff_withdrawn"), None)
    measured = next(named(following, "handoff_gap"), None)
    gap = None if measured is None else number(measured, "gap")
    ending = committed or refused
    landed = duration if ending is None else at(ending)
    failure = ""
    if committed is None:
        failure = "withdrawn" if refused and event(refused) == "handoff_withdrawn" else text(refused or {}, "why")
        failure = failure or "never committed"
    return HandoffSpan(
        origin=text(asked, "agent"),
        target=text(asked, "to"),
        asked=at(asked),
        landed=landed if gap is None else at(asked) + gap,
        gap=gap,
        reason=text(asked, "reason"),
        failure=failure,
        how=text(committed or {}, "how").replace("hard", ""),
        given_up=text(next(named(following, "soft_handoff_given_up"), {}), "why"),
    )


def _sessions(entries: Sequence[JournalEntry], duration: float) -> Iterable[SessionSpan]:
    for index, connecting in enumerate(entries):
        if event(connecting) != "session_connecting":
            continue
        agent, incarnation = text(connecting, "agent"), int(number(connecting, "incarnation"))
        stream = _up_to(entries[index + 1 :], *STREAM_ENDS)  # sessions are numbered anew on the next one
        own = [entry for entry in stream if _belongs(entry, agent, incarnation)]
        ready = next(map(at, named(own, "session_ready")), None)
        floor = next(map(at, named(own, "floor_taken")), None)
        yield SessionSpan(
            agent, incarnation, at(connecting), ready, floor, *_end(own, duration), why=text(connecting, "why")
        )


def _taken_over(entries: Sequence[JournalEntry], duration: float) -> Iterable[SessionSpan]:
    """Read the time of each agent on a session that another one has opened."""
    for index, committed in enumerate(entries):
        if event(committed) != "handoff_committed" or text(committed, "how") != "soft":
            continue
        following = _up_to(entries[index + 1 :], *STREAM_ENDS)
        taken = next(named(following, "floor_taken"), committed)
        agent, incarnation = text(committed, "to"), int(number(taken, "incarnation"))
        own, since = [entry for entry in following if _belongs(entry, agent, incarnation)], at(committed)
        yield SessionSpan(agent, incarnation, since, since, since, *_end(own, duration), why="soft handoff")


def _end(own: Sequence[JournalEntry], duration: float) -> tuple[float, str]:
    over = next(named(own, *SESSION_ENDS), None)
    if over is None:
        return duration, ""
    return at(over), text(over, "reason") or text(over, "error") or text(over, "why")


def _belongs(entry: JournalEntry, agent: str, incarnation: int) -> bool:
    if event(entry) in STREAM_ENDS:
        return True
    if event(entry) in {"handoff_failed", "handoff_withdrawn"}:
        return text(entry, "to") == agent
    return text(entry, "agent") == agent and int(number(entry, "incarnation", -1.0)) == incarnation


def _call_of(entry: JournalEntry) -> tuple[str, float]:
    """Return the model's id of a function call, which may be used again, and our number, which old journals lack."""
    return text(entry, "id"), number(entry, "number")


def _flags(entries: Sequence[JournalEntry]) -> Iterable[FunctionFlag]:
    for index, called in enumerate(entries):
        if event(called) != "function_called":
            continue
        stream = _up_to(entries[index + 1 :], *STREAM_ENDS)  # functions are, too
        own = [entry for entry in stream if _call_of(entry) == _call_of(called)]
        answered = next(named(own, "function_answered"), None)
        yield FunctionFlag(
            agent=text(called, "agent"),
            at=at(called),
            name=text(called, "name"),
            arguments=called.get("arguments"),
            result=None if answered is None else answered.get("result"),
            ok=None if answered is None else flag(answered, "ok"),
            withdrawn=any(named(own, "function_withdrawn")),
        )


def _summaries(entries: Sequence[JournalEntry]) -> Iterable[Summary]:
    for ready in named(entries, "brief_ready"):
        yield Summary(
            reader=text(ready, "reader"),
            start=max(0.0, at(ready) - number(ready, "took")),
            end=at(ready),
            source=text(ready, "source"),
            why=text(ready, "why"),
        )


def _goodbye(entry: JournalEntry) -> str:
    return f"the goodbye was heard {'to its last word' if flag(entry, 'complete') else 'only in part'}"


def _how_met(entry: JournalEntry) -> str:
    agent, waited = text(entry, "agent"), f"the caller had waited {number(entry, 'seconds'):.1f} s"
    match text(entry, "filled_by"):
        case "agent":
            return f"{waited}; {agent} asked for a moment"
        case "clip":
            return f"{waited}; the switchboard asked for a moment"
        case _:
            return f"{waited}; there was no clip to play"


_MARKS: Mapping[str, tuple[MarkKind, str, str | Callable[[JournalEntry], str]]] = {
    "actor_crashed": (MarkKind.CRASH, LINE, "{actor} crashed: {error}"),
    "barge_in": (*(MarkKind.BARGE_IN, "{agent}"), "the caller interrupted {agent}; {dropped_seconds:.1f} s not heard"),
    "caller_hung_up": (MarkKind.HANG_UP, CALLER, lambda entry: f"the caller {left_by(entry)}"),
    "digit_pressed": (MarkKind.DIGIT, CALLER, lambda entry: text(entry, "digit") or "·"),
    "frame_refused": (MarkKind.WARNING, LINE, "{where} refused a frame: {why}"),
    "goodbye_heard": (MarkKind.GOODBYE, "{agent}", _goodbye),
    "restarts_exhausted": (MarkKind.EXHAUSTED, "{agent}", "{agent} does not start again: {error}"),
    "session_crashed": (MarkKind.CRASH, "{agent}", "{agent} crashed: {error}"),
    "session_restarting": (MarkKind.RESTART, "{agent}", "{agent} starts again in {delay:ms}"),
    "silence_met": (MarkKind.SILENCE, LINE, _how_met),
    "transfer_asked": (MarkKind.PERSON, LINE, "{agent} puts the caller through: {reason}"),
    "warning_reported": (MarkKind.WARNING, "{agent}", "{code}: {description}"),
}
"""For each fact with a glyph: which, on which lane, and what it tells."""


def _mark(entry: JournalEntry) -> Mark | None:
    row = _MARKS.get(event(entry))
    if row is None:
        return None
    kind, lane, detail = row
    told = worded(detail, entry) if isinstance(detail, str) else detail(entry)
    return Mark(kind, worded(lane, entry), at(entry), told)
