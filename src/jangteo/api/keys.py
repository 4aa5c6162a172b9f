"""API keys over HTTP."""

from datetime import UTC
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from jangteo.api.bodies import Body, NoBody
from jangteo.core.keys import CreateKey, KeyStanding, RevokeKey, Scope
from jangteo.core.limits import Name, Timestamp
from jangteo.engine.key_secrets import digest_of, key_of, new_secret
from jangteo.engine.outcomes import SerializedOutcome
from jangteo.redaction import redaction
from jangteo.storage import keys
from jangteo.storage.port import Page, Query


class NewKey(Body):
    """A new API key: what it is for, what it may do, and until when."""

    name: Name
    scopes: Annotated[tuple[Scope, ...], Meta(min_length=1)]
    ends_at: Timestamp | None = None

    def __post_init__(self) -> None:
        """Bring the end to UTC. Raises ValueError with a text that begins with the wrong field."""
        try:
            self.ends_at = None if self.ends_at is None else self.ends_at.astimezone(UTC)
        except OverflowError:
            raise ValueError("`endsAt` is out of range") from None


class CreatedKey(KeyStanding, frozen=True, rename="camel"):
    """A new API key with its secret."""

    key: Annotated[
        str | UnsetType,
        Meta(description="The key itself. It is shown once: a replayed answer leaves it out, and nobody can find it."),
    ] = UNSET


class NewKeyRequest(Struct, frozen=True):
    """A key to be created. Its secret stays in this process; the shop gets a digest."""

    command: CreateKey
    secret: str

    def complete(self, outcome: SerializedOutcome) -> SerializedOutcome:
        """Add the key to the outcome of its creation. A replayed outcome is of an earlier key, with another secret."""
        if outcome.replayed or outcome.refusal() is not None:
            return outcome
        standing = msgspec.json.decode(outcome.body)
        body = msgspec.json.encode({**standing, "key": key_of(standing["keyId"], self.secret)})
        return outcome._replace(body=body)


def create_key(body: NewKey) -> NewKeyRequest:
    """Create an API key. The answer has its secret, which is not shown again."""
    secret = new_secret()
    redaction.hide([secret])
    scopes = tuple(dict.fromkeys(body.scopes))
    return NewKeyRequest(CreateKey(body.name, scopes, body.ends_at, digest_of(secret)), secret)


def revoke_key(key_id: int, _: NoBody) -> RevokeKey:
    """Revoke an API key: within a second every server refuses it. To do so twice changes nothing more."""
    return RevokeKey(key_id)


def list_keys(limit: int, after: int | None) -> Query[Page[KeyStanding]]:
    """List the API keys in order of their ids, without their secrets."""
    return Query(keys.read_keys, (limit, after), cost="page")
