"""A list that only grows, of which all but the newest is kept compressed.

What was said on a call stays until its record is written, and any of it may be asked for again; so does its journal,
for the console. As objects an utterance takes some 350 bytes, twice over; compressed behind what was said before it
takes 30 to 80. So a call of an hour is hardly larger than a new one. Many small pieces would leave gaps in the heap:
up to `VOLUME` items share one text, which is replaced by a longer one each time that `BLOCK` items are added.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Generic, TypeVar

import attrs

from store.json_text import packed_on, unpacked_lines

T = TypeVar("T")

BLOCK = 4
"""Items compressed at a time; as many are kept as they are, and up to as many more."""
VOLUME = 64 * BLOCK
"""The most items in one text: to add to it takes up to a fifth of a millisecond."""


@attrs.define(eq=False)
class PackedList(Generic[T]):
    """`write` makes a line of an item, and `read` an item of a line, its end included. Neither may raise.

    An item that `is_final` denies may still change: it is not packed yet, and what came after it waits with it.
    """

    write: Callable[[T], bytes]
    read: Callable[[bytes], T]
    is_final: Callable[[T], bool] = lambda _: True
    volumes: list[bytes] = attrs.field(factory=list, init=False)
    """The older ones, `VOLUME` in each but the last."""
    recent: list[T] = attrs.field(factory=list, init=False)
    """The newer ones, as they are."""
    _packed: int = attrs.field(default=0, init=False)
    """How many the older ones are."""

    def __len__(self) -> int:
        return self._packed + len(self.recent)

    def append(self, item: T) -> None:
        self.recent.append(item)
        if len(self.recent) >= 2 * BLOCK and all(map(self.is_final, self.recent[:BLOCK])):
            if self._packed % VOLUME == 0:
                self.volumes.append(b"")
            self.volumes[-1] = packed_on(self.volumes[-1], b"".join(map(self.write, self.recent[:BLOCK])))
            self._packed += BLOCK
            del self.recent[:BLOCK]

    def drop(self, count: int) -> int:
        """Drop the oldest items and return how many: `count`, or fewer, since what is packed together goes together."""
        dropped = 0
        while self._packed and (size := min(VOLUME, self._packed)) <= count - dropped:
            del self.volumes[0]
            self._packed -= size
            dropped += size
        if not self._packed:
            gone = min(len(self.recent), max(0, count - dropped))
            del self.recent[:gone]
            dropped += gone
        return dropped

    def since(self, index: int = 0) -> Iterator[T]:
        """Yield the items from this one on. Nothing may be added meanwhile."""
        newer = max(0, index - self._packed)
        while index < self._packed:
            yield from self._unpacked(index)
            index += VOLUME - index % VOLUME
        yield from self.recent[newer:]

    def batch(self, index: int) -> Sequence[T]:
        """Return the items from this one on that are packed together with it, or all of those that are not packed."""
        return list(self._unpacked(index)) if index < self._packed else self.recent[index - self._packed :]

    def _unpacked(self, index: int) -> Iterator[T]:
        number, first = divmod(index, VOLUME)
        return map(self.read, islice(unpacked_lines(self.volumes[number]), first, None))

    def newest_first(self) -> Iterator[T]:
        """Yield the items from the last one back; what nobody asks for is not unpacked."""
        yield from reversed(self.recent)
        for volume in reversed(self.volumes):
            yield from map(self.read, reversed(list(unpacked_lines(volume))))
