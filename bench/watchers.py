"""What watching costs the calls that are watched: `uv run --group bench python -m bench.watchers`.

The same load three times, round after round: nobody watches; ten watch one of the calls; each call has a watcher. A
watcher reads the server-sent events of a call, as a page does. Told are lost frames and the latency of the audio.
"""

import argparse
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import attrs
import httpx

from bench.processes import Cores
from bench.run import Bench, Load, Run, bench
from bench.servers import server_of
from bench.tally import Span

TOKEN = "bench"  # noqa: S105 - the one of `bench.servers`
KINDS = {"nobody": 0, "ten on one call": 10, "one on each call": -1}


@attrs.define
class Watchers:
    """Reads the events of calls in a thread; counts what comes."""

    port: int
    wanted: int
    bytes_read: int = 0
    streams: int = 0
    _open: ExitStack = attrs.field(factory=ExitStack)

    def start(self) -> None:
        """Open the streams: ten of one call, or one of each."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        listed = httpx.get(f"http://127.0.0.1:{self.port}/calls?limit=500", headers=headers).json()["calls"]
        live = [str(call["call_sid"]) for call in listed if call["status"] == "in-progress"]
        for call_sid in live if self.wanted < 0 else live[:1] * self.wanted:
            stream = self._open.enter_context(socket.create_connection(("127.0.0.1", self.port)))
            lines = [f"GET /calls/{call_sid}/events HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {TOKEN}"]
            stream.sendall("\r\n".join([*lines, "", ""]).encode())
            self.streams += 1
            threading.Thread(target=self._read, args=[stream], daemon=True).start()

    def _read(self, stream: socket.socket) -> None:
        try:
            while part := stream.recv(65536):
                self.bytes_read += len(part)
        except OSError:
            return

    def stop(self) -> None:
        """Close them."""
        self._open.close()


@attrs.define
class WatchedBench(Bench):
    """A run whose calls are watched from before they talk."""

    watchers: Watchers | None = None

    def _begin(self) -> list[Span]:
        if self.watchers is not None and self.watchers.wanted:
            self.watchers.start()
        return super()._begin()


def _measure(kind: str, calls: int, seconds: float, folder: Path) -> tuple[Run, Watchers]:
    load = Load(calls, seconds, handoffs=False)
    with bench(server_of("ours", folder), load, Cores.split(), folder) as it:
        watchers = Watchers(it.port, KINDS[kind])
        run = WatchedBench(**attrs.asdict(it, recurse=False), watchers=watchers).measure()
        watchers.stop()
    return run, watchers


def _line(kind: str, runs: list[tuple[Run, Watchers]]) -> Iterator[str]:
    lost = sum(run.to_agent.lost + run.to_caller.lost for run, _ in runs)
    ways = [median(getattr(run, way).net_ms[99] for run, _ in runs) for way in ("to_agent", "to_caller")]
    streams = max(watchers.streams for _, watchers in runs)
    read = median(watchers.bytes_read for _, watchers in runs) / 1000
    cpu = median(run.cpu_ms for run, _ in runs)
    yield f"| {kind} | {streams} | {lost} | {ways[0]:.1f} | {ways[1]:.1f} | {cpu:.1f} | {read:.0f} |"


def main() -> None:
    """Measure, and write a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.watchers", description=__doc__)
    parser.add_argument("--calls", type=int, default=25)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    found: dict[str, list[tuple[Run, Watchers]]] = {kind: [] for kind in KINDS}
    for number in range(given.rounds):
        for kind, runs in found.items():
            print(f"round {number + 1}: {kind} …", file=sys.stderr)
            with tempfile.TemporaryDirectory() as folder:
                runs.append(_measure(kind, given.calls, given.seconds, Path(folder)))
    print(f"{given.calls} calls, medians of {given.rounds} rounds\n")
    print("| who watches | streams | frames lost | p99 to agents, ms | to callers, ms | CPU a call, ms/s | kB read |")
    print("|---|---|---|---|---|---|---|")
    for kind, runs in found.items():
        print(*_line(kind, runs), sep="\n")


if __name__ == "__main__":
    main()
