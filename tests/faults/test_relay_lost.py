"""Relays beside a server that sends nothing: one sends, and another takes over, whatever becomes of it."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep

import pytest

from tests.faults.customers import published_ids, wait_until_published
from tests.faults.cutting import CuttingProxy
from tests.postgres import Server
from tests.serving import Http, ServerProcess, audit, relay_in_process, serve_in_process

TAKEN_OVER_WITHIN_S = 10


class Shopping:
    """A server without a relay, and orders as wanted."""

    def __init__(self, database: str) -> None:
        self.server = serve_in_process(database, "--no-relay")
        self.orders: list[int] = []
        with Http(base_url=self.server.address, timeout=30) as http:
            self._user, self._product = http.user(balance=1_000_000), http.product(stock=1_000)

    def order(self, count: int) -> list[int]:
        with Http(base_url=self.server.address, timeout=30) as http:
            made = [http.order(self._user, (self._product, 1)).json()["orderId"] for _ in range(count)]
        self.orders += made
        return made


@pytest.fixture
def shopping(database: str) -> Shopping:
    return Shopping(database)


def relays(database: str, folder: Path) -> dict[Path, ServerProcess]:
    files = [folder / f"events-{number}.jsonl" for number in range(2)]
    return {file: relay_in_process(database, f"file:{file}") for file in files}


def test_one_of_two_sends_and_the_other_when_it_is_killed(database: str, shopping: Shopping, tmp_path: Path) -> None:
    shopping.order(5)
    running = relays(database, tmp_path)
    wait_until_published(list(running), shopping.orders)
    (sending,) = (file for file in running if published_ids([file]))
    running.pop(sending).kill()
    killed_at = monotonic()
    later = shopping.order(5)
    wait_until_published(list(running), later)
    assert monotonic() - killed_at < TAKEN_OVER_WITHIN_S
    assert published_ids([sending]) == {f"order-{order}-paid" for order in shopping.orders if order not in later}
    for process in (*running.values(), shopping.server):
        assert process.interrupt()[0] == 0
    assert audit(database).returncode == 0


def test_one_that_is_told_to_stop_leaves_its_turn_at_once(database: str, shopping: Shopping, tmp_path: Path) -> None:
    shopping.order(2)
    running = relays(database, tmp_path)
    wait_until_published(list(running), shopping.orders)
    (sending,) = (file for file in running if published_ids([file]))
    code, printed = running.pop(sending).interrupt()
    assert (code, "What was not sent is sent at the next start." in printed) == (0, True)
    stopped_at = monotonic()
    wait_until_published(list(running), shopping.order(2))
    # It is asked for every second or two, and has not to run out first.
    assert monotonic() - stopped_at < 5


def test_one_that_stands_still_loses_its_turn_and_marks_nothing_new(postgres_database: str, tmp_path: Path) -> None:
    shopping = Shopping(postgres_database)
    shopping.order(2)
    running = relays(postgres_database, tmp_path)
    wait_until_published(list(running), shopping.orders)
    (still,) = (file for file in running if published_ids([file]))
    (other,) = (file for file in running if file != still)
    running[still].process.send_signal(signal.SIGSTOP)
    stopped_at = monotonic()
    wait_until_published([other], shopping.order(5))
    assert monotonic() - stopped_at < TAKEN_OVER_WITHIN_S
    running[still].process.send_signal(signal.SIGCONT)
    # It finds out before it sends anything: from here on it is the other's turn.
    before = published_ids([still])
    wait_until_published([other], shopping.order(5))
    assert published_ids([still]) == before
    for process in running.values():
        assert process.interrupt()[0] == 0


def test_one_that_is_cut_off_from_the_database_is_replaced(
    postgres: Server, postgres_database: str, tmp_path: Path
) -> None:
    shopping = Shopping(postgres_database)
    shopping.order(2)
    proxy = CuttingProxy(postgres.port)
    near, far = tmp_path / "near.jsonl", tmp_path / "far.jsonl"
    cut_off = relay_in_process(postgres_database.replace(f":{postgres.port}/", f":{proxy.port}/"), f"file:{far}")
    wait_until_published([far], shopping.orders)
    other = relay_in_process(postgres_database, f"file:{near}")
    proxy.swallow()
    cut_at = monotonic()
    later = shopping.order(5)
    wait_until_published([near], later)
    assert monotonic() - cut_at < TAKEN_OVER_WITHIN_S
    assert not published_ids([far]) & {f"order-{order}-paid" for order in later}
    cut_off.kill()
    proxy.close()
    assert other.interrupt()[0] == 0
    assert audit(postgres_database).returncode == 0


def test_a_relay_of_its_own_goes_on_without_a_server(sqlite_database: str, tmp_path: Path) -> None:
    shopping = Shopping(sqlite_database)
    shopping.order(3)
    assert shopping.server.interrupt()[0] == 0
    relay = relay_in_process(sqlite_database, f"file:{tmp_path / 'events.jsonl'}")
    wait_until_published([tmp_path / "events.jsonl"], shopping.orders)
    end = monotonic() + 30
    with closing(sqlite3.connect(sqlite_database.removeprefix("sqlite:///"))) as raw:
        while raw.execute("SELECT COUNT(*) FROM event_batches WHERE sent_at IS NULL").fetchone() != (0,):
            assert monotonic() < end, "nothing was marked"
            sleep(0.05)
    assert relay.interrupt()[0] == 0


def test_servers_and_relays_of_one_file_send_each_event_once(sqlite_database: str, tmp_path: Path) -> None:
    server = serve_in_process(sqlite_database, "--platform", f"file:{tmp_path / 'served.jsonl'}")
    relay = relay_in_process(sqlite_database, f"file:{tmp_path / 'relayed.jsonl'}")
    with Http(base_url=server.address, timeout=30) as http:
        user, product = http.user(balance=1_000_000), http.product(stock=1_000)
        orders = [http.order(user, (product, 1)).json()["orderId"] for _ in range(20)]
    wait_until_published([tmp_path / "served.jsonl"], orders)
    assert not (tmp_path / "relayed.jsonl").exists()
    assert server.interrupt()[0] == 0
    assert relay.interrupt()[0] == 0
