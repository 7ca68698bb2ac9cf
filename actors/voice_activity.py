"""When the caller's line carries voice, by its loudness alone.

`VoiceActivity` is told of every frame by the bridge. It draws the caller's speech in the timeline, and it is the second
opinion on whether the service hears the caller at all. It knows no words and owns no task.
"""

import attrs
import trio

from protocol.audio import FRAME_SECONDS

BREATH = 0.4
"""Seconds: a shorter pause does not end an interval of speech."""


@attrs.define(eq=False)
class VoiceActivity:
    """One caller's. Times are on whatever clock `hear` is given."""

    began: float | None = None
    last: float = 0.0
    _interval: tuple[float, float] = attrs.field(default=(0.0, 0.0), init=False)
    _ended: trio.Event = attrs.field(factory=trio.Event, init=False)

    def hear(self, *, voiced: bool, now: float) -> tuple[float, float] | None:
        """Take the next frame; return an interval of speech when it is over."""
        if voiced:
            self.began = now if self.began is None else self.began
            self.last = now + FRAME_SECONDS
        elif self.began is not None and now - self.last >= BREATH:
            return self.end()
        return None

    def end(self) -> tuple[float, float] | None:
        """Return the interval that is under way, if any, and begin anew."""
        began, self.began = self.began, None
        if began is None:
            return None
        self._interval = (round(began, 3), round(self.last, 3))
        self._ended.set()
        self._ended = trio.Event()
        return self._interval

    async def wait_spoken(self) -> tuple[float, float]:
        """Wait until an interval of speech is over, and return it."""
        await self._ended.wait()
        return self._interval
