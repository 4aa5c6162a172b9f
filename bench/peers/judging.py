"""Judges one contender: whether it sells more than it has, and what it loses when all is killed at once."""

import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from bench.contenders import postgres, shops
from bench.contenders.comparisons import CROWD
from bench.loads import clients
from bench.loads.load import CannotMeasure
from bench.peers.contending import SCARCE, SCARCE_PRODUCT, Peer

RUSH: Final = 200
"""Buyers of the scarce product, all at once."""
_RUSH_WITHIN_S: Final = 30
_KILL_AFTER_S: Final = 3
_ENDS_WITHIN_S: Final = 10


class Verdict(Struct, frozen=True):
    """What one contender did with the scarce product, and with what it had acknowledged when it was killed."""

    confirmed: int
    """Buyers of the scarce product who were answered that they have it."""
    sold: int
    """Units of it in the orders stored."""
    acknowledged: int
    """Orders that were acknowledged before all processes were killed."""
    lost: int
    """Those of them that aren't stored after all processes have started again."""

    @property
    def oversold(self) -> int:
        """Units sold, or confirmed to buyers, beyond the stock."""
        return max(self.confirmed, self.sold, SCARCE) - SCARCE


def judge(peer: Peer, folder: Path) -> Verdict:
    """Start a contender with a PostgreSQL of its own, rush it, load it, kill all, start all, and count.

    Raises CannotMeasure.
    """
    with postgres.running() as server:
        stack = peer.make(server, folder, "judged")

        def kill() -> None:
            stack.kill()
            server.kill()

        try:
            stack.start()
            confirmed = _rush(stack.address)
            acknowledged = _acknowledged_until_killed(stack.address, kill)
            server.start()
            stack.start()
            stack.settle()
            lost = acknowledged - stack.stored_orders()
            return Verdict(confirmed, stack.sold(SCARCE_PRODUCT), len(acknowledged), len(lost))
        finally:
            stack.stop()


def _rush(address: str) -> int:
    """Have everyone buy one scarce unit at once, and return how many were answered that they have it."""
    statuses: list[int] = []
    buyers = random.Random(1).sample(range(1, shops.BUYERS + 1), RUSH)
    requests = [iter([clients.order(address, buyer, (SCARCE_PRODUCT, 1))]) for buyer in buyers]
    clients.run(address, requests, _RUSH_WITHIN_S, lambda status, _: statuses.append(status))
    if len(statuses) < RUSH:
        raise CannotMeasure(f"only {len(statuses)} of {RUSH} buyers were answered within {_RUSH_WITHIN_S} s")
    return statuses.count(201)


def _acknowledged_until_killed(address: str, kill: Callable[[], None]) -> set[int]:
    """Order without a pause, kill the server meanwhile, and return the ids of all orders that were acknowledged."""
    acknowledged: set[int] = set()

    def keep(status: int, body: bytes) -> None:
        if status == 201:
            acknowledged.add(msgspec.json.decode(body)["orderId"])

    killing = threading.Timer(_KILL_AFTER_S, kill)
    killing.start()
    requests = [clients.orders(address, number) for number in range(CROWD)]
    clients.run(address, requests, _KILL_AFTER_S + _ENDS_WITHIN_S, keep)
    killing.join()
    if not acknowledged:
        raise CannotMeasure("no order was acknowledged before the kill")
    return acknowledged
