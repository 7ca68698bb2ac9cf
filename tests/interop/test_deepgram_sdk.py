"""The official SDK, unchanged, talks to the simulated service over real sockets."""

import sys
from functools import partial
from pathlib import Path

import orjson
import pytest
import trio

from simulators.deepgram import DeepgramKnobs, ExchangeLog, serve_deepgram
from simulators.deepgram.log import Closed, Rejected
from tests.simulators.deepgram.client import GREETING, reply_seconds, small_scenario

pytestmark = pytest.mark.real_time

ROOT = Path(__file__).parents[2]
KEY = "interop-key"
LINES = ("Sure, I have a few minutes.", "I would give it a five.")
FAST = DeepgramKnobs(settings_applied=0.0, think=0.05, tts=0.0, speed=40.0)


@pytest.mark.parametrize("mode", ["async", "sync"])
async def test_the_official_sdk_holds_a_whole_conversation(mode: str) -> None:
    log = ExchangeLog()
    serve = partial(serve_deepgram, small_scenario(), knobs=FAST, api_key=KEY, log=log)
    async with trio.open_nursery() as nursery:
        at = await nursery.start(serve)
        command = [sys.executable, "-m", "tests.interop.deepgram_sdk_client", mode, f"ws://127.0.0.1:{at}", KEY, *LINES]
        with trio.fail_after(45):
            finished = await trio.run_process(command, cwd=ROOT, capture_stdout=True)
        nursery.cancel_scope.cancel(reason="test over")

    seen = orjson.loads(finished.stdout)
    assert seen["texts"] == [
        ["assistant", GREETING],
        ["user", LINES[0]],
        ["assistant", "Great, thank you very much."],
        ["assistant", "May I have your name?"],
        ["user", LINES[1]],
        ["assistant", "Thank you for the five."],
        ["assistant", "Goodbye."],
    ]
    said = [content for role, content in seen["texts"] if role == "assistant"]
    assert seen["audio"] == round(reply_seconds(*said) * 8000)
    assert seen["kinds"][:2] == ["Welcome", "SettingsApplied"]
    assert seen["kinds"].count("FunctionCallRequest") == 2
    assert log.of(Rejected) == ()
    assert [entry.how for entry in log.of(Closed)] == ["client"]


@pytest.mark.parametrize("mode", ["async", "sync"])
async def test_the_official_sdk_is_refused_without_the_key(mode: str) -> None:
    async with trio.open_nursery() as nursery:
        at = await nursery.start(partial(serve_deepgram, small_scenario(), knobs=FAST, api_key=KEY))
        command = [sys.executable, "-m", "tests.interop.deepgram_sdk_client", mode, f"ws://127.0.0.1:{at}", "wrong"]
        with trio.fail_after(45):
            finished = await trio.run_process(command, cwd=ROOT, capture_stderr=True, check=False)
        nursery.cancel_scope.cancel(reason="test over")

    assert finished.returncode != 0
    assert b"401" in finished.stderr
