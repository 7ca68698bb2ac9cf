"""Callers who were sent to our media stream and never came: each of their calls leaves a record all the same.

They hung up before it opened, or Twilio could not open it, and nobody has to say so: a number of Twilio's needs no
status callback. So `NoShows` looks over the live calls now and then. It holds no slot (a reservation lapses by itself),
tells nobody anything, and never fails. A server that is stopped before it has looked keeps no record of such a call.
"""

from functools import partial

import attrs
import structlog
import trio

from actors.supervision import Crashed, guard
from web.calls.context import AppContext
from web.calls.live_calls import KnownCall

OVERDUE_SECONDS = 60.0
"""From the last news of a call: by then Twilio has given up on our stream, and on the second one we offer it."""
LOOK_SECONDS = 10.0
_WHY = "the caller never reached an agent: they hung up, or the media stream could not be opened"

_log = structlog.stdlib.get_logger()


@attrs.frozen
class NoShows:
    """One worker's."""

    context: AppContext

    async def run(self) -> None:
        """Look for them until cancelled."""
        while True:
            await trio.sleep(LOOK_SECONDS)
            for call in self.context.live_calls.overdue(OVERDUE_SECONDS):
                ended = await guard(partial(self._conclude, call))
                if isinstance(ended, Crashed):
                    _log.error("no_show_crashed", call_sid=call.call_sid, error=ended.reason)

    async def _conclude(self, call: KnownCall) -> None:
        await self.context.outcomes.conclude(call, "completed", _WHY)
        if not call.outcome:  # another worker has, or had, the stream: the call is shown there
            self.context.live_calls.remove(call.id)
