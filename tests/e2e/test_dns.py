"""A network without DNS: no nameserver ever answers, and 45 callers call in all the same."""

import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from simulators.pacing import PacedClock
from tests.e2e.line import SHORT, open_line

pytestmark = pytest.mark.slow

CALLS = 45
FILES = {"call.wav", "journal.jsonl", "record.json", "transcript.json"}
NOWHERE = {
    "DEEPGRAM_AGENT_URL": "wss://agent.deepgram.test/v1/agent/converse",
    "DEEPGRAM_SPEAK_URL": "http://api.deepgram.test/v1/speak",
    "GROQ_BASE_URL": "http://api.groq.test",
}


@pytest.fixture
def black_hole(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sequence[str]]:
    """Let every name be looked up until the test is over; numbers need no nameserver."""
    asked, over, real = list[str](), threading.Event(), socket.getaddrinfo

    def look_up(host: str, port: int, family: int = 0, kind: int = 0, proto: int = 0, flags: int = 0) -> object:  # noqa: PLR0917
        try:
            return real(host, port, family, kind, proto, flags | socket.AI_NUMERICHOST)
        except socket.gaierror:
            if flags & socket.AI_NUMERICHOST:
                raise
        asked.append(str(host))
        over.wait(60)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    yield asked
    over.set()


async def test_without_dns_twilio_is_answered_and_every_call_has_its_files(
    black_hole: Sequence[str], tmp_path: Path, fast_clock: PacedClock
) -> None:
    """While threads look names up, the clock is no faster. The callers hear the apology: there is no agent for them."""
    async with open_line(tmp_path, SHORT, answers="human", twilio=None, **NOWHERE) as line:
        calls = [line.call_in(f"+1555123{number:04}") for number in range(CALLS)]
        await line.wait_over(*calls)
        told = (await line.operator.get("/metrics")).text
        records = [await line.record_of(call) for call in calls]

    within = 'switchboard_http_request_seconds_bucket{le="1.0",route="/twilio/voice"}'
    assert black_hole
    assert [f"{within} {CALLS}.0"] == [row for row in told.splitlines() if row.startswith(within)]
    assert [record.outcome for record in records] == ["no_agent"] * CALLS
    assert [FILES <= {file.name for file in (tmp_path / call.sid).iterdir()} for call in calls] == [True] * CALLS
