"""`jangteo serve`: open the shop and take orders until told to stop."""

import errno
import signal
import socket
from typing import Annotated, Literal

import typer
import uvicorn

from jangteo import demo, logs
from jangteo.api.http import server
from jangteo.app import Shop, platform_of, system_clock
from jangteo.cli.options import Database, KeepEvents, Platform, PlatformSecret, shown
from jangteo.delivery.sinks.platforms import shown_platform
from jangteo.engine import gc_tuning
from jangteo.settings import LOOPBACK, Settings
from jangteo.workers import run as run_workers

_BACKLOG = 2048


def serve(
    database: Database = Settings.database,
    host: Annotated[str, typer.Option(envvar="JANGTEO_HOST", help="The address to listen on.")] = Settings.host,
    port: Annotated[
        int, typer.Option(envvar="JANGTEO_PORT", min=0, max=65_535, help="0 takes any free port.")
    ] = Settings.port,
    platform: Platform = None,
    platform_secret: PlatformSecret = None,
    relay: Annotated[
        bool,
        typer.Option(
            "--relay/--no-relay",
            envvar="JANGTEO_RELAY",
            help="Whether this server sends the events; without, jangteo relay does.",
        ),
    ] = Settings.relay,
    keep_events: KeepEvents = Settings.keep_events_days,
    workers: Annotated[
        int,
        typer.Option(
            envvar="JANGTEO_WORKERS",
            min=1,
            max=64,
            help="Processes that serve, each with a writer of its own; SQLite is served by one.",
        ),
    ] = 1,
    demo_shop: Annotated[
        bool,
        typer.Option("--demo", envvar="JANGTEO_DEMO", help="Fill an empty database with a small shop."),
    ] = False,
    batch_max: Annotated[
        int,
        typer.Option(
            envvar="JANGTEO_BATCH_MAX",
            min=1,
            max=10_000,
            help="Commands in one transaction, at most.",
        ),
    ] = Settings.batch_max,
    queue_max: Annotated[
        int,
        typer.Option(
            envvar="JANGTEO_QUEUE_MAX",
            min=1,
            max=1_000_000,
            help="Commands waiting, at most; beyond it clients are told to come again (503).",
        ),
    ] = Settings.queue_max,
    writer: Annotated[
        Literal["process", "thread"],
        typer.Option(
            envvar="JANGTEO_WRITER",
            help="Where batches are committed: in a process of its own, or, for a machine with one core, in a thread.",
        ),
    ] = "process",
    writers: Annotated[
        int,
        typer.Option(
            envvar="JANGTEO_WRITERS",
            min=1,
            max=16,
            help="How many commit at once, in each of the processes that serve; SQLite takes one.",
        ),
    ] = Settings.writers,
    readers: Annotated[
        int,
        typer.Option(
            envvar="JANGTEO_READERS",
            min=1,
            max=64,
            help="Threads that answer quick questions; one more answers those that take long.",
        ),
    ] = Settings.readers,
) -> None:
    """Serve the shop over HTTP."""
    settings = Settings(
        database=database,
        platform=platform,
        platform_secret=platform_secret,
        relay=relay,
        keep_events_days=keep_events,
        host=host,
        port=port,
        demo=demo_shop,
        batch_max=batch_max,
        queue_max=queue_max,
        readers=readers,
        writer=writer,
        writers=writers,
    )
    logs.configure()
    listening = _listen(host, port)
    shop = Shop(settings)
    if workers > 1 and not shop.storage.shared:
        raise typer.BadParameter("--workers above 1 needs PostgreSQL; SQLite is served by one process")
    if writers > 1 and not shop.storage.shared:
        raise typer.BadParameter("--writers above 1 needs PostgreSQL; SQLite takes one transaction at a time")
    shop.storage.prepare()
    try:
        filled = settings.demo and demo.fill(shop.storage, system_clock)
        closing = _Closing()
        _announce(settings, listening.getsockname()[1], filled=filled)
        if workers > 1:
            run_workers(settings, workers, listening, lambda: not closing.asked)
        else:
            _run(shop, listening, closing)
        typer.echo("Closed. Everything that was acknowledged is on disk.")
    finally:
        shop.storage.close()


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
                f"port {port} on {host} is in use; stop what listens there, or name another with --port"
            ) from error
        raise typer.BadParameter(f"can't listen on {host}:{port}: {error.strerror}") from error
    return listening


class _Closing:
    """Whether someone has asked the shop to close before its server was there to hear it."""

    def __init__(self) -> None:
        self.asked = False
        # The server listens to these itself; before that, and when it hands them on at its end, they come here.
        for signal_number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signal_number, self._ask)

    def _ask(self, *_: object) -> None:
        self.asked = True


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, closing: _Closing) -> None:
        super().__init__(config)
        self._closing = closing

    async def main_loop(self) -> None:
        """Serve, unless the shop was asked to close while it opened."""
        self.should_exit = self.should_exit or self._closing.asked
        await super().main_loop()


def _run(shop: Shop, listening: socket.socket, closing: _Closing) -> None:
    gc_tuning.tune_gc()
    _Server(server.config(shop), closing).run(sockets=[listening])


def _events_go_to(settings: Settings) -> str:
    return shown_platform(platform_of(settings)) if settings.relay else "wherever jangteo relay sends them"


def _announce(settings: Settings, port: int, *, filled: bool) -> None:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = f"http://{host}:{port}"
    if settings.demo:
        typer.echo(
            "The demo shop is set up: 20 users, 16 products, a campaign, three days of orders."
            if filled
            else "The database holds a shop already; --demo has added nothing."
        )
    typer.echo(f"Jangteo is open at {address}")
    typer.echo(f"  documentation  {address}/schema")
    typer.echo(f"  database       {shown(settings.database)}")
    typer.echo(f"  events go to   {_events_go_to(settings)}")
    if settings.host not in LOOPBACK:
        typer.echo(
            f"  CAUTION: {settings.host} is not loopback. Whoever can reach port {port} may do everything:\n"
            "  charge balances, change prices, cancel orders. Let only your own servers reach it."
        )
    json_header = "-H 'content-type: application/json'"
    typer.echo("Try:")
    typer.echo(f"  curl {address}/products/top")
    typer.echo(f"  curl {address}/users/1/balance")
    typer.echo(f"  curl {address}/orders {json_header} -H 'idempotency-key: first-order' \\")
    typer.echo("""    -d '{"userId": 1, "items": [{"productId": 3, "quantity": 1}]}'""")
    typer.echo("Ctrl-C closes it.")
