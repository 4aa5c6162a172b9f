"""Measures what the best sellers cost: reading them, and maintaining them while orders are placed.

Every turn starts its own server: an idle one beside it would refresh the view, too.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Final

import msgspec
from msgspec import Struct

from bench.contenders import contenders, servers, shops
from bench.contenders.comparisons import CROWD
from bench.contenders.contenders import Http
from bench.contenders.rounds import Comparison, Contender, alternate
from bench.contenders.top_shops import Place, check, wait_until_refreshed, wait_until_sent
from bench.loads.load import Load
from bench.reports.targets import Target

BEST: Final = "/products/top?limit=5&days=3"
READERS: Final = (8, 1)
MAINTAINED: Final = "with refreshes"
UNMAINTAINED: Final = "without"
LOADS: Final = {
    f"{shops.PRODUCTS_OF_CATALOGUE:,} products sell": "any_products.lua",
    f"{shops.PRODUCTS:,} products sell": "orders.lua",
}
_WARM_UP_S: Final = 2
_DIRECT_TIMEOUT_S: Final = 600
_COMPARISONS: Final = 3
"""Attempts to get equal answers: an order may leave the window between the two requests."""

Start = Callable[[str], list[str]]


class Extent(Struct, frozen=True):
    """What is measured, and for how long."""

    lines: tuple[int, ...]
    """Order lines of the shops that are read; the others are compared with the first."""
    rounds: int
    seconds: int
    upkeep_lines: int
    upkeep_rounds: int
    direct_times: int = 3


class Direct(Struct, frozen=True):
    """Answers counted from the orders, one request after the other."""

    lines: int
    times_ms: list[float]
    agrees: bool
    """Whether the view gives the same answer."""


@dataclass
class OneDatabase:
    """All measurements on one database."""

    kind: str
    reads: dict[int, list[Contender]] = field(default_factory=dict)
    """By the number of order lines, for each number of readers."""
    direct: list[Direct] = field(default_factory=list)
    upkeep: list[Comparison] = field(default_factory=list)
    beside_orders: Contender | None = None
    orders_beside_per_s: list[float] = field(default_factory=list)
    books: dict[str, shops.AuditResult] = field(default_factory=dict)

    def right(self) -> bool:
        """Whether every request succeeded, both methods agree, and the books are right."""
        all_reads = [*(each for those in self.reads.values() for each in those)]
        sellers = [each for comparison in self.upkeep for each in comparison.contenders]
        beside = [] if self.beside_orders is None else [self.beside_orders]
        failed = any(each.failed for each in (*all_reads, *sellers, *beside))
        books_right = all(books.passed for books in self.books.values())
        return not failed and books_right and all(each.agrees for each in self.direct)

    def targets(self) -> list[Target]:
        """The targets, with the measurement of the shop where it is worst."""
        (_, first), *others = self.reads.items()
        crowds = [(those[0], first[0]) for _, those in others]
        reached = []
        if crowds:
            name = f"{self.kind}: {READERS[0]} readers"
            slower = max(shop.p99_ratio_to(empty) for shop, empty in crowds)
            reached = [
                Target(f"{name}, p99 / that of a shop without orders", 1.5, slower, at_most=True),
                Target(f"{name}, p99 in ms", 5, max(shop.p99_ms for shop, _ in crowds), at_most=True),
                Target(f"{name}, requests/s", 2_000, min(shop.requests_per_s for shop, _ in crowds)),
            ]
        for comparison in self.upkeep:
            maintained, unmaintained = comparison.contenders
            what = f"{comparison.title}: orders {MAINTAINED} / {UNMAINTAINED}"
            reached.append(Target(what, 0.9, maintained.ratio_to(unmaintained)))
        return reached


def measure(place: Place, extent: Extent, folder: Path, tell: Callable[[str], None]) -> OneDatabase:
    """Measure everything on one database. `tell` is called with the progress."""
    measuring = _Measuring(place, extent, folder, tell)
    measuring.reads()
    measuring.upkeep()
    return measuring.measured


class _Turn:
    """Starts a server for each load; all serve the same shop."""

    def __init__(self, command: Sequence[str], url: str, load: Callable[[str, int], Load], *, refreshes: bool) -> None:
        self._command = command
        self._url = url
        self._load = load
        self._refreshes = refreshes

    def __call__(self, seconds: int) -> Load:
        """Run one load between two waits: for refreshes before it, for events to be sent after it."""
        with servers.serving(self._command) as server:
            if self._refreshes:
                wait_until_refreshed(self._url)
            self._load(server.address, _WARM_UP_S)
            load = self._load(server.address, seconds)
            wait_until_sent(self._url)
        return load


class _Measuring:
    def __init__(self, place: Place, extent: Extent, folder: Path, tell: Callable[[str], None]) -> None:
        self.measured = OneDatabase(place.kind)
        self._place = place
        self._extent = extent
        self._folder = folder
        self._tell = tell

    def reads(self) -> None:
        """Read from shops of all sizes, in turn."""
        kind, extent = self._place.kind, self._extent
        made = {lines: self._place.shop(lines) for lines in extent.lines}
        self.measured.reads = {
            lines: [self._reads(f"{lines:,} order lines", url, readers) for readers in READERS]
            for lines, url in made.items()
        }
        contending = [each for those in self.measured.reads.values() for each in those]
        title = f"{kind}, GET {BEST}"
        alternate(Comparison(title, contending), extent.rounds, extent.seconds, self._tell)
        for lines, url in made.items():
            self._tell(f"{kind}, {lines:,} order lines: direct query")
            with servers.serving(self._command(servers.shop, url)) as server:
                self.measured.direct.append(_direct(server.address, lines, extent.direct_times))
            self._tell(f"{kind}, {lines:,} order lines: auditing")
            self.measured.books[f"{kind}, {lines:,} order lines, the best sellers"] = check(url)

    def upkeep(self) -> None:
        """Place orders with and without refreshes, and read the best sellers while orders are placed."""
        place, kind, extent = self._place, self._place.kind, self._extent
        place.shop(extent.upkeep_lines)
        for script in LOADS.values():
            self._compare_orders(script)
        self._tell(f"{kind}: read while orders are placed")
        url = place.copy(extent.upkeep_lines, "read")
        turn = _Turn(self._command(servers.shop, url), url, self._read_beside_orders, refreshes=True)
        beside = Contender(f"{extent.upkeep_lines:,}, orders placed", READERS[0], turn, warms_up=False)
        alternate(Comparison(f"{kind}, while orders are placed", [beside]), extent.rounds, extent.seconds, self._tell)
        # Every second one is a warm-up.
        self.measured.orders_beside_per_s = self.measured.orders_beside_per_s[1::2]
        self.measured.beside_orders = beside
        self._audit("read while orders are placed", url)
        place.remove("read")

    def _compare_orders(self, script: str) -> None:
        place, extent = self._place, self._extent
        (load,) = (name for name, each in LOADS.items() if each == script)
        title = f"{place.kind}, {load}"
        self._tell(f"{title}: copying a shop")
        urls = {name: place.copy(extent.upkeep_lines, name) for name in ("maintained", "unmaintained")}

        def orders(address: str, seconds: int) -> Load:
            return Http(address, "/orders", script, CROWD)(seconds)

        def selling(name: str, url: str, start: Start, *, refreshes: bool) -> Contender:
            return Contender(
                name, CROWD, _Turn(self._command(start, url), url, orders, refreshes=refreshes), warms_up=False
            )

        comparison = Comparison(
            title,
            [
                selling(MAINTAINED, urls["maintained"], servers.shop, refreshes=True),
                selling(UNMAINTAINED, urls["unmaintained"], servers.uncounted_shop, refreshes=False),
            ],
        )
        self.measured.upkeep.append(alternate(comparison, extent.upkeep_rounds, extent.seconds, self._tell))
        self._audit(load, urls["maintained"])
        for name in urls:
            place.remove(name)

    def _reads(self, name: str, url: str, readers: int) -> Contender:
        def load(address: str, seconds: int) -> Load:
            return Http(address, BEST, None, readers)(seconds)

        return Contender(
            name, readers, _Turn(self._command(servers.shop, url), url, load, refreshes=True), warms_up=False
        )

    def _read_beside_orders(self, address: str, seconds: int) -> Load:
        orders = contenders.orders("", address, CROWD)
        with ThreadPoolExecutor(1) as pool:
            ordering = pool.submit(orders.run, seconds)
            load = Http(address, BEST, None, READERS[0])(seconds)
        self.measured.orders_beside_per_s.append(ordering.result().requests_per_s)
        return load

    def _command(self, start: Callable[..., list[str]], url: str) -> list[str]:
        file = self._folder / f"{url.rpartition('/')[2]}.events.jsonl"
        return start(url, "--platform", f"file:{file}")

    def _audit(self, load: str, url: str) -> None:
        self._tell(f"{self._place.kind}, {load}: auditing")
        self.measured.books[f"{self._place.kind}, {load}"] = shops.audit(url)


def _direct(address: str, lines: int, times: int) -> Direct:
    times_ms = []
    for _ in range(times):
        began = perf_counter()
        servers.fetch(f"{address}{BEST}&method=direct", _DIRECT_TIMEOUT_S)
        times_ms.append((perf_counter() - began) * 1_000)
    agrees = any(_standings(address, "summary") == _standings(address, "direct") for _ in range(_COMPARISONS))
    return Direct(lines, times_ms, agrees)


def _standings(address: str, method: str) -> list[Any]:
    best: list[Any] = msgspec.json.decode(servers.fetch(f"{address}{BEST}&method={method}", _DIRECT_TIMEOUT_S))
    return best


def median_ms(direct: Direct) -> float:
    """The median time of the direct queries."""
    return median(direct.times_ms)
