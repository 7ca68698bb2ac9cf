"""How fast calls are placed: Twilio takes what comes faster too, and rings it minutes later.

https://support.twilio.com/hc/en-us/articles/223180028. `Pace` owns no task; whoever claims a moment waits for it.
"""

import math

import attrs
import trio


@attrs.define
class Pace:
    """One worker's: so many calls a second, evenly."""

    per_second: float
    _next: float = attrs.field(default=-math.inf, init=False)

    @property
    def wait(self) -> float:
        """Seconds until a call that is ordered now could be placed."""
        return max(0.0, self._next - trio.current_time())

    def claim(self) -> float:
        """Take the next free moment, and return it."""
        moment = trio.current_time() + self.wait
        self._next = moment + 1 / self.per_second
        return moment
