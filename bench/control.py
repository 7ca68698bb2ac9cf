"""How the benchmark talks to its load generators: one JSON object a line, in on stdin, an answer out on stdout."""

import asyncio  # noqa: TID251 - generators run on uvloop: they must be cheap, and not share the server's event loop
import select
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from typing import TypeVar

import attrs
import cattrs
import orjson

PATIENCE = 60.0

T = TypeVar("T")


async def orders() -> AsyncIterator[dict[str, object]]:
    """Yield what the benchmark asks for, until it closes the pipe."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield orjson.loads(line)


def answer(value: object) -> None:
    """Answer one order."""
    sys.stdout.buffer.write(orjson.dumps(cattrs.unstructure(value), option=orjson.OPT_NON_STR_KEYS) + b"\n")
    sys.stdout.buffer.flush()


@attrs.frozen
class Remote:
    """A generator, seen from the benchmark."""

    process: "subprocess.Popen[bytes]"

    def ask(self, do: str, kind: type[T], **details: object) -> T:
        """Give an order and wait for its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(orjson.dumps({"do": do, **_plain(details)}) + b"\n")
        self.process.stdin.flush()
        return self.hear(kind)

    def hear(self, kind: type[T]) -> T:
        """Wait for the next answer; the first one comes unasked, when the generator is ready."""
        told = self.process.stdout
        assert told is not None
        if not select.select([told], [], [], PATIENCE)[0]:
            raise TimeoutError(f"{self.process.args!r}: no answer in {PATIENCE:g} s")
        line = told.readline()
        if not line:
            raise RuntimeError(f"{self.process.args!r} has ended")
        return cattrs.structure(orjson.loads(line), kind)


def _plain(details: Mapping[str, object]) -> dict[str, object]:
    return {name: cattrs.unstructure(value) for name, value in details.items()}
