"""Audio that says which it is, and a reader of the Journal that keeps what it reads."""

from typing import TypeVar

import attrs

from actors.facts import Fact
from actors.journal import Entry, Journal
from actors.line.ledger import Ledger
from actors.line.reply import Reply, Voice
from protocol.audio import BYTES_PER_SECOND, FRAME_BYTES

F = TypeVar("F", bound=Fact)


@attrs.define
class Notebook:
    """Keeps every entry of the Journal it reads."""

    entries: list[Entry] = attrs.field(factory=list)

    def __call__(self, entry: Entry) -> None:
        self.entries.append(entry)

    def of(self, kind: type[F]) -> list[F]:
        return [entry.fact for entry in self.entries if isinstance(entry.fact, kind)]

    @property
    def events(self) -> list[str]:
        return [entry.event for entry in self.entries]


def ledger_with(notebook: Notebook) -> tuple[Ledger, Voice]:
    """Make a ledger whose floor is held by a qualifier."""
    ledger, voice = Ledger(Journal([notebook])), Voice("qualifier")
    ledger.grant(voice)
    return ledger, voice


def speech(seconds: float) -> bytes:
    """Audio of this length, no two of its neighbouring bytes alike."""
    size = round(seconds * BYTES_PER_SECOND)
    return (bytes(range(256)) * (size // 256 + 1))[:size]


def frame(number: int, *, voiced: bool = False) -> bytes:
    """One caller frame that says which one it is; voiced, or below the level of speech."""
    tail = b"\x00" if voiced else b"\xff"
    return bytes(0x70 | (number >> shift & 15) for shift in (12, 8, 4, 0)) + tail * (FRAME_BYTES - 4)


def said(agent: str, text: str, *, heard: float = 1.0, generation: int = 1) -> Reply:
    """A reply of one second that is over, of which this share was heard."""
    reply = Reply(agent, generation, at=0.0, received=8000, played=round(8000 * heard), whole=True)
    reply.add_text(text)
    reply.closed, reply.cut = True, heard < 1.0
    return reply
