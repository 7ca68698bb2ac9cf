"""A call as a chart: who spoke, when and what, which sessions were open, what was called and what went wrong.

`read_chart` turns the journal's facts into the spans and moments that a picture is made of. It draws nothing and
knows no coordinates: everything is in seconds since the call started. Facts it does not know are left out.

The journal says when sound was heard (`agent_spoke`, `caller_spoke`) and what was said (`reply_text`, `turn_heard`) in
different entries. Here they are joined: the words of a reply or a turn are shared out over its stretches.
"""

import enum
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import attrs

from actors import facts
from actors.journal import Entry, facts_of
from web.picture.words import arguments_text, left_by, milliseconds

CALLER = "caller"
LINE = "line"
SUMMARIZER = "summarizer"
SWITCHBOARD = "switchboard"
"""Who says the clips: no agent, but one speaks in its stead."""


BREATH_SECONDS = 0.45
SECONDS_A_CHARACTER = 0.06

Stretch: TypeAlias = tuple[float, float]
ReplyKey: TypeAlias = tuple[str, int, int]


@attrs.frozen
class Speech:
    """One stretch of speech: the words heard in it, and those of a cut reply that the caller never heard."""

    speaker: str
    start: float
    end: float
    words: str
    unheard: str = ""


@attrs.define
class _Reply:
    stretches: list[Stretch] = attrs.Factory(list)
    sentences: list[str] = attrs.Factory(list)
    text: str = ""
    heard: str = ""
    complete: bool = True

    @property
    def said(self) -> str:
        return self.text or " ".join(self.sentences)

    def words(self) -> str:
        return self.said if self.complete else self.heard

    def unheard(self) -> str:
        return "" if self.complete else self.said.removeprefix(self.heard).strip()


def agent_speech(entries: Iterable[Entry]) -> Iterable[Speech]:
    for (agent, _, _), reply in _replies(entries).items():
        stretches = joined(reply.stretches)
        shares = shared_words(reply.words(), stretches)
        for index, ((start, end), words) in enumerate(zip(stretches, shares, strict=True)):
            last = index == len(stretches) - 1
            yield Speech(agent, start, end, words, unheard=reply.unheard() if last else "")


def caller_speech(entries: Sequence[Entry]) -> Iterable[Speech]:
    waiting = sorted((fact.start, fact.end) for fact in facts_of(entries, facts.CallerSpoke))
    over = 0.0
    for at, text in ((entry.at, entry.fact.text) for entry in entries if isinstance(entry.fact, facts.TurnHeard)):
        own = [stretch for stretch in waiting if stretch[0] < at]
        waiting = waiting[len(own) :]
        stretches = joined(own) or [_guessed(at, text, over)]
        over = stretches[-1][1]
        for (start, end), words in zip(stretches, shared_words(text, stretches), strict=True):
            yield Speech("caller", start, end, words)
    for start, end in joined(waiting):
        yield Speech("caller", start, end, "")


def joined(stretches: Iterable[Stretch], gap: float = BREATH_SECONDS) -> list[Stretch]:
    """Join stretches that less than this separates: a breath, unless told otherwise."""
    whole: list[Stretch] = []
    for start, end in sorted(stretches):
        if whole and start - whole[-1][1] < gap:
            whole[-1] = (whole[-1][0], max(end, whole[-1][1]))
        else:
            whole.append((start, end))
    return whole


def shared_words(words: str, stretches: Sequence[Stretch]) -> list[str]:
    split = words.split()
    total = sum(end - start for start, end in stretches) or 1.0
    shares, first, spent = [], 0, 0.0
    for start, end in stretches:
        spent += end - start
        last = round(len(split) * spent / total)
        shares.append(" ".join(split[first:last]))
        first = last
    return shares


def _replies(entries: Iterable[Entry]) -> dict[ReplyKey, _Reply]:
    replies: dict[ReplyKey, _Reply] = defaultdict(_Reply)
    begun: dict[tuple[str, int], int] = defaultdict(int)
    for entry in entries:
        match entry.fact:
            case facts.ReplyStarted(agent=agent, generation=generation):
                begun[agent, generation] += 1
            case facts.AgentSpoke(agent=agent, generation=generation, start=start, end=end):
                replies[agent, generation, begun[agent, generation]].stretches.append((start, end))
            case facts.ReplyText(agent=agent, generation=generation, text=text):
                replies[agent, generation, begun[agent, generation]].sentences.append(text)
            case facts.ReplyEnded(agent=agent, generation=generation) as ended:
                reply = replies[agent, generation, begun[agent, generation]]
                reply.text, reply.heard, reply.complete = ended.text, ended.heard, ended.complete
            case _:
                pass  # no speech
    return replies


def _guessed(at: float, text: str, earliest: float) -> Stretch:
    end = max(earliest, at - 0.3)
    return max(earliest, end - SECONDS_A_CHARACTER * len(text)), end


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


@attrs.define
class SessionSpan:
    """One session of an agent: when it began to connect, was ready, held the floor and was over."""

    agent: str
    incarnation: int
    connecting: float
    ended: float
    why: str
    ready: float | None = attrs.field(default=None, init=False)
    floor: float | None = attrs.field(default=None, init=False)
    ending: str = attrs.field(default="", init=False)


@attrs.define
class FunctionFlag:
    """A function an agent called; `ok` is None while nobody answered."""

    agent: str
    at: float
    name: str
    arguments: object
    result: object = attrs.field(default=None, init=False)
    ok: bool | None = attrs.field(default=None, init=False)
    withdrawn: bool = attrs.field(default=False, init=False)

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


@attrs.define
class HandoffSpan:
    """From the moment it was asked for to the next agent's first audio, or to its failure."""

    origin: str
    target: str
    asked: float
    ended: float
    reason: str
    failure: str
    gap: float | None = attrs.field(default=None, init=False)
    how: str = attrs.field(default="", init=False)
    """Soft, or empty for the usual way."""
    given_up: str = attrs.field(default="", init=False)
    """Why it was not done softly, where that was wanted."""

    @property
    def landed(self) -> float:
        return self.ended if self.gap is None else self.asked + self.gap


@attrs.frozen
class Summary:
    """The Summarizer at work, until its Brief was ready."""

    reader: str
    start: float
    end: float
    source: str
    why: str


@attrs.define(eq=False)
class Chart:
    """What the entries read so far make of a call. What has no end yet lasts as long as the call."""

    duration: float
    outcome: str
    agents: tuple[str, ...]
    speech: Sequence[Speech]
    """In the order of time."""
    sessions: list[SessionSpan] = attrs.field(factory=list, init=False)
    flags: list[FunctionFlag] = attrs.field(factory=list, init=False)
    handoffs: list[HandoffSpan] = attrs.field(factory=list, init=False)
    summaries: list[Summary] = attrs.field(factory=list, init=False)
    marks: list[Mark] = attrs.field(factory=list, init=False)
    _open: dict[tuple[str, int], SessionSpan] = attrs.field(factory=dict, init=False)
    """Sessions that have not ended, by agent and number."""
    _called: dict[tuple[str, int], FunctionFlag] = attrs.field(factory=dict, init=False)
    """Functions, by the model's id, which may be used again, and our number, which old journals lack."""
    _softly: float | None = attrs.field(default=None, init=False)
    """When an agent has taken over the session that is open, and not noted yet that it has the floor."""

    def read(self, entry: Entry) -> None:
        at, fact = entry.at, entry.fact
        if (mark := _MARKS.get(type(fact))) is not None:
            kind, lane, told = mark(fact)
            self.marks.append(Mark(kind, lane, at, told))
        if isinstance(fact, facts.BriefReady):
            self.summaries.append(Summary(fact.reader, max(0.0, at - fact.took), at, fact.source, fact.why))
        self._read_session(at, fact)
        self._read_end(at, fact)
        self._read_function(at, fact)
        self._read_handoff(at, fact)

    def _read_session(self, at: float, fact: facts.Fact) -> None:
        match fact:
            case facts.SessionConnecting(agent=agent, incarnation=number, why=why):
                self._begin(SessionSpan(agent, number, at, self.duration, why))
            case facts.SessionReady(agent=agent, incarnation=number) if (agent, number) in self._open:
                self._open[agent, number].ready = at
            case facts.HandoffCommitted(how="soft"):
                self._softly = at
            case facts.FloorTaken(agent=agent, incarnation=number) if self._softly is not None:
                since, self._softly = self._softly, None
                self._begin(SessionSpan(agent, number, since, self.duration, "soft handoff"))
                self._open[agent, number].ready = self._open[agent, number].floor = since
            case facts.FloorTaken(agent=agent, incarnation=number) if (agent, number) in self._open:
                self._open[agent, number].floor = at
            case _:
                pass  # not of a session, or it ends

    def _begin(self, session: SessionSpan) -> None:
        self._open[session.agent, session.incarnation] = session
        self.sessions.append(session)

    def _read_end(self, at: float, fact: facts.Fact) -> None:
        """Sessions and functions are numbered anew on the next stream."""
        match fact:
            case facts.SessionCrashed(error=why) | facts.SessionFailed(error=why) | facts.FloorLeft(reason=why):
                self._end(at, why, {(fact.agent, fact.incarnation)})
            case facts.HandoffFailed(to=to) | facts.HandoffWithdrawn(to=to):
                why = fact.why if isinstance(fact, facts.HandoffFailed) else ""
                self._end(at, why, {key for key in self._open if key[0] == to})
            case facts.CallParked() | facts.CallEnded():
                self._end(at, "", {*self._open})
                self._called.clear()
            case _:
                pass  # no end

    def _end(self, at: float, why: str, sessions: Collection[tuple[str, int]]) -> None:
        for session in [self._open.pop(key) for key in sessions if key in self._open]:
            session.ended, session.ending = at, why

    def _read_function(self, at: float, fact: facts.Fact) -> None:
        match fact:
            case facts.FunctionCalled(agent=agent, name=name, arguments=arguments):
                flag = self._called[fact.id, fact.number] = FunctionFlag(agent, at, name, arguments)
                self.flags.append(flag)
            case facts.FunctionAnswered(result=result, ok=ok) if (fact.id, fact.number) in self._called:
                flag = self._called[fact.id, fact.number]
                flag.result, flag.ok = result, ok
            case facts.FunctionWithdrawn() if (fact.id, fact.number) in self._called:
                self._called[fact.id, fact.number].withdrawn = True
            case _:
                pass  # no function

    def _read_handoff(self, at: float, fact: facts.Fact) -> None:
        match fact:
            case facts.HandoffAsked(agent=agent, to=to, reason=reason):
                self.handoffs.append(HandoffSpan(agent, to, at, self.duration, reason, "never committed"))
            case facts.HandoffCommitted(to=to, took=took, how=how):
                self._note_handoff(to, at - took, ended=at, failure="", how=how.replace("hard", ""))
            case facts.HandoffGap(agent=to, gap=gap):
                self._note_handoff(to, at - gap, gap=gap)
            case facts.SoftHandoffGivenUp(to=to, why=why, took=took):
                self._note_handoff(to, at - took, given_up=why)
            case facts.HandoffFailed(to=to, why=why):
                self._note_handoff(to, at, ended=at, failure=why or "never committed")
            case facts.HandoffWithdrawn(to=to):
                self._note_handoff(to, at, ended=at, failure="withdrawn")
            case _:
                pass  # no handoff

    def _note_handoff(self, to: str, asked: float, **came: str | float) -> None:
        """Note what came of a handoff: another one may have been asked for meanwhile, and was refused."""
        theirs = [one for one in reversed(self.handoffs) if one.target == to]
        found = min(theirs, key=lambda one: abs(one.asked - asked), default=None)
        if found is not None and (found.failure or not came.get("failure")):
            for name, value in came.items():
                setattr(found, name, value)


def read_chart(entries: Sequence[Entry]) -> Chart:
    speech = sorted((*caller_speech(entries), *agent_speech(entries)), key=lambda one: (one.start, one.end))
    ends = (one.fact for one in reversed(entries) if isinstance(one.fact, facts.CallEnded | facts.CallParked))
    ended = next(ends, facts.CallEnded("", 0.0, {}))
    latest = max((entry.at for entry in entries), default=0.0)
    duration = max(latest, ended.duration, *(span.end for span in speech), 0.0)
    agents = dict.fromkeys(getattr(entry.fact, "agent", "") for entry in entries)
    outcome = "put through to a person" if isinstance(ended, facts.CallParked) else ended.outcome
    chart = Chart(duration, outcome, tuple(name for name in agents if name not in {"", SWITCHBOARD}), speech)
    for entry in entries:
        chart.read(entry)
    return chart


_FILLED_BY = {"agent": "{} asked for a moment", "clip": "the switchboard asked for a moment"}
_MARKS: Mapping[type[facts.Fact], Callable[[Any], tuple[MarkKind, str, str]]] = {
    facts.ActorCrashed: lambda it: (MarkKind.CRASH, LINE, f"{it.actor} crashed: {it.error}"),
    facts.BargeIn: lambda it: (
        *(MarkKind.BARGE_IN, it.agent), f"the caller interrupted {it.agent}; {it.dropped_seconds:.1f} s not heard",
    ),
    facts.CallerHungUp: lambda it: (MarkKind.HANG_UP, CALLER, f"the caller {left_by(it.how)}"),
    facts.WritingRefused: lambda it: (MarkKind.WARNING, LINE, f"the disk refuses journal and recording: {it.why}"),
    facts.DigitPressed: lambda it: (MarkKind.DIGIT, CALLER, it.digit or "·"),
    facts.FrameRefused: lambda it: (MarkKind.WARNING, LINE, f"{it.where} refused a frame: {it.why}"),
    facts.GoodbyeHeard: lambda it: (
        *(MarkKind.GOODBYE, it.agent),
        f"the goodbye was heard {'to its last word' if it.complete else 'only in part'}",
    ),
    facts.RestartsExhausted: lambda it: (MarkKind.EXHAUSTED, it.agent, f"{it.agent} does not start again: {it.error}"),
    facts.SessionCrashed: lambda it: (MarkKind.CRASH, it.agent, f"{it.agent} crashed: {it.error}"),
    facts.SessionRestarting: lambda it: (
        *(MarkKind.RESTART, it.agent), f"{it.agent} starts again in {milliseconds(it.delay)}",
    ),
    facts.SilenceMet: lambda it: (
        *(MarkKind.SILENCE, LINE), f"the caller had waited {it.seconds:.1f} s; "
        + _FILLED_BY.get(it.filled_by, "there was no clip to play").format(it.agent),
    ),
    facts.TransferAsked: lambda it: (MarkKind.PERSON, LINE, f"{it.agent} puts the caller through: {it.reason}"),
    facts.WarningReported: lambda it: (MarkKind.WARNING, it.agent, f"{it.code}: {it.description}"),
}  # fmt: skip
"""For each fact with a glyph: which, on which lane, and what it tells."""
