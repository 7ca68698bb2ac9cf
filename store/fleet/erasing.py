"""Erasing in the fleet: its own tables, and all that other workers have on their disks and in their memory.

A worker that erases somebody asks every other one to do the same, by the rows in which commands come, and waits for
their answers. A row has the number and the CallSids; it goes when it is read, and when the asking is over.
"""

import secrets
from collections.abc import Callable

import attrs
import orjson
import structlog
import trio

from protocol.errors import one_line
from store.erasing import Subject
from store.fleet import statements
from store.fleet.driver import Database
from store.fleet.shared import Erase, ErasedElsewhere, Later, Listener, WorkerMessage

ANSWER_SECONDS = 30.0
"""For the others to search their folders."""
_WORKERS = 1000
_ASKED, _DONE = "erase ", "erased "
_CUT = "SELECT call_sid, about || coalesce(note, '') FROM cut_calls"
_NOTES = """SELECT call_sid, note FROM call_notes
    WHERE NOT EXISTS (SELECT FROM live_calls WHERE live_calls.call_sid = call_notes.call_sid)"""
_ERASE = """WITH notes AS (DELETE FROM call_notes WHERE call_sid = ANY(%(sids)s))
DELETE FROM cut_calls WHERE call_sid = ANY(%(sids)s)"""
_log = structlog.stdlib.get_logger()


async def erase_rows(database: Database, subject: Subject) -> int:
    """Erase notes that mention somebody; return how many calls they were of. Raises: `DatabaseUnavailable`."""
    kept = [*await database.ask(_CUT), *await database.ask(_NOTES)]
    sids = {sid for sid, text in kept if subject.is_in(f"{sid} {text}")}
    await database.ask(_ERASE, {"sids": sorted(sids)})
    return len(sids)


async def _nothing(_subject: Subject) -> int:
    await trio.lowlevel.checkpoint()
    return 0


@attrs.define(eq=False)
class OtherWorkers:
    """The other workers of one account. `name` gives the name of this one."""

    database: Database
    name: Callable[[], str]
    erase_here: Erase = attrs.field(default=_nothing, init=False)
    """Does what another worker asks for."""
    _awaited: dict[str, trio.MemorySendChannel[int]] = attrs.field(factory=dict, init=False)
    """By the token of a question: where its answers go."""

    async def erase(self, subject: Subject) -> ErasedElsewhere:
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

    def heard_by(self, listener: Listener) -> Listener:
        """Return a listener that erases on request, and passes everything else to `listener`."""

        def hear(message: WorkerMessage) -> Later | None:
            if message.body.startswith(_ASKED):
                return lambda: self._answer(message.body.removeprefix(_ASKED))
            if message.body.startswith(_DONE):
                self._take(message.body.removeprefix(_DONE))
                return None
            return listener(message)

        return hear

    async def _answer(self, body: str) -> None:
        try:
            asked = orjson.loads(body)
            subject = Subject(str(asked["number"]), frozenset(asked["calls"]))
            count = await self.erase_here(subject)
            answer = {"worker": asked["from"], "body": f"{_DONE}{asked['token']} {count}"}
            await self.database.ask(statements.ANSWER, answer)
        except (OSError, ValueError, KeyError, TypeError) as exc:
            _log.warning("not_erased_here", why=one_line(exc))

    def _take(self, answer: str) -> None:
        token, _, count = answer.partition(" ")
        if (send := self._awaited.get(token)) is not None and count.isdigit():
            send.send_nowait(int(count))
