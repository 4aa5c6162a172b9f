"""`jangteo serve`: open the shop and serve it until a signal ends it."""

import asyncio
import errno
import signal
import socket
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Final, Literal

import typer

from jangteo import demo, logs
from jangteo.api.http import server
from jangteo.api.http.shutdown import Shutdown
from jangteo.api.http.tls import Tls
from jangteo.app import Shop, system_clock, tls_of
from jangteo.cli.door_options import (
    AllowedHosts,
    AllowedOrigins,
    CustomersAudience,
    CustomersClaim,
    CustomersIssuer,
    CustomersJwks,
    Rates,
    TlsCertificate,
    TlsKey,
    TrustedProxies,
)
from jangteo.cli.keys import make_key
from jangteo.cli.options import (
    Database,
    DatabaseTimeout,
    Hold,
    KeepEvents,
    Platform,
    PlatformSecrets,
)
from jangteo.cli.output import say
from jangteo.cli.start_lines import start_lines
from jangteo.core.keys import PRESETS
from jangteo.doctor import log_durability
from jangteo.engine import gc_tuning
from jangteo.host.supervisor import Supervisor
from jangteo.redaction import redaction
from jangteo.settings import LOOPBACK, Settings

_BACKLOG: Final = 2048
LOST: Final = 1
"""The exit code where the database's file was lost."""
_DEMO_KEY_LASTS: Final = timedelta(days=1)
_DRAIN_S: Final = 5
"""The default drain where other machines may send requests."""


def serve(
    database: Database = Settings.database,
    host: Annotated[str, typer.Option(envvar="JANGTEO_HOST", help="The address to listen on.")] = Settings.host,
    port: Annotated[
        int, typer.Option(envvar="JANGTEO_PORT", min=0, max=65_535, help="The port; 0 takes any free one.")
    ] = Settings.port,
    drain: Annotated[
        int | None,
        typer.Option(
            envvar="JANGTEO_DRAIN",
            min=0,
            max=3_600,
            metavar="SECONDS",
            help="How long the server still answers after SIGTERM, while /health/ready says 503. "
            f"Default: 0 on loopback, {_DRAIN_S} elsewhere.",
            show_default=False,
        ),
    ] = None,
    access: Annotated[
        Literal["open", "keys"] | None,
        typer.Option(
            envvar="JANGTEO_ACCESS",
            help="Who may make calls: anyone who reaches the port (open), or holders of API keys and customers (keys). "
            "Default: open on loopback, keys elsewhere.",
            show_default=False,
        ),
    ] = None,
    public_reads: Annotated[
        bool,
        typer.Option(
            "--public-reads/--no-public-reads",
            envvar="JANGTEO_PUBLIC_READS",
            help="With --access keys: whether anyone may read products and campaigns.",
        ),
    ] = Settings.public_reads,
    customer_cancel: Annotated[
        bool,
        typer.Option(
            "--customer-cancel/--no-customer-cancel",
            envvar="JANGTEO_CUSTOMER_CANCEL",
            help="With --access keys: whether customers may cancel their own orders.",
        ),
    ] = Settings.customers_cancel,
    platform: Platform = None,
    platform_secret: PlatformSecrets = None,
    relay: Annotated[
        bool,
        typer.Option(
            "--relay/--no-relay",
            envvar="JANGTEO_RELAY",
            help="Whether this server sends the events. Without, run jangteo relay to send them.",
        ),
    ] = Settings.relay,
    keep_events: KeepEvents = Settings.keep_events_days,
    workers: Annotated[
        int,
        typer.Option(
            envvar="JANGTEO_WORKERS",
            min=1,
            max=64,
            help="Processes that serve HTTP and read, behind one port; they share the writers.",
        ),
    ] = 1,
    demo_shop: Annotated[
        bool,
        typer.Option("--demo", envvar="JANGTEO_DEMO", help="Fill an empty database with a small shop."),
    ] = False,
    batch_max: Annotated[
        int,
        typer.Option(envvar="JANGTEO_BATCH_MAX", min=1, max=10_000, help="The most commands in one transaction."),
    ] = Settings.batch_max,
    queue_max: Annotated[
        int,
        typer.Option(
            envvar="JANGTEO_QUEUE_MAX",
            min=1,
            max=1_000_000,
            help="The most commands that may wait; beyond it clients get 503 with Retry-After.",
        ),
    ] = Settings.queue_max,
    writer: Annotated[
        Literal["process", "thread"],
        typer.Option(
            envvar="JANGTEO_WRITER",
            help="What commits batches: a child process or, on a machine with one core, a thread.",
        ),
    ] = "process",
    writers: Annotated[
        int,
        typer.Option(
            envvar="JANGTEO_WRITERS",
            min=1,
            max=16,
            help="Processes that commit. More than one needs PostgreSQL.",
        ),
    ] = Settings.writers,
    readers: Annotated[
        int,
        typer.Option(
            envvar="JANGTEO_READERS",
            min=1,
            max=64,
            help="Threads that run short queries; longer queries have threads of their own.",
        ),
    ] = Settings.readers,
    database_timeout: DatabaseTimeout = Settings.database_timeout_s,
    hold: Hold = Settings.hold_s,
    allowed_host: AllowedHosts = None,
    allowed_origin: AllowedOrigins = None,
    trusted_proxy: TrustedProxies = None,
    rate: Rates = None,
    customers_jwks: CustomersJwks = None,
    customers_issuer: CustomersIssuer = None,
    customers_audience: CustomersAudience = None,
    customers_claim: CustomersClaim = Settings.customers_claim,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
) -> None:
    """Serve the shop over HTTP."""
    settings = Settings(
        database=database,
        platform=platform,
        platform_secrets=tuple(platform_secret or ()),
        relay=relay,
        keep_events_days=keep_events,
        host=host,
        port=port,
        drain_s=(0 if host in LOOPBACK else _DRAIN_S) if drain is None else drain,
        access=access or ("open" if host in LOOPBACK else "keys"),
        public_reads=public_reads,
        customers_cancel=customer_cancel,
        demo=demo_shop,
        batch_max=batch_max,
        queue_max=queue_max,
        readers=readers,
        writer=writer,
        writers=writers,
        database_timeout_s=database_timeout,
        hold_s=hold,
        allowed_hosts=tuple(allowed_host or ()),
        allowed_origins=tuple(allowed_origin or ()),
        trusted_proxies=tuple(trusted_proxy or ()),
        rates=tuple(rate or ()),
        customers_jwks=customers_jwks,
        customers_issuer=customers_issuer,
        customers_audience=customers_audience,
        customers_claim=customers_claim,
        tls_certificate=tls_certificate,
        tls_key=tls_key,
    )
    logs.configure()
    tls = tls_of(settings)
    listening = _listen(host, port)
    shop = Shop(settings)
    if workers > 1 and writer == "thread":
        raise typer.BadParameter("--workers above 1 needs --writer process: the workers share it")
    if writers > 1 and not shop.storage.shared:
        raise typer.BadParameter("--writers above 1 needs PostgreSQL; SQLite runs one write transaction at a time")
    for notice in shop.storage.prepare():
        say(notice)
    log_durability(shop.storage)
    try:
        filled = settings.demo and demo.fill(shop.storage, system_clock)
        signals = _StopSignals()
        key = _demo_key(shop) if settings.demo and settings.access == "keys" else None
        for line in start_lines(settings, shop.storage, listening.getsockname()[1], filled=filled, key=key):
            say(line)
        if key is not None:
            # From here on it appears in nothing.
            redaction.hide([key])
        if workers > 1:
            writer_ended = _serve_with(workers, shop, listening, signals)
        else:
            writer_ended = _serve_alone(shop, listening, signals, tls)
        _close(shop, writer_ended=writer_ended)
    finally:
        shop.storage.close()


def _demo_key(shop: Shop) -> str:
    """Make a key for trying the demo shop; each start has a new one, since none can be shown again."""
    with closing(shop.storage.connect()) as connection:
        return make_key(connection, "demo", PRESETS["admin"], system_clock() + _DEMO_KEY_LASTS)[1]


def _serve_alone(shop: Shop, listening: socket.socket, signals: "_StopSignals", tls: Tls | None) -> bool:
    """Serve in this process; return whether the writer ended in time."""

    def make() -> Shop:
        Shutdown(shop.drain)
        # Those that arrived before the handlers were set.
        for each in signals.received:
            signal.raise_signal(each)
        return shop

    gc_tuning.tune_gc()
    server.serve(make, listening, tls)
    return shop.writer_ended


def _serve_with(front_ends: int, shop: Shop, listening: socket.socket, signals: "_StopSignals") -> bool:
    """Serve with several processes; return whether the writers ended in time."""

    async def supervise(folder: str) -> bool:
        supervisor = Supervisor(shop.settings, front_ends, listening, shop.storage, Path(folder))
        return await supervisor.run(lambda: signals.received)

    with TemporaryDirectory(prefix="jangteo-", ignore_cleanup_errors=True) as folder:
        return asyncio.run(supervise(folder))


def _close(shop: Shop, *, writer_ended: bool) -> None:
    """Close the storage and say what became of the shop. Raises Exit where an acknowledged change may be lost."""
    loss = shop.storage.loss()
    shop.storage.close()
    if not writer_ended:
        fate = "was killed" if shop.settings.writer == "process" else "ends now"
        say(f"The writer stood still and {fate}: whether what it had not answered is committed is not known.")
    if loss is not None:
        say(f"Closed. Acknowledged changes may be lost: {loss}")
        raise typer.Exit(LOST)
    say("Closed. Every acknowledged change is on disk.")


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except (socket.gaierror, UnicodeError) as error:
        raise typer.BadParameter(f"--host {host} can't be resolved") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise typer.BadParameter(
                f"port {port} on {host} is in use; stop the program that listens there, or choose another with --port"
            ) from error
        raise typer.BadParameter(f"can't listen on {host}:{port}: {error.strerror}") from error
    return listening


class _StopSignals:
    """Catches SIGINT and SIGTERM before the HTTP server has handlers of its own, and after it has restored these."""

    def __init__(self) -> None:
        self.received: list[int] = []
        for signal_number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signal_number, self._receive)

    def _receive(self, signal_number: int, _: object) -> None:
        self.received.append(signal_number)
