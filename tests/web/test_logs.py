"""No log line gives a phone number or a secret away."""

import errno
import io
import logging
from collections.abc import Iterator

import orjson
import pytest
import structlog
from hypercorn.config import Config

from web.worker.logs import configure_logs, mask

HYPERCORN = ("hypercorn.error", "hypercorn.access")


@pytest.fixture(autouse=True)
def structlog_as_it_was() -> Iterator[None]:
    before, loggers = structlog.get_config(), (logging.getLogger(), *map(logging.getLogger, HYPERCORN))
    handlers = [list(logger.handlers) for logger in loggers]
    for logger in loggers[1:]:
        logger.handlers.clear()
    yield
    for logger in loggers[1:]:
        logger.filters.clear()
    structlog.configure(**before)
    loggers[1].propagate = loggers[2].propagate = True
    for logger, had in zip(loggers, handlers, strict=True):
        logger.handlers[:] = had


def logged(event: str, secrets: tuple[str, ...] = ("s3cret-key",), **facts: object) -> dict[str, object]:
    stream = io.StringIO()
    configure_logs(secrets, stream=stream)
    structlog.stdlib.get_logger().info(event, **facts)
    line: dict[str, object] = orjson.loads(stream.getvalue())
    return line


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("+15551230042", "+***42"),
        ("from +15551230042 to +447700900123.", "from +***42 to +***23."),
        ("To=%2B15551230042&x", "To=%2B***42&x"),
        ("2026-11-22T09:00:00+00:00", "2026-11-22T09:00:00+00:00"),
        ("sip:+15551230042@example.com", "sip:+***42@example.com"),
        ("to:+15551230042", "to:+***42"),
        ("1+15551230042", "1+15551230042"),
        ("CA" + "1" * 32, "CA" + "1" * 32),
        ("took 12345678 ns", "took 12345678 ns"),
        # without a plus
        ("15551230042", "***42"),
        ("for 15551230042: no", "for ***42: no"),
        ("To=15551230042&From=442079460958", "To=***42&From=***58"),
        ("0015551230042", "***42"),
        ("493012345", "***45"),
        ("'15551230042'", "'***42'"),
        ("15551230042.wav", "***42.wav"),
        ("call_15551230042 order-15551230042", "call_***42 order-***42"),
        ("15551230042,15551230043", "***42,***43"),
        # in addresses
        ("sip:15551230042@example.com", "sip:***42@example.com"),
        ("sips:15551230042@example.com;user=phone", "sips:***42@example.com;user=phone"),
        ("whatsapp:+15551230042", "whatsapp:+***42"),
        ("whatsapp:15551230042", "whatsapp:***42"),
        ("tel:5550042", "tel:***42"),
        ("sip%3A%2B15551230042%40example.com", "sip%3A%2B***42%40example.com"),
        ("From=whatsapp%3A%2b15551230042", "From=whatsapp%3A%2b***42"),
        ("From=%2b15551230042", "From=%2b***42"),
        ("sip%3A15551230042", "sip%3A***42"),
        # of people without a number
        ("sip:alice@acme.example", "sip:***ce@acme.example"),
        ('"Alice Smith" <sips:alice.smith@acme.example:5061>', "*** <sips:***th@acme.example:5061>"),
        ("sip%3Aalice%40acme.example", "sip%3A***ce%40acme.example"),
        ("sip:*31%2315551230042@example.com", "sip:***42@example.com"),
        ("sip:201@acme.example;transport=udp", "sip:***1@acme.example;transport=udp"),
        ("sip:al@acme.example, client:bo", "sip:***@acme.example, client:***"),
        ("From=client:reception_desk&To=x", "From=client:***sk&To=x"),
        ("whatsapp:ada.l", "whatsapp:***.l"),
        ("client:page", "client:page"),
        ("client:page-ada", "client:***da"),
        # a scheme in any case: RFC 3986, 3.1
        ("SIP:alice@acme.example", "SIP:***ce@acme.example"),
        ("Client:reception_desk, WhatsApp:ada.l", "Client:***sk, WhatsApp:***.l"),
        ("Sips%3Aalice%40acme.example", "Sips%3A***ce%40acme.example"),
        ("TEL:5550042", "TEL:***42"),
        ('"Alice Smith" <SIP:alice@acme.example>', "*** <SIP:***ce@acme.example>"),
        ("Client:page", "Client:***ge"),
        ("sip:page@acme.example", "sip:***ge@acme.example"),
        # in groups
        ("+1 555 123 0042", "+***42"),
        ("+1 (555) 123-0042", "+***42"),
        ("call +1-555-123-0042 now", "call +***42 now"),
        ("+49 (0)30 1234 567", "+***67"),
        ("+44 20 7946 0958.", "+***58."),
        ("+1.555.123.0042", "+***42"),
        ("(555) 123-0042", "***42"),
        ("555-123-0042", "***42"),
        ("555.123.0042", "***42"),
        ("1-555-123-0042", "***42"),
        ("0044 20 7946 0958", "***58"),
        ("030 12345678", "***78"),
        ("0171/2345678", "***78"),
        ("after 3 555-123-0042", "after 3 ***42"),
        ("555-123-0042 3 times", "***42 3 times"),
        ("20 0171 2345678", "20 ***78"),
        ("17 +1 555 123 0042", "17 +***42"),
        ("%2B1%20555%20123%200042", "%2B***42"),
        # what is none
        ("2026-11-22 09:00:00.123456", "2026-11-22 09:00:00.123456"),
        ("2026-11-22T09:00:00.123456Z and on", "2026-11-22T09:00:00.123456Z and on"),
        ("192.168.100.200:8000", "192.168.100.200:8000"),
        ("12345678-1234-1234-1234-123456789012", "12345678-1234-1234-1234-123456789012"),
        ("00000000000000000001-CA.refused", "00000000000000000001-CA.refused"),
        ("0.1234567890123", "0.1234567890123"),
        ("1234567890.5 s", "1234567890.5 s"),
        ("MZ12345678901234567890123456789012", "MZ12345678901234567890123456789012"),
        ("a1234567890b", "a1234567890b"),
        ("20 of 30, 40 left; HTTP 404", "20 of 30, 40 left; HTTP 404"),
        ("agents.py:117 in look_up", "agents.py:117 in look_up"),
        ("a client: it said no; http_client:30", "a client: it said no; http_client:30"),
    ],
)
def test_phone_numbers_and_nothing_else_are_masked(text: str, masked: str) -> None:
    assert mask(text) == masked


def test_a_line_is_json_with_its_level_and_time() -> None:
    line = logged("call_ended", duration=12.5, ok=True, nothing=None)

    assert (line["event"], line["level"], line["duration"], line["ok"], line["nothing"]) == (
        "call_ended",
        "info",
        12.5,
        True,
        None,
    )
    assert "timestamp" in line


def test_numbers_and_secrets_are_hidden_wherever_they_turn_up() -> None:
    line = logged(
        "call_placed",
        to="+15551230042",
        nested={"list": ["+15551230042", 3], "key": "Token s3cret-key"},
        error=ValueError("refused s3cret-key for +15551230042"),
    )

    assert line["to"] == "+***42"
    assert logged("x", by={"15551230042": 1})["by"] == {"***42": 1}
    assert line["nested"] == {"list": ["+***42", 3], "key": "Token ***"}
    assert line["error"] == "refused *** for +***42"


def test_a_value_of_any_length_is_cut_and_a_secret_in_it_is_not_half_shown() -> None:
    line = logged("x", why="1 2-3 no " * 10_000, key="x" * 19_995 + "s3cret-key", digits="1 2-3 " * 10_000)

    assert [len(str(line[name])) for name in ("why", "key")] == [20_001, 19_998]
    assert line["digits"] == "[card] …"  # somewhere in them there may be one
    assert "s3cret" not in str(line["key"])


def test_a_traceback_is_masked_too() -> None:
    stream = io.StringIO()
    configure_logs(("s3cret-key",), stream=stream)
    try:
        int("s3cret-key +15551230042")
    except ValueError:
        structlog.stdlib.get_logger().exception("call_crashed")

    assert "s3cret-key" not in stream.getvalue()
    assert "*** +***42" in stream.getvalue()


def test_a_secret_too_short_to_be_one_strikes_nothing_out() -> None:
    assert logged("a_test", secrets=("a", ""))["event"] == "a_test"


def test_on_a_terminal_it_is_text() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    configure_logs(stream=stream)
    structlog.stdlib.get_logger().info("call_placed", to="+15551230042")

    assert "call_placed" in stream.getvalue()
    assert "5551230042" not in stream.getvalue()


def test_debug_is_not_logged() -> None:
    stream = io.StringIO()
    configure_logs(stream=stream)
    structlog.stdlib.get_logger().debug("too_much")

    assert stream.getvalue() == ""


def library(name: str) -> None:
    error = ValueError("s3cret-key of +15551230042")
    logging.getLogger(name).error("Exception on request for %s", "+15551230042", exc_info=error)


@pytest.mark.parametrize("name", ["quart.app", "hypercorn.error"])
def test_what_a_library_logs_is_a_line_like_ours(name: str) -> None:
    stream = io.StringIO()
    configure_logs(("s3cret-key",), stream=stream)

    library(name)

    (line,) = map(orjson.loads, stream.getvalue().splitlines())
    assert (line["event"], line["level"], "timestamp" in line) == ("Exception on request for +***42", "error", True)
    assert line["exception"].endswith("ValueError: *** of +***42")


def test_what_hypercorn_had_set_up_for_itself_is_masked_too() -> None:
    ours, theirs = io.StringIO(), io.StringIO()
    hypercorn = logging.getLogger("hypercorn.error")
    handler = logging.StreamHandler(theirs)
    hypercorn.addHandler(handler)
    try:
        configure_logs(("s3cret-key",), stream=ours)
        library("hypercorn.error")
    finally:
        hypercorn.removeHandler(handler)

    assert ours.getvalue() == ""
    assert orjson.loads(theirs.getvalue())["event"] == "Exception on request for +***42"


@pytest.mark.parametrize("name", HYPERCORN)
def test_what_hypercorn_sets_up_for_itself_later_is_masked_and_written_once(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It makes its loggers when it first logs, which is when the application has started."""
    ours = io.StringIO()
    configure_logs(("s3cret-key",), stream=io.StringIO())
    configure_logs(("s3cret-key",), stream=ours)
    config = Config()
    config.accesslog = "-"
    assert config.log.access_logger is not None

    library(name)
    library(name)

    written = capsys.readouterr()
    lines = [orjson.loads(line) for line in (written.err + written.out).splitlines()]
    assert [line["event"] for line in lines] == ["Exception on request for +***42"] * 2
    assert ours.getvalue() == ""


def test_logs_that_are_set_up_twice_are_written_once() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure_logs(stream=first)
    configure_logs(stream=second)

    logging.getLogger("quart.app").error("once")

    assert (first.getvalue(), len(second.getvalue().splitlines())) == ("", 1)


class Full(io.StringIO):
    """A log file on a disk that is full for a while."""

    is_full = True

    def write(self, text: str, /) -> int:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)

    def flush(self) -> None:
        self.write("")


@pytest.mark.parametrize("logger", [structlog.stdlib.get_logger(), logging.getLogger("hypercorn.error")])
def test_a_log_that_cannot_be_written_hurts_nobody_and_goes_on_when_it_can(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = Full()
    configure_logs(stream=stream)

    logger.error("first")
    stream.is_full = False
    logger.error("second")

    assert ["second"] == [orjson.loads(line)["event"] for line in stream.getvalue().splitlines()]
    assert "Traceback" not in capsys.readouterr().err
