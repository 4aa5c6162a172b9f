"""Reports a run: as tables in a terminal and in a document, and as JSON."""

import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from bench.contenders.comparisons import Extent
from bench.contenders.rounds import Comparison, Contender
from bench.measuring import Bench
from bench.reports.machine import Machine
from bench.reports.sections import sections
from bench.reports.targets import Target

BEGIN: Final = "<!-- What make bench has measured begins here; it writes this part anew. -->"
END: Final = "<!-- What make bench has measured ends here. -->"
_HEADINGS: Final = ("", "clients", "requests/s", "p50 ms", "p99 ms", "p99/p50", "ratio", "not 2xx")


def print_all(console: Console, machine: Machine, bench: Bench, targets: Iterable[Target]) -> None:
    """Print the report to the terminal."""
    for what, value in machine.facts():
        console.print(f"{what:<11} {value}", highlight=False, markup=False)
    for comparison in bench.comparisons:
        print_table(console, comparison.title, _HEADINGS, map(_cells, *_beside_reference(comparison)))
    for title, headings, cells in sections(bench.comparisons):
        print_table(console, title, headings, cells)
    print_table(console, "Targets", ("", "wanted", "measured", ""), map(target_cells, targets))
    for memory in bench.memory:
        console.print(f"memory, {memory.shop}: {_memory(memory.empty_mb, memory.stored_mb)}", highlight=False)
    for case, audit in bench.audits.items():
        verdict = "audit passed" if audit.passed else f"AUDIT FAILED\n{audit.output.rstrip()}"
        console.print(f"{case}: {verdict}", highlight=False, markup=False, soft_wrap=True)


def markdown(machine: Machine, extent: Extent, bench: Bench, targets: Iterable[Target]) -> str:
    """The report as a part of a Markdown document."""
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    rounds = f"{extent.rounds} rounds of {extent.seconds} s each, {extent.goal_rounds} for the goals beside the echo"
    parts = [BEGIN, f"Measured on {day}, {rounds}; medians of the rounds.", ""]
    parts += [*rows(("machine", ""), machine.facts()), "", "### Targets", ""]
    parts += [*rows(("", "wanted", "measured", ""), map(target_cells, targets)), ""]
    for comparison in bench.comparisons:
        parts += [f"### {comparison.title}", "", *rows(_HEADINGS, map(_cells, *_beside_reference(comparison))), ""]
    for title, headings, cells in sections(bench.comparisons):
        parts += [f"### {title}", "", *rows(headings, cells), ""]
    parts += ["### Memory", ""]
    parts += [f"- {each.shop}: {_memory(each.empty_mb, each.stored_mb)}" for each in bench.memory]
    passed = all(audit.passed for audit in bench.audits.values())
    parts += ["", f"All {len(bench.audits)} shops were audited afterwards: {'passed' if passed else 'FAILED'}.", END]
    return "\n".join(parts)


def write_into(document: Path, generated: str) -> None:
    """Replace the generated part of the document, and leave the rest."""
    text = document.read_text()
    before, _, rest = text.partition(BEGIN)
    document.write_text(before + generated + rest.partition(END)[2])


def save(path: Path, machine: Machine, extent: Extent, bench: Bench, targets: Iterable[Target]) -> None:
    """Save the figures as JSON."""
    figures = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine,
        "extent": extent,
        "comparisons": [
            {each.title: {f"{one.name}, {one.connections} clients": one.rounds for one in each.contenders}}
            for each in bench.comparisons
        ],
        "memory": bench.memory,
        "targets": list(targets),
        "peers": None if bench.peers is None else bench.peers.as_json(),
        "audits_passed": {case: audit.passed for case, audit in bench.audits.items()},
    }
    path.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2) + b"\n")


def _beside_reference(comparison: Comparison) -> tuple[Sequence[Contender], Sequence[Contender]]:
    return comparison.contenders, [comparison.contenders[0]] * len(comparison.contenders)


def _cells(contender: Contender, reference: Contender) -> tuple[str, ...]:
    return (
        contender.name,
        str(contender.connections),
        f"{contender.requests_per_s:,.0f}",
        ms(contender.p50_ms),
        ms(contender.p99_ms),
        ms(contender.p99_to_p50()),
        "" if contender is reference else f"{contender.ratio_to(reference):.2f}",
        f"{contender.failed:,}",
    )


def ms(value: float) -> str:
    """Milliseconds with two decimals; empty when not measured."""
    return "" if math.isnan(value) else f"{value:.2f}"


def target_cells(target: Target) -> tuple[str, ...]:
    """A target as a row of a table."""
    limit = "at most" if target.at_most else "at least"
    return target.what, f"{limit} {target.wanted:g}", f"{target.measured:.2f}", "met" if target.met else "MISSED"


def _memory(empty_mb: float, stored_mb: float) -> str:
    return f"{empty_mb:,.0f} MB in an empty shop's processes, {stored_mb:,.0f} MB with the orders stored"


def print_table(console: Console, title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table to the terminal."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=0, collapse_padding=True)
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index else "left", no_wrap=bool(index))
    for row in rows:
        table.add_row(*row)
    console.print(table)


def rows(headings: Sequence[str], cells: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a Markdown table."""
    yield f"| {' | '.join(headings)} |"
    yield f"| --- |{' ---: |' * (len(headings) - 1)}"
    for row in cells:
        yield f"| {' | '.join(row)} |"
