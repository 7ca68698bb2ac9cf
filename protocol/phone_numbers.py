"""Phone numbers in E.164, and what the telephone network gives instead of one.

Twilio's `From` and `To` are phone numbers, SIP addresses, names of clients, or stand-ins for a number that is withheld:
a word such as `anonymous`, or that word dialled on a keypad (https://www.twilio.com/docs/voice/twiml#twilios-request).
Pure.
"""

import re
from typing import Final
from urllib.parse import unquote

LONGEST_IDENTITY: Final = 256

_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.DOTALL)
_SEPARATORS: Final = str.maketrans("", "", " -.()\u00a0")
_KEYS: Final = str.maketrans("abcdefghijklmnopqrstuvwxyz", "22233344455566677778889999")
_SPELLED: Final = ("anonymous", "restricted", "blocked", "unknown", "unavailable", "private")
"""The words that networks show for a withheld number, also as digits: +266696687 is ANONYMOUS."""
_WITHHELD_NUMBERS: Final = frozenset(word.translate(_KEYS) for word in _SPELLED)
_WITHHELD_WORDS: Final = frozenset({
    *_SPELLED,
    *("withheld", "nocallerid", "calleridblocked", "unknowncaller", "unknownnumber", "privatecaller", "privatenumber"),
    *("numberwithheld", "numberunavailable", "notavailable", "outofarea"),
})  # fmt: skip


def is_phone_number(text: str) -> bool:
    return _E164.fullmatch(text) is not None


def identity_of(text: str) -> str:
    """Read a `From` or `To`: the phone number in it, else the identity as it came; empty if it is withheld."""
    if is_phone_number(text):
        return "" if text[1:] in _WITHHELD_NUMBERS else text
    given = "".join(character for character in text if character.isprintable()).strip()[:LONGEST_IDENTITY]
    user = _user_of(given)
    number = user.replace("(0)", "").translate(_SEPARATORS)
    if number.removeprefix("+") in _WITHHELD_NUMBERS or _is_withheld_word(user):
        return ""
    return number if is_phone_number(number) else given


def _user_of(given: str) -> str:
    """Return the part of an address that names somebody, without display name, scheme, host and parameters."""
    bracketed = re.findall(r"<([^<>]*)>", given)
    address = bracketed[-1].strip() if bracketed else given
    scheme = _SCHEME.fullmatch(address)
    if scheme is None:
        return unquote(address.partition("@")[0].partition(";")[0]).strip()
    user, at, _host = scheme[2].lstrip("/").partition("@")
    if scheme[1].lower() in {"sip", "sips"}:
        return unquote(user.partition(";")[0].partition(":")[0]).strip() if at else ""
    return unquote(user.partition(";")[0].partition("?")[0]).strip()


def _is_withheld_word(user: str) -> bool:
    return "".join(character for character in user.casefold() if character.isalnum()) in _WITHHELD_WORDS
