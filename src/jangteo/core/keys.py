"""API keys: what they may do (scopes), making and revoking them, and when they were last used.

A key's secret is drawn and shown by whoever makes it; only its digest comes here.
"""

from datetime import datetime
from typing import Annotated, Final, Literal, get_args

from msgspec import Meta, Struct
from msgspec.structs import replace

from jangteo.core.actors import Actor
from jangteo.core.book import Book, Command, Needs
from jangteo.core.entities import ApiKey
from jangteo.core.limits import Id, Timestamp
from jangteo.core.refusals import KeyNotFound, NeverValid

Scope = Literal[
    "users",
    "wallets:charge",
    "wallets:adjust",
    "orders:place",
    "orders:cancel",
    "coupons:claim",
    "catalog",
    "campaigns",
    "events",
    "keys",
    "read",
]
Preset = Literal["storefront", "operator", "analyst", "admin"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
PRESETS: Final[dict[Preset, tuple[Scope, ...]]] = {
    "storefront": ("users", "wallets:charge", "orders:place", "orders:cancel", "coupons:claim", "read"),
    "operator": tuple(scope for scope in SCOPES if scope != "keys"),
    "analyst": ("read",),
    "admin": SCOPES,
}
"""Scopes that go together, by the name of who has them."""


class KeyStanding(Struct, frozen=True, rename="camel"):
    """An API key as it is listed, without its secret."""

    key_id: Id
    name: str
    scopes: tuple[Scope, ...]
    created_at: Timestamp
    created_by: Actor
    ends_at: Timestamp | None
    revoked_at: Timestamp | None
    revoked_by: Actor | None
    last_used_at: Annotated[Timestamp | None, Meta(description="To the minute; null before its first use.")]


def standing_of(key: ApiKey) -> KeyStanding:
    """Return what operators see of a key."""
    return KeyStanding(
        key_id=key.key_id,
        name=key.name,
        scopes=tuple(scope for scope in SCOPES if scope in key.scopes),
        created_at=key.created_at,
        created_by=key.created_by,
        ends_at=key.ends_at,
        revoked_at=key.revoked_at,
        revoked_by=key.revoked_by,
        last_used_at=key.last_used_at,
    )


class CreateKey(Command, frozen=True):
    """Create an API key. It is refused from `ends_at` on; None: it doesn't end."""

    name: str
    scopes: tuple[str, ...]
    ends_at: datetime | None
    digest: str
    """The SHA-256 of the secret, in hexadecimal digits."""

    def requested(self) -> Command:
        """Leave out the digest: a repeated request has another secret, and gets the first key again."""
        return replace(self, digest="")

    def name_needs(self, needs: Needs) -> None:
        """Need one new key id."""
        needs.new_keys += 1

    def decide(self, book: Book) -> KeyStanding | NeverValid:
        """Create the key. Refused with NeverValid if it would have ended already."""
        if self.ends_at is not None and self.ends_at <= book.now:
            return NeverValid("endsAt", self.ends_at)
        key = ApiKey(
            key_id=next(book.keys.new_ids),
            name=self.name,
            scopes=self.scopes,
            digest=self.digest,
            created_at=book.now,
            created_by=book.actor,
            ends_at=self.ends_at,
        )
        book.keys.put(key.key_id, key)
        return standing_of(key)


class RevokeKey(Command, frozen=True):
    """Revoke an API key for good."""

    key_id: Id

    def name_needs(self, needs: Needs) -> None:
        """Need the key."""
        needs.keys.add(self.key_id)

    def decide(self, book: Book) -> KeyStanding | KeyNotFound:
        """Revoke the key; one that is revoked stays as it is. Refused with KeyNotFound."""
        key = book.keys.get(self.key_id)
        if key is None:
            return KeyNotFound(self.key_id)
        if key.revoked_at is None:
            key = replace(key, revoked_at=book.now, revoked_by=book.actor)
            book.keys.put(key.key_id, key)
        return standing_of(key)


class RecordKeyUse(Command, frozen=True):
    """Record that API keys were used within this minute. A server sends it at most once a minute for each key."""

    key_ids: tuple[int, ...]

    def name_needs(self, needs: Needs) -> None:
        """Need the keys."""
        needs.keys.update(self.key_ids)

    def decide(self, book: Book) -> None:
        """Never refused; a key that has this minute stays as it is."""
        minute = book.now.replace(second=0, microsecond=0)
        for key_id in self.key_ids:
            key = book.keys.get(key_id)
            if key is not None and (key.last_used_at is None or key.last_used_at < minute):
                book.keys.put(key_id, replace(key, last_used_at=minute))
