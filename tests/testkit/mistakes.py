"""A roster with five planted mistakes, each in a part of its own, and the same without them."""

import asyncio  # noqa: TID251 - the mistake
import time
from typing import NoReturn, cast

import attrs
import trio

from agents.functions import (
    END_CONVERSATION,
    Answer,
    CallContext,
    EndCall,
    FunctionFailed,
    FunctionSpec,
    HandOff,
    Outcome,
    TransferToHuman,
    handoff_to_next_agent,
)
from agents.roster import Roster, load_roster
from agents.spec import AgentSpec
from testkit import answers, calls, conversation, says


@attrs.frozen
class Order:
    """What the model gives to `look_up`."""

    number: str = ""


async def look_up(arguments: Order, context: CallContext) -> Outcome:
    await trio.sleep(0.4)
    return Answer({"state": "on its way"}, {"order": arguments.number})


async def look_up_and_block(arguments: Order, context: CallContext) -> Outcome:
    time.sleep(0.3)  # noqa: ASYNC251 - the mistake
    return Answer({"state": "on its way"}, {"order": arguments.number})


async def look_up_and_forget(arguments: Order, context: CallContext) -> Outcome:
    await trio.sleep(0.4)
    return Answer({"state": "on its way"})


async def look_up_and_block_below(arguments: Order, context: CallContext) -> Outcome:
    async def block() -> None:
        time.sleep(0.5)  # noqa: ASYNC251 - the mistake

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep, 0.1)
        nursery.start_soon(block)
    return Answer({"state": "on its way"}, {"order": arguments.number})


async def look_up_and_catch_all(arguments: Order, context: CallContext) -> Outcome:
    while True:
        try:
            await trio.sleep(1.0)
        except BaseException:  # noqa: BLE001, S112, ASYNC103 - the mistake
            continue  # noqa: ASYNC104 - the mistake


async def look_up_and_catch_all_within_a_scope(arguments: Order, context: CallContext) -> Outcome:
    while True:
        try:
            with trio.move_on_after(10.0):
                await trio.sleep(1.0)
        except:  # noqa: E722, S110, ASYNC103 - the mistake
            pass


async def look_up_and_raise(arguments: Order, context: CallContext) -> Outcome:
    raise KeyError("order")


async def look_up_and_make_a_group(arguments: Order, context: CallContext) -> Outcome:
    raise ExceptionGroup("both", [KeyError("order"), FunctionFailed("No.")])


class _Unread(dict[str, str]):
    def items(self) -> NoReturn:
        raise LookupError("the rows are gone")


async def look_up_and_return_what_cannot_be_read(arguments: Order, context: CallContext) -> Outcome:
    return Answer(_Unread(state="sent"))


async def look_up_and_say_no_words(arguments: Order, context: CallContext) -> Outcome:
    raise FunctionFailed(" ")


async def look_up_and_end_unasked(arguments: Order, context: CallContext) -> Outcome:
    return EndCall("task_complete")


async def look_up_and_hand_on_unasked(arguments: Order, context: CallContext) -> Outcome:
    return HandOff("returns", "no reason")


async def look_up_and_put_through_to_nowhere(arguments: Order, context: CallContext) -> Outcome:
    return TransferToHuman("wants a person", number="extension 7")


async def look_up_behind_a_shield(arguments: Order, context: CallContext) -> Outcome:
    with trio.CancelScope(shield=True):
        await trio.sleep(100)
    return Answer("late")


async def look_up_with_asyncio(arguments: Order, context: CallContext) -> Outcome:
    await asyncio.sleep(0.1)
    return Answer({"state": "on its way"}, {"order": arguments.number})


async def look_up_with_a_step_of_asyncio(arguments: Order, context: CallContext) -> Outcome:
    await asyncio.sleep(0)
    return Answer(None)


async def look_up_and_say_nothing(arguments: Order, context: CallContext) -> Outcome:
    return cast("Outcome", None)


async def look_up_and_hand_to_nobody(arguments: Order, context: CallContext) -> Outcome:
    return HandOff("retours", "wants to send it back")


async def look_up_the_key(arguments: Order, context: CallContext) -> Outcome:
    return Answer({"state": context.env["SHOP_API_KEY"]}, {"order": arguments.number})


def roster(handler: object = look_up, edge: str = "returns") -> Roster:
    find = FunctionSpec("look_up", "Finds an order.", Order, handler)  # type: ignore[arg-type]
    desk = (find, handoff_to_next_agent("returns"), END_CONVERSATION)
    return load_roster(
        [
            AgentSpec("desk", "desk", "You are the desk.", "Acme, good morning.", "aura-2-mars-en", desk, (edge,)),
            AgentSpec(
                "returns", "returns", "You take things back.", "Returns here.", "aura-2-thalia-en", (END_CONVERSATION,)
            ),
        ]
    )


PLEASE, NO, WHERE, BYE = "Yes please.", "No, I would rather not.", "Where is my order A one seven?", "Goodbye."
LOOKS = answers(
    "desk", "Let me look.", calls=calls("look_up", number="A-1744"), then="It is on its way. Shall I pass you on?"
)
HANDS_ON = calls("handoff_to_next_agent", reason="wants to send it back")
ENDS = calls("end_conversation", reason="task_complete")
TAKES_BACK = (says(BYE), answers("returns", "Thank you. Goodbye.", calls=ENDS))

GOOD = conversation(says(WHERE), LOOKS, says(PLEASE), answers("desk", calls=HANDS_ON), *TAKES_BACK)
NO_CONSENT = conversation(says(WHERE), LOOKS, says(NO), answers("desk", calls=HANDS_ON), *TAKES_BACK)
NO_GOODBYE = conversation(says(WHERE), LOOKS, says(NO), answers("desk", calls=ENDS))
ONLY_A_FILLER = conversation(
    says(WHERE), answers("desk", "One moment, please."), says(BYE), answers("desk", "Goodbye.", calls=ENDS)
)

NEVER_HANDS_ON = conversation(
    says(WHERE), LOOKS, says(PLEASE), answers("desk", "I'll put you through now."), says("Hello?"),
    answers("desk", "I'm sorry, nobody is there."), says(BYE), answers("desk", "Goodbye.", calls=ENDS),
)  # fmt: skip
NEVER_ENDS = conversation(says(WHERE), LOOKS, says(NO), answers("desk", "Thank you. Goodbye."))
ANOTHER_NAME = conversation(
    says("I am John Smith, and it is broken."), answers("desk", "I'm sorry, Peter. May I pass you on?"), says(PLEASE),
    answers("desk", calls=HANDS_ON), *TAKES_BACK,
)  # fmt: skip
