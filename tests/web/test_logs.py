"""No log line gives a phone number or a secret away."""

import errno
import io
import logging
from collections.abc import Iterator

import orjson
import pytest
import structlog
from hypercorn.config import Config

from web.worker.logs import configure_logs

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
