"""How many examples hypothesis draws, where a test does not say: the same ones in each run, and all where CI plays."""

import os

from hypothesis import settings

EXAMPLES = 100 if os.environ.get("FAULT_MATRIX") == "full" else 30
DRAWN = settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
