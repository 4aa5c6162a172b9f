"""Examines a PostgreSQL server for `jangteo doctor`: what `durability` does, and all that isn't about commits."""

import ipaddress
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psycopg

from jangteo.storage.backups import BACKUP_AGE_MAX
from jangteo.storage.diagnosis import Diagnosis, danger, note, ok
from jangteo.storage.errors import CannotOpen
from jangteo.storage.free_disk import examine_disk
from jangteo.storage.port import Row
from jangteo.storage.postgres.connecting import cut_after
from jangteo.storage.postgres.connection import open_connection
from jangteo.storage.postgres.durability import examine_durability
from jangteo.storage.postgres.sequences import read_sequences

TIMEOUT_S: Final = 10.0
"""For everything that is asked over one connection."""
CLOCK_DIFFERENCE_MAX_S: Final = 1.0
"""The hosts' clocks decide when the relay's lease expires."""
_CLOCK_SAMPLES: Final = 5
_CLOCK: Final = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"
_ARCHIVING: Final = """
    SELECT current_setting('archive_mode'), last_archived_time, last_failed_time, now() FROM pg_stat_archiver
"""
# Without the rights of pg_read_all_settings there is no such row.
_DATA_FOLDER: Final = "SELECT setting FROM pg_settings WHERE name = 'data_directory'"


@contextmanager
def examined(url: str) -> Iterator[psycopg.Connection[Row]]:
    """Connect for an examination that ends within `TIMEOUT_S`. Raises CannotOpen for every error of the driver."""
    try:
        with open_connection(url) as raw, cut_after(raw, TIMEOUT_S):
            yield raw
    except psycopg.Error as error:
        raise CannotOpen(f"PostgreSQL can't be used: {error}") from error


def examine_server(raw: psycopg.Connection[Row]) -> Iterator[Diagnosis]:
    """Examine what any role can see, whether or not the database holds a shop. Raises the driver's errors."""
    yield ok("version", f"PostgreSQL {raw.info.parameter_status('server_version')}")
    yield from examine_durability(raw)
    yield _clock(raw)
    yield _free_disk(raw)
    yield from _archiving(raw)


def examine_shop(raw: psycopg.Connection[Row]) -> Iterator[Diagnosis]:
    """Examine a database that holds a shop, over a connection that keeps its backend. Raises the driver's errors."""
    yield ok("pooler", "none" if _is_direct(raw) else "one in session mode")
    yield _sequences(raw)


def _is_direct(raw: psycopg.Connection[Row]) -> bool:
    """Whether the server greeted this session itself: poolers greet with a process id of their own making."""
    return bool(raw.execute("SELECT pg_backend_pid()").fetchall()[0][0] == raw.info.backend_pid)


def _sequences(raw: psycopg.Connection[Row]) -> Diagnosis:
    subject = "sequences"
    counted = read_sequences(lambda sql: raw.execute(sql.encode()).fetchall())
    behind = [each.table for each in counted if each.is_behind]
    if behind:
        found = f"behind their tables: {', '.join(behind)}, so ids that are taken are given again"
        return danger(subject, found, "a server's start and jangteo migrate advance them")
    return ok(subject, "none is behind its table")


def _clock(raw: psycopg.Connection[Row]) -> Diagnosis:
    subject, (round_trip_s, ahead_s) = "clock", min(_clock_sample(raw) for _ in range(_CLOCK_SAMPLES))
    direction = "ahead of" if ahead_s > 0 else "behind"
    found = f"the server's is {abs(ahead_s):.3f} s {direction} this host's, give or take {round_trip_s / 2:.3f} s"
    if abs(ahead_s) - round_trip_s / 2 > CLOCK_DIFFERENCE_MAX_S:
        return danger(subject, found, "set both by NTP: the relay's lease relies on them, and two relays may send")
    return ok(subject, found)


def _clock_sample(raw: psycopg.Connection[Row]) -> tuple[float, float]:
    """Return the round trip, and how far the server's clock was ahead half-way through it, in seconds."""
    sent_at, started = time.time(), time.perf_counter()
    server_us = int(raw.execute(_CLOCK).fetchall()[0][0])
    round_trip_s = time.perf_counter() - started
    return round_trip_s, server_us / 1_000_000 - (sent_at + round_trip_s / 2)


def _free_disk(raw: psycopg.Connection[Row]) -> Diagnosis:
    subject = "free disk"
    rows = raw.execute(_DATA_FOLDER).fetchall()
    folder = Path(rows[0][0]) if rows else None
    # Another user's folder may not even be looked at, which `Path.exists` raises.
    if folder is None or not _is_local(raw) or not os.access(folder, os.F_OK):
        return note(subject, "the server's can't be seen from here", "watch it there")
    return examine_disk(subject, folder)


def _is_local(raw: psycopg.Connection[Row]) -> bool:
    """Whether the server is on this host: a folder of the same name may exist on another."""
    address = raw.info.hostaddr
    return raw.info.host.startswith("/") or (bool(address) and ipaddress.ip_address(address).is_loopback)


def _archiving(raw: psycopg.Connection[Row]) -> Iterator[Diagnosis]:
    """Yield how archiving of the write-ahead log goes, if the server archives it."""
    mode, archived_at, failed_at, now = raw.execute(_ARCHIVING).fetchall()[0]
    if mode != "off":
        yield _archived(archived_at, failed_at, now)


def _archived(archived_at: datetime | None, failed_at: datetime | None, now: datetime) -> Diagnosis:
    subject = "archiving"
    last = "nothing archived yet" if archived_at is None else f"last archived at {_timestamp(archived_at)}"
    if failed_at is not None and (archived_at is None or failed_at > archived_at):
        found = f"failed at {_timestamp(failed_at)}, {last}"
        return danger(subject, found, "see archive_command and the server's log")
    if archived_at is None or now - archived_at > BACKUP_AGE_MAX:
        return note(subject, last, "set archive_timeout for quiet hours")
    return ok(subject, last)


def _timestamp(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
