"""Watches which node can be written: asks each node ten times a second, and doesn't wait for one that stands still."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from time import time
from typing import Final

import psycopg

from drill.cluster.node import SUPERUSER, Node
from drill.waiting import until

_INTERVAL_S: Final = 0.1
_ANSWER_TIMEOUT_S: Final = 1.5


class PrimaryWatch:
    """The nodes as they last answered. An answer older than some seconds counts as none."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes
        self._writable: dict[str, bool] = {}

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Watch all nodes while the block runs."""
        tasks = [asyncio.create_task(self._watch(node)) for node in self._nodes]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def promoted(self, *, other_than: Node | None = None, timeout_s: float = 90) -> float:
        """Wait until a node can be written, and return when: seconds since 1970. Raises DrillFailed."""
        excluded = "" if other_than is None else other_than.name
        await until(lambda: any(name != excluded for name in self._primaries()), "a new primary", timeout_s)
        return time()

    async def lost(self, timeout_s: float = 90) -> None:
        """Wait until no node can be written. Raises DrillFailed."""
        await until(lambda: not self._primaries(), "a primary that gives up", timeout_s)

    def _primaries(self) -> list[str]:
        return [name for name, writable in self._writable.items() if writable]

    async def _watch(self, node: Node) -> None:
        while True:
            self._writable[node.name] = False
            with suppress(psycopg.Error, TimeoutError):
                await self._ask(node)
            await asyncio.sleep(_INTERVAL_S)

    async def _ask(self, node: Node) -> None:
        """Ask one node until it is gone, or stands still."""
        url = f"postgresql://{SUPERUSER}@127.0.0.1:{node.port}/postgres"
        async with asyncio.timeout(_ANSWER_TIMEOUT_S):
            connection = await psycopg.AsyncConnection.connect(url, autocommit=True)
        asked: asyncio.Task[bool] | None = None
        try:
            while True:
                asked = asyncio.create_task(_is_primary(connection))
                done, _ = await asyncio.wait({asked}, timeout=_ANSWER_TIMEOUT_S)
                if not done:
                    self._writable[node.name] = False
                self._writable[node.name] = await asked
                await asyncio.sleep(_INTERVAL_S)
        finally:
            if asked is not None:
                asked.cancel()
                await asyncio.gather(asked, return_exceptions=True)
            # Dropped, since a server that stands still would not take a proper close.
            connection.pgconn.finish()


async def _is_primary(connection: psycopg.AsyncConnection) -> bool:
    cursor = await connection.execute("SELECT NOT pg_is_in_recovery()")
    row = await cursor.fetchone()
    return row is not None and bool(row[0])
