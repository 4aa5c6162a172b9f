"""Relays beside servers without one: the leader sends, and another takes over whatever happens to it."""

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

TAKEOVER_WITHIN_S = 10


class Shopping:
    """A server without a relay, and a client that orders."""

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


def test_the_other_relay_takes_over_when_the_leader_is_killed(
    database: str, shopping: Shopping, tmp_path: Path
) -> None:
    shopping.order(5)
    running = relays(database, tmp_path)
    wait_until_published(list(running), shopping.orders)
    (sending,) = (file for file in running if published_ids([file]))
    running.pop(sending).kill()
    killed_at = monotonic()
    later = shopping.order(5)
    wait_until_published(list(running), later)
    assert monotonic() - killed_at < TAKEOVER_WITHIN_S
    assert published_ids([sending]) == {f"order-{order}-paid" for order in shopping.orders if order not in later}
    for process in (*running.values(), shopping.server):
        assert process.interrupt()[0] == 0
    assert audit(database).returncode == 0


def test_a_stopped_leader_releases_its_lease_at_once(database: str, shopping: Shopping, tmp_path: Path) -> None:
    shopping.order(2)
    running = relays(database, tmp_path)
    wait_until_published(list(running), shopping.orders)
    (sending,) = (file for file in running if published_ids([file]))
    code, printed = running.pop(sending).interrupt()
    assert (code, "Unsent events are sent at the next start." in printed) == (0, True)
    stopped_at = monotonic()
    wait_until_published(list(running), shopping.order(2))
    # The other relay requests it every second or two, and need not wait for it to expire.
    assert monotonic() - stopped_at < 5


def test_a_suspended_leader_loses_its_lease_and_sends_nothing_more(postgres_database: str, tmp_path: Path) -> None:
    shopping = Shopping(postgres_database)
    shopping.order(2)
    running = relays(postgres_database, tmp_path)
    wait_until_published(list(running), shopping.orders)
    (suspended,) = (file for file in running if published_ids([file]))
    (other,) = (file for file in running if file != suspended)
    running[suspended].process.send_signal(signal.SIGSTOP)
    stopped_at = monotonic()
    wait_until_published([other], shopping.order(5))
    assert monotonic() - stopped_at < TAKEOVER_WITHIN_S
    running[suspended].process.send_signal(signal.SIGCONT)
    # It notices before it sends anything that the other is the leader.
    before = published_ids([suspended])
    wait_until_published([other], shopping.order(5))
    assert published_ids([suspended]) == before
    for process in running.values():
        assert process.interrupt()[0] == 0


def test_a_leader_cut_off_from_the_database_is_replaced(
    postgres: Server, postgres_database: str, tmp_path: Path
) -> None:
    shopping = Shopping(postgres_database)
    shopping.order(2)
    proxy = CuttingProxy(postgres.port)
    near, far = tmp_path / "near.jsonl", tmp_path / "far.jsonl"
    cut_off = relay_in_process(postgres_database.replace(f":{postgres.port}/", f":{proxy.port}/"), f"file:{far}")
    wait_until_published([far], shopping.orders)
    other = relay_in_process(postgres_database, f"file:{near}")
    proxy.drop_data()
    cut_at = monotonic()
    later = shopping.order(5)
    wait_until_published([near], later)
    assert monotonic() - cut_at < TAKEOVER_WITHIN_S
    assert not published_ids([far]) & {f"order-{order}-paid" for order in later}
    cut_off.kill()
    proxy.close()
    assert other.interrupt()[0] == 0
    assert audit(postgres_database).returncode == 0


def test_a_separate_relay_sends_without_a_server(sqlite_database: str, tmp_path: Path) -> None:
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


def test_a_server_and_a_relay_of_one_file_send_each_event_once(sqlite_database: str, tmp_path: Path) -> None:
    server = serve_in_process(sqlite_database, "--platform", f"file:{tmp_path / 'served.jsonl'}")
    relay = relay_in_process(sqlite_database, f"file:{tmp_path / 'relayed.jsonl'}")
    with Http(base_url=server.address, timeout=30) as http:
        user, product = http.user(balance=1_000_000), http.product(stock=1_000)
        orders = [http.order(user, (product, 1)).json()["orderId"] for _ in range(20)]
    wait_until_published([tmp_path / "served.jsonl"], orders)
    assert not (tmp_path / "relayed.jsonl").exists()
    assert server.interrupt()[0] == 0
    assert relay.interrupt()[0] == 0
