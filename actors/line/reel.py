"""Bytes that come in at one end and are forgotten at the other, in blocks of one size.

One `bytearray` for each call would be moved whenever it grows, asks for an eighth more than it needs, and leaves holes
of every size behind; a quarter of a second of audio is the same size in every call.
"""

import attrs

BLOCK_BYTES = 2000


@attrs.define
class Reel:
    """A run of bytes, of which the oldest may be forgotten."""

    _blocks: list[bytes] = attrs.field(factory=list, init=False)
    _tail: bytearray = attrs.field(factory=bytearray, init=False)
    _forgotten: int = attrs.field(default=0, init=False)
    """Bytes at the beginning of the first block, which goes when all of it is."""

    def __len__(self) -> int:
        return len(self._blocks) * BLOCK_BYTES + len(self._tail) - self._forgotten

    def append(self, data: bytes) -> None:
        """Put more at the end."""
        self._tail += data
        while len(self._tail) >= BLOCK_BYTES:
            self._blocks.append(bytes(self._tail[:BLOCK_BYTES]))
            self._tail = self._tail[BLOCK_BYTES:]

    def cut(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` up to `stop`, counted from the oldest that is kept; fewer where it ends."""
        start, stop = start + self._forgotten, min(stop, len(self)) + self._forgotten
        whole = len(self._blocks) * BLOCK_BYTES
        if start >= whole:
            return bytes(self._tail[start - whole : max(0, stop - whole)])
        parts: list[bytes | bytearray] = []
        for number in range(start // BLOCK_BYTES, min(len(self._blocks), -(-stop // BLOCK_BYTES))):
            origin = number * BLOCK_BYTES
            parts.append(self._blocks[number][max(0, start - origin) : stop - origin])
        parts.append(self._tail[: max(0, stop - whole)])
        return b"".join(parts)

    def forget(self, size: int) -> None:
        """Forget the oldest `size` bytes, all of them if there are no more."""
        size = min(size, len(self)) + self._forgotten
        gone = min(len(self._blocks), size // BLOCK_BYTES)
        del self._blocks[:gone]
        self._forgotten = size - gone * BLOCK_BYTES
        if not self._blocks:
            del self._tail[: self._forgotten]
            self._forgotten = 0
