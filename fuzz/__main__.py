"""`make fuzz`: fuzzes a shop for some minutes, prints what is wrong, and exits with 1 if anything is."""

import argparse
import sys
from random import SystemRandom
from time import monotonic
from typing import Final

from fuzz.fuzzing import Enough, fuzz
from fuzz.running import run

_SEEDS: Final = 10**6
_REPORT_S: Final = 60.0


def main() -> int:
    """Fuzz a shop, and return the exit code."""
    options = argparse.ArgumentParser(prog="python -m fuzz", description="Send a shop what no client should.")
    options.add_argument("--minutes", type=float, default=2, help="for how long")
    options.add_argument("--seed", type=int, default=SystemRandom().randrange(_SEEDS), help="what decides each step")
    options.add_argument("--database", help="of the shop, which is written to; a new SQLite file if it is not given")
    given = options.parse_args()
    print(f"Fuzzing for {given.minutes:g} min with --seed {given.seed}", flush=True)
    return run(given.database, lambda served: fuzz(served, given.seed, _for(given.minutes)))


def _for(minutes: float) -> Enough:
    """Return what says whether the time is over, and prints the number of steps now and then."""
    end_at = monotonic() + 60 * minutes
    report_at = monotonic() + _REPORT_S

    def is_enough(steps: int) -> bool:
        nonlocal report_at
        now = monotonic()
        if now >= report_at:
            report_at = now + _REPORT_S
            print(f"{steps:,} steps", flush=True)
        return now >= end_at

    return is_enough


if __name__ == "__main__":
    sys.exit(main())
