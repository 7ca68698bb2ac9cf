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
    """Counts for one call, on top of what its earlier streams have used."""

    _used: Usage = attrs.field(factory=Usage)
    _open: dict[int, tuple[str, float]] = attrs.field(factory=dict, init=False)

    def read(self, entry: Entry) -> None:
        match entry.fact:
            case (
                facts.SessionConnecting(agent=agent, incarnation=number)
                | facts.FloorTaken(agent=agent, incarnation=number)
            ) if number:  # a person who has taken over has no session, and a soft handoff connects none
                self._open.setdefault(number, (agent, entry.at))
            case facts.SessionFailed(incarnation=number) | facts.FloorLeft(incarnation=number):
                self._close(number, entry.at)
            case facts.HandoffFailed(to=agent) | facts.HandoffWithdrawn(to=agent):
                for number in [number for number, (who, _) in self._open.items() if who == agent]:
                    self._close(number, entry.at)
            case facts.ReplyText(text=text):
                self._used = attrs.evolve(self._used, spoken_characters=self._used.spoken_characters + len(text))
            case facts.SummaryStarted():
                self._used = attrs.evolve(self._used, summaries=self._used.summaries + 1)
            case facts.SummaryWritten() | facts.SummaryFailed() as told:
                self._used = attrs.evolve(
                    self._used,
                    summaries=self._used.summaries + told.requests - 1,
                    summary_tokens_in=self._used.summary_tokens_in + told.tokens_in,
                    summary_tokens_out=self._used.summary_tokens_out + told.tokens_out,
                )
            case _:
                pass  # it costs nothing

    def total(self, now: float) -> Usage:
        """Return what was used up to `now` (seconds of the call)."""
        seconds = dict(self._used.agent_seconds)
        for agent, since in self._open.values():
            seconds[agent] = round(seconds.get(agent, 0.0) + now - since, 3)
        return attrs.evolve(self._used, agent_seconds=seconds)

    def _close(self, number: int, at: float) -> None:
        agent, since = self._open.pop(number, ("", at))
        if agent:
            seconds = self._used.agent_seconds
            spent = round(seconds.get(agent, 0.0) + at - since, 3)
            self._used = attrs.evolve(self._used, agent_seconds={**seconds, agent: spent})


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
