"""The targets of the figures, and whether they are met."""

import math
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Final

from msgspec import Struct

from bench.contenders import comparisons as compared
from bench.contenders import processes
from bench.contenders.rounds import Comparison, Contender

_CROWDS: Final = (compared.SQLITE_CROWD, compared.POSTGRES_HOT, compared.POSTGRES_UNIFORM)
_REFERENCES: Final = (compared.ECHO, compared.ECHO_OF_SAME_BYTES, compared.PGBENCH)


class Target(Struct, frozen=True):
    """A figure that should be at least, or at most, `wanted`."""

    what: str
    wanted: float
    measured: float
    at_most: bool = False

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        return self.measured <= self.wanted if self.at_most else self.measured >= self.wanted


def targets(measured: Sequence[Comparison]) -> list[Target]:
    """All targets, with what was measured for them."""
    return [
        *_beside_the_echo(measured),
        *_in_bulk(measured),
        *_access(measured),
        *_beside_pgbench(measured),
        *_latencies(measured),
        *_writer_times(measured),
        *_sizes(measured),
        *partial_targets(measured),
    ]


def _beside_the_echo(measured: Sequence[Comparison]) -> Iterator[Target]:
    crowd, reads = _titled(measured, compared.SQLITE_CROWD), _titled(measured, compared.SQLITE_READS)
    echo = crowd.contender(compared.ECHO)
    yield Target("SQLite: orders / echo", 0.50, crowd.contender(compared.ORDERS).ratio_to(echo))
    yield Target("SQLite: coupon claims / echo", 0.70, crowd.contender(compared.CLAIMS).ratio_to(echo))
    yield Target(
        "SQLite: GET /products while orders run / echo of the same bytes",
        0.8,
        reads.contender(compared.READS).ratio_to(reads.contender(compared.ECHO_OF_SAME_BYTES)),
    )
    for title, what, wanted in (
        (compared.POSTGRES_UNIFORM, "orders", 0.36),
        (compared.POSTGRES_HOT, "everyone buys one product", 0.40),
        (compared.POSTGRES_CLAIMS, "coupon claims", 0.60),
    ):
        comparison = _titled(measured, title)
        best = _best(_shops(comparison))
        yield Target(f"PostgreSQL: {what} / echo", wanted, best.ratio_to(comparison.contender(compared.ECHO)))
    balances = _titled(measured, compared.BALANCES)
    yield Target(
        "PostgreSQL: balances / echo",
        0.73,
        balances.contender(compared.KINDS[1]).ratio_to(balances.contender(compared.ECHO)),
    )
    one, many = _shops(_titled(measured, compared.POSTGRES_HOT))
    yield Target(f"PostgreSQL: everyone buys one product, {many.name} / {one.name}", 1.0, many.ratio_to(one))


def _in_bulk(measured: Sequence[Comparison]) -> Iterator[Target]:
    echo, *served = _titled(measured, compared.IN_BULK).contenders
    for shop, wanted in zip(served, (1.0, 0.7), strict=True):
        yield Target(f"{shop.name} / echo", wanted, shop.ratio_to(echo))


def _access(measured: Sequence[Comparison]) -> Iterator[Target]:
    reference, *guarded = _titled(measured, compared.ACCESS).contenders
    for shop, wanted in zip(guarded[:2], (0.97, 0.92), strict=True):
        yield Target(f"{compared.ACCESS}: {shop.name} / {reference.name}", wanted, shop.ratio_to(reference))
    calm, flooded = guarded[1:]
    yield Target(f"{compared.ACCESS}: {flooded.name} / {calm.name}", 0.8, flooded.ratio_to(calm))


def _beside_pgbench(measured: Sequence[Comparison]) -> Iterator[Target]:
    hot, uniform = _titled(measured, compared.POSTGRES_HOT), _titled(measured, compared.POSTGRES_UNIFORM)
    function = next(each for each in _functions(hot) if each.connections == compared.CROWD)
    yield Target(
        f"PostgreSQL: everyone buys one product / pgbench's function at {compared.CROWD} clients",
        3.0,
        _best(_shops(hot)).ratio_to(function),
    )
    yield Target(
        "PostgreSQL: orders / pgbench's best", 0.6, _best(_shops(uniform)).ratio_to(_best(_functions(uniform)))
    )


def _latencies(measured: Sequence[Comparison]) -> Iterator[Target]:
    for title, wanted in ((compared.SQLITE_ALONE, 2.0), (compared.POSTGRES_ALONE, 2.5)):
        alone = _titled(measured, title)
        rounds = zip(
            alone.contender(compared.ORDERS).rounds,
            alone.contender(compared.ECHO).rounds,
            alone.contender(compared.BARE).rounds,
            strict=True,
        )
        times = median(order.p50_ms / (echo.p50_ms + bare.p50_ms) for order, echo, bare in rounds)
        yield Target(f"{title}: an order's p50 / (echo's p50 + a bare commit's p50)", wanted, times, at_most=True)
    for title in (*_CROWDS, compared.POSTGRES_CLAIMS, compared.SQLITE_READS):
        for shop in _shops(_titled(measured, title)):
            yield Target(f"{title}, {shop.name}: p99 / p50", 3.0, shop.p99_to_p50(), at_most=True)


def _writer_times(measured: Sequence[Comparison]) -> Iterator[Target]:
    sqlite = _titled(measured, compared.SQLITE_CROWD).contender(compared.ORDERS)
    for kind, shop, wanted in (
        ("SQLite", sqlite, 28),
        ("PostgreSQL", _shops(_titled(measured, compared.POSTGRES_UNIFORM))[0], 30),
    ):
        what = f"{kind}, {shop.connections} clients: the writer's processor time of an order, µs"
        yield Target(what, wanted, shop.cpu_us.get(processes.WRITER, math.nan), at_most=True)


def _sizes(measured: Sequence[Comparison]) -> Iterator[Target]:
    for kind in compared.KINDS:
        few, many = _titled(measured, f"{kind}, {compared.SIZES}").contenders
        yield Target(f"{kind}: orders by {many.connections} clients / by {few.connections}", 1.0, many.ratio_to(few))
        for crowd in _titled(measured, f"{kind}, {compared.FAIRNESS}").contenders:
            what = f"{kind}, {crowd.connections} clients: fairness (Jain's index of their answers)"
            yield Target(what, 0.95, crowd.fairness)


def partial_targets(measured: Sequence[Comparison]) -> Iterator[Target]:
    """The targets of event delivery, of stored orders and of long loads, as far as they were measured."""
    yield from _tails(measured)
    yield from _deliveries(measured)
    yield from _with_stored(measured)


def _deliveries(measured: Sequence[Comparison]) -> Iterator[Target]:
    for kind in compared.KINDS:
        if not any(each.title == f"{kind}, {compared.WAITING}" for each in measured):
            continue
        orders, *platforms = _titled(measured, f"{kind}, {compared.WAITING}").contenders
        for platform in platforms:
            yield Target(f"{kind}: {platform.name} / orders", 1.0, platform.ratio_to(orders))
        for platform in _titled(measured, f"{kind}, {compared.DELAYS}").contenders:
            yield Target(f"{kind}, {compared.DELAYS}: {platform.name}, p99 in ms", 50, platform.p99_ms, at_most=True)
        live, dead = _titled(measured, f"{kind}, {compared.PLATFORM}").contenders
        yield Target(f"{kind}: orders with a dead platform / with a live one", 0.95, dead.ratio_to(live))


def _tails(measured: Sequence[Comparison]) -> Iterator[Target]:
    for comparison in measured:
        if comparison.title.endswith(compared.TAIL):
            (orders,) = comparison.contenders
            last = orders.rounds[-max(len(orders.rounds) // 5, 1) :]
            ratios = median(load.p99_ms / load.p50_ms for load in last)
            yield Target(f"{comparison.title}, in the last fifth: p99 / p50", 3.0, ratios, at_most=True)


def _with_stored(measured: Sequence[Comparison]) -> Iterator[Target]:
    for comparison in measured:
        if comparison.title.endswith(compared.STORED):
            empty, full = comparison.contenders
            yield Target(f"{comparison.title} / {empty.name}", 0.95, full.ratio_to(empty))


def _titled(measured: Sequence[Comparison], title: str) -> Comparison:
    return next(each for each in measured if each.title == title)


def _shops(comparison: Comparison) -> list[Contender]:
    return [each for each in comparison.contenders if each.name not in _REFERENCES]


def _functions(comparison: Comparison) -> list[Contender]:
    return [each for each in comparison.contenders if each.name == compared.PGBENCH]


def _best(contenders: Sequence[Contender]) -> Contender:
    return max(contenders, key=lambda each: each.requests_per_s)
