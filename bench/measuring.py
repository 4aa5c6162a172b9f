"""One run of all cases: each server started, warmed up, loaded and closed, one after the other."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec import Struct

from bench import cases, servers, shops, wrk
from bench.cases import CONNECTIONS, Case, Request

WARM_UP_S: Final = 1
Speeds = dict[int, float]
"""Requests per second, by the number of connections."""


class Row(Struct, frozen=True):
    """One line of the table. `failed` counts the warm-up's failures too."""

    case: str
    connections: int
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    echo_ratio: float | None
    failed: int


class Measuring:
    """Measures everything; `rows` and `books` grow meanwhile."""

    def __init__(self, folder: Path, seconds: int, tell: Callable[[str], None]) -> None:
        self._folder = folder
        self._seconds = seconds
        self._tell = tell
        self.rows: list[Row] = []
        self.books: dict[str, shops.Books] = {}

    def run(self) -> None:
        """All cases, in the order of the table."""
        with servers.serving(servers.echo()) as address:
            echo = self._measure(cases.ECHO, cases.ORDER, address)
        for case in cases.WRITING:
            self._measure_writing(case, echo)
        self._measure_reading(cases.READING)

    def right(self) -> bool:
        """Whether every request was answered with 2xx, and all books are right."""
        return not any(row.failed for row in self.rows) and all(books.right for books in self.books.values())

    def _measure_writing(self, case: Case, echo: Speeds) -> None:
        database = self._make(case)
        with servers.serving(servers.shop(database)) as address:
            self._measure(case.name, case.request, address, echo)
        self._tell(f"{case.name}: auditing")
        self.books[case.name] = shops.audit(database)

    def _measure_reading(self, case: Case) -> None:
        with servers.serving(servers.shop(self._make(case))) as address:
            size = len(servers.fetch(address + case.request.path))
            with servers.serving(servers.echo(size)) as echo_address:
                echo = self._measure(cases.ECHO_OF_SAME_BYTES, case.request, echo_address)
            self._measure(case.name, case.request, address, echo)

    def _make(self, case: Case) -> str:
        self._tell(f"{case.name}: making its shop")
        return shops.make(self._folder / f"shop-{len(self.rows)}.db", case.commands())

    def _measure(self, name: str, request: Request, address: str, echo: Speeds | None = None) -> Speeds:
        speeds: Speeds = {}
        user = 1
        for connections in CONNECTIONS:
            self._tell(f"{name}: {connections} connection(s)")
            loads: list[wrk.Load] = []
            for seconds in (WARM_UP_S, self._seconds):
                url = address + request.path
                load = wrk.load(url, request.script, connections=connections, seconds=seconds, first_user=user)
                # More than what was answered: one on its way on each connection, and one that wrk makes to look at.
                user += load.requests + connections + 1
                loads.append(load)
            speeds[connections] = loads[-1].requests_per_s
            self.rows.append(_row(name, connections, loads, echo))
        return speeds


def _row(name: str, connections: int, loads: list[wrk.Load], echo: Speeds | None) -> Row:
    measured = loads[-1]
    return Row(
        case=name,
        connections=connections,
        requests_per_s=measured.requests_per_s,
        p50_ms=measured.p50_ms,
        p99_ms=measured.p99_ms,
        echo_ratio=measured.requests_per_s / echo[connections] if echo else None,
        failed=sum(load.failed for load in loads),
    )
