"""Words that are left out are in nothing that is written of a call, and the agents heard it all the same."""

import re
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import MockClock

from actors import facts
from actors.call_services import CallPlan, CallServices
from actors.journal import Journal
from actors.line.reply import Reply
from actors.record.record import RecordBuilder
from actors.record.scribe import Scribe
from store.calls import MemoryRecords
from store.checkpoints import Checkpoints
from store.records import RunningRecord, encode_record, encode_running
from store.redaction import CARDS, CallRedaction, Redaction, RedactionRule
from store.spill import SpillingRecords, SpillPolicy
from tests.actors.notebook import Notebook
from tests.calls.tiny import CALL_SID, STREAM_SID, TinyWorld
from tests.store.samples import begun
from tests.store.test_forgetting import everything_on
from web.calls.webhooks import News, _Reader

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
        self.notes += [encode_running(one.record, one.lines) for one in running]
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
        journal = Journal([notebook], redaction=CallRedaction(CARDS))
        journal.note(facts.TurnHeard("advisor", f"It is {CARD}."))
        journal.note(called)
        await trio.lowlevel.checkpoint()

    trio.run(note, clock=autojump_clock)

    assert [entry.fact for entry in notebook.entries] == [
        facts.TurnHeard("advisor", "It is [card]."),
        attrs.evolve(called, arguments='{"card":"[card]","euros":4}'),
    ]


def test_a_reply_under_way_is_noted_without_the_card() -> None:
    builder = RecordBuilder(begun(), redaction=CallRedaction(CARDS))
    reply = Reply("advisor", 1, 2.0, received=16_000, played=16_000, whole=True)
    reply.add_text(f"You said {CARD}")
    running: RunningRecord = builder.so_far(3.0, {}, [reply])

    assert running.record.transcript[0].text == "You said [card]"


NUMBERS = Redaction(frozenset([RedactionRule.NUMBERS]))
SPLIT = (
    facts.CallStarted(CALL_SID, STREAM_SID, "inbound"),
    facts.TurnHeard("advisor", "It is four five three nine, 1488."),
    facts.ReplyText("advisor", 1, "Four five three nine, 1488."),
    facts.ReplyEnded(
        "advisor", 1, "Four five three nine, 1488. Go on.", "Four five three nine, 1488. Go on.", complete=True
    ),
    facts.TurnCutOff("advisor", "Zero three four three"),
    facts.TurnHeard("advisor", "Zero three four three"),
    facts.FunctionCalled("advisor", "f1", "note", '{"card": "4539 1488 0343", "digits": 45391488}', 1),
    facts.FunctionAnswered("advisor", "f1", "note", "45391488", ok=True, took=0.1, facts={"card": "4539"}, number=1),
    facts.HandoffAsked("advisor", "qualifier", "a card, 4539 1488", "4539", 0),
    facts.TransferAsked("advisor", "a card, 4539 1488", "4539"),
    facts.TurnHeard("advisor", "6467."),
)
"""A card, said in three turns, with an agent that repeats the beginning of it, and writes it down."""
SAID = ("four five three", "zero three four", "4539", "1488", "0343", "6467")


def found_in(content: bytes) -> list[str]:
    """Return what is there of the card that was said; moments, and names that are drawn, may have any digits."""
    told = re.sub(r"\d+\.\d+|\b\d{20}-|\b(?=\d*[a-f])[0-9a-f]{8,}\b", "", content.decode().lower())
    return [text for text in SAID if text in told]


def test_digits_of_a_moment_are_no_card_and_those_of_a_card_are() -> None:
    assert found_in(b'{"at": 0.003431488, "running": "0343cafe1488"}waiting/01795982148860343717-.json') == []
    assert found_in(b'{"text": "4539 1488", "whole": "4539148803436467"}') == ["4539", "1488", "0343", "6467"]


@pytest.mark.parametrize("rule", [CARDS, NUMBERS], ids=["cards", "numbers"])
@pytest.mark.parametrize("died_after", [2, 5, len(SPLIT)])
async def test_a_card_said_in_parts_is_nowhere_whenever_its_worker_dies(
    died_after: int, rule: Redaction, tmp_path: Path
) -> None:
    redaction, told = CallRedaction(rule), list[News]()
    book, scribe = RecordBuilder(begun(), redaction=redaction), Scribe(tmp_path / CALL_SID)
    followed = _Reader(CallPlan(CALL_SID, STREAM_SID, "inbound"), told.append)
    journal = Journal([book.read, scribe.read, followed.read], redaction=redaction)
    under_way = Reply("advisor", 1, 2.0, received=16_000, played=16_000, whole=True)
    under_way.add_text("You said 4539 1488")
    waiting = SpillingRecords(MemoryRecords(), tmp_path / "waiting", SpillPolicy(save=50.0))
    lived, lives = (Checkpoints(tmp_path / "running", waiting) for _ in range(2))
    with lived.keeping(CALL_SID, lambda: book.so_far(journal.now, {}, [under_way] * (journal.count > 1))):
        for fact in SPLIT[:died_after]:
            journal.note(fact)
            await lived.write()
        await scribe.finish(book.record())
        running = everything_on(tmp_path)
        lived._own.let_go()
        await lives.adopt()

    assert found_in(running) == []
    assert found_in(everything_on(tmp_path)) == []
    assert found_in(repr(told).encode()) == []
    assert any((tmp_path / "waiting").iterdir())
