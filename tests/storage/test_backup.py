"""The backups of docs/operations.md: made while the shop is served; a restored one passes the audit and is served."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event

import pytest

from tests.postgres import USER, Server
from tests.serving import Http, ServerProcess, audit, serve_in_process


def test_a_backup_of_a_served_sqlite_shop_can_be_restored(tmp_path: Path) -> None:
    def back_up() -> None:
        with closing(sqlite3.connect(tmp_path / "shop.db")) as raw:
            raw.execute("VACUUM INTO ?", (str(tmp_path / "restored.db"),))

    check_restored(f"sqlite:///{tmp_path / 'shop.db'}", f"sqlite:///{tmp_path / 'restored.db'}", back_up, tmp_path)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server whose statements are not checked for banned SQL: those of pg_dump are not ours."""
    started = Server()
    started.start()
    yield started
    started.remove()


def test_a_backup_of_a_served_postgres_shop_can_be_restored(server: Server, tmp_path: Path) -> None:
    connect_options = ("-h", "127.0.0.1", "-p", str(server.port), "-U", USER)
    dump = tmp_path / "shop.dump"

    def run(program: str, *arguments: str) -> None:
        subprocess.run([server.programs / program, *connect_options, *arguments], check=True)

    def back_up() -> None:
        run("pg_dump", "--format=custom", f"--file={dump}", "shop")

    database, restored = server.create("shop"), server.create("restored")
    check_restored(database, restored, back_up, tmp_path, lambda: run("pg_restore", "--dbname=restored", str(dump)))


def check_restored(
    database: str,
    restored: str,
    back_up: Callable[[], None],
    folder: Path,
    restore: Callable[[], None] = lambda: None,
) -> None:
    server = serve_in_process(database, "--demo", "--platform", f"file:{folder / 'events.jsonl'}")
    with orders_being_placed(server) as newest_order:
        before = newest_order()
        back_up()
        after = newest_order()
    assert server.interrupt()[0] == 0
    restore()
    audited = audit(restored)
    assert audited.returncode == 0, audited.stdout
    again = serve_in_process(restored, "--platform", f"file:{folder / 'restored.events.jsonl'}")
    with Http(base_url=again.address, timeout=30) as http:
        assert http.get(f"/orders/{before}").status_code == 200
        assert before < http.order(1, (1, 1)).json()["orderId"] <= after + 1
    assert again.interrupt()[0] == 0


@contextmanager
def orders_being_placed(server: ServerProcess) -> Iterator[Callable[[], int]]:
    """Place orders all the time during the block; yields a function that places one more and returns its id."""
    stopping = Event()

    def order() -> None:
        with Http(base_url=server.address, timeout=30) as http:
            while not stopping.is_set():
                assert http.order(2, (16, 1)).status_code == 201
                assert http.post("/products/16/stock", json={"quantity": 1}).status_code == 201
                assert http.post("/users/2/balance", json={"amount": 14_900}).status_code == 201

    def newest_order() -> int:
        with Http(base_url=server.address, timeout=30) as http:
            order_id: int = http.order(1, (1, 1)).json()["orderId"]
            return order_id

    with ThreadPoolExecutor(1) as pool:
        customer = pool.submit(order)
        yield newest_order
        stopping.set()
        customer.result()
