"""The faults, each with the way back to a healthy cluster."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from functools import partial
from time import time
from typing import Final

import aiohttp

from drill.cluster.cluster import Cluster
from drill.cluster.primary import PrimaryWatch
from drill.customers import Customers
from drill.timeline import Fault
from drill.waiting import DrillFailed, until

_FLOWING_TIMEOUT_S: Final = 100
_FROZEN_TIMEOUT_S: Final = 60
"""How long a primary stays frozen if no answers come after the new primary is there."""
_RESTART_TIMEOUT_S: Final = 60
_STANDS_STILL_S: Final = 3
"""How long a machine still stands still after answers flow again."""
_UNCONFIRMED_S: Final = 2
"""How long a commit that no standby has can be read before the primary is lost."""


class Faults:
    """Makes faults, one after the other, while customers shop."""

    def __init__(
        self,
        cluster: Cluster,
        customers: Customers,
        watch: PrimaryWatch,
        session: aiohttp.ClientSession,
        log: Callable[[str], None],
    ) -> None:
        self._cluster = cluster
        self._customers = customers
        self._watch = watch
        self._session = session
        self._log = log
        self.made: list[Fault] = []

    async def make(self, name: str) -> None:
        """Make the fault of this name, and wait until the cluster is healthy and answers flow."""
        self._log(name)
        fault = Fault(name, time())
        self.made.append(fault)
        await FAULTS[name](self, fault)
        await self._cluster.healthy(self._session)
        await self._flowing()

    async def switch_over(self, fault: Fault) -> None:
        """The operator has the synchronous standby become the primary."""
        primary = await self._cluster.primary(self._session)
        candidate = await self._cluster.synchronous_standby(self._session)
        fault.new_primary_at, _ = await asyncio.gather(
            self._watch.promoted(other_than=primary), self._cluster.switch_over(primary, candidate, self._session)
        )

    async def kill_primary(self, fault: Fault) -> None:
        """The primary's machine is lost, and comes back after the new primary answers."""
        primary = await self._cluster.primary(self._session)
        primary.kill()
        fault.new_primary_at = await self._watch.promoted(other_than=primary)
        await self._flowing()
        primary.start()

    async def freeze_primary(self, fault: Fault) -> None:
        """The primary's machine stands still, and goes on after the new primary answers."""
        primary = await self._cluster.primary(self._session)
        primary.program.freeze()
        try:
            fault.new_primary_at = await self._watch.promoted(other_than=primary)
            self._log(f"  new primary {fault.new_primary_at - fault.began:.1f} s after")
            await self._flowing_while_frozen()
        finally:
            primary.program.thaw()

    async def lose_unconfirmed(self, fault: Fault) -> None:
        """The primary is lost with an order that no standby has, but that others could read: its session was ended.

        The client asks for it at the second server meanwhile, with the same key.
        """
        primary = await self._cluster.primary(self._session)
        standby = await self._cluster.synchronous_standby(self._session)
        first, second = (server.address for server in self._cluster.servers)

        async def end_session() -> None:
            await until(partial(self._cluster.ends_waiting_sessions, primary), "a session that waits", 10)

        async with self._customers.pausing():
            standby.freeze_receiver()
            await self._customers.order_at_both(first, second, end_session)
            await asyncio.sleep(_UNCONFIRMED_S)
            primary.kill()
            standby.kill_receiver()
        fault.new_primary_at = await self._watch.promoted(other_than=primary)
        await self._flowing()
        primary.start()

    async def kill_standby(self, fault: Fault) -> None:
        """The synchronous standby's machine is lost, and comes back when answers flow again."""
        del fault
        standby = await self._cluster.synchronous_standby(self._session)
        standby.kill()
        await self._flowing()
        standby.start()

    async def freeze_standby(self, fault: Fault) -> None:
        """The synchronous standby's machine stands still, and goes on when answers flow again."""
        del fault
        standby = await self._cluster.synchronous_standby(self._session)
        standby.program.freeze()
        try:
            await self._flowing_while_frozen()
        finally:
            standby.program.thaw()

    async def lose_quorum(self, fault: Fault) -> None:
        """Two of three members of etcd are lost; the primary gives up; then they come back."""
        self._cluster.etcd.lose_quorum()
        await self._watch.lost()
        self._log(f"  no primary {time() - fault.began:.1f} s after")
        self._cluster.etcd.start()
        fault.new_primary_at = await self._watch.promoted()

    async def restart_servers(self, fault: Fault) -> None:
        """The operator restarts one server after the other, as for an upgrade."""
        del fault
        for server in self._cluster.servers:
            server.program.interrupt(signal.SIGTERM)
            await until(server.program.has_ended, f"{server.name} ends", _RESTART_TIMEOUT_S)
            server.program.start()
            await until(partial(server.is_ready, self._session), f"{server.name} is ready", 60)
            await self._cluster.in_balancer(server, self._session)

    async def _flowing(self) -> None:
        await self._customers.flowing(_FLOWING_TIMEOUT_S)

    async def _flowing_while_frozen(self) -> None:
        try:
            await self._customers.flowing(_FROZEN_TIMEOUT_S)
        except DrillFailed:
            self._log(f"  no answers for {_FROZEN_TIMEOUT_S} s: the machine goes on")
        else:
            await asyncio.sleep(_STANDS_STILL_S)


FAULTS: Final[dict[str, Callable[[Faults, Fault], Awaitable[None]]]] = {
    "switchover": Faults.switch_over,
    "killed primary": Faults.kill_primary,
    "frozen primary": Faults.freeze_primary,
    "unconfirmed commits": Faults.lose_unconfirmed,
    "killed standby": Faults.kill_standby,
    "frozen standby": Faults.freeze_standby,
    "lost quorum": Faults.lose_quorum,
    "rolling restart": Faults.restart_servers,
}
SHORT: Final = ("switchover", "killed primary", "frozen primary")
