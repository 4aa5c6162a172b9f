"""Standard Webhooks signatures: a receiver can verify that a body is ours and recent."""

import base64
import hmac
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Final

from jangteo.delivery.sinks.base import InvalidPlatform

PREFIX: Final = "whsec_"
_URL_SAFE: Final = str.maketrans("+/", "-_")


def read_secret(text: str) -> bytes:
    """Return the key in `whsec_<base64>`; its padding is optional. Raises InvalidPlatform, which doesn't quote it."""
    try:
        encoded = text.removeprefix(PREFIX).rstrip("=")
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        key = b""
    if not key or not text.startswith(PREFIX):
        raise InvalidPlatform(
            f"the secret must be {PREFIX} and the base64 of some random bytes; make one: "
            f'echo "{PREFIX}$(openssl rand -base64 32)"'
        )
    return key


def forms_of(secret: str) -> Iterator[str]:
    """Yield the forms in which a secret may appear, whether or not it is well-formed."""
    encoded = secret.removeprefix(PREFIX)
    yield from (encoded, encoded.rstrip("="), encoded.translate(_URL_SAFE))


def signature_headers(keys: Iterable[bytes], body: bytes, now: int) -> Mapping[str, str]:
    """Return the headers that sign a body with each key; `now` is in whole seconds. The same body has the same id.

    A receiver accepts one valid signature of several, so that it can change to another key at a time of its own.
    """
    message_id = f"msg_{sha256(body).hexdigest()[:32]}"
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(now),
        "webhook-signature": " ".join(_signature(key, f"{message_id}.{now}.".encode(), body) for key in keys),
    }


def _signature(key: bytes, prefix: bytes, body: bytes) -> str:
    signed = hmac.new(key, prefix, sha256)
    signed.update(body)
    return f"v1,{base64.b64encode(signed.digest()).decode()}"
