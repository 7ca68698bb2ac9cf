"""A process to be killed: twenty calls at four times their speed, and on standard output what was said in them.

    python -m tests.calls.cut_calls FOLDER

Each line is the call's id, when it was said (seconds of the call), and the words; the first one of a call is said
when it starts. `FOLDER` has the checkpoints and, should a call end, its record.
"""

import sys
from functools import partial
from pathlib import Path

import attrs
import trio

from actors.facts import CallStarted, ReplyText, TurnHeard
from actors.journal import Entry
from simulators.deepgram import DeepgramKnobs
from simulators.pacing import PacedClock
from simulators.twilio.frames import StreamIdentity
from store.checkpoints import Checkpoints
from store.sql import SqlRecords
from testkit.harness import Played, play
from tests.faults.short import POLICY, ROSTER, SHORT

CALLS = 20
RATE = 4.0


@attrs.define
class ToldPlayed(Played):
    """A call that says what is said in it as soon as it is."""

    number: int = 0

    def note(self, entry: Entry) -> None:
        match entry.fact:
            case TurnHeard(text=text) | ReplyText(text=text):
                self._say(entry.at, text)
            case CallStarted():
                self._say(entry.at, "")
            case _:
                """Nothing that is said."""
        super().note(entry)

    def _say(self, at: float, text: str) -> None:
        sys.stdout.write(f"{self.number:02}\t{at:.3f}\t{text}\n")
        sys.stdout.flush()


def call_sid(number: int) -> str:
    return f"CA{number:032}"


async def main(folder: Path) -> None:
    records = SqlRecords(f"sqlite:///{folder}/calls.db")
    checkpoints = Checkpoints(folder / "running", records)
    async with trio.open_nursery() as background:
        background.start_soon(checkpoints.run)
        async with trio.open_nursery() as nursery:
            for number in range(CALLS):
                call = partial(
                    play,
                    SHORT,
                    roster=ROSTER,
                    policy=POLICY,
                    knobs=DeepgramKnobs(slice_ms=200),
                    bundle=10,
                    played=ToldPlayed(number=number),
                    identity=StreamIdentity(call_sid=call_sid(number)),
                    checkpoints=checkpoints,
                )
                nursery.start_soon(call)
        background.cancel_scope.cancel(reason="the calls are over, and nobody has killed this process")


if __name__ == "__main__":
    trio.run(partial(main, Path(sys.argv[1])), clock=PacedClock(RATE))
