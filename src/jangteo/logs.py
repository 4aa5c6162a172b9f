"""How a server logs: to standard error, for people on a terminal and as JSON lines elsewhere."""

import logging
import sys
from contextlib import suppress
from typing import TextIO, cast

import structlog


def configure() -> None:
    """Set up logging for the process."""
    for_people = sys.stderr.isatty()
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if for_people else structlog.processors.JSONRenderer()
    )
    processors: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if not for_people:
        processors.append(structlog.processors.dict_tracebacks)
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _StandardError())),
        cache_logger_on_first_use=True,
    )
    # The server's own errors, in one line each; what it has to say of strange requests is no news.
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s %(message)s")


def leave_to_the_command() -> None:
    """Log nothing: a command tells what has failed, in its one line."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


class _StandardError:
    """Standard error, as long as there is one: a shop doesn't stop because nobody can read its log."""

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.flush()
