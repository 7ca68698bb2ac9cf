"""Lists of calls: a `CallSummary` of each record, and a `CallQuery` that says which of them, and from where.

Pages are cut by key: `before` is where the last page has ended, so page 2,000 costs what page 1 does, and a call that
ends in between moves nothing. These are values; stores without a database use `select` on what they have.
"""

from collections.abc import Iterable, Sequence

import attrs

from store.records import TRANSFERRING, CallRecord

MOST = 500
_LONGEST_WORDS = 2000
_AS_THEY_ARE = ("call_sid", "started_at", "direction", "caller", "line", "outcome", "duration", "restarts")
"""Fields that a summary has of its record."""


@attrs.frozen
class CallSummary:
    call_sid: str
    started_at: str
    direction: str
    caller: str
    line: str
    outcome: str
    duration: float
    agents: tuple[str, ...] = ()
    restarts: int = 0
    transfers: int = 0
    faults: int = 0
    words: str = ""
    """The text to search, in small letters: ids, numbers, agents, outcome, recorded facts; nothing that was spoken."""

    @property
    def key(self) -> tuple[str, str]:
        return self.started_at, self.call_sid


@attrs.frozen
class CallQuery:
    """Which calls, newest first. Empty fields ask for nothing."""

    text: str = ""
    """Each word of it is somewhere in `CallSummary.words`."""
    outcome: str = ""
    direction: str = ""
    since: str = ""
    """ISO 8601, in UTC: calls that started then or later …"""
    until: str = ""
    """… and before then."""
    troubled: bool = False
    """Only calls with a restart or a fault."""
    transferred: bool = False
    """Only calls that an agent asked to put through to a person."""
    before: tuple[str, str] | None = None
    """Only calls older than the one with this key."""
    limit: int = 50

    @property
    def words(self) -> Sequence[str]:
        return [_searchable(word) for word in self.text.split()[:8] if _searchable(word)]


def _searchable(text: str) -> str:
    return text.lower().replace("\0", "")


def summary_of(record: CallRecord) -> CallSummary:
    agents = tuple(dict.fromkeys(period.agent for period in record.agents))
    facts = (f"{name} {value}" for name, value in record.facts.items())
    words = [record.call_sid, record.caller, record.line, record.outcome, record.direction, *agents, *facts]
    return CallSummary(
        **{name: getattr(record, name) for name in _AS_THEY_ARE},
        agents=agents,
        transfers=len(record.transfers) + (record.outcome == TRANSFERRING and not record.transfers),
        faults=len(record.faults),
        words=_searchable(" ".join(words))[:_LONGEST_WORDS],
    )


def matches(summary: CallSummary, query: CallQuery) -> bool:
    return (
        query.outcome in {"", summary.outcome}
        and query.direction in {"", summary.direction}
        and query.since <= summary.started_at
        and (not query.until or summary.started_at < query.until)
        and (not query.troubled or summary.restarts + summary.faults > 0)
        and (not query.transferred or summary.transfers > 0)
        and (query.before is None or summary.key < query.before)
        and all(word in summary.words for word in query.words)
    )


def select(summaries: Iterable[CallSummary], query: CallQuery) -> Sequence[CallSummary]:
    """Return the newest calls that a query asks for, each once: what comes first counts."""
    found: dict[str, CallSummary] = {}
    for summary in summaries:
        found.setdefault(summary.call_sid, summary)
    asked = (summary for summary in found.values() if matches(summary, query))
    return sorted(asked, key=lambda summary: summary.key, reverse=True)[: query.limit]
