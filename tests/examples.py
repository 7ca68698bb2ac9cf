"""How much of it all is played by default, and all of it where CI plays (`FAULT_MATRIX=full`, and what is `slow`).

Hypothesis draws the same examples in each run, where a test does not say otherwise.
"""

import os
from collections.abc import Sequence

import pytest
from hypothesis import settings
from hypothesis import strategies as st

EVERY = os.environ.get("FAULT_MATRIX") == "every"
"""What takes minutes of a processor is played whole, too: by hand, before a release."""
FULL = EVERY or os.environ.get("FAULT_MATRIX") == "full"
EXAMPLES = 100 if FULL else 4
DRAWN = settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
STRIDE = 1 if FULL else 29
"""Through the steps of a call, where something happens at each."""

UNICODE = st.characters(exclude_categories=["Cs"])
"""The alphabet of `st.text()`, said so that Hypothesis need not try to encode each character in a fresh clone (2 s)."""

POSTGRES = pytest.param("postgres", marks=pytest.mark.slow)
"""The parameter of a contract that several stores keep: a server's start and its discs are none of the moment's."""


def one_in(share: int, cases: Sequence[object]) -> list[object]:
    """Return the cases as parameters, of which all but the first of each `share` are slow."""
    return [case if index % share == 0 else _slow(case) for index, case in enumerate(cases)]


def _slow(case: object) -> object:
    values = case if isinstance(case, tuple) else (case,)
    return pytest.param(*values, marks=pytest.mark.slow)
