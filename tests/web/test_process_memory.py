"""What a server process does about its memory when it starts."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
GROW = """
import threading
from pathlib import Path
from web.process_memory import share_one_heap

assert {share}
begun = threading.Barrier(9)

def hold():
    kept = [bytes(1000) for _ in range(100)]
    begun.wait()
    begun.wait()

threads = [threading.Thread(target=hold) for _ in range(8)]
for thread in threads:
    thread.start()
begun.wait()
heaps = Path("/proc/self/maps").read_text().count("---p 00000000 00:00 0")
begun.wait()
print(heaps)
"""


def reserved(share: str) -> int:
    """Count what a process has reserved and does not use, with eight threads in it that allocate."""
    command = [sys.executable, "-c", GROW.format(share=share)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603 - our own words
    return int(ended.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_threads_have_no_heaps_of_their_own() -> None:
    with_heaps, without = reserved("True"), reserved("share_one_heap()")

    assert with_heaps - without >= 2
