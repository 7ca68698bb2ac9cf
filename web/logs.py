"""The exchange's log: one JSON object a line, or coloured text on a terminal, with nothing in it that is not ours.

`configure_logs` sets structlog up once per process, and has what libraries log come out the same way. A masking step
runs last, on every event: phone numbers lose all but their last two digits, and known secrets are struck out wherever
they turn up, exception texts included. Transcripts are not logged at all: that is the callers' duty (promise 10).
"""

import logging
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

import attrs
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_PHONE_NUMBER = re.compile(r"(?<![\w+])(\+|%2B)[0-9]{5,13}([0-9]{2})(?![0-9])")
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


def _before(secrets: Iterable[str]) -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        Masking(tuple(secret for secret in secrets if len(secret) >= 6)),
    ]


class _FromLibraries(logging.StreamHandler[TextIO]):
    """Writes what libraries log, once, however often logs are set up."""


def _take_in_libraries(before: Sequence[Processor], last: Processor, target: TextIO, level: int) -> None:
    """Have what hypercorn and Quart log of their own accord (a crash, above all) come out as ours does."""
    meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    formatter = structlog.stdlib.ProcessorFormatter(foreign_pre_chain=before, processors=[meta, last])
    root, hypercorn = logging.getLogger(), logging.getLogger("hypercorn.error")
    root.handlers[:] = [handler for handler in root.handlers if not isinstance(handler, _FromLibraries)]
    ours = _FromLibraries(target)
    ours.setLevel(level)
    ours.setFormatter(formatter)
    root.addHandler(ours)
    hypercorn.propagate = not hypercorn.handlers
    for handler in hypercorn.handlers:  # its own command has given it one, perhaps to a file
        handler.setFormatter(formatter)


def configure_logs(secrets: Iterable[str] = (), *, level: int = logging.INFO, stream: TextIO | None = None) -> None:
    """Set up logging for this process: to `stream` (standard error), as JSON unless it is a terminal."""
    target, before = stream or sys.stderr, _before(secrets)
    last = structlog.dev.ConsoleRenderer() if target.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*before, last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(target),
        cache_logger_on_first_use=False,
    )
    _take_in_libraries(before, last, target, level)
