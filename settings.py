"""The settings of the server: each by its environment name, read once and checked whole.

`Settings.from_environ` reads a mapping and nothing else, and nothing is read at import; `environment` is the mapping
that the two ways in, `server.py` and `cli.py`, give it. Everything missing or malformed is reported in one
`SettingsError`, by name, with what it is for and an example; a secret is never repeated back, neither in an error nor
in a `repr`. Blank means unset. Settings of models and voices are in `model_settings`.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from io import StringIO
from itertools import permutations
from pathlib import Path
from urllib.parse import unquote, urlsplit

import attrs
from dotenv.main import resolve_variables
from dotenv.parser import Binding, parse_stream

from actors.policy import SummaryMode
from keeping_settings import KeepingSettings, check_webhooks
from model_settings import AGENTS, REFERENCE_VOICES, VOICE, check_models, voices_in
from setting_reader import (
    Reading,
    SettingsError,
    Variable,
    misspelt,
    optional,
    optional_setting,
    setting,
    text_of_file,
    variable_of,
    variables_of,
)
from setting_values import (
    account_sid,
    api_key_sid,
    bound_host,
    collector_url,
    folder,
    host_url,
    http_url,
    is_loopback,
    key,
    keys,
    member_of,
    number,
    origin,
    phone_key,
    phone_number,
    price_table,
    records_url,
    seconds,
    seconds_or_off,
    socket_url,
    spoken,
    whole,
    why_unreachable,
    written_as,
    yes_or_no,
)
from store.prices import Prices


class TransferMode(Enum):
    WARM = "warm"
    COLD = "cold"


def environment(dotenv: Path = Path(".env"), tell: Callable[[str], object] = str) -> Mapping[str, str]:
    """Return the process environment over what a `.env` file says; neither is changed.

    `tell` takes a line for each name that the file sets to several values; the last value counts.

    Raises: `SettingsError` when the file cannot be read.
    """
    statements = tuple(parse_stream(StringIO(_text_of(dotenv)))) if dotenv.exists() else ()
    odd = [statement for statement in statements if statement.error or _is_unset(statement)]
    if odd:
        wanted = "Write NAME=VALUE, with quotes that are closed."
        raise SettingsError(tuple(f"{dotenv} cannot be read in line {_first_line(one)}. {wanted}" for one in odd))
    _refuse_unset(dotenv, statements)
    for line in _repeated(dotenv, statements):
        tell(line)
    pairs = [(statement.key, statement.value) for statement in statements if statement.key is not None]
    written = resolve_variables(pairs, override=False)
    return {**{name: value for name, value in written.items() if value is not None}, **os.environ}


def _repeated(dotenv: Path, statements: Sequence[Binding]) -> Iterator[str]:
    named = {name: [one for one in statements if one.key == name] for name in dict.fromkeys(s.key for s in statements)}
    for name, found in named.items():
        if name is not None and len({one.value for one in found}) > 1:
            lines = ", ".join(str(_first_line(one)) for one in found)
            yield f"{name} is set in lines {lines} of {dotenv}, and only the last counts. Leave one."


def _text_of(dotenv: Path) -> str:
    try:
        text = text_of_file(dotenv)
    except ValueError as exc:
        raise SettingsError((f"{dotenv} {exc}.",)) from exc
    if "\0" in text:
        raise SettingsError((f"{dotenv} has NUL characters, as UTF-16 has. Save it as UTF-8.",))
    return text


def _is_unset(statement: Binding) -> bool:
    """Whether a line is a name of ours alone, which stands for a variable of the environment, and there is none."""
    return statement.value is None and statement.key in VARIABLES and statement.key not in os.environ


_REFERENCE = re.compile(r"\$\{([^}:]*)\}")
"""As python-dotenv reads it, in single quotes too: one that is not set would leave a hole in the value."""


def _refuse_unset(dotenv: Path, statements: Sequence[Binding]) -> None:
    """Refuse references to what is not set. Raises: `SettingsError`."""
    known, problems = set(os.environ), []
    for statement in statements:
        unset = [name for name in _REFERENCE.findall(statement.value or "") if name not in known]
        told = f"{dotenv} refers in line {_first_line(statement)} to"
        problems += [f"{told} ${{{name}}}, which is set neither before it nor in the environment." for name in unset]
        known.add(statement.key or "")
    if problems:
        raise SettingsError(tuple(problems))


def _first_line(statement: Binding) -> int:
    """Return the line of a statement itself: empty lines before it are a part of it."""
    written = statement.original.string
    return statement.original.line + written[: len(written) - len(written.lstrip())].count("\n")


SHORTEST_TOKEN = 16
"""Characters of an `API_TOKEN` where strangers can try it."""


_PASSWORDS = frozenset({"password", "sslpassword"})
"""Names of parameters in the URL of a database."""
_SECRET_WORDS = frozenset({"KEY", "APIKEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIALS"})
"""A setting whose name has one of these words in it is taken for a secret."""
_SHORTEST = 8
"""A shorter secret would strike everyday words out of the log."""

OURS = ("LISTEN_", "SPEAK_", "SUMMARY_", "THINK_")
"""Beginnings of names that nobody else uses."""


def _host(url: str | None) -> str:
    return (urlsplit(url).hostname or "") if url else ""


def unknown_names(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Tell which names in an environment look like settings of ours and are not, a line for each."""
    voices = {name for name in environ if name.endswith(VOICE)}
    if environ.get(AGENTS.name, "").strip() in ("", AGENTS.default):
        voices &= set(REFERENCE_VOICES)  # of other agents the roster knows: `misspelt_voices`
    return misspelt(environ, {*VARIABLES, *REFERENCE_VOICES, *voices}, OURS)


def wants_traces(environ: Mapping[str, str]) -> bool:
    """Tell whether the standard variables of OpenTelemetry name a collector of traces."""
    is_off = environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none"
    return not is_off and any(environ.get(one.name, "").strip() for one in COLLECTORS)


@attrs.frozen(kw_only=True)
class Settings(KeepingSettings):
    """Every setting of the server, checked. Each `setting` is a variable of the same name, in capitals."""

    environ: Mapping[str, str] = attrs.field(repr=False)
    """All that was read from, for the settings of a roster's own functions."""
    deepgram_api_key: str = setting(
        "the key for Deepgram's Voice Agent API, which hears and speaks", key, example="0123abcd", secret=True
    )
    deepgram_agent_url: str = setting(
        "where the Voice Agent API is reached; change it for the EU or for the simulator",
        socket_url,
        "wss://agent.deepgram.com/v1/agent/converse",
    )
    deepgram_speak_url: str = setting(
        "where the fillers for a silence are fetched, once a voice; change it together with DEEPGRAM_AGENT_URL",
        http_url,
        "https://api.deepgram.com/v1/speak",
    )
    twilio_account_sid: str = setting(
        "the Twilio account that places the calls", account_sid, example="AC0123456789abcdef0123456789abcdef"
    )
    twilio_auth_token: str = setting(
        "the account's primary auth token, which also proves that a request is Twilio's; while it is changed, the new"
        " one and the old one, with a comma between them",
        keys,
        example="0123456789abcdef0123456789abcdef",
        secret=True,
    )
    twilio_api_key: str | None = optional_setting(
        "an API key of the account, with which we ask Twilio instead of with the auth token (which still proves that a"
        " request is Twilio's)",
        api_key_sid,
        "SK0123456789abcdef0123456789abcdef",
    )
    twilio_api_secret: str | None = optional_setting(
        "the secret of TWILIO_API_KEY", key, "0123456789abcdef0123456789abcdef", secret=True
    )
    twilio_phone_number: str = setting(
        "our line: the Twilio number that rings and calls", phone_number, example="+15551230000"
    )
    twilio_api_url: str = setting(
        "where Twilio's REST API is reached; change it for a region (give edge and region) or for the simulator",
        host_url,
        "https://api.twilio.com",
        "https://api.dublin.ie1.twilio.com",
    )
    lead_server_host: str = setting("the address the server binds", bound_host, "127.0.0.1", "0.0.0.0")  # noqa: S104 - an example
    lead_server_port: int = setting("the port the server binds", whole(0, 65535), "8000")
    lead_server_external_url: str = setting(
        "the one public origin of this server: Twilio is sent there and its signatures are checked against it",
        origin,
        example="https://agent.example.com",
    )
    lead_phone_number: str | None = optional_setting(
        "the number that POST /calls calls when the order names none", phone_number, "+15557650000"
    )
    api_token: str | None = optional_setting(
        "the bearer token of /calls and /metrics, required, and not short, unless the server, its public address and"
        " Twilio are all on this machine. Make one with: openssl rand -hex 32",
        key,
        "a-long-random-text",
        secret=True,
    )
    max_calls: int = setting(
        "how many calls are carried at once: by all workers that share a PostgreSQL, else by each worker",
        whole(1, 100_000),
        "50",
    )
    max_calls_per_worker: int | None = optional_setting(
        "how many calls one worker carries at once, where MAX_CALLS is for several; MAX_CALLS where it is not set",
        whole(1, 10_000),
        "50",
    )
    calls_per_second: float = setting(
        "how many calls are placed in a second, by all workers that share a PostgreSQL or else by each worker;"
        " more wait their turn here, for Twilio would ring them much later",
        number(0.01, 100),
        "1",
    )
    summary_mode: SummaryMode = setting(
        "when the Brief is asked for: eager keeps it ready, on_handoff asks for it once",
        member_of(SummaryMode),
        "eager",
    )
    summary_deadline: float = setting("how many seconds a handoff waits for the Brief", seconds(0.1, 30), "3")
    silence_budget: float = setting(
        "the longest silence a caller meets when it is the agents' turn, in seconds", seconds(1, 60), "4"
    )
    think_patience: float = setting(
        "how many seconds an answer is waited for, with fillers, as long as the service gives signs of life",
        seconds(5, 120),
        "20",
    )
    caller_silence: float = setting(
        "how many seconds a caller may be silent in their turn before they are asked whether they are there; twice,"
        " then the call ends. off waits for ever",
        seconds_or_off(3, 120),
        "10",
    )
    max_call_seconds: float = setting(
        "the longest that a conversation may take, in seconds; the caller is warned a minute before. off has no end",
        seconds_or_off(30, 7000),
        "1800",
    )
    human_digit: str | None = optional_setting(
        "the key that puts a caller through to a person; without TRANSFER_PHONE_NUMBER the agent is told of it",
        phone_key,
        "0",
    )
    keep_digits: bool = setting(
        "whether journal and record keep which keys a caller pressed, and not only how many: yes or no", yes_or_no, "no"
    )
    voicemail_message: str = setting(
        "what the agent says to an answering machine after its beep; empty hangs up on machines",
        spoken,
        "",
        "This is Alex from Acme, you asked us to call. Please call us back.",
    )
    fallback_phone_number: str | None = optional_setting(
        "the number of the person who takes a call when no agent can go on", phone_number, "+15559870000"
    )
    transfer_phone_number: str | None = optional_setting(
        "the number of the person for callers who ask for one; FALLBACK_PHONE_NUMBER where it is not set",
        phone_number,
        "+15559870000",
    )
    transfer_mode: TransferMode = setting(
        "how callers are put through: warm tells the person who is calling and asks for a key before they are"
        " connected, cold connects them at once",
        member_of(TransferMode),
        "warm",
    )
    drain_timeout: float = setting("how many seconds running calls may go on after SIGTERM", seconds(0, 3600), "30")
    recordings_dir: Path | None = setting(
        "one folder a call: recording, transcript, journal; none keeps nothing", folder, "recordings"
    )
    database_url: str = setting(
        "where call records are kept: sqlite:///FILE, postgresql://USER:PASSWORD@HOST/NAME, or memory:, which forgets"
        " them",
        records_url,
        "sqlite:///switchboard.db",
        "postgresql://switchboard:password@db.example.com/switchboard",
        secret=True,
    )
    prices: Prices | None = setting(
        "a TOML file with what you pay, from which the console shows what a call costs", price_table, "", "prices.toml"
    )

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Settings":
        """Read every setting from `environ`. Raises: `SettingsError` with all problems at once."""
        read = Reading(environ, VARIABLES)
        values = {name.lower(): read(variable) for name, variable in VARIABLES.items()}
        settings = cls(**values, voices=voices_in(environ), environ=environ)  # type: ignore[arg-type]
        settings._check_together(read)
        for variable in (*COLLECTORS, *_WAYS_TO_THEM) if wants_traces(environ) else ():
            if variable.name != "OTEL_EXPORTER_OTLP_PROTOCOL" or not read.given("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"):
                read(variable)
        if read.problems:
            raise SettingsError((*read.problems, *unknown_names(environ)))
        return settings

    def _check_together(self, read: Reading) -> None:
        """Refuse settings that contradict each other; a malformed one reads as None, and was refused."""
        check_models(self, read)
        check_webhooks(self, read)
        public, theirs = _host(self.lead_server_external_url), _host(self.twilio_api_url)
        is_public = not all(map(is_loopback, (public, theirs, self.lead_server_host or "")))
        is_public &= read.malformed.isdisjoint({"LEAD_SERVER_EXTERNAL_URL", "TWILIO_API_URL", "LEAD_SERVER_HOST"})
        if is_public and len(self.api_token or "") < SHORTEST_TOKEN:
            told = f"has fewer than {SHORTEST_TOKEN} characters, and can be guessed" if self.api_token else "is missing"
            read.refuse("API_TOKEN", f"API_TOKEN {told}.")
        why = why_unreachable(public) if public else None
        if why is not None and theirs and why_unreachable(theirs) is None:
            told = f'LEAD_SERVER_EXTERNAL_URL is "{self.lead_server_external_url}", and Twilio cannot call it: {public}'
            read.refuse("LEAD_SERVER_EXTERNAL_URL", f"{told} {why}. For a simulated Twilio, set TWILIO_API_URL, too.")
        if self.keep_digits and self.redact is not None and self.redact.rules:
            read.refuse("REDACT", "REDACT leaves numbers out, and KEEP_DIGITS writes down each key.")
        if self.recordings_url is not None and self.recordings_dir is None and "RECORDINGS_DIR" not in read.malformed:
            read.refuse("RECORDINGS_URL", "RECORDINGS_URL is set, and RECORDINGS_DIR is none: a recording grows there.")
        self._check_twilio(read)

    def _check_twilio(self, read: Reading) -> None:
        for name, other in permutations(("TWILIO_API_KEY", "TWILIO_API_SECRET")):
            if read.given(other) and not read.given(name):
                read.refuse(name, f"{name} is missing, and {other} is set.")
        ours = self.twilio_phone_number
        for name in ("LEAD_PHONE_NUMBER", "FALLBACK_PHONE_NUMBER", "TRANSFER_PHONE_NUMBER"):
            if ours and getattr(self, name.lower()) == ours:
                read.refuse(name, f"{name} is our own line, TWILIO_PHONE_NUMBER.")

    def notice_on(self, line: str) -> str:
        """Return the sentence for callers on this number of ours, before their audio is recorded; empty for none."""
        is_recorded = self.recordings_dir is not None and self.record_audio.has(line)
        return self.recording_notice if is_recorded else ""

    @property
    def calls_per_worker(self) -> int:
        return min(self.max_calls, self.max_calls_per_worker or self.max_calls)

    @property
    def person(self) -> str:
        """Return the number of the person for transfers; empty where there is none."""
        return self.transfer_phone_number or self.fallback_phone_number or ""

    @property
    def newest_auth_token(self) -> str:
        """The auth token with which we sign: the first."""
        return self.twilio_auth_token.partition(",")[0]

    @property
    def rest_credentials(self) -> tuple[str, str]:
        """With what we ask Twilio: an API key and its secret, or the account and its auth token."""
        if self.twilio_api_key and self.twilio_api_secret:
            return self.twilio_api_key, self.twilio_api_secret
        return self.twilio_account_sid, self.newest_auth_token

    def secrets(self) -> tuple[str, ...]:
        database = urlsplit(self.database_url)
        asked = (pair.partition("=") for pair in database.query.split("&"))
        written = [database.password or "", *(value for name, _, value in asked if name in _PASSWORDS)]
        passwords = (*written, *map(unquote, written))
        headers = tuple(self.think_endpoint.headers.values()) if self.think_endpoint is not None else ()
        ours = (self.deepgram_api_key, self.groq_api_key, self.summary_api_key, self.api_token, self.twilio_api_secret)
        bare = (header.rpartition(" ")[2] for header in headers)
        signing = self.environ.get("CALL_WEBHOOK_SECRET", "").replace(",", " ").split()
        kept = (*ours, *self.twilio_auth_token.split(","), *passwords, *headers, *bare, *signing)
        named = (value.strip() for name, value in self.environ.items() if _SECRET_WORDS & {*name.upper().split("_")})
        theirs = (value for value in named if len(value) >= _SHORTEST)
        return tuple(dict.fromkeys(secret for secret in (*kept, *theirs) if secret))


VARIABLES = variables_of(Settings)

# What is read without the others
COLLECTORS = tuple(
    Variable(
        name, "where a collector of traces takes them, by OTLP", "http://localhost:4318", optional(collector_url), ""
    )
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
)
"""Read by the SDK of OpenTelemetry, and only checked here."""
_ONLY_WAY = "http/protobuf, the only way we have; a collector listens for it at port 4318"
_WAYS_TO_THEM = (
    *(
        Variable(name, "how traces go there", "http/protobuf", optional(written_as("http/protobuf", _ONLY_WAY)), "")
        for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    ),
    Variable("OTEL_TRACES_EXPORTER", "where traces go", "otlp", optional(written_as("otlp", "otlp, or none")), ""),
)
API_TOKEN = variable_of(attrs.fields(Settings).api_token)
DATABASE_URL = variable_of(attrs.fields(Settings).database_url)
LEAD_SERVER_EXTERNAL_URL = variable_of(attrs.fields(Settings).lead_server_external_url)
LEAD_SERVER_HOST = variable_of(attrs.fields(Settings).lead_server_host)
LEAD_SERVER_PORT = variable_of(attrs.fields(Settings).lead_server_port)
RECORDINGS_DIR = variable_of(attrs.fields(Settings).recordings_dir)
