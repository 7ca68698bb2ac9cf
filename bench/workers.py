"""Does `hypercorn -k trio -w 2 server:app` take twenty calls at once, and let them end when it is told to stop?

    uv run python -m bench.workers [--workers 2] [--calls 20]

The simulators run in this process, the server in its own, in real time. Calls come in together; when all of them are
being carried, the master gets SIGTERM, and each call must still be heard to its goodbye. Prints what happened, and
exits with 1 if it was not that.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from time import monotonic

import httpx
import trio

from simulators.asgi import serve_app
from simulators.deepgram import DeepgramKnobs, SpeakSimulator, serve_deepgram
from simulators.deepgram.server import PATH
from simulators.groq import GroqSimulator
from simulators.scenario import load_scenario
from simulators.twilio.exchange import TwilioKnobs
from simulators.twilio.rest import TwilioSimulator
from simulators.twilio.serving import serve_simulator
from store.sql import SqlRecords

SCENARIO = Path(__file__).parents[1] / "tests/e2e/short.toml"
LINE = "+15550009999"
HOST = "127.0.0.1"


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


async def wait_ready(client: httpx.AsyncClient) -> None:
    """Wait until the server answers."""
    with trio.fail_after(30):
        while True:
            try:
                if (await client.get("/healthz")).is_success:
                    return
            except httpx.TransportError:
                await trio.sleep(0.1)


def environ_for(twilio: TwilioSimulator, deepgram: str, ports: Mapping[str, int], folder: Path) -> dict[str, str]:
    """Write the settings of a server between these simulators."""
    return {
        **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
        "DEEPGRAM_API_KEY": "key",
        "DEEPGRAM_AGENT_URL": deepgram,
        "DEEPGRAM_SPEAK_URL": f"http://{HOST}:{ports['speak']}/v1/speak",
        "GROQ_API_KEY": "key",
        "GROQ_BASE_URL": f"http://{HOST}:{ports['groq']}",
        "TWILIO_ACCOUNT_SID": twilio.account_sid,
        "TWILIO_AUTH_TOKEN": twilio.auth_token,
        "TWILIO_PHONE_NUMBER": LINE,
        "TWILIO_API_URL": f"http://{HOST}:{ports['rest']}",
        "LEAD_SERVER_EXTERNAL_URL": f"http://{HOST}:{ports['server']}",
        "API_TOKEN": "operator",
        "SILENCE_BUDGET": "30",
        "RECORDINGS_DIR": str(folder / "recordings"),
        "DATABASE_URL": f"sqlite:///{folder}/calls.db",
    }


async def play(workers: int, calls: int, folder: Path) -> list[str]:
    """Play it; return what went wrong."""
    scenario, port, problems = load_scenario(str(SCENARIO)), free_port(), list[str]()
    origin = f"http://{HOST}:{port}"
    async with httpx.AsyncClient(timeout=30, trust_env=False) as http, trio.open_nursery() as far:
        deepgram = await far.start(partial(serve_deepgram, scenario, knobs=DeepgramKnobs(slice_ms=200)))
        speak = await far.start(partial(serve_app, SpeakSimulator("key")))
        groq = await far.start(partial(serve_app, GroqSimulator(())))
        twilio = TwilioSimulator(scenario, http, knobs=TwilioKnobs(bundle=5))
        rest = await far.start(partial(serve_simulator, twilio))
        ports = {"speak": speak, "groq": groq, "rest": rest, "server": port}
        environ = environ_for(twilio, f"ws://{HOST}:{deepgram}{PATH}", ports, folder)
        command = [sys.executable, "-m", "hypercorn", "-k", "trio", "-w", str(workers), "-b", f"{HOST}:{port}"]
        server = await far.start(
            partial(
                trio.run_process,
                [*command, "--graceful-timeout", "3", "server:app"],
                env=environ,
                cwd=SCENARIO.parents[2],
                capture_stdout=True,
                stderr=subprocess.STDOUT,
                check=False,
            )
        )
        async with httpx.AsyncClient(base_url=origin, timeout=10, trust_env=False) as client:
            await wait_ready(client)
            callers = [
                twilio.call_in(f"{origin}/twilio/voice", to=LINE, from_=f"+1555200{number:04}")
                for number in range(calls)
            ]
            began = monotonic()
            with trio.move_on_after(20):
                while sum(call.performance.media is not None for call in callers) < calls:  # noqa: ASYNC110 - far away
                    await trio.sleep(0.05)
            carried = sum(call.performance.media is not None for call in callers)
        told = monotonic()
        server.send_signal(signal.SIGTERM)
        await trio.sleep(0.3)
        late = twilio.call_in(f"{origin}/twilio/voice", to=LINE, from_="+15552009999")
        for call in callers:
            await call.wait_over()
        with trio.move_on_after(40) as patience:
            await server.wait()
        ended = monotonic()
        await late.wait_over()
        far.cancel_scope.cancel(reason="it is over")
    kept = SqlRecords(f"sqlite:///{folder}/calls.db")
    records = [await kept.get(call.sid) for call in callers]
    outcomes = Counter(record.outcome if record is not None else "no record" for record in records)
    late_record = await kept.get(late.sid)
    print(f"{carried} of {calls} calls carried by {workers} workers within {told - began:.1f} s, then SIGTERM")
    print(f"outcomes: {dict(outcomes)}; the server was gone {ended - told:.1f} s later, exit {server.returncode}")
    print(f"a call during the drain: {late.status.value}, {'carried' if late_record is not None else 'not carried'}")
    if carried != calls or outcomes != Counter({"completed": calls}):
        problems.append("not every call was carried to its end")
    if patience.cancelled_caught:
        problems.append("the server did not end")
    return problems


def main() -> int:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--calls", type=int, default=20)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        problems = trio.run(play, asked.workers, asked.calls, Path(folder))
    for problem in problems:
        print(f"NOT: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
