"""The function calls a session has open: what was asked of the client and not answered yet.

`OpenCalls` makes the calls of a scripted turn from the functions that the Settings declared, takes the answers, and
voids calls when the user speaks. It writes nothing to the wire. A response nobody waits for is not an error: it is
reported as such and ignored, since what the real service does with it is unknown.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from random import Random
from string import ascii_letters, digits

import attrs
import orjson
import trio
from trio.lowlevel import ParkingLot

from protocol.deepgram import CancelledCall, FunctionCall
from protocol.fields import json_or
from simulators.scenario import ScriptedCall

ID_LETTERS = ascii_letters + digits


@attrs.frozen
class Declared:
    """A function that the Settings declared."""

    client_side: bool = True
    defer_until_eot: bool = False


@attrs.define(eq=False)
class OpenCall:
    """One call on its way; `answer` is None until it is answered, `void` when nobody wants the answer any more."""

    call: FunctionCall
    deferred: bool
    asked_at: float = attrs.field(factory=trio.current_time)
    answer: str | None = None
    void: bool = False

    @property
    def settled(self) -> bool:
        return self.void or self.answer is not None

    @property
    def failed(self) -> bool:
        """Whether it was answered with an error: there is no flag on the wire, only `{"error": …}` by convention."""
        content = json_or(self.answer or "", None)
        return isinstance(content, dict) and "error" in content


@attrs.define(eq=False)
class OpenCalls:
    """Every call of one session that the client has not answered."""

    _rng: Random
    declared: Mapping[str, Declared] = attrs.field(factory=dict)
    _open: dict[str, OpenCall] = attrs.field(factory=dict, init=False)
    _changed: ParkingLot = attrs.field(factory=ParkingLot, init=False)

    def make(self, scripted: ScriptedCall) -> OpenCall | None:
        """Open one scripted call; None if no such function was declared."""
        function = self.declared.get(scripted.name)
        if function is None:
            return None
        # The ids seen live are the language model's own, in OpenAI's form, though the documentation shows "fc_<uuid>".
        call_id = "call_" + "".join(self._rng.choices(ID_LETTERS, k=24))
        arguments = orjson.dumps(dict(scripted.arguments)).decode()
        call = FunctionCall(id=call_id, name=scripted.name, arguments=arguments, client_side=function.client_side)
        opened = OpenCall(call, deferred=function.defer_until_eot)
        self._open[call_id] = opened
        self._changed.unpark_all()
        return opened

    def answer(self, call_id: str, content: str) -> OpenCall | None:
        """Take an answer; None if it is late, repeated or for an unknown id."""
        opened = self._open.pop(call_id, None)
        if opened is not None:
            opened.answer = content
            self._changed.unpark_all()
        return opened

    def void(self, *, deferred_too: bool = False) -> tuple[CancelledCall, ...]:
        """Give up the open calls; those of `defer_until_eot` functions only if asked to."""
        voided = [opened for opened in self._open.values() if deferred_too or not opened.deferred]
        for opened in voided:
            opened.void = True
            del self._open[opened.call.id]
        if voided:
            self._changed.unpark_all()
        return tuple(CancelledCall(id=opened.call.id, name=opened.call.name) for opened in voided)

    @property
    def pending(self) -> bool:
        return bool(self._open)

    async def wait_overdue(self, seconds: float) -> None:
        while True:
            first = min((opened.asked_at for opened in self._open.values()), default=math.inf)
            with trio.move_on_at(first + seconds) as patience:
                await self._changed.park()
            if patience.cancelled_caught:
                return

    async def wait_settled(self, calls: Collection[OpenCall]) -> None:
        while not all(opened.settled for opened in calls):
            await self._changed.park()


def any_failed(calls: Sequence[OpenCall]) -> bool:
    return any(opened.failed for opened in calls)
