"""The activity of one session's service, as far as it has said so: speaking, hearing the caller, acknowledging.

`ServiceActivity` is written by the session as it reads messages. A soft handoff reads it: no other agent may take the
session over while the service still says something of its own, or is about to answer what it has heard.
"""

import attrs
from trio.lowlevel import ParkingLot

from protocol.deepgram import ServerMessage


@attrs.define(eq=False)
class ServiceActivity:
    is_speaking: bool = attrs.field(default=False, init=False)
    """It has sent audio or words, and neither their end nor a turn of the caller's since."""
    has_heard: bool = attrs.field(default=False, init=False)
    """It has heard the caller since the tape was held: it will answer that."""
    _acknowledged: type[ServerMessage] | None = attrs.field(default=None, init=False)
    """The update that it has acknowledged last."""
    _changed: ParkingLot = attrs.field(factory=ParkingLot, init=False)

    def note_speaking(self) -> None:
        self.is_speaking = True

    def note_caller(self, *, is_turn: bool = False) -> None:
        """Take note that it hears the caller; their turn is the end of what it was saying."""
        self.has_heard = True
        self.is_speaking = self.is_speaking and not is_turn
        self._changed.unpark_all()

    def note_done(self) -> None:
        self.is_speaking = False
        self._changed.unpark_all()

    def note_acknowledged(self, kind: type[ServerMessage]) -> None:
        self._acknowledged = kind
        self._changed.unpark_all()

    async def wait_quiet(self) -> None:
        """Wait until it says nothing, or hears the caller."""
        while self.is_speaking and not self.has_heard:
            await self._changed.park()

    async def wait_acknowledged(self, kind: type[ServerMessage]) -> None:
        """Wait for the acknowledgement of an update that is being sent: one that came before is another's."""
        self._acknowledged = None
        while self._acknowledged is not kind:
            await self._changed.park()
