"""How long the caller has been waiting for the agents to say something.

`Patience` is opened when it becomes the agents' turn and closed when it is the caller's again; what the ledger plays
in between stops the clock. It owns no task and says nothing: who waits on it decides what a silence that has lasted too
long calls for.
"""

import attrs
import trio

from actors.ledger import Ledger


@attrs.define(eq=False)
class Patience:
    """One session's. Times are trio's."""

    ledger: Ledger
    done: int = 0
    """Counts what the agent has said and done: the same number after two silences means nothing came of the first."""
    closed_at: float = attrs.field(factory=trio.current_time)
    """Since when it has been the caller's turn, if it is."""
    _since: float | None = attrs.field(default=None, init=False)
    _is_question: bool = attrs.field(default=False, init=False)
    _opened: trio.Event = attrs.field(factory=trio.Event, init=False)
    _closed: trio.Event = attrs.field(factory=trio.Event, init=False)

    def begin(self, since: float | None = None) -> None:
        """It is the agents' turn, since that moment; by default since it began, or from now on."""
        if since is not None or self._since is None:
            self._since = trio.current_time() if since is None else since
        self._opened.set()

    def ask(self) -> None:
        """It is the agents' turn for one question, unless the service refuses to put it."""
        self._is_question = self._since is None
        self.begin()

    def refuse(self) -> None:
        """The service will not say what it was asked to, since it hears the caller."""
        if self._is_question:
            self.end()

    def go_on(self) -> None:
        """It is the agents' turn still, and the caller has just been told so."""
        if self._since is not None:
            self._since = trio.current_time()

    @property
    def is_closed(self) -> bool:
        """Whether it is the caller's turn."""
        return self._since is None

    def end(self) -> None:
        """It is not the agents' turn: the caller speaks, or is asked."""
        if self._since is not None:
            self.closed_at = trio.current_time()
        self._since, self._is_question = None, False
        self._closed.set()
        self._closed = trio.Event()
        if self._opened.is_set():  # otherwise somebody waits for it already
            self._opened = trio.Event()

    @property
    def silent_since(self) -> float | None:
        """Since when nothing has been heard though it is the agents' turn; None while it is not, or something is."""
        if self._since is None or self.ledger.unplayed:
            return None
        return max(self._since, self.ledger.quiet_since)

    async def wait_silence(self, seconds: float) -> float:
        """Wait until the caller has waited in silence for so long; return when the silence began."""
        while True:
            if self._since is None:
                await self._opened.wait()
                continue
            now, silent = trio.current_time(), self.silent_since
            if silent is not None and now >= silent + seconds:
                return silent
            await trio.sleep_until(now + self.ledger.unplayed + seconds if silent is None else silent + seconds)

    async def wait_closed(self) -> None:
        """Wait until it is the caller's turn."""
        while self._since is not None:
            await self._closed.wait()

    async def wait_sound(self) -> None:
        """Wait until something is on its way to the caller, or it is not the agents' turn any more."""
        while self.silent_since is not None:
            await self.ledger.wait_change()
