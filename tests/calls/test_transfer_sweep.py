"""The caller leaves, the server stops, or something breaks, at every scheduler step of a call that is put through.

The call is as small as it can be: a greeting, a caller who wants a person, one sentence, and the line that takes them.
"""

from collections.abc import Iterator
from contextlib import suppress
from itertools import count

import attrs
import orjson
import pytest
import structlog
import trio
from trio_websocket import ConnectionClosed

from actors.call_services import CallServices
from actors.line.switch import TransferOrder
from agents.functions import END_CONVERSATION, transfer_to_human
from agents.roster import load_roster
from agents.spec import AgentSpec
from simulators.memory import MemoryWebSocket
from tests.calls.test_sweep import (
    MakeBlow,
    cancel,
    say_stop,
    stop_and_drop,
    strike_world,
    throw,
)
from tests.calls.tiny import CALL_SID, SPEECH, TinyService, TinyWorld
from tests.examples import STRIDE

ROSTER = load_roster(
    [AgentSpec("first", "first", "You are it.", "Hello.", "aura-2-thalia-en", (transfer_to_human(), END_CONVERSATION))],
    human=True,
)
WANTS = orjson.dumps({"reason": "wants a person"}).decode()
CALL = {"id": "f1", "name": "transfer_to_human", "arguments": WANTS, "client_side": True}


FEWEST_STEPS = 60
"""Such a call has about seventy."""


@pytest.fixture(autouse=True)
def _plain_logs() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


def text(**message: object) -> str:
    return orjson.dumps(message).decode()


@attrs.define(eq=False)
class PutsThrough(TinyService):
    """Greets, hears the caller, says one sentence, and asks for a person."""

    async def _serve(self, socket: MemoryWebSocket, connection: int) -> None:
        with suppress(ConnectionClosed):
            await socket.send_message(text(type="Welcome", request_id=str(connection)))
            await self._wait(socket, b'"Settings"')
            await socket.send_message(text(type="SettingsApplied"))
            await self._say(socket, "Hello.")
            await self._wait(socket, SPEECH)
            await socket.send_message(text(type="ConversationText", role="user", content="A person, please."))
            await self._say(socket, "I'll put you through.")
            await socket.send_message(text(type="FunctionCallRequest", functions=[CALL]))
            await self._wait(socket, b"never")


@attrs.define(eq=False)
class TinyTransfers:
    """Twilio takes its time, then stops the stream."""

    world: TinyWorld

    async def put_through(self, call_sid: str, order: TransferOrder) -> None:
        await trio.sleep(0.05)
        assert self.world.caller is not None
        self.world.line.asked.append("put_through")
        self.world.caller.say_stop()


def a_world() -> TinyWorld:
    world = TinyWorld(PutsThrough())

    def changed(services: CallServices) -> CallServices:
        return attrs.evolve(services, roster=ROSTER, transfers=TinyTransfers(world), ask_brief=None)

    world.changed = changed
    return world


BLOWS = (say_stop, stop_and_drop, throw)


@pytest.mark.parametrize("blow", BLOWS)
def test_whatever_happens_at_whatever_step_nothing_is_left_but_the_record(blow: MakeBlow) -> None:
    outcomes = set[str]()
    for at in count(1 + BLOWS.index(blow) % STRIDE, STRIDE):
        world, strike = strike_world(at, blow, a_world)
        assert strike.failure is None
        if not strike.struck:
            break
        (record,) = world.records._kept.values()
        outcomes.add(record.outcome)

        assert (world.service.open_sockets, world.slots) == (0, 0), f"step {at}"
        assert record.call_sid == CALL_SID
        last = [entry.event for entry in world.entries][-1]
        assert last == ("call_parked" if record.outcome == "transferring" else "call_ended"), f"step {at}"
    assert at > FEWEST_STEPS
    assert "transferring" in outcomes


def test_a_call_nobody_touches_is_put_through() -> None:
    world, _ = strike_world(0, cancel, a_world)

    (record,) = world.records._kept.values()
    assert (record.outcome, world.line.asked) == ("transferring", ["put_through"])
