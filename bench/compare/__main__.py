"""Measures chosen loads in turns between a commit and this tree; exits with 1 when a request failed, else with 0."""

import argparse
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from rich.console import Console

from bench.compare.states import State, both
from bench.compare.verdicts import Ratio, Row, row
from bench.contenders import contenders, postgres, servers
from bench.contenders.comparisons import CROWD, KINDS
from bench.contenders.postgres import Postgres
from bench.contenders.rounds import WARM_UP_S, Contender
from bench.loads import wrk
from bench.loads.load import CannotMeasure
from bench.reports.report import print_table

_LOADS: Final[dict[str, Callable[[str, str], Contender]]] = {
    "orders": lambda name, address: contenders.orders(name, address, CROWD),
    "hot": lambda name, address: contenders.one_product(name, address, CROWD),
    "claims": lambda name, address: contenders.claims(name, address, CROWD),
    "list": lambda name, address: contenders.reads(name, address, CROWD),
    "product": lambda name, address: contenders.one_product_read(name, address, CROWD),
    "alone": lambda name, address: contenders.orders(name, address, 1),
}
_HEADINGS: Final = ("", "base /s", "this tree /s", "ratio", "95% interval", "p99 ratio", "95% interval", "")
_CLAIMS_PER_S: Final = 30_000
_BUILD: Final = Path("build")
_FAILED: Final = 1
_UNUSABLE: Final = 2
_INTERRUPTED: Final = 130


def main() -> int:
    """Compare, print, and return the exit code."""
    given = _options()
    if not wrk.is_installed():
        print("bench-compare needs wrk: apt-get install wrk", file=sys.stderr)
        return _UNUSABLE
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        return _compare(given)
    except CannotMeasure as error:
        print(f"bench-compare: {error}", file=sys.stderr)
        return _UNUSABLE
    except KeyboardInterrupt:
        print("bench-compare: interrupted", file=sys.stderr)
        return _INTERRUPTED


def _options() -> argparse.Namespace:
    options = argparse.ArgumentParser(prog="python -m bench.compare", description="Compare this tree with a commit.")
    options.add_argument("base", metavar="COMMIT", help="what to compare with")
    options.add_argument("--loads", nargs="+", choices=_LOADS, default=list(_LOADS))
    options.add_argument("--database", nargs="+", choices=KINDS, default=KINDS)
    options.add_argument("--rounds", type=int, default=7, help="at least 6, or nothing can be said of the noise")
    options.add_argument("--seconds", type=int, default=1, help="of each load")
    return options.parse_args()


def _compare(given: argparse.Namespace) -> int:
    console = Console()
    _BUILD.mkdir(exist_ok=True)
    with ExitStack() as stack:
        status = stack.enter_context(console.status("starting"))
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="compare-", dir=_BUILD))).absolute()
        base, ours = stack.enter_context(both(given.base))
        server = stack.enter_context(postgres.running()) if "PostgreSQL" in given.database else None
        rows = [
            each
            for kind in given.database
            for each in _on_one_database(kind, (base, ours), given, folder, server, show_progress=status.update)
        ]
    title = f"{ours.name} beside {base.name}, {given.rounds} rounds of {given.seconds} s"
    print_table(console, title, _HEADINGS, map(_cells, rows))
    differing = [f"{each.load}: {each.verdict()}" for each in rows if each.verdict()]
    for line in differing or ["Nothing differs beyond the noise."]:
        console.print(line, highlight=False, markup=False)
    if rows and not rows[0].speed.certain:
        console.print("Fewer than 6 rounds say nothing about the noise.", highlight=False)
    return _FAILED if any(each.failed for each in rows) else 0


def _on_one_database(
    kind: str,
    states: Sequence[State],
    given: argparse.Namespace,
    folder: Path,
    server: Postgres | None,
    *,
    show_progress: Callable[[str], None],
) -> Iterator[Row]:
    claimants = _CLAIMS_PER_S * (WARM_UP_S + given.rounds * given.seconds) if "claims" in given.loads else 0
    with ExitStack() as stack:
        served = []
        for number, state in enumerate(states):
            show_progress(f"{kind}: making a shop by {state.name}")
            name = f"state_{number}"
            url = f"sqlite:///{folder / name}.db" if server is None or kind == "SQLite" else server.create(name)
            state.make_shop(url, claimants)
            options = ("--platform", f"file:{folder / name}.{kind}.jsonl")
            command = servers.shop(url, *options, python=state.python)
            served.append(stack.enter_context(servers.serving(command, state.variables())))
            if server is not None and kind == "PostgreSQL":
                server.sync(name)
        for load in given.loads:
            base, ours = (_LOADS[load](state.name, each.address) for state, each in zip(states, served, strict=True))
            _in_turns(f"{kind}, {load}", (base, ours), given, show_progress)
            yield row(f"{kind}, {load}", base, ours)


def _in_turns(
    title: str, pair: tuple[Contender, Contender], given: argparse.Namespace, show_progress: Callable[[str], None]
) -> None:
    """Load both in every round, the one that was second first in the next: so a drift favours neither."""
    for each in pair:
        with suppress(CannotMeasure):
            each.run(WARM_UP_S)
    for number in range(given.rounds):
        show_progress(f"{title}: round {number + 1} of {given.rounds}")
        for each in pair if number % 2 == 0 else pair[::-1]:
            each.rounds.append(each.run(given.seconds))


def _cells(found: Row) -> tuple[str, ...]:
    return (
        found.load,
        f"{found.base_per_s:,.0f}",
        f"{found.ours_per_s:,.0f}",
        f"{found.speed.middle:.3f}",
        _interval(found.speed),
        f"{found.p99.middle:.2f}",
        _interval(found.p99),
        found.verdict(),
    )


def _interval(found: Ratio) -> str:
    return f"{found.low:.3f} to {found.high:.3f}"


if __name__ == "__main__":
    sys.exit(main())
