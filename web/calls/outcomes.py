"""The record of a call that nobody ever spoke on: busy, not answered, failed, called off.

A call with a media stream leaves its own record. `Outcomes` keeps one for every other call that was ordered, under its
CallSid, or under the order's id where Twilio never had it. Asked twice, it keeps one. It raises nothing: what cannot
be kept is logged.
"""

from collections.abc import Mapping

import attrs
import structlog

from store.calls import CallRecords, RecordsUnavailable
from store.records import NEVER_RAN, UNANSWERED, CallRecord, RecordError, stream_fault
from web.calls.admission import Admissions
from web.calls.live_calls import KnownCall

_OUTCOMES: Mapping[str, str] = {status: outcome for outcome, status in UNANSWERED.items() if outcome != "unknown"}

_log = structlog.stdlib.get_logger()


@attrs.frozen
class Outcomes:
    """Where such records go."""

    records: CallRecords
    admissions: Admissions

    async def conclude(self, call: KnownCall, status: str, why: str, *, outcome: str = "") -> None:
        """Keep how a call ended, unless it has had a stream, or a record. `status` is Twilio's."""
        name = call.call_sid or call.id
        if call.outcome or call.streamed or (status == "completed" and await self._is_streamed(name)):
            return
        call.status, call.outcome = status, outcome or _OUTCOMES[status]
        stream_errors = await self._stream_errors(name)
        record = CallRecord(
            call_sid=name,
            stream_sid="",
            direction=call.direction,
            caller=call.caller,
            line=call.line,
            started_at=call.created_at,
            duration=0.0,
            outcome=call.outcome,
            answered_by=call.answered_by,
            why=stream_errors[-1] if stream_errors and call.outcome == NEVER_RAN else why,
            faults=tuple(map(stream_fault, stream_errors)),
        )
        try:
            if not await self._is_kept(name):
                await self.records.save(record)
        except (RecordError, OSError) as exc:
            _log.error("outcome_not_kept", call_sid=name, outcome=record.outcome, why=str(exc))

    async def _stream_errors(self, name: str) -> tuple[str, ...]:
        try:
            return await self.admissions.stream_errors(name)
        except OSError as exc:
            _log.error("stream_errors_not_known", call_sid=name, why=str(exc))
            return ()

    async def _is_kept(self, name: str) -> bool:
        try:
            return await self.records.get(name) is not None
        except RecordsUnavailable:
            return False  # it can be given a record all the same, and no agent's is overwritten: there was no stream

    async def _is_streamed(self, name: str) -> bool:
        try:
            return await self.admissions.is_streamed(name)
        except OSError as exc:
            _log.error("stream_not_known", call_sid=name, why=str(exc))
            return True
