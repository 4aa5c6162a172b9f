"""Reports the peers: a table for the documents and the terminal, and a picture."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib import pyplot as plt
from rich.console import Console

from bench.peers.measuring import CLAIMS, HOT, ORDERS, Peers
from bench.peers.stacks import CONNECTIONS_PER_CORE
from bench.reports.markers import between
from bench.reports.report import ms, print_table, rows

_HEADINGS: Final = ("", "orders/s", "p99 ms", "hot product/s", "p99 ms", "claims/s", "oversold", "lost", "an answer is")
_SHORT: Final = ("64 clients", "orders/s", "everyone one product", "claims/s", "oversold", "lost")
_PICTURE: Final = "peers.png"
_TITLES: Final = (ORDERS, HOT, CLAIMS)
_OURS, _OTHERS = "#2a7f62", "#b8b8b8"


def print_all(console: Console, found: Peers) -> None:
    """Print the table and the notes to the terminal."""
    print_table(console, "Beside what one would pick instead", _HEADINGS[:-1], (each[:-1] for each in _cells(found)))
    # A terminal is too narrow for a column of words.
    for peer in found.peers:
        console.print(f"{peer.name}: an answer is {peer.durability}.", highlight=False, markup=False, soft_wrap=True)
    for note in _notes(found):
        console.print(note, highlight=False, markup=False, soft_wrap=True)


def write(document: Path, summary: Path, found: Peers) -> list[Path]:
    """Write the table into the document and a picture beside it, the short table into the summary; return the paths."""
    picture = document.with_name(_PICTURE)
    document.write_text(between(document.read_text(), "peers", markdown(found)))
    summary.write_text(between(summary.read_text(), "peers", short_markdown(found)))
    draw(picture, found)
    return [document, picture, summary]


def markdown(found: Peers) -> list[str]:
    """The table and the notes as lines of Markdown."""
    picture = f"![Requests a second of Jangteo and of each peer, as bars]({_PICTURE})"
    return [picture, "", *rows(_HEADINGS, _cells(found)), "", *(f"- {note}" for note in _notes(found))]


def short_markdown(found: Peers) -> list[str]:
    """The table of the README."""
    table = rows(_SHORT, _short_cells(found))
    return ["Beside what one would pick instead ([how, and how durable](docs/benchmarks.md)):", "", *table]


def draw(path: Path, found: Peers) -> None:
    """Draw the requests per second of all contenders as bars, one group for each load, into a PNG file."""
    mpl.use("Agg")
    figure, axes = plt.subplots(1, len(_TITLES), figsize=(12, 3.2), sharey=True)
    for axis, comparison in zip(axes, found.comparisons, strict=True):
        contenders = comparison.contenders[::-1]
        speeds = [each.requests_per_s for each in contenders]
        colours = [_OURS if each.name.startswith("Jangteo") else _OTHERS for each in contenders]
        bars = axis.barh([each.name for each in contenders], speeds, color=colours)
        axis.bar_label(bars, [f" {speed:,.0f}" for speed in speeds])
        axis.set_title(comparison.title.partition(", ")[2], loc="left", fontsize=10, fontweight="bold")
        axis.set_xlim(0, 1.3 * max(speeds))
        axis.xaxis.set_visible(False)
        axis.spines[["top", "right", "bottom"]].set_visible(False)
    figure.suptitle("Requests per second, 64 clients, the same machine", x=0.01, ha="left")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _cells(found: Peers) -> Iterator[Sequence[str]]:
    for peer in found.peers:
        measured = found.measured(peer.name)
        if measured is None:
            continue
        orders, hot, claims = measured
        yield (
            peer.name,
            f"{orders.requests_per_s:,.0f}",
            ms(orders.p99_ms),
            f"{hot.requests_per_s:,.0f}",
            ms(hot.p99_ms),
            f"{claims.requests_per_s:,.0f}",
            *_counts(found, peer.name),
            peer.durability,
        )


def _short_cells(found: Peers) -> Iterator[Sequence[str]]:
    for peer in found.peers:
        if measured := found.measured(peer.name):
            yield peer.name, *(f"{each.requests_per_s:,.0f}" for each in measured), *_counts(found, peer.name)


def _counts(found: Peers, name: str) -> tuple[str, str]:
    verdict = found.verdicts.get(name)
    return ("", "") if verdict is None else (str(verdict.oversold), f"{verdict.lost} of {verdict.acknowledged:,}")


def _notes(found: Peers) -> Iterator[str]:
    yield (
        "Oversold: units of a product with a stock of 50 that 200 buyers at once got beyond it. Lost: of the orders "
        "acknowledged until every process was killed (kill -9, the database too), those missing after the restart."
    )
    for name, waiting in found.waiting.items():
        yield f"{name}: {waiting:,} accepted requests weren't in PostgreSQL yet when the last load ended."
    if found.versions:
        yield (
            f"The others: {found.versions}; as many workers as cores, {CONNECTIONS_PER_CORE} connections to "
            "PostgreSQL each. They send no events; Jangteo sends its own to a file meanwhile."
        )
    yield from found.notes
