"""The board shows each call once, with the newest news of it."""

from web.board import Board, KnownCall


def shown(call_id: str = "order", call_sid: str = "", status: str = "queued") -> KnownCall:
    return KnownCall(call_id, "outbound", "+15557650000", "+15551230000", status, call_sid)


def test_a_call_is_found_by_our_id_and_by_twilios() -> None:
    board = Board()
    call = board.add(shown())
    board.name("order", "CA1")

    assert board.find("order") is board.find("CA1") is call


def test_a_call_is_shown_once_however_often_it_is_added() -> None:
    board = Board()
    first = board.add(shown("order", "CA1"))

    assert board.add(shown("other", "CA1")) is first


def test_news_that_comes_late_does_not_undo_newer_news() -> None:
    board = Board()
    board.add(shown("order", "CA1"))
    board.progress("CA1", "in-progress", 2)
    board.progress("CA1", "ringing", 1)

    assert [call.status for call in board.newest()] == ["in-progress"]


def test_a_call_that_is_over_stays_over() -> None:
    board = Board()
    board.add(shown("order", "CA1"))
    board.ended("CA1", "completed")
    board.progress("CA1", "in-progress", 9)

    call = board.find("CA1")
    assert call is not None
    assert (call.status, call.outcome, call.over) == ("completed", "completed", True)


def test_news_of_an_unknown_call_is_dropped() -> None:
    board = Board()
    board.progress("CA1", "ringing", 1)
    board.streaming("CA1")
    board.ended("CA1", "completed")
    board.name("order", "CA1")
    board.remove("order")

    assert list(board.newest()) == []


def test_only_calls_that_are_over_are_forgotten() -> None:
    board = Board(memory=2)
    for name in ("a", "b", "c"):
        board.add(shown(name, f"CA{name}"))
        board.ended("CAa", "completed")
    board.add(shown("d", "CAd"))

    assert [call.id for call in board.newest()] == ["d", "c", "b"]
    assert board.find("CAa") is None
