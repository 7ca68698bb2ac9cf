"""Writes a call down: journal and recording as it goes on, transcript and record when it is over.

`Scribe` owns one folder below the recordings folder. It reads the Journal without blocking it and writes once a
second, in a thread; when the disk fails it raises, and the call goes on without it. What did not fit its bounded
buffer is counted in the journal file itself.
"""

from collections.abc import Mapping
from pathlib import Path

import attrs
import orjson
import trio

from actors.journal import Entry
from actors.recording import Recording
from store.records import CallRecord, record_as_json

_LONGEST_BUFFER = 10_000
_EVERY = 1.0


@attrs.define(eq=False)
class Scribe:
    """One call's scribe. *Closes* its files after every write: there is nothing to leak."""

    folder: Path
    recording: Recording = attrs.field(init=False)
    _lines: list[bytes] = attrs.field(factory=list, init=False)
    _missing: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self.recording = Recording(self.folder)

    def read(self, entry: Entry) -> None:
        """Take an entry of the Journal, to be written soon."""
        if len(self._lines) < _LONGEST_BUFFER:
            self._lines.append(orjson.dumps(entry.as_json(), option=orjson.OPT_APPEND_NEWLINE))
        else:
            self._missing += 1

    async def run(self) -> None:
        """Write once a second, until cancelled."""
        while True:
            await trio.to_thread.run_sync(self._write)
            await trio.sleep(_EVERY)

    async def finish(self, record: CallRecord) -> None:
        """Write everything that is left, and the views of the whole call."""
        await trio.to_thread.run_sync(self._finish, record_as_json(record))

    def _write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        lines, self._lines = self._lines, []
        missing, self._missing = self._missing, 0
        if missing:
            lines.append(orjson.dumps({"event": "entries_missing", "count": missing}, option=orjson.OPT_APPEND_NEWLINE))
        with (self.folder / "journal.jsonl").open("ab") as file:
            file.writelines(lines)
        self.recording.write()

    def _finish(self, record: Mapping[str, object]) -> None:
        self._write()
        self.recording.finish()
        _write_json(self.folder / "transcript.json", record["transcript"])
        _write_json(self.folder / "record.json", record)


def _write_json(path: Path, content: object) -> None:
    temporary = path.with_suffix(".part")
    temporary.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    temporary.replace(path)
