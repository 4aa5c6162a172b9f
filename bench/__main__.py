"""`make bench`: measures this machine and prints tables; exits with 1 when a request or an audit failed."""

import argparse
import os
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from rich.console import Console

from bench import top
from bench.contenders import postgres
from bench.contenders.comparisons import QUICK, THOROUGH, Extent
from bench.loads import wrk
from bench.loads.load import CannotMeasure
from bench.measuring import Bench
from bench.reports import machine, plot, report
from bench.reports.targets import delivery_targets, targets

_BUILD: Final = Path("build")
_RESULTS: Final = _BUILD / "bench.json"
_DOCUMENT: Final = Path("docs/benchmarks.md")
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
        return _bench(QUICK if options.quick else THOROUGH, deliveries_only=options.deliveries)
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
        "--quick", action="store_true", default=quick, help="in two minutes, without writing docs/; also: QUICK=1"
    )
    options.add_argument("--best-sellers", action="store_true", help="only best sellers: up to 10 million order items")
    options.add_argument("--deliveries", action="store_true", help="only event delivery, without writing docs/")
    return options.parse_args()


def _bench(extent: Extent, *, deliveries_only: bool) -> int:
    console = Console()
    _BUILD.mkdir(exist_ok=True)
    with TemporaryDirectory(prefix="bench-", dir=_BUILD) as name, postgres.running() as server:
        folder = Path(name)
        measured_on = machine.describe(folder, server)
        with console.status("starting") as status:
            bench = Bench(folder, server, extent, status.update)
            if deliveries_only:
                bench.run_deliveries()
            else:
                bench.run()
    reached = list(delivery_targets(bench.comparisons)) if deliveries_only else targets(bench.comparisons)
    report.print_all(console, measured_on, bench, reached)
    report.save(_RESULTS, measured_on, extent, bench, reached)
    written = [str(_RESULTS)]
    if extent is THOROUGH and not deliveries_only:
        report.write_into(_DOCUMENT, report.markdown(measured_on, extent, bench, reached))
        plot.draw(_DOCUMENT.with_suffix(".png"), bench.comparisons)
        written += [str(_DOCUMENT), str(_DOCUMENT.with_suffix(".png"))]
    console.print(f"Written to {', '.join(written)}", highlight=False)
    exit_code = 0
    if extent is THOROUGH and not deliveries_only:
        exit_code = top.measure(top.SHORT)
    if bench.passed():
        return exit_code
    print("bench: requests or audits failed: see `not 2xx` in the tables, and the audits below them", file=sys.stderr)
    return _FAILED


if __name__ == "__main__":
    sys.exit(main())
