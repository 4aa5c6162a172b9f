"""API keys in SQL."""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from jangteo.core.book import Book
from jangteo.core.entities import ApiKey
from jangteo.core.keys import KeyStanding, standing_of
from jangteo.storage import schema
from jangteo.storage.pagination import paginate
from jangteo.storage.port import GuardedChange, Insert, Page, Row, Session, Snapshot
from jangteo.storage.shared_reads import SharedRead, Steps
from jangteo.storage.timestamps import from_micros, from_micros_or_none, to_micros, to_micros_or_none

_NEW_KEYS = Insert(
    schema.api_keys,
    (
        "id",
        "name",
        "scopes",
        "digest",
        "created_at",
        "created_by",
        "ends_at",
        "revoked_at",
        "revoked_by",
        "last_used_at",
    ),
)
_KEYS = GuardedChange(
    schema.api_keys, ("revoked_at", "revoked_by", "last_used_at"), ("revoked_at", "revoked_by", "last_used_at")
)
_COLUMNS = "id, name, scopes, digest, created_at, created_by, ends_at, revoked_at, revoked_by, last_used_at"


class KeysVersion(NamedTuple):
    """Tells whether keys were created or revoked: each of the two numbers only grows."""

    keys: int
    revoked: int


def load(session: Session, key_ids: Collection[int]) -> Iterable[tuple[int, ApiKey]]:
    """Load and lock the keys that exist."""
    sql = f"SELECT {_COLUMNS} FROM api_keys WHERE id IN (:ids) ORDER BY id"
    return ((row[0], _key(row)) for row in session.lock(schema.api_keys, sql, key_ids))


def save(session: Session, book: Book) -> None:
    """Write new keys, which were revoked, and when they were last used."""
    added = book.keys.added()
    if added:
        session.insert(_NEW_KEYS, [_row(new) for new in added])
    replaced = book.keys.replaced()
    if replaced:
        session.change(_KEYS, [(*_state(after), after.key_id, *_state(before)) for before, after in replaced])


@SharedRead
def read_keys_version(snapshot: Snapshot) -> Steps[KeysVersion]:
    """Read the version of the keys."""
    rows = snapshot.send("SELECT COUNT(*), COUNT(revoked_at) FROM api_keys")
    yield
    return KeysVersion(*next(iter(rows)))


@SharedRead
def read_all_keys(snapshot: Snapshot) -> Steps[tuple[KeysVersion, Mapping[int, ApiKey]]]:
    """Read all keys, by id, with their version."""
    rows = snapshot.send(f"SELECT {_COLUMNS} FROM api_keys")
    yield
    keys = {row[0]: _key(row) for row in rows}
    return KeysVersion(len(keys), sum(key.revoked_at is not None for key in keys.values())), keys


@SharedRead
def read_keys(snapshot: Snapshot, limit: int, after: int | None) -> Steps[Page[KeyStanding]]:
    """Read a page of the keys, by id, starting after `after`."""
    rows = snapshot.send(
        f"SELECT {_COLUMNS} FROM api_keys WHERE id > :after ORDER BY id LIMIT :count", after=after or 0, count=limit + 1
    )
    yield
    return paginate(list(rows), limit, lambda row: standing_of(_key(row)))


def _row(key: ApiKey) -> Row:
    return (
        key.key_id,
        key.name,
        " ".join(key.scopes),
        key.digest,
        to_micros(key.created_at),
        key.created_by,
        to_micros_or_none(key.ends_at),
        *_state(key),
    )


def _state(key: ApiKey) -> Row:
    return to_micros_or_none(key.revoked_at), key.revoked_by, to_micros_or_none(key.last_used_at)


def _key(row: Row) -> ApiKey:
    key_id, name, scopes, digest, created_at, created_by, ends_at, revoked_at, revoked_by, last_used_at = row
    return ApiKey(
        key_id=key_id,
        name=name,
        scopes=tuple(scopes.split()),
        digest=digest,
        created_at=from_micros(created_at),
        created_by=created_by,
        ends_at=from_micros_or_none(ends_at),
        revoked_at=from_micros_or_none(revoked_at),
        revoked_by=revoked_by,
        last_used_at=from_micros_or_none(last_used_at),
    )
