"""What is written as JSON and kept takes the memory that it says."""

import tracemalloc
import zlib
from collections.abc import Callable

import orjson
import pytest

from store.json_text import compressed, json_text
from store.memory import MemoryTexts

ENTRY = {"at": 12.345, "kind": "ReplyText", "text": "I can offer you Tuesday."}
KEPT = 500


def keep_lines() -> list[bytes]:
    return [json_text(ENTRY) for _ in range(KEPT)]


def keep_texts() -> object:
    texts = MemoryTexts()
    for number in range(KEPT):
        texts.put(f"token {number}", orjson.dumps(ENTRY), 60.0)
    return texts


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


@pytest.mark.parametrize("keep", [keep_lines, keep_texts])
def test_what_is_kept_takes_no_more_memory_than_it_says(keep: Callable[[], object]) -> None:
    tracemalloc.start()
    try:
        kept = keep()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert held < 500 * KEPT
    del kept
