"""`make bench`: measures this machine and prints tables; exits with 1 when a request or an audit failed."""

import argparse
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from msgspec.structs import replace
from rich.console import Console

from bench import top
from bench.contenders import postgres
from bench.contenders.comparisons import QUICK, THOROUGH, Extent
from bench.loads import wrk
from bench.loads.load import CannotMeasure
from bench.measuring import Bench
from bench.reports import machine, peers_report, plot, readme, report
from bench.reports.targets import partial_targets, targets

_BUILD: Final = Path("build")
_RESULTS: Final = _BUILD / "bench.json"
_DOCUMENT: Final = Path("docs/benchmarks.md")
_README: Final = Path("README.md")
_DELIVERIES: Final = "deliveries"
_PEERS: Final = "peers"
_STORED: Final = "stored"
_TAIL: Final = "tail"
_RUNS: Final[dict[str | None, Callable[[Bench], None]]] = {
    None: Bench.run,
    _DELIVERIES: Bench.run_deliveries,
    _PEERS: Bench.run_peers,
    _STORED: Bench.run_stored,
    _TAIL: Bench.run_tail,
}
_FAILED: Final = 1
_NO_WRK: Final = 2
_INTERRUPTED: Final = 130


def main() -> int:
    """Measure, report, and return the exit code."""
    options = _options()
    if not wrk.is_installed():
        print("make bench needs wrk: apt-get install wrk", file=sys.stderr)
        return _NO_WRK
    # SystemExit unwinds the blocks that end the servers, so that none outlives the bench.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        if options.best_sellers:
            return top.measure(top.WHOLE, document=True)
        extent = QUICK if options.quick else THOROUGH
        if options.only == _STORED:
            extent = replace(extent, stored_orders=options.stored)
        if options.only == _TAIL:
            extent = replace(extent, tail_minutes=options.tail)
        return _bench(extent, options.only)
    except CannotMeasure as error:
        print(f"bench: {error}", file=sys.stderr)
        return _FAILED
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return _INTERRUPTED


def _options() -> argparse.Namespace:
    options = argparse.ArgumentParser(prog="python -m bench", description="Measure the shop beside its references.")
    quick = os.environ.get("QUICK", "") not in ("", "0")
    options.add_argument(
        "--quick", action="store_true", default=quick, help="in three minutes, without writing docs/; also: QUICK=1"
    )
    options.add_argument("--best-sellers", action="store_true", help="only best sellers: up to 10 million order items")
    options.add_argument(
        "--deliveries",
        action="store_const",
        dest="only",
        const=_DELIVERIES,
        help="only event delivery, without writing docs/",
    )
    options.add_argument(
        "--peers", action="store_const", dest="only", const=_PEERS, help="only what one would pick instead"
    )
    options.add_argument(
        "--stored", type=int, metavar="ORDERS", help="only a shop with so many stored orders, a multiple of 10,000"
    )
    options.add_argument(
        "--tail", type=int, metavar="MINUTES", help="only orders for so many minutes on each database, and their p99"
    )
    given = options.parse_args()
    if given.stored:
        given.only = _STORED
    if given.tail:
        given.only = _TAIL
    return given


def _bench(extent: Extent, only: str | None) -> int:
    console = Console()
    _BUILD.mkdir(exist_ok=True)
    with TemporaryDirectory(prefix="bench-", dir=_BUILD) as name, postgres.running() as server:
        # A server whose working folder is another needs the whole path.
        folder = Path(name).absolute()
        measured_on = machine.describe(folder, server)
        with console.status("starting") as status:
            bench = Bench(folder, server, extent, status.update)
            _RUNS[only](bench)
    reached = targets(bench.comparisons) if only is None else list(partial_targets(bench.comparisons))
    report.print_all(console, measured_on, bench, reached)
    report.save(_RESULTS, measured_on, extent, bench, reached)
    written = [_RESULTS]
    if extent is THOROUGH and only is None:
        report.write_into(_DOCUMENT, report.markdown(measured_on, extent, bench, reached))
        plot.draw(_DOCUMENT.with_suffix(".png"), bench.comparisons)
        readme.write(_README, bench.comparisons)
        written += [_DOCUMENT, _DOCUMENT.with_suffix(".png"), _README]
    if bench.peers is not None:
        peers_report.print_all(console, bench.peers)
        if extent.seconds == THOROUGH.seconds:
            written += peers_report.write(_DOCUMENT, _README, bench.peers)
    console.print(f"Written to {', '.join(map(str, dict.fromkeys(written)))}", highlight=False)
    exit_code = 0
    if extent is THOROUGH and only is None:
        exit_code = top.measure(top.SHORT)
    if bench.passed():
        return exit_code
    print("bench: requests or audits failed: see `not 2xx` in the tables, and the audits below them", file=sys.stderr)
    return _FAILED


if __name__ == "__main__":
    sys.exit(main())
