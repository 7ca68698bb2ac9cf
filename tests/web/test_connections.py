"""There are never more connections than there is room for; those that wait for their peer leave first."""

import errno
import logging
import os
import resource
from collections.abc import Iterator
from contextlib import ExitStack

import attrs
import pytest
import trio
import trio.lowlevel
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from web.sockets.connections import (
    MOST,
    PER_CALL,
    RESERVED,
    AcceptErrors,
    Connections,
    Seldom,
    descriptors_allowed,
    room_beside,
)
from web.sockets.versions import install


@attrs.define(eq=False)
class Peer:
    """A connection that notes when it is told to leave."""

    waits: bool = True
    vouched: bool = False
    left: bool = False

    def leave(self) -> None:
        self.left = True

    def leave_with_server(self) -> None:
        self.leave()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as held:
        yield held


def test_the_oldest_that_waits_leaves_for_a_new_one(stack: ExitStack) -> None:
    connections = Connections(most=4)
    peers = [Peer(waits=False), Peer(), Peer(), Peer()]
    for number, peer in enumerate(peers):
        stack.enter_context(connections.hold(peer, f"203.0.113.{number}"))

    assert stack.enter_context(connections.hold(Peer(), "203.0.113.9"))
    assert [peer.left for peer in peers] == [False, True, False, False]


async def test_those_that_are_open_when_their_server_closes_leave_with_it(stack: ExitStack) -> None:
    connections, peers, terminated = Connections(), [Peer(), Peer(), Peer()], trio.Event()
    before = trio.lowlevel.current_statistics().tasks_living
    for peer in peers:
        connections.leave_with(terminated)
        stack.enter_context(connections.hold(peer, "203.0.113.1"))
    tasks = trio.lowlevel.current_statistics().tasks_living - before
    connections.release(peers[0])
    terminated.set()
    await wait_all_tasks_blocked()

    assert [peer.left for peer in peers] == [False, True, True]
    assert tasks == 1  # for all of them


def test_strangers_leave_before_those_that_have_shown_a_credential(stack: ExitStack) -> None:
    connections = Connections(most=3)
    peers = [Peer(vouched=True), Peer(), Peer(vouched=True)]
    for number, peer in enumerate(peers):
        stack.enter_context(connections.hold(peer, f"203.0.113.{number}"))
    left = []
    for number in (7, 8):
        stack.enter_context(connections.hold(Peer(vouched=True), f"203.0.113.{number}"))
        left.append([peer.left for peer in peers])

    assert left == [[False, True, False], [True, True, False]]


def test_a_new_one_is_turned_away_where_none_waits(stack: ExitStack) -> None:
    connections = Connections(most=2)
    peers = [Peer(waits=False), Peer(waits=False)]
    for number, peer in enumerate(peers):
        stack.enter_context(connections.hold(peer, f"203.0.113.{number}"))

    assert not stack.enter_context(connections.hold(Peer(), "203.0.113.9"))
    assert [peer.left for peer in peers] == [False, False]


def test_one_address_has_half_of_all_and_its_own_leave_for_its_new_ones(stack: ExitStack) -> None:
    connections = Connections(most=6)
    other, greedy = Peer(), [Peer() for _ in range(10)]
    stack.enter_context(connections.hold(other, "203.0.113.1"))
    for peer in greedy:
        assert stack.enter_context(connections.hold(peer, "203.0.113.2"))

    assert [peer.left for peer in [other, *greedy]] == [False, *7 * [True], *3 * [False]]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::2", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:203.0.113.1", "::ffff:203.0.113.2", False),
        ("203.0.113.1", "203.0.113.2", False),
        ("", "", True),
    ],
)
def test_of_ipv6_one_peer_has_the_second_half_of_the_address(
    one: str, other: str, same: bool, stack: ExitStack
) -> None:
    connections, first = Connections(most=3), Peer()
    stack.enter_context(connections.hold(first, one))
    stack.enter_context(connections.hold(Peer(), other))

    assert first.left is same


def test_a_connection_that_is_closed_or_has_become_a_call_makes_room() -> None:
    connections, call = Connections(most=2), Peer()
    with connections.hold(call, "203.0.113.1"):
        connections.release(call)
        with connections.hold(Peer(), "203.0.113.2"), connections.hold(Peer(), "203.0.113.3") as is_room:
            assert is_room
        with connections.hold(Peer(), "203.0.113.2"), connections.hold(Peer(), "203.0.113.3") as is_room:
            assert is_room

    assert not call.left


def test_a_flood_is_told_once_a_minute_with_its_count(stack: ExitStack) -> None:
    now = 0.0
    connections = Connections(most=2, now=lambda: now)
    with capture_logs() as logs:
        for number in range(102):
            stack.enter_context(connections.hold(Peer(), f"203.0.113.{number}"))
        now = 60.0
        stack.enter_context(connections.hold(Peer(), "203.0.113.200"))

    assert [(line["event"], line["times"]) for line in logs] == [("connections_full", 1), ("connections_full", 100)]


@pytest.mark.parametrize(
    ("calls", "descriptors", "room"),
    [(50, 1024, 1024 - RESERVED - 50 * PER_CALL), (50, 256, 64), (50, 1_048_576, MOST), (50, None, MOST), (1, 90, 22)],
)
def test_calls_have_their_descriptors_whatever_connects(calls: int, descriptors: int | None, room: int) -> None:
    assert room_beside(calls, descriptors) == room


@pytest.mark.parametrize(("descriptors", "warns"), [(256, True), (1024, False), (None, False)])
def test_too_few_descriptors_for_the_calls_are_told_at_the_start(descriptors: int | None, warns: bool) -> None:
    with capture_logs() as logs:
        Connections.beside(50, descriptors)

    assert [line["event"] for line in logs] == (["descriptors_short"] if warns else [])
    assert not warns or "ulimit -n" in logs[0]["fix"]


def test_the_limit_of_this_process_is_asked_for() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)

    assert descriptors_allowed() == (None if soft == resource.RLIM_INFINITY else soft)


class FullListener(trio.abc.Listener[trio.abc.Stream]):
    """A listener in a process that has used up its descriptors, for so many tries."""

    def __init__(self, tries: int) -> None:
        self.tries = tries

    async def accept(self) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        if self.tries:
            self.tries -= 1
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return await trio.sleep_forever()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


async def test_errors_of_accept_are_told_once_a_minute_with_their_count(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """trio tries again every 0.1 s, and logs each with its stack."""
    monkeypatch.setattr(logging.getLogger("trio.serve_listeners"), "filters", [AcceptErrors(Seldom(trio.current_time))])
    with capture_logs() as logs, trio.move_on_after(200):
        await trio.serve_listeners(trio.aclose_forcefully, [FullListener(1000)])

    assert [line["event"] for line in logs] == 2 * ["accept_failed"]
    assert logs[0]["times"] == 1
    assert logs[1]["times"] == pytest.approx(600, abs=2)
    assert (logs[0]["why"], "ulimit -n" in logs[0]["fix"]) == ("Too many open files", True)
    assert caplog.records == []


def test_every_server_of_ours_counts_its_errors_of_accept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypercorn.trio.run.TCPServer", None)
    monkeypatch.setattr(logging.getLogger("trio.serve_listeners"), "filters", [])
    install()
    install()

    assert [type(one) for one in logging.getLogger("trio.serve_listeners").filters] == [AcceptErrors]
