"""What is left out is in nothing that is written of a call, and the agents heard it all the same."""

from pathlib import Path

import attrs
import trio
from trio.testing import MockClock

from actors import facts
from actors.call import CallServices
from actors.journal import Journal
from actors.line.reply import Reply
from actors.record.record import RecordBuilder
from store.checkpoints import Checkpoints
from store.memory import MemoryRecords
from store.records import RunningRecord, encode_record, encode_running
from store.redaction import CARDS, Redaction
from tests.actors.notebook import Notebook
from tests.calls.tiny import TinyWorld

CARD = "4242 4242 4242 4242"


@attrs.frozen
class Pension(Redaction):
    """A rule that leaves out a word of the tiny call."""

    def text(self, text: str) -> str:
        return text.replace("pension", "[x]")


@attrs.define(eq=False)
class Noted(Checkpoints):
    """Checkpoints that keep each note."""

    notes: list[bytes] = attrs.field(factory=list)

    async def write(self) -> None:
        running = [one for so_far in self._calls.values() if (one := so_far()) is not None]
        self.notes += [encode_running(one) for one in running]
        await trio.lowlevel.checkpoint()


async def test_nothing_that_is_written_of_a_call_has_what_is_left_out(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    notes = Noted(tmp_path / "running", MemoryRecords())

    def changed(services: CallServices) -> CallServices:
        return attrs.evolve(services, redaction=Pension(CARDS.rules), checkpoints=notes)

    world = TinyWorld(changed=changed)
    async with trio.open_nursery() as nursery:

        async def keep_writing() -> None:
            while True:
                await notes.write()
                await trio.sleep(0.05)

        nursery.start_soon(keep_writing)
        await world.call()
        nursery.cancel_scope.cancel(reason="the call is over")

    (record,) = await world.records.list()
    entries = repr(world.entries).encode()
    assert [text for text in (encode_record(record), entries, *notes.notes) if b"pension" in text] == []
    assert all(b"[x]" in text for text in (encode_record(record), entries, notes.notes[-1]))


def test_a_fact_is_written_without_the_card_and_is_otherwise_the_same(autojump_clock: MockClock) -> None:
    notebook = Notebook()
    called = facts.FunctionCalled("advisor", "f1", "pay", f'{{"card": "{CARD}", "euros": 4}}', 3)

    async def note() -> None:
        journal = Journal.read_by([notebook], redaction=CARDS)
        journal.note(facts.TurnHeard("advisor", f"It is {CARD}."))
        journal.note(called)
        await trio.lowlevel.checkpoint()

    trio.run(note, clock=autojump_clock)

    assert [entry.fact for entry in notebook.entries] == [
        facts.TurnHeard("advisor", "It is [card]."),
        attrs.evolve(called, arguments='{"card":"[card]","euros":4}'),
    ]


def test_a_reply_under_way_is_noted_without_the_card() -> None:
    builder = RecordBuilder("", "", "", redaction=CARDS)
    reply = Reply("advisor", 1, 2.0, received=16_000, played=16_000, whole=True)
    reply.add_text(f"You said {CARD}")
    running: RunningRecord = builder.so_far(3.0, {}, [reply])

    assert running.record.transcript[0].text == "You said [card]"
