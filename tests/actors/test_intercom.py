"""A running call is reached by its CallSid, for as long as it runs and not longer."""

from collections.abc import Mapping
from contextlib import ExitStack

import pytest
import trio
from structlog.contextvars import bound_contextvars, get_contextvars
from structlog.testing import capture_logs

from actors.endings.intercom import MAILBOX, Intercom
from actors.messages import CloseCall, MachineAnswered
from actors.supervision import Standby


async def test_what_is_told_reaches_the_call_in_order() -> None:
    intercom = Intercom()
    with intercom.open("CA1") as mailbox:
        assert intercom.tell("CA1", MachineAnswered("human"))
        assert intercom.tell("CA1", CloseCall("drained"))

        assert [await mailbox.receive(), await mailbox.receive()] == [MachineAnswered("human"), CloseCall("drained")]


async def test_a_call_that_is_not_here_is_not_told() -> None:
    intercom = Intercom()
    with intercom.open("CA1"):
        pass

    assert not intercom.tell("CA1", CloseCall("drained"))


async def test_everybody_is_told() -> None:
    intercom = Intercom()
    with intercom.open("CA1") as first, intercom.open("CA2") as second:
        told = intercom.tell_all(CloseCall("drained"))

        assert (told, await first.receive(), await second.receive()) == (2, CloseCall("drained"), CloseCall("drained"))


async def test_a_call_that_does_not_read_keeps_nobody_waiting() -> None:
    intercom = Intercom()
    with intercom.open("CA1"), capture_logs() as logs:
        told = [intercom.tell("CA1", CloseCall("drained")) for _ in range(MAILBOX + 1)]

    assert told == [True] * MAILBOX + [False]
    assert [log["event"] for log in logs] == ["call_not_told"]


async def test_the_reader_of_a_call_begins_with_its_call_in_the_logs_and_not_with_the_request_that_tells_it() -> None:
    intercom, reader, bound = Intercom(), Standby(), list[Mapping[str, object]]()
    with intercom.open("CA1", reader):
        with bound_contextvars(call_sid="CA1"):
            reader.arm(lambda: bound.append(get_contextvars()))
        with bound_contextvars(request="webhook"):
            intercom.tell("CA1", CloseCall("drained"))

    assert bound == [{"call_sid": "CA1"}]


async def test_a_second_stream_of_a_call_outlives_the_end_of_the_first() -> None:
    intercom = Intercom()
    with intercom.open("CA1") as first:
        with intercom.open("CA1") as second:
            assert intercom.tell("CA1", CloseCall("drained"))
            assert await second.receive() == CloseCall("drained")
        with pytest.raises(trio.WouldBlock):
            first.receive_nowait()


async def test_the_end_of_the_first_stream_leaves_the_second_reachable() -> None:
    intercom = Intercom()
    with ExitStack() as later:
        with intercom.open("CA1"):
            mailbox = later.enter_context(intercom.open("CA1"))

        assert intercom.tell("CA1", CloseCall("drained"))
        assert mailbox.receive_nowait() == CloseCall("drained")
