"""When the caller's line carries voice, by its loudness alone.

`VoiceActivity` is told of every frame by the bridge. It draws the caller's speech in the timeline, and is the second
witness of whether somebody speaks. It knows no words and owns no task.
"""

import attrs

from protocol.audio import FRAME_SECONDS

BREATH = 0.4
"""Seconds: a shorter pause does not end an interval of speech."""


@attrs.define(eq=False)
class VoiceActivity:
    """The voice activity of one caller. Times are on the clock that `hear` is given."""

    began: float | None = None
    last: float = 0.0

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
        return round(began, 3), round(self.last, 3)
