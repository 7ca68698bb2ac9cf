"""A value that is kept as JSON takes the memory that it says."""

import tracemalloc

import orjson

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


def test_no_text_has_the_rest_of_its_line_shown_in_another_order_or_ends_it() -> None:
    spoken = "".join(map(chr, (*range(0x2028, 0x202F), *range(0x2066, 0x206A))))
    usual = "“Ja…” – שלום ⁠ 😀 \u200f"

    text = json_text({"text": f"{usual}{spoken}", spoken: 1})

    assert orjson.loads(text) == {"text": f"{usual}{spoken}", spoken: 1}
    assert usual in text.decode()
    assert not set(spoken) & set(text.decode())


def test_what_is_kept_takes_no_more_memory_than_it_says() -> None:
    tracemalloc.start()
    try:
        kept = keep_lines()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert held < 500 * KEPT
    del kept
