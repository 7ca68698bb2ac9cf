"""The page of a call that is over, read off its record and its journal.

`retold` makes plain values of both, in one thread: a long call takes some hundred milliseconds. It decides nothing
about the call, and a call without a journal (nothing is recorded, or the files are gone) has no picture.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import attrs

from actors.journal import Entry
from store.prices import Prices, costs_of
from store.records import CallRecord, FunctionRecord, HandoffRecord, TurnRecord
from web.console.english import TEXT
from web.console.lists import number, shown_duration, shown_time
from web.picture.chart import read_chart
from web.picture.speech import Speech
from web.picture.timeline import synopsis, time_map
from web.picture.words import arguments_text, result_text

_ONSET = 0.5
"""The service hears the caller begin so much earlier or later, at the most, than their sound does."""
_EARLY = 1.5
"""The words of an agent are noted when its reply begins; sound begins about then."""


@attrs.frozen
class ShownTurn:
    """One turn of the transcript; `start` is where to listen to it."""

    at: float
    start: float
    speaker: str
    text: str
    heard: str = ""
    unheard: str = ""
    latency: float | None = None
    parts: tuple[tuple[str, float], ...] = ()

    @property
    def when(self) -> str:
        return shown_moment(self.start)


def shown_moment(seconds: float) -> str:
    return f"{int(seconds // 60)}:{seconds % 60:04.1f}"


def retold(record: CallRecord, entries: Sequence[Entry]) -> Mapping[str, object]:
    """Return what the page shows, apart from money and files."""
    chart = read_chart(entries)
    return {
        "picture": time_map(chart) if entries else None,
        "synopsis": synopsis(chart),
        "turns": list(_turns(record.transcript, chart.speech)),
        "handoffs": [_handoff(one) for one in record.handoffs],
        "functions": [_function(one) for one in record.functions],
        "metadata": {name: result_text(value) for name, value in record.metadata.items()},
        "slowest": max((turn.latency or 0.0 for turn in record.transcript), default=0.0),
    }


def headline(record: CallRecord, *, shows_numbers: bool) -> Mapping[str, object]:
    return {
        "caller": number(record.caller, whole=shows_numbers),
        "line": number(record.line, whole=shows_numbers),
        "started": shown_time(record.started_at),
        "duration": shown_duration(record.duration),
        "agents": " → ".join(period.agent for period in record.agents),
    }


def money(record: CallRecord, prices: Prices | None) -> Mapping[str, object] | None:
    """Return the costs of a call as they are shown; None without a table of prices."""
    if prices is None:
        return None
    parts = costs_of(record, prices)
    rows = [(TEXT[f"cost_{name}"], f"{cost:.4f} {prices.currency}") for name, cost in parts.items()]
    return {"rows": rows, "total": f"{sum(parts.values()):.4f} {prices.currency}"}


def _turns(transcript: Sequence[TurnRecord], speech: Sequence[Speech]) -> Iterator[ShownTurn]:
    since, before = 0.0, -1.0
    for turn in transcript:
        start = before = _start_of(turn, since, before, speech)
        if turn.speaker == "caller":
            since = turn.at
            yield ShownTurn(turn.at, start, turn.speaker, turn.text)
            continue
        parts = tuple((name, part) for name in ("stt", "llm", "tts") if (part := getattr(turn, name)) is not None)
        unheard = turn.text.removeprefix(turn.heard).strip() if turn.heard != turn.text else ""
        yield ShownTurn(turn.at, start, turn.speaker, turn.text, turn.heard, unheard, turn.latency, parts)


def _start_of(turn: TurnRecord, since: float, before: float, speech: Sequence[Speech]) -> float:
    """Return where a turn begins to sound: an agent's follows what was noted.

    A caller's is noted when the service hears them begin; where it has not said so, when they were understood, which
    is later. No two turns of agents begin `before` or at the same sound.
    """
    own = [span.start for span in speech if span.speaker == turn.speaker]
    if turn.speaker == "caller":
        nearest = min(own, key=lambda start: abs(start - turn.at), default=math.inf)
        if abs(nearest - turn.at) <= _ONSET:
            return nearest
        return min((start for start in own if since <= start < turn.at), default=turn.at)
    return min((start for start in own if start >= turn.at - _EARLY and start > before), default=max(turn.at, before))


def _handoff(handoff: HandoffRecord) -> Mapping[str, object]:
    gap = TEXT["never_heard"] if handoff.gap is None else f"{handoff.gap:.2f} s"
    return {**attrs.asdict(handoff), "when": shown_moment(handoff.asked_at), "gap": gap}


def _function(function: FunctionRecord) -> Mapping[str, object]:
    told = {"arguments": arguments_text(function.arguments), "result": result_text(function.result)}
    return {**attrs.asdict(function), "when": shown_moment(function.at), **told}
