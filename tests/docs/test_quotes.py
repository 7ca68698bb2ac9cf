"""What a page quotes is what the program says. When this fails: `python -m tests.docs.requote`, then mend the prose."""

import pytest

from tests.docs.pages import PAGES, ROOT, Quote, page_text, quotes_in, source_of
from tests.docs.requote import requoted

QUOTES = [(page, quote) for page in PAGES for quote in quotes_in(page_text(page))]


@pytest.mark.parametrize(("page", "quote"), QUOTES, ids=[f"{page}: {quote.what}" for page, quote in QUOTES])
def test_a_quoted_block_is_what_it_quotes(page: str, quote: Quote) -> None:
    assert quote.text == quote.wanted


def test_every_comment_that_announces_a_quote_has_one() -> None:
    text = "".join(map(page_text, PAGES))
    announced = sum(text.count(f"<!-- {kind}:") for kind in ("source", "file", "computed"))

    assert announced == len(QUOTES)


def test_the_handoff_is_told_with_the_code_that_does_it() -> None:
    told = " ".join(quote.what for page, quote in QUOTES if page == "docs/handoff.md")

    for file in ("handoff", "floor", "session/function_runner", "supervision"):
        assert f"actors/{file}.py" in told


def test_the_handoff_can_be_read_in_ten_minutes() -> None:
    assert len(page_text("docs/handoff.md").split()) < 2200


def test_a_snippet_that_has_changed_is_found_and_brought_up_to_date() -> None:
    page = page_text("docs/handoff.md")
    quote = next(quotes_in(page))
    stale = page[: quote.start] + quote.text.replace("self", "this") + page[quote.stop :]

    assert next(quotes_in(stale)).text != quote.wanted
    assert requoted(stale) == requoted(page)


def test_a_name_that_is_gone_is_named() -> None:
    with pytest.raises(LookupError, match=r"actors/floor\.py Floor\.vanished"):
        source_of(ROOT / "actors/floor.py", "Floor.vanished")
