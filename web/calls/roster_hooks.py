"""A roster's work on a call that is over: a form is filled in (`EXTRACT`), and its `on_call_ended` is run.

`AfterCalls` takes each record once, when the end of its call is announced and the record is kept. It asks the language
model that writes Briefs once for the form, checks the answer, and keeps it in the record; then it runs the hooks, each
within its deadline. Nothing that goes wrong here costs a record or a call: it is logged.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import attrs
import structlog
import trio

from actors.errors import BriefUnavailable
from actors.session.function_calls import Failed, run_handler
from actors.summarizer import AskBrief
from actors.supervision import Crashed, guard
from agents.arguments import ArgumentsRefused
from agents.extras import Extras, extraction_messages, read_extraction
from agents.functions import Answer, CallContext, FunctionSpec, Outcome
from agents.quoting import SpokenTurn
from store.calls import CallRecords
from store.records import CallRecord
from web.calls.call_files import CallFiles
from web.calls.work_queue import WorkQueue

EXTRACT_SECONDS: Final = 20.0
HOOK_SECONDS: Final = 30.0
AT_ONCE: Final = 8

_log = structlog.stdlib.get_logger()


@attrs.frozen
class _Ended:
    """The only argument of a hook."""

    record: CallRecord


@attrs.define(eq=False)
class AfterCalls:
    """One worker's. `ask` is None where there is no language model: no form is filled in then."""

    extras: Extras
    ask: AskBrief | None
    records: CallRecords
    files: CallFiles = attrs.field(factory=lambda: CallFiles(None))
    queue: WorkQueue[CallRecord] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.queue = WorkQueue("after_calls", self._see_to, AT_ONCE)

    def put(self, record: CallRecord) -> None:
        """Take the record of a call that is over, if the roster wants to know."""
        if self.extras.hooks or self.extras.extract is not None:
            self.queue.put(record)

    async def _see_to(self, record: CallRecord) -> None:
        ended = await guard(partial(self._extract, record))
        if isinstance(ended, Crashed):
            _log.error("extraction_failed", call_sid=record.call_sid, why=ended.reason)
        for hook in self.extras.hooks:
            await _run_hook(hook, record if isinstance(ended, Crashed) else ended)

    async def _extract(self, record: CallRecord) -> CallRecord:
        """Have the form filled in, and keep it; return the record with it."""
        wanted, ask = self.extras.extract, self.ask
        if wanted is None or ask is None or not record.transcript:
            return record
        turns = [SpokenTurn(turn.speaker, turn.heard) for turn in record.transcript if turn.heard]
        try:
            with trio.fail_after(EXTRACT_SECONDS):
                text = await ask(extraction_messages(wanted, turns, record.facts))
            extracted = dict(read_extraction(wanted, text))
        except (BriefUnavailable, ArgumentsRefused, trio.TooSlowError) as failed:
            why = str(failed) or f"no answer within {EXTRACT_SECONDS:g} s"
            _log.warning("extraction_failed", call_sid=record.call_sid, why=why[:300])
            return record
        latest = await self.records.get(record.call_sid)
        if latest is not None:  # else it was erased meanwhile, or could not be kept
            latest = attrs.evolve(latest, extracted=extracted)
            await self.records.save(latest)
            await self.files.rewrite(latest)
        return attrs.evolve(latest or record, extracted=extracted)


async def _run_hook(hook: Callable[[CallRecord], Awaitable[object]], record: CallRecord) -> None:
    async def handler(_: object, __: CallContext) -> Outcome:
        await hook(record)
        return Answer(None)

    spec = FunctionSpec("on_call_ended", "Runs when a call is over.", _Ended, handler, deadline=HOOK_SECONDS)
    result = await run_handler(spec, _Ended(record), CallContext(record.call_sid, ""))
    if isinstance(result, Failed):
        why = result.cause or result.error
        why = f"it took longer than {HOOK_SECONDS:g} s" if why == "deadline" else why
        _log.error("on_call_ended_failed", call_sid=record.call_sid, why=why)
