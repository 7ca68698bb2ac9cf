"""The exchange's log: one JSON object a line, or coloured text on a terminal, with nothing in it that is not ours.

`configure_logs` sets structlog up once per process. A masking step runs last, on every event: phone numbers lose all
but their last two digits, and known secrets are struck out wherever they turn up, exception texts included.
Transcripts are not logged at all: that is the callers' duty (promise 10).
"""

import logging
import re
import sys
from collections.abc import Iterable, Mapping
from typing import TextIO

import attrs
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_PHONE_NUMBER = re.compile(r"(?<![\w.:+-])(\+|%2B)[0-9]{5,13}([0-9]{2})(?![0-9])")
STRUCK_OUT = "***"


def mask(text: str) -> str:
    """Hide the phone numbers in a text: `+15551230042` becomes `+***42`."""
    return _PHONE_NUMBER.sub(r"\1***\2", text)


@attrs.frozen
class Masking:
    """A structlog step that hides phone numbers and the given secrets in every value of an event."""

    secrets: tuple[str, ...] = attrs.field(repr=False)

    def __call__(self, _logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
        """Mask one event."""
        return {key: self._masked(value) for key, value in event.items()}

    def _masked(self, value: object) -> object:
        if isinstance(value, str):
            for secret in self.secrets:
                value = value.replace(secret, STRUCK_OUT)
            return mask(value)
        if isinstance(value, Mapping):
            return {key: self._masked(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self._masked(inner) for inner in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return self._masked(str(value))


def _steps(secrets: Iterable[str], *, coloured: bool) -> list[Processor]:
    masking = Masking(tuple(secret for secret in secrets if len(secret) >= 6))
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        masking,
    ]
    last = structlog.dev.ConsoleRenderer() if coloured else structlog.processors.JSONRenderer()
    return [*before, last]


def configure_logs(secrets: Iterable[str] = (), *, level: int = logging.INFO, stream: TextIO | None = None) -> None:
    """Set up logging for this process: to `stream` (standard error), as JSON unless it is a terminal."""
    target = stream or sys.stderr
    structlog.configure(
        processors=_steps(secrets, coloured=target.isatty()),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(target),
        cache_logger_on_first_use=False,
    )
