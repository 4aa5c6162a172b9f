"""A SQLite shop's files are deleted, moved, replaced or linked again: nothing is acknowledged that would then be lost.

No second server gets at a served file either, by whatever name.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import httpx
import pytest

from tests.faults.test_workers import wait_until
from tests.faults.test_writer import writer_process_of
from tests.serving import JANGTEO, Http, ServerProcess, audit, serve_in_process

NOTICED_S = 1.0
CLIENTS = 4


@dataclass
class Served:
    """A served shop with one user, and its files."""

    server: ServerProcess
    path: Path
    log: Path
    http: Http
    user: int
    acknowledged: int = 0
    late: list[float] = field(default_factory=list)
    """How long after the fault requests were sent that were acknowledged, in seconds."""

    @property
    def database(self) -> str:
        return f"sqlite:///{self.path}"

    def of(self, suffix: str) -> Path:
        return Path(f"{self.path}{suffix}")

    def logged(self, event: str) -> list[str]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line.get("reason", "") for line in lines if line["event"] == event]

    def restart(self) -> None:
        self.server = serve_in_process(self.database, "--platform", "none", log=self.log)
        self.http.close()
        self.http = Http(base_url=self.server.address, timeout=30)

    def balance(self) -> int:
        balance: int = self.http.get(f"/users/{self.user}/balance").json()["balance"]
        return balance

    @contextmanager
    def charging(self) -> Iterator[Callable[[], None]]:
        """Clients charge during the block, and count what is acknowledged; to be called when the fault was made."""
        closing, count, faults = threading.Event(), threading.Lock(), list[float]()

        def charge() -> None:
            with Http(base_url=self.server.address, timeout=30) as http:
                while not closing.is_set():
                    sent_at = monotonic()
                    status = http.post(f"/users/{self.user}/balance", json={"amount": 1}).status_code
                    assert status in (201, 503)
                    with count:
                        self.acknowledged += status == 201
                        if status == 201 and faults and sent_at > faults[0]:
                            self.late.append(sent_at - faults[0])

        clients = [threading.Thread(target=charge) for _ in range(CLIENTS)]
        for each in clients:
            each.start()
        yield lambda: faults.append(monotonic())
        closing.set()
        for each in clients:
            each.join()


@pytest.fixture
def served(sqlite_database: str, tmp_path: Path) -> Iterator[Served]:
    log = tmp_path / "log"
    server = serve_in_process(sqlite_database, "--platform", "none", log=log)
    http = Http(base_url=server.address, timeout=30)
    shop = Served(server, Path(sqlite_database.removeprefix("sqlite:///")), log, http, http.user())
    yield shop
    shop.http.close()


def delete(shop: Served, suffix: str) -> None:
    shop.of(suffix).unlink()


def replace(shop: Served, suffix: str) -> None:
    other = shop.path.with_name("other")
    shutil.copy(shop.of(suffix), other)
    other.rename(shop.of(suffix))


def move(shop: Served, suffix: str) -> None:
    shop.of(suffix).rename(shop.path.with_name("moved"))


def link(shop: Served, suffix: str) -> None:
    shop.path.with_name("linked").hardlink_to(shop.of(suffix))


def break_under_load(shop: Served, fault: Callable[[Served, str], None], suffix: str) -> None:
    """Make a fault while clients charge; check that the shop says so once, and acknowledges nothing more."""
    with shop.charging() as made:
        wait_until(lambda: shop.acknowledged >= 50)
        made_at = monotonic()
        fault(shop, suffix)
        made()
        wait_until(lambda: shop.http.get("/health/ready").status_code == 503)
        assert monotonic() - made_at < NOTICED_S + 1
        wait_until(lambda: shop.http.get(f"/users/{shop.user}/balance").status_code == 503)
        acknowledged = shop.acknowledged
        wait_until(lambda: monotonic() - made_at > 2 * NOTICED_S)
    assert shop.acknowledged - acknowledged <= CLIENTS, "only what was answered at that moment"
    assert max(shop.late, default=0) < NOTICED_S
    assert shop.http.get("/health/live").status_code == 200
    (reason,) = shop.logged("database files lost")
    assert str(shop.of(suffix)) in reason


@pytest.mark.long
@pytest.mark.parametrize("fault", [delete, replace, move])
def test_nothing_is_acknowledged_once_the_database_file_is_elsewhere(
    served: Served, fault: Callable[[Served, str], None]
) -> None:
    break_under_load(served, fault, "")
    code, printed = served.server.interrupt()
    assert code == 1
    assert printed.splitlines()[-1].startswith("Closed. Acknowledged changes may be lost: ")


@pytest.mark.long
def test_a_database_file_that_comes_back_holds_every_acknowledged_change(served: Served) -> None:
    break_under_load(served, move, "")
    served.path.with_name("moved").rename(served.path)
    wait_until(lambda: served.http.get("/health/ready").status_code == 200)
    assert served.balance() >= served.acknowledged
    wait_until(lambda: bool(served.logged("database files are back")))
    check_after_restart(served)


@pytest.mark.long
def test_a_second_name_of_the_file_makes_the_shop_unready_until_it_is_removed(served: Served) -> None:
    break_under_load(served, link, "")
    other = served.path.with_name("linked")
    check_refused(f"sqlite:///{other}", "has 2 names (hard links)")
    other.unlink()
    wait_until(lambda: served.http.get("/health/ready").status_code == 200)
    check_after_restart(served)


@pytest.mark.long
@pytest.mark.parametrize("suffix", ["-wal", "-shm", ".lock"])
@pytest.mark.parametrize("fault", [delete, replace])
def test_a_regular_end_keeps_all_that_was_acknowledged_before_another_file_was_lost(
    served: Served, fault: Callable[[Served, str], None], suffix: str
) -> None:
    break_under_load(served, fault, suffix)
    check_after_restart(served)


@pytest.mark.long
def test_a_lost_log_is_written_into_the_database_at_once(served: Served) -> None:
    break_under_load(served, delete, "-wal")
    writer = writer_process_of(served.server)
    assert writer is not None
    # Stopped first, so that it doesn't end regularly.
    os.kill(writer, signal.SIGSTOP)
    served.server.kill()
    os.kill(writer, signal.SIGKILL)
    served.restart()
    assert served.balance() >= served.acknowledged
    check_after_restart(served)


@pytest.mark.long
def test_no_second_server_opens_a_served_file_by_another_name_or_without_the_lock_file(served: Served) -> None:
    moved = served.path.with_name("moved.db")
    served.of(".lock").unlink()
    check_refused(served.database, "is being served by another process")
    served.path.rename(moved)
    check_refused(f"sqlite:///{moved}", "is being served by another process")
    # The file that was moved away has left its log: a new shop would have it deleted.
    check_refused(served.database, "put the file back")


@pytest.mark.long
def test_an_idle_shop_notices_and_says_so_once_and_reads_beside_it_are_no_fault(served: Served) -> None:
    for command in (["audit"], ["events", "status"], ["top", "rebuild", "--days", "3"]):
        printed = subprocess.run(
            [JANGTEO, *command, "--database", served.database], capture_output=True, text=True, check=False
        )
        assert printed.returncode == 0, printed
    assert served.http.get("/health/ready").status_code == 200
    served.path.unlink()
    wait_until(lambda: bool(served.logged("database files lost")))
    assert served.http.get("/health/ready").status_code == 503
    assert len(served.logged("database files lost")) == 1


@pytest.mark.long
def test_a_writer_that_is_started_anew_does_not_open_the_file_that_replaced_the_shops(served: Served) -> None:
    writer = writer_process_of(served.server)
    assert writer is not None
    replace(served, "")
    before = served.path.read_bytes()
    os.kill(writer, signal.SIGKILL)
    with suppress(httpx.TransportError):
        for _ in range(20):
            assert served.http.post("/users", json={}).status_code == 503
    served.server.interrupt()
    assert served.path.read_bytes() == before
    assert not any("Traceback" in line for line in served.log.read_text().splitlines())


def check_refused(database: str, words: str) -> None:
    command = [JANGTEO, "serve", "--port", "0", "--database", database]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (refused.returncode, words in refused.stderr, refused.stderr.count("\n")) == (2, True, 1), refused


def check_after_restart(shop: Served) -> None:
    """End the server regularly, and check that every acknowledged change is in the file."""
    code, printed = shop.server.interrupt()
    assert (code, printed.splitlines()[-1]) == (0, "Closed. Every acknowledged change is on disk.")
    assert audit(shop.database).returncode == 0
    shop.restart()
    assert shop.balance() >= shop.acknowledged
    shop.server.interrupt()
