"""Shops served for tests, by a thread of this process or by a process of their own, over HTTP on loopback."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from jangteo.api.http.server import config
from jangteo.app import Shop, platform_of
from jangteo.settings import Settings

JANGTEO = str(Path(sys.executable).with_name("jangteo"))


class TestClock:
    """A clock that a test can move. It can also block commits, since each commit reads it once."""

    __test__ = False

    def __init__(self) -> None:
        self.ahead = timedelta()
        self.commit_blocked = threading.Event()
        self.commits_allowed = threading.Event()
        self.commits_allowed.set()

    def __call__(self) -> datetime:
        if threading.current_thread().name.startswith("commit"):
            self.commit_blocked.set()
            assert self.commits_allowed.wait(60), "the test blocked commits for too long"
        return datetime.now(UTC) + self.ahead

    def block_commits(self) -> None:
        self.commits_allowed.clear()
        self.commit_blocked.clear()


class Http(httpx.Client):
    """A client with a method for each thing that tests set up."""

    def __init__(self, **options: Any) -> None:
        # Loading certificates would take longer than most tests do; nothing here speaks TLS.
        super().__init__(verify=False, **options)

    def user(self, balance: int = 0) -> int:
        user_id: int = self.post("/users", json={}).json()["userId"]
        if balance:
            assert self.post(f"/users/{user_id}/balance", json={"amount": balance}).status_code == 201
        return user_id

    def product(self, price: int = 1_000, stock: int = 10, name: str = "Hallabong") -> int:
        answer = self.post("/products", json={"name": name, "price": price, "stock": stock})
        assert answer.status_code == 201, answer.text
        product_id: int = answer.json()["id"]
        return product_id

    def campaign(self, quantity: int = 10, **terms: Any) -> int:
        answer = self.post("/campaigns", json={"name": "Opening", "quantity": quantity, **(terms or {"discount": 300})})
        assert answer.status_code == 201, answer.text
        campaign_id: int = answer.json()["campaignId"]
        return campaign_id

    def coupon(self, user_id: int, campaign_id: int) -> int:
        answer = self.post("/coupons", json={"userId": user_id, "campaignId": campaign_id})
        assert answer.status_code == 201, answer.text
        coupon_id: int = answer.json()["couponId"]
        return coupon_id

    def order(self, user_id: int, *lines: tuple[int, int], coupon: int | None = None, key: str | None = None) -> Any:
        body: dict[str, Any] = {"userId": user_id, "items": [{"productId": p, "quantity": q} for p, q in lines]}
        if coupon is not None:
            body["couponId"] = coupon
        return self.post("/orders", json=body, headers={} if key is None else {"idempotency-key": key})


@dataclass
class ServedShop:
    """A shop served by a thread of this process."""

    shop: Shop
    address: str
    clock: TestClock
    server: uvicorn.Server
    thread: threading.Thread
    http: Http = field(init=False)

    def __post_init__(self) -> None:
        self.http = Http(base_url=self.address, timeout=30)

    @property
    def events_file(self) -> Path:
        return Path(platform_of(self.shop.settings).removeprefix("file:"))

    def close(self) -> None:
        self.http.close()
        self.server.should_exit = True
        self.thread.join()
        self.shop.storage.close()


def serve_in_thread(settings: Settings) -> ServedShop:
    clock = TestClock()
    shop = Shop(settings, clock)
    shop.storage.prepare()
    listening = socket.create_server(("127.0.0.1", 0))
    started = threading.Event()

    open_shop = shop.open

    @asynccontextmanager
    async def open_and_notify() -> AsyncIterator[None]:
        async with open_shop():
            started.set()
            yield

    shop.open = open_and_notify  # type: ignore[method-assign]  # to know when it is open
    server = uvicorn.Server(config(shop))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    assert started.wait(30), "the shop did not open"
    return ServedShop(shop, f"http://127.0.0.1:{listening.getsockname()[1]}", clock, server, thread)


@dataclass
class ServerProcess:
    """A shop served by `jangteo serve` in a process of its own."""

    process: subprocess.Popen[str]
    address: str

    def kill(self) -> None:
        """Kill the process. Does nothing if it has already ended."""
        self.process.kill()
        self.process.wait()
        self._close()

    def interrupt(self) -> tuple[int, str]:
        """End the process as Ctrl-C does. Returns its exit code and what it printed."""
        self.process.send_signal(signal.SIGINT)
        return self.wait()

    def wait(self) -> tuple[int, str]:
        """Wait until the process has ended. Returns its exit code and what it printed."""
        assert self.process.stdout is not None
        printed = self.process.stdout.read()
        self._close()
        return self.process.wait(60), printed

    def _close(self) -> None:
        assert self.process.stdout is not None
        self.process.stdout.close()


STARTED: list[ServerProcess] = []
"""The server processes of the running test, which are ended after it."""


def serve_in_process(
    database: str,
    *options: str,
    file_size_max_kib: int | None = None,
    descriptors_max: int | None = None,
    sources: Path | None = None,
    log: Path | None = None,
) -> ServerProcess:
    """Start `jangteo serve`, of other sources if given, and wait until it has printed its address."""
    command = [JANGTEO, "serve", "--database", database, "--port", "0", *options]
    for option, limit in (("f", file_size_max_kib), ("n", descriptors_max)):
        if limit is not None:
            command = ["bash", "-c", f'ulimit -{option} {limit}; exec "$@"', "bash", *command]
    # The socket listens before the line is printed, so requests from now on wait until the shop has started.
    server, line = _start(command, "Jangteo is open at ", sources, log)
    server.address = line.split()[-1]
    return server


def relay_in_process(database: str, platform: str, *options: str) -> ServerProcess:
    """Start `jangteo relay`, and wait for its first line."""
    command = [JANGTEO, "relay", "--database", database, "--platform", platform, *options]
    return _start(command, "The relay of ")[0]


def _start(
    command: list[str], first_words: str, sources: Path | None = None, log: Path | None = None
) -> tuple[ServerProcess, str]:
    environment = os.environ if sources is None else {**os.environ, "PYTHONPATH": str(sources)}
    with Path(os.devnull if log is None else log).open("ab") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, bufsize=1, env=environment
        )
    server = ServerProcess(process, "")
    STARTED.append(server)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(first_words):
            return server, line
    raise AssertionError(f"{command} ended before it had started")


def audit(database: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([JANGTEO, "audit", "--database", database], capture_output=True, text=True, check=False)
