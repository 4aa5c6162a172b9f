"""`python -m bench.ways`: compare ways to provide the best sellers of the last three days.

All are measured in the same shop: what each adds to the transaction of a batch of 64 orders, in time and in the
database's log, and how long it takes to read the five best. Every round measures all of them with the same batch.
"""

import argparse
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from statistics import mean, median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final
from unittest.mock import patch

import msgspec
from rich.console import Console

from bench import sold
from bench.contenders import postgres, shops
from bench.loads.load import CannotMeasure
from bench.reports.report import print_table, rows
from bench.ways_in_memory import Ranking
from bench.ways_in_sql import (
    IN_SQL,
    ORDERS_OF_BATCH,
    POSTGRES,
    SQLITE,
    Cost,
    Measured,
    Shop,
    Standings,
    Way,
    batch,
)
from jangteo.core.best_sellers import DEFAULT_BEST, DEFAULT_DAYS, RefreshOutcome
from jangteo.core.book import Book
from jangteo.engine.batch import Submission, commit
from jangteo.engine.outcomes import serialize
from jangteo.storage import schema
from jangteo.storage.best_sellers import deltas
from jangteo.storage.best_sellers.query import BestSellersView
from jangteo.storage.best_sellers.refresh import plan_refresh
from jangteo.storage.port import Insert, Session, Snapshot
from jangteo.storage.sqlite import checkpoints
from jangteo.storage.timestamps import to_micros

BEGIN: Final = "<!-- ways -->"
END: Final = "<!-- end of ways -->"
BATCHES_PER_REFRESH: Final = 64
_REFRESHES: Final = 5
_WARM_UP_ROUNDS: Final = 5
_MANY_READS: Final = 1_000
_FEW_READS: Final = 5
_READ_FOR_S: Final = 0.5
_BUILD: Final = Path("build")
_RESULTS: Final = _BUILD / "ways.json"
_DOCUMENT: Final = Path("docs/statistics.md")
_HEADINGS: Final = ("", "ms a batch", "KiB of log a batch", "ms to read", "equals the direct query")
_NOT_RIGHT: Final = 1
_INTERRUPTED: Final = 130
# Every transaction writes something in any case; this is subtracted.
_LEAST: Final = Insert(schema.stock_movements, ("product_id", "quantity", "created_at"))


class Deltas(Way):
    """What the shop does: deltas, moved into buckets by refreshes."""

    name = "deltas and buckets"
    note = (
        f"with its share of a refresh; read after a refresh, and before one: {BATCHES_PER_REFRESH} batches came, "
        "as many left"
    )
    writes = True

    def write(self, session: Session, book: Book) -> None:
        """Write the delta."""
        deltas.save(session, book)

    def finish(self, measured: Measured) -> None:
        """Measure refreshes in which as many orders leave as have come. Leaves out the first, on unchanged buckets."""
        costs, planning_ms = zip(*[self._refresh(number) for number in range(_REFRESHES + 1)][1:], strict=True)
        refresh = Cost(median(cost.ms for cost in costs), mean(cost.kib for cost in costs))
        delta = measured.write
        measured.write = Cost(
            delta.ms + refresh.ms / BATCHES_PER_REFRESH, delta.kib + refresh.kib / BATCHES_PER_REFRESH
        )
        measured.beside["ms for the delta alone"] = delta.ms
        measured.beside["KiB of log for it"] = delta.kib
        measured.beside[f"ms to write a refresh of {BATCHES_PER_REFRESH} batches"] = refresh.ms
        measured.beside["ms to plan it, beside the orders"] = median(planning_ms)
        refreshed_at = self._shop.now
        self._write_deltas(_REFRESHES + 1)
        _, measured.read_at_most_ms = timed_reads(self.read)
        self._shop.now = refreshed_at
        _, measured.beside["ms to read then, where none have left"] = timed_reads(self.read)

    def _refresh(self, seed: int) -> tuple[Cost, float]:
        shop = self._shop
        self._write_deltas(seed)
        outcomes: list[object] = []
        began = perf_counter()
        with shop.reads.snapshot(shop.now) as snapshot:
            planned = plan_refresh(snapshot, frozenset())
        planning_ms = (perf_counter() - began) * 1_000
        if planned is None:
            raise CannotMeasure("no refresh is worth it")
        submissions = [Submission(planned.command)]
        cost = shop.cost(lambda: outcomes.extend(commit(shop.writing, submissions, lambda: shop.now).outcomes))
        if outcomes != [serialize(RefreshOutcome(applied=True))]:
            raise CannotMeasure(f"a refresh can't be applied: {outcomes}")
        return cost, planning_ms

    def _write_deltas(self, seed: int) -> None:
        shop, random = self._shop, Random(seed)
        for _ in range(BATCHES_PER_REFRESH):
            shop.now += ORDERS_OF_BATCH * shop.apart
            with shop.writing.transaction() as session:
                deltas.save(session, batch(shop.now, random))

    def _find(self, snapshot: Snapshot) -> Standings:
        # A new view has no cached ranking.
        found = BestSellersView().read(snapshot, DEFAULT_BEST, DEFAULT_DAYS)
        if found is None:
            raise CannotMeasure("the window isn't active")
        return [(each.id, each.sold) for each in found.value]


def timed_reads(read: Callable[[], Standings]) -> tuple[Standings, float]:
    """Read repeatedly: what was found, and the median time in ms, the first time left out."""
    found, times_ms = read(), list[float]()
    end = perf_counter() + _READ_FOR_S
    while len(times_ms) < _FEW_READS or (len(times_ms) < _MANY_READS and perf_counter() < end):
        began = perf_counter()
        read()
        times_ms.append((perf_counter() - began) * 1_000)
    return found, median(times_ms)


WAYS: Final = (*IN_SQL, Ranking, Deltas)


def measure(url: str, lines: int, rounds: int, tell: Callable[[str], None]) -> list[Measured]:
    """Measure all ways in a shop that was just made and has so many order lines."""
    shop = Shop(url, timedelta(days=DEFAULT_DAYS) / max(lines // sold.LINES_OF_ORDER, 1))
    try:
        # The WAL is checkpointed between the measurements only.
        with patch.object(checkpoints, "CHECKPOINT_AFTER_CHANGES", sys.maxsize):
            return _measure(shop, url, rounds, lambda text: tell(f"{shop.kind}, {lines:,} lines: {text}"))
    finally:
        shop.close()


def _measure(shop: Shop, url: str, rounds: int, tell: Callable[[str], None]) -> list[Measured]:
    tried = [(way(shop), Measured(way.name, way.note)) for way in WAYS if shop.kind in way.kinds]
    for way, measured in tried:
        tell(f"preparing {measured.name}")
        way.prepare()
    sold.sync(url)
    found: list[Standings] = []
    for way, measured in tried:
        tell(f"reads {measured.name}")
        standings, measured.read_ms = timed_reads(way.read)
        found.append(standings)
        measured.agrees = standings == found[0]
    tell("writing")
    _measure_writes(shop, [(way, measured) for way, measured in tried if way.writes], rounds)
    for way, measured in tried:
        tell(f"the rest of {measured.name}")
        way.finish(measured)
    return [measured for _, measured in tried]


def _measure_writes(shop: Shop, tried: Sequence[tuple[Way, Measured]], rounds: int) -> None:
    more: dict[str, list[Cost]] = {measured.name: [] for _, measured in tried}
    random = Random(0)
    for _ in range(_WARM_UP_ROUNDS + rounds):
        book = batch(shop.now, random)
        least = _cost_of(shop, book, lambda *_: None)
        for way, measured in tried:
            cost = _cost_of(shop, book, way.write)
            more[measured.name].append(Cost(cost.ms - least.ms, cost.kib - least.kib))
    for _, measured in tried:
        costs = more[measured.name][_WARM_UP_ROUNDS:]
        measured.write = Cost(median(cost.ms for cost in costs), mean(cost.kib for cost in costs))


def _cost_of(shop: Shop, book: Book, write: Callable[[Session, Book], None]) -> Cost:
    def work() -> None:
        with shop.writing.transaction() as session:
            session.insert(_LEAST, [(1, 1, to_micros(book.now))])
            write(session, book)

    return shop.cost(work)


def markdown(lines: int, rounds: int, measured: dict[str, list[Measured]]) -> str:
    """Everything as a part of a document."""
    parts = [BEGIN, f"Measured on {datetime.now(UTC):%Y-%m-%d}. {_summary(lines, rounds)}", ""]
    for kind, ways in measured.items():
        parts += [f"### {kind}", "", *rows(_HEADINGS, map(_cells, ways)), ""]
        parts += [*(f"- {remark}" for remark in _remarks(ways)), ""]
    return "\n".join([*parts, END])


def _summary(lines: int, rounds: int) -> str:
    return (
        f"{lines:,} order lines of {shops.PRODUCTS_OF_CATALOGUE:,} products within three days; batches of "
        f"{ORDERS_OF_BATCH} orders of {sold.LINES_OF_ORDER} lines, of any products; {rounds} rounds. Figures per batch "
        "are what a way adds to a transaction of one row: the median of the times, the mean of the log."
    )


def _cells(one: Measured) -> tuple[str, ...]:
    most = "" if one.read_at_most_ms is None else f" to {_figure(one.read_at_most_ms)}"
    read, agrees = f"{_figure(one.read_ms)}{most}", "yes" if one.agrees else "NO"
    return one.name, _figure(one.write.ms), _figure(one.write.kib), read, agrees


def _figure(value: float) -> str:
    """Three digits, or more of a large value."""
    if not value:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _remarks(ways: Sequence[Measured]) -> Iterator[str]:
    for one in ways:
        figures = (f"{_figure(value)} {what}" for what, value in one.beside.items())
        remark = "; ".join([*([one.note] if one.note else []), *figures])
        if remark:
            yield f"{one.name}: {remark}"


def write_into(document: Path, text_between: str) -> bool:
    """Replace the text between the markers of the document; whether it has any."""
    text = document.read_text() if document.exists() else ""
    before, has_begin, rest = text.partition(BEGIN)
    _, has_end, after = rest.partition(END)
    if not (has_begin and has_end):
        return False
    document.write_text(before + text_between + after)
    return True


def _run(options: argparse.Namespace, folder: Path, tell: Callable[[str], None]) -> dict[str, list[Measured]]:
    measured = {}
    with postgres.running() as server:
        urls = {SQLITE: f"sqlite:///{folder.absolute() / 'ways.db'}", POSTGRES: server.create("ways")}
        for kind, url in urls.items():
            if kind in options.database:
                tell(f"{kind}: making a shop")
                sold.make(url, options.lines, tell)
                measured[kind] = measure(url, options.lines, options.rounds, tell)
    return measured


def _bench(options: argparse.Namespace) -> int:
    console = Console()
    _BUILD.mkdir(exist_ok=True)
    with TemporaryDirectory(prefix="bench-", dir=_BUILD) as name, console.status("starting") as status:
        measured = _run(options, Path(name), status.update)
    console.print(_summary(options.lines, options.rounds), highlight=False)
    for kind, ways in measured.items():
        print_table(console, kind, _HEADINGS, map(_cells, ways))
        for remark in _remarks(ways):
            console.print(f"  {remark}", highlight=False, markup=False, soft_wrap=True)
    results = {"measured_at": datetime.now(UTC).isoformat(timespec="seconds"), "lines": options.lines}
    results |= {"rounds": options.rounds, "databases": measured}
    _RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=2) + b"\n")
    console.print(f"Also in {_RESULTS}", highlight=False)
    if options.document and not write_into(_DOCUMENT, markdown(options.lines, options.rounds, measured)):
        print(f"bench.ways: {_DOCUMENT} has no {BEGIN} and {END}", file=sys.stderr)
        return _NOT_RIGHT
    if all(one.agrees for ways in measured.values() for one in ways):
        return 0
    print("bench.ways: not all ways find the same best sellers", file=sys.stderr)
    return _NOT_RIGHT


def main() -> int:
    """Measure, report, and return the exit code."""
    options = argparse.ArgumentParser(
        prog="python -m bench.ways", description="Compare ways to provide the best sellers."
    )
    options.add_argument("--lines", type=int, default=1_000_000, help="order lines, 100,000 or more")
    options.add_argument("--rounds", type=int, default=30, help="batches for each way")
    options.add_argument("--database", nargs="+", choices=(SQLITE, POSTGRES), default=(SQLITE, POSTGRES))
    options.add_argument("--document", action="store_true", help=f"also into {_DOCUMENT}, between its markers")
    # A signal raises SystemExit, which closes the server on its way out.
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda number, _: sys.exit(128 + number))
    try:
        return _bench(options.parse_args())
    except CannotMeasure as error:
        print(f"bench.ways: {error}", file=sys.stderr)
        return _NOT_RIGHT
    except KeyboardInterrupt:
        print("bench.ways: interrupted", file=sys.stderr)
        return _INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
