"""How long the caller has waited, as arithmetic on virtual time."""

import trio
from trio.testing import MockClock

from actors.patience import Patience
from tests.actors.notebook import Notebook, ledger_with, speech


async def play(patience: Patience, seconds: float) -> None:
    """Be the bridge and the line for so long: send what is due, and echo every mark when its audio is over."""
    ledger = patience.ledger
    with trio.move_on_after(seconds):
        while True:
            await ledger.next_work()


async def test_silence_counts_from_the_moment_it_became_the_agents_turn(autojump_clock: MockClock) -> None:
    ledger, _ = ledger_with(Notebook())
    patience = Patience(ledger)
    await trio.sleep(10)
    began = trio.current_time()
    patience.begin()

    silent = await patience.wait_silence(3)

    assert silent == began
    assert trio.current_time() == began + 3


async def test_a_turn_that_began_earlier_is_waited_for_less(autojump_clock: MockClock) -> None:
    patience = Patience(ledger_with(Notebook())[0])
    await trio.sleep(10)
    began = trio.current_time()
    patience.begin(began - 2)

    await patience.wait_silence(3)

    assert trio.current_time() == began + 1


async def test_on_the_callers_turn_nobody_waits(autojump_clock: MockClock) -> None:
    patience = Patience(ledger_with(Notebook())[0])
    patience.begin()
    patience.end()

    with trio.move_on_after(100) as waiting:
        await patience.wait_silence(3)

    assert waiting.cancelled_caught
    assert patience.is_closed
    assert patience.silent_since is None


async def test_what_is_being_played_is_not_silence(autojump_clock: MockClock) -> None:
    ledger, voice = ledger_with(Notebook())
    patience = Patience(ledger)
    patience.begin()
    began = trio.current_time()
    ledger.put(voice, speech(2))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(play, patience, 30)
        silent = await patience.wait_silence(3)
        nursery.cancel_scope.cancel()

    assert silent == began + 2
    assert trio.current_time() == began + 5


async def test_who_was_told_to_wait_waits_anew(autojump_clock: MockClock) -> None:
    patience = Patience(ledger_with(Notebook())[0])
    patience.begin()
    await patience.wait_silence(3)
    patience.go_on()
    began = trio.current_time()

    await patience.wait_silence(3)

    assert trio.current_time() == began + 3


async def test_telling_to_wait_means_nothing_on_the_callers_turn(autojump_clock: MockClock) -> None:
    patience = Patience(ledger_with(Notebook())[0])

    patience.go_on()

    assert patience.is_closed


async def test_a_turn_that_goes_on_is_waited_for_from_its_beginning(autojump_clock: MockClock) -> None:
    patience = Patience(ledger_with(Notebook())[0])
    patience.begin()
    began = trio.current_time()
    await trio.sleep(2)
    patience.begin()

    await patience.wait_silence(3)

    assert trio.current_time() == began + 3


async def test_the_callers_turn_may_end_more_than_once(autojump_clock: MockClock) -> None:
    patience = Patience(ledger_with(Notebook())[0])

    async def take_turns() -> None:
        await trio.sleep(1)
        patience.end()
        await trio.sleep(1)
        patience.begin()

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(take_turns)
        await patience.wait_silence(3)

    assert trio.current_time() == began + 5


async def test_a_sound_is_noticed_when_it_is_on_its_way(autojump_clock: MockClock) -> None:
    ledger, voice = ledger_with(Notebook())
    patience = Patience(ledger)
    patience.begin()

    async def speak() -> None:
        await trio.sleep(0.7)
        ledger.put(voice, speech(1))

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(speak)
        await patience.wait_sound()

    assert trio.current_time() == began + 0.7
