"""What is written as JSON and kept takes the memory that it says."""

import tracemalloc
from collections.abc import Callable

import orjson
import pytest

from store.json_text import json_text
from store.memory import MemoryTexts

ENTRY = {"at": 12.345, "kind": "ReplyText", "text": "I can offer you Tuesday."}
KEPT = 500


def keep_lines() -> object:
    return [json_text(ENTRY) for _ in range(KEPT)]


def keep_texts() -> object:
    texts = MemoryTexts()
    for number in range(KEPT):
        texts.put(f"token {number}", orjson.dumps(ENTRY), 60.0)
    return texts


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
