"""Reports the measurements of the best sellers: in a terminal, in a document, as JSON and as a picture."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final

import matplotlib as mpl
import msgspec
from matplotlib import pyplot as plt
from rich.console import Console

from bench.best_sellers import BEST, UNMAINTAINED, Extent, OneDatabase, median_ms
from bench.contenders.rounds import Contender
from bench.reports.machine import Machine
from bench.reports.report import ms, print_table, rows, target_cells

BEGIN: Final = "<!-- figures -->"
END: Final = "<!-- end of figures -->"
_TARGETS: Final = ("", "wanted", "measured", "")
_READS: Final = ("", "readers", "requests/s", "p50 ms", "p99 ms", "p99 / first", "not 2xx")
_DIRECT: Final = ("", "fastest ms", "median ms", "slowest ms", "equals the view")
_UPKEEP: Final = ("", "orders/s", UNMAINTAINED, "ratio", "p99 ms", UNMAINTAINED, "not 2xx")
_COLOURS: Final = {"SQLite": "#2a7f62", "PostgreSQL": "#33658a"}

Table = tuple[str, Sequence[str], list[tuple[str, ...]]]


def print_all(console: Console, measured: Sequence[OneDatabase]) -> None:
    """Print everything in a terminal."""
    for title, headings, cells in _tables(measured):
        print_table(console, title, headings, cells)
    for one in measured:
        for case, found in one.books.items():
            verdict = "audit passed" if found.passed else f"AUDIT FAILED\n{found.output.rstrip()}"
            console.print(f"{case}: {verdict}", highlight=False, markup=False, soft_wrap=True)


def markdown(machine: Machine, extent: Extent, measured: Sequence[OneDatabase]) -> str:
    """Everything as a part of a document."""
    summary = (
        f"Measured on {datetime.now(UTC):%Y-%m-%d}: {extent.rounds} rounds of {extent.seconds} s each, orders "
        f"{extent.upkeep_rounds}; medians of the rounds."
    )
    parts = [BEGIN, summary, "", *rows(("machine", ""), machine.facts()), ""]
    for title, headings, cells in _tables(measured):
        parts += [f"### {title}", "", *rows(headings, cells), ""]
    books = [found for one in measured for found in one.books.values()]
    right = all(found.passed for found in books)
    return "\n".join(
        [*parts, f"All {len(books)} shops were audited afterwards: {'right' if right else 'NOT RIGHT'}.", END]
    )


def write_into(document: Path, text_between: str) -> None:
    """Replace the earlier measurements in the document, or append to it; leave the rest as it is."""
    text = document.read_text() if document.exists() else ""
    before, found, rest = text.partition(BEGIN)
    if found:
        document.write_text(before + text_between + rest.partition(END)[2])
    else:
        document.write_text(f"{text}\n{text_between}\n".lstrip())


def save(path: Path, machine: Machine, extent: Extent, measured: Sequence[OneDatabase]) -> None:
    """Write everything as JSON."""
    results = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine,
        "extent": extent,
        "databases": {one.kind: _as_json(one) for one in measured},
    }
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=2) + b"\n")


def draw(path: Path, measured: Sequence[OneDatabase]) -> None:
    """Draw the time of an answer by the number of order lines, for both methods, into a PNG file."""
    mpl.use("Agg")
    figure, axes = plt.subplots(figsize=(9, 5))
    for one in measured:
        colour = _COLOURS[one.kind]
        view = [(lines, those[0].p99_ms) for lines, those in one.reads.items() if lines]
        direct = [(each.lines, max(each.times_ms)) for each in one.direct if each.lines]
        for points, style, how in (
            (view, "o-", "view, p99 of 8 readers"),
            (direct, "s--", "direct query, one reader"),
        ):
            if points:
                axes.plot(*zip(*points, strict=True), style, color=colour, label=f"{one.kind}, {how}")
                axes.annotate(f" {points[-1][1]:,.1f} ms", points[-1], color=colour, va="bottom", fontsize=9)
    axes.set(xscale="log", yscale="log", xlabel="order lines within three days", ylabel="ms")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    axes.set_title("How long the best sellers take to read", loc="left", fontsize=10, fontweight="bold")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _tables(measured: Sequence[OneDatabase]) -> Iterator[Table]:
    yield "Targets", _TARGETS, [target_cells(target) for one in measured for target in one.targets()]
    for one in measured:
        yield f"{one.kind}, GET {BEST}", _READS, list(_read_cells(one))
        yield f"{one.kind}, GET {BEST}&method=direct", _DIRECT, list(_direct_cells(one))
    yield "Orders, with refreshes and without", _UPKEEP, [cells for one in measured for cells in _upkeep_cells(one)]


def _read_cells(one: OneDatabase) -> Iterator[tuple[str, ...]]:
    first = next(iter(one.reads.values()))
    for those in one.reads.values():
        for contender, empty in zip(those, first, strict=True):
            ratio = "" if contender is empty else f"{contender.p99_ratio_to(empty):.2f}"
            yield _cells(contender, contender.name, ratio)
    if one.beside_orders is not None:
        beside = f"{one.beside_orders.name} ({median(one.orders_beside_per_s):,.0f} orders/s)"
        yield _cells(one.beside_orders, beside, "")


def _cells(contender: Contender, name: str, ratio: str) -> tuple[str, ...]:
    speed, failed = f"{contender.requests_per_s:,.0f}", f"{contender.failed:,}"
    return name, str(contender.connections), speed, ms(contender.p50_ms), ms(contender.p99_ms), ratio, failed


def _direct_cells(one: OneDatabase) -> Iterator[tuple[str, ...]]:
    for each in one.direct:
        times = (min(each.times_ms), median_ms(each), max(each.times_ms))
        yield f"{each.lines:,} order lines", *(f"{time:,.1f}" for time in times), "yes" if each.agrees else "NO"


def _upkeep_cells(one: OneDatabase) -> Iterator[tuple[str, ...]]:
    for comparison in one.upkeep:
        maintained, unmaintained = comparison.contenders
        yield (
            comparison.title,
            *(f"{each.requests_per_s:,.0f}" for each in comparison.contenders),
            f"{maintained.ratio_to(unmaintained):.2f}",
            *(ms(each.p99_ms) for each in comparison.contenders),
            f"{maintained.failed + unmaintained.failed:,}",
        )


def _as_json(one: OneDatabase) -> dict[str, object]:
    beside = one.beside_orders
    return {
        "reads": {
            lines: {f"{each.connections} readers": each.rounds for each in those} for lines, those in one.reads.items()
        },
        "direct": one.direct,
        "upkeep": {each.title: {one.name: one.rounds for one in each.contenders} for each in one.upkeep},
        "beside_orders": {} if beside is None else {beside.name: beside.rounds, "orders/s": one.orders_beside_per_s},
        "targets": one.targets(),
        "books_right": {case: found.passed for case, found in one.books.items()},
    }
