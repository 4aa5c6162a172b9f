"""Examines a shop from outside: its database, its platform and its backups; and what a server says at its start."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from time import perf_counter
from typing import Final

import structlog

from jangteo.app import Clock, platform_of
from jangteo.core.health import CheckWritable
from jangteo.delivery.examination import examine_platform
from jangteo.engine.batch import Failed, Submission, commit
from jangteo.settings import Settings
from jangteo.storage.backups import examine_backups
from jangteo.storage.diagnosis import Diagnosis, danger, note, ok
from jangteo.storage.errors import StorageError
from jangteo.storage.port import Storage
from jangteo.storage.urls import files_of, open_storage

log = structlog.get_logger()

COMMIT_TIMEOUT_S: Final = 5.0
_COMMIT: Final = "commit"


def examine(settings: Settings, backups: Path | None, clock: Clock) -> Iterator[Diagnosis]:
    """Examine everything, whether or not the shop is being served.

    Raises CannotOpen at the end if the database can't be used; what doesn't depend on that is examined all the same.
    """
    refused, archiving = None, False
    try:
        storage = open_storage(settings.database)
        for each in storage.examine():
            archiving |= each.subject == "archiving"
            yield each
        yield _try_commit(storage, clock)
    except StorageError as error:
        refused = error
        yield danger("database", str(error))
    yield from asyncio.run(
        examine_platform(platform_of(settings), settings.platform_secrets, files_of(settings.database))
    )
    if backups is not None:
        yield examine_backups(backups, clock())
    elif not archiving:
        yield note("backups", "none known", "name their folder with --backups")
    if refused is not None:
        raise refused


def log_durability(storage: Storage) -> None:
    """Log what endangers committed data, a line for each finding. The shop opens even if that can't be examined."""
    try:
        found = storage.durability()
    except StorageError as error:
        log.warning("durability not examined", reason=str(error))
        return
    for each in found:
        if each.severity == "danger":
            log.warning("data in danger", check=each.subject, found=each.found, advice=each.advice)
        elif each.severity == "note":
            log.info("durability", check=each.subject, found=each.found, advice=each.advice)


def _try_commit(storage: Storage, clock: Clock) -> Diagnosis:
    """Commit a row as a readiness check does. A commit that waits, for a standby or a disk, is left to itself."""
    started = perf_counter()
    outcomes: SimpleQueue[str | None] = SimpleQueue()
    Thread(target=lambda: outcomes.put(_commit(storage, clock)), name="commit", daemon=True).start()
    try:
        reason = outcomes.get(timeout=COMMIT_TIMEOUT_S + 1)
    except Empty:
        found = f"not confirmed within {COMMIT_TIMEOUT_S:g} s"
        return danger(_COMMIT, found, "see what it waits for: standbys above, locks, the disk")
    if reason is not None:
        return danger(_COMMIT, f"failed ({reason})", "orders get 503 until the database can be written")
    return ok(_COMMIT, f"a row was committed in {(perf_counter() - started) * 1000:,.0f} ms")


def _commit(storage: Storage, clock: Clock) -> str | None:
    """Return why the commit failed, or None."""
    with closing(storage.connect(COMMIT_TIMEOUT_S)) as connection:
        result = commit(connection, [Submission(CheckWritable())], clock)
    if result.not_begun is not None:
        return result.not_begun
    (outcome,) = result.outcomes
    return outcome.reason if isinstance(outcome, Failed) else None
