"""Twilio says that the call is over, and its media stream goes on: nobody is there any more."""

import pytest
import trio
from trio.testing import MockClock

from actors import facts
from actors.messages import NoteCallOver, NoteStreamError
from testkit.harness import Played, play


async def is_over(played: Played) -> None:
    await trio.sleep(4.0)
    played.intercom.tell(played.call_sid, NoteCallOver())


async def test_a_call_that_is_over_ends_though_its_stream_goes_on(autojump_clock: MockClock) -> None:
    played = await play("sale", meanwhile=is_over)

    assert played.the_record.outcome == "caller_hung_up"
    assert played.the_record.duration == pytest.approx(4.0, abs=0.1)
    assert [fact.how for fact in played.facts(facts.CallerHungUp)] == ["call over"]
    assert played.line.asked == []


async def test_an_error_of_the_stream_is_one_of_the_faults_of_its_call(autojump_clock: MockClock) -> None:
    async def fails(played: Played) -> None:
        await trio.sleep(3.0)
        played.intercom.tell(played.call_sid, NoteStreamError("audio was dropped (Twilio 31930)"))
        await is_over(played)

    played = await play("sale", meanwhile=fails)

    assert played.the_record.faults == ("media stream: audio was dropped (Twilio 31930)",)
