"""What a run is told as: lines and a table for people, JSON for programs."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from bench.machine import Machine
from bench.measuring import Row
from bench.shops import Books


def print_machine(console: Console, machine: Machine) -> None:
    """What it was measured on."""
    for what, value in (
        ("CPU", machine.cpu),
        ("cores", machine.cores),
        ("Python", machine.python),
        ("SQLite", machine.sqlite),
        ("uvicorn", machine.uvicorn),
        ("wrk", machine.wrk),
        ("disk", f"4 KiB synced in {machine.sync_ms:.3f} ms (median of 100)"),
    ):
        console.print(f"{what:<8} {value}", highlight=False, markup=False)


def print_rows(console: Console, rows: Iterable[Row]) -> None:
    """The table."""
    table = Table(box=box.SIMPLE_HEAD, padding=0, collapse_padding=True)
    table.add_column("case", no_wrap=True)
    for heading in ("connections", "requests/s", "p50 ms", "p99 ms", "ratio to\nthe echo", "not 2xx"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*_cells(row), style="bold red" if row.failed else None)
    console.print(table)


def print_books(console: Console, books: Mapping[str, Books]) -> None:
    """Whose books are right; where they are not, all that the audit said."""
    for case, found in books.items():
        verdict = "the books are right" if found.right else f"THE BOOKS ARE NOT RIGHT\n{found.told.rstrip()}"
        console.print(f"{case}: {verdict}", highlight=False, markup=False, soft_wrap=True)


def save(path: Path, machine: Machine, seconds: int, rows: Iterable[Row], books: Mapping[str, Books]) -> None:
    """All of it as JSON."""
    told = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": seconds,
        "machine": machine,
        "rows": list(rows),
        "books_right": {case: found.right for case, found in books.items()},
    }
    path.write_bytes(msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n")


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.case,
        str(row.connections),
        f"{row.requests_per_s:,.0f}",
        f"{row.p50_ms:.2f}",
        f"{row.p99_ms:.2f}",
        "" if row.echo_ratio is None else f"{row.echo_ratio:.2f}",
        f"{row.failed:,}",
    )
