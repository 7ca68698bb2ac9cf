"""Messages between workers: rows of `commands` that NOTIFY announces.

They are read at once, and each second all the same. A row goes once it was passed on, not as it is read: an answer of
the database that is lost would take the message with it. One is a question, or the answer to one:

    {"kind": "watch", "about": {…}, "from": "w1", "token": "…"}        {"answer": …, "token": "…"}

A question is answered in a task of its own, by what has undertaken to answer its kind. Where nothing here can, as of a
kind that this version does not know, the worker that asks is told so: `{"unanswered": "…", "token": "…"}`.
"""

import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

import attrs
import orjson
import psycopg
import structlog
import trio

from protocol.errors import one_line
from protocol.fields import json_or
from store.calls import DatabaseUnavailable
from store.fleet import statements
from store.fleet.driver import Database, listen
from store.fleet.shared import Answering, Answers, Question

LOOK_SECONDS = 1.0
_LATEST = 1000
"""So many rows with higher numbers may be seen before a row is: each is written by one short statement."""
_WORKERS = 1000
_UNANSWERED = object()

_log = structlog.stdlib.get_logger()


@attrs.define(eq=False)
class OtherWorkers:
    """The other workers of one account, as this one hears and asks them. `name` gives the name of this one."""

    database: Database
    name: Callable[[], str]
    answering: Mapping[str, Answering] = attrs.field(factory=dict)
    _awaited: dict[str, trio.MemorySendChannel[object]] = attrs.field(factory=dict, init=False)
    """By the token of a question: where its answers go."""
    _passed_on: set[int] = attrs.field(factory=set, init=False)
    """Rows that may be there still."""
    _newest: int = attrs.field(default=0, init=False)
    """The highest number of a row that was heard here."""
    _listening: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)

    async def hear_on(self) -> None:
        """Hear what comes for this worker, until cancelled."""
        news, announced = trio.open_memory_channel[None](1)

        def tell(_: str) -> None:
            with suppress(trio.WouldBlock):  # the table is read soon, and all of it then
                news.send_nowait(None)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen_on, tell)
            while True:
                with trio.move_on_after(LOOK_SECONDS):
                    await announced.receive()
                with suppress(DatabaseUnavailable):  # the beat finds out, and tells
                    await self.hear(nursery)

    async def hear(self, nursery: trio.Nursery) -> int:
        """Take each message once, and answer questions in `nursery`; return how many messages that were.

        PostgreSQL goes through all that were deleted, for as long as a transaction can see them: a `pg_dump`, say. So
        those from long before the newest one are passed over.

        Raises: `DatabaseUnavailable`.
        """
        rows = await self.database.ask(statements.HEAR, {"worker": self.name(), "after": self._newest - _LATEST})
        fresh = [(call_sid, body) for row, call_sid, body in rows if row not in self._passed_on]
        self._passed_on.update(row for row, _, _ in rows)
        self._newest = max(self._newest, *(row for row, _, _ in rows), 0)
        for call_sid, body in fresh:
            match json_or(body, None):
                case {"kind": str(kind), "about": about, "from": str(worker), "token": str(token)}:
                    nursery.start_soon(partial(self._answer, Question(kind, about, call_sid, worker), token))
                case {"answer": answer, "token": str(token)}:
                    self._take_answer(token, answer)
                case {"unanswered": str(), "token": str(token)}:
                    self._take_answer(token, _UNANSWERED)
                case _:
                    _log.warning("message_unknown", call_sid=call_sid)
        if self._passed_on:
            await self.database.ask(statements.HEARD, {"ids": list(self._passed_on)})
            self._passed_on.clear()
        return len(fresh)

    def _take_answer(self, token: str, answer: object) -> None:
        if (send := self._awaited.get(token)) is not None:
            send.send_nowait(answer)

    def listen_anew(self) -> None:
        """Listen under another name from now on."""
        self._listening.cancel(reason="this worker has a new name")

    async def _listen_on(self, tell: Callable[[str], None]) -> None:
        """Listen again after each loss, and at once when the worker has a new name."""
        while True:
            with trio.CancelScope() as self._listening:
                try:
                    if not self.database.is_away:
                        self._newest = 0  # another server may count rows anew
                        await listen(self.database.conninfo, f"worker {self.name()}", tell)
                except* (psycopg.Error, OSError, trio.TooSlowError) as lost:
                    _log.info("listening_lost", why=[type(exc).__name__ for exc in lost.exceptions])
                await trio.sleep(LOOK_SECONDS)

    async def ask(self, question: Question, within: float) -> Answers:
        """Ask, as `Fleet.ask` says. Raises: `DatabaseUnavailable`."""
        token = secrets.token_hex(8)
        plain = {"kind": question.kind, "about": question.about, "from": self.name(), "token": token}
        body = orjson.dumps(plain).decode()
        tell = statements.TELL_OTHERS
        if question.call or question.worker:
            tell = statements.TELL if question.call else statements.TELL_WORKER
        name = question.call or question.worker or self.name()
        send, receive = trio.open_memory_channel[object](_WORKERS)
        self._awaited[token] = send
        with send, receive:
            try:
                rows = [row for row, _ in await self.database.ask(tell, {"name": name, "body": body})]
                came = list[object]()
                with trio.move_on_after(within):
                    while len(came) < len(rows):
                        came.append(await receive.receive())
                if len(came) < len(rows):
                    with suppress(DatabaseUnavailable):  # who was asked may have heard it before
                        await self.database.ask(statements.HEARD, {"ids": rows})
                given = [answer for answer in came if answer is not _UNANSWERED]
                return Answers(given, len(rows) - len(given))
            finally:
                del self._awaited[token]

    async def _answer(self, question: Question, token: str) -> None:
        try:
            answer = await self.answering[question.kind](question.call, question.about)
            body = orjson.dumps({"answer": answer, "token": token})
        except (OSError, ValueError, KeyError, TypeError) as exc:
            _log.warning("question_not_answered", kind=question.kind, why=one_line(exc))
            body = orjson.dumps({"unanswered": question.kind, "token": token})
        with suppress(DatabaseUnavailable):  # the beat finds out, and tells
            await self.database.ask(statements.TELL_WORKER, {"name": question.worker, "body": body.decode()})
