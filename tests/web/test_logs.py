"""No log line gives a phone number or a secret away."""

import io
from collections.abc import Iterator

import orjson
import pytest
import structlog

from web.logs import configure_logs, mask


@pytest.fixture(autouse=True)
def structlog_as_it_was() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


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
        ("1+15551230042", "1+15551230042"),
        ("CA" + "1" * 32, "CA" + "1" * 32),
        ("took 12345678 ns", "took 12345678 ns"),
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
    assert line["nested"] == {"list": ["+***42", 3], "key": "Token ***"}
    assert line["error"] == "refused *** for +***42"


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
