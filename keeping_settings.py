"""Settings of what is kept of calls, for how long, and what of it is written down."""

import math

import attrs

from model_settings import ModelSettings
from setting_reader import Variable
from setting_values import number
from store.redaction import Redaction, Rule
from store.retention import Retention

LONGEST_DAYS = 36_500.0
_days = number(0.01, LONGEST_DAYS, "a number of days")


def retention(value: str) -> Retention:
    """Read one number of days for everything, or `audio=7 transcripts=30 records=365`, or `off`."""
    if value.lower() == "off":
        return Retention()
    try:
        if "=" not in value:
            return Retention(*[_days(value)] * 3)
        pairs = [part.partition("=") for part in value.replace(",", " ").split()]
        days = {name: math.inf if given == "off" else _days(given) for name, _, given in pairs}
        return Retention(**days)
    except (ValueError, TypeError):
        raise ValueError("a number of days, audio=7 transcripts=30 records=365, or off") from None


def redaction(value: str) -> Redaction:
    """Read names of rules, or `none`."""
    names = value.lower().replace(",", " ").split()
    try:
        return Redaction(frozenset() if names == ["none"] else frozenset(map(Rule, names)))
    except ValueError:
        raise ValueError("cards, numbers, or none") from None


RETENTION_DAYS = Variable(
    "RETENTION_DAYS",
    "days after which recordings, words (transcripts, journals, facts) and records are removed: one number for all of"
    " them, or one for each. off keeps them",
    "audio=7 transcripts=30 records=365",
    retention,
    "off",
)
REDACT = Variable(
    "REDACT",
    "what of the words of a call is not written down: cards, or numbers of four digits and more. Recordings have it"
    " still",
    "cards",
    redaction,
    "none",
)

KEEPING_VARIABLES: tuple[Variable[object], ...] = (RETENTION_DAYS, REDACT)


@attrs.frozen(kw_only=True)
class KeepingSettings(ModelSettings):
    """What is kept. Field names are the variables' in lower case."""

    retention_days: Retention
    redact: Redaction
