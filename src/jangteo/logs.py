"""Logging: to standard error, readable on a terminal and as JSON lines elsewhere.

A line is one write, whether we, a library or an uncaught exception wrote it, in any thread of any process that shares
standard error. A pipe keeps a write whole if it is at most `LINE_MAX_BYTES` long, so a longer line is shortened.
"""

import json
import logging
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor

from jangteo.foreign_text import escape
from jangteo.redaction import redaction

LINE_MAX_BYTES: Final = 4_096
"""Linux's PIPE_BUF: the longest write, its newline included, that no other write to the same pipe cuts in two."""
_STANDARD_ERROR: Final = 2
_TEXT_MIN: Final = 16
"""A text is not shortened below this many characters."""

log = structlog.get_logger()


def configure() -> None:
    """Set up logging for the process."""
    if sys.stderr is None:
        # It was closed before the start. Without this a socket could get its number, and the log of a child process.
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - it stays open
    standard_error = cast("TextIO", _StandardError(_descriptor_of(sys.stderr)))
    processors: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # Exceptions are rendered without local variables, which may hold secrets.
    renderers: list[Processor] = [structlog.processors.format_exc_info, _redact]
    if sys.stderr.isatty():
        renderers += [_escape_texts, structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    else:
        renderers.append(render_line)
    structlog.configure(
        processors=[*processors, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(standard_error),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(standard_error)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *processors],
        )
    )
    # Errors of libraries only; uvicorn's warnings about invalid requests are noise.
    logging.basicConfig(level=logging.ERROR, handlers=[handler])
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def _descriptor_of(standard_error: TextIO) -> int:
    try:
        return standard_error.fileno()
    except OSError:
        # It was replaced by something without a file.
        return _STANDARD_ERROR


def silence() -> None:
    """Log nothing: a command prints its own one-line error."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def _redact(_logger: Any, _method: str, event: EventDict) -> EventDict:
    return {key: redaction.redact_values(value) for key, value in event.items()}


def _escape_texts(_logger: Any, _method: str, event: EventDict) -> EventDict:
    return {key: escape(value) if isinstance(value, str) else value for key, value in event.items()}


def render_line(_logger: Any, _method: str, event: EventDict) -> str:
    """Render an event as one line of JSON in ASCII. Where it would be too long, its texts lose their middle."""
    line = _to_json(event)
    text_max = LINE_MAX_BYTES
    while len(line) >= LINE_MAX_BYTES:
        text_max //= 2
        if text_max < _TEXT_MIN:
            event = {key: event[key] for key in ("event", "level", "timestamp") if key in event}
            text_max = LINE_MAX_BYTES // 64
        line = _to_json({key: _shorten(value, text_max) for key, value in event.items()} | {"shortened": True})
    return line


def _to_json(value: object) -> str:
    return json.dumps(value, default=repr)


def _shorten(value: object, text_max: int) -> object:
    text = value if isinstance(value, str) else _to_json(value)
    # An error's traceback says at its end what has happened.
    return value if len(text) <= text_max else f"{text[: text_max // 2]} ... {text[-text_max // 2 :]}"


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, Exception):
        log.critical("uncaught exception", exc_info=error)
    else:
        sys.__excepthook__(kind, error, trace)


def _log_uncaught_in_thread(uncaught: threading.ExceptHookArgs) -> None:
    if isinstance(uncaught.exc_value, Exception):
        log.critical("uncaught exception", exc_info=uncaught.exc_value)
    else:
        threading.__excepthook__(uncaught)


class _StandardError:
    """Standard error as a text file: every text is one write. It never fails: a closed log must not stop a shop."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, text: str) -> None:
        with suppress(OSError):
            os.write(self._descriptor, text.encode(errors="backslashreplace"))

    def flush(self) -> None:
        """Do nothing: nothing is buffered."""
