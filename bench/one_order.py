"""Breaks down the latency of a single order, step by step.

`python -m bench.one_order` measures SQLite and PostgreSQL, and prints a table for each, in microseconds.
"""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic, perf_counter
from typing import Final

from bench.contenders import contenders, postgres, servers, shops
from bench.contenders.postgres import Postgres
from bench.loads import pgbench
from bench.loads.load import Load
from jangteo.app import system_clock
from jangteo.core.orders import PlaceOrder, RequestedItem
from jangteo.engine import gc_tuning
from jangteo.engine.batch import Submission, apply
from jangteo.engine.writer.protocol import Frames, commands_frame, pack
from jangteo.engine.writer.start import WriterStart, writer_command
from jangteo.settings import DATABASE_VARIABLE
from jangteo.storage.urls import open_storage

_SECONDS: Final = 4
_ORDERS: Final = 3_000
_RECEIVE_BYTES: Final = 2**20


def main() -> None:
    """Measure and print both tables."""
    build = Path("build")
    build.mkdir(exist_ok=True)
    with TemporaryDirectory(prefix="bench-", dir=build) as name, servers.serving(servers.echo()) as echo:
        folder = Path(name)
        http = contenders.orders("echo", echo.address, 1).run(_SECONDS)
        bare = contenders.bare_commit_of_sqlite("bare", folder).run(_SECONDS)
        _print_table("SQLite", f"sqlite:///{folder / 'one.db'}", folder, http, bare)
        with postgres.running() as server:
            _print_table("PostgreSQL", server.create("one"), folder, http, _bare_commit(server))


def _bare_commit(server: Postgres) -> Load:
    server.create("bare")
    pgbench.prepare(server, "bare")
    return pgbench.load(server, "bare", "bare_commit.sql", 1, _SECONDS)


def _print_table(kind: str, database: str, folder: Path, http: Load, bare: Load) -> None:
    shops.make(database, shops.for_orders())
    decided, committed = _in_process(database)
    over_socket = _over_socket(database)
    with servers.serving(servers.shop(database, "--platform", f"file:{folder / kind}.jsonl")) as shop:
        served = contenders.orders("orders", shop.address, 1).run(_SECONDS).p50_ms * 1_000
    print(f"\n| {kind}: an order alone | µs |\n| --- | ---: |")
    for step, time_us in (
        ("over HTTP, as a client sees it", served),
        ("· a bare echo over HTTP", http.p50_ms * 1_000),
        ("· further work of the event loop and the relay", served - http.p50_ms * 1_000 - over_socket),
        ("· the writer, over its socket", over_socket),
        ("·· the socket and its frames, waking a process twice", over_socket - decided - committed),
        ("·· loading, deciding, collecting changes", decided),
        ("·· writing and committing", committed),
        ("··· of which a bare commit of one row takes", bare.p50_ms * 1_000),
    ):
        print(f"| {step} | {time_us:,.0f} |")


def _orders() -> Iterator[Submission]:
    random = Random(1)
    for _ in range(_ORDERS):
        first, second = random.sample(range(1, shops.PRODUCTS + 1), 2)
        items = (RequestedItem(first, 1), RequestedItem(second, 2))
        yield Submission(PlaceOrder(random.randint(1, shops.BUYERS), items, None))


def _in_process(database: str) -> tuple[float, float]:
    """The median times of a batch of one, in microseconds: up to the commit, and the commit."""
    connection = open_storage(database).connect()
    gc_tuning.tune_gc()
    decided, committed = [], []
    for order in _orders():
        before = perf_counter()
        with connection.transaction() as session:
            apply(session, [order], system_clock())
            between = perf_counter()
        decided.append(between - before)
        committed.append(perf_counter() - between)
    connection.close()
    return _median_us(decided), _median_us(committed)


def _over_socket(database: str) -> float:
    """The median time of an order sent to a writer process over its socket, in microseconds."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        start = WriterStart(256, 10, 5, open_storage(database).identity(), client=theirs.fileno())
        with subprocess.Popen(
            writer_command(start), env={**os.environ, DATABASE_VARIABLE: database}, pass_fds=(theirs.fileno(),)
        ) as writer:
            theirs.close()
            times = [_round_trip_s(ours, commands_frame(monotonic(), [pack(order)])) for order in _orders()]
            ours.close()
            writer.wait()
    # The first orders meet a writer that has just started.
    return _median_us(times[_ORDERS // 10 :])


def _round_trip_s(channel: socket.socket, frame: bytes) -> float:
    """Send a frame, wait for the answer, and return the time in seconds."""
    frames = Frames()
    before = perf_counter()
    channel.sendall(frame)
    while not list(frames.receive(channel.recv(_RECEIVE_BYTES))):
        continue
    return perf_counter() - before


def _median_us(times: list[float]) -> float:
    return median(times) * 1_000_000


if __name__ == "__main__":
    main()
