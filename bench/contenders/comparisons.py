"""The titles of the comparisons, the names of their contenders, and the extent of a run."""

from typing import Final

from msgspec import Struct

CROWD: Final = 64
"""Concurrent clients of a rush."""
LARGE_CROWD: Final = 512
"""As many as make a server that isn't fair, or holds too much, slower."""
WORKERS: Final = (1, 4)
"""Numbers of processes that serve one shop on PostgreSQL."""

KINDS: Final = ("SQLite", "PostgreSQL")
SQLITE_ALONE: Final = "SQLite, one client"
SQLITE_CROWD: Final = f"SQLite, {CROWD} clients"
SQLITE_READS: Final = f"SQLite, {CROWD} readers while a customer orders"
POSTGRES_ALONE: Final = "PostgreSQL, one client"
POSTGRES_UNIFORM: Final = "PostgreSQL, orders of any products"
POSTGRES_HOT: Final = "PostgreSQL, everyone buys one product"
POSTGRES_CLAIMS: Final = "PostgreSQL, coupon claims"
BALANCES: Final = "Balances of any users, beside the echo"
IN_BULK: Final = "Orders a second by bulk requests, beside the echo's requests"
ACCESS: Final = f"SQLite, {CROWD} clients and who they are"
SIZES: Final = f"orders by {CROWD} and {LARGE_CROWD} clients"
FAIRNESS: Final = f"{CROWD} and {LARGE_CROWD} clients, counted one by one"
TAIL: Final = "orders for minutes on end"
STORED: Final = "orders stored"
SETTINGS_ORDERS: Final = "Settings on PostgreSQL, orders of any products"
SETTINGS_HOT: Final = "Settings on PostgreSQL, everyone buys one product"
SETTINGS_READS: Final = "Settings, balances"
WAITING: Final = "events that have waited"
DELAYS: Final = "from the commit until sent, at 1,000 orders a second"
STANDBY_DELAYS: Final = f"PostgreSQL with a synchronous standby, {DELAYS}"
PLATFORM: Final = "orders while the platform"

ECHO: Final = "echo"
BARE: Final = "a bare commit"
ORDERS: Final = "orders"
ONE_PRODUCT: Final = "orders, one product"
CLAIMS: Final = "coupon claims"
ORDERS_A_REQUEST: Final = 100
BULK: Final = f"orders, {ORDERS_A_REQUEST} in each POST /bulk"
OPEN: Final = "open to all"
WITH_KEYS: Final = "with an API key"
WITH_TOKENS: Final = "with customers' tokens"
FLOODED: Final = f"with customers' tokens, {CROWD} more forge them"
ECHO_OF_SAME_BYTES: Final = "echo of the same bytes"
READS: Final = "GET /products"
PGBENCH: Final = "pgbench, a stored function"
LIVE_PLATFORM: Final = "takes events"
DEAD_PLATFORM: Final = "is dead"


def by(workers: int) -> str:
    """Name the contender that is served by so many processes."""
    return f"{workers} process" if workers == 1 else f"{workers} processes"


class Extent(Struct, frozen=True):
    """How much is measured, and for how long."""

    seconds: int
    """The length of each round."""
    rounds: int
    goal_rounds: int
    """Of the comparisons that the goals beside the echo rest on."""
    claimants: int
    """Enough users for all claims of that time, since a user may claim once only."""
    stored_orders: int
    """Orders in the shops that are measured with old orders; 0 leaves these comparisons out."""
    waiting_events: int
    """The backlog of events; a multiple of `shops.BUYERS`."""
    deliveries_on: tuple[str, ...]
    """The databases on which event delivery is measured."""
    settings: bool
    """Whether settings other than the defaults are measured too."""
    tail_minutes: int
    """How long `--tail` loads each database."""
    peers: bool
    """Whether what one would pick instead is measured too."""


THOROUGH: Final = Extent(
    seconds=3,
    rounds=3,
    goal_rounds=5,
    claimants=700_000,
    stored_orders=2_000_000,
    waiting_events=100_000,
    deliveries_on=KINDS,
    settings=True,
    tail_minutes=10,
    peers=True,
)
QUICK: Final = Extent(
    seconds=1,
    rounds=1,
    goal_rounds=1,
    claimants=100_000,
    stored_orders=0,
    waiting_events=50_000,
    deliveries_on=KINDS[:1],
    settings=False,
    tail_minutes=1,
    peers=False,
)
