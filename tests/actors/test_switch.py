"""The switch knows that a call is being put through, for exactly as long as it is."""

import attrs
import pytest
import trio
from trio.testing import MockClock

from actors.facts import FunctionAnswered
from actors.line.switch import Switch, TransferOrder, Wish
from agents.brief import Brief
from agents.functions import TransferToHuman
from protocol.deepgram import FunctionCall
from tests.actors.fakes import ROSTER

ORDER = TransferOrder("asked", "", "", Brief())
CALL = FunctionCall("f1", "transfer_to_human", "{}", True)
WANTED = TransferToHuman("asked")


def wish() -> Wish:
    return Wish(ROSTER.agents["first"], WANTED, CALL, number=3)


@attrs.define
class Line:
    takes: float
    refusal: Exception | None = None

    async def put_through(self, call_sid: str, order: TransferOrder) -> None:
        await trio.sleep(self.takes)
        if self.refusal is not None:
            raise self.refusal


async def thrown(line: Line, within: float = 5.0) -> tuple[Switch, str]:
    switch = Switch("CA1", line)
    return switch, await switch.throw(line, ORDER, wish(), within)


async def test_a_refusal_ends_it_at_once(autojump_clock: MockClock) -> None:
    began = trio.current_time()
    switch, why = await thrown(Line(1.0, OSError("away")))

    assert (why, switch.underway, switch.answered()) == ("OSError: away", None, None)
    assert trio.current_time() - began == pytest.approx(1)


@pytest.mark.parametrize("line", [Line(1.0), Line(100.0)])
async def test_a_line_that_says_yes_or_nothing_and_goes_on_ends_it_at_its_deadline(
    line: Line, autojump_clock: MockClock
) -> None:
    began = trio.current_time()
    switch, why = await thrown(line)

    assert (why, switch.underway) == ("the stream goes on after 5 s", None)
    assert trio.current_time() - began == pytest.approx(5)


async def test_it_is_under_way_once_the_line_is_asked_and_answers_the_function(
    autojump_clock: MockClock,
) -> None:
    switch = Switch("CA1", line := Line(1.0))
    with trio.move_on_after(2):
        await switch.throw(line, ORDER, wish(), 5)

    assert switch.underway is not None
    assert switch.answered() == FunctionAnswered(
        "first", "f1", "transfer_to_human", '{"put_through": true}', ok=True, took=2.0, number=3
    )


async def test_what_is_wanted_later_takes_the_place_of_what_was_not_allowed_yet(autojump_clock: MockClock) -> None:
    switch = Switch("CA1", Line(1.0), "0")
    first = switch.want(wish())
    switch.want_announced(ROSTER.agents["second"])
    by_key = await switch.next_wish()
    switch.allow(first.id)
    before = by_key.allowed.is_set()
    switch.allow("")

    assert first.scope.cancel_called
    assert (by_key.id, by_key.wanted.reason) == ("", "The caller pressed 0 for a person")
    assert (before, by_key.allowed.is_set(), first.allowed.is_set()) == (False, True, False)


async def test_an_order_that_the_caller_is_told_of_again_is_wanted_anew(autojump_clock: MockClock) -> None:
    switch = Switch("CA1", Line(1.0))
    order = switch.ordered = Wish(ROSTER.agents["first"], WANTED, command_id="c1", comes_back=True)
    found = []
    for name in ("first", "second"):
        switch.want_announced(ROSTER.agents[name])
        found.append(await switch.next_wish())

    assert found[0] is order
    assert order.scope.cancel_called
    assert [(one.agent.name, one.comes_back, one.is_told) for one in found] == [
        ("first", True, True),
        ("second", True, True),
    ]
