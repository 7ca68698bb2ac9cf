import pytest
import trio
from trio.testing import MockClock

from protocol.deepgram import AgentAudioDone
from simulators.deepgram import DeepgramKnobs
from simulators.deepgram.log import Received, Sent
from tests.simulators.deepgram.client import calling

KNOBS = DeepgramKnobs(
    late_frames=3, late_sentence=True, text_first=None, unknown_messages=0.2, extra_fields=0.2, seed=7
)


async def play() -> list[str]:
    """Greet, be interrupted, answer twice, call functions; return what was logged."""
    async with calling(knobs=KNOBS) as client:
        await client.wait_audio(8)
        client.say("Sure, I have a few minutes.")
        await client.wait_for(AgentAudioDone, 2)
        client.say("I would give it a five.")
        await client.wait_for(AgentAudioDone, 4)
        return [repr(entry) for entry in client.log.entries if isinstance(entry, Sent | Received)]


@pytest.mark.slow
def test_the_same_conversation_is_the_same_to_the_microsecond() -> None:
    runs = [trio.run(play, clock=MockClock(autojump_threshold=0)) for _ in range(5)]

    assert all(run == runs[0] for run in runs)
