"""The lines that `jangteo serve` prints when it is open."""

from collections.abc import Iterator
from contextlib import closing
from typing import Final

from jangteo.app import platform_of, system_clock
from jangteo.core.entities import Product
from jangteo.settings import LOOPBACK, Settings
from jangteo.storage.errors import StorageError
from jangteo.storage.port import Snapshot, Storage
from jangteo.storage.products import read_product
from jangteo.storage.wallets import user_exists
from jangteo.url_secrets import shown_url

_USER: Final = 1
_PRODUCT: Final = 3
_JSON: Final = "-H 'content-type: application/json'"


def start_lines(settings: Settings, storage: Storage, port: int, *, filled: bool) -> Iterator[str]:
    """Yield where the shop is open, what it uses, and what to try. `filled`: the demo shop was added just now."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = f"http://{host}:{port}"
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
    if settings.host not in LOOPBACK:
        yield (
            f"  CAUTION: {settings.host} is not loopback. Anyone who can reach port {port} can charge balances,\n"
            "  change prices and cancel orders. Let only your own servers reach it."
        )
    yield "Try:"
    yield from _suggestions(address, can_order=_can_order(storage))
    yield "Ctrl-C stops it."


def _suggestions(address: str, *, can_order: bool) -> Iterator[str]:
    yield f"  curl {address}/products/top"
    if not can_order:
        yield f"  curl {address}/users {_JSON} -d '{{}}'"
        return
    yield f"  curl {address}/users/{_USER}/balance"
    yield f"  curl {address}/orders {_JSON} -H 'idempotency-key: first-order' \\"
    yield f"""    -d '{{"userId": {_USER}, "items": [{{"productId": {_PRODUCT}, "quantity": 1}}]}}'"""


def _can_order(storage: Storage) -> bool:
    """Whether the shop has the user and the product of the suggested order."""
    try:
        with closing(storage.connect()) as connection, connection.snapshot(system_clock()) as snapshot:
            return _has_example(snapshot)
    except StorageError:
        # The shop opens all the same.
        return False


def _has_example(snapshot: Snapshot) -> bool:
    return user_exists(snapshot, _USER) and isinstance(read_product(snapshot, _PRODUCT), Product)
