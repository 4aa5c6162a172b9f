"""Fuzzing a shop: clients at work, floods between their steps, and what the shop's processes hold all the while."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Final

from drill.waiting import DrillFailed, until
from fuzz.client import FuzzingClient
from fuzz.faults import Fault
from fuzz.floods import FLOODS
from fuzz.served import Footprint, Served

ANSWER_S: Final = 3.0
"""The longest that an answer may take."""
_CLIENTS: Final = 4
_WARM_UP_STEPS: Final = 30
_STEPS_BETWEEN_FLOODS: Final = 1_000
_FINDINGS_MAX: Final = 20
_PEAK_MAX_KIB: Final = 100_000
"""How much more memory a process may have than at the beginning."""
_KEPT_MAX_KIB: Final = 20_000
"""How much more it may have at the end, and besides what the cache of SQLite's pages has taken."""
_CACHED_KIB_PER_STEP: Final = 1
_CACHE_MAX_KIB: Final = 70_000
_DESCRIPTORS_SLACK: Final = 8
"""For connections to the database that are opened late."""
_SAMPLE_S: Final = 0.5
_SETTLED_TIMEOUT_S: Final = 15

Enough = Callable[[int], bool]
"""Whether so many steps are enough."""


class Fuzzing:
    """The fuzzing of one shop."""

    def __init__(self, served: Served, seed: int, answer_s: float = ANSWER_S) -> None:
        self._served = served
        self._answer_s = answer_s
        self._clients = [FuzzingClient(served.address, f"{seed}.{number}", answer_s) for number in range(_CLIENTS)]
        self._faults: list[str] = []
        self._before: list[Footprint] = []

    @property
    def steps(self) -> int:
        """How many steps were done."""
        return sum(client.steps for client in self._clients)

    @property
    def findings(self) -> list[str]:
        """What is wrong with the answers and the processes."""
        return [*(str(each) for client in self._clients for each in client.findings), *self._faults]

    async def run(self, is_enough: Enough) -> None:
        """Warm the shop up, fuzz it until the steps are enough or too much is wrong, and see what it still holds."""
        for client in self._clients:
            await client.open()
        await self._flood()
        await self._work(lambda steps: steps >= _WARM_UP_STEPS * _CLIENTS)
        await self._settle()
        self._before = self._served.footprints()
        async with self._watching():
            while not self._is_over(is_enough):
                await self._work(self._until_flood(is_enough))
                await self._flood()
        await self._settle()

    def _is_over(self, is_enough: Enough) -> bool:
        return is_enough(self.steps) or len(self.findings) >= _FINDINGS_MAX

    def _until_flood(self, is_enough: Enough) -> Enough:
        flood_at = self.steps + _STEPS_BETWEEN_FLOODS
        return lambda steps: steps >= flood_at or self._is_over(is_enough)

    async def _work(self, is_enough: Enough) -> None:
        async def work(client: FuzzingClient) -> None:
            while not is_enough(self.steps):
                await client.step()

        await asyncio.gather(*(work(client) for client in self._clients))

    async def _flood(self) -> None:
        # The server may close the longest idle connections, so none may be kept.
        await self._close()
        for flood in FLOODS:
            try:
                await flood(self._served.address, self._answer_s)
            except (Fault, OSError) as error:
                self._faults.append(f"{flood.__name__}: {error!r}")

    @asynccontextmanager
    async def _watching(self) -> AsyncIterator[None]:
        """Look at the processes now and then while the block runs."""
        watching = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watching.cancel()

    async def _watch(self) -> None:
        while True:
            grown = self._grown(_PEAK_MAX_KIB)
            if grown:
                self._faults.extend(grown)
                return
            await asyncio.sleep(_SAMPLE_S)

    async def _settle(self) -> None:
        """Close all connections, and wait until the processes hold no more than before."""
        await self._close()
        try:
            await until(lambda: not self._kept(), "the processes hold no more than before", _SETTLED_TIMEOUT_S)
        except DrillFailed:
            self._faults.extend(self._kept())

    async def _close(self) -> None:
        for client in self._clients:
            await client.close()

    def _pairs(self) -> Iterable[tuple[Footprint, Footprint]]:
        return zip(self._before, self._served.footprints(), strict=False)

    def _kept(self) -> list[str]:
        cached_kib = min(_CACHED_KIB_PER_STEP * self.steps, _CACHE_MAX_KIB)
        return [*self._leaked(), *self._grown(_KEPT_MAX_KIB + cached_kib)]

    def _grown(self, most_kib: int) -> list[str]:
        return [
            f"the {now.name} has grown from {before.anonymous_kib:,} to {now.anonymous_kib:,} KiB"
            for before, now in self._pairs()
            if now.anonymous_kib > before.anonymous_kib + most_kib
        ]

    def _leaked(self) -> list[str]:
        return [
            f"the {now.name} has {now.descriptors} descriptors open, and had {before.descriptors}"
            for before, now in self._pairs()
            if now.descriptors > before.descriptors + _DESCRIPTORS_SLACK
        ]


async def fuzz(served: Served, seed: int, is_enough: Enough, answer_s: float = ANSWER_S) -> list[str]:
    """Serve a shop, fuzz it, end and audit it. Returns what is wrong."""
    await served.start()
    fuzzing = Fuzzing(served, seed, answer_s)
    await fuzzing.run(is_enough)
    await served.end()
    audit = served.audit()
    return [*fuzzing.findings, *served.faults(), *([audit] if audit else [])]
