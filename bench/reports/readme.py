"""The README's figures, which stand between markers: each run writes those that it has measured."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.contenders import comparisons as compared
from bench.contenders.rounds import Comparison, Contender
from bench.reports.markers import between
from bench.reports.report import rows

_HEADINGS: Final = ("requests a second, 64 clients", "SQLite", "PostgreSQL", "pgbench, the function")


def write(document: Path, comparisons: Sequence[Comparison]) -> None:
    """Write the figures of a whole run into the document."""
    document.write_text(between(document.read_text(), "figures", figures(comparisons)))


def figures(comparisons: Sequence[Comparison]) -> list[str]:
    """The table of speeds, and the latencies below it."""
    found = {each.title: each for each in comparisons}
    crowd = found[compared.SQLITE_CROWD]
    uniform, hot, claims = (
        found[title] for title in (compared.POSTGRES_UNIFORM, compared.POSTGRES_HOT, compared.POSTGRES_CLAIMS)
    )
    cells = (
        ("orders of any products", _speed(crowd.contender(compared.ORDERS)), _best(uniform), _function(uniform)),
        ("everyone buys one product", _speed(crowd.contender(compared.ONE_PRODUCT)), _best(hot), _function(hot)),
        ("coupon claims", _speed(crowd.contender(compared.CLAIMS)), _best(claims), ""),
        ("a bare echo", _speed(crowd.contender(compared.ECHO)), "", ""),
    )
    on_sqlite = found[compared.SQLITE_ALONE].contender(compared.ORDERS)
    on_postgres = found[compared.POSTGRES_ALONE].contender(compared.ORDERS)
    many, served = crowd.contender(compared.ORDERS), _shops(uniform)[0]
    alone = f"A lone order takes {on_sqlite.p50_ms:.2f} ms on SQLite and {on_postgres.p50_ms:.2f} ms on PostgreSQL;"
    median = f"with {compared.CROWD} clients the median is {many.p50_ms:.1f} and {served.p50_ms:.1f} ms,"
    return [*rows(_HEADINGS, cells), "", alone, median, f"the p99 {many.p99_ms:.1f} and {served.p99_ms:.1f} ms."]


def _shops(comparison: Comparison) -> list[Contender]:
    return [each for each in comparison.contenders if each.name not in (compared.ECHO, compared.PGBENCH)]


def _speed(contender: Contender) -> str:
    return f"{contender.requests_per_s:,.0f}"


def _best(comparison: Comparison) -> str:
    return _speed(max(_shops(comparison), key=lambda each: each.requests_per_s))


def _function(comparison: Comparison) -> str:
    best = max(
        (each for each in comparison.contenders if each.name == compared.PGBENCH), key=lambda each: each.requests_per_s
    )
    return f"{_speed(best)} with {best.connections} clients"
