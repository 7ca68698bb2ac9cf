"""An operator's commands as they are asked for from outside: read, checked, and given to the call.

`read_command` reads the body of a request, strictly, and says everything that is wrong with it (`CommandError`).
`Operating` gives a command to the call, wherever it runs, and says what became of it: also of a call that is over, or
was never there. It raises what the records do.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias

import attrs
import orjson

from actors.commands import KINDS, OVER, Action, Answer, Command, Say, Wanted, Whisper, answer_of
from store.records import CallRecord, RecordError
from web.calls.commands import Asked, NotHere, Pending
from web.calls.context import AppContext
from web.calls.orders import OrderError, OrderProblem, unknown_fields

LONGEST_SENTENCE: Final = 500
LONGEST_FACT: Final = 1000
LONGEST_BY: Final = 100

Check: TypeAlias = Callable[[Mapping[str, object]], Iterator[OrderProblem]]


@attrs.frozen
class Form:
    """The body of one kind of command: its fields, what is wrong with them, and what it asks for."""

    fields: tuple[str, ...]
    problems: Check
    action: Callable[[Mapping[str, str]], Action]


def _text(field: str, longest: int, example: str) -> Check:
    def problems(given: Mapping[str, object]) -> Iterator[OrderProblem]:
        text = given.get(field)
        if not isinstance(text, str) or not text.strip():
            yield OrderProblem(field, "is missing" if field not in given else "is not a text", f'Write "{example}".')
        elif len(text) > longest:
            yield OrderProblem(field, f"is longer than {longest} characters", "Write it shorter.")

    return problems


FORMS: Final[Mapping[str, Form]] = {
    "say": Form(
        ("text",),
        _text("text", LONGEST_SENTENCE, "We will call you back within the hour."),
        lambda given: Say(" ".join(given["text"].split())),
    ),
    "whisper": Form(
        ("text",),
        _text("text", LONGEST_FACT, "The order was delivered this morning."),
        lambda given: Whisper(" ".join(given["text"].split())),
    ),
}
"""By the command's name; every kind there is has one."""
assert FORMS.keys() == KINDS.keys()  # noqa: S101 - a command that nobody can ask for


def _by_problems(given: Mapping[str, object]) -> Iterator[OrderProblem]:
    by = given.get("by", "")
    if not isinstance(by, str) or len(by) > LONGEST_BY or not (by or "-").isprintable():
        yield OrderProblem("by", f"is not a name of at most {LONGEST_BY} characters", 'Write "ana", or leave it out.')


def read_action(name: str, body: bytes) -> tuple[Action, str]:
    """Read the body of a request for a command; return what it asks for, and who says to ask.

    Raises: `OrderError`, with every mistake.
    """
    form = FORMS[name]
    try:
        given = orjson.loads(body) if body.strip() else {}
    except orjson.JSONDecodeError as exc:
        raise OrderError((OrderProblem("body", f"is not JSON: {exc}", "Write a JSON object."),)) from exc
    if not isinstance(given, dict):
        raise OrderError((OrderProblem("body", "is not an object", "Write a JSON object."),))
    known = (*form.fields, "by")
    problems = (*unknown_fields(given, known, ""), *form.problems(given), *_by_problems(given))
    if problems:
        raise OrderError(problems)
    texts = {field: str(given.get(field, "")) for field in form.fields}
    return form.action(texts), str(given.get("by", ""))


@attrs.frozen
class Operating:
    """The commands to the calls of one application."""

    context: AppContext

    async def ask(self, call_sid: str, command: Command) -> Asked:
        """Give a command to a call, and say what became of it.

        `NotHere`: no such call goes on, or ever did. Raises: `OSError`.
        """
        asked = await self.context.commands.ask(call_sid, command)
        if not isinstance(asked, NotHere):
            return asked
        record = await self._record_of(call_sid)
        return asked if record is None else _afterwards(record, command)

    async def _record_of(self, call_sid: str) -> CallRecord | None:
        try:
            return await self.context.services.records.get(call_sid)
        except RecordError:
            return None


def _afterwards(record: CallRecord, command: Command) -> Answer | Pending:
    """Answer for a call that is over: as it did itself, if it had this command."""
    wanted = Wanted.of(command)
    known = next((one for one in record.commands if one.id == command.id), None)
    return answer_of(known) if known is not None and Wanted(known.command, known.fields) == wanted else OVER
