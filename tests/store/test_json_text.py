"""A value that is kept as JSON takes the memory that it says."""

import tracemalloc

from store.json_text import json_text, packed_on, unpacked_lines

ENTRY = {"at": 12.345, "kind": "ReplyText", "text": "I can offer you Tuesday."}
KEPT = 500


def keep_lines() -> list[bytes]:
    return [json_text(ENTRY) for _ in range(KEPT)]


def test_lines_are_packed_one_behind_the_other_in_little_memory() -> None:
    lines, packed = keep_lines()[:100], b""
    tracemalloc.start()
    try:
        for line in lines:
            packed = packed_on(packed, line)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert list(unpacked_lines(packed)) == lines
    assert len(packed) < sum(map(len, lines)) / 5
    assert most < 100_000 + len(packed)


def test_what_is_kept_takes_no_more_memory_than_it_says() -> None:
    tracemalloc.start()
    try:
        kept = keep_lines()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert held < 500 * KEPT
    del kept
