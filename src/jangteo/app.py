"""The composition root: builds a running shop from its settings. The only module that knows all packages."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path
from time import monotonic
from typing import Any, Final

import structlog
from msgspec.structs import replace

from jangteo import __version__
from jangteo.api.access.configured import browsers_of, check_without_customers, customers_of, limiter_of
from jangteo.api.access.door import Door
from jangteo.api.access.full_times import RateMemory
from jangteo.api.access.key_ring import KeyRing
from jangteo.api.access.limiter import Limiter
from jangteo.api.access.rate_limits import TABLES
from jangteo.api.access.shop_tokens import ShopTokens
from jangteo.api.application import Api
from jangteo.api.documentation import pages
from jangteo.api.drain import Drain
from jangteo.api.http.bounds import Bounds
from jangteo.api.http.tls import Tls
from jangteo.api.routes import ROUTES
from jangteo.delivery.lease import DatabaseLease, FileLease
from jangteo.delivery.relay import Relay
from jangteo.delivery.sender import Sender
from jangteo.delivery.sinks.platforms import open_sink
from jangteo.engine.best_sellers import BestSellers
from jangteo.engine.commands import Commands, Writer
from jangteo.engine.deadlines import SHUTDOWN_TIMEOUT_S, Timeouts
from jangteo.engine.reads import Reads
from jangteo.engine.refresher import Refresher
from jangteo.engine.writer.pool import pooled
from jangteo.engine.writer.process import WriterProcess
from jangteo.engine.writer.start import WriterStart, writer_command
from jangteo.engine.writer.thread import WriterThread
from jangteo.settings import DATABASE_VARIABLE, InvalidSetting, Settings
from jangteo.storage.port import Storage
from jangteo.storage.urls import files_of, lease_file_of, open_storage, sqlite_path
from jangteo.url_secrets import shown_url

log = structlog.get_logger()
Clock = Callable[[], datetime]

UPKEEP_TIMEOUT_S: Final = 3.0
"""How long a closing shop waits for the relay and the best sellers to stop."""
READS_TIMEOUT_S: Final = 0.5
"""How long it waits for queries, at least."""


def system_clock() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def platform_of(settings: Settings) -> str:
    """Return the platform that events are sent to: the one that is set, or else a file beside the database."""
    if settings.platform is not None:
        return settings.platform
    database = sqlite_path(settings.database) or Path("shop.db")
    return f"file:{database.with_suffix('.events.jsonl')}"


def relay_of(settings: Settings, commands: Commands, reads: Reads, *, others_commit: bool) -> Relay:
    """Build the relay of a shop. Raises InvalidPlatform if the platform can't be used as named."""
    platform = platform_of(settings)
    sink = open_sink(platform, settings.platform_secrets, files_of(settings.database))
    lease_file = lease_file_of(settings.database)
    lease = DatabaseLease(commands) if lease_file is None else FileLease(lease_file)
    sender = Sender(commands, reads, sink, lease, shown_url(platform))
    return Relay(sender, retention=timedelta(days=settings.keep_events_days), others_commit=others_commit)


def timeouts_of(settings: Settings) -> Timeouts:
    """Return how long callers wait for a shop's database."""
    return Timeouts(settings.database_timeout_s, settings.hold_s)


def bounds_of(settings: Settings) -> Bounds:
    """Return what each connection may take."""
    larger = {route.path: route.body_max_bytes for route in ROUTES if route.body_max_bytes is not None}
    return Bounds(body_max_bytes=settings.body_max_bytes, body_max_bytes_by_path=larger)


def tls_of(settings: Settings) -> Tls | None:
    """Return the certificate of the port; None for plain HTTP. Raises InvalidSetting."""
    if settings.tls_certificate is None and settings.tls_key is None:
        return None
    if settings.tls_certificate is None or settings.tls_key is None:
        raise InvalidSetting("--tls-certificate and --tls-key are given together")
    return Tls(Path(settings.tls_certificate), Path(settings.tls_key))


def reads_of(settings: Settings, storage: Storage, clock: Clock) -> Reads:
    """Build the worker pools that answer a shop's queries."""
    return Reads(
        storage,
        clock,
        threads=settings.readers,
        batch_max=settings.batch_max,
        queue_max=settings.queue_max,
        timeouts=timeouts_of(settings),
    )


def writer_start_of(settings: Settings, storage: Storage) -> WriterStart:
    """Return what the writer processes of a shop are started with, but for their descriptors."""
    return WriterStart(settings.batch_max, settings.database_timeout_s, settings.hold_s, storage.identity())


async def close(upkeep: Sequence[Callable[[], Awaitable[None]]], commands: Commands, reads: Reads) -> bool:
    """Stop the upkeep, then the writer, then the reads, within SHUTDOWN_TIMEOUT_S; whether the writer ended in time.

    Whatever stands still is given up: its process ends.
    """
    give_up_at = monotonic() + SHUTDOWN_TIMEOUT_S
    stopping = [asyncio.ensure_future(stop()) for stop in upkeep]
    if stopping:
        ended, late = await asyncio.wait(stopping, timeout=UPKEEP_TIMEOUT_S)
        for each in late:
            each.cancel()
        for each in ended:
            if not each.cancelled() and (error := each.exception()):
                log.error("defect", exc_info=error)
    writer_ended = await commands.stop(give_up_at - monotonic() - READS_TIMEOUT_S)
    await reads.stop(max(give_up_at - monotonic(), READS_TIMEOUT_S))
    return writer_ended


class Keeper:
    """Does what a shop needs beside its orders: sends its events and keeps its best sellers up to date.

    One on each host is enough.
    """

    def __init__(self, settings: Settings, storage: Storage, commands: Commands, reads: Reads) -> None:
        """Raises InvalidPlatform if the platform can't be used as named."""
        self._refresher = Refresher(commands, reads)
        self._relay = relay_of(settings, commands, reads, others_commit=storage.shared) if settings.relay else None
        self.request_window = self._refresher.request_window

    def start(self) -> None:
        """Start. Called on the event loop, once commands and queries can be executed."""
        self._refresher.start()
        if self._relay is not None:
            self._relay.start()

    @property
    def upkeep(self) -> list[Callable[[], Awaitable[None]]]:
        """What stops its parts."""
        return [self._refresher.stop] if self._relay is None else [self._relay.stop, self._refresher.stop]


@dataclass(frozen=True)
class SharedHost:
    """What other processes of the host do for a shop that only serves HTTP."""

    storage: Storage
    writer: Writer
    request_window: Callable[[int], None]
    """Passes on to the keeper the days of a window that a client has requested."""
    rate_memory: RateMemory


class Shop:
    """One shop in one process."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock = system_clock,
        host: SharedHost | None = None,
    ) -> None:
        """Without `host` this process also starts the shop's writer, and is its keeper.

        Raises CannotOpen or InvalidPlatform if the database or the platform can't be used as named.
        """
        self.settings = settings
        self.storage = open_storage(settings.database) if host is None else host.storage
        self.commands = Commands(self._writer(clock) if host is None else host.writer)
        self.reads = reads_of(settings, self.storage, clock)
        self._ring = KeyRing(self.commands, self.reads, clock) if settings.access == "keys" else None
        self._keeper: Keeper | None = None
        request_window: Callable[[int], None]
        if host is None:
            self._keeper = Keeper(settings, self.storage, self.commands, self.reads)
            request_window = self._keeper.request_window
        else:
            request_window = host.request_window
        self.drain = Drain(settings.drain_s)
        self.writer_ended = True
        """Whether the writer ended in time, once the shop is closed."""
        self.bounds = bounds_of(settings)
        memory = RateMemory(TABLES) if host is None else host.rate_memory
        limiter, shop_tokens = limiter_of(settings, memory), ShopTokens(self.reads)
        self._api = Api(
            ROUTES,
            pages(ROUTES, __version__),
            self.commands,
            self.reads,
            BestSellers(self.reads, request_window),
            browsers=browsers_of(settings),
            door=self._door(limiter, shop_tokens),
            limiter=limiter,
            shop_tokens=shop_tokens,
            drain=self.drain,
            body_max_bytes=settings.body_max_bytes,
        )
        self.respond = self._api.respond

    def _door(self, limiter: Limiter, shop_tokens: ShopTokens) -> Door | None:
        """Make the door, unless the shop is open to all."""
        settings = self.settings
        if self._ring is None:
            check_without_customers(settings)
            return None
        return Door(
            self._ring,
            customers_of(settings, shop_tokens),
            limiter,
            public_reads=settings.public_reads,
            customers_cancel=settings.customers_cancel,
        )

    def _writer(self, clock: Clock) -> Writer:
        count = self.settings.writers
        queue_max = ceil(self.settings.queue_max / count)
        return pooled([self._one_writer(clock, queue_max) for _ in range(count)])

    def _one_writer(self, clock: Clock, queue_max: int) -> Writer:
        settings, timeouts = self.settings, timeouts_of(self.settings)
        if settings.writer == "thread":
            return WriterThread(
                self.storage, clock, batch_max=settings.batch_max, queue_max=queue_max, timeouts=timeouts
            )
        return WriterProcess(
            lambda descriptor: writer_command(replace(writer_start_of(settings, self.storage), client=descriptor)),
            environment={DATABASE_VARIABLE: settings.database},
            kept_files=self.storage.kept_files,
            queue_max=queue_max,
            timeouts=timeouts,
        )

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Serve requests until the end of the block; then commit and answer everything accepted, and stop."""
        await self.commands.start()
        self.reads.start()
        if self._keeper is not None:
            self._keeper.start()
        if self._ring is not None:
            self._ring.start()
        try:
            yield
        finally:
            upkeep = [] if self._keeper is None else self._keeper.upkeep
            if self._ring is not None:
                upkeep.append(self._ring.stop)
            self.writer_ended = await close(upkeep, self.commands, self.reads)

    async def __call__(
        self, _: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        """Open the shop at the server's start and close it at its end, by ASGI's lifespan."""
        await receive()
        async with self.open():
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})
