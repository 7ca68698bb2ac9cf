"""The paid services that a call has used, read off the Journal.

Deepgram bills by the minute a session is connected, and synthesis by the character; an LLM by the token. `Meter` counts
these for one call as its facts come in. It raises nothing, owns nothing, and knows no prices.
"""

import attrs

from actors import facts
from actors.journal import Entry
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
        """Take the next entry of the Journal."""
        match entry.fact:
            case facts.SessionConnecting(agent=agent, incarnation=number):
                self._open[number] = agent, entry.at
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
