"""A list that only grows, of which all but the newest is kept compressed.

What was said on a call stays until its record is written, and any of it may be asked for again. As objects an utterance
takes some 350 bytes, twice over; compressed it takes 60, so that a call an hour old is hardly larger than a new one.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

import attrs

T = TypeVar("T")

BLOCK = 8
"""Items compressed together: twice as many would save a seventh of their bytes, and leave twice as many as objects."""


def _is_final(_: object) -> bool:
    return True


@attrs.define(eq=False)
class PackedList(Generic[T]):
    """`pack` makes bytes of a block of items, and `unpack` the items of bytes. Neither may raise.

    An item that `is_final` denies may still change: it is not packed yet, and what came after it waits with it.
    """

    pack: Callable[[Sequence[T]], bytes]
    unpack: Callable[[bytes], Sequence[T]]
    is_final: Callable[[T], bool] = _is_final
    blocks: list[bytes] = attrs.field(factory=list, init=False)
    """The older ones."""
    recent: list[T] = attrs.field(factory=list, init=False)
    """The newer ones, as they are."""

    def __len__(self) -> int:
        return len(self.blocks) * BLOCK + len(self.recent)

    def append(self, item: T) -> None:
        """Put one more at the end."""
        self.recent.append(item)
        if len(self.recent) >= 2 * BLOCK and all(map(self.is_final, self.recent[:BLOCK])):
            self.blocks.append(self.pack(self.recent[:BLOCK]))
            del self.recent[:BLOCK]

    def since(self, index: int = 0) -> list[T]:
        """Return the items from this one on."""
        first = min(index // BLOCK, len(self.blocks))
        items = [item for block in self.blocks[first:] for item in self.unpack(block)]
        return (items + self.recent)[index - first * BLOCK :]

    def newest_first(self) -> Iterator[T]:
        """Yield the items from the last one back; what nobody asks for is not unpacked."""
        yield from reversed(self.recent)
        for block in reversed(self.blocks):
            yield from reversed(self.unpack(block))
