"""Answering machine detection: verdicts that reached another worker, or came before the call's stream.

Twilio sends `AnsweredBy` to one worker, which leaves it in the token store (`Admissions`) if it does not carry the
call. `Verdicts` looks for the verdicts of this worker's calls, as long as one may come. It raises
nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import attrs
import structlog
import trio

from actors.endings.intercom import Intercom
from actors.messages import MachineAnswered
from actors.supervision import Crashed, guard
from web.calls.admission import Admissions

LOOK_SECONDS = 1.0
EXPECTED_SECONDS = 60.0
"""Twilio's detection takes 30 s at most, and begins when the call is answered."""

_log = structlog.stdlib.get_logger()


@attrs.define(eq=False)
class Verdicts:
    """The verdicts that one worker's calls still wait for."""

    admissions: Admissions
    intercom: Intercom
    _expected: dict[str, float] = attrs.field(factory=dict, init=False)

    @contextmanager
    def expecting(self, call_sid: str) -> Iterator[None]:
        """Look for the verdict of a call that is carried here, for as long as the `with` lasts."""
        self._expected[call_sid] = trio.current_time() + EXPECTED_SECONDS
        try:
            yield
        finally:
            self._expected.pop(call_sid, None)

    async def run(self) -> None:
        """Look for verdicts, until cancelled."""
        while True:
            await trio.sleep(LOOK_SECONDS)
            looked = await guard(self.look)
            if isinstance(looked, Crashed):
                _log.error("verdicts_not_looked_for", error=looked.reason)

    async def look(self) -> None:
        """Tell each call its verdict, if there is one."""
        now = trio.current_time()
        for call_sid, until in list(self._expected.items()):
            verdict = await self.admissions.recall_verdict(call_sid)
            is_told = verdict is not None and self.intercom.tell(call_sid, MachineAnswered(verdict))
            if is_told or until <= now:
                self._expected.pop(call_sid, None)
