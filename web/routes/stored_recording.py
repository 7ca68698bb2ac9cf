"""A recording in the object store as the body of an answer: whole, or the part that a player asks for.

It is read a block at a time, and no further than it is sent: a player that skips costs what it hears. A store that
fails in the middle ends the answer early, which the client sees by its length.
"""

from collections.abc import AsyncIterator
from functools import partial
from types import TracebackType
from typing import Self

import attrs
from quart import Response, request
from quart.wrappers.response import ResponseBody
from werkzeug.exceptions import RequestedRangeNotSatisfiable

from store.objects import BLOCK
from web.calls.call_files import CallFiles


@attrs.define
class StoredRecording(ResponseBody):
    """Bytes `begin` to `end` of the recording of a call."""

    files: CallFiles
    call_sid: str
    begin: int
    end: int

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        pass

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        objects = self.files.objects
        if objects is None or self.begin >= self.end:
            raise StopAsyncIteration
        end = min(self.begin + BLOCK, self.end)
        block = await self.files.in_store(partial(objects.read, self.call_sid, self.begin, end))
        if not block:
            raise StopAsyncIteration
        self.begin += len(block)
        return block

    async def make_conditional(self, begin: int, end: int | None) -> int:
        """Take the range that the client wants, in Quart's words; return how long the whole is."""
        size = self.end
        self.begin = begin if begin >= 0 else max(0, size + begin)  # the last so many bytes
        self.end = min(size, size if end is None else end)
        if not 0 <= self.begin < self.end:
            raise RequestedRangeNotSatisfiable
        return size


async def stored_recording(files: CallFiles, call_sid: str, size: int) -> Response:
    response = Response(StoredRecording(files, call_sid, 0, size), 200, content_type="audio/wav")
    response.content_length = size
    return await response.make_conditional(request, accept_ranges=True, complete_length=size)
