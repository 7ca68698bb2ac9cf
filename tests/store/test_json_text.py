"""What is written as JSON and kept takes the memory that it says."""

import tracemalloc
import zlib

from store.json_text import compressed, json_text

ENTRY = {"at": 12.345, "kind": "ReplyText", "text": "I can offer you Tuesday."}
KEPT = 500


def keep_lines() -> list[bytes]:
    return [json_text(ENTRY) for _ in range(KEPT)]


def test_a_text_is_compressed_in_little_memory() -> None:
    text = b"".join(keep_lines())
    tracemalloc.start()
    try:
        packed = compressed(text)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert zlib.decompress(packed) == text
    assert len(packed) < len(text) / 10
    assert most < 100_000


def test_what_is_kept_takes_no_more_memory_than_it_says() -> None:
    tracemalloc.start()
    try:
        kept = keep_lines()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert held < 500 * KEPT
    del kept
