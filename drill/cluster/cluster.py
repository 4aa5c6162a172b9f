"""All programs of the cluster together, and what can be asked of them."""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import aiohttp
import psycopg

from drill.cluster.balancer import Balancer
from drill.cluster.etcd import Etcd
from drill.cluster.node import SUPERUSER, Node
from drill.cluster.server import Platform, Server
from drill.programs import Program, kill_all
from drill.waiting import DrillFailed, until

_NODES: Final = ("pg1", "pg2", "pg3")
_SERVERS: Final = ("server1", "server2")
_HEALTHY_TIMEOUT_S: Final = 150
_RUNNING: Final = {"running", "streaming"}
_END_WAITING_SESSIONS: Final = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name = 'jangteo' AND wait_event = 'SyncRep'
"""


class Cluster:
    """Everything that runs, in one folder. `close` ends all of it, whatever state it is in."""

    def __init__(self, server_options: Sequence[str], log: Callable[[str], None]) -> None:
        # PostgreSQL's system user has to get in.
        self.folder = Path(tempfile.mkdtemp(prefix="jangteo-drill-", dir="/var/tmp"))
        self.folder.chmod(0o755)
        self._log = log
        self.etcd = Etcd(self.folder)
        self.nodes = [Node(self.folder / name, self.etcd.hosts) for name in _NODES]
        self.platform = Platform(self.folder / "platform")
        self.servers = [
            Server(self.folder / name, self.url("shop"), self.platform.url, server_options) for name in _SERVERS
        ]
        self.balancer = Balancer(self.folder / "haproxy", [(each.name, each.port) for each in self.servers])

    def url(self, user: str) -> str:
        """The URL of the shop's database, with all nodes in it."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"postgresql://{user}@{hosts}/shop?target_session_attrs=read-write"

    async def start(self, session: aiohttp.ClientSession) -> None:
        """Start everything, and wait until the balancer's servers sell. Raises DrillFailed."""
        self.etcd.start()
        self.platform.program.start()
        for node in self.nodes:
            node.start()
        await self.healthy(session)
        self._log("three nodes with a synchronous standby")
        await self._create_database()
        for server in self.servers:
            server.program.start()
            await until(partial(server.is_ready, session), f"{server.name} is ready", 60)
        self.balancer.program.start()
        await until(lambda: self.platform.is_ready(session), "the platform is ready", 30)
        for server in self.servers:
            await self.in_balancer(server, session)

    async def in_balancer(self, server: Server, session: aiohttp.ClientSession) -> None:
        """Wait until the balancer sends requests to the server. Raises DrillFailed."""
        await until(lambda: self.balancer.uses(server.name, session), f"{server.name} in the balancer", 60)

    async def healthy(self, session: aiohttp.ClientSession) -> None:
        """Wait until there are a primary and two standbys, one of them synchronous. Raises DrillFailed."""

        async def holds() -> bool:
            members = await self._members(session)
            roles = sorted(each["role"] for each in members if each.get("state") in _RUNNING)
            timelines = {each.get("timeline") for each in members}
            return roles == ["leader", "replica", "sync_standby"] and len(timelines) == 1

        await until(holds, "a primary with two standbys, one of them synchronous", _HEALTHY_TIMEOUT_S)

    async def primary(self, session: aiohttp.ClientSession) -> Node:
        """Return the primary. Raises DrillFailed if there is none."""
        return await self._node(session, "leader")

    async def synchronous_standby(self, session: aiohttp.ClientSession) -> Node:
        """Return the synchronous standby. Raises DrillFailed if there is none."""
        return await self._node(session, "sync_standby")

    async def switch_over(self, primary: Node, candidate: Node, session: aiohttp.ClientSession) -> None:
        """Have Patroni make the candidate the primary, and wait for its answer. Raises DrillFailed."""
        names = {"leader": primary.name, "candidate": candidate.name}
        timeout = aiohttp.ClientTimeout(total=60)
        async with session.post(f"{primary.rest}/switchover", json=names, timeout=timeout) as answer:
            if not answer.ok:
                raise DrillFailed(f"Patroni refuses the switchover: {await answer.text()}")

    async def ends_waiting_sessions(self, primary: Node) -> bool:
        """End the shop's sessions that wait for the standby's confirmation, and return whether there were any."""
        url = f"postgresql://{SUPERUSER}@127.0.0.1:{primary.port}/shop"
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            return bool(await (await connection.execute(_END_WAITING_SESSIONS)).fetchall())

    def tails(self) -> str:
        """Return the last lines of every program's log."""
        return "\n\n".join(f"--- {each.name} ---\n{each.tail()}" for each in self._programs())

    def close(self) -> None:
        """End every process, and remove the folder."""
        for node in self.nodes:
            node.stop()
        kill_all(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _programs(self) -> list[Program]:
        nodes = [node.program for node in self.nodes]
        servers = [server.program for server in self.servers]
        return [*servers, self.balancer.program, self.platform.program, *nodes, *self.etcd.members]

    async def _create_database(self) -> None:
        url = self.url(SUPERUSER).replace("/shop?", "/postgres?")
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            await connection.execute("CREATE ROLE shop LOGIN")
            await connection.execute("CREATE DATABASE shop OWNER shop")

    async def _node(self, session: aiohttp.ClientSession, role: str) -> Node:
        names = [each["name"] for each in await self._members(session) if each["role"] == role]
        found = [node for node in self.nodes if node.name in names]
        if not found:
            raise DrillFailed(f"no node is the {role}")
        return found[0]

    async def _members(self, session: aiohttp.ClientSession) -> list[dict[str, Any]]:
        """Return the members as the first node that answers knows them."""
        for node in self.nodes:
            try:
                async with session.get(f"{node.rest}/cluster") as answer:
                    members: list[dict[str, Any]] = (await answer.json(content_type=None))["members"]
                    return members
            except (aiohttp.ClientError, TimeoutError, KeyError, ValueError):
                continue
        return []
