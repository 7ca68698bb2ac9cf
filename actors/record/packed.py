"""A list that only grows, of which all but the newest is kept compressed.

What was said on a call stays until its record is written, and any of it may be asked for again; so does its journal,
for the console. As objects an utterance takes some 350 bytes, twice over; compressed it takes 70, and 45 when many are
compressed together. A journal entry takes 170, 40, and 18. So a call of an hour is hardly larger than a new one.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

import attrs

T = TypeVar("T")

BLOCK = 8
"""Items compressed together at first: twice as many would save a seventh, and leave twice as many as objects."""
VOLUME = 8 * BLOCK
"""Items compressed together in the end, which takes a fifth of a millisecond."""


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
    volumes: list[bytes] = attrs.field(factory=list, init=False)
    """The oldest ones, `VOLUME` in each."""
    blocks: list[bytes] = attrs.field(factory=list, init=False)
    """The older ones, `BLOCK` in each."""
    recent: list[T] = attrs.field(factory=list, init=False)
    """The newer ones, as they are."""

    def __len__(self) -> int:
        return len(self.volumes) * VOLUME + len(self.blocks) * BLOCK + len(self.recent)

    @property
    def packed(self) -> tuple[bytes, ...]:
        """The compressed items, from the oldest on."""
        return (*self.volumes, *self.blocks)

    def append(self, item: T) -> None:
        self.recent.append(item)
        if len(self.recent) >= 2 * BLOCK and all(map(self.is_final, self.recent[:BLOCK])):
            self.blocks.append(self.pack(self.recent[:BLOCK]))
            del self.recent[:BLOCK]
        if len(self.blocks) * BLOCK == VOLUME:
            self.volumes.append(self.pack([item for block in self.blocks for item in self.unpack(block)]))
            self.blocks.clear()

    def drop(self, count: int) -> int:
        """Drop the oldest items and return how many: `count`, or fewer, since what is packed together goes together."""
        dropped = 0
        for kept, size in ((self.volumes, VOLUME), (self.blocks, BLOCK), (self.recent, 1)):
            gone = min(len(kept), max(0, count - dropped) // size)
            dropped += gone * size
            del kept[:gone]
            if kept:
                break
        return dropped

    def since(self, index: int = 0) -> list[T]:
        items, passed = list[T](), 0
        for packed, size in self._sizes():
            if items or passed + size > index:
                items += self.unpack(packed)
            else:
                passed += size
        return (items + self.recent)[index - passed :]

    def batch(self, index: int) -> Sequence[T]:
        """Return the items from this one on that are packed together with it, or all of those that are not packed."""
        for packed, size in self._sizes():
            if index < size:
                return self.unpack(packed)[index:]
            index -= size
        return self.recent[index:]

    def _sizes(self) -> Iterator[tuple[bytes, int]]:
        yield from ((volume, VOLUME) for volume in self.volumes)
        yield from ((block, BLOCK) for block in self.blocks)

    def newest_first(self) -> Iterator[T]:
        """Yield the items from the last one back; what nobody asks for is not unpacked."""
        yield from reversed(self.recent)
        for packed in reversed(self.packed):
            yield from reversed(self.unpack(packed))
