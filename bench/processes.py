"""Processes of a benchmark: started on a core of their own, read from /proc, and ended whatever happens."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Self

import attrs

PATIENCE = 30.0
_TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20
_PROC = Path("/proc")


@attrs.frozen
class Usage:
    """What a process and its descendants have used so far."""

    user_ms: float
    system_ms: float
    waited_ms: float
    """Time in which they could have run, and somebody else was running."""

    def __sub__(self, earlier: Self) -> "Usage":
        return Usage(
            self.user_ms - earlier.user_ms, self.system_ms - earlier.system_ms, self.waited_ms - earlier.waited_ms
        )

    @property
    def total_ms(self) -> float:
        """User and system time."""
        return self.user_ms + self.system_ms


def _stat(pid: int) -> list[str]:
    return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()


def _tree(root: int) -> list[int]:
    """Return a process and all its descendants."""
    parents = {}
    for path in _PROC.glob("[0-9]*"):
        try:
            parents[int(path.name)] = int(_stat(int(path.name))[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    found = [root]
    for parent in found:
        found += [pid for pid, above in parents.items() if above == parent]
    return found


def usage(root: int) -> Usage:
    """Read the CPU time of a process tree, ended children included."""
    user = system = waited = 0.0
    for pid in _tree(root):
        fields = [float(field) for field in _stat(pid)[11:15]]
        user += (fields[0] + fields[2]) * _TICK_MS
        system += (fields[1] + fields[3]) * _TICK_MS
        for task in (_PROC / str(pid) / "task").iterdir():
            waited += int((task / "schedstat").read_text().split()[1]) / 1e6
    return Usage(user, system, waited)


def resident_mb(root: int) -> float:
    """Read the resident memory of a process tree."""
    return sum(int((_PROC / str(pid) / "statm").read_text().split()[1]) for pid in _tree(root)) * _PAGE_MB


@attrs.frozen
class Descriptors:
    """What a process tree has open."""

    files: int
    sockets: int
    pooled: int
    """Of the sockets, connections to certain ports."""


def descriptors(root: int, ports: Collection[int]) -> Descriptors:
    """Count the file descriptors of a process tree, its sockets, and its connections to these ports."""
    targets = []
    for pid in _tree(root):
        for descriptor in (_PROC / str(pid) / "fd").iterdir():
            try:
                targets.append(str(descriptor.readlink()))
            except FileNotFoundError:
                continue
    pool = {f"socket:[{inode}]" for inode in _connected(ports)}
    sockets = [target for target in targets if target.startswith("socket:")]
    return Descriptors(len(targets), len(sockets), sum(target in pool for target in sockets))


def _connected(ports: Collection[int]) -> Iterator[str]:
    """Yield the inodes of sockets that are connected to one of these ports."""
    for line in (_PROC / "net" / "tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[2].rpartition(":")[2], 16) in ports:
            yield fields[9]


def busy_ms() -> float:
    """Read how long all cores together have been busy since boot."""
    user, nice, system, _idle, _iowait, *interrupts = map(
        int, (_PROC / "stat").read_text().splitlines()[0].split()[1:8]
    )
    return (user + nice + system + sum(interrupts)) * _TICK_MS


@attrs.frozen
class Cores:
    """Which processors the server has, and which the load."""

    server: frozenset[int]
    load: frozenset[int]

    @classmethod
    def split(cls) -> "Cores":
        """Give the server the last core that we may use, and the load all others; on one core they share."""
        ours = sorted(os.sched_getaffinity(0))
        return cls(frozenset(ours[-1:]), frozenset(ours[:-1] or ours))


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(
    command: Sequence[str], *, cores: frozenset[int], cwd: Path, log: Path, environ: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a process in a group of its own; leaving ends all of the group."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    with log.open("ab") as errors:
        process = subprocess.Popen(  # noqa: S603 - our own programs, or what the user named
            command,
            cwd=cwd,
            env={**inherited, **(environ or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if environ is None else errors,
            stderr=errors,
            start_new_session=True,
            preexec_fn=partial(os.sched_setaffinity, 0, cores),  # noqa: PLW1509 - no threads here
        )
    try:
        yield process
    finally:
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    for sent in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sent)
            process.wait(PATIENCE / 3)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def wait_listening(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until somebody listens on a port."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} does not listen:\n{log.read_text()}")
