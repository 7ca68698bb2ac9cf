"""An operator's commands as they are asked for from outside: read, checked, and given to the call.

`read_action` reads the body of a request, strictly, and says everything that is wrong with it (`OrderError`).
`operate` gives a command to the call, wherever it runs, and says what became of it: also of a call that is over, or was
never there. It raises what the records do. An operator's hang-up is at once, or with a goodbye that is heard.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final, TypeAlias

import trio

from actors.commands import KINDS, OVER, Action, Command, CommandAnswer, GiveBack, answer_of, failed, refused, wanted_by
from actors.endings.transfer import say_and_end
from actors.messages import CloseCall, EndCallNow
from agents.context import LONGEST_SENTENCE
from protocol.phone_numbers import is_phone_number
from store.calls import readable_record
from store.records import TRANSFERRING, CallRecord
from web.calls.commands import Asked, NotHere, Pending
from web.calls.context import AppContext
from web.calls.ending import LONGEST_TALK
from web.calls.orders import OrderError, OrderProblem, object_of, unknown_fields
from web.calls.page_calls import is_page_call
from web.calls.returning import Returns, give_back_token, take_over_token
from web.clients.twilio_api import LineError

LONGEST_FACT: Final = 1000
LONGEST_PROMPT: Final = 20_000
BACK_SECONDS: Final = 20.0
"""For a call that is given back to have its next stream."""
LOOK_SECONDS: Final = 0.25
LONGEST_BY: Final = 100

Check: TypeAlias = Callable[[Mapping[str, object], Collection[str]], Iterator[OrderProblem]]
"""Yields the problems of one field of a body; the second argument is the agents of the roster."""


def _text(field: str, longest: int, example: str, *, is_needed: bool = True) -> Check:
    def problems(given: Mapping[str, object], _agents: Collection[str]) -> Iterator[OrderProblem]:
        text = given.get(field, "")
        if not isinstance(text, str) or (is_needed and not text.strip()):
            yield OrderProblem(field, "is missing" if field not in given else "is not a text", f'Write "{example}".')
        elif len(text) > longest:
            yield OrderProblem(field, f"is longer than {longest} characters", "Write it shorter.")

    return problems


def _agent(given: Mapping[str, object], agents: Collection[str]) -> Iterator[OrderProblem]:
    if given.get("to") not in [*agents]:  # nor what cannot be looked up in a set, as a list
        wrong = "is missing" if "to" not in given else "is no agent that there is"
        yield OrderProblem("to", wrong, f"Write one of {', '.join(sorted(agents))}.")


def _how(given: Mapping[str, object], _agents: Collection[str]) -> Iterator[OrderProblem]:
    if given.get("how", "") not in ("", "hard", "soft"):
        yield OrderProblem("how", "is not hard or soft", "Write one of them, or leave it out: as the roster has it.")


def _number(given: Mapping[str, object], _agents: Collection[str]) -> Iterator[OrderProblem]:
    number = given.get("number", "")
    if not isinstance(number, str) or (number and not is_phone_number(number)):
        fix = 'Write + and 7 to 15 digits: "+15557650000"; or leave it out for the usual person.'
        yield OrderProblem("number", "is not a phone number in E.164", fix)


_REASON: Final = _text("reason", LONGEST_FACT, "wants to cancel", is_needed=False)
_NOTES: Final = _text("notes", LONGEST_FACT, "has called twice", is_needed=False)


def _by(given: Mapping[str, object], _agents: Collection[str]) -> Iterator[OrderProblem]:
    by = given.get("by", "")
    if not isinstance(by, str) or len(by) > LONGEST_BY or not (by or "-").isprintable():
        yield OrderProblem("by", f"is not a name of at most {LONGEST_BY} characters", 'Write "ana", or leave it out.')


CHECKS: Final[Mapping[str, Mapping[str, Check]]] = {
    "say": {"text": _text("text", LONGEST_SENTENCE, "We will call you back within the hour.")},
    "whisper": {"text": _text("text", LONGEST_FACT, "The order was delivered this morning.")},
    "prompt": {"text": _text("text", LONGEST_PROMPT, "You are Alex. Only take the address, and say goodbye.")},
    "handoff": {"to": _agent, "reason": _REASON, "notes": _NOTES, "how": _how},
    "restart": {},
    "transfer": {"number": _number, "reason": _REASON, "notes": _NOTES},
    "take-over": {"number": _number},
    "give-back": {},
}
"""The fields of each command's body, besides `by`."""
assert CHECKS.keys() == KINDS.keys()  # noqa: S101 - a command that nobody can ask for


def read_action(name: str, body: bytes, agents: Collection[str] = ()) -> tuple[Action, str]:
    """Read what a request for a command asks for, and who says to ask. Raises: `OrderError`, with every mistake."""
    given = object_of(body, "Write a JSON object.")
    checks = {**CHECKS[name], "by": _by}
    found = (problem for check in checks.values() for problem in check(given, agents))
    if problems := (*unknown_fields(given, (*checks,), ""), *found):
        raise OrderError(problems)
    written = {field: str(given.get(field, "")) for field in CHECKS[name]}
    has_lines = name == "prompt"
    texts: dict[str, Any] = {
        field: text.strip() if has_lines else " ".join(text.split()) for field, text in written.items()
    }
    return KINDS[name](**texts), str(given.get("by", ""))


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
    call_sid, texts = record.call_sid, context.admissions.tokens
    if await texts.take(take_over_token(call_sid)) is None:
        return refused("nobody has taken this call over, or somebody gives it back already")
    await texts.drop(f"transfer {call_sid}")
    document = await Returns(context).call_back(record, command)
    await texts.put(give_back_token(call_sid), document.encode(), BACK_SECONDS)
    try:
        await context.line.redirect(call_sid, document)
    except LineError as exc:
        await texts.drop(give_back_token(call_sid))
        await texts.put(take_over_token(call_sid), b"", LONGEST_TALK)
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
    wanted = wanted_by(command)
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
    if not is_page_call(context.live_calls.find(call_sid)):
        await context.line.hang_up(call_sid)
    return "completed"


async def hang_up_politely(context: AppContext, call_sid: str) -> str:
    """Have a closing sentence said and the call ended; return how the call goes until then.

    A call that cannot be told (its worker shares no database with this one) is reached by the network alone: Twilio
    says the sentence then. *Raises* `LineError`.
    """
    if await context.commands.tell(call_sid, CloseCall(BY_OPERATOR)):
        return "in-progress"
    if is_page_call(context.live_calls.find(call_sid)) or await context.line.status_of(call_sid) != "in-progress":
        return await hang_up_at_once(context, call_sid)  # nobody has picked up yet
    await context.line.redirect(call_sid, say_and_end(context.services.policy.wording.closing))
    return "in-progress"
