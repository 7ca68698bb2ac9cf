"""An operator's commands as they are asked for from outside: read, checked, and given to the call.

`read_action` reads the body of a request, strictly, and says everything that is wrong with it (`OrderError`).
`operate` gives a command to the call, wherever it runs, and says what became of it: also of a call that is over, or was
never there. It raises what the records do. An operator's hang-up is at once, or with a goodbye that is heard.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import attrs
import trio

from actors.commands import KINDS, OVER, Action, Command, CommandAnswer, GiveBack, answer_of, failed, refused
from actors.messages import CloseCall, EndCallNow
from agents.context import LONGEST_SENTENCE
from protocol.phone_numbers import is_phone_number
from protocol.twilio import twiml
from store.calls import readable_record
from store.records import TRANSFERRING, CallRecord
from web.calls.admission import BACK_SECONDS, CallText
from web.calls.commands import Asked, NotHere, Pending
from web.calls.context import AppContext
from web.calls.orders import OrderError, OrderProblem, object_of, unknown_fields
from web.calls.returning import Returns
from web.clients.twilio import LineError

LONGEST_FACT: Final = 1000
LONGEST_PROMPT: Final = 20_000
LOOK_SECONDS: Final = 0.25
LONGEST_BY: Final = 100

_TEXTS: Final[Mapping[str, tuple[int, str]]] = {
    "say": (LONGEST_SENTENCE, "We will call you back within the hour."),
    "whisper": (LONGEST_FACT, "The order was delivered this morning."),
    "prompt": (LONGEST_PROMPT, "You are Alex. Only take the address, and say goodbye."),
}
"""How long the text of a command may be, and an example."""


def _fields_of(name: str) -> tuple[str, ...]:
    return (*(field.name for field in attrs.fields(KINDS[name])), "by")


def _wrong(field: str, value: object, agents: Collection[str]) -> tuple[str, str] | None:
    """Return what is wrong with a field that is no text, and how it is mended."""
    text = value if isinstance(value, str) else None
    match field:
        case "to" if text not in [*agents]:
            return "is no agent that there is", f"Write one of {', '.join(sorted(agents))}."
        case "how" if text not in {"", "hard", "soft"}:
            return "is not hard or soft", "Write one of them, or leave it out: as the roster has it."
        case "number" if text is None or (text and not is_phone_number(text)):
            fix = 'Write + and 7 to 15 digits: "+15557650000"; or leave it out for the usual person.'
            return "is not a phone number in E.164", fix
        case "by" if text is None or len(text) > LONGEST_BY or not (text or "-").isprintable():
            return f"is not a name of at most {LONGEST_BY} characters", 'Write "ana", or leave it out.'
        case _:
            return None


def _wrong_text(name: str, field: str, value: object) -> tuple[str, str] | None:
    longest, example = _TEXTS[name] if field == "text" else (LONGEST_FACT, "has called twice")
    if not isinstance(value, str) or (field == "text" and not any(map(str.isalnum, value))):
        return "is not a text", f'Write "{example}".'
    return (f"is longer than {longest} characters", "Write it shorter.") if len(value) > longest else None


def _problems(name: str, given: Mapping[str, object], agents: Collection[str]) -> Iterator[OrderProblem]:
    yield from unknown_fields(given, _fields_of(name), "")
    for field in _fields_of(name):
        value, is_text = given.get(field, ""), field in {"text", "reason", "notes"}
        if (wrong := _wrong_text(name, field, value) if is_text else _wrong(field, value, agents)) is not None:
            yield OrderProblem(field, "is missing" if field not in given else wrong[0], wrong[1])


def read_action(name: str, body: bytes, agents: Collection[str] = ()) -> tuple[Action, str]:
    """Read what a request for a command asks for, and who says to ask. Raises: `OrderError`, with every mistake."""
    given = object_of(body, "Write a JSON object.")
    if problems := tuple(_problems(name, given, agents)):
        raise OrderError(problems)
    *fields, by = ((field, str(given.get(field, ""))) for field in _fields_of(name))
    has_lines = name == "prompt"
    texts: dict[str, Any] = {field: text.strip() if has_lines else " ".join(text.split()) for field, text in fields}
    return KINDS[name](**texts), by[1]


async def operate(context: AppContext, call_sid: str, command: Command) -> Asked:
    """Give a command to a call. `NotHere`: no such call goes on, or ever did. Raises: `OSError`."""
    asked = await context.commands.ask(call_sid, command)
    if not isinstance(asked, NotHere):
        return asked
    record = await readable_record(context.services.records, call_sid)
    if record is not None and record.outcome == TRANSFERRING and isinstance(command.action, GiveBack):
        return await _call_back(context, record, command)
    return asked if record is None else _afterwards(record, command)


async def _call_back(context: AppContext, record: CallRecord, command: Command) -> Asked:
    """Have the line connect a call that an operator has taken over; its next stream answers the command."""
    call_sid, texts = record.call_sid, context.admissions
    if await texts.tokens.take(CallText.TAKE_OVER.of(call_sid)) is None:
        return refused("nobody has taken this call over, or somebody gives it back already")
    await texts.drop(call_sid, CallText.TRANSFER)
    document = await Returns(context).call_back(record, command)
    await texts.put(call_sid, CallText.GIVE_BACK, document)
    try:
        await context.line.redirect(call_sid, document)
    except LineError as exc:
        await texts.drop(call_sid, CallText.GIVE_BACK)
        await texts.put(call_sid, CallText.TAKE_OVER)
        return failed(f"the line did not connect the call: {exc.reason}")
    with trio.move_on_after(BACK_SECONDS):
        while True:
            asked = await context.commands.ask(call_sid, command)
            if not isinstance(asked, NotHere):
                return asked
            await trio.sleep(LOOK_SECONDS)
    return failed(f"the line was told, and no stream has come within {BACK_SECONDS:g} s")


def _afterwards(record: CallRecord, command: Command) -> CommandAnswer | Pending:
    """Answer for a call that is over: as it did itself, if it had this command."""
    wanted = command.wanted
    known = next((one for one in record.commands if one.id == command.id), None)
    return answer_of(known) if known is not None and (known.command, known.fields) == wanted else OVER


BY_OPERATOR = "ended_by_operator"
"""The outcome of a call that an operator has ended."""


async def hang_up_at_once(context: AppContext, call_sid: str) -> str:
    """End a call at once, for an operator; return what Twilio will say of it.

    The call is told, on whichever worker it runs, so that its record says who ended it; the network ends it then.

    *Raises* `LineError`.
    """
    await context.commands.tell(call_sid, EndCallNow(BY_OPERATOR))
    if not context.live_calls.news_of(call_sid).is_pages:
        await context.line.hang_up(call_sid)
    return "completed"


async def hang_up_politely(context: AppContext, call_sid: str) -> str:
    """Have a closing sentence said and the call ended; return how the call goes until then.

    A call that cannot be told (its worker shares no database with this one) is reached by the network alone: Twilio
    says the sentence then. *Raises* `LineError`.
    """
    if await context.commands.tell(call_sid, CloseCall(BY_OPERATOR)):
        return "in-progress"
    call = context.live_calls.news_of(call_sid)
    if call.is_pages or await context.line.status_of(call_sid) != "in-progress":
        return await hang_up_at_once(context, call_sid)  # nobody has picked up yet
    says = await Returns(context).sentences_of(call_sid, call.direction, call.line)
    await context.line.redirect(call_sid, twiml.say_and_end(says.closing, says.language))
    return "in-progress"
