"""Settings for stored data: where, for how long, with what redaction, and the webhook of calls."""

import base64
import binascii
import math

import attrs

from model_settings import ModelSettings
from protocol.fields import shown
from setting_reader import Reading, optional_setting, setting
from setting_values import http_url, number, object_url, phone_number, spoken, yes_or_no
from store.redaction import Redaction, RedactionRule

LONGEST_DAYS = 36_500.0
_days = number(0.01, LONGEST_DAYS, "a number of days")


@attrs.frozen
class Retention:
    """In days, from the start of a call (of a file: from its last change). `math.inf` is for ever."""

    audio: float = math.inf
    transcripts: float = math.inf
    records: float = math.inf

    @property
    def ends(self) -> bool:
        return min(self.audio, self.transcripts, self.records) < math.inf


def retention(value: str) -> Retention:
    """Read one number of days for everything, or `audio=7 transcripts=30 records=365`, or `off`."""
    if value.lower() == "off":
        return Retention()
    pairs = [part.partition("=") for part in _parts(value)]
    if len({name for name, _, _ in pairs}) < len(pairs):
        raise ValueError("one number of days for each of audio, transcripts and records")
    try:
        if "=" not in value:
            return Retention(*[_days(value)] * 3)
        days = {name: math.inf if given == "off" else _days(given) for name, _, given in pairs}
        return Retention(**days)
    except (ValueError, TypeError):
        raise ValueError("a number of days, audio=7 transcripts=30 records=365, or off") from None


def _parts(value: str) -> list[str]:
    """Return what stands between commas and spaces; at least one part, unless all is blank."""
    return value.replace(",", " ").split() or [value] * bool(value)


def redaction(value: str) -> Redaction:
    """Read names of rules, or `none`."""
    names = _parts(value.lower())
    try:
        return Redaction(frozenset() if names == ["none"] else frozenset(map(RedactionRule, names)))
    except ValueError:
        raise ValueError("cards, numbers, or none") from None


@attrs.frozen
class RecordedLines:
    """The numbers of ours on which the audio of calls is recorded; None is all of them."""

    numbers: frozenset[str] | None = None

    def has(self, line: str) -> bool:
        return self.numbers is None or line in self.numbers


def recorded_lines(value: str) -> RecordedLines:
    """Read `yes`, `no`, or our numbers with commas between them."""
    if value.lower() in {"yes", "no"}:
        return RecordedLines(None if value.lower() == "yes" else frozenset())
    try:
        return RecordedLines(frozenset(map(phone_number, _parts(value))))
    except ValueError:
        raise ValueError("yes, no, or numbers of ours in E.164 with commas between them") from None


def webhook_secrets(value: str) -> tuple[bytes, ...]:
    """Read secrets of the Standard Webhooks convention, with commas between them."""
    wanted = "whsec_ and 24 to 64 bytes in base64; several with commas between them"
    secrets = list[bytes]()
    for part in _parts(value):
        try:
            secret = base64.b64decode(part.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            raise ValueError(wanted) from None
        if not (part.startswith("whsec_") and 24 <= len(secret) <= 64):
            raise ValueError(wanted)
        secrets.append(secret)
    return tuple(secrets)


def check_webhooks(settings: "KeepingSettings", read: Reading) -> None:
    """Refuse an address without a secret, or one that everybody on the way can read."""
    url = settings.call_webhook_url
    if url is None:
        return
    if not settings.call_webhook_secret:
        read.refuse("CALL_WEBHOOK_SECRET", "CALL_WEBHOOK_SECRET is missing, and CALL_WEBHOOK_URL is set.")
    if url.startswith("http:") and not settings.call_webhook_private:
        read.refuse("CALL_WEBHOOK_URL", f'CALL_WEBHOOK_URL is "{shown(url)}", which is not https.')


@attrs.frozen(kw_only=True)
class KeepingSettings(ModelSettings):
    """Settings of what is kept of calls, for how long, and of the webhook that is told."""

    retention_days: Retention = setting(
        "days after which recordings, words (transcripts, journals, facts) and records are removed: one number"
        " for all of them, or one for each. off keeps them",
        retention,
        "off",
        "audio=7 transcripts=30 records=365",
    )
    redact: Redaction = setting(
        "what of the words of a call is not written down: cards, or numbers of four digits and more. Recordings have it"
        " still",
        redaction,
        "none",
        "cards",
    )
    record_audio: RecordedLines = setting(
        "whether the audio of calls is recorded, where RECORDINGS_DIR is a folder: yes, no, or on which of our numbers",
        recorded_lines,
        "yes",
        "+15551230000",
    )
    recording_notice: str = setting(
        "sentence that Twilio says before anybody else, to callers whose audio is recorded; empty says nothing",
        spoken,
        "",
        "This call is recorded.",
    )
    recordings_url: str | None = optional_setting(
        "object store that recordings are moved to after each call; empty leaves them in RECORDINGS_DIR. Needs"
        " the extra `objects` and fsspec's driver for the store",
        object_url,
        "s3://bucket/recordings",
    )
    call_webhook_url: str | None = optional_setting(
        "the address of your server that is told when a call starts, is handed on, is put through to a person,"
        " and ends",
        http_url,
        "https://example.com/calls",
    )
    call_webhook_secret: tuple[bytes, ...] = setting(
        "the secret that signs what CALL_WEBHOOK_URL is told; two with a comma between them while it is changed."
        " Make one"
        ' with: echo "whsec_$(openssl rand -base64 32)"',
        webhook_secrets,
        "",
        "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz",
        secret=True,
    )
    call_webhook_private: bool = setting(
        "whether CALL_WEBHOOK_URL may be http, and lead to a private address: yes or no", yes_or_no, "no"
    )
