"""How a server logs: to standard error, for people on a terminal and as JSON lines elsewhere."""

import logging
import sys

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
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # The server's own warnings, such as a request that is no HTTP, in one line each.
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
