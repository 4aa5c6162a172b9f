"""Logging: to standard error, readable on a terminal and as JSON lines elsewhere."""

import logging
import sys
from contextlib import suppress
from typing import TextIO, cast

import structlog


def configure() -> None:
    """Set up logging for the process."""
    on_terminal = sys.stderr.isatty()
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if on_terminal else structlog.processors.JSONRenderer()
    )
    processors: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if not on_terminal:
        processors.append(structlog.processors.dict_tracebacks)
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _StandardError())),
        cache_logger_on_first_use=True,
    )
    # Errors of libraries only, in one line each; uvicorn's warnings about invalid requests are noise.
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s %(message)s")


def silence() -> None:
    """Log nothing: a command prints its own one-line error."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


class _StandardError:
    """Standard error, without its errors: a closed log must not stop a shop."""

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.flush()
