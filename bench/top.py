"""`python -m bench.top`: measure what the best sellers cost, print tables, exit with 1 if anything was not right.

With `--keep FOLDER` the shops stay there and are used again the next time: making the largest takes minutes.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from rich.console import Console

from bench import best_sellers
from bench.best_sellers import Extent
from bench.contenders import postgres
from bench.contenders.top_shops import InPostgres, InSqlite
from bench.loads import wrk
from bench.loads.load import CannotMeasure
from bench.reports import machine, top_report

SHORT: Final = Extent(
    lines=(0, 1_000_000), rounds=3, seconds=2, upkeep_lines=1_000_000, upkeep_rounds=3, direct_times=1
)
"""As a part of `make bench`."""
WHOLE: Final = Extent(
    lines=(0, 100_000, 1_000_000, 10_000_000), rounds=5, seconds=4, upkeep_lines=1_000_000, upkeep_rounds=7
)
"""For docs/statistics.md."""
KINDS: Final = ("sqlite", "postgres")
_BUILD: Final = Path("build")
_RESULTS: Final = _BUILD / "top.json"
_DOCUMENT: Final = Path("docs/statistics.md")
_NOT_RIGHT: Final = 1
_NO_WRK: Final = 2
_INTERRUPTED: Final = 130


def measure(extent: Extent, kinds: Sequence[str] = KINDS, keep: Path | None = None, *, document: bool = False) -> int:
    """Measure on these databases, report, and return the exit code. Raises CannotMeasure."""
    console = Console()
    _BUILD.mkdir(exist_ok=True)
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="bench-", dir=_BUILD) as name, postgres.running(keep) as server:
        folder = Path(name).absolute()
        measured_on = machine.describe(folder, server)
        with console.status("starting") as status:
            tell = status.update
            places = {"sqlite": InSqlite(keep or folder, folder, tell), "postgres": InPostgres(server, tell)}
            measured = [best_sellers.measure(places[kind], extent, folder, tell) for kind in kinds]
    top_report.print_all(console, measured)
    top_report.save(_RESULTS, measured_on, extent, measured)
    written = [str(_RESULTS)]
    if document:
        top_report.write_into(_DOCUMENT, top_report.markdown(measured_on, extent, measured))
        top_report.draw(_DOCUMENT.with_suffix(".png"), measured)
        written += [str(_DOCUMENT), str(_DOCUMENT.with_suffix(".png"))]
    console.print(f"Also in {', '.join(written)}", highlight=False)
    if all(one.right() for one in measured):
        return 0
    print("bench.top: not all was right: see `not 2xx`, `equals the view`, and the books", file=sys.stderr)
    return _NOT_RIGHT


def main() -> int:
    """Measure, report, and return the exit code."""
    given = _options()
    if not wrk.is_installed():
        print("bench.top needs wrk: apt-get install wrk", file=sys.stderr)
        return _NO_WRK
    # A signal raises SystemExit, which closes the servers on its way out.
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda number, _: sys.exit(128 + number))
    try:
        lines = tuple(given.lines)
        extent = Extent(lines, given.rounds, given.seconds, given.upkeep_lines, given.upkeep_rounds)
        return measure(extent, given.database, given.keep, document=given.document)
    except CannotMeasure as error:
        print(f"bench.top: {error}", file=sys.stderr)
        return _NOT_RIGHT
    except KeyboardInterrupt:
        print("bench.top: interrupted", file=sys.stderr)
        return _INTERRUPTED


def _options() -> argparse.Namespace:
    options = argparse.ArgumentParser(prog="python -m bench.top", description="Measure what the best sellers cost.")
    options.add_argument(
        "--lines", type=int, nargs="+", default=WHOLE.lines, help="order lines; the first is the reference"
    )
    options.add_argument("--rounds", type=int, default=WHOLE.rounds)
    options.add_argument("--seconds", type=int, default=WHOLE.seconds, help="of each load")
    options.add_argument(
        "--upkeep-lines", type=int, default=WHOLE.upkeep_lines, help="of the shop in which orders are placed"
    )
    options.add_argument("--upkeep-rounds", type=int, default=WHOLE.upkeep_rounds)
    options.add_argument("--database", nargs="+", choices=KINDS, default=KINDS)
    options.add_argument("--keep", type=Path, metavar="FOLDER", help="a folder that every user can get to")
    options.add_argument("--document", action="store_true", help=f"also into {_DOCUMENT}, with a picture")
    return options.parse_args()


if __name__ == "__main__":
    sys.exit(main())
