"""`LiveCalls` shows each call once, with the newest news of it."""

import trio
from trio.testing import MockClock

from web.calls.live_calls import KnownCall, LiveCalls


def shown(call_id: str = "order", call_sid: str = "", status: str = "queued") -> KnownCall:
    return KnownCall(call_id, "outbound", "+15557650000", "+15551230000", status, call_sid)


async def test_a_call_is_found_by_our_id_and_by_twilios(autojump_clock: MockClock) -> None:
    live_calls = LiveCalls()
    call = live_calls.add(shown())
    live_calls.name("order", "CA1")

    assert live_calls.find("order") is live_calls.find("CA1") is call


async def test_a_call_is_shown_once_however_often_it_is_added(autojump_clock: MockClock) -> None:
    live_calls = LiveCalls()
    first = live_calls.add(shown("order", "CA1"))

    assert live_calls.add(shown("other", "CA1")) is first


async def test_news_that_comes_late_does_not_undo_newer_news(autojump_clock: MockClock) -> None:
    live_calls = LiveCalls()
    live_calls.add(shown("order", "CA1"))
    live_calls.news_of("CA1").progress("in-progress", 2)
    live_calls.news_of("CA1").progress("ringing", 1)

    assert [call.status for call in live_calls.newest()] == ["in-progress"]


async def test_a_call_that_is_over_stays_over(autojump_clock: MockClock) -> None:
    live_calls = LiveCalls()
    live_calls.add(shown("order", "CA1"))
    live_calls.news_of("CA1").ended("completed")
    live_calls.news_of("CA1").progress("in-progress", 9)

    call = live_calls.find("CA1")
    assert call is not None
    assert (call.status, call.outcome, call.over) == ("completed", "completed", True)


async def test_news_of_an_unknown_call_is_dropped(autojump_clock: MockClock) -> None:
    live_calls = LiveCalls()
    live_calls.news_of("CA1").progress("ringing", 1)
    live_calls.news_of("CA1").carried()
    live_calls.news_of("CA1").ended("completed")
    live_calls.name("order", "CA1")
    live_calls.remove("order")

    assert list(live_calls.newest()) == []


async def test_only_calls_that_are_over_are_forgotten(autojump_clock: MockClock) -> None:
    live_calls = LiveCalls(memory=2)
    for name in ("a", "b", "c"):
        live_calls.add(shown(name, f"CA{name}"))
        live_calls.news_of("CAa").ended("completed")
    live_calls.add(shown("d", "CAd"))

    assert [call.id for call in live_calls.newest()] == ["d", "c", "b"]
    assert live_calls.find("CAa") is None


async def test_a_new_call_has_no_look_at_all_others(autojump_clock: MockClock) -> None:
    looked = list[str]()

    class LookedAt(KnownCall):
        @property
        def live(self) -> bool:
            looked.append(self.id)
            return super().live

    live_calls = LiveCalls(memory=50)
    for number in range(80):
        live_calls.add(LookedAt(f"OR{number}", "inbound", "", "", "completed", f"CA{number}"))

    assert looked == [f"OR{number}" for number in range(30)]


async def test_news_that_does_not_come_makes_a_call_stale(autojump_clock: MockClock) -> None:
    live_calls = LiveCalls()
    call = live_calls.add(shown("order", "CA1"))
    await trio.sleep(4)
    stale = call.stale
    live_calls.news_of("CA1").progress("ringing", 1)

    assert (stale, call.stale) == (True, False)


async def test_a_call_that_streams_here_or_is_over_is_never_stale(autojump_clock: MockClock) -> None:
    live_calls = LiveCalls()
    streaming, over = live_calls.add(shown("a", "CAa")), live_calls.add(shown("b", "CAb"))
    live_calls.news_of("CAa").carried()
    live_calls.news_of("CAb").ended("completed")
    await trio.sleep(4)

    assert (streaming.stale, over.stale) == (False, False)


async def test_a_call_that_another_worker_carries_is_live_there_and_forgotten_here(autojump_clock: MockClock) -> None:
    live_calls = LiveCalls(memory=2)
    for number in range(3):
        live_calls.add(KnownCall(f"OR{number}", "outbound", "", "", "queued", f"CA{number}"))
        live_calls.news_of(f"CA{number}").carried_elsewhere()

    assert [call.id for call in live_calls.newest()] == ["OR2", "OR1"]
    assert not any(call.live for call in live_calls.newest())


async def test_a_call_that_comes_to_this_worker_after_all_is_live_here(autojump_clock: MockClock) -> None:
    live_calls = LiveCalls()
    call = live_calls.add(KnownCall("OR1", "outbound", "", "", "queued", "CA1"))
    live_calls.news_of("CA1").carried_elsewhere()
    live_calls.news_of("CA1").carried()

    assert (call.live, call.elsewhere) == (True, False)
