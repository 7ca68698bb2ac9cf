"""Where a call is broken into bands, and where everything stands on one.

A long call is written like music: row under row, all to the same scale, broken where nobody speaks and no handoff is
under way if there is such a moment. A band shows only the lanes on which something happens in it.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence

import attrs

from web.picture.chart import CALLER, LINE, SUMMARIZER, SWITCHBOARD, Chart, FunctionFlag, Mark, MarkKind, Speech, joined
from web.picture.words import ELLIPSIS, MONO_ADVANCE, wrapped

GUTTER = 104.0
MARGIN = 28.0
AXIS_HEIGHT = 22.0
SPEECH_HEIGHT = 43.0
LINE_HEIGHT = 13.0
RAIL_HEIGHT = 14.0
FLAG_HEIGHT = 17.0
SUMMARIZER_HEIGHT = 15.0
CLIP_HEIGHT = 19.0
LANE_GAP = 9.0
STAVE_GAP = 14.0
LABEL_CHARACTERS = 76
FLAG_TEXT_SIZE = 9.5
FLAG_PADDING = 23.0
LEAST_FLAG_WIDTH = 200.0
QUIET_SECONDS = 0.2
SHORTEST = 0.62
STRETCH = 1.06
FLAG_ROOM_SECONDS = 3.5
TEXT_SIZE = 10.5
ROW_HEIGHT = 12.4
PADDING, TIGHT = 6.0, 3.5
SILENCE_WORTH_SAYING = 0.45
GLYPH_WIDTH = 19.0
NO_WORDS = "…"


@attrs.frozen
class Scale:
    """How much of a call one band holds, and how large it is written."""

    seconds: float
    pixels_per_second: float

    @property
    def width(self) -> float:
        return MARGIN * 2 + GUTTER + self.seconds * self.pixels_per_second


@attrs.frozen
class PlacedFlag:
    """A function's flag on its lane: which row, where the label begins, and what it says."""

    flag: FunctionFlag
    row: int
    x: float
    width: float
    label: str
    leftwards: bool
    above: bool = False
    """Whether it stands above the rail, where an agent that hands over has no more words."""


@attrs.frozen
class Lane:
    """One lane of one band: its top and height, and the rows of flags under its rail."""

    name: str
    top: float
    height: float
    flags: tuple[PlacedFlag, ...] = ()

    @property
    def is_agents(self) -> bool:
        return self.name not in {CALLER, LINE, SUMMARIZER, SWITCHBOARD}

    @property
    def rail(self) -> float:
        """The height at which an agent's session is drawn."""
        return self.top + SPEECH_HEIGHT + RAIL_HEIGHT / 2


@attrs.frozen
class PlacedWords:
    """The words of a speech: their lines, what is free on either side of them, and how wide they stand."""

    rows: Sequence[str]
    padding: float
    width: float


@attrs.frozen
class Band:
    chart: Chart
    start: float
    end: float
    top: float
    scale: Scale
    lanes: tuple[Lane, ...] = ()

    @property
    def height(self) -> float:
        return self.lanes[-1].top + self.lanes[-1].height + LANE_GAP - self.top

    @property
    def is_last(self) -> bool:
        return self.end >= self.chart.duration

    def x(self, when: float) -> float:
        """Say where a moment stands; one outside this band stands at its edge."""
        inside = min(max(when, self.start), self.end)
        return MARGIN + GUTTER + (inside - self.start) * self.scale.pixels_per_second

    def shows(self, start: float, end: float) -> bool:
        return start < self.end and end > self.start

    def holds(self, when: float) -> bool:
        """Say whether a moment belongs to this band and no other; the last one has what happened at the very end."""
        return self.start <= when < self.end or (self.is_last and when >= self.end)

    def lane(self, name: str) -> Lane | None:
        return next((lane for lane in self.lanes if lane.name == name), None)

    @property
    def speech(self) -> Sequence[Speech]:
        return [one for one in self.chart.speech if self.shows(one.start, one.end)]

    @property
    def silences(self) -> Iterator[tuple[float, float]]:
        """Go through the spans in which nobody speaks, where half of one stands here, or half of this band is of it."""
        over, least = 0.0, (self.end - self.start) / 2
        for start, end in (*((one.start, one.end) for one in self.chart.speech), (self.chart.duration, math.inf)):
            here = min(start, self.end) - max(over, self.start)
            if start - over >= SILENCE_WORTH_SAYING and here >= min((start - over) / 2, least):
                yield over, start
            over = max(over, end)

    def words(self, speech: Speech, height: float) -> PlacedWords:
        """Place words that do not fit into the box of their sound beyond its edge, no further than they must."""
        width, room = self.x(speech.end) - self.x(speech.start), max(0.0, self._room_beside(speech))
        said, most = speech.words or NO_WORDS, int(height // ROW_HEIGHT)
        placed = PlacedWords(wrapped(said, width - 2 * PADDING, TEXT_SIZE, most), PADDING, width)
        for step in (*range(0, int(room), int(TEXT_SIZE)), room):
            if "".join(placed.rows).replace(" ", "") == "".join(said.split()):
                break
            rows = wrapped(said, width + step - 2 * TIGHT, TEXT_SIZE, most)
            placed = PlacedWords(rows, TIGHT, width + step)
        return placed

    def _room_beside(self, speech: Speech) -> float:
        """Return the width from a speech to what its speaker says next."""
        others = (other for other in self.chart.speech if other.speaker == speech.speaker)
        later = (other.start for other in others if other.start >= speech.end)
        return self.x(min(later, default=self.end)) - self.x(speech.end)

    @property
    def marks(self) -> Iterator[tuple[Mark, Lane, float]]:
        """Go through the signs with the lane and the place of each: beside one another where they are of one moment."""
        taken: dict[tuple[str, bool], float] = {}
        for mark in self.chart.marks:
            lane = self.lane(mark.lane) or self.lane(LINE)
            if lane is not None and self.holds(mark.at):
                row = (mark.lane, mark.kind is MarkKind.BARGE_IN)
                x = taken[row] = max(self.x(mark.at), taken.get(row, 0.0) + GLYPH_WIDTH)
                yield mark, lane, x - GLYPH_WIDTH / 2 * (mark.kind is MarkKind.SILENCE)  # not on what ended it


LARGE, SMALL = Scale(seconds=23.0, pixels_per_second=46.0), Scale(seconds=38.0, pixels_per_second=28.0)
"""For words that can be read, up to four minutes of a call; and for longer calls."""


def laid_out(chart: Chart, top: float) -> tuple[Band, ...]:
    bands, scale = list[Band](), LARGE if chart.duration <= 240.0 else SMALL
    spans = list(_breaks(chart, scale.seconds))
    longest = max(end - start for start, end in spans)
    scale = attrs.evolve(scale, seconds=max(longest, scale.seconds * SHORTEST))
    for start, end in spans:
        bare = Band(chart, start, end, top, scale)
        bands.append(attrs.evolve(bare, lanes=tuple(_lanes(bare))))
        top += bands[-1].height + STAVE_GAP
    return tuple(bands)


def _breaks(chart: Chart, longest: float) -> Iterator[tuple[float, float]]:
    spacious, tight = _quiet(chart, FLAG_ROOM_SECONDS), _quiet(chart, QUIET_SECONDS)
    start, end = 0.0, max(chart.duration, 1.0)
    while end - start > longest * STRETCH:
        choices = ((spacious, SHORTEST), (tight, SHORTEST), (spacious, SHORTEST / 2), (tight, SHORTEST / 2))
        stop = start + longest
        for quiet, shortest in choices:
            fitting = [when for when in quiet if start + longest * shortest < when <= start + longest * STRETCH]
            if fitting:
                stop = max(fitting)
                break
        yield start, stop
        start = stop
    yield start, end


def _quiet(chart: Chart, room: float) -> list[float]:
    """Return the edges of what is going on that lie in nothing else that is."""
    busy = list(_busy(chart, room))
    edges = [end for _, end in busy] + [start - QUIET_SECONDS for start, _ in busy]
    spans = joined(busy, gap=0.0)
    before = (spans[: bisect_left(spans, (when,))][-1:] for when in edges)
    return [when for when, span in zip(edges, before, strict=True) if not any(end > when for _, end in span)]


def _busy(chart: Chart, room: float) -> Iterator[tuple[float, float]]:
    yield from ((span.start, span.end + QUIET_SECONDS) for span in chart.speech)
    yield from ((handoff.asked - room, handoff.landed + 1.0) for handoff in chart.handoffs)
    yield from ((mark.at - QUIET_SECONDS, mark.at + QUIET_SECONDS) for mark in chart.marks)
    yield from ((flag.at - QUIET_SECONDS, flag.at + QUIET_SECONDS) for flag in chart.flags)


def _lanes(bare: Band) -> Iterator[Lane]:
    chart, top = bare.chart, bare.top + AXIS_HEIGHT
    yield Lane(CALLER, top, SPEECH_HEIGHT)
    top += SPEECH_HEIGHT + LANE_GAP
    yield Lane(LINE, top, LINE_HEIGHT)
    top += LINE_HEIGHT + LANE_GAP
    for agent in chart.agents:
        if _present(chart, agent, bare):
            own = [flag for flag in chart.flags if flag.agent == agent and bare.holds(flag.at)]
            flags = tuple(_placed(own, bare))
            rows = max((flag.row + 1 for flag in flags), default=0)
            lane = Lane(agent, top, SPEECH_HEIGHT + RAIL_HEIGHT + rows * FLAG_HEIGHT, flags)
            yield lane
            top += lane.height + LANE_GAP
    if any(speech.speaker == SWITCHBOARD and bare.shows(speech.start, speech.end) for speech in chart.speech):
        yield Lane(SWITCHBOARD, top, CLIP_HEIGHT)
        top += CLIP_HEIGHT + LANE_GAP
    if any(bare.shows(summary.start, summary.end) for summary in chart.summaries):
        yield Lane(SUMMARIZER, top, SUMMARIZER_HEIGHT)


def _present(chart: Chart, agent: str, bare: Band) -> bool:
    sessions = any(s.agent == agent and bare.shows(s.connecting, s.ended) for s in chart.sessions)
    return sessions or any(s.speaker == agent and bare.shows(s.start, s.end) for s in chart.speech)


def _placed(flags: Sequence[FunctionFlag], band: Band) -> Iterator[PlacedFlag]:
    taken: list[list[tuple[float, float]]] = []
    for flag in flags:
        x = band.x(flag.at)
        to_left, to_right = x - band.x(band.start), band.scale.width - MARGIN - x
        prefers_left = to_right < LEAST_FLAG_WIDTH or flag.name.startswith("handoff")  # to the right goes its arrow
        leftwards = prefers_left and to_left >= LEAST_FLAG_WIDTH  # further left are the names of the lanes
        label = _flag_label(flag, (to_left if leftwards else to_right) - FLAG_PADDING)
        width = len(label) * FLAG_TEXT_SIZE * MONO_ADVANCE + FLAG_PADDING
        if prefers_left and not leftwards and flag.name.startswith("handoff"):
            yield PlacedFlag(flag, 0, x, width, label, leftwards, above=True)
            continue
        begin, stop = (x - width, x + 4.0) if leftwards else (x - 4.0, x + width)
        row = next((row for row, spans in enumerate(taken) if _free(spans, begin, stop)), len(taken))
        if row == len(taken):
            taken.append([])
        taken[row].append((begin, stop))
        yield PlacedFlag(flag, row, x, width, label, leftwards)


def _free(taken: Sequence[tuple[float, float]], begin: float, stop: float) -> bool:
    return all(stop < other_begin or begin > other_stop for other_begin, other_stop in taken)


def _flag_label(flag: FunctionFlag, room: float) -> str:
    characters = max(8, min(LABEL_CHARACTERS, int(room / (FLAG_TEXT_SIZE * MONO_ADVANCE))))
    return flag.label if len(flag.label) <= characters else flag.label[: characters - 1] + ELLIPSIS
