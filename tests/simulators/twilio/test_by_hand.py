"""`python -m simulators.twilio` and `python -m simulators.groq`: what somebody types to try things out."""

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
import trio

from simulators import groq
from simulators.twilio import __main__ as by_hand
from simulators.twilio.log import CallerHungUp


async def first_words(program: Callable[[], Awaitable[object]], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a program until it has said something; return that."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(program)
        while not (told := capsys.readouterr().out):  # noqa: ASYNC110 - it writes to a stream
            await trio.sleep(0.01)
        nursery.cancel_scope.cancel(reason="it has said where")
    return told


async def test_the_simulated_twilio_says_where_it_listens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TWILIO_ACCOUNT_SID", raising=False)
    scenario = tmp_path / "mine.toml"
    scenario.write_text('name = "mine"\n[caller]\nvoice = "caller-1"\n')

    told = await first_words(partial(by_hand.main, [str(scenario), "0"]), capsys)

    assert f"TWILIO_ACCOUNT_SID=AC{'0' * 32}" in told


async def test_the_simulated_groq_says_where_it_listens(capsys: pytest.CaptureFixture[str]) -> None:
    assert "GROQ_BASE_URL=http://127.0.0.1:" in await first_words(groq.main, capsys)


def test_a_calls_log_is_shown_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    by_hand.show("CA" + "1" * 32, CallerHungUp(1.5))

    assert capsys.readouterr().out == "CA11111111 CallerHungUp(at=1.5)\n"
