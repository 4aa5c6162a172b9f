"""`jangteo relay`: sends a shop's events from a process of its own, for servers that run without a relay."""

import asyncio
import signal

import uvloop

from jangteo import logs
from jangteo.app import close, platform_of, reads_of, relay_of, system_clock, timeouts_of
from jangteo.cli.opening import open_shop
from jangteo.cli.options import (
    Database,
    DatabaseTimeout,
    Hold,
    KeepEvents,
    Platform,
    PlatformSecrets,
)
from jangteo.cli.output import say
from jangteo.doctor import log_durability
from jangteo.engine import gc_tuning
from jangteo.engine.commands import Commands
from jangteo.engine.writer.thread import WriterThread
from jangteo.settings import Settings
from jangteo.storage.port import Storage
from jangteo.url_secrets import shown_url


def relay(
    database: Database = Settings.database,
    platform: Platform = None,
    platform_secret: PlatformSecrets = None,
    keep_events: KeepEvents = Settings.keep_events_days,
    database_timeout: DatabaseTimeout = Settings.database_timeout_s,
    hold: Hold = Settings.hold_s,
) -> None:
    """Send the shop's events until stopped, for servers that run with --no-relay.

    Several may run: one sends, and another takes over when it ends.
    """
    settings = Settings(
        database=database,
        platform=platform,
        platform_secrets=tuple(platform_secret or ()),
        keep_events_days=keep_events,
        database_timeout_s=database_timeout,
        hold_s=hold,
    )
    logs.configure()
    storage = open_shop(database, writes=True)
    log_durability(storage)
    gc_tuning.tune_gc()
    uvloop.run(_run(settings, storage))
    say("Closed. Unsent events are sent at the next start.")


async def _run(settings: Settings, storage: Storage) -> None:
    writer = WriterThread(
        storage,
        system_clock,
        batch_max=settings.batch_max,
        queue_max=settings.queue_max,
        timeouts=timeouts_of(settings),
    )
    commands = Commands(writer)
    reads = reads_of(settings, storage, system_clock)
    event_relay = relay_of(settings, commands, reads, others_commit=True)
    closing = asyncio.Event()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signal_number, closing.set)
    await commands.start()
    reads.start()
    event_relay.start()
    say(f"The relay of {shown_url(settings.database)} sends to {shown_url(platform_of(settings))}")
    say("Ctrl-C closes it.")
    await closing.wait()
    await close([event_relay.stop], commands, reads)
