"""Measures all contenders by the same requests in alternating rounds, then judges each by itself."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.contenders import contenders
from bench.contenders.comparisons import CROWD, Extent
from bench.contenders.postgres import Postgres
from bench.contenders.rounds import WARM_UP_S, Comparison, Contender, alternate
from bench.loads.load import CannotMeasure
from bench.peers import contending, packages
from bench.peers.contending import Peer
from bench.peers.judging import Verdict, judge
from bench.peers.stacks import Redis, Stack

ORDERS: Final = "Peers, orders of any products"
HOT: Final = "Peers, everyone buys one product"
CLAIMS: Final = "Peers, coupon claims"
_CLAIMS_PER_S: Final = 30_000
"""More than any contender's claims, so that no user claims twice."""
_JUDGED_CLAIMANTS: Final = 10_000


@dataclass
class Peers:
    """What was measured and judged, and why something wasn't."""

    peers: list[Peer] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    """Orders and claims that were accepted and not yet stored when the last load ended."""
    notes: list[str] = field(default_factory=list)
    versions: str = ""

    def measured(self, name: str) -> Sequence[Contender] | None:
        """The peer in each comparison; None when it could not be measured."""
        found = [each for comparison in self.comparisons for each in comparison.contenders if each.name == name]
        return found or None

    def as_json(self) -> dict[str, object]:
        """Everything, as JSON has it."""
        return {
            "comparisons": {each.title: {one.name: one.rounds for one in each.contenders} for each in self.comparisons},
            "verdicts": self.verdicts,
            "waiting": self.waiting,
            "notes": self.notes,
            "versions": self.versions,
        }

    def passed(self) -> bool:
        """Whether Jangteo refused nothing, oversold nothing and lost nothing; the others only have to be counted."""
        ours = [each for each in self.peers if each.name.startswith("Jangteo")]
        failed = any(load.failed for each in ours for load in self.measured(each.name) or ())
        verdicts = [self.verdicts[each.name] for each in ours if each.name in self.verdicts]
        return not failed and not any(verdict.oversold or verdict.lost for verdict in verdicts)


def measure(folder: Path, postgres: Postgres, extent: Extent, show_progress: Callable[[str], None]) -> Peers:
    """Measure and judge whatever can be had here; the notes say what can't."""
    found = Peers()
    with ExitStack() as stack:
        show_progress("Peers: installing their packages")
        python = _environment(stack, found)
        claimants = _CLAIMS_PER_S * (WARM_UP_S + extent.rounds * extent.seconds)
        found.peers = _available(found, contending.all_of(python, claimants))
        _compare(found, folder, postgres, extent, show_progress)
        for number, peer in enumerate(_available(Peers(), contending.all_of(python, _JUDGED_CLAIMANTS))):
            show_progress(f"Peers: killing {peer.name}")
            own = folder / f"judged_{number}"
            own.mkdir()
            try:
                found.verdicts[peer.name] = judge(peer, own)
            except CannotMeasure as error:
                found.notes.append(f"{peer.name} wasn't judged: {error}")
    return found


def _environment(stack: ExitStack, found: Peers) -> Path | None:
    try:
        python = stack.enter_context(packages.environment())
    except CannotMeasure as error:
        found.notes.append(f"Only Jangteo was measured: {error}")
        return None
    found.versions = packages.versions(python)
    return python


def _available(found: Peers, peers: Iterable[Peer]) -> list[Peer]:
    wanted = list(peers)
    missing = packages.find_redis() if any(each.needs_redis for each in wanted) else None
    if missing is None:
        return wanted
    found.notes.append(f"The peers with Redis were left out: {missing}")
    return [each for each in wanted if not each.needs_redis]


def _compare(
    found: Peers, folder: Path, postgres: Postgres, extent: Extent, show_progress: Callable[[str], None]
) -> None:
    with ExitStack() as running:
        stacks: dict[str, Stack] = {}
        for number, peer in enumerate(found.peers):
            show_progress(f"Peers: starting {peer.name}")
            stack = peer.make(postgres, folder, f"peer_{number}")
            running.callback(stack.stop)
            try:
                stack.start()
            except CannotMeasure as error:
                found.notes.append(f"{peer.name} wasn't measured: {error}")
            else:
                stacks[peer.name] = stack
        for title, load in (
            (ORDERS, contenders.orders),
            (HOT, contenders.one_product),
            (CLAIMS, contenders.claims),
        ):
            contending_here = [load(name, each.address, CROWD) for name, each in stacks.items()]
            found.comparisons.append(
                alternate(Comparison(title, contending_here), extent.rounds, extent.seconds, show_progress)
            )
        found.waiting = {name: each.waiting() for name, each in stacks.items() if isinstance(each, Redis)}
