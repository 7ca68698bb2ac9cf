"""How long audio, words and records of a call are kept, and what a record is without its words."""

import math
from datetime import UTC, datetime, timedelta

import attrs

from store.records import CallRecord


@attrs.frozen
class Retention:
    """In days, from the start of a call (of a file: from its last change). `math.inf` is for ever."""

    audio: float = math.inf
    transcripts: float = math.inf
    records: float = math.inf

    @property
    def ends(self) -> bool:
        """Whether anything is ever removed."""
        return min(self.audio, self.transcripts, self.records) < math.inf


def days_ago(days: float) -> datetime:
    """Return the moment before which something that is kept for so long is too old."""
    return datetime.now(UTC) - timedelta(days=days)


def without_words(record: CallRecord) -> CallRecord:
    """Return a record of who called whom, when, and how it went: nothing that was said, noted or concluded."""
    return attrs.evolve(
        record,
        transcript=(),
        facts={},
        extracted={},
        handoffs=tuple(attrs.evolve(one, cause="", brief={}) for one in record.handoffs),
        functions=tuple(attrs.evolve(one, arguments={}, result="") for one in record.functions),
        transfers=tuple(attrs.evolve(one, reason="") for one in record.transfers),
        commands=tuple(attrs.evolve(one, fields={}) for one in record.commands),
        faults=tuple(fault.partition(":")[0] for fault in record.faults),
    )
