"""How much of it all is played by default, and all of it where CI plays (`FAULT_MATRIX=full`).

Hypothesis draws the same examples in each run, where a test does not say otherwise.
"""

import os

from hypothesis import settings

FULL = os.environ.get("FAULT_MATRIX") == "full"
EXAMPLES = 100 if FULL else 15
DRAWN = settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
