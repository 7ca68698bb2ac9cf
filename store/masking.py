"""Hides phone numbers, and names in addresses of SIP and of clients, in texts that people and collectors see.

`mask` leaves the last two characters of each; the log, lists, pages and traces show no more of a caller. What it
takes for a number, and what it does not, stands in one pattern. Pure.
"""

import re

_LEFT, _RIGHT = r"(?:(?<![A-Za-z0-9+])(?<![0-9]\.)|(?<=%[0-9A-Fa-f]{2}))", r"(?![A-Za-z0-9]|\.[0-9])"
_FREE = r"(?:(?<![\w+])|(?<=%[0-9A-Fa-f]{2}))"
_PLUS = r"\+|%2B|%2b"
_NAME, _END = r"(?P<name>(?:(?!%40)[^\s@;,<>\"&'])+)", r"(?![^\s@;,<>\"&'])"
_GAP = r"(?:[ ./()\u00a0-]|%20|%28|%29){1,3}"
_NUMBERS = re.compile(
    rf"""
    (?P<keep> {_LEFT}(?:  # a UUID, a time, or an IP address
        [0-9A-Fa-f]{{8}}(?:-[0-9A-Fa-f]{{4}}){{3}}-[0-9A-Fa-f]{{12}}
        | [0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}(?:[T\ ][0-9:.]+(?:Z|[+-][0-9:]+)?)?
        | [0-9]{{1,3}}(?:\.[0-9]{{1,3}}){{3}}(?::[0-9]+)?
    ){_RIGHT})
    | (?P<scheme> \b(?i:sips?|tel|whatsapp|messenger)(?::|%3A|%3a)(?:{_PLUS})?)[0-9]{{5,17}}(?![0-9])
    | (?P<title> "[^"]*")(?=\ *<(?i:sips?):)
    | (?P<named> \b(?i:sips?|client|whatsapp|messenger)(?::|%3A|%3a))(?!(?<=client:)page{_END}){_NAME}
    | {_FREE}(?P<plus>{_PLUS})[0-9]{{7,17}}(?![0-9])
    | {_LEFT}[0-9]{{9,17}}{_RIGHT}
    | {_FREE}(?P<grouped>(?:{_PLUS})?\(?[0-9]{{1,5}}(?:{_GAP}[0-9]{{1,10}}){{1,6}}){_RIGHT}
    """,
    re.VERBOSE,
)
"""Phone numbers, and texts that only look like one."""
STRUCK_OUT = "***"
_AMERICAN = re.compile(r"(?<![0-9])\(?[2-9][0-9]{2}\D{1,2}[0-9]{3}\D[0-9]{2}([0-9]{2})(?![0-9])")
_FEWEST_GROUPED, _MOST = 9, 17


def mask(text: str) -> str:
    """Hide the phone numbers in a text, with `+` and without, and the names in addresses of SIP and of clients.

    `+15551230042` becomes `+***42`, and `client:alice` `client:***ce`; the browser's phone (`client:page`) is nobody.
    """
    parts, start = list[str](), 0
    while (found := _NUMBERS.search(text, start)) is not None:
        hidden, end = _hidden(found)
        parts += text[start : found.start()], hidden
        start = end
    return "".join(parts) + text[start:]


def _hidden(found: re.Match[str]) -> tuple[str, int]:
    """Return the replacement for a match, and the position where the search continues."""
    grouped: str | None = found["grouped"]
    if found["keep"] is not None:
        return found[0], found.end()
    if grouped is not None and not _is_number(grouped):
        within, count = _AMERICAN.subn(rf"{STRUCK_OUT}\1", grouped)
        first = re.match(r"\D*[0-9]+", grouped)
        end = found.end() if count or first is None else found.start() + first.end()
        return (within, end) if count else (found.string[found.start() : end], end)
    if found["title"] is not None:
        return STRUCK_OUT, found.end()
    if (name := found["name"]) is not None:
        return f"{found['named']}{STRUCK_OUT}{name[2:][-2:]}", found.end()
    plus = re.match(_PLUS, grouped or "")
    lead = found["scheme"] or found["plus"] or (plus[0] if plus else "")
    return f"{lead}{STRUCK_OUT}{found[0][-2:]}", found.end()


def _is_number(grouped: str) -> bool:
    """Say whether digits in groups are a phone number: with `+`, or as one is written in a country."""
    digits = re.sub(r"[^0-9]", "", re.sub(r"%[0-9A-Fa-f]{2}", "", grouped))
    if re.match(_PLUS, grouped):
        return 7 <= len(digits) <= _MOST
    groups = len(re.findall("[0-9]+", grouped))
    is_national = grouped.startswith("0") or (grouped.startswith(("1", "(")) and groups >= 3)
    return (_FEWEST_GROUPED <= len(digits) <= _MOST and is_national) or bool(_AMERICAN.fullmatch(grouped))
