"""A caller who says nothing when it is their turn: asked twice whether they are there, then said goodbye to.

`CallerMinder` is a child of each session, beside `actors/silence.py`, which minds the other side. A line that carries
noise is a silent one: what counts is a turn that was transcribed, or keys. While the service hears somebody speak, and
while a function runs (a handoff is one), nobody is asked.
"""

import math
from collections.abc import Awaitable, Callable

import attrs
import trio

from actors.desk import Desk
from actors.facts import CallerSilent
from actors.patience import Patience
from actors.prompter import Closing

OUTCOME = "caller_silent"
_LOOK_AGAIN = 1.0


@attrs.define(eq=False)
class CallerMinder:
    """One session's. `speaks_until` tells until when the caller is believed to be saying something."""

    desk: Desk
    agent: str
    patience: Patience
    speaks_until: Callable[[], float]
    is_busy: Callable[[], bool]
    say: Callable[[str], Awaitable[None]]

    async def run(self) -> None:
        """Ask after a caller who has been silent for too long, as often as the policy says; then end the call.

        How often they were asked is the conversation's to know: another session goes on counting.
        """
        policy, conversation, asked_at = self.desk.policy, self.desk.conversation, -math.inf
        while True:
            await self.patience.wait_closed()
            now = trio.current_time()
            silent = max(self.patience.closed_at, self.desk.ledger.quiet_since, asked_at)
            due = max(silent + policy.caller_silence, self.speaks_until())
            if now < due:
                await trio.sleep_until(due)
            elif self.is_busy():
                await trio.sleep(_LOOK_AGAIN)
            elif conversation.asked >= policy.silent_asks:
                self.desk.prompter.close(Closing(OUTCOME, policy.silent_goodbye, policy.closing))
                return
            else:
                asked_at = now
                conversation.asked += 1
                self.desk.journal.note(CallerSilent(self.agent, round(now - silent, 3), conversation.asked))
                await self.say(policy.still_there)
