"""A server that is told to stop ends, though a handler does not listen."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from web.worker.draining import LEAVE_SECONDS, handlers_at_work, leave_handlers

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys, time, trio
from tests.agents.test_blocking import NoArguments, run
from agents.functions import Answer, FunctionSpec
from web.worker.draining import handlers_at_work, leave_handlers

async def deaf(arguments, context):
    {work}
    return Answer({{}})

async def main():
    with trio.move_on_after(0.1):
        await run(FunctionSpec("deaf", "Is deaf.", NoArguments, deaf))
    print(handlers_at_work())
    leave_handlers()

trio.run(main)
"""
DEAF = {
    "a thread": "await trio.to_thread.run_sync(time.sleep, 60)",
    "a shield": "with trio.CancelScope(shield=True): await trio.sleep(60)",
}


@pytest.mark.real_time
@pytest.mark.parametrize("work", DEAF)
def test_a_handler_that_does_not_listen_keeps_no_process(work: str) -> None:
    began = time.monotonic()
    program = [sys.executable, "-c", PROGRAM.format(work=DEAF[work])]
    ended = subprocess.run(program, cwd=ROOT, check=False, capture_output=True, text=True, timeout=200)  # noqa: S603

    assert ended.returncode == 0
    assert "['handler of deaf']" in ended.stdout.splitlines()
    assert "handlers_left" in ended.stdout
    assert time.monotonic() - began < 0.1 + 1.0 + LEAVE_SECONDS + 45.0


async def test_where_no_handler_is_at_work_nothing_is_done() -> None:
    leave_handlers()

    assert handlers_at_work() == []
