import subprocess
import sys

PROBE = """
import sys, protocol.audio, protocol.deepgram, protocol.errors, protocol.fields, protocol.twilio, protocol.wire
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"trio", "asyncio", "httpx", "trio_websocket"}))
"""


def test_the_protocols_load_no_event_loop_and_no_network() -> None:
    command = [sys.executable, "-c", PROBE]
    loaded = subprocess.run(command, capture_output=True, check=True, text=True)  # noqa: S603 -- our own words

    assert loaded.stdout.strip() == ""
