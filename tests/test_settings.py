"""Settings are read once, checked whole, and never give a secret away."""

import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest

import settings
from actors.policy import SummaryMode
from model_settings import REFERENCE_VOICES, misspelt_voices
from protocol.deepgram import Endpoint
from protocol.phone_numbers import is_phone_number
from setting_reader import SettingsError
from setting_values import is_loopback
from settings import Settings, environment, unknown_names
from testkit.probe.command import PROBE_VARIABLES

REQUIRED: Mapping[str, str] = {
    "DEEPGRAM_API_KEY": "dg-secret-key",
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKEN": "twilio-secret-token",
    "TWILIO_PHONE_NUMBER": "+15551230000",
    "LEAD_SERVER_EXTERNAL_URL": "https://agent.example.com",
    "API_TOKEN": "operator-secret-token",
}
HERE: Mapping[str, str] = {
    "LEAD_SERVER_EXTERNAL_URL": "http://127.0.0.1:8000",
    "TWILIO_API_URL": "http://127.0.0.1:8102",
    "API_TOKEN": "",
}
"""Everything on this machine, as with the simulators."""
VARIABLES = tuple(settings.VARIABLES.values())
_TOGETHER = (
    *("CALL_WEBHOOK_URL", "CALL_WEBHOOK_SECRET", "RECORDINGS_URL", "RECORDINGS_DIR", "TWILIO_API_KEY"),
    *("TWILIO_API_SECRET", "THINK_PROVIDER", "THINK_MODEL", "THINK_ENDPOINT", "REDACT", "TRANSFER_PHONE_NUMBER"),
)
"""Settings of which one is no good without another."""
_ALL_TOGETHER = {
    **{name: settings.VARIABLES[name].example for name in _TOGETHER},
    "CALL_WEBHOOK_SECRET": f"whsec_{'QUFB' * 8}",
    "TWILIO_API_SECRET": "the-secret-of-it",
    "THINK_ENDPOINT": "https://llm.example.com",
    "HUMAN_DIGIT": "0",
}
_UNSEEN = ("a\x1bb", "a\x00b", "\ufeffa", "a\x85b", "a\udcffb", "a\ufffeb", '"a"', "'a'", '""', "s3:// is none\x01")
_ANY_TEXT = frozenset({"RECORDING_NOTICE", "VOICEMAIL_MESSAGE", "RECORDINGS_DIR"})
EXAMPLE = Path(__file__).parents[1] / ".env.example"


def read(**changes: str) -> Settings:
    return Settings.from_environ({**REQUIRED, **changes})


def problems(**changes: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        read(**changes)
    return caught.value.problems


def test_what_is_required_is_enough() -> None:
    chosen = read()

    assert (chosen.lead_server_port, chosen.max_calls, chosen.summary_mode) == (8000, 50, SummaryMode.EAGER)


def test_everything_missing_is_reported_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environ({})

    assert [problem.split()[0] for problem in caught.value.problems] == list(REQUIRED)


@pytest.mark.parametrize("malformed", ["SPEAK_SPEED", "THINK_ENDPOINT", "THINK_MODEL", "THINK_PROVIDER", "MIP_OPT_OUT"])
def test_what_deepgram_does_not_take_is_told_beside_what_is_malformed(malformed: str) -> None:
    told = problems(**{malformed: "§ §", "LISTEN_LANGUAGE": "es", "SPEAK_FALLBACK": "no voice"})

    assert sorted(problem.split()[0].rstrip(":") for problem in told) == sorted(
        [malformed, "LISTEN_LANGUAGE", "SPEAK_FALLBACK"]
    )


def test_a_provider_without_a_model_and_an_endpoint_is_told_of_both_and_of_the_rest() -> None:
    told = problems(THINK_PROVIDER="groq", LISTEN_LANGUAGE="es")

    assert [problem.split()[0].rstrip(":") for problem in told] == ["THINK_ENDPOINT", "THINK_MODEL", "LISTEN_LANGUAGE"]


def test_a_problem_says_what_the_setting_is_for_and_shows_one() -> None:
    (problem,) = problems(DEEPGRAM_API_KEY="")

    assert problem == (
        "DEEPGRAM_API_KEY is missing. It is the key for Deepgram's Voice Agent API, which hears and speaks. "
        "Example: DEEPGRAM_API_KEY=0123abcd"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEEPGRAM_API_KEY", "two words"),
        ("DEEPGRAM_API_KEY", '"in-quotes"'),
        ("DEEPGRAM_API_KEY", "'in-quotes'"),
        ("DEEPGRAM_AGENT_URL", "https://agent.deepgram.com"),
        ("DEEPGRAM_AGENT_URL", "wss://"),
        ("DEEPGRAM_SPEAK_URL", "wss://api.deepgram.com/v1/speak"),
        ("DEEPGRAM_SPEAK_URL", "api.deepgram.com/v1/speak"),
        ("GROQ_BASE_URL", "api.groq.com"),
        ("TWILIO_ACCOUNT_SID", "AC123"),
        ("TWILIO_PHONE_NUMBER", "555 1230"),
        ("TWILIO_PHONE_NUMBER", "+0155512300"),
        ("TWILIO_API_URL", "https://api.twilio.com/2010-04-01"),
        ("LEAD_SERVER_PORT", "eighty"),
        ("LEAD_SERVER_PORT", "65536"),
        ("LEAD_SERVER_PORT", "-1"),
        ("LEAD_SERVER_EXTERNAL_URL", "agent.example.com"),
        ("LEAD_SERVER_EXTERNAL_URL", "https://agent.example.com/twilio"),
        ("LEAD_SERVER_EXTERNAL_URL", "https://agent.example.com?x=1"),
        ("LEAD_SERVER_EXTERNAL_URL", "https://user@agent.example.com"),
        ("LEAD_SERVER_EXTERNAL_URL", "https://agent.example.com:port"),
        ("LEAD_SERVER_EXTERNAL_URL", "http://agent.example.com"),
        ("LEAD_SERVER_EXTERNAL_URL", "https://agent.example.com:"),
        ("LEAD_SERVER_EXTERNAL_URL", "https://agent.example.com:0"),
        ("LEAD_SERVER_EXTERNAL_URL", "https://agent.example.com:0443"),
        ("LEAD_SERVER_EXTERNAL_URL", "https://agent.exam\tple.com"),
        ("LEAD_SERVER_EXTERNAL_URL", "https://my agent.example.com"),
        ("LEAD_PHONE_NUMBER", "+1-555-765"),
        ("MAX_CALLS", "0"),
        ("VOICEMAIL_MESSAGE", 501 * "x"),
        ("CALLER_SILENCE", "2"),
        ("CALLER_SILENCE", "never"),
        ("MAX_CALL_SECONDS", "7200"),
        ("HUMAN_DIGIT", "00"),
        ("HUMAN_DIGIT", "#"),
        ("KEEP_DIGITS", "perhaps"),
        ("MAX_CALLS", "1e3"),
        ("THINK_MODEL", "two words"),
        ("THINK_MODEL", ","),
        ("THINK_FALLBACK", "groq/openai/gpt-oss-20b"),
        ("THINK_FALLBACK", "claude-haiku-4-5"),
        ("THINK_ENDPOINT", "http://llm.example.com"),
        ("THINK_ENDPOINT", "llm.example.com"),
        ("THINK_ENDPOINT", '{"url": "https://x.test", "key": "y"}'),
        ("THINK_ENDPOINT", '{"url": "https://x.test", "headers": {"a": 1}}'),
        ("THINK_ENDPOINT", '{"url": "https://x.test", "headers": {"api key": "y"}}'),
        ("THINK_ENDPOINT", '{"url": "https://x.test", "headers": {"a": "y\\nz: 1"}}'),
        ("THINK_ENDPOINT", '{"url": '),
        ("THINK_TEMPERATURE", "2.1"),
        ("THINK_REASONING_MODE", "hard"),
        ("LISTEN_LANGUAGE", "english!"),
        ("LISTEN_KEYTERMS", ",".join(f"word{n}" for n in range(101))),
        ("LISTEN_EOT_THRESHOLD", "0.4"),
        ("LISTEN_EAGER_EOT_THRESHOLD", "0.95"),
        ("LISTEN_EOT_TIMEOUT_MS", "100"),
        ("SPEAK_SPEED", "2"),
        ("SPEAK_FALLBACK", "polly"),
        ("SUMMARY_URL", "llm.test"),
        ("SUMMARY_MODEL", "two words"),
        ("MIP_OPT_OUT", "perhaps"),
        ("SUMMARY_MODE", "sometimes"),
        ("SUMMARY_DEADLINE", "nan"),
        ("SUMMARY_DEADLINE", "soon"),
        ("SILENCE_BUDGET", "0"),
        ("THINK_PATIENCE", "1"),
        ("DRAIN_TIMEOUT", "inf"),
        ("DATABASE_URL", "switchboard.db"),
        ("DATABASE_URL", "sqlite://"),
        ("DATABASE_URL", "sqlite:///"),
        ("DATABASE_URL", "sqlite:switchboard.db"),
        ("DATABASE_URL", "sqlite:///:memory:"),
        ("DATABASE_URL", "sqlite:///file:calls.db?uri=true"),
        ("DATABASE_URL", "sqlite:///calls.db?mode=ro"),
        ("DATABASE_URL", "sqlite:///calls.db?timeout=5"),
        ("DATABASE_URL", "sqlite:////"),
        ("DATABASE_URL", "sqlite:////dev/null"),
        ("DATABASE_URL", "sqlite:////dev%2Fnull"),
        ("DATABASE_URL", "sqlite:///%3Amemory%3A"),
        ("DATABASE_URL", f"sqlite:///{EXAMPLE.parent}"),
        ("LEAD_SERVER_HOST", "http://0.0.0.0"),
        ("LEAD_SERVER_HOST", "0.0.0.0:8000"),
        ("LEAD_SERVER_HOST", "0.0.0.0, ::"),
        ("LEAD_SERVER_HOST", "*"),
        ("LEAD_SERVER_HOST", "[localhost]"),
        ("LEAD_SERVER_HOST", "unix:/run/switchboard"),
        ("RECORDINGS_DIR", "s3://bucket/calls"),
        ("RECORDINGS_DIR", "off"),
        ("TWILIO_API_URL", "http://api.twilio.com"),
        ("DEEPGRAM_AGENT_URL", "ws://agent.deepgram.com/v1/agent/converse"),
        ("DEEPGRAM_SPEAK_URL", "http://api.deepgram.com/v1/speak"),
        ("GROQ_BASE_URL", "http://api.groq.com"),
        ("SUMMARY_URL", "http://api.groq.com/openai/v1"),
        ("DATABASE_URL", "mysql://db/calls"),
        ("DATABASE_URL", "postgresql:calls"),
        ("DATABASE_URL", "postgresql://me:pass@word@db/calls"),
        ("DATABASE_URL", "postgresql://me:pass/word@db/calls"),
        ("DATABASE_URL", "postgresql://db:port/calls"),
        ("DATABASE_URL", "postgresql://db:5432,other:port/calls"),
        ("DATABASE_URL", "file:calls"),
        ("LISTEN_MODEL", "two words"),
        ("LISTEN_MODEL", "nova-3,nova-2"),
        ("RETENTION_DAYS", "audio=7 audio=30"),
    ],
)
def test_a_malformed_value_is_one_problem_by_its_name(name: str, value: str) -> None:
    (problem,) = problems(**{name: value})

    assert problem.startswith((f"{name} is ", f"{name} are ", f"{name}: "))


@pytest.mark.parametrize(
    "sentence",
    ["Привет 👩\u200d💻", 'Press #1.\nGoodbye,\t"Acme"!', "می\u200cخواهم", '"Yes" is heard, and "no"', "'A' or 'B'"],
)
def test_a_sentence_is_in_any_language(sentence: str) -> None:
    chosen = read(VOICEMAIL_MESSAGE=sentence, RECORDING_NOTICE=sentence)

    assert (chosen.voicemail_message, chosen.recording_notice) == (sentence, sentence)


@pytest.mark.parametrize("value", [",", ", ,"])
def test_a_list_of_commas_names_nothing(value: str) -> None:
    for name, variable in settings.VARIABLES.items():
        if not (variable.secret and name != "CALL_WEBHOOK_SECRET") and name not in _ANY_TEXT:
            assert [problem.split()[0] for problem in problems(**{**_ALL_TOGETHER, name: value})] == [name]


@pytest.mark.parametrize("number", ["1_0", "\u0667", "\uff17", "1e", "0x7"])
def test_a_number_is_written_in_plain_digits(number: str) -> None:
    usual = {name: one.default or one.example for name, one in settings.VARIABLES.items()}
    numbers = [name for name, value in usual.items() if value.replace(".", "", 1).isdecimal()]
    told = problems(**dict.fromkeys(numbers, number))

    assert len(numbers) >= 15
    assert {problem.split()[0] for problem in told} == {*numbers}


def test_no_secret_is_the_one_of_the_example_file() -> None:
    """Everybody can read it there: with that token a stranger would place calls."""
    secrets = [name for name, variable in settings.VARIABLES.items() if variable.secret]
    examples = {name: settings.VARIABLES[name].example for name in secrets}
    told = problems(**{**_ALL_TOGETHER, **examples})

    assert [problem.split()[0] for problem in told] == secrets
    assert all(" is the one of .env.example, which everybody knows. " in problem for problem in told)


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
def test_a_collector_of_traces_is_a_url_where_one_is_wanted(name: str) -> None:
    (problem,) = problems(**{name: "collector:4317"})
    read(**{name: "collector:4317", "OTEL_SDK_DISABLED": "true"})
    for url in ("http://collector:4318", "https://me:secret@collector.example.com"):
        read(**{name: url})

    assert problem.startswith(f'{name} is "collector:4317", which is not a URL that begins with https:// or http://.')


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_TRACES_EXPORTER", "console,otlp"),
    ],
)
def test_a_way_to_a_collector_that_is_not_ours_is_refused(name: str, value: str) -> None:
    """The exporter that we have would send OTLP over HTTP to it all the same, and no span would arrive."""
    collector = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317"}
    (problem,) = problems(**collector, **{name: value})
    read(**{name: value})  # nobody asked for traces
    read(**collector, OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf", OTEL_TRACES_EXPORTER="otlp")
    read(**collector, OTEL_EXPORTER_OTLP_TRACES_PROTOCOL="http/protobuf", OTEL_EXPORTER_OTLP_PROTOCOL="grpc")

    assert problem.startswith(f'{name} is "{value}", which is not ')
    assert f"Example: {name}=" in problem


@pytest.mark.parametrize(
    "origin", ["http://127.0.0.1:8000", "http://localhost:8000", "http://[::1]:8000", "https://localhost"]
)
def test_this_machine_may_be_the_public_address_of_a_simulated_twilio(origin: str) -> None:
    assert read(**{**HERE, "LEAD_SERVER_EXTERNAL_URL": origin}).lead_server_external_url == origin


@pytest.mark.parametrize(
    ("origin", "why"),
    [
        ("https://localhost", "localhost is this machine itself"),
        ("http://127.0.0.1:8000", "127.0.0.1 is this machine itself"),
        ("https://app.localhost", "app.localhost is this machine itself"),
        ("https://[::1]", "::1 is this machine itself"),
        ("https://10.0.0.5", "10.0.0.5 is no address of the public internet"),
        ("https://192.168.1.7:8443", "192.168.1.7 is no address of the public internet"),
        ("https://172.16.0.1", "172.16.0.1 is no address of the public internet"),
        ("https://100.64.0.1", "100.64.0.1 is no address of the public internet"),
        ("https://169.254.1.1", "169.254.1.1 is no address of the public internet"),
        ("https://224.0.0.1", "224.0.0.1 is no address of the public internet"),
        ("https://[fc00::1]", "fc00::1 is no address of the public internet"),
        ("https://[fe80::1]", "fe80::1 is no address of the public internet"),
        ("https://[::ffff:10.0.0.1]", "::ffff:10.0.0.1 is no address of the public internet"),
        ("https://switchboard", "switchboard is a name without a domain"),
        ("https://box.local", "box.local ends with .local"),
        ("https://agent.corp.internal", "agent.corp.internal ends with .internal"),
        ("https://nas.home.arpa", "nas.home.arpa ends with .home.arpa"),
    ],
)
def test_a_public_address_that_twilio_cannot_reach_is_refused_with_the_reason(origin: str, why: str) -> None:
    (problem,) = problems(LEAD_SERVER_EXTERNAL_URL=origin)

    assert problem.startswith(f'LEAD_SERVER_EXTERNAL_URL is "{origin}", and Twilio cannot call it: {why}')
    assert "TWILIO_API_URL" in problem


@pytest.mark.parametrize(
    "origin",
    [
        *("https://[::]:8081", "https://0.0.0.0", "https://[fe80::1%25eth0]"),
        *("https://127.1", "https://2130706433", "https://0x7f000001", "https://1.2.3.4.5"),
        *("https://my_agent.example.com", "https://agent.example.com.", "https://bücher.example"),
        *("https://-agent.example.com", "https://agent..example.com", "https://*.example.com"),
        *(f"https://{64 * 'a'}.example.com", f"https://{130 * 'a.'}example.com"),
    ],
)
def test_a_host_that_nobody_can_call_is_refused(origin: str) -> None:
    (problem,) = problems(LEAD_SERVER_EXTERNAL_URL=origin)

    assert "its host is " in problem


@pytest.mark.parametrize(
    ("host", "written"),
    [
        ("bücher.example", "write xn--bcher-kva.example"),
        ("агент.пример:8443", "write xn--80agg6aza.xn--e1afmkfd"),
        ("日本.example", "write xn--wgv71a.example"),
        ("straße.example", "no name in ASCII letters"),  # of which there are two ways to write it
        ("ａgent.example", "no name in ASCII letters"),
        (f"{'ü' * 70}.example", "no name in ASCII letters"),
    ],
)
def test_a_name_with_letters_beyond_ascii_is_told_as_it_is_written_in_a_url(host: str, written: str) -> None:
    """It is for an operator to write: Twilio signs what is written."""
    for name, start in (("LEAD_SERVER_EXTERNAL_URL", "https://"), ("DEEPGRAM_AGENT_URL", "wss://")):
        (problem,) = problems(**{name: start + host})

        assert written in problem


@pytest.mark.parametrize("origin", ["https://8.8.8.8", "https://[2606:4700::1111]", "https://Agent.Example.com:443"])
def test_any_host_that_may_be_reached_is_a_public_address(origin: str) -> None:
    assert read(LEAD_SERVER_EXTERNAL_URL=origin).lead_server_external_url == origin


def test_an_origins_trailing_slash_is_dropped() -> None:
    assert read(LEAD_SERVER_EXTERNAL_URL="https://a.example:8443/").lead_server_external_url == "https://a.example:8443"


def test_a_time_that_can_be_turned_off_is_then_for_ever() -> None:
    chosen = read(CALLER_SILENCE="off", MAX_CALL_SECONDS="OFF")

    assert (chosen.caller_silence, chosen.max_call_seconds) == (math.inf, math.inf)


def test_a_time_that_can_be_turned_off_says_so() -> None:
    (problem,) = problems(CALLER_SILENCE="never")

    assert 'CALLER_SILENCE is "never", which is not a number of seconds from 3 to 120, or off.' in problem


def test_blank_is_unset_and_spaces_around_a_value_are_not_its_own() -> None:
    chosen = read(MAX_CALLS="  ", LEAD_PHONE_NUMBER=" +15557650000 ")

    assert (chosen.max_calls, chosen.lead_phone_number) == (50, "+15557650000")


@pytest.mark.parametrize("name", ["LEAD_PHONE_NUMBER", "FALLBACK_PHONE_NUMBER", "TRANSFER_PHONE_NUMBER"])
def test_nobody_is_put_through_to_our_own_line(name: str) -> None:
    (problem,) = problems(**{name: REQUIRED["TWILIO_PHONE_NUMBER"]})

    assert problem.startswith(f"{name} is our own line, TWILIO_PHONE_NUMBER. ")


@pytest.mark.parametrize(
    "changes",
    [
        {"LEAD_SERVER_EXTERNAL_URL": "https://agent.example.com"},
        {"LEAD_SERVER_EXTERNAL_URL": "https://agent.example.com", "TWILIO_API_URL": "https://api.twilio.com"},
        {"LEAD_SERVER_HOST": "0.0.0.0"},  # noqa: S104 - it is refused
        {"LEAD_SERVER_HOST": "10.0.0.7"},
        {"TWILIO_API_URL": "http://twilio-gateway:8080"},
    ],
    ids=str,
)
def test_an_api_token_is_required_unless_everything_is_on_this_machine(changes: dict[str, str]) -> None:
    """A proxy on this machine makes a server public that is bound to loopback; only its public address says so."""
    (problem,) = problems(**{**HERE, **changes})

    assert problem.startswith("API_TOKEN is missing.")
    assert "openssl rand -hex 32" in problem
    (problem,) = problems(**{**HERE, **changes, "API_TOKEN": "short"})
    assert problem.startswith("API_TOKEN has fewer than 16 characters, and can be guessed.")
    assert read(**{**HERE, **changes, "API_TOKEN": "long-random-text"}).api_token == "long-random-text"


def test_no_api_token_is_required_with_simulators_on_this_machine() -> None:
    assert read(**HERE).api_token is None


def test_recordings_can_be_turned_off() -> None:
    assert (read().recordings_dir, read(RECORDINGS_DIR="none").recordings_dir) == (Path("recordings"), None)


def test_a_folder_may_be_below_somebodys_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ana")

    assert read(RECORDINGS_DIR="~/calls").recordings_dir == Path("/home/ana/calls")
    (problem,) = problems(RECORDINGS_DIR="~nobody-of-this-name/calls")
    assert problem.startswith('RECORDINGS_DIR is "~nobody-of-this-name/calls", which is not a path')


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////var/lib/calls.db",
        "postgresql://me:pass@db:5432/calls?sslmode=require",
        "postgres:///calls?host=/run/postgresql",
        "postgresql+psycopg://db/calls",
        "memory:",
    ],
)
def test_records_may_be_kept_in_any_of_these(url: str) -> None:
    assert read(DATABASE_URL=url).database_url == url


def test_the_home_of_a_database_is_written_as_the_one_of_recordings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/alex")
    chosen = read(DATABASE_URL="sqlite:///~/calls.db", RECORDINGS_DIR="~/calls")

    assert (chosen.database_url, str(chosen.recordings_dir)) == (
        "sqlite:////home/alex/calls.db",
        "/home/alex/calls",
    )


@pytest.mark.parametrize("host", ["127.0.0.2", "::", "[::1]", "localhost", "switchboard_7", "web.internal."])
def test_what_can_be_bound_is_taken_as_it_is_written(host: str) -> None:
    assert read(LEAD_SERVER_HOST=host, API_TOKEN=32 * "a").lead_server_host == host


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("\ufeff+15551230000", "U+FEFF"),
        ("+1555\u00a01230000", "U+00A0"),
        ("+1555\u200b1230000", "U+200B"),
        ('"+15551230000"', "quotes"),
        ("'+15551230000'", "quotes"),
    ],
)
def test_what_one_does_not_see_in_a_value_is_told(value: str, hint: str) -> None:
    (problem,) = problems(TWILIO_PHONE_NUMBER=value)

    assert hint in problem


def test_records_are_kept_in_sqlite_unless_told_otherwise() -> None:
    assert read().database_url == "sqlite:///switchboard.db"


@pytest.mark.parametrize(
    "url", ["me:p%40ss@db:1,other:2/calls", "db/calls?user=me&password=p%40ss", "db/calls?sslpassword=p%40ss"]
)
def test_secrets_are_in_no_repr(url: str) -> None:
    keys = {"GROQ_API_KEY": "groq-secret", "API_TOKEN": "api-secret-of-ours"}
    chosen = read(**keys, DATABASE_URL=f"postgresql://{url}")

    assert {"p%40ss", "p@ss"} < set(chosen.secrets())
    assert [secret for secret in chosen.secrets() if secret in repr(chosen)] == []


def test_the_auth_token_may_be_two_while_it_is_changed() -> None:
    chosen = read(TWILIO_AUTH_TOKEN="the-new-one, the-old-one")

    assert (chosen.twilio_auth_token, chosen.newest_auth_token) == ("the-new-one,the-old-one", "the-new-one")
    assert {"the-new-one", "the-old-one"} <= set(chosen.secrets())


def test_twilio_is_asked_with_an_api_key_where_there_is_one() -> None:
    sid = "SK" + "1" * 32
    chosen = read(TWILIO_API_KEY=sid, TWILIO_API_SECRET="the-secret-of-it")

    assert chosen.rest_credentials == (sid, "the-secret-of-it")
    assert chosen.newest_auth_token == chosen.twilio_auth_token  # signatures are made with it still
    assert "the-secret-of-it" in chosen.secrets()
    assert read().rest_credentials == (chosen.twilio_account_sid, chosen.twilio_auth_token)


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"TWILIO_API_KEY": "SK" + "1" * 32}, "TWILIO_API_SECRET is missing"),
        ({"TWILIO_API_SECRET": "the-secret-of-it"}, "TWILIO_API_KEY is missing"),
        ({"TWILIO_API_KEY": "AC" + "1" * 32, "TWILIO_API_SECRET": "the-secret-of-it"}, "SK and 32 hexadecimal"),
    ],
)
def test_half_an_api_key_is_refused(given: dict[str, str], missing: str) -> None:
    (problem,) = problems(**given)

    assert missing in problem


@pytest.mark.parametrize("given", ["the-new-one,", ",", "the-new-one,,the-old-one", "one, two three"])
def test_no_auth_token_is_empty(given: str) -> None:
    """A request that is signed with nothing would be Twilio's."""
    (problem,) = problems(TWILIO_AUTH_TOKEN=given)

    assert problem.startswith("TWILIO_AUTH_TOKEN is a value that is not a key in plain letters and digits")


def test_a_malformed_secret_is_not_repeated_back() -> None:
    (problem,) = problems(TWILIO_AUTH_TOKEN="very secret")

    assert "very secret" not in problem


@pytest.mark.parametrize("name", [*settings.VARIABLES, "OTEL_EXPORTER_OTLP_ENDPOINT"])
@pytest.mark.parametrize(
    "misplaced",
    [
        "77aa88bb99cc00dd11ee22ff33aa44bb hunter2",
        "https://me:77aa88bb99cc00dd11ee22ff33aa44bb@host.example.com:99999/x",
        "wss://me:hunt/er2@host.example.com:99999/x",
        "https://host.example.com:99999/?key=hunter2",
        "sk_proj_77aa88bb99cc00dd11ee22ff \x1b" + 2**20 * "x",
    ],
)
def test_a_secret_in_a_setting_of_another_is_not_repeated_back(name: str, misplaced: str) -> None:
    with suppress(SettingsError):
        read(**{name: misplaced})
        return
    told = "\n".join(problems(**{name: misplaced}))

    assert not [secret for secret in ("b99cc00dd", "hunt/er2", "key=hunter2") if secret in told]
    assert len(told) < 5_000


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("DEEPGRAM_AGENT_URL", "wss://host.example.com:99999", "a port is 1 to 65535"),
        ("DEEPGRAM_AGENT_URL", "wss://host.example.com:0", "its port is not 1 to 65535"),
        ("DEEPGRAM_AGENT_URL", "wss://192.168.1.300", "its host is no address"),
        ("DEEPGRAM_SPEAK_URL", "https://host.example.com:", "its port is not 1 to 65535"),
        ("DEEPGRAM_SPEAK_URL", "https://host..example.com/v1", "its host is no address"),
        ("GROQ_BASE_URL", "https://host.example.com#x", "there is a # in it"),
        ("GROQ_BASE_URL", "https://me@host.example.com", "a name or a password before its host"),
        ("CALL_WEBHOOK_URL", "https://my host.example.com", "there is a space in it"),
        ("SUMMARY_URL", f"https://{64 * 'a'}.example.com", "its host is no address"),
        ("THINK_ENDPOINT", "https://host.example.com:99999", "a port is 1 to 65535"),
        ("TWILIO_API_URL", "https://*", "its host is no address"),
    ],
)
def test_of_a_url_it_is_told_which_part_is_odd(name: str, value: str, told: str) -> None:
    found = [problem for problem in problems(**{name: value}) if problem.startswith(f"{name} is ")]

    assert [told in problem for problem in found] == [True]


@pytest.mark.parametrize("name", ["groq", "aws_bedrock"])
def test_a_provider_that_needs_an_endpoint_is_refused_without_one(name: str) -> None:
    (problem,) = problems(THINK_PROVIDER=name, THINK_MODEL="a-model")
    reached = read(THINK_PROVIDER=name, THINK_MODEL="a-model", THINK_ENDPOINT="https://llm.example.com/v1")

    assert problem.startswith(f"THINK_ENDPOINT is missing, and THINK_PROVIDER={name} needs it.")
    assert reached.think_endpoint == Endpoint("https://llm.example.com/v1")


@pytest.mark.parametrize("name", ["openai", "OpenAI", "gpt", "azure"])
def test_a_provider_that_there_is_not_is_refused_with_those_that_there_are(name: str) -> None:
    (problem,) = problems(THINK_PROVIDER=name, THINK_MODEL="a-model")

    assert f'THINK_PROVIDER is "{name}", which is not one of open_ai, anthropic, google, nvidia, deepgram' in problem


def test_another_provider_needs_a_model_of_its_own() -> None:
    (problem,) = problems(THINK_PROVIDER="anthropic")

    assert problem.startswith("THINK_MODEL is missing: which model of anthropic's?")


def test_an_endpoint_is_a_url_or_json_with_headers_that_nobody_sees() -> None:
    chosen = read(
        THINK_PROVIDER="groq",
        THINK_MODEL="openai/gpt-oss-20b",
        THINK_ENDPOINT='{"url": "https://llm.test/v1", "headers": {"authorization": "Bearer sk-hidden"}}',
    )

    assert chosen.think_endpoint == Endpoint("https://llm.test/v1", {"authorization": "Bearer sk-hidden"})
    assert {"sk-hidden", "Bearer sk-hidden"} <= set(chosen.secrets())
    assert "sk-hidden" not in repr(chosen)


@pytest.mark.parametrize(
    ("given", "read_as"),
    [
        ("anthropic/claude-haiku-4-5", (("anthropic", "claude-haiku-4-5"),)),
        (
            "google gemini-3.5-flash, anthropic:claude-sonnet-5",
            (("google", "gemini-3.5-flash"), ("anthropic", "claude-sonnet-5")),
        ),
        ("none", ()),
    ],
)
def test_fallbacks_are_pairs_of_provider_and_model(given: str, read_as: tuple[tuple[str, str], ...]) -> None:
    assert read(THINK_FALLBACK=given).think_fallback == read_as


def test_models_are_lists_in_the_order_of_preference() -> None:
    chosen = read(THINK_MODEL="gpt-5.5 , gpt-5.4-mini,gpt-5.5", GROQ_LLM="a,b", SUMMARY_MODEL="c")

    assert (chosen.think_model, chosen.groq_llm, chosen.summary_model) == (
        ("gpt-5.5", "gpt-5.4-mini"),
        ("a", "b"),
        ("c",),
    )


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"LISTEN_LANGUAGE": "es"}, "LISTEN_LANGUAGE"),
        ({"LISTEN_MODEL": "nova-3", "LISTEN_LANGUAGE": "en, es"}, "LISTEN_LANGUAGE"),
        ({"LISTEN_EAGER_EOT_THRESHOLD": "0.8"}, "LISTEN_EAGER_EOT_THRESHOLD"),
        ({"LISTEN_EOT_THRESHOLD": "0.6", "LISTEN_EAGER_EOT_THRESHOLD": "0.65"}, "LISTEN_EAGER_EOT_THRESHOLD"),
        ({"THINK_PROVIDER": "anthropic", "THINK_MODEL": "x", "THINK_TEMPERATURE": "1.5"}, "THINK_TEMPERATURE"),
        ({"THINK_PROVIDER": "deepgram", "THINK_MODEL": "think-fast", "MIP_OPT_OUT": "yes"}, "THINK_MODEL"),
    ],
)
def test_what_the_chosen_model_cannot_do_is_refused(changes: dict[str, str], name: str) -> None:
    (problem,) = problems(**changes)

    assert problem.startswith((f"{name} is ", f"{name}: "))


@pytest.mark.parametrize(
    "changes",
    [
        {"LISTEN_MODEL": "nova-3", "LISTEN_EOT_THRESHOLD": "0.8"},  # an agent of its own may have Flux
        {"LISTEN_LANGUAGE": "en-GB"},
        {"LISTEN_MODEL": "flux-general-multi", "LISTEN_LANGUAGE": "en, es"},
        {"LISTEN_MODEL": "nova-3", "LISTEN_LANGUAGE": "multi"},
        {"LISTEN_EOT_THRESHOLD": "0.9", "LISTEN_EAGER_EOT_THRESHOLD": "0.8"},
    ],
)
def test_what_the_chosen_model_can_do_is_taken(changes: dict[str, str]) -> None:
    read(**changes)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("THINK_PROVIDR", "THINK_PROVIDER"),
        ("THINK_MODLE", "THINK_MODEL"),
        ("LISTEN_MODELS", "LISTEN_MODEL"),
        ("DEEPGRAM_APIKEY", "DEEPGRAM_API_KEY"),
        ("SUMARY_MODE", "SUMMARY_MODE"),
        ("MAX_CALL", "MAX_CALLS"),
        ("LEAD_SERVER_EXTERNAL_URI", "LEAD_SERVER_EXTERNAL_URL"),
        ("think_model", "THINK_MODEL"),
        ("SPEAK_SPED", "SPEAK_SPEED"),
        ("QUALIFER_VOICE_MODEL", "QUALIFIER_VOICE_MODEL"),
    ],
)
def test_a_name_that_looks_like_one_of_ours_is_told_with_the_one_that_is_meant(name: str, meant: str) -> None:
    (line,) = unknown_names({**REQUIRED, name: "x"})

    assert line.startswith(f"{name} is no setting")
    assert meant in line


def test_a_name_in_a_family_of_ours_is_told_even_if_it_is_like_none() -> None:
    assert unknown_names({"THINK_ABOUT_IT": "x"}) == (
        "THINK_ABOUT_IT is no setting, and nothing reads it. .env.example lists them all.",
    )


@pytest.mark.parametrize(
    ("value", "sources"),
    [
        ("", ("agents",)),
        ("acme.agents", ("acme.agents",)),
        (" ./acme , /srv/sales.py,shop", ("./acme", "/srv/sales.py", "shop")),
    ],
)
def test_agents_are_packages_folders_and_files(value: str, sources: tuple[str, ...]) -> None:
    assert read(AGENTS=value).agents == sources


@pytest.mark.parametrize("value", ["acme agents", "acme-agents", ",", "acme..agents"])
def test_what_names_no_agents_is_refused(value: str) -> None:
    (problem,) = problems(AGENTS=value)

    assert "which is not the name of a package, such as acme.agents, or a path" in problem


def test_each_agent_of_any_roster_has_a_setting_of_its_voice() -> None:
    chosen = read(FRONT_DESK_VOICE_MODEL=" aura-2-luna-en ", CLOSER_VOICE_MODEL="aura-2-vesta-en", X_VOICE_MODEL="")

    assert chosen.voices == {"front_desk": "aura-2-luna-en", "closer": "aura-2-vesta-en"}


@pytest.mark.parametrize(
    ("name", "value", "is_secret"),
    [
        ("ACME_API_KEY", "acme-hidden-key", True),
        ("ACME_TOKEN", "acme-hidden-token", True),
        ("SHOP_DB_PASSWORD", "correct horse", True),
        ("ACME_TOKEN", "short", False),
        ("ACME_URL", "https://shop.example.com", False),
        ("LISTEN_KEYTERMS", "Roth IRA, annuity", False),
    ],
)
def test_secrets_of_functions_are_struck_out_of_the_log(name: str, value: str, is_secret: bool) -> None:
    chosen = read(**{name: value})

    assert (value in chosen.secrets()) == is_secret
    assert "environ" not in repr(chosen)


def test_a_voice_for_nobody_is_told_unless_the_reference_app_has_it() -> None:
    told = misspelt_voices(["front_dsk", "qualifier", "boss"], ["front_desk", "bookings"])

    assert [line.partition(" is no setting")[0] for line in told] == ["BOSS_VOICE_MODEL", "FRONT_DSK_VOICE_MODEL"]
    assert "There are FRONT_DESK_VOICE_MODEL, BOOKINGS_VOICE_MODEL." in told[0]
    assert "Did you mean FRONT_DESK_VOICE_MODEL?" in told[1]


@pytest.mark.parametrize("name", ["ADVISER_VOICE_MODEL", "BOOKINGS_VOICE_MODEL"])
def test_a_voice_of_ones_own_roster_is_no_slip_of_one_of_the_reference_app(name: str) -> None:
    assert unknown_names({name: "x", "AGENTS": "acme.agents"}) == ()


@pytest.mark.parametrize(
    "name", ["PATH", "HOME", "DATABASE_PASSWORD", "PORT", "HOST", "TWILIO_EDGE", "OPENAI_API_KEY", "KUBERNETES_PORT"]
)
def test_names_of_others_are_left_alone(name: str) -> None:
    assert unknown_names({name: "x"}) == ()


def test_a_setting_that_is_missing_because_it_is_misspelt_is_told_with_it() -> None:
    given = {name: value for name, value in REQUIRED.items() if name != "DEEPGRAM_API_KEY"}

    with pytest.raises(SettingsError) as caught:
        Settings.from_environ({**given, "DEEPGRAM_API_KEYS": "dg-key"})

    assert [problem.split()[0] for problem in caught.value.problems] == ["DEEPGRAM_API_KEY", "DEEPGRAM_API_KEYS"]


@pytest.mark.parametrize("around", [{}, HERE], ids=["public", "here"])
@pytest.mark.parametrize("name", settings.VARIABLES)
def test_a_setting_that_is_malformed_is_the_only_one_that_is_told_of(name: str, around: Mapping[str, str]) -> None:
    """No other is measured by the value that it does not have, and nobody's terminal is steered by it."""
    usual = {**_ALL_TOGETHER, **REQUIRED, **around}
    Settings.from_environ(usual)

    for value in _UNSEEN:
        (problem,) = problems(**{**usual, name: value})
        assert problem.startswith(f"{name} is ")
        assert problem.isprintable()


def test_the_example_file_names_every_variable_with_its_example() -> None:
    lines = EXAMPLE.read_text().splitlines()
    written = {line.lstrip("# ").partition("=")[0] for line in lines if "=" in line}

    assert written == {*(variable.name for variable in (*VARIABLES, *PROBE_VARIABLES)), *REFERENCE_VOICES}


def test_a_setting_that_is_a_time_says_its_unit_wherever_it_is_explained() -> None:
    comments = EXAMPLE.read_text().split("\n\n")
    optional = {name: "soon" for name in settings.VARIABLES if name not in REQUIRED}
    times = [told.split()[0] for told in problems(**optional) if " number of seconds" in told]

    assert len(times) >= 6
    for name in times:
        (comment,) = [one for one in comments if f"# {name}=" in one]
        assert "seconds" in comment
        assert "seconds" in settings.VARIABLES[name].purpose


def test_the_example_file_works_once_its_secrets_are_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable.name, raising=False)

    with pytest.raises(SettingsError) as caught:
        Settings.from_environ(environment(EXAMPLE))

    assert [one.split()[0] for one in caught.value.problems] == ["DEEPGRAM_API_KEY", "TWILIO_AUTH_TOKEN", "API_TOKEN"]
    mine = {name: value for name, value in REQUIRED.items() if name != "LEAD_SERVER_EXTERNAL_URL"}
    chosen = Settings.from_environ({**environment(EXAMPLE), **mine})
    assert chosen.lead_server_external_url == "https://agent.example.com"


def test_a_reference_to_what_is_not_set_leaves_no_hole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORD", "word")
    written = "A=${WORD}${B}\n\nB=${A:-none}\nC='${D:-}x${A}${E}'\nE=$F\n"
    (tmp_path / ".env").write_text(written)
    with pytest.raises(SettingsError) as caught:
        environment(tmp_path / ".env")

    told = [line.partition(str(tmp_path))[2].split() for line in caught.value.problems]
    assert [(words[4], words[6]) for words in told] == [("1", "${B},"), ("4", "${E},")]


def test_the_environment_goes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("MAX_CALLS=7\nGROQ_LLM=from-file-${MAX_CALLS}\nEMPTY\n")
    monkeypatch.setenv("MAX_CALLS", "9")

    found = environment(tmp_path / ".env")

    assert (found["MAX_CALLS"], found["GROQ_LLM"], "EMPTY" in found) == ("9", "from-file-9", False)


def test_a_name_alone_in_the_file_stands_for_the_environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("MAX_CALLS\nexport GROQ_LLM\n")
    monkeypatch.setenv("MAX_CALLS", "9")
    monkeypatch.setenv("GROQ_LLM", "")

    assert environment(tmp_path / ".env")["MAX_CALLS"] == "9"


def test_reading_a_file_changes_no_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GROQ_LLM", raising=False)
    (tmp_path / ".env").write_text("GROQ_LLM=from-file\n")
    environment(tmp_path / ".env")

    assert "GROQ_LLM" not in environment(tmp_path / "missing")


@pytest.mark.parametrize(
    ("host", "local"), [("localhost", True), ("127.9.9.9", True), ("[::1]", True), ("10.0.0.7", False), ("a.b", False)]
)
def test_loopback_is_known_by_name_and_number(host: str, local: bool) -> None:
    assert is_loopback(host) is local


@pytest.mark.parametrize("text", ["+266696687x", "anonymous", "", "15551230000", "+1555123000\n", "+१२३४५६७८"])
def test_what_is_not_a_phone_number_is_told_apart(text: str) -> None:
    assert not is_phone_number(text)


@pytest.mark.parametrize(
    ("name", "value"),
    [("RETENTION_DAYS", wrong) for wrong in ("forever", "0", "audio=x", "video=3")]
    + [("REDACT", "names")]
    + [("RECORDINGS_URL", wrong) for wrong in ("/folder", "s3://", "ftp://…@host/x", "s3://bucket/*")],
)
def test_what_is_kept_is_read_strictly(name: str, value: str) -> None:
    (problem,) = problems(**{name: value})

    assert problem.startswith(f'{name} is "{value}", which is not')


def test_keys_are_not_written_down_where_numbers_are_left_out() -> None:
    (problem,) = problems(REDACT="cards, numbers", KEEP_DIGITS="yes")

    assert problem.startswith("REDACT leaves numbers out, and KEEP_DIGITS writes down each key.")


def test_a_recording_grows_in_a_folder_before_it_moves_to_the_store() -> None:
    assert read(RECORDINGS_URL="s3://bucket/calls/").recordings_url == "s3://bucket/calls"
    (problem,) = problems(RECORDINGS_URL="s3://bucket/calls", RECORDINGS_DIR="none")

    assert problem.startswith("RECORDINGS_URL is set, and RECORDINGS_DIR is none")


HOOKS = {
    "CALL_WEBHOOK_URL": "https://example.com/calls",
    "CALL_WEBHOOK_SECRET": f"whsec_{'MDEy' * 8}",
}


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"CALL_WEBHOOK_SECRET": ""}, "CALL_WEBHOOK_SECRET"),
        ({"CALL_WEBHOOK_SECRET": "whsec_c2hvcnQ="}, "CALL_WEBHOOK_SECRET"),
        ({"CALL_WEBHOOK_SECRET": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"}, "CALL_WEBHOOK_SECRET"),
        ({"CALL_WEBHOOK_URL": "http://example.com"}, "CALL_WEBHOOK_URL"),
        ({"CALL_WEBHOOK_URL": "example.com"}, "CALL_WEBHOOK_URL"),
    ],
)
def test_a_webhook_that_would_not_be_safe_is_refused(changes: dict[str, str], name: str) -> None:
    assert problems(**{**HOOKS, **changes})[0].startswith(name)


def test_the_secrets_of_webhooks_are_several_and_seen_nowhere() -> None:
    two = f"{HOOKS['CALL_WEBHOOK_SECRET']}, whsec_{'QUFB' * 8}"
    chosen = read(**{**HOOKS, "CALL_WEBHOOK_SECRET": two})

    assert chosen.call_webhook_secret == (b"012" * 8, b"A" * 24)
    assert {*two.split(", ")} <= {*chosen.secrets()}
    assert "012012" not in repr(chosen)


@pytest.mark.parametrize(
    ("given", "ours", "other"),
    [
        ("yes", True, True),
        ("no", False, False),
        ("+15551230000", True, False),
        ("+15551230000,+15551230001", True, False),
    ],
)
def test_audio_is_recorded_on_all_lines_on_none_or_on_some(given: str, ours: bool, other: bool) -> None:
    lines = read(RECORD_AUDIO=given).record_audio

    assert (lines.has("+15551230000"), lines.has("+15559990000")) == (ours, other)
    assert problems(RECORD_AUDIO="maybe")[0].startswith("RECORD_AUDIO")


@pytest.mark.parametrize(
    ("chosen", "blamed"),
    [
        ({"THINK_FALLBACK": "deepgram/think-fast"}, "THINK_FALLBACK"),
        ({"THINK_FALLBACK": "google/gemini-2.5-flash, deepgram/think-fast"}, "THINK_FALLBACK"),
        ({"THINK_PROVIDER": "deepgram", "THINK_MODEL": "think-fast"}, "THINK_MODEL"),
        (
            {"THINK_PROVIDER": "deepgram", "THINK_MODEL": "think-fast", "THINK_FALLBACK": "deepgram/think-fast"},
            "THINK_MODEL",
        ),
    ],
)
def test_a_model_that_cannot_be_had_is_told_of_the_setting_that_names_it(
    chosen: Mapping[str, str], blamed: str
) -> None:
    (problem,) = problems(MIP_OPT_OUT="yes", **chosen)

    assert problem.startswith(f"{blamed}: think-fast cannot be had with mip_opt_out: name another model.")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("MAX_CALLS", "50 # lines", "Leave out what follows #: only a .env file has comments."),
        ("KEEP_DIGITS", "no  # for now", "Leave out what follows #"),
        ("DEEPGRAM_API_KEY", "0123 # ours", "Leave out what follows #"),
        ("RECORDINGS_DIR", "C:\recordings\new", "There is an invisible character in it (U+000D)"),
        ("DATABASE_URL", "sqlite:///C:\new.db", "There is an invisible character in it (U+000A)"),
        ("PRICES", "a\tb.toml", "There is an invisible character in it (U+0009)"),
    ],
)
def test_what_only_a_dotenv_file_takes_away_is_told(name: str, value: str, told: str) -> None:
    """Docker keeps a comment of its `--env-file`; python-dotenv reads escapes in double quotes."""
    (problem,) = problems(**{name: value})

    assert told in problem
