"""Where call records are kept, as the rest of the program sees it.

`CallRecords` is the one interface; `MemoryRecords` and `FileRecords` are its two implementations, held to the same
promises by one contract test. Saving the same call twice keeps the second. Errors of the medium (a full disk) are
the caller's `OSError`; an unknown call is `None`, not an error.
"""

from collections.abc import Sequence
from typing import Protocol

from store.records import CallRecord


class CallRecords(Protocol):
    """Keeps the record of every call that ended."""

    async def save(self, record: CallRecord) -> None:
        """Keep `record`, replacing what was kept of the same call.

        Cancellation: a save that was cancelled kept the whole record or nothing of it.
        """
        ...

    async def get(self, call_sid: str) -> CallRecord | None:
        """Return what was kept of one call, or None."""
        ...

    async def list(self, limit: int = 50) -> Sequence[CallRecord]:
        """Return the newest `limit` records, newest first."""
        ...
