"""Examines what a PostgreSQL server's settings and standbys mean for committed data."""

import re
from typing import Final, NamedTuple

import psycopg

from jangteo.storage import schema
from jangteo.storage.diagnosis import Diagnosis, danger, note, ok
from jangteo.storage.port import Row

_SETTINGS: Final = """
    SELECT name, setting, reset_val FROM pg_settings
    WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit', 'synchronous_standby_names')
"""
_UNLOGGED: Final = """
    SELECT relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = current_schema() AND relpersistence <> 'p' AND relname = ANY(%s) ORDER BY relname
"""
# Without the rights of pg_monitor all columns but the process id are NULL.
_STANDBYS: Final = """
    SELECT application_name, sync_state FROM pg_stat_replication
    WHERE state IS NULL OR state IN ('catchup', 'streaming') ORDER BY application_name
"""
_NEEDED: Final = re.compile(r"\s*(?:(?:FIRST|ANY)\s+)?(\d+)\s*\(", re.IGNORECASE)
_SYNCHRONOUS: Final = frozenset({"sync", "quorum"})
_UNCONFIRMED: Final = frozenset({"off", "local"})


class _Standby(NamedTuple):
    name: str | None
    sync_state: str | None
    """None: not visible to this role."""


def examine_durability(raw: psycopg.Connection[Row]) -> list[Diagnosis]:
    """Examine settings, unlogged tables and standbys. Raises the driver's errors."""
    settings = {name: (setting, default) for name, setting, default in raw.execute(_SETTINGS)}
    standbys = [_Standby(*row) for row in raw.execute(_STANDBYS)]
    names = settings["synchronous_standby_names"][0]
    return [
        _switch("fsync", settings["fsync"][0], "a crash of the machine loses and damages what was committed"),
        _switch("full_page_writes", settings["full_page_writes"][0], "a crash of the machine may damage tables"),
        _unlogged_tables(raw),
        *_synchronous_commit(*settings["synchronous_commit"], names),
        _synchronous_standbys(names, standbys) if names.strip() else _asynchronous_standbys(standbys),
    ]


def _switch(name: str, setting: str, consequence: str) -> Diagnosis:
    if setting == "off":
        return danger(name, f"off, so {consequence}", f"set {name} = on in postgresql.conf, and reload it")
    return ok(name, setting)


def _unlogged_tables(raw: psycopg.Connection[Row]) -> Diagnosis:
    subject = "unlogged tables"
    unlogged = [row[0] for row in raw.execute(_UNLOGGED, [list(schema.metadata.tables)])]
    if not unlogged:
        return ok(subject, "none")
    found = f"{', '.join(unlogged)}, which a crash of the server empties, and standbys don't have"
    return danger(subject, found, "ALTER TABLE … SET LOGGED for each")


def _synchronous_commit(setting: str, default: str, names: str) -> list[Diagnosis]:
    """Without synchronous standbys there is nothing to say: a session never commits with `off`."""
    subject = "synchronous_commit"
    if not names.strip():
        return []
    if setting in _UNCONFIRMED:
        return [danger(subject, f"{setting}, so commits don't wait for the standbys", "set it to on for this role")]
    if default in _UNCONFIRMED:
        found = f"{default} by default: Jangteo's sessions use {setting}, other programs' commits wait for no standby"
        return [note(subject, found, "set it to on")]
    return [ok(subject, setting)]


def _synchronous_standbys(names: str, standbys: list[_Standby]) -> Diagnosis:
    subject = "standbys"
    if any(each.sync_state is None for each in standbys):
        return note(subject, f"{names} named as synchronous, not visible to this role", "GRANT pg_monitor to it")
    synchronous = [each.name or "?" for each in standbys if each.sync_state in _SYNCHRONOUS]
    others = [each.name or "?" for each in standbys if each.sync_state == "async"]
    found_needed = _NEEDED.match(names)
    needed = int(found_needed[1]) if found_needed else 1
    asynchronous = f"; asynchronous: {', '.join(others)}" if others else ""
    if len(synchronous) < needed:
        found = f"{len(synchronous)} of {needed} synchronous connected (named: {names}{asynchronous}), so commits wait"
        return danger(subject, found, "start them, or correct their application_name or synchronous_standby_names")
    found = f"synchronous: {', '.join(synchronous)}{asynchronous}"
    if others:
        return note(subject, found, "a failover to an asynchronous one loses the last commits")
    return ok(subject, found)


def _asynchronous_standbys(standbys: list[_Standby]) -> Diagnosis:
    subject = "standbys"
    if not standbys:
        return ok(subject, "none connected, none named as synchronous")
    named = ", ".join(each.name or "?" for each in standbys)
    return note(
        subject,
        f"{len(standbys)} connected ({named}), none of them synchronous, so a failover loses the last commits",
        "name it in synchronous_standby_names",
    )
