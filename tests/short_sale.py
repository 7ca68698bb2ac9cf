"""The shipped sale without its small talk: three agents in forty seconds, for tests on the machine's clock."""

import re

from simulators.scenario import SHIPPED

_SMALL_TALK = re.compile(r'\[\[caller\.line\]\]\nsays = "(?!Sure|Yes|I would give).*"\n(?:pause = .*\n)?')

SHORT_SALE = _SMALL_TALK.sub("", (SHIPPED / "sale.toml").read_text("utf-8"))
"""A scenario's file: who offers the caller a handoff is agreed with at once."""
