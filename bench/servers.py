"""The servers that can be measured: this one, another revision or folder of it, the yardsticks, or any command line.

ours          the server of this working tree as it ships: recording, SQLite, TLS towards Deepgram
bare          the same without recording and database, without TLS
plain         as it ships, on trio-websocket and hypercorn as they come, without our own frame layer
rev:NAME      the server as it ships as it was at a git revision, with that revision's packages
dir:FOLDER    the server as it ships in another folder
asyncio       yardstick: `bench/relay_asyncio.py`
asyncio-wav   the same, and it records each call
picows        yardstick: `bench/relay_picows.py`
cmd:LINE      any relay that takes a Media Stream on /twilio; {port}, {deepgram}, {groq} and {scratch} are filled in
"""

import shlex
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import attrs

from bench.fake_twilio import ACCOUNT, AUTH_TOKEN

TOKEN = "bench-token-of-more-than-thirty-two-characters"  # noqa: S105 - of servers that live for a minute
ROOT = Path(__file__).resolve().parent.parent
OTHERS = ("bare", "plain", "asyncio", "asyncio-wav", "picows")
_RELAYS = {
    "asyncio": ("bench.relay_asyncio", "{port}", "{deepgram}"),
    "asyncio-wav": ("bench.relay_asyncio", "{port}", "{deepgram}", "{scratch}"),
    "picows": ("bench.relay_picows", "{port}", "{deepgram}"),
}


@attrs.frozen
class Services:
    """Where the server finds the others, and a folder for what it writes."""

    port: int
    deepgram: str
    groq: str
    deepgram_tls: str = ""
    authority: str = ""
    """The file of the authority that has signed Deepgram's certificate."""
    scratch: str = ""


@attrs.frozen
class Server:
    """One thing to measure."""

    name: str
    folder: Path
    line: tuple[str, ...]
    is_relay: bool
    """It only carries audio: no webhook, no token, no handoff."""
    ships: bool = False
    """It records, writes to a database, and speaks TLS to Deepgram."""

    def command(self, services: Services) -> list[str]:
        """Write its command line."""
        known = attrs.asdict(services)
        return [word.format(**known) for word in self.line]

    def environ(self, services: Services) -> Mapping[str, str]:
        """Write its environment; a relay reads none."""
        if self.is_relay:
            return {}
        folder = services.scratch
        return {
            "DEEPGRAM_API_KEY": "bench",
            "DEEPGRAM_AGENT_URL": services.deepgram_tls if self.ships else services.deepgram,
            "DEEPGRAM_SPEAK_URL": f"{services.groq}/v1/speak",
            "GROQ_API_KEY": "bench",
            "GROQ_BASE_URL": services.groq,
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
            "TWILIO_PHONE_NUMBER": "+15550009999",
            "TWILIO_API_URL": services.groq,
            "LEAD_SERVER_PORT": str(services.port),
            "LEAD_SERVER_EXTERNAL_URL": f"http://127.0.0.1:{services.port}",
            "API_TOKEN": TOKEN,
            "MAX_CALLS": "1000",
            "SUMMARY_MODE": "eager",
            "RECORDINGS_DIR": f"{folder}/recordings" if self.ships else "none",
            "DATABASE_URL": f"sqlite:///{folder}/switchboard.db" if self.ships else "memory:",
            **({"SSL_CERT_FILE": services.authority} if self.ships else {}),
        }


def server_of(name: str, scratch: Path) -> Server:
    """Return the server of a name; `scratch` takes what has to be unpacked for it."""
    kind, _, rest = name.partition(":")
    if kind in _RELAYS:
        return Server(name, ROOT, (sys.executable, "-m", *_RELAYS[kind]), is_relay=True)
    if kind == "cmd":
        return Server(name, Path.cwd(), tuple(shlex.split(rest)), is_relay=True)
    program = ("-m", "bench.plain") if kind == "plain" else ("cli.py",)
    folder = _folder_of(kind, rest, scratch)
    python = _environment(folder) if kind == "rev" else sys.executable
    return Server(name, folder, (python, *program, "serve"), is_relay=False, ships=kind != "bare")


def _folder_of(kind: str, rest: str, scratch: Path) -> Path:
    match kind:
        case "ours" | "bare" | "plain":
            return ROOT
        case "dir":
            return Path(rest).resolve()
        case "rev":
            return _unpacked(rest, scratch)
        case _:
            raise SystemExit(f"{kind!r} is no server.\n{__doc__}")


def _unpacked(revision: str, scratch: Path) -> Path:
    """Unpack a revision: no worktree, nothing of the repository is touched."""
    folder = scratch / revision.replace("/", "_")
    folder.mkdir()
    archive = subprocess.run(["git", "archive", revision], cwd=ROOT, capture_output=True, check=True)  # noqa: S603, S607
    subprocess.run(["tar", "-x"], cwd=folder, input=archive.stdout, check=True)  # noqa: S607
    return folder


def _environment(folder: Path) -> str:
    """Return the Python of a revision: ours, or where it needs other packages one that uv makes beside it."""
    ours, theirs = (tomllib.loads((each / "pyproject.toml").read_text())["project"] for each in (ROOT, folder))
    if ours["dependencies"] == theirs["dependencies"]:
        return sys.executable
    line = ("uv", "sync", "--quiet", "--no-dev", "--no-install-project", "--python", sys.executable)
    subprocess.run(line, cwd=folder, check=True)  # noqa: S603
    return str(folder / ".venv/bin/python")
