"""`kill -9` in the middle of twenty calls: each of them has a record that says it was cut, and what was said in it."""

import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
import trio

from store.checkpoints import Checkpoints
from store.sql import SqlRecords
from tests.calls.cut_calls import CALLS, call_sid

ROOT = Path(__file__).parents[2]
ENOUGH = 4 * CALLS
"""Lines said before the process is killed: every call has had its greeting, and the caller an answer."""

Said = dict[int, list[tuple[float, str]]]


def _killed_in_the_middle(folder: Path) -> Said:
    said: Said = defaultdict(list)
    command = [sys.executable, "-m", "tests.calls.cut_calls", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own module
        assert process.stdout is not None
        for count, line in enumerate(process.stdout, 1):
            number, at, text = line.rstrip("\n").split("\t")
            said[int(number)].append((float(at), text))
            if count == ENOUGH:
                process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    return said


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Said]:
    folder = tmp_path_factory.mktemp("killed")
    return folder, _killed_in_the_middle(folder)


@pytest.mark.real_time
async def test_every_call_that_a_killed_process_cuts_has_a_record_that_says_so(killed: tuple[Path, Said]) -> None:
    folder, said = killed
    records = SqlRecords(f"sqlite:///{folder}/calls.db")

    kept = await Checkpoints(folder / "running", records).adopt()

    found = {record.call_sid: record for record in await records.list()}
    assert len(said) == kept == CALLS
    assert {call_sid(number) for number in said} == found.keys()
    assert {"cut"} == {record.outcome for record in found.values()}
    assert list(await trio.Path(folder / "running").iterdir()) == []
    last = max(at for words in said.values() for at, _ in words)
    for number, words in said.items():
        transcript = {turn.text for turn in found[call_sid(number)].transcript}
        unsaved = [text for at, text in words if at < last - 1.0 and not any(text in turn for turn in transcript)]
        assert unsaved == []
