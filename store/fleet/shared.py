"""What the workers of one account share, and the values in it.

`Fleet` is one process by itself: what the others would share is in its memory, and there are no others. `PostgresFleet`
makes it one of many; one contract test holds both to the same promises. A *slot* is the right to carry one call: there
are `MAX_CALLS` of them in the account. A call that is on its way holds a slot that lapses by itself; a running call
holds it until it ends, or its worker is found dead. No method fails because a database is away: each says below what
it does instead.
"""

import math
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import Enum
from typing import TypeAlias

import attrs
import structlog
import trio

from store.erasing import Subject
from store.records import CallRecord, RunningRecord

BEAT_SECONDS = 2.0
"""Between two signs of life of a worker; notes of its calls go with them."""
DEAD_SECONDS = 10.0
"""A worker that was silent for so long is dead: any other closes its calls, 12.2 s after its end at the latest."""
START_SECONDS = 10.0
"""For a worker to reach the database, which may need its tables; without it, it lets calls in by itself then."""


CLOCK_SECONDS = 5.0
"""How far two clocks may be apart: an answer of the database takes up to a second."""
_log = structlog.stdlib.get_logger()


@attrs.frozen
class LiveCall:
    """A running call. `key` names its slot: our order id, or the CallSid of a call that came in."""

    key: str
    call_sid: str
    stream_sid: str = ""
    direction: str = ""
    caller: str = ""
    line: str = ""
    started_at: str = ""
    worker: str = ""


TELL = "tell"
"""The kind of question that asks a worker to tell its call something."""


@attrs.frozen
class Question:
    """A question to another worker: `about` is plain JSON, `kind` says which part of that worker answers.

    It goes to the worker that carries `call` (a key or a CallSid), to `worker`, or, with neither, to every other one.
    """

    kind: str
    about: object
    call: str = ""
    worker: str = ""


@attrs.frozen
class Answers:
    """The answers of the workers that were asked, as plain JSON, and how many of them did not answer in time."""

    given: Sequence[object] = ()
    silent: int = 0


Answering: TypeAlias = Callable[[str, object], Awaitable[object]]
"""Answers a question, of a CallSid (or "") and about something, with plain JSON; it runs beside the hearing of others.

Raises: `OSError`, `ValueError`, `KeyError`, `TypeError`: then this worker does not answer.
"""

Adopt: TypeAlias = Callable[[CallRecord], Awaitable[None]]
"""Keeps the record of a call that a dead worker has cut. Raises: `OSError` when another try may succeed."""


@attrs.define(eq=False)
class Fleet:
    """The state that the workers of one account share, as one of them sees it; here, of one process by itself."""

    max_calls: int
    worker: str = attrs.field(default="", kw_only=True)
    """The name by which another worker can ask this one; empty where there are no others."""
    answering: dict[str, Answering] = attrs.field(factory=dict, init=False)
    """What answers the questions of other workers, by their kind."""
    running: Mapping[str, RunningRecord] = attrs.field(factory=dict, init=False)
    """What the records of the calls here would say now, by CallSid: kept in case this worker dies."""
    _lapses: dict[str, float] = attrs.field(factory=dict, init=False)
    """For each call on its way: when its slot lapses."""
    _calls: dict[str, LiveCall] = attrs.field(factory=dict, init=False)
    _next_turn: float = attrs.field(default=0.0, init=False)
    """When this process by itself may place a call."""
    _starts_until: float = attrs.field(default=-math.inf, init=False)

    @property
    def is_starting(self) -> bool:
        """Whether the database has never answered, and may in a moment: on its first start it is given its tables."""
        return trio.current_time() < self._starts_until

    @property
    def is_away(self) -> bool:
        """Whether the database is away: nothing is shared until it is back."""
        return False

    @property
    def _held(self) -> int:
        now = trio.current_time()
        self._lapses = {key: at for key, at in self._lapses.items() if at > now}
        return len(self._calls) + len(self._lapses)

    @property
    def _is_room(self) -> bool:
        return self._held < self.max_calls

    async def reserve(self, key: str, seconds: float) -> bool:
        """Keep a slot for the call `key` for a while; a second time, prolong that. False when every slot is taken.

        Without the database: by this worker's part of the slots that were free.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        is_room = self._is_room
        if key in self._calls:
            return True
        if not is_room and key not in self._lapses:
            return False
        self._lapses[key] = trio.current_time() + seconds
        return True

    def readmit(self, key: str, seconds: float) -> None:
        """Keep a slot, as soon as there is one, for a call that was carried already and may come back."""
        if self._is_room or key in self._lapses:
            self._lapses[key] = trio.current_time() + seconds

    async def admit(self, call: LiveCall, *, over: bool = False) -> bool:
        """Let a call in on the slot of its key, else on a free one. False when every slot is taken.

        `over`: let it in all the same. Nobody new is let in then until enough calls have ended.
        """
        is_room = self._is_room
        if not (is_room or over or call.key in self._lapses or call.key in self._calls):
            return False
        self._lapses.pop(call.key, None)
        self._calls[call.key] = call
        return True

    def free(self, key: str) -> None:
        """Give up what `key` holds here, and a slot that another worker keeps for it; nothing if there is none."""
        self._lapses.pop(key, None)
        self._calls.pop(key, None)

    async def noted(self, call_sid: str) -> CallRecord | None:  # noqa: ARG002 - checkpoints are on the disk
        """Return the last note of a running call, whichever worker carries it; None without one, or the database."""
        await trio.lowlevel.checkpoint()
        return None

    async def claim_turn(self, per_second: float, longest: float) -> float | None:
        """Claim the next moment at which a call may be placed: so many seconds from now; None beyond `longest`.

        Without the database: each worker places its part of `per_second`.
        """
        await trio.lowlevel.checkpoint()
        now = trio.current_time()
        wait = max(0.0, self._next_turn - now)
        if wait > longest:
            return None
        self._next_turn = now + wait + 1 / per_second
        return wait

    async def live(self) -> Sequence[LiveCall]:
        """Return the running calls of all workers, newest first; without the database those of this worker."""
        await trio.lowlevel.checkpoint()
        return [attrs.evolve(call, worker=self.worker) for call in reversed(self._calls.values())]

    async def find(self, name: str) -> LiveCall | None:
        """Return a running call by key or CallSid, whichever worker carries it; without the database one of ours."""
        return next((call for call in await self.live() if name in {call.key, call.call_sid}), None)

    async def ask(self, question: Question, within: float) -> Answers:  # noqa: ARG002 - nobody
        """Ask other workers, and wait for their answers, `within` seconds at most.

        Neither answers nor silent workers: nobody is there to be asked. A question is answered once, and at once, or
        within a second where a notification is lost; one that was not heard in time is taken back. Cancellation: it is
        answered all the same.

        Raises: `DatabaseUnavailable`.
        """
        await trio.lowlevel.checkpoint()
        return Answers()

    async def erase(self, subject: Subject) -> int:  # noqa: ARG002 - there are no notes
        """Forget the notes of calls that are over and that mention somebody; return how many calls that were.

        Raises: `DatabaseUnavailable`.
        """
        await trio.lowlevel.checkpoint()
        return 0

    async def run(self, adopt: Adopt) -> None:  # noqa: ARG002 - nobody else is there to die
        """Share, until cancelled: answer what other workers ask, and have `adopt` keep what dead ones have cut."""
        await trio.sleep_forever()


class State(Enum):
    AWAY = "away"
    RETURNING = "returning"
    UP = "up"


def skew(database_now: float) -> Mapping[str, float]:
    """Say by how many seconds this machine's clock is ahead of the database's, where that is more than a few.

    Slots, orders and tokens go by the database's clock; times in records are the worker's that carried the call.
    """
    ahead = time.time() - database_now
    if abs(ahead) <= CLOCK_SECONDS:
        return {}
    _log.warning("clock_differs", seconds_ahead=round(ahead), fix="Set this machine's clock, or the database's: NTP.")
    return {"clock_ahead": round(ahead)}


def fresh_name() -> str:
    """Return a name that no worker has had: of this machine, to be recognised in a list."""
    return f"{socket.gethostname()[:40]}-{secrets.token_hex(6)}"
