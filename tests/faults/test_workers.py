"""Several processes of one host: each may die or stand still alone, and none outlives its supervisor."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from time import monotonic

import httpx
import pytest

from tests.serving import Http, ServerProcess, audit, serve_in_process

WRITER = "jangteo.engine.writer"
FRONT_END = "front-end"
KEEPER = "keeper"


def workers_of(server: ServerProcess) -> set[int]:
    return children_of(server.process.pid, FRONT_END)


def children_of(process_id: int, word: str) -> set[int]:
    """The children of a process with a word in their command lines."""
    tasks = Path(f"/proc/{process_id}/task").glob("*/children")
    children = [child for task in tasks for child in text_of(task).split()]
    return {int(child) for child in children if word in command_of(child)}


def command_of(process_id: str) -> str:
    return text_of(Path(f"/proc/{process_id}/cmdline"))


def text_of(file: Path) -> str:
    """What the kernel says of a process or a thread; nothing if it has ended meanwhile."""
    try:
        return file.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def answers(address: str) -> bool:
    try:
        with Http(base_url=address, timeout=5) as http:
            return http.get("/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = monotonic() + 60
    while not condition():
        assert monotonic() < deadline, "the condition was not met within 60 s"


def events_of(file: Path) -> list[str]:
    """The subjects of the events in a platform's file: the orders' ids."""
    if not file.exists():
        return []
    whole_lines = file.read_text().rpartition("\n")[0].splitlines()
    return [json.loads(line)["subject"] for line in whole_lines]


def states_of_window(sqlite_database: str, days: int) -> list[str]:
    with closing(sqlite3.connect(sqlite_database.removeprefix("sqlite:///"))) as raw:
        return [state for (state,) in raw.execute("SELECT state FROM best_seller_windows WHERE days = ?", [days])]


def is_replaced(parent: int, role: str, before: set[int]) -> bool:
    return len(children_of(parent, role) - before) == 1


def is_sent(platform: Path, events: int) -> bool:
    return len(events_of(platform)) == events


@pytest.fixture
def platform(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


@pytest.fixture
def server(database: str, platform: Path) -> ServerProcess:
    """Two front ends, and what they need."""
    server = serve_in_process(database, "--workers", "2", "--platform", f"file:{platform}")
    wait_until(lambda: answers(server.address))
    wait_until(lambda: len(workers_of(server)) == 2)
    return server


@pytest.mark.long
def test_whichever_process_is_killed_is_replaced_and_all_goes_on(
    server: ServerProcess, database: str, platform: Path
) -> None:
    parent = server.process.pid
    with Http(base_url=server.address, timeout=60) as http:
        user, product = http.user(balance=99_000), http.product(price=1_000, stock=99)
    for number, role in enumerate((FRONT_END, WRITER, KEEPER), 1):
        before = children_of(parent, role)
        os.kill(min(before), signal.SIGKILL)
        wait_until(partial(is_replaced, parent, role, before))
        wait_until(partial(answers, server.address))
        with Http(base_url=server.address, timeout=60) as http:
            assert http.order(user, (product, 1), key=f"after-{role}").status_code == 201
        wait_until(partial(is_sent, platform, number))
    assert server.interrupt()[0] == 0
    assert audit(database).returncode == 0


@pytest.mark.long
def test_no_process_outlives_its_supervisor_and_the_shop_can_be_served_again(
    server: ServerProcess, database: str, platform: Path
) -> None:
    processes = children_of(server.process.pid, "jangteo")
    assert len(processes) == 4
    server.kill()
    wait_until(lambda: not any(command_of(str(each)) for each in processes))
    again = serve_in_process(database, "--workers", "2", "--platform", f"file:{platform}")
    wait_until(lambda: answers(again.address))
    assert again.interrupt()[0] == 0


@pytest.mark.long
def test_a_front_end_that_stands_still_holds_up_no_other(server: ServerProcess) -> None:
    with Http(base_url=server.address, timeout=60) as http:
        user = http.user()
    stopped = min(workers_of(server))
    os.kill(stopped, signal.SIGSTOP)
    for _ in range(20):
        # Each comes by a connection of its own, which the other one takes.
        with Http(base_url=server.address, timeout=60) as http:
            assert http.post(f"/users/{user}/balance", json={"amount": 1}).status_code == 201
    os.kill(stopped, signal.SIGCONT)
    assert server.interrupt()[0] == 0


@pytest.mark.long
def test_while_the_writer_stands_still_commands_get_503_reads_go_on_and_nothing_is_done_late(database: str) -> None:
    options = ("--workers", "2", "--platform", "none", "--database-timeout", "1", "--hold", "1")
    server = serve_in_process(database, *options)
    wait_until(lambda: answers(server.address))
    with Http(base_url=server.address, timeout=60) as http:
        user = http.user(balance=100)
    (writer,) = children_of(server.process.pid, WRITER)
    os.kill(writer, signal.SIGSTOP)
    with Http(base_url=server.address, timeout=60) as http:
        assert http.post(f"/users/{user}/balance", json={"amount": 1}).status_code == 503
        assert http.get(f"/users/{user}/balance").json() == {"balance": 100}
        os.kill(writer, signal.SIGCONT)
        wait_until(lambda: answers(server.address))
        assert http.get(f"/users/{user}/balance").json() == {"balance": 100}
    assert server.interrupt()[0] == 0


@pytest.mark.long
def test_all_goes_on_while_the_supervisor_stands_still(server: ServerProcess, platform: Path) -> None:
    server.process.send_signal(signal.SIGSTOP)
    with Http(base_url=server.address, timeout=60) as http:
        user, product = http.user(balance=99_000), http.product(price=1_000, stock=99)
        assert http.order(user, (product, 1)).status_code == 201
    wait_until(partial(is_sent, platform, 1))
    server.process.send_signal(signal.SIGCONT)
    assert server.interrupt()[0] == 0


@pytest.mark.long
def test_orders_go_on_while_the_keeper_stands_still_and_their_events_follow(
    server: ServerProcess, platform: Path
) -> None:
    (keeper,) = children_of(server.process.pid, KEEPER)
    os.kill(keeper, signal.SIGSTOP)
    with Http(base_url=server.address, timeout=60) as http:
        user, product = http.user(balance=99_000), http.product(price=1_000, stock=99)
        for _ in range(5):
            assert http.order(user, (product, 1)).status_code == 201
    os.kill(keeper, signal.SIGCONT)
    wait_until(lambda: events_of(platform) == ["1", "2", "3", "4", "5"])
    assert server.interrupt()[0] == 0


def test_a_host_on_sqlite_sells_exactly_its_stock_and_keeps_its_best_sellers(
    sqlite_database: str, platform: Path
) -> None:
    server = serve_in_process(sqlite_database, "--workers", "3", "--platform", f"file:{platform}")
    wait_until(lambda: answers(server.address))
    with Http(base_url=server.address, timeout=60) as http:
        user, product = http.user(balance=99_000), http.product(price=1_000, stock=10)

    def buy(_: int) -> int:
        with Http(base_url=server.address, timeout=60) as http:
            status: int = http.order(user, (product, 1)).status_code
            return status

    with ThreadPoolExecutor(8) as buyers:
        statuses = list(buyers.map(buy, range(30)))
    assert (statuses.count(201), statuses.count(400)) == (10, 20)
    with Http(base_url=server.address, timeout=60) as http:
        assert http.get("/products/top", params={"days": 7}).json()[0]["sold"] == 10
    # The window that a front end was asked for is the keeper's to maintain.
    wait_until(lambda: "active" in states_of_window(sqlite_database, 7))
    wait_until(lambda: len(events_of(platform)) == 10)
    assert server.interrupt()[0] == 0
    assert audit(sqlite_database).returncode == 0
