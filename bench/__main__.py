"""`make bench`: measure this machine, print a table, exit with 1 where anything was not right."""

import argparse
import os
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from rich.console import Console

from bench import machine, report, wrk
from bench.measuring import Measuring

_BUILD: Final = Path("build")
_RESULTS: Final = _BUILD / "bench.json"
_SECONDS: Final = 5
_SECONDS_QUICK: Final = 2
_NOT_RIGHT: Final = 1
_NO_WRK: Final = 2
_INTERRUPTED: Final = 130


def main() -> int:
    """Measure, and say so: the exit code."""
    quick = _wants_quick()
    if not wrk.is_installed():
        print("make bench needs wrk: apt-get install wrk", file=sys.stderr)
        return _NO_WRK
    # Whoever ends the bench ends its servers: what is raised here goes through all the blocks that close them.
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda number, _: sys.exit(128 + number))
    try:
        return _bench(_SECONDS_QUICK if quick else _SECONDS)
    except wrk.CannotMeasure as error:
        print(f"bench: {error}", file=sys.stderr)
        return _NOT_RIGHT
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return _INTERRUPTED


def _wants_quick() -> bool:
    options = argparse.ArgumentParser(prog="python -m bench", description="Measure the shop beside a bare echo.")
    options.add_argument(
        "--quick", action="store_true", help=f"{_SECONDS_QUICK} s a run instead of {_SECONDS} s; also: QUICK=1"
    )
    return bool(options.parse_args().quick) or os.environ.get("QUICK", "") not in ("", "0")


def _bench(seconds: int) -> int:
    console = Console()
    _BUILD.mkdir(exist_ok=True)
    with TemporaryDirectory(prefix="bench-", dir=_BUILD) as name:
        folder = Path(name)
        measured_on = machine.describe(folder)
        report.print_machine(console, measured_on)
        with console.status("starting") as status:
            measuring = Measuring(folder, seconds, status.update)
            measuring.run()
    report.print_rows(console, measuring.rows)
    report.print_books(console, measuring.books)
    report.save(_RESULTS, measured_on, seconds, measuring.rows, measuring.books)
    console.print(f"Also in {_RESULTS}", highlight=False)
    if measuring.right():
        return 0
    print("bench: not all was right: see `not 2xx` in the table, and the books below it", file=sys.stderr)
    return _NOT_RIGHT


if __name__ == "__main__":
    sys.exit(main())
