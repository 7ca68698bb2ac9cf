"""Logging: one JSON object a line, or coloured text on a terminal, with secrets and phone numbers masked.

`configure_logs` sets structlog up once per process, and has what libraries log come out the same way. A masking step
runs last, on every event: phone numbers, and names in addresses of SIP, lose all but their last two characters, and
known secrets are struck out wherever they turn up, exception texts included. Transcripts are not logged at all: that is
the callers' duty (promise 10).
"""

import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TextIO, cast

import attrs
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from store.masking import STRUCK_OUT, mask
from store.redaction import CARDS

LONGEST = 20_000
"""Characters of a value: nobody reads more, and each of them takes time to mask."""


@attrs.frozen
class Masking:
    """A structlog step that hides phone numbers and the given secrets in every value of an event."""

    secrets: tuple[str, ...] = attrs.field(repr=False)

    def __call__(self, _logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
        return {key: self._masked(value) for key, value in event.items()}

    def _masked(self, value: object) -> object:
        if isinstance(value, str):
            for secret in self.secrets:
                value = value.replace(secret, STRUCK_OUT)
            return CARDS.text(mask(value if len(value) <= LONGEST else f"{value[:LONGEST]}…"))
        if isinstance(value, Mapping):
            return {self._masked(key): self._masked(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self._masked(inner) for inner in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return self._masked(str(value))


def _before(secrets: Iterable[str]) -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        Masking(tuple(secret for secret in secrets if len(secret) >= 6)),
    ]


@attrs.frozen(eq=False)
class _Spared:
    """Writes to a stream, and loses the line where it takes none: a full disk, a pipe or a terminal without a reader.

    What becomes of the log must not become of the call that is logged.
    """

    stream: TextIO

    def write(self, text: str) -> None:
        with suppress(OSError):
            self.stream.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self.stream.flush()


class _FromLibraries(logging.StreamHandler[TextIO]):
    """Writes what libraries log, once, however often logs are set up."""


_HYPERCORNS = (logging.getLogger("hypercorn.error"), logging.getLogger("hypercorn.access"))


@attrs.frozen(eq=False)
class _OneFormat:
    """Has the handlers that hypercorn gives a logger, perhaps to a file, write as ours do, and nothing twice.

    A filter, since hypercorn sets its loggers up when it first logs, which is when the application has started.
    """

    logger: logging.Logger
    formatter: logging.Formatter

    def __call__(self, _record: logging.LogRecord) -> bool:
        self.logger.propagate = not self.logger.handlers
        for handler in self.logger.handlers:
            handler.setFormatter(self.formatter)
        return True


def _take_in_libraries(before: Sequence[Processor], last: Processor, target: TextIO, level: int) -> None:
    """Have what hypercorn and Quart log of their own accord (a crash, above all) come out as ours does."""
    meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    formatter = structlog.stdlib.ProcessorFormatter(foreign_pre_chain=before, processors=[meta, last])
    root = logging.getLogger()
    root.handlers[:] = [handler for handler in root.handlers if not isinstance(handler, _FromLibraries)]
    ours = _FromLibraries(target)
    ours.setLevel(level)
    ours.setFormatter(formatter)
    root.addHandler(ours)
    for logger in _HYPERCORNS:
        logger.filters[:] = [one for one in logger.filters if not isinstance(one, _OneFormat)]
        logger.addFilter(_OneFormat(logger, formatter))


def configure_logs(secrets: Iterable[str] = (), *, level: int = logging.INFO, stream: TextIO | None = None) -> None:
    """Set up logging for this process: to `stream` (standard error), as JSON unless it is a terminal."""
    raw, before = stream or sys.stderr, _before(secrets)
    last = structlog.dev.ConsoleRenderer() if raw.isatty() else structlog.processors.JSONRenderer()
    target = cast("TextIO", _Spared(raw))
    structlog.configure(
        processors=[*before, last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(target),
        cache_logger_on_first_use=False,
    )
    _take_in_libraries(before, last, target, level)
