"""The book-keeping of a receiver of frames: how late, how many, which ones twice or out of turn.

A `Book` has a page for each span of time that was announced; a frame belongs to the page in whose span it was *sent*.
Frames sent outside every span (warm-up, hang-up) are followed and not counted.
"""

import enum
from array import array
from collections.abc import Iterable, Sequence

import attrs

from bench.frames import FRAME_SECONDS, Tag

AUDIBLE_GAP = 0.005


def curve_ms(seconds: Iterable[float]) -> tuple[float, ...]:
    """Return the percentiles from 0 to 100 in milliseconds; nothing of nothing."""
    ordered = sorted(seconds)
    last = len(ordered) - 1
    return tuple(round(ordered[round(last * percent / 100)] * 1000, 3) for percent in range(101)) if ordered else ()


@attrs.frozen
class Span:
    """A stretch of the clock that is measured."""

    begins: float
    ends: float

    def holds(self, moment: float) -> bool:
        """Say whether a moment lies in the span."""
        return self.begins <= moment < self.ends


@attrs.frozen
class PageReport:
    """What was received of the frames sent in one span."""

    frames: int
    messages: int
    """That came within the span."""
    duplicated: int
    disordered: int
    gaps: int
    """How often the caller heard a hole that was not in what the agent sent."""
    raw_ms: tuple[float, ...]
    """Percentiles of the time from sending to receiving, everything included."""
    net_ms: tuple[float, ...]
    """The same without what is meant to be: waiting for a chunk to fill, or for the loudspeaker to be free."""


class Arrival(enum.Enum):
    """What a frame is to the stream it belongs to."""

    NEW = enum.auto()
    LATE = enum.auto()
    """New, but later ones came first."""
    AGAIN = enum.auto()


@attrs.define
class Page:
    """One span's counts."""

    span: Span
    frames: int = 0
    messages: int = 0
    duplicated: int = 0
    disordered: int = 0
    gaps: int = 0
    raw: "array[float]" = attrs.field(factory=lambda: array("d"))
    net: "array[float]" = attrs.field(factory=lambda: array("d"))

    def note(self, arrival: Arrival) -> None:
        """Count what is wrong with a frame."""
        self.disordered += arrival is Arrival.LATE
        self.duplicated += arrival is Arrival.AGAIN

    def add(self, raw: float, net: float) -> None:
        """Count a frame that has not been here before."""
        self.frames += 1
        self.raw.append(raw)
        self.net.append(net)

    def report(self) -> PageReport:
        """Sum the page up."""
        raw, net = curve_ms(self.raw), curve_ms(self.net)
        return PageReport(self.frames, self.messages, self.duplicated, self.disordered, self.gaps, raw, net)


@attrs.define
class Book:
    """All pages of one receiver."""

    pages: list[Page] = attrs.field(factory=list)
    _unmeasured: Page = attrs.field(factory=lambda: Page(Span(0, 0)))

    def open(self, spans: Sequence[Span]) -> None:
        """Begin a page for each span."""
        self.pages = [Page(span) for span in spans]

    def page(self, sent: float) -> Page:
        """Return the page of a frame sent then; one that nobody reads, if it is not measured."""
        for page in self.pages:
            if page.span.holds(sent):
                return page
        return self._unmeasured

    def report(self) -> list[PageReport]:
        """Sum all pages up."""
        return [page.report() for page in self.pages]


@attrs.define
class Order:
    """Which frames of one stream have come; it begins with the first one that does."""

    _next: int | None = None
    _missing: set[int] = attrs.field(factory=set)
    _is_cut: bool = False

    @property
    def missing(self) -> frozenset[int]:
        """Those that have not come although later ones have."""
        return frozenset(self._missing)

    def cut(self) -> None:
        """Note that the rest of what was said is not wanted: up to the next frame that comes, nothing is missing."""
        self._is_cut = True

    def take(self, number: int) -> Arrival:
        """Note a frame."""
        expected = number if self._next is None else self._next
        if number >= expected:
            if not self._is_cut:
                self._missing.update(range(expected, number))
            self._next, self._is_cut = number + 1, False
            return Arrival.NEW
        if number in self._missing:
            self._missing.remove(number)
            return Arrival.LATE
        return Arrival.AGAIN


@attrs.define
class Playout:
    """The caller's loudspeaker, beside one that hears every frame the moment the agent sends it.

    Agents speak faster than real time, so a frame may be underway for long and still be early. What counts is how much
    later it is *played* than it would be without a server in between: `added`.
    """

    _reply: tuple[int, int] = (-1, -1)
    _played: float = 0.0
    _ideal: float = 0.0

    def added(self, tag: Tag, now: float, page: Page) -> float:
        """Play a frame; return by how much it is late."""
        reply = (tag.stream, tag.reply)
        if reply != self._reply:
            self._reply, self._played, self._ideal = reply, now, tag.sent
            return now - tag.sent
        due = self._played + FRAME_SECONDS
        wanted = self._ideal + FRAME_SECONDS
        page.gaps += now > due + AUDIBLE_GAP and tag.sent <= wanted
        self._played, self._ideal = max(due, now), max(wanted, tag.sent)
        return self._played - self._ideal
