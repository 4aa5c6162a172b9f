"""Which versions of Jangteo may use a database: its schema says so, in one row.

Migrations expand: the version before can go on beside the next. A migration that contracts (drops or renames what the
version before uses) raises `oldest_revision` in the same transaction, and with it refuses that version.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Final, NamedTuple

from jangteo.storage import migrations
from jangteo.storage.diagnosis import Diagnosis, note, ok
from jangteo.storage.errors import CannotOpen, NoShopYet
from jangteo.storage.port import Row

OLDEST_REVISION: Final = "SELECT oldest_revision FROM compatibility WHERE id = 1"
"""The oldest revision that may be a program's newest for it to use the database."""
_REVISION: Final = f"SELECT version_num FROM {migrations.VERSION_TABLE}"
_FORMER_REVISION: Final = f"SELECT version_num FROM {migrations.FORMER_VERSION_TABLE}"
_SHOP_TABLES: Final = frozenset({"ledger_entries", "stock_movements", "outbox", "writers"})
"""Tables of every revision. Other programs, too, may have a ledger, and use Alembic."""


class SchemaState(NamedTuple):
    """What a database says about its schema."""

    tables: frozenset[str]
    revision: str | None
    """The newest migration that it has had; None if it holds no shop."""
    oldest_revision: str | None
    """See OLDEST_REVISION; None before there was such a row."""

    @property
    def is_older(self) -> bool:
        """Whether a migration of this version is missing, be it all of them."""
        return self.revision is None or (migrations.knows(self.revision) and self.revision != migrations.newest())


def holds_shop(tables: Collection[str]) -> bool:
    """Whether tables of these names are a shop's."""
    return _SHOP_TABLES.issubset(tables) and not {migrations.VERSION_TABLE, migrations.FORMER_VERSION_TABLE}.isdisjoint(
        tables
    )


def read_state(tables: Collection[str], run: Callable[[str], Sequence[Row]], name: str) -> SchemaState:
    """Read what a database with these tables says about its schema, by a function that runs a statement.

    Raises CannotOpen, naming the database `name`, if it is another program's, or doesn't admit this version.
    """
    revision = _read_revision(tables, run)
    if tables and (revision is None or not holds_shop(tables)):
        raise CannotOpen(f"{name} is another program's database; nothing was changed")
    oldest = _first(run(OLDEST_REVISION)) if "compatibility" in tables else None
    if revision is not None and not (migrations.knows(revision) or (oldest and migrations.knows(oldest))):
        raise CannotOpen(
            f"{name} has a newer schema ({revision}) than this version of Jangteo may use; "
            "upgrade Jangteo, nothing was changed"
        )
    return SchemaState(frozenset(tables), revision, oldest)


def check_usable(state: SchemaState, name: str) -> list[str]:
    """Return lines for the operator about a database that this version may use.

    Raises NoShopYet if it holds no shop, CannotOpen if it must be migrated first.
    """
    if state.revision is None:
        raise NoShopYet(f"{name} holds no shop yet: jangteo migrate creates one")
    if state.is_older:
        raise CannotOpen(f"{name} has the schema of an older version: jangteo migrate brings it to this one")
    newest = migrations.newest()
    if state.revision == newest:
        return []
    return [
        f"{name} has a newer schema ({state.revision}) than this version of Jangteo ({newest}), which may still use it"
    ]


def check_own_revision(state: SchemaState, name: str) -> None:
    """Raise as `check_usable`, and CannotOpen too if the schema is a newer one: it may hold what isn't known here."""
    if check_usable(state, name):
        raise CannotOpen(f"{name} has a newer schema ({state.revision}) than this version of Jangteo knows; upgrade it")


def examine_schema(notices: Sequence[str]) -> Diagnosis:
    """Examine the schema of a database by what `check_usable` said of it."""
    if notices:
        return note("schema", notices[0], "upgrade this version, too")
    return ok("schema", f"{migrations.newest()}, this version's")


def refusal_of(rows: Sequence[Row]) -> str | None:
    """Return why the rows of OLDEST_REVISION don't admit this version, in one line; None if they do."""
    oldest = _first(rows)
    if oldest is None or migrations.knows(oldest):
        return None
    return (
        f"this version of Jangteo ({migrations.newest()}) is too old for the database, which was migrated and needs "
        f"{oldest} or newer: upgrade Jangteo and restart it"
    )


def _read_revision(tables: Collection[str], run: Callable[[str], Sequence[Row]]) -> str | None:
    if migrations.VERSION_TABLE in tables:
        return _first(run(_REVISION))
    if migrations.FORMER_VERSION_TABLE in tables:
        revision = _first(run(_FORMER_REVISION))
        # Other programs use Alembic too.
        return revision if revision is not None and revision.startswith(migrations.REVISION_PREFIX) else None
    return None


def _first(rows: Sequence[Row]) -> str | None:
    return str(rows[0][0]) if rows else None
