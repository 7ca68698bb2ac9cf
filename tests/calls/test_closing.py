"""A call that is told to close from outside: its caller hears the closing sentence to its last word, and it is over."""

from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock

from actors import facts
from actors.messages import CloseCall, EndCallNow
from actors.policy import CallPolicy
from agents.sentences import ENGLISH
from testkit.harness import Played, play
from tests.examples import one_in

POLICY = CallPolicy()
SENTENCE = ENGLISH.closing


def close_after(seconds: float) -> Callable[[Played], Awaitable[None]]:
    async def close(played: Played) -> None:
        await trio.sleep(seconds)
        played.intercom.tell(played.call_sid, CloseCall("drained"))

    return close


def words_heard(played: Played) -> str:
    return " ".join(played.heard_of_agents())


@pytest.mark.parametrize("at", one_in(3, [0.0, 0.3, 4.0, 9.0, 11.0, 14.0, 20.0, 30.0, 45.0]))
async def test_a_closing_call_ends_with_the_closing_sentence(at: float, autojump_clock: MockClock) -> None:
    """Whenever it is told: while connecting, greeting, listening, thinking, answering, handing over."""
    played = await play(meanwhile=close_after(at))

    record = played.the_record
    assert record.outcome == "drained"
    assert played.heard_of_agents()[-1].endswith(SENTENCE)
    assert record.duration < at + POLICY.deadlines.longest_closing
    assert [asked for asked, _ in played.line.asked] == ["hang_up"]


async def test_it_takes_no_longer_than_a_pause_and_the_sentence(autojump_clock: MockClock) -> None:
    played = await play(meanwhile=close_after(20))

    said = played.times(facts.GoodbyeStarted)[-1]
    assert said - 20 <= POLICY.deadlines.closing / 2
    assert played.the_record.duration - said < 7


@pytest.mark.parametrize("fault", ["deepgram: slow settings 60 s", "deepgram: mute after 8 s"])
async def test_where_no_agent_can_say_it_the_telephone_network_does(fault: str, autojump_clock: MockClock) -> None:
    played = await play(faults=[fault], meanwhile=close_after(10))

    ((asked, twiml),) = played.line.asked
    assert (played.the_record.outcome, asked) == ("drained", "redirect")
    assert f"<Say>{SENTENCE}</Say><Hangup/>" in twiml.replace(" />", "/>")
    assert played.the_record.duration < 10 + POLICY.deadlines.closing + 1


async def test_a_session_that_is_lost_in_its_last_sentence_leaves_it_to_the_next(autojump_clock: MockClock) -> None:
    played = await play(faults=["deepgram: drop after 11 s"], meanwhile=close_after(10))

    assert played.facts(facts.SessionCrashed)
    assert played.the_record.outcome == "drained"
    assert played.heard_of_agents()[-1].endswith(SENTENCE)


async def test_a_call_that_an_operator_ends_is_over_at_once_and_its_record_says_who_ended_it(
    autojump_clock: MockClock,
) -> None:
    async def end(played: Played) -> None:
        await trio.sleep(10)
        played.intercom.tell(played.call_sid, EndCallNow("ended_by_operator"))

    played = await play(meanwhile=end)

    assert (played.the_record.outcome, played.the_record.duration < 10.2) == ("ended_by_operator", True)
    assert [asked for asked, _ in played.line.asked] == ["hang_up"]
