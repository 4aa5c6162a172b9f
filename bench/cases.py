"""What is asked of which shop."""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from bench import shops
from jangteo.core.book import Command

CONNECTIONS: Final = (1, 64)


class Request(NamedTuple):
    """What is sent: a path, and the wrk script that makes the requests; without one it is a plain GET."""

    path: str
    script: str | None = None


class Case(NamedTuple):
    """One row of the table at each number of connections, measured on a shop of its own."""

    name: str
    request: Request
    commands: Callable[[], Iterator[Command]]
    """What the shop is made by."""


ECHO: Final = "echo"
ECHO_OF_SAME_BYTES: Final = "echo of the same bytes"
ORDER: Final = Request("/orders", "orders.lua")

WRITING: Final = (
    Case("orders", ORDER, shops.for_orders),
    Case("orders, one product", Request("/orders", "one_product.lua"), shops.for_orders),
    Case("coupon claims", Request("/coupons", "claims.lua"), shops.for_claims),
)
READING: Final = Case("GET /products", Request("/products"), shops.for_list)
