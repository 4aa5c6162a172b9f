"""A cluster with a synchronous standby: nothing is answered, and no event is sent, that a failover could still lose."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from jangteo.settings import Settings
from jangteo.storage.urls import open_storage
from tests.postgres import Server, Standby, running_server
from tests.serving import JANGTEO, ServedShop, serve_in_thread

STANDBY = "standby"


@pytest.fixture(scope="module")
def cluster() -> Iterator[tuple[Server, Server]]:
    """A primary and its synchronous standby."""
    with running_server(synchronous_standby_names=STANDBY, synchronous_commit="local") as primary:
        standby = Standby(primary, STANDBY)
        standby.start()
        try:
            yield primary, standby
        finally:
            standby.thaw()
            standby.remove()


@pytest.fixture
def database(cluster: tuple[Server, Server]) -> str:
    primary, _ = cluster
    url = primary.create(f"shop_{uuid4().hex}")
    open_storage(url).prepare()
    return url


@pytest.fixture
def open_shop(cluster: tuple[Server, Server], database: str, tmp_path: Path) -> Iterator[Callable[..., ServedShop]]:
    _, standby = cluster
    opened: list[ServedShop] = []

    def open_one(**changes: Any) -> ServedShop:
        platform = f"file:{tmp_path / f'events-{len(opened)}'}"
        settings = {"database": database, "writer": "thread", "platform": platform, "database_timeout_s": 2.0}
        opened.append(serve_in_thread(Settings(**{**settings, **changes})))
        return opened[-1]

    yield open_one
    standby.thaw()
    for shop in opened:
        shop.close()


def end_waiting_commits(database: str, how: str, until: str) -> int:
    """End the sessions that wait for the standby, or only their waits, until a query finds a row; return its value."""
    give_up_at = monotonic() + 30
    with psycopg.connect(database, autocommit=True) as other:
        while not (found := other.execute(until.encode()).fetchone()):
            other.execute(
                f"SELECT {how}(pid) FROM pg_stat_activity "
                "WHERE wait_event = 'SyncRep' AND query = 'COMMIT' AND datname = current_database()"
            )
            assert monotonic() < give_up_at, "no session has committed on the primary"
    return int(found[0])


@pytest.mark.parametrize("how", ["pg_terminate_backend", "pg_cancel_backend"])
def test_what_the_standby_lacks_is_answered_by_no_server(
    cluster: tuple[Server, Server], database: str, open_shop: Callable[..., ServedShop], how: str
) -> None:
    _, standby = cluster
    first, second = open_shop(relay=False), open_shop(relay=False)
    known = first.http.user(10)
    assert second.http.get(f"/users/{known}/balance").json() == {"balance": 10}
    keyed = {"idempotency-key": uuid4().hex}

    def register(shop: ServedShop) -> httpx.Response:
        return shop.http.post("/users", json={"name": "Kim"}, headers=keyed)

    standby.freeze()
    with ThreadPoolExecutor(4) as clients:
        one: Future[httpx.Response] = clients.submit(register, first)
        # The session has committed by now, but not on the standby, and others see what it committed.
        user = end_waiting_commits(database, how, "SELECT id FROM users WHERE name = 'Kim'")
        replayed = clients.submit(register, second)
        refused = clients.submit(second.http.order, user, (1, 1))
        read = clients.submit(second.http.get, f"/users/{user}/balance")
        assert [each.result().status_code for each in (one, replayed, refused, read)] == [503] * 4
    standby.thaw()
    wait_until_ready(second.http)
    answer = register(second)
    assert (answer.status_code, answer.json()["userId"]) == (201, user)
    assert second.http.get(f"/users/{user}/balance").json() == {"balance": 0}


def test_a_commit_whose_waits_are_all_cancelled_is_never_answered_with_success(
    cluster: tuple[Server, Server], database: str, open_shop: Callable[..., ServedShop]
) -> None:
    """Finding out about a lost commit waits for the standby, too, and that wait can be cancelled as well."""
    _, standby = cluster
    shop = open_shop(relay=False)
    wait_until_ready(shop.http)
    standby.freeze()
    with ThreadPoolExecutor(1) as clients, closing(psycopg.connect(database, autocommit=True)) as other:
        answer = clients.submit(shop.http.post, "/users", json={"name": "Kim"})
        while not answer.done():
            other.execute(
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity "
                "WHERE wait_event = 'SyncRep' AND datname = current_database()"
            )
        assert other.execute("SELECT 1 FROM users WHERE name = 'Kim'").fetchall(), "nothing was committed"
    assert answer.result().status_code == 503


def test_no_event_is_sent_before_the_standby_has_its_order(
    cluster: tuple[Server, Server], database: str, open_shop: Callable[..., ServedShop]
) -> None:
    _, standby = cluster
    shop, other = open_shop(), open_shop(relay=False)
    wait_until_ready(other.http)
    user, product = shop.http.user(1_000), shop.http.product(price=10, stock=5)
    ordered = shop.http.order(user, (product, 1)).json()["orderId"]
    wait_for_events(shop, [ordered])
    standby.freeze()
    with ThreadPoolExecutor(1) as clients:
        unanswered = clients.submit(other.http.order, user, (product, 1))
        # The order is there to see for the relay, and its event waits in the outbox.
        not_safe = f"SELECT order_id FROM outbox WHERE order_id > {ordered}"
        late = end_waiting_commits(database, "pg_terminate_backend", not_safe)
        assert unanswered.result().status_code == 503
    assert events_of(shop) == [ordered]
    standby.thaw()
    wait_for_events(shop, [ordered, late])


def test_a_session_never_answers_for_the_primary_alone(database: str) -> None:
    """The server is set to `synchronous_commit = local`, which would not wait for its standby."""
    with closing(open_storage(database).connect()) as connection, connection.transaction() as session:
        assert session.rows("SELECT current_setting('synchronous_commit')") == [("on",)]


@pytest.mark.usefixtures("database")
def test_a_standby_is_refused_in_one_line(cluster: tuple[Server, Server]) -> None:
    _, standby = cluster
    for command in (["serve", "--port", "0"], ["migrate"], ["audit"]):
        arguments = [JANGTEO, *command, "--database", standby.url("postgres")]
        result = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=60)
        assert (result.returncode, result.stderr.count("\n")) == (2, 1)
        assert "the server is a standby and can't be written" in result.stderr


def events_of(shop: ServedShop) -> list[int]:
    lines = shop.events_file.read_text().splitlines() if shop.events_file.exists() else []
    return [int(json.loads(line)["subject"]) for line in lines]


def wait_for_events(shop: ServedShop, orders: list[int]) -> None:
    give_up_at = monotonic() + 30
    while events_of(shop) != orders:
        assert monotonic() < give_up_at, events_of(shop)


def wait_until_ready(http: httpx.Client) -> None:
    give_up_at = monotonic() + 30
    while http.get("/health/ready").status_code != 200:
        assert monotonic() < give_up_at
