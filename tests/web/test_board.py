"""The board shows each call once, with the newest news of it."""

import trio
from trio.testing import MockClock

from web.calls.live_calls import Board, KnownCall


def shown(call_id: str = "order", call_sid: str = "", status: str = "queued") -> KnownCall:
    return KnownCall(call_id, "outbound", "+15557650000", "+15551230000", status, call_sid)


async def test_a_call_is_found_by_our_id_and_by_twilios(autojump_clock: MockClock) -> None:
    board = Board()
    call = board.add(shown())
    board.name("order", "CA1")

    assert board.find("order") is board.find("CA1") is call


async def test_a_call_is_shown_once_however_often_it_is_added(autojump_clock: MockClock) -> None:
    board = Board()
    first = board.add(shown("order", "CA1"))

    assert board.add(shown("other", "CA1")) is first


async def test_news_that_comes_late_does_not_undo_newer_news(autojump_clock: MockClock) -> None:
    board = Board()
    board.add(shown("order", "CA1"))
    board.progress("CA1", "in-progress", 2)
    board.progress("CA1", "ringing", 1)

    assert [call.status for call in board.newest()] == ["in-progress"]


async def test_a_call_that_is_over_stays_over(autojump_clock: MockClock) -> None:
    board = Board()
    board.add(shown("order", "CA1"))
    board.ended("CA1", "completed")
    board.progress("CA1", "in-progress", 9)

    call = board.find("CA1")
    assert call is not None
    assert (call.status, call.outcome, call.over) == ("completed", "completed", True)


async def test_news_of_an_unknown_call_is_dropped(autojump_clock: MockClock) -> None:
    board = Board()
    board.progress("CA1", "ringing", 1)
    board.streaming("CA1")
    board.ended("CA1", "completed")
    board.name("order", "CA1")
    board.remove("order")

    assert list(board.newest()) == []


async def test_only_calls_that_are_over_are_forgotten(autojump_clock: MockClock) -> None:
    board = Board(memory=2)
    for name in ("a", "b", "c"):
        board.add(shown(name, f"CA{name}"))
        board.ended("CAa", "completed")
    board.add(shown("d", "CAd"))

    assert [call.id for call in board.newest()] == ["d", "c", "b"]
    assert board.find("CAa") is None


async def test_news_that_does_not_come_makes_a_call_stale(autojump_clock: MockClock) -> None:
    board = Board()
    call = board.add(shown("order", "CA1"))
    await trio.sleep(4)
    stale = call.stale
    board.progress("CA1", "ringing", 1)

    assert (stale, call.stale) == (True, False)


async def test_a_call_that_streams_here_or_is_over_is_never_stale(autojump_clock: MockClock) -> None:
    board = Board()
    streaming, over = board.add(shown("a", "CAa")), board.add(shown("b", "CAb"))
    board.streaming("CAa")
    board.ended("CAb", "completed")
    await trio.sleep(4)

    assert (streaming.stale, over.stale) == (False, False)


async def test_a_call_that_another_worker_carries_is_live_there_and_forgotten_here(autojump_clock: MockClock) -> None:
    board = Board(memory=2)
    for number in range(3):
        board.add(KnownCall(f"OR{number}", "outbound", "", "", "queued", f"CA{number}"))
        board.carried_elsewhere(f"CA{number}")

    assert [call.id for call in board.newest()] == ["OR2", "OR1"]
    assert not any(call.live for call in board.newest())


async def test_a_call_that_comes_to_this_worker_after_all_is_live_here(autojump_clock: MockClock) -> None:
    board = Board()
    call = board.add(KnownCall("OR1", "outbound", "", "", "queued", "CA1"))
    board.carried_elsewhere("CA1")
    board.streaming("CA1")

    assert (call.live, call.elsewhere) == (True, False)
