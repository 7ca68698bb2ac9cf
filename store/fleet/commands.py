"""Messages between workers, by NOTIFY on a channel of each of them.

Commands to calls are rows that NOTIFY announces: they are read at once, and each second all the same. A row goes once
it was passed on, not as it is read: an answer of the database that is lost would take the command with it. What is
posted is the notification itself, and is lost where nobody listens. A worker that erases somebody asks every other one
to do the same, by rows that go with its asking, and waits for their answers.
"""

import secrets
from collections.abc import Callable
from contextlib import suppress

import attrs
import orjson
import psycopg
import structlog
import trio

from protocol.errors import one_line
from store.calls import DatabaseUnavailable
from store.erasing import Subject
from store.fleet import statements
from store.fleet.driver import Database, listen
from store.fleet.shared import Erase, ErasedElsewhere, Inbox, Later, Listener, WorkerMessage

LOOK_SECONDS = 1.0
ANSWER_SECONDS = 30.0
"""For the others to search their folders."""
_WORKERS = 1000
_POSTED, _ASKED, _DONE = "post ", "erase ", "erased "

_log = structlog.stdlib.get_logger()


async def _nothing(_subject: Subject) -> int:
    await trio.lowlevel.checkpoint()
    return 0


@attrs.define(eq=False)
class OtherWorkers:
    """The other workers of one account, as this one hears and asks them. `name` gives the name of this one."""

    database: Database
    name: Callable[[], str]
    inbox: Inbox = lambda _: None
    """Takes what is posted."""
    erase_here: Erase = _nothing
    """Does what another worker asks for."""
    _awaited: dict[str, trio.MemorySendChannel[int]] = attrs.field(factory=dict, init=False)
    """By the token of a question: where its answers go."""
    _passed_on: set[int] = attrs.field(factory=set, init=False)
    """Rows that may be there still."""
    _listening: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)

    async def hear_on(self, listener: Listener) -> None:
        """Pass on what comes for this worker, until cancelled."""
        news, announced = trio.open_memory_channel[None](1)

        def tell(text: str) -> None:
            if text.startswith(_POSTED):
                self.inbox(text.removeprefix(_POSTED))
                return
            with suppress(trio.WouldBlock):  # the table is read soon, and all of it then
                news.send_nowait(None)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen_on, tell)
            while True:
                with trio.move_on_after(LOOK_SECONDS):
                    await announced.receive()
                with suppress(DatabaseUnavailable):  # the beat finds out, and tells
                    await self.hear(listener, nursery.start_soon)

    async def hear(self, listener: Listener, start: Callable[[Later], object]) -> int:
        """Pass each command on once, and `start` what takes time about it; return how many commands that were.

        Raises: `DatabaseUnavailable`.
        """
        rows = await self.database.ask(statements.HEAR, {"worker": self.name()})
        before, self._passed_on = self._passed_on, {row for row, _, _ in rows}
        fresh = [WorkerMessage(call_sid, body) for row, call_sid, body in rows if row not in before]
        for message in fresh:
            later = self._take_erasing(message.body) if message.body.startswith((_ASKED, _DONE)) else listener(message)
            if later is not None:
                start(later)
        if rows:
            await self.database.ask(statements.HEARD, {"ids": list(self._passed_on)})
        return len(fresh)

    def listen_anew(self) -> None:
        """Listen under another name from now on."""
        self._listening.cancel(reason="this worker has a new name")

    async def _listen_on(self, tell: Callable[[str], None]) -> None:
        """Listen again after each loss, and at once when the worker has a new name."""
        while True:
            with trio.CancelScope() as self._listening:
                try:
                    if not self.database.is_away:
                        await listen(self.database.conninfo, f"worker {self.name()}", tell)
                except* (psycopg.Error, OSError, trio.TooSlowError) as lost:
                    _log.info("listening_lost", why=[type(exc).__name__ for exc in lost.exceptions])
                await trio.sleep(LOOK_SECONDS)

    async def erase(self, subject: Subject) -> ErasedElsewhere:
        """Have the others erase. Raises: `DatabaseUnavailable`."""
        token = secrets.token_hex(8)
        about = {"from": self.name(), "token": token, "number": subject.number, "calls": sorted(subject.calls)}
        body = _ASKED + orjson.dumps(about).decode()
        send, answers = trio.open_memory_channel[int](_WORKERS)
        self._awaited[token] = send
        with send, answers:
            try:
                asked = {"worker": self.name(), "body": body}
                waiting, found = len(await self.database.ask(statements.TELL_OTHERS, asked)), 0
                with trio.move_on_after(ANSWER_SECONDS):
                    while waiting:
                        found += await answers.receive()
                        waiting -= 1
                return ErasedElsewhere(found, waiting)
            finally:
                del self._awaited[token]
                with trio.move_on_after(1, shield=True):
                    await self.database.ask(statements.UNTELL, {"body": body})

    def _take_erasing(self, body: str) -> Later | None:
        if body.startswith(_ASKED):
            return lambda: self._answer(body.removeprefix(_ASKED))
        token, _, count = body.removeprefix(_DONE).partition(" ")
        if (send := self._awaited.get(token)) is not None and count.isdigit():
            send.send_nowait(int(count))
        return None

    async def _answer(self, body: str) -> None:
        try:
            asked = orjson.loads(body)
            count = await self.erase_here(Subject(str(asked["number"]), frozenset(asked["calls"])))
            answer = {"worker": asked["from"], "body": f"{_DONE}{asked['token']} {count}"}
            await self.database.ask(statements.ANSWER, answer)
        except (OSError, ValueError, KeyError, TypeError) as exc:
            _log.warning("not_erased_here", why=one_line(exc))
