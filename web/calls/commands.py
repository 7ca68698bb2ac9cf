"""Running calls, whichever worker carries them: seen, told something, and asked by an operator to do something.

`Commands.tell` tells a call here by the intercom, and a call elsewhere by the fleet: its worker hears it at once, or
within a second where a notification is lost. `Commands.ask` does the same with an operator's command, and waits for the
answer, which comes back the same way. A message of a newer server that this one does not know is logged and does
nothing; a command that it does not know is refused.
"""

import secrets
from collections.abc import Mapping
from functools import partial
from typing import Any, TypeAlias, cast, get_args

import attrs
import orjson
import structlog
import trio

from actors.commands import KINDS, OVER, Command, CommandAnswer, CommandGiven, Outcome, refused
from actors.endings.intercom import Intercom
from actors.messages import ToCall
from actors.supervision import Request
from protocol.fields import json_or
from store.fleet import shared
from store.fleet.shared import Fleet, Later

ANSWER_SECONDS = 60.0
"""For a call to decide a command: longer than any command of `actors/operator.py` takes."""

_KINDS: Mapping[str, type[ToCall]] = {kind.__name__: kind for kind in get_args(ToCall) if kind is not CommandGiven}
_ASKED, _ANSWERED = "AskCommand", "AnswerCommand"

_log = structlog.stdlib.get_logger()


@attrs.frozen
class Pending:
    """The call has the command and has not decided it: asked again under the same id, it tells."""


@attrs.frozen
class NotHere:
    """No call of this name goes on, as far as is known."""


Asked: TypeAlias = CommandAnswer | Pending | NotHere


def written(message: ToCall) -> str:
    return orjson.dumps({"kind": type(message).__name__, **attrs.asdict(message)}).decode()


def read(body: str) -> ToCall:
    """Read what `written` has written. Raises: `ValueError` for a message of another version."""
    try:
        fields = orjson.loads(body)
        return _KINDS[fields.pop("kind")](**fields)
    except (KeyError, TypeError, AttributeError) as exc:
        raise ValueError(f"no message that this version knows: {exc}") from exc


@attrs.frozen
class Letter:
    """A command on its way to another worker: `worker` waits for the answer under `token`."""

    command: Command
    worker: str
    token: str

    def written(self) -> str:
        command = self.command
        plain = {"id": command.id, "by": command.by, "do": command.name}
        return orjson.dumps(
            {"kind": _ASKED, **plain, "fields": attrs.asdict(command.action), "from": self.worker, "token": self.token}
        ).decode()

    @classmethod
    def read(cls, fields: Mapping[str, object]) -> "Letter | CommandAnswer":
        """Read a command; the answer where this version does not know it."""
        try:
            given = cast("Mapping[str, Any]", fields["fields"])
            action = KINDS[str(fields["do"])](**given)
            command = Command(str(fields["id"]), str(fields["by"]), action)
            return cls(command, str(fields["from"]), str(fields["token"]))
        except (KeyError, TypeError, ValueError):
            return refused("the worker that carries the call has another version, and does not know this command")


@attrs.frozen
class Commands:
    intercom: Intercom
    fleet: Fleet

    async def tell(self, call_sid: str, message: ToCall) -> bool:
        """Tell one call something; False if it runs nowhere, as far as is known."""
        if self.intercom.tell(call_sid, message):
            return True
        return bool(call_sid) and await self.fleet.tell(call_sid, written(message))

    async def ask(self, call_sid: str, command: Command, within: float = ANSWER_SECONDS) -> Asked:
        """Give a call a command, and wait for the answer. Cancellation: the command is carried out all the same."""
        here = await self.ask_here(call_sid, command, within)
        return await self._ask_elsewhere(call_sid, command, within) if isinstance(here, NotHere) else here

    async def ask_here(
        self, call_sid: str, command: Command, within: float = ANSWER_SECONDS, phone: Request | None = None
    ) -> Asked:
        """Give a command to a call of this worker; `phone` is the page's, on which the operator takes it over."""
        send, receive = trio.open_memory_channel[CommandAnswer](1)
        with send, receive:
            if not self.intercom.tell(call_sid, CommandGiven(command, send, phone)):
                return NotHere()
            with trio.move_on_after(within):
                return await receive.receive()
        return Pending()

    async def _ask_elsewhere(self, call_sid: str, command: Command, within: float) -> Asked:
        letter = Letter(command, self.fleet.worker, secrets.token_hex(8))
        with self.intercom.expecting(letter.token) as answered:
            if not (call_sid and await self.fleet.tell(call_sid, letter.written())):
                return NotHere()
            with trio.move_on_after(within):
                return await answered.receive()
        return Pending()

    def hear(self, heard: shared.WorkerMessage) -> Later | None:
        fields = json_or(heard.body, None)
        kind = fields.get("kind") if isinstance(fields, dict) else None
        if kind == _ASKED:
            return partial(self._answer, heard.call_sid, fields)
        if kind == _ANSWERED:
            self._take_answer(fields)
        else:
            self._pass_on(heard)
        return None

    def _pass_on(self, heard: shared.WorkerMessage) -> None:
        try:
            message = read(heard.body)
        except ValueError as exc:
            _log.warning("command_unknown", call_sid=heard.call_sid, why=str(exc))
            return
        if not self.intercom.tell(heard.call_sid, message):
            _log.info("command_too_late", call_sid=heard.call_sid, what=type(message).__name__)

    async def _answer(self, call_sid: str, fields: Mapping[str, object]) -> None:
        """Carry out a command that came from another worker, and answer it."""
        letter = Letter.read(fields)
        answer = letter if isinstance(letter, CommandAnswer) else await self.ask_here(call_sid, letter.command)
        if isinstance(answer, NotHere):
            answer = OVER
        if isinstance(answer, CommandAnswer):
            told = {"outcome": answer.outcome.value, "why": answer.why}
            plain = {"kind": _ANSWERED, "token": fields.get("token"), **told}
            await self.fleet.answer(str(fields.get("from")), orjson.dumps(plain).decode())

    def _take_answer(self, fields: Mapping[str, object]) -> None:
        try:
            answer = CommandAnswer(Outcome(fields.get("outcome")), str(fields.get("why", "")))
        except ValueError:
            answer = CommandAnswer(Outcome.FAILED, f"another version answered: {fields.get('outcome')}")
        self.intercom.answer(str(fields.get("token")), answer)
