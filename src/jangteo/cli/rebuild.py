"""A window of the best sellers counted anew by a command: beside servers, or where there are none; Ctrl-C ends it."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from time import monotonic
from typing import NamedTuple

import typer
import uvloop

from jangteo.app import reads_of, system_clock
from jangteo.cli.progress import show_progress
from jangteo.engine.best_sellers import Counting, Ended
from jangteo.engine.commands import Commands
from jangteo.engine.reads import Reads
from jangteo.engine.writer.thread import WriterThread
from jangteo.settings import Settings
from jangteo.storage.best_sellers.refresh import WindowGone
from jangteo.storage.best_sellers.status import count_products
from jangteo.storage.errors import Unavailable
from jangteo.storage.port import Query, Storage


class CountedAnew(NamedTuple):
    """How many products have sold in a window, and how long it took to count them."""

    products: int
    took_s: float


def count_anew(settings: Settings, storage: Storage, days: int) -> CountedAnew:
    """Count the window of so many days anew, and show how far it is.

    Raises KeyboardInterrupt where Ctrl-C has ended it, and Unavailable where it wasn't done; both leave the best
    sellers as they were.
    """
    try:
        return uvloop.run(_count(settings, storage, days))
    except Ended:
        typer.echo("Ended: the best sellers are counted as before.")
        raise KeyboardInterrupt from None
    except WindowGone:
        raise Unavailable(
            "nothing was heard of this command for minutes, so others have let go of what it counted; try again"
        ) from None


async def _count(settings: Settings, storage: Storage, days: int) -> CountedAnew:
    began = monotonic()
    async with _at_work(settings, storage) as (counting, reads):
        with show_progress("counting", lambda done: f"{done:.0%} counted") as tell:
            await counting.rebuild(days, tell)
        took_s = monotonic() - began
        products = await reads.run(Query(partial(count_products, days=days), cost="page"))
        await counting.remove_old()
    return CountedAnew(products, took_s)


@asynccontextmanager
async def _at_work(settings: Settings, storage: Storage) -> AsyncIterator[tuple[Counting, Reads]]:
    """What counts, without the task of a server's that goes on counting; Ctrl-C has it end."""
    commands = Commands(WriterThread(storage, system_clock, batch_max=settings.batch_max, queue_max=settings.queue_max))
    reads = reads_of(settings, storage, system_clock)
    counting = Counting(commands, reads)
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signal_number, counting.end)
    await commands.start()
    reads.start()
    try:
        yield counting, reads
    finally:
        await commands.stop()
        await reads.stop()
