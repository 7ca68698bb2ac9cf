"""The free slots of a day, asked of an HTTP service."""

from enum import Enum
from typing import Annotated

import attrs
import httpx
from agents.functions import Answer, CallContext, FunctionFailed, FunctionSpec, Outcome


class Day(Enum):
    """A day on which Acme delivers."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"


@attrs.frozen
class SlotArguments:
    """Sent by the model with `find_slots`."""

    day: Annotated[Day, "The day that the customer named. Never guess it"]


async def find_slots(arguments: SlotArguments, context: CallContext) -> Outcome:
    """Ask the service which slots are free."""
    day = arguments.day.value
    try:
        answer = await context.http.get(f"{context.env['ACME_URL']}/slots", params={"day": day})
        answer.raise_for_status()
        slots = answer.json()
    except (httpx.HTTPError, ValueError) as error:  # no answer, or one that is no JSON
        raise FunctionFailed("The slots cannot be looked up now.", type(error).__name__) from error
    return Answer(slots, facts={"preferences": f"delivery on {day}"})


FIND_SLOTS = FunctionSpec(
    name="find_slots",
    description="Looks up the free times of a day. Call it as soon as the customer has named a day, without a word.",
    arguments=SlotArguments,
    handler=find_slots,
    deadline=6.0,
)


def stand_in(request: httpx.Request) -> httpx.Response:
    """Answer in the place of the service: in the demo, and in tests."""
    slots = {"tuesday": ["nine to eleven", "two to four"], "thursday": ["ten to twelve"]}
    return httpx.Response(200, json={"slots": slots.get(request.url.params["day"], [])})
