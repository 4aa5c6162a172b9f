"""The lines that `jangteo serve` prints when it is open."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Final

from jangteo.app import platform_of, system_clock
from jangteo.core.entities import Product
from jangteo.settings import LOOPBACK, Settings
from jangteo.storage.errors import StorageError
from jangteo.storage.keys import read_keys_version
from jangteo.storage.port import Snapshot, Storage
from jangteo.storage.products import read_product
from jangteo.storage.wallets import user_exists
from jangteo.url_secrets import shown_url

_USER: Final = 1
_PRODUCT: Final = 3
_PUBLIC_READS: Final = "; anyone may read products and campaigns"
_JSON: Final = "-H 'content-type: application/json'"


def start_lines(
    settings: Settings, storage: Storage, port: int, *, filled: bool, key: str | None = None
) -> Iterator[str]:
    """Yield where the shop is open, what it uses, and what to try.

    `filled`: the demo shop was added just now. `key`: an API key to try it with.
    """
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = f"{'http' if settings.tls_certificate is None else 'https'}://{host}:{port}"
    if settings.demo:
        yield (
            "The demo shop is ready: 20 users, 16 products, a campaign, three days of orders."
            if filled
            else "The database already holds a shop; --demo added nothing."
        )
    yield f"Jangteo is open at {address}"
    yield f"  documentation  {address}/schema"
    yield f"  database       {shown_url(settings.database)}"
    yield f"  events         {shown_url(platform_of(settings)) if settings.relay else 'sent by jangteo relay'}"
    yield from _access_lines(settings, storage, port, key)
    yield "Try:"
    yield from _suggestions(address, key, can_order=_finds(storage, _has_example))
    yield "Ctrl-C stops it."


def _access_lines(settings: Settings, storage: Storage, port: int, key: str | None) -> Iterator[str]:
    if settings.access == "keys":
        yield f"  access         API keys{_PUBLIC_READS if settings.public_reads else ''}"
        if key is not None:
            yield f"  demo key       {key} (all scopes, for one day)"
        elif not _finds(storage, _has_key):
            yield "  There is no API key yet. Make one:  jangteo keys create NAME --preset admin"
    elif settings.host not in LOOPBACK:
        yield (
            f"  CAUTION: {settings.host} is not loopback. Anyone who can reach port {port} can charge balances,\n"
            "  change prices and cancel orders. Let only your own servers reach it, or use --access keys."
        )


def _suggestions(address: str, key: str | None, *, can_order: bool) -> Iterator[str]:
    bearer = "" if key is None else f" -H 'authorization: Bearer {key}'"
    yield f"  curl {address}/products/top"
    if not can_order:
        yield f"  curl {address}/users{bearer} {_JSON} -d '{{}}'"
        return
    yield f"  curl {address}/users/{_USER}/balance{bearer}"
    yield f"  curl {address}/orders{bearer} {_JSON} -H 'idempotency-key: first-order' \\"
    yield f"""    -d '{{"userId": {_USER}, "items": [{{"productId": {_PRODUCT}, "quantity": 1}}]}}'"""


def _finds(storage: Storage, has: Callable[[Snapshot], bool]) -> bool:
    """Whether the shop has something; no, if it can't be read."""
    try:
        with closing(storage.connect()) as connection, connection.snapshot(system_clock()) as snapshot:
            return has(snapshot)
    except StorageError:
        # The shop opens all the same.
        return False


def _has_key(snapshot: Snapshot) -> bool:
    return read_keys_version(snapshot).keys > 0


def _has_example(snapshot: Snapshot) -> bool:
    """Whether the shop has the user and the product of the suggested order."""
    return user_exists(snapshot, _USER) and isinstance(read_product(snapshot, _PRODUCT), Product)
