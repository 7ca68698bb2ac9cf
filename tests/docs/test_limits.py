"""What the README says is missing is missing. When one of these fails, the page has good news to tell."""

from collections.abc import Callable

import pytest

from tests.docs.pages import ROOT, page_text


def _unused(word: str, *places: str) -> Callable[[], bool]:
    """Say whether no file in these places, files or folders, has the word in it."""

    def unused() -> bool:
        files = [
            file for place in places for file in ((ROOT / place).rglob("*.py") if "." not in place else [ROOT / place])
        ]
        return not any(word in file.read_text(encoding="utf-8") for file in files)

    return unused


LIMITS: tuple[tuple[str, Callable[[], bool]], ...] = (("**Soft handoff**", _unused("UpdateSpeak", "actors", "agents")),)


@pytest.mark.parametrize(("claim", "still_missing"), LIMITS, ids=[claim for claim, _ in LIMITS])
def test_what_is_said_to_be_missing_is_missing(claim: str, still_missing: Callable[[], bool]) -> None:
    told = claim in " ".join(page_text("README.md").split())

    assert told == still_missing()
