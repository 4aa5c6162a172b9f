"""Keys as their holders have them: `jt_<id>_<secret>`. The shop keeps a digest of the secret only.

The secret is 256 random bits. Nobody can try them all, so a fast hash protects it as well as a slow one would, and a
request is not delayed.
"""

import re
import secrets
from hashlib import sha256
from typing import Final, NamedTuple

PREFIX: Final = "jt_"
_SECRET_BYTES: Final = 32
_KEY: Final = re.compile(rb"jt_(?P<id>[1-9][0-9]{0,15})_(?P<secret>[A-Za-z0-9_-]{43})")


class PresentedKey(NamedTuple):
    """A key as a request has it."""

    key_id: int
    digest: str


def new_secret() -> str:
    """Draw the secret of a new key."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def digest_of(secret: str) -> str:
    """Return the digest of a secret, in hexadecimal digits."""
    return sha256(secret.encode()).hexdigest()


def key_of(key_id: int, secret: str) -> str:
    """Return the key as its holder is shown it, once."""
    return f"{PREFIX}{key_id}_{secret}"


def parse_key(credential: bytes) -> PresentedKey | None:
    """Read a key; None if it can be none."""
    match = _KEY.fullmatch(credential)
    return None if match is None else PresentedKey(int(match["id"]), sha256(match["secret"]).hexdigest())
