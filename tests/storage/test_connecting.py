"""Connecting: hosts are tried side by side, only a server that can be written is used, and its settings are stated."""

from __future__ import annotations

import gc
import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from time import monotonic

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from jangteo.storage.errors import Unreachable
from jangteo.storage.postgres import connecting
from jangteo.storage.postgres.connecting import Attempts, hosts_of, open_raw
from jangteo.storage.urls import open_storage
from tests.postgres import Server

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a host that accepts connections and never answers, as a frozen server does."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        yield listening.getsockname()[1]


@pytest.fixture
def refusing() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def several(postgres: Server, *ports: int, database: str = "postgres") -> str:
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
    return postgres.url(database).replace(f"127.0.0.1:{postgres.port}", hosts)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://shop@a/shop", [("a", None)]),
        ("postgresql://shop@a,b/shop", [("a", None), ("b", None)]),
        ("postgresql://shop@a:1,b:2/shop", [("a", "1"), ("b", "2")]),
        ("postgresql://shop@a,b/shop?port=7", [("a", "7"), ("b", "7")]),
        ("postgresql:///shop?host=/run/a,/run/b", [("/run/a", None), ("/run/b", None)]),
        ("postgresql:///shop", [(None, None)]),
    ],
)
def test_each_host_of_a_url_is_an_address_of_its_own(url: str, expected: list[tuple[str | None, str | None]]) -> None:
    found = [conninfo_to_dict(each) for each in hosts_of(url)]
    assert [(each.get("host"), each.get("port") or None) for each in found] == expected
    assert {each["dbname"] for each in found} == {"shop"}


def test_the_session_decides_which_server_can_be_written() -> None:
    """The library would take a role's `default_transaction_read_only` for a standby."""
    (host,) = hosts_of("postgresql://shop@a/shop?target_session_attrs=read-write")
    assert conninfo_to_dict(host)["target_session_attrs"] == "any"


@pytest.mark.parametrize("order", ["good last", "good first"])
def test_hosts_that_are_silent_or_refuse_do_not_delay_the_good_one(
    postgres: Server, silent: int, refusing: int, order: str
) -> None:
    ports = [silent, refusing, postgres.port]
    url = several(postgres, *(ports if order == "good last" else reversed(ports)))
    started_at = monotonic()
    attempts = Attempts(url, 10)
    attempts.wait(30).close()
    assert monotonic() - started_at < connecting.ATTEMPT_TIMEOUT_S
    assert attempts.over


def test_the_last_good_host_is_tried_first(postgres: Server, refusing: int) -> None:
    url = several(postgres, refusing, postgres.port)
    Attempts(url, 10).wait(30).close()
    assert connecting._last_good[url] == 1


def test_a_wait_ends_once_every_host_has_refused(postgres: Server, refusing: int) -> None:
    attempts = Attempts(several(postgres, refusing, refusing), 10)
    with pytest.raises(psycopg.OperationalError, match="refused"):
        attempts.wait(30)
    attempts.end()


def test_a_wait_for_a_silent_host_ends_and_its_attempt_goes_on(postgres: Server, silent: int) -> None:
    attempts = Attempts(several(postgres, silent), 10)
    for _ in range(2):
        with pytest.raises(psycopg.OperationalError, match="no answer yet"):
            attempts.wait(0.05)
        assert not attempts.over
    attempts.end()


def test_attempts_that_nobody_waits_for_end(postgres: Server, refusing: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "ATTEMPT_TIMEOUT_S", 0.1)
    attempts = Attempts(several(postgres, refusing), 0.1)
    assert attempts._over.wait(30)


def test_a_connection_that_comes_too_late_is_closed(postgres: Server) -> None:
    attempts = Attempts(postgres.url("postgres"), 10)
    attempts.end()
    ended = Attempts(postgres.url("postgres"), 10)
    result = ended._results.get(timeout=30)
    ended._results.put(result)
    ended.end()
    assert result[1].closed  # type: ignore[union-attr]  # the server accepts


def test_a_connection_that_timed_out_is_closed_at_once() -> None:
    gc.disable()
    try:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            address = f"postgresql://shop@127.0.0.1:{listening.getsockname()[1]}/shop"
            with pytest.raises(psycopg.errors.ConnectionTimeout):
                open_raw(address, 1)
            accepted, _ = listening.accept()
            with accepted:
                accepted.settimeout(10)
                while accepted.recv(100):
                    pass
    finally:
        gc.enable()


def test_a_database_that_cannot_be_reached_has_begun_nothing(postgres: Server, refusing: int) -> None:
    with closing(open_storage(several(postgres, refusing)).connect(1)) as connection:
        with pytest.raises(Unreachable), connection.transaction():
            pass
        with pytest.raises(Unreachable), connection.snapshot(NOW):
            pass
