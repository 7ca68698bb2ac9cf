"""Running calls, whichever worker carries them: seen, told something, and asked by an operator to do something.

`Commands.tell` tells a call here by the intercom, and a call elsewhere by its worker, which is asked to: it hears so at
once, or within a second where a notification is lost. `Commands.ask` does the same with an operator's command, and
waits until that is decided; `Commands.hear` and `Commands.answer` are the other worker's part. A message of a newer
server that this one does not know is logged and does nothing; a command that it does not know is refused.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias, cast, get_args

import attrs
import trio

from actors.commands import KINDS, OVER, Command, CommandAnswer, CommandGiven, Outcome, refused
from actors.endings.intercom import Intercom
from actors.messages import ToCall
from actors.supervision import Request
from store.calls import DatabaseUnavailable
from store.fleet.shared import TELL, Answers, Fleet, Question

ANSWER_SECONDS = 60.0
"""For a call to decide a command: longer than any command of `actors/operator.py` takes."""
TELL_SECONDS = 3.0
"""For the worker of a call to have told it something."""

_KINDS: Mapping[str, type[ToCall]] = {kind.__name__: kind for kind in get_args(ToCall) if kind is not CommandGiven}
COMMAND = "command"
"""The kind of question that a command to a call of another worker is."""


@attrs.frozen
class Pending:
    """The call has the command and has not decided it: asked again under the same id, it tells."""


@attrs.frozen
class NotHere:
    """No call of this name goes on, as far as is known."""


Asked: TypeAlias = CommandAnswer | Pending | NotHere


def plain_message(message: ToCall) -> Mapping[str, object]:
    return {"kind": type(message).__name__, **attrs.asdict(message)}


def read_message(about: object) -> ToCall:
    """Read what `plain_message` has made. Raises: `ValueError` for a message of another version."""
    try:
        fields = dict(cast("Mapping[str, Any]", about))
        return _KINDS[fields.pop("kind")](**fields)
    except (KeyError, TypeError) as exc:
        raise ValueError(f"no message that this version knows: {exc}") from exc


def plain_command(command: Command) -> Mapping[str, object]:
    fields = attrs.asdict(command.action)
    return {"id": command.id, "by": command.by, "do": command.name, "fields": fields}


def read_command(about: object) -> Command | CommandAnswer:
    """Read what `plain_command` of any version has made; the answer where this version does not know it."""
    try:
        plain = cast("Mapping[str, Any]", about)
        return Command(str(plain["id"]), str(plain["by"]), KINDS[str(plain["do"])](**plain["fields"]))
    except (KeyError, TypeError, ValueError):
        return refused("the worker that carries the call has another version, and does not know this command")


def _read_answer(answer: object) -> CommandAnswer | Pending:
    if answer is None:
        return Pending()
    try:
        told = cast("Mapping[str, Any]", answer)
        return CommandAnswer(Outcome(told["outcome"]), str(told["why"]))
    except (KeyError, TypeError, ValueError):
        return CommandAnswer(Outcome.FAILED, f"another version answered: {answer}")


@attrs.frozen
class Commands:
    intercom: Intercom
    fleet: Fleet

    async def tell(self, call_sid: str, message: ToCall) -> bool:
        """Tell one call something; False if it runs nowhere, as far as is known."""
        if self.intercom.tell(call_sid, message):
            return True
        answers = await self._ask_worker(TELL, plain_message(message), call_sid, TELL_SECONDS)
        return answers is not None and True in answers.given

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
        answers = await self._ask_worker(COMMAND, plain_command(command), call_sid, within)
        if answers is None or not (answers.given or answers.silent):
            return NotHere()
        if not answers.given:
            return Pending()
        return _read_answer(answers.given[0])

    async def _ask_worker(self, kind: str, about: object, call_sid: str, within: float) -> Answers | None:
        """Ask the worker that carries a call; None where that cannot be."""
        if not call_sid:
            return None
        try:
            return await self.fleet.ask(Question(kind, about, call_sid), within)
        except DatabaseUnavailable:
            return None

    async def answer(self, call_sid: str, about: object) -> object:
        """Carry out a command that came from another worker; return the answer, or None while it is not decided."""
        command = read_command(about)
        answer = await self.ask_here(call_sid, command) if isinstance(command, Command) else command
        if isinstance(answer, NotHere):
            answer = OVER
        return None if isinstance(answer, Pending) else {"outcome": answer.outcome.value, "why": answer.why}

    async def hear(self, call_sid: str, about: object) -> object:
        """Tell a call here what another worker asks to; return whether it runs. Raises: `ValueError`."""
        await trio.lowlevel.checkpoint()
        return self.intercom.tell(call_sid, read_message(about))
