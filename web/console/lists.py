"""The list of calls: the query that an address asks for.

The filters live in the address, so a list can be kept as a bookmark. A filter that cannot be read is told beside the
form and asks for nothing.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from urllib.parse import urlencode

import attrs

from store.records import ANSWERED, UNANSWERED
from store.search import CallQuery
from web.console.rendering import TEXT

PAGE = 50
_LONGEST = 100
OUTCOMES = (*ANSWERED, *UNANSWERED)
"""Outcomes to choose from."""
FILTERS = ("q", "outcome", "direction", "since", "until", "troubled", "transferred", "numbers")


@attrs.frozen
class ListAsked:
    """A list as an address asks for it: the query, the filters as written, and their problems."""

    query: CallQuery
    given: Mapping[str, str]
    problems: tuple[str, ...] = ()

    @property
    def is_filtered(self) -> bool:
        return any(name != "numbers" for name in self.given)

    def address(self, **changes: str) -> str:
        """Return the address of this list with changes; an empty value takes a filter away."""
        given = {name: value for name, value in {**self.given, **changes}.items() if value}
        return f"/?{urlencode(given)}" if given else "/"


def asked_by(arguments: Mapping[str, str]) -> ListAsked:
    given = {name: arguments.get(name, "").strip()[:_LONGEST] for name in FILTERS}
    given = {name: value for name, value in given.items() if value}
    problems = list[str]()
    since, until = (_day(given.get(name, ""), problems) for name in ("since", "until"))
    if since and until and since > until:
        problems.append(TEXT["dates_crossed"])
    started_at, _, call_sid = _word(arguments, "before").partition("~")
    query = CallQuery(
        text=given.get("q", ""),
        outcome=_word(given, "outcome"),
        direction=_word(given, "direction"),
        since=since.isoformat() if since else "",
        until=(until + timedelta(days=1)).isoformat() if until and until < date.max else "",
        troubled="troubled" in given,
        transferred="transferred" in given,
        before=(started_at[:_LONGEST], call_sid[:_LONGEST]) if started_at else None,
        limit=PAGE + 1,
    )
    return ListAsked(query, given, tuple(dict.fromkeys(problems)))


def _word(arguments: Mapping[str, str], name: str) -> str:
    """Return a word that a record may have, without null characters, which PostgreSQL refuses."""
    return arguments.get(name, "").replace("\0", "")


def _day(text: str, problems: list[str]) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        problems.append(TEXT["date_wrong"])
        return None
