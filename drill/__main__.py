"""`make drill`: breaks a real cluster under load, prints what it cost, and exits with 1 if anything is wrong."""

import argparse
import asyncio
import shlex
import signal
import sys
from time import monotonic
from typing import Final

from drill import packages, report
from drill.cluster.cluster import Cluster
from drill.faults import FAULTS, SHORT
from drill.rehearsal import Rehearsal, rehearse
from drill.waiting import DrillFailed

CUSTOMERS: Final = 30
_FAILED: Final = 1
_INTERRUPTED: Final = 130
_SHOWN: Final = 20
_SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
_STARTED_AT: Final = monotonic()


def main() -> int:
    """Run the drill, and return the exit code."""
    options = _options()
    # SystemExit unwinds what runs, so that no process outlives the drill.
    for number in _SIGNALS[:2]:
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        packages.install_missing()
        return _drill(options)
    except DrillFailed as error:
        print(f"drill: {error}", file=sys.stderr)
        return _FAILED
    except KeyboardInterrupt:
        print("drill: interrupted", file=sys.stderr)
        return _INTERRUPTED


def _options() -> argparse.Namespace:
    options = argparse.ArgumentParser(prog="python -m drill", description="Break a real cluster under load.")
    options.add_argument("--short", action="store_true", help=f"only {', '.join(SHORT)}")
    options.add_argument("--only", action="append", choices=FAULTS, metavar="FAULT", help="only this; may be repeated")
    options.add_argument("--customers", type=int, default=CUSTOMERS, help="how many shop at once")
    options.add_argument("--serve", default="", metavar="OPTIONS", help="more options of jangteo serve")
    return options.parse_args()


def _drill(options: argparse.Namespace) -> int:
    names = options.only or (SHORT if options.short else tuple(FAULTS))
    cluster = Cluster(shlex.split(options.serve), _log)
    try:
        rehearsal = asyncio.run(rehearse(cluster, names, options.customers, _log))
        return _print(cluster, rehearsal)
    except Exception:
        print(cluster.tails())
        raise
    finally:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        cluster.close()


def _print(cluster: Cluster, rehearsal: Rehearsal) -> int:
    """Print the tables and what is wrong, and return the exit code."""
    print()
    for line in (*report.table(rehearsal), "", *report.summary(rehearsal)):
        print(line)
    wrong = rehearsal.findings.lines()
    if not wrong:
        return 0
    print(f"\nWrong: {len(wrong)}")
    for line in wrong[:_SHOWN]:
        print(f"  {line}")
    print(f"\n{cluster.tails()}")
    return _FAILED


def _log(line: str) -> None:
    print(f"[{monotonic() - _STARTED_AT:6.1f} s] {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
