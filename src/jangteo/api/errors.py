"""Which problem an exception is for the client. What nobody expected is a defect: it is logged."""

import asyncio
from typing import Any

import structlog

from jangteo.api import problems
from jangteo.api.requests import Rejected
from jangteo.engine.worker_pool import Overloaded, Stopped
from jangteo.storage.errors import Unavailable

log = structlog.get_logger()


def problem_for(error: BaseException, **request: str) -> dict[str, Any]:
    """Make the problem of an exception; `request` is what the log says of a request that failed by a defect."""
    match error:
        case Rejected():
            return problems.problem(error.kind, error.detail, **error.facts)
        case Overloaded() | Stopped():
            return problems.problem(problems.OVERLOADED)
        case asyncio.CancelledError():
            # The server is closing, and the shutdown timeout has passed before this request was complete.
            return problems.problem(problems.UNAVAILABLE)
        case Unavailable() | TimeoutError():
            return problems.problem(problems.UNAVAILABLE)
    log.error("request failed", exc_info=error, **request)
    return problems.problem(problems.INTERNAL)
