"""Media streams of one worker, by call: one that Twilio reports as over is ended here, and can be waited for.

A socket can be dead for a long time before we know it, while Twilio has given it up already. `Streams` owns no task and
decides nothing; a stream is carried inside of `carry`.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import attrs
import trio

END_SECONDS = 5.0
"""For a stream to end once Twilio has said so, and for its call to save its record."""
VERDICT_SECONDS = 60.0
"""Twilio's detection takes 30 s at most, and begins when the call is answered."""


@attrs.define(eq=False)
class _Running:
    again: bool
    verdict_until: float
    """Twilio's verdict (a person, or a machine) may come until then."""
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    over: trio.Event = attrs.field(factory=trio.Event)


@attrs.define(eq=False)
class Streams:
    _running: dict[str, _Running] = attrs.field(factory=dict, init=False)

    @contextmanager
    def carry(self, call_sid: str, *, again: bool = False, expects_verdict: bool = False) -> Iterator[None]:
        """Show that the call's stream runs here, for as long as the `with` lasts; `again`: in place of a lost one."""
        until = trio.current_time() + VERDICT_SECONDS if expects_verdict else -math.inf
        running = self._running[call_sid] = _Running(again, until)
        try:
            with running.scope:
                yield
        finally:
            running.over.set()
            if self._running.get(call_sid) is running:
                del self._running[call_sid]

    def running(self) -> Sequence[str]:
        return list(self._running)

    def expecting_verdicts(self) -> Sequence[str]:
        now = trio.current_time()
        return [call_sid for call_sid, running in self._running.items() if running.verdict_until >= now]

    def expect_no_verdict(self, call_sid: str) -> None:
        self._running[call_sid].verdict_until = -math.inf

    def is_again(self, call_sid: str) -> bool:
        running = self._running.get(call_sid)
        return running is not None and running.again

    async def settle(self, call_sid: str) -> None:
        """Wait until the call's stream, if there is one, is over and its record saved: `END_SECONDS` at most."""
        running = self._running.get(call_sid)
        if running is None:
            await trio.lowlevel.checkpoint()
            return
        with trio.move_on_after(END_SECONDS):
            await running.over.wait()

    async def end(self, call_sid: str) -> None:
        """Cancel the call's stream, if there is one, and wait for it: Twilio has said that it is over."""
        running = self._running.get(call_sid)
        if running is not None:
            running.scope.cancel(reason="Twilio says that the stream is over")
        await self.settle(call_sid)
