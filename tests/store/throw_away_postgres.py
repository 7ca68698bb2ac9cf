"""A PostgreSQL of our own for as long as the tests run: in a temporary folder, on a unix socket, with no password."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import attrs

START_SECONDS = 240
_DEBIAN = Path("/usr/lib/postgresql")


class PostgresMissing(Exception):
    """There is no PostgreSQL to be had here; the message says why."""


class PostgresFailed(Exception):
    """A program of PostgreSQL failed; the message ends as its log does."""


def _program(name: str) -> str:
    """Find a server program; Debian keeps them away from the PATH, by version."""
    versions = sorted(_DEBIAN.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    found = shutil.which(name) or (str(versions[-1]) if versions else None)
    if found is None:
        raise PostgresMissing(f"{name} is not installed (Debian: apt-get install postgresql)")
    return found


def _user() -> str | None:
    """Return whom to run the server as: ourselves, or somebody else if we are root, whom PostgreSQL refuses."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in known:
            return name
    raise PostgresMissing("PostgreSQL does not run as root, and there is no user postgres or nobody")


@attrs.frozen
class Cluster:
    """A running server."""

    folder: Path
    user: str | None

    @property
    def url(self) -> str:
        """Where it is reached."""
        return f"postgresql://switchboard@/postgres?host={quote(str(self.folder))}"

    @property
    def options(self) -> str:
        """How it is started; it keeps few files of its log, so that many tests leave no more of them than one."""
        return f"-c listen_addresses= -c unix_socket_directories='{self.folder}' -c fsync=off -c max_wal_size=128MB"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        base = str(self.folder / "base")
        self.run(_program("pg_ctl"), "-D", base, "-w", "-t", str(START_SECONDS), "-o", self.options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop it."""
        self.run(_program("pg_ctl"), "-D", str(self.folder / "base"), "-w", "-m", mode, "stop")

    def restart(self) -> None:
        """Stop it at once, as a crash does, and start it again."""
        self.stop()
        self.start()

    def run(self, *command: str) -> None:
        """Run a server program as the server's user."""
        log = self.folder / "log"
        with log.open("ab") as said:
            done = subprocess.run(  # noqa: S603 - our own command
                command,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd=self.folder,
                timeout=START_SECONDS,
                check=False,
                user=self.user,
                group=None if self.user is None else pwd.getpwnam(self.user).pw_gid,
                extra_groups=None if self.user is None else (),
            )
        if done.returncode != 0:
            raise PostgresFailed(f"{Path(command[0]).name} failed: {log.read_text(errors='replace')[-500:]}")


@contextmanager
def throw_away_postgres() -> Iterator[Cluster]:
    """Start a server, and leave nothing of it.

    Raises: `PostgresMissing`; `PostgresFailed`.
    """
    initdb, user = _program("initdb"), _user()
    # not below pytest's folder: a socket's path has 107 bytes at most, and that folder is closed to other users
    folder = Path(tempfile.mkdtemp(prefix="switchboard-pg-"))
    cluster = Cluster(folder, user)
    base = str(folder / "base")
    try:
        if user is not None:
            shutil.chown(folder, user)
        cluster.run(initdb, "-D", base, "-U", "switchboard", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
