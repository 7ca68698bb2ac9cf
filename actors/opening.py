"""How a session of an agent begins.

`Opening` is a value, made by whoever seats a session (the Supervisor, a handoff) and read by the session, each part of
it only when its time has come.
"""

from collections.abc import Awaitable, Callable

import attrs

from protocol.deepgram import Settings


@attrs.frozen
class Opening:
    """How a session begins. All three are asked for only when their time has come.

    `settings` is awaited once the service has welcomed us (at a handoff it waits for the Brief), `start` says from
    which frame of the tape to listen, and `ask` is a turn of the caller that the last session left unanswered.
    `greets` says that the agent has the first word, `owes` that the caller is waiting for it for another reason.
    """

    settings: Callable[[], Awaitable[Settings]]
    start: Callable[[], int]
    ask: str | None = None
    greets: bool = True
    owes: bool = False
