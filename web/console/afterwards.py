"""What the page of a call that is over shows beside its record, read off the journal.

`retold` makes plain values of both, in one thread: a long call takes some hundred milliseconds. It decides nothing
about the call, and a call without a journal (nothing is recorded, or the files are gone) has no picture.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

from actors.journal import Entry
from store.records import CallRecord, TurnRecord
from web.picture.chart import read_chart
from web.picture.speech import Speech
from web.picture.timeline import synopsis, time_map

_ONSET = 0.5
"""The service hears the caller begin so much earlier or later, at the most, than their sound does."""
_EARLY = 1.5
"""The words of an agent are noted when its reply begins; sound begins about then."""


def retold(record: CallRecord, entries: Sequence[Entry]) -> Mapping[str, object]:
    """Return the picture of the call, and where each turn of the transcript begins to sound."""
    chart = read_chart(entries)
    return {
        "picture": time_map(chart) if entries else None,
        "synopsis": synopsis(chart),
        "starts": list(_starts(record.transcript, chart.speech)),
    }


def _starts(transcript: Sequence[TurnRecord], speech: Sequence[Speech]) -> Iterator[float]:
    since, before = 0.0, -1.0
    for turn in transcript:
        before = _start_of(turn, since, before, speech)
        if turn.speaker == "caller":
            since = turn.at
        yield before


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
