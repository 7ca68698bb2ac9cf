"""The picture of a trace is of the program as it is, and no label lies over another."""

import re

import pytest
import trio
from trio.testing import MockClock

from tests.docs.trace_picture import LEFT, TARGET, WIDTH, drawn, spans_of_a_call

_LABEL = re.compile(r'<text x="([\d.]+)" y="(\d+)" fill="(#\w+)">([^<]*)</text>')
_WIDEST = 6.6
"""Units of a character of 11, on average, in a wide sans-serif."""


@pytest.mark.slow
def test_the_picture_of_a_trace_is_new_and_can_be_read() -> None:
    picture = drawn(trio.run(spans_of_a_call, clock=MockClock(autojump_threshold=0)))
    labels = [(float(x), text) for x, _, _, text in _LABEL.findall(picture)]

    assert picture == TARGET.read_text("utf-8"), "uv run python -m tests.docs.trace_picture draws it again"
    assert [text for x, text in labels if x < LEFT and x + _WIDEST * len(text) > LEFT] == []
    assert [text for x, text in labels if x >= LEFT and x + _WIDEST * len(text) > LEFT + WIDTH + 70] == []
