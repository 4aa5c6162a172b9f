"""Runs all comparisons, each with its own shops, and audits these afterwards."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct

from bench import access, deliveries, stored
from bench.contenders import comparisons as compared
from bench.contenders import contenders, servers, shops
from bench.contenders.comparisons import CROWD, WORKERS, Extent
from bench.contenders.contenders import CpuTime
from bench.contenders.postgres import Postgres
from bench.contenders.rounds import Comparison, Contender, alternate
from bench.contenders.servers import Server
from bench.deliveries import Platform
from bench.loads import pgbench
from bench.peers import measuring as peers
from bench.peers.measuring import Peers

Serving = AbstractContextManager[Server]

_BULK_CLIENTS: Final = 16
"""With 100 orders each, they fill a sixth of the queue."""
_TAIL_ROUND_S: Final = 10
_SETTINGS: Final = (
    (),
    ("--writers", "2"),
    ("--batch-max", "64"),
    ("--batch-max", "1024"),
)


class Memory(Struct, frozen=True):
    """Resident memory of a shop's processes after the load, in MB."""

    shop: str
    empty_mb: float
    stored_mb: float


class Bench:
    """Measures everything, and collects the comparisons, memory figures and audit results."""

    def __init__(self, folder: Path, postgres: Postgres, extent: Extent, show_progress: Callable[[str], None]) -> None:
        self._folder = folder
        self._postgres = postgres
        self._extent = extent
        self._show_progress = show_progress
        self.comparisons: list[Comparison] = []
        self.memory: list[Memory] = []
        self.audits: dict[str, shops.AuditResult] = {}
        self.peers: Peers | None = None

    def run(self) -> None:
        """Run all comparisons. Raises CannotMeasure."""
        with servers.serving(servers.echo()) as echo:
            self._sqlite(echo)
            self._postgres_alone(echo)
            self._beside_pgbench(echo, compared.POSTGRES_UNIFORM, "orders", contenders.orders)
            self._beside_pgbench(echo, compared.POSTGRES_HOT, "one_product", contenders.one_product)
            self._postgres_claims(echo)
            self._balances(echo)
            self._in_bulk(echo)
            self._access()
            for kind in compared.KINDS:
                self._sizes(kind)
        self._reads()
        self.run_deliveries()
        if self._extent.settings:
            self._settings()
            self._settings_of_reads()
        if self._extent.stored_orders:
            self.run_stored()
        if self._extent.peers:
            self.run_peers()

    def run_stored(self) -> None:
        """Run only the comparisons with stored orders. Raises CannotMeasure."""
        self._with_stored("SQLite", self._in_sqlite("empty"), self._in_sqlite("stored"))
        self._with_stored("PostgreSQL", self._in_postgres("empty"), self._in_postgres("stored"))

    def run_tail(self) -> None:
        """Run only long loads, in rounds that show how the latencies change. Raises CannotMeasure."""
        for kind, create in (("SQLite", self._in_sqlite), ("PostgreSQL", self._in_postgres)):
            title = f"{kind}, {compared.TAIL}"
            with self._shop(title, create("tail")) as shop:
                comparison = Comparison(title, (contenders.orders(compared.ORDERS, shop.address, CROWD),))
                rounds = self._extent.tail_minutes * 60 // _TAIL_ROUND_S
                self.comparisons.append(alternate(comparison, rounds, _TAIL_ROUND_S, self._show_progress))

    def run_peers(self) -> None:
        """Run only the comparison with what one would pick instead. Raises CannotMeasure."""
        self.peers = peers.measure(self._folder, self._postgres, self._extent, self._show_progress)

    def run_deliveries(self) -> None:
        """Run only the comparisons of event delivery. Raises CannotMeasure."""
        with deliveries.platforms(self._folder) as platforms:
            for kind in self._extent.deliveries_on:
                create = self._in_sqlite if kind == "SQLite" else self._in_postgres
                self._waiting_events(kind, create, platforms)
                self._delays(f"{kind}, {compared.DELAYS}", create, "delays", platforms)
                self._dead_platform(kind, create, platforms)
                if kind == "PostgreSQL":
                    with self._postgres.with_standby():
                        self._delays(compared.STANDBY_DELAYS, create, "standby_delays", platforms)

    def passed(self) -> bool:
        """Whether every request succeeded and every audit passed."""
        failed = any(contender.failed for each in self.comparisons for contender in each.contenders)
        peers_passed = self.peers is None or self.peers.passed()
        return not failed and peers_passed and all(audit.passed for audit in self.audits.values())

    def _sqlite(self, echo: Server) -> None:
        with ExitStack() as stack:
            shop = stack.enter_context(self._shop("SQLite, orders", self._in_sqlite("orders")))
            rush = stack.enter_context(self._rush("SQLite, claims", self._in_sqlite("claims")))
            self._compare(
                compared.SQLITE_ALONE,
                contenders.orders(compared.ECHO, echo.address, 1),
                contenders.bare_commit_of_sqlite(compared.BARE, self._folder),
                contenders.orders(compared.ORDERS, shop.address, 1),
                contenders.one_product(compared.ONE_PRODUCT, shop.address, 1),
                contenders.claims(compared.CLAIMS, rush.address, 1),
            )
            # The single client above has claimed for at most a quarter of the users.
            unused = self._extent.claimants // 4
            self._compare(
                compared.SQLITE_CROWD,
                contenders.orders(compared.ECHO, echo.address, CROWD),
                contenders.orders(compared.ORDERS, shop.address, CROWD, cpu_s=shop.cpu_s),
                contenders.one_product(compared.ONE_PRODUCT, shop.address, CROWD, cpu_s=shop.cpu_s),
                contenders.claims(compared.CLAIMS, rush.address, CROWD, first_user=unused, cpu_s=rush.cpu_s),
                rounds=self._extent.goal_rounds,
            )

    def _postgres_alone(self, echo: Server) -> None:
        with self._shop(compared.POSTGRES_ALONE, self._in_postgres("alone")) as shop:
            pgbench.prepare(self._postgres, "alone")
            self._compare(
                compared.POSTGRES_ALONE,
                contenders.orders(compared.ECHO, echo.address, 1),
                contenders.by_pgbench(compared.BARE, self._postgres, "alone", "bare_commit", 1),
                contenders.orders(compared.ORDERS, shop.address, 1),
                contenders.one_product(compared.ONE_PRODUCT, shop.address, 1),
            )

    def _beside_pgbench(self, echo: Server, title: str, script: str, load: Callable[..., Contender]) -> None:
        reference = f"{script}_by_function"
        self._fill(self._in_postgres(reference))
        pgbench.prepare(self._postgres, reference)
        functions = [
            contenders.by_pgbench(compared.PGBENCH, self._postgres, reference, script, clients)
            for clients in (8, CROWD)
        ]
        with ExitStack() as stack:
            served = []
            for workers in WORKERS:
                serving = self._shop(title, self._in_postgres(f"{script}_{workers}"), workers)
                shop = stack.enter_context(serving)
                served.append(load(compared.by(workers), shop.address, CROWD, cpu_s=self._with_database(shop)))
            echoed = load(compared.ECHO, echo.address, CROWD)
            self._compare(title, echoed, *functions, *served, rounds=self._extent.goal_rounds)

    def _postgres_claims(self, echo: Server) -> None:
        title = compared.POSTGRES_CLAIMS
        with ExitStack() as stack:
            served = []
            for workers in WORKERS:
                serving = self._rush(title, self._in_postgres(f"claims_{workers}"), workers)
                shop = stack.enter_context(serving)
                served.append(
                    contenders.claims(compared.by(workers), shop.address, CROWD, cpu_s=self._with_database(shop))
                )
            echoed = contenders.orders(compared.ECHO, echo.address, CROWD)
            self._compare(title, echoed, *served, rounds=self._extent.goal_rounds)

    def _with_database(self, shop: Server) -> CpuTime:
        """The processor time of a shop's processes and of PostgreSQL's, which serve no other shop meanwhile."""
        return lambda: {**shop.cpu_s(), **self._postgres.cpu_s()}

    def _sizes(self, kind: str) -> None:
        """Have few and many clients order from one shop, then again with each of them counted."""
        create = self._in_sqlite if kind == "SQLite" else self._in_postgres
        with self._shop(f"{kind}, {compared.SIZES}", create("sizes")) as shop:
            for title, load in (
                (compared.SIZES, contenders.orders),
                (compared.FAIRNESS, contenders.counted_clients),
            ):
                sizes = (CROWD, compared.LARGE_CROWD)
                self._compare(f"{kind}, {title}", *(load(compared.ORDERS, shop.address, size) for size in sizes))

    def _balances(self, echo: Server) -> None:
        with ExitStack() as stack:
            served = []
            for kind, database in (
                ("SQLite", self._in_sqlite("balances")),
                ("PostgreSQL", self._in_postgres("balances")),
            ):
                shop = stack.enter_context(self._shop(f"{kind}, balances", database))
                served.append(contenders.balances(kind, shop.address, CROWD))
            self._compare(compared.BALANCES, contenders.balances(compared.ECHO, echo.address, CROWD), *served)

    def _in_bulk(self, echo: Server) -> None:
        with ExitStack() as stack:
            served = []
            for kind, database in (("SQLite", self._in_sqlite("bulk")), ("PostgreSQL", self._in_postgres("bulk"))):
                shop = stack.enter_context(self._shop(f"{kind}, {compared.BULK}", database))
                served.append(contenders.bulk(f"{kind}, {compared.BULK}", shop.address, _BULK_CLIENTS))
            self._compare(compared.IN_BULK, contenders.orders(compared.ECHO, echo.address, CROWD), *served)

    def _access(self) -> None:
        opened, guarded = (self._fill(self._in_sqlite(each)) for each in ("opened", "guarded"))
        with (
            self._serving(compared.ACCESS, opened) as open_shop,
            self._serving(compared.ACCESS, guarded, "--access", "keys") as guarded_shop,
        ):
            self._compare(compared.ACCESS, *access.contenders(self._folder, open_shop, guarded_shop, guarded))

    def _reads(self) -> None:
        database = shops.make(self._in_sqlite("list"), shops.for_list())
        with self._serving(compared.SQLITE_READS, database) as shop, ExitStack() as stack:
            size = len(servers.fetch(f"{shop.address}/products"))
            echo = stack.enter_context(servers.serving(servers.echo(size)))
            stack.enter_context(contenders.one_customer_ordering(shop.address))
            self._compare(
                compared.SQLITE_READS,
                contenders.reads(compared.ECHO_OF_SAME_BYTES, echo.address, CROWD),
                contenders.reads(compared.READS, shop.address, CROWD),
                rounds=self._extent.goal_rounds,
            )

    def _waiting_events(self, kind: str, create: Callable[[str], str], platforms: Sequence[Platform]) -> None:
        title = f"{kind}, {compared.WAITING}"
        waiting = self._fill(create("waiting"))
        stored.fill(waiting, self._extent.waiting_events, self._show_progress)
        self._settle(waiting)
        with self._shop(title, create("beside_waiting")) as shop:
            self._compare(
                title,
                contenders.orders(compared.ORDERS, shop.address, CROWD),
                *(deliveries.waiting_events(waiting, platform) for platform in platforms),
            )
        self.audits[f"{title}, relayed"] = shops.audit(waiting)

    def _delays(self, title: str, create: Callable[[str], str], name: str, platforms: Sequence[Platform]) -> None:
        with ExitStack() as stack:
            contending = []
            for number, platform in enumerate(platforms):
                database = self._fill(create(f"{name}_{number}"))
                serving = self._serving(title, database, *platform.options)
                contending.append(deliveries.delays(platform.name, database, stack.enter_context(serving).address))
            self._compare(title, *contending)

    def _dead_platform(self, kind: str, create: Callable[[str], str], platforms: Sequence[Platform]) -> None:
        title = f"{kind}, {compared.PLATFORM}"
        (live,) = (each for each in platforms if each.name.startswith("HTTP"))
        dead = Platform("dead", ("--platform", deliveries.DEAD))
        with ExitStack() as stack:
            contending = []
            for name, platform in ((compared.LIVE_PLATFORM, live), (compared.DEAD_PLATFORM, dead)):
                serving = self._serving(
                    title, self._fill(create(f"platform_{platform.name[:4].lower()}")), *platform.options
                )
                contending.append(contenders.orders(name, stack.enter_context(serving).address, CROWD))
            self._compare(title, *contending)

    def _with_stored(self, kind: str, empty: str, full: str) -> None:
        self._fill(empty)
        self._fill(full)
        orders = self._extent.stored_orders
        stored.fill(full, orders, self._show_progress)
        self._settle(full)
        title = f"{kind}, {orders:,} {compared.STORED}"
        with self._serving(f"{title}: empty", empty) as small, self._serving(title, full) as large:
            self._compare(
                title,
                contenders.orders("an empty shop", small.address, CROWD),
                contenders.orders(f"{orders:,} {compared.STORED}", large.address, CROWD),
            )
            self.memory.append(Memory(title, small.memory_mb(), large.memory_mb()))

    def _settings(self) -> None:
        database = self._fill(self._in_postgres("settings"))
        with ExitStack() as stack:
            addresses = {
                " ".join(options) or "the defaults": stack.enter_context(self._serving("Settings", database, *options))
                for options in _SETTINGS
            }
            for title, load, clients in (
                (compared.SETTINGS_ORDERS, contenders.orders, CROWD),
                (compared.SETTINGS_HOT, contenders.one_product, CROWD),
            ):
                self._compare(title, *(load(name, shop.address, clients) for name, shop in addresses.items()))

    def _settings_of_reads(self) -> None:
        with ExitStack() as stack:
            served = []
            for kind, create in (("SQLite", self._in_sqlite), ("PostgreSQL", self._in_postgres)):
                for readers in ("1", "2"):
                    database = self._fill(create(f"readers_{readers}"))
                    serving = self._serving(f"{kind}, balances", database, "--readers", readers)
                    name = f"{kind}, --readers {readers}"
                    served.append(contenders.balances(name, stack.enter_context(serving).address, CROWD))
            self._compare(compared.SETTINGS_READS, *served)

    def _compare(self, title: str, *contending: Contender, rounds: int | None = None) -> None:
        extent = self._extent
        comparison = Comparison(title, contending)
        self.comparisons.append(alternate(comparison, rounds or extent.rounds, extent.seconds, self._show_progress))

    def _shop(self, title: str, url: str, workers: int = 1) -> Serving:
        """Serve a new shop for orders."""
        return self._serving(title, self._fill(url), *servers.of_workers(workers))

    def _rush(self, title: str, url: str, workers: int = 1) -> Serving:
        """Serve a new shop with a campaign and its claimants."""
        self._show_progress(f"{title}: making a shop")
        made = shops.make(url, shops.for_claims(self._extent.claimants))
        self._settle(made)
        return self._serving(title, made, *servers.of_workers(workers))

    def _fill(self, url: str) -> str:
        self._show_progress("making a shop")
        made = shops.make(url, shops.for_orders())
        self._settle(made)
        return made

    @contextmanager
    def _serving(self, title: str, database: str, *options: str) -> Iterator[Server]:
        """Serve a shop, and audit it when the block ends."""
        if "--platform" not in options:
            file = self._folder / f"{database.rpartition('/')[2]}.events.jsonl"
            options = (*options, "--platform", f"file:{file}")
        with servers.serving(servers.shop(database, *options)) as server:
            yield server
        self._show_progress(f"{title}: auditing")
        self.audits[f"{title}, {database.rpartition('/')[2]}"] = shops.audit(database)

    def _in_sqlite(self, name: str) -> str:
        return f"sqlite:///{self._folder / name}.db"

    def _in_postgres(self, name: str) -> str:
        return self._postgres.create(name)

    def _settle(self, url: str) -> None:
        if url.startswith("postgresql:"):
            self._postgres.sync(url.rpartition("/")[2])
