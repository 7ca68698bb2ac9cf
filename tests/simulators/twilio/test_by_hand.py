"""`python -m simulators.twilio` and `python -m simulators.groq`: what somebody types to try things out."""

from pathlib import Path

import pytest
import trio

from simulators import groq
from simulators.twilio import __main__ as by_hand
from simulators.twilio.log import CallerHungUp


async def test_the_simulated_twilio_says_where_it_listens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TWILIO_ACCOUNT_SID", raising=False)
    scenario = tmp_path / "mine.toml"
    scenario.write_text('name = "mine"\n[caller]\nvoice = "caller-1"\n')

    with trio.move_on_after(0.5):
        await by_hand.main([str(scenario), "0"])

    assert f"TWILIO_ACCOUNT_SID=AC{'0' * 32}" in capsys.readouterr().out


async def test_the_simulated_groq_says_where_it_listens(capsys: pytest.CaptureFixture[str]) -> None:
    with trio.move_on_after(0.5):
        await groq.main()

    assert "GROQ_BASE_URL=http://127.0.0.1:" in capsys.readouterr().out


def test_a_calls_log_is_shown_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    by_hand.show("CA" + "1" * 32, CallerHungUp(1.5))

    assert capsys.readouterr().out == "CA11111111 CallerHungUp(at=1.5)\n"
