"""Brings the quoted blocks of the pages up to date: `python -m tests.docs.requote`. Read the diff before you commit it.

The prose around a block is yours to correct; nothing can do that for you.
"""

import sys

from tests.actors.turn.cases import with_cases
from tests.actors.turn.picture import with_picture
from tests.docs.pages import PAGES, ROOT, page_text, quotes_in

TURNS = "docs/turns.md"


def requoted(text: str) -> str:
    """Return the page with every quoted block as it must be."""
    for quote in reversed(list(quotes_in(text))):
        text = text[: quote.start] + quote.wanted + text[quote.stop :]
    return text


def main() -> None:
    """Rewrite the pages that have changed, and name them."""
    for page in (*PAGES, TURNS):
        before = page_text(page)
        after = requoted(before) if page != TURNS else with_cases(with_picture(before))
        if after != before:
            (ROOT / page).write_text(after, encoding="utf-8")
            sys.stdout.write(f"{page}\n")


if __name__ == "__main__":
    main()
