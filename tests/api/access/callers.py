"""Callers for the tests of the door: keys of every kind, and customers."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from jangteo.core.keys import CreateKey, KeyStanding, RevokeKey
from jangteo.engine.batch import Submission, commit
from jangteo.engine.caller import CLI
from jangteo.engine.key_secrets import digest_of, key_of, new_secret
from jangteo.engine.outcomes import SerializedOutcome
from jangteo.storage.urls import open_storage
from tests.api.access.provider import ALL_KEYS, AUDIENCE, ISSUER, token

LONG_AGO = timedelta(days=2)


def do(database: str, command: Any, ago: timedelta = timedelta()) -> Any:
    """Commits a command beside the server, as the command line does."""
    with closing(open_storage(database)) as storage, closing(storage.connect()) as connection:
        (outcome,) = commit(
            connection, [Submission(command, actor=CLI.actor)], lambda: datetime.now(UTC) - ago
        ).outcomes
    assert isinstance(outcome, SerializedOutcome)
    return outcome.value()


def key(database: str, *scopes: str, ended: bool = False, revoked: bool = False) -> str:
    secret = new_secret()
    ends_at = datetime.now(UTC) - LONG_AGO / 2 if ended else None
    created = do(database, CreateKey("of a test", scopes, ends_at, digest_of(secret)), LONG_AGO)
    assert isinstance(created, KeyStanding)
    if revoked:
        do(database, RevokeKey(created.key_id))
    return key_of(created.key_id, secret)


def bearer(credential: str) -> dict[str, str]:
    return {"authorization": f"Bearer {credential}"}


def settings_for_customers(folder: Path) -> dict[str, str]:
    """The settings of a shop whose customers have tokens of the provider of the tests."""
    jwks = folder / "jwks.json"
    jwks.write_bytes(ALL_KEYS)
    return {"customers_jwks": str(jwks), "customers_issuer": ISSUER, "customers_audience": AUDIENCE}


def customer(user_id: int) -> dict[str, str]:
    return bearer(token(sub=str(user_id)).decode())
