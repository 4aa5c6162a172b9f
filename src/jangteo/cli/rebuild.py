"""Rebuilding a window of the best sellers by a command: beside servers, or without any. Ctrl-C aborts it."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from time import monotonic
from typing import NamedTuple

import uvloop

from jangteo.app import reads_of, system_clock
from jangteo.cli.output import say
from jangteo.cli.progress import show_progress
from jangteo.engine.backfill import Backfill, BackfillAborted
from jangteo.engine.commands import Commands
from jangteo.engine.reads import Reads
from jangteo.engine.writer.thread import WriterThread
from jangteo.settings import Settings
from jangteo.storage.best_sellers.backfill import WindowRetired
from jangteo.storage.best_sellers.status import count_products
from jangteo.storage.errors import Unavailable
from jangteo.storage.port import Query, Storage


class Rebuilt(NamedTuple):
    """How many products have sold in the window, and how long its backfill took."""

    products: int
    took_s: float


def rebuild_window(settings: Settings, storage: Storage, days: int) -> Rebuilt:
    """Rebuild the window of `days` days, showing the progress.

    Raises KeyboardInterrupt if Ctrl-C has aborted it, and Unavailable if it failed; both leave the best sellers as they
    were.
    """
    try:
        return uvloop.run(_rebuild(settings, storage, days))
    except BackfillAborted:
        say("Aborted: the best sellers are as before.")
        raise KeyboardInterrupt from None
    except WindowRetired:
        raise Unavailable(
            "this command could not record a heartbeat for minutes, so a server retired its window; try again"
        ) from None


async def _rebuild(settings: Settings, storage: Storage, days: int) -> Rebuilt:
    started_at = monotonic()
    async with _running(settings, storage) as (backfill, reads):
        with show_progress("backfilling", lambda done: f"{done:.0%} backfilled") as report:
            await backfill.rebuild(days, report)
        took_s = monotonic() - started_at
        products = await reads.run(Query(partial(count_products, days=days), cost="page"))
        await backfill.remove_retired()
    return Rebuilt(products, took_s)


@asynccontextmanager
async def _running(settings: Settings, storage: Storage) -> AsyncIterator[tuple[Backfill, Reads]]:
    """A backfill with what it needs of a shop, without a server's refreshes. Ctrl-C and SIGTERM abort it."""
    commands = Commands(WriterThread(storage, system_clock, batch_max=settings.batch_max, queue_max=settings.queue_max))
    reads = reads_of(settings, storage, system_clock)
    backfill = Backfill(commands, reads)
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signal_number, backfill.abort)
    await commands.start()
    reads.start()
    try:
        yield backfill, reads
    finally:
        await commands.stop()
        await reads.stop()
