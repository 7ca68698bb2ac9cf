"""Puts the service's latency reports together, one fact for each answer.

Deepgram reports one measurement at a time: speech-to-text many times a second, the parts of an answer as they become
known (its reference, section 4, row 14). `LatencyMeter` is one session's. It notes a fact when an answer is complete,
or is overtaken by the next one, and keeps nothing else.
"""

import attrs

from actors.facts import LatencyReported
from actors.journal import Journal
from actors.line.reply import Voice
from protocol.deepgram import LatencyReport


@attrs.define(eq=False)
class LatencyMeter:
    """The latencies of the answer that is under way, in one session."""

    journal: Journal
    voice: Voice
    _stt: float | None = attrs.field(default=None, init=False)
    """The last measurement of speech-to-text."""
    _parts: dict[str, float] = attrs.field(factory=dict, init=False)

    def take(self, report: LatencyReport) -> None:
        """Take a report. A part that is there already belongs to another pass of the model."""
        told = attrs.asdict(report).items()
        parts = {name: round(seconds, 6) for name, seconds in told if seconds is not None and seconds >= 0}
        self._stt = parts.pop("stt_latency", self._stt)
        if parts.keys() & self._parts.keys():
            self.close()
        self._parts.update(parts)
        if "total_latency" in parts:
            self.close()

    def close(self) -> None:
        """Note what has been measured of this answer, if anything was."""
        if self._parts:
            generation = self.voice.reply.generation if self.voice.reply is not None else 0
            self.journal.note(LatencyReported(self.voice.agent, generation, stt_latency=self._stt, **self._parts))
            self._parts.clear()
