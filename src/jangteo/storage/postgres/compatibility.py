"""Looks up, while a server runs, whether the database still admits its version: a migration may have ended that."""

from time import monotonic
from typing import Final

import structlog
from psycopg.errors import UndefinedTable

from jangteo.storage.compatibility import OLDEST_REVISION, refusal_of
from jangteo.storage.errors import TooOld, Unavailable
from jangteo.storage.postgres.pipeline import Pipeline

log = structlog.get_logger()

CHECK_EVERY_S: Final = 2.0
NO_SHOP: Final = "PostgreSQL: the session's schema holds no shop; has its search_path changed, or was it dropped?"


class CompatibilityCheck:
    """The check of one connection, between transactions."""

    def __init__(self) -> None:
        self._next_at = 0.0
        self._refusal: str | None = None

    def run(self, pipeline: Pipeline, *, logs: bool) -> None:
        """Ask the database every CHECK_EVERY_S, and raise TooOld while it doesn't admit this version.

        `logs`: say so once in the log. Raises the driver's errors.
        """
        if monotonic() >= self._next_at:
            try:
                before, self._refusal = self._refusal, refusal_of(list(pipeline.send(OLDEST_REVISION)))
            except UndefinedTable:
                raise Unavailable(NO_SHOP) from None
            self._next_at = monotonic() + CHECK_EVERY_S
            if logs and self._refusal is not None and before is None:
                log.error("version too old", reason=self._refusal)
        if self._refusal is not None:
            raise TooOld(self._refusal)
