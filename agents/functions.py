"""The functions of an agent: hand the call on, end it, note something down.

Owns `FunctionSpec` (a function as data), the closed union of what a function may come to (`Outcome`), and the functions
of the shipped roster. A function never touches the call: it returns what should happen, and the Supervisor does it. Bad
arguments are `ArgumentsRefused`, a message to the model; anything else that a handler raises is a bug in the handler.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from typing import Annotated, Final, Literal, TypeAlias

import attrs
import orjson

from agents.arguments import ArgumentsRefused, SchemaRefused, Strictness, read_arguments, schema_of
from agents.context import CallContext, blocking
from agents.kinds import Between
from protocol.deepgram import FunctionDefinition
from protocol.fields import JSON
from protocol.phone_numbers import is_phone_number

__all__ = [
    "END_CONVERSATION", "GOODBYES", "JSON", "MAYBE_DONE", "PASSING_ON", "RECORD_SATISFACTION", "SCHEDULE_FOLLOWUP",
    "Answer", "ArgumentsRefused", "Between", "CallContext", "EndCall", "FunctionFailed", "FunctionSpec", "HandOff",
    "Handler", "Outcome", "SchemaRefused", "TransferToHuman", "blocking", "hand_back",
    "handoff_to_next_agent", "transfer_to_human",
]  # fmt: skip


PASSING_ON: Final = (
    *("put you through", "putting you through", "connect you", "connecting you", "transfer you", "transferring you"),
    *("hand you over", "handing you over", "pass you on", "passing you on", "pass you over", "patch you through"),
    *("bring them in", "bring in our", "bring in an", "bring in the", "get them on the line"),
)
"""How an agent says that somebody else is about to have the caller."""
PASSING_BACK: Final = (
    *("put you back", "putting you back", "hand you back", "handing you back", "pass you back", "passing you back"),
    *("take you back to", "bring you back to", "get them back on the line"),
)
"""How an agent says that the caller goes back to the one before."""
GOODBYES: Final = (
    *("goodbye", "good bye", "bye", "have a good day", "have a great day", "have a nice day", "end the call"),
    *("have a good evening", "have a good one", "hang up now", "ending the call", "end this call", "let you go now"),
    *("have a wonderful day", "have a lovely day", "disconnect now", "hangup tool", "end conversation"),
)
"""How an agent says that the call is over."""


MAYBE_DONE: Final = (
    "It may have been done or not: do not call it again for this. Say that you will have it checked, and go on."
)
"""Tells a model of what cannot be taken back, and whose end is not known."""


class FunctionFailed(Exception):
    """Raised by a handler that cannot do its work: the sentence is told to the model, and `cause` to the journal."""

    def __init__(self, says: str, cause: str = "") -> None:
        super().__init__(says)
        self.says = says
        self.cause = cause


@attrs.frozen
class Answer:
    """The call goes on: `content` is told to the model, as JSON or as it is; `facts` are kept for the Brief."""

    content: JSON
    facts: Mapping[str, str] = attrs.field(factory=dict[str, str])

    def text(self) -> str:
        """Write the content as the string that the wire wants."""
        if isinstance(self.content, str) and self.content.strip():  # some models refuse an empty text
            return self.content
        return orjson.dumps(self.content).decode()


@attrs.frozen
class HandOff:
    """Another agent should take the call; `back`: the one that handed it over, which goes on with its conversation."""

    to: str
    reason: str
    notes: str = ""
    back: bool = False

    @property
    def facts(self) -> Mapping[str, str]:
        return _said(handoff_reason=self.reason, handoff_notes=self.notes)


@attrs.frozen
class EndCall:
    """The goodbye has been said: hang up once the caller has heard it."""

    reason: str

    @property
    def facts(self) -> Mapping[str, str]:
        return {"end_reason": self.reason}


@attrs.frozen
class TransferToHuman:
    """A person should take the call, once the caller has heard that they are put through; `number` if not the usual."""

    reason: str
    notes: str = ""
    number: str = ""

    @property
    def facts(self) -> Mapping[str, str]:
        return _said(transfer_reason=self.reason, transfer_notes=self.notes)


Outcome: TypeAlias = Answer | HandOff | EndCall | TransferToHuman
Handler: TypeAlias = Callable[..., Awaitable[Outcome]]


@attrs.frozen
class FunctionSpec:
    """One function of an agent, as data; `deadline` is in seconds.

    `leads_to` names the agent to which the handler may return a `HandOff`, `leads_back` says that it may return one
    that goes `back`, `ends_call` that it may return an `EndCall`: the roster proves with them that every call can end.
    `human` is there if it may return a `TransferToHuman`: the person's number, or empty for the usual one, which there
    must be then.

    `strict` refuses arguments that the class does not have, instead of leaving them out: by default what cannot be
    taken back (`defer_until_eot`) is strict. A function that ends the call or hands it on is not: it is done even if
    its words are odd. `announced_by` are phrases by which an agent tells the caller that it is about to do this
    (`agents/announcing.py`): said without a call of the function, they do nothing.
    """

    name: str
    description: str
    arguments: type[object]
    handler: Handler
    defer_until_eot: bool = False
    deadline: float = 10.0
    leads_to: str = attrs.field(default="", kw_only=True)
    leads_back: bool = attrs.field(default=False, kw_only=True)
    ends_call: bool = attrs.field(default=False, kw_only=True)
    human: str | None = attrs.field(default=None, kw_only=True)
    announced_by: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    strict: bool = attrs.field(
        default=attrs.Factory(lambda spec: spec.defer_until_eot and spec.acts, takes_self=True), kw_only=True
    )

    def definition(self) -> FunctionDefinition:
        """Return the function as Settings declare it. *Raises* `SchemaRefused`."""
        return self._definition

    @cached_property
    def _definition(self) -> FunctionDefinition:
        return FunctionDefinition(
            name=self.name,
            description=self.description,
            parameters=schema_of(self.arguments),
            defer_until_eot=self.defer_until_eot,
        )

    def parse(self, arguments_json: str) -> object:
        """Read what the model sent into the argument class. *Raises* `ArgumentsRefused`."""
        return self.read(arguments_json)[0]

    def read(self, arguments_json: str) -> tuple[object, tuple[str, ...]]:
        """Read what the model sent; return it, and what was odd about it. *Raises* `ArgumentsRefused`."""
        lenient = Strictness.TOLERANT if self.acts else Strictness.FORGIVING
        strictness = Strictness.STRICT if self.strict else lenient
        return read_arguments(self.arguments, arguments_json, strictness)

    @property
    def acts(self) -> bool:
        """Whether the handler has effects of its own, besides an outcome for the call."""
        return not (self.leads_to or self.leads_back or self.ends_call or self.human is not None)

    def has_handler(self) -> bool:
        """Say whether there is something that can be awaited, in decorators that return what it returns, too."""
        entries = (self.handler, inspect.unwrap(self.handler), type(self.handler).__call__)
        return any(map(inspect.iscoroutinefunction, entries))


@attrs.frozen
class HandoffArguments:
    """Sent by the model with `handoff_to_next_agent`."""

    reason: Annotated[str, "Why the customer should speak to the next agent, in one short sentence"]
    notes: Annotated[str, "What the next agent should know and the customer said; leave out what was not said"] = ""


EndReason: TypeAlias = Literal["customer_goodbye", "task_complete", "customer_request", "not_interested"]


@attrs.frozen
class EndArguments:
    """Sent by the model with `end_conversation`."""

    reason: Annotated[
        EndReason,
        "customer_goodbye: they said goodbye; task_complete: everything is done; "
        "customer_request: they asked to stop or to be called later; not_interested: they declined",
    ]


@attrs.frozen
class TransferArguments:
    """Sent by the model with `transfer_to_human`."""

    reason: Annotated[str, "Why the customer wants or needs a person, in one short sentence"]
    notes: Annotated[str, "What the person should know and the customer said; leave out what was not said"] = ""


@attrs.frozen
class FollowupArguments:
    """Sent by the model with `schedule_followup`."""

    preferred_timeframe: Annotated[str, "When, in the customer's own words, such as: next Wednesday afternoon"]
    notes: Annotated[str, "Anything else the customer asked for about the meeting; leave out if nothing"] = ""


@attrs.frozen
class SatisfactionArguments:
    """Sent by the model with `record_satisfaction`."""

    rating: Annotated[int, "The rating the customer gave, from one to five. Never guess or convert it", Between(1, 5)]
    feedback: Annotated[str, "What the customer added, in their own words; leave out if nothing"] = ""


def handoff_to_next_agent(to: str, *, name: str = "handoff_to_next_agent", when: str = "") -> FunctionSpec:
    """Make the function that hands the call to agent `to`; a second target needs a `name` of its own."""

    async def hand_off(arguments: HandoffArguments, context: CallContext) -> Outcome:  # noqa: ARG001
        return HandOff(to=to, reason=arguments.reason, notes=arguments.notes)

    situation = when or "the customer agreed to speak to the next person"
    return FunctionSpec(
        name=name,
        description=f"Hands the call to the {to}. Call it when {situation}, right after their clear yes to your offer, "
        "in a turn of its own with no words before or after it. Never call it before the customer said yes.",
        arguments=HandoffArguments,
        handler=hand_off,
        defer_until_eot=True,
        leads_to=to,
        announced_by=PASSING_ON,
    )


def hand_back(*, name: str = "hand_back", when: str = "") -> FunctionSpec:
    """Make the function that hands the call back to the agent that had it before."""

    async def give_back(arguments: HandoffArguments, context: CallContext) -> Outcome:
        if not context.before:
            return Answer({"error": "Nobody had the customer before you. Go on yourself."})
        return HandOff(to=context.before, reason=arguments.reason, notes=arguments.notes, back=True)

    situation = when or "your part is done, or the customer wants what the colleague before you was there for"
    return FunctionSpec(
        name=name,
        description=f"Hands the call back to the colleague who had it before you. Call it when {situation}, in a turn "
        "of its own with no words before or after it. In `notes` put what the customer said and what you have done.",
        arguments=HandoffArguments,
        handler=give_back,
        defer_until_eot=True,
        leads_back=True,
        announced_by=PASSING_BACK,
    )


def transfer_to_human(number: str = "", *, name: str = "transfer_to_human", when: str = "") -> FunctionSpec:
    """Make the function that puts the call through to a person.

    The person is at `number` (E.164), or where none is given at TRANSFER_PHONE_NUMBER.

    *Raises* `ValueError` for anything but a phone number.
    """
    if number and not is_phone_number(number):
        raise ValueError(f"{number!r} is not a phone number in E.164: write + and 7 to 15 digits")

    async def transfer(arguments: TransferArguments, context: CallContext) -> Outcome:  # noqa: ARG001
        return TransferToHuman(reason=arguments.reason, notes=arguments.notes, number=number)

    situation = when or "the customer asks for a person, or needs something that only a person can do"
    return FunctionSpec(
        name=name,
        description=f"Puts the call through to a person. Call it when {situation}: say one short sentence that you put "
        "them through, then call it in the same turn. If it is answered with an error, nobody could be reached: say so "
        "and go on yourself. Never promise that somebody will answer.",
        arguments=TransferArguments,
        handler=transfer,
        defer_until_eot=True,
        human=number,
        announced_by=PASSING_ON,
    )


async def _end(arguments: EndArguments, context: CallContext) -> Outcome:  # noqa: ARG001
    return EndCall(reason=arguments.reason)


async def _note_followup(arguments: FollowupArguments, context: CallContext) -> Outcome:  # noqa: ARG001
    when = arguments.preferred_timeframe
    return Answer(
        content={
            "recorded": True,
            "preferred_timeframe": when,
            "confirmed": False,
            "confirmation": "a person will call",
        },
        facts=_said(next_step=f"formal consultation, preferred time: {when}", followup_notes=arguments.notes),
    )


async def _note_satisfaction(arguments: SatisfactionArguments, context: CallContext) -> Outcome:  # noqa: ARG001
    return Answer(
        content={"recorded": True, "rating": arguments.rating},
        facts=_said(rating=f"{arguments.rating} out of 5", feedback=arguments.feedback),
    )


def _said(**facts: str) -> dict[str, str]:
    return {name: value for name, value in facts.items() if value}


END_CONVERSATION: Final = FunctionSpec(
    name="end_conversation",
    description="Ends the phone call. Say goodbye aloud first, then call it right after the goodbye, in the same turn. "
    "Never call it without a goodbye, and never while the customer is waiting for an answer.",
    arguments=EndArguments,
    handler=_end,
    defer_until_eot=True,
    ends_call=True,
    announced_by=GOODBYES,
)

SCHEDULE_FOLLOWUP: Final = FunctionSpec(
    name="schedule_followup",
    description="Notes when the customer would like the formal consultation. Call it as soon as the customer names "
    "or accepts a time, in the same turn as your spoken acknowledgement, and again only if they change it. Do not call "
    "it if they decline.",
    arguments=FollowupArguments,
    handler=_note_followup,
    defer_until_eot=True,
    announced_by=("put you down for", "noted", "note that down", "made a note", "write that down", "pencil you in"),
)

RECORD_SATISFACTION: Final = FunctionSpec(
    name="record_satisfaction",
    description="Notes the customer's rating of this conversation. Call it once, as soon as they give a rating "
    "from one to five, in the same turn as your spoken thanks. Do not call it if they decline to rate.",
    arguments=SatisfactionArguments,
    handler=_note_satisfaction,
    strict=True,
    announced_by=("noted your rating", "recorded your rating", "note your rating", "record your rating"),
)
