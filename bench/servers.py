"""The servers that can be measured: this one, another revision or folder of it, the yardsticks, or any command line.

ours          the server of this working tree
rev:NAME      the server as it was at a git revision
dir:FOLDER    the server in another folder
asyncio       yardstick: `bench/relay_asyncio.py`
picows        yardstick: `bench/relay_picows.py`
cmd:LINE      any relay that takes a Media Stream on /twilio; {port}, {deepgram} and {groq} are filled in
"""

import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import attrs

from bench.fake_twilio import ACCOUNT, AUTH_TOKEN

ROOT = Path(__file__).resolve().parent.parent
YARDSTICKS = ("asyncio", "picows")


@attrs.frozen
class Services:
    """Where the server finds the others."""

    port: int
    deepgram: str
    groq: str


@attrs.frozen
class Server:
    """One thing to measure."""

    name: str
    folder: Path
    line: tuple[str, ...]
    is_relay: bool
    """It only carries audio: no webhook, no token, no handoff."""

    def command(self, services: Services) -> list[str]:
        """Write its command line."""
        known = attrs.asdict(services)
        return [word.format(**known) for word in self.line]

    def environ(self, services: Services, recordings: str) -> Mapping[str, str]:
        """Write its environment; a relay reads none."""
        if self.is_relay:
            return {}
        return {
            "DEEPGRAM_API_KEY": "bench",
            "DEEPGRAM_AGENT_URL": services.deepgram,
            "DEEPGRAM_SPEAK_URL": f"{services.groq}/v1/speak",
            "GROQ_API_KEY": "bench",
            "GROQ_BASE_URL": services.groq,
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
            "TWILIO_PHONE_NUMBER": "+15550009999",
            "TWILIO_API_URL": services.groq,
            "LEAD_SERVER_PORT": str(services.port),
            "LEAD_SERVER_EXTERNAL_URL": f"http://127.0.0.1:{services.port}",
            "API_TOKEN": "bench",
            "MAX_CALLS": "1000",
            "SUMMARY_MODE": "eager",
            "RECORDINGS_DIR": recordings,
            "DATABASE_URL": "memory:" if recordings == "none" else f"file:{recordings}",
        }


def server_of(name: str, scratch: Path) -> Server:
    """Return the server of a name; `scratch` takes what has to be unpacked for it."""
    kind, _, rest = name.partition(":")
    if kind in YARDSTICKS:
        line = (sys.executable, "-m", f"bench.relay_{kind}", "{port}", "{deepgram}")
        return Server(name, ROOT, line, is_relay=True)
    if kind == "cmd":
        return Server(name, Path.cwd(), tuple(shlex.split(rest)), is_relay=True)
    folder = {"ours": lambda: ROOT, "dir": lambda: Path(rest).resolve(), "rev": lambda: _unpacked(rest, scratch)}.get(
        kind
    )
    if folder is None:
        raise SystemExit(f"{name!r} is no server.\n{__doc__}")
    return Server(name, folder(), (sys.executable, "cli.py", "serve"), is_relay=False)


def _unpacked(revision: str, scratch: Path) -> Path:
    """Unpack a revision: no worktree, nothing of the repository is touched."""
    folder = scratch / revision.replace("/", "_")
    folder.mkdir()
    archive = subprocess.run(["git", "archive", revision], cwd=ROOT, capture_output=True, check=True)  # noqa: S603, S607
    subprocess.run(["tar", "-x"], cwd=folder, input=archive.stdout, check=True)  # noqa: S607
    return folder
