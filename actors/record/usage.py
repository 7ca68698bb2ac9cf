"""Usage of paid services by a call, and how fast they answered.

Read off the journal: Deepgram bills by the minute a session is connected, and synthesis by the character; an LLM by the
token. `Meter` counts these for one call as its facts come in. It raises nothing, owns nothing, and knows no prices.

`LatencyMeter` puts the service's latency reports together, one fact for each answer. Deepgram reports one measurement
at a time: speech-to-text many times a second, the parts of an answer as they become known (its reference, section 4,
row 14).
"""

import attrs

from actors import facts
from actors.facts import LatencyReported
from actors.journal import Entry, Journal
from actors.line.reply import Voice
from protocol.deepgram import LatencyReport
from store.records import Usage


@attrs.define
class Meter:
    """Counts for one call. `earlier` is what its earlier streams have used."""

    earlier: Usage = attrs.field(factory=Usage)
    _open: dict[int, tuple[str, float]] = attrs.field(factory=dict, init=False)
    _seconds: dict[str, float] = attrs.field(factory=dict, init=False)
    _characters: int = attrs.field(default=0, init=False)
    _summaries: int = attrs.field(default=0, init=False)
    _tokens_in: int = attrs.field(default=0, init=False)
    _tokens_out: int = attrs.field(default=0, init=False)

    def read(self, entry: Entry) -> None:
        match entry.fact:
            case (
                facts.SessionConnecting(agent=agent, incarnation=number)
                | facts.FloorTaken(agent=agent, incarnation=number)
            ):
                self._open.setdefault(number, (agent, entry.at))  # a soft handoff connects nothing
            case facts.SessionFailed(incarnation=number) | facts.FloorLeft(incarnation=number):
                self._close(number, entry.at)
            case facts.HandoffFailed(to=agent) | facts.HandoffWithdrawn(to=agent):
                for number in [number for number, (who, _) in self._open.items() if who == agent]:
                    self._close(number, entry.at)
            case facts.ReplyText(text=text):
                self._characters += len(text)
            case facts.SummaryStarted():
                self._summaries += 1
            case facts.SummaryWritten() | facts.SummaryFailed() as told:
                self._summaries += told.requests - 1
                self._tokens_in += told.tokens_in
                self._tokens_out += told.tokens_out
            case _:
                """Free."""

    def total(self, now: float) -> Usage:
        """Return what was used up to `now` (seconds of the call)."""
        seconds = dict(self.earlier.agent_seconds)
        spent = [*self._seconds.items(), *((agent, now - since) for agent, since in self._open.values())]
        for agent, more in spent:
            seconds[agent] = round(seconds.get(agent, 0.0) + more, 3)
        return Usage(
            agent_seconds=seconds,
            spoken_characters=self.earlier.spoken_characters + self._characters,
            summaries=self.earlier.summaries + self._summaries,
            summary_tokens_in=self.earlier.summary_tokens_in + self._tokens_in,
            summary_tokens_out=self.earlier.summary_tokens_out + self._tokens_out,
        )

    def _close(self, number: int, at: float) -> None:
        agent, since = self._open.pop(number, ("", at))
        if agent:
            self._seconds[agent] = self._seconds.get(agent, 0.0) + at - since


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
