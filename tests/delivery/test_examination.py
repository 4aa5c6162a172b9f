"""Platforms are reached without an event; one that can't be is a note, since its events wait."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from jangteo.delivery import examination
from jangteo.delivery.examination import examine_platform
from jangteo.storage.diagnosis import Diagnosis
from tests.kafka_cluster import running_kafka
from tests.nats_server import running_nats
from tests.receiving import running_receiver


def found(url: str) -> Diagnosis:
    return asyncio.run(examine_platform(url, (), ()))[0]


def check(diagnosis: Diagnosis, severity: str, *says: str) -> None:
    assert diagnosis.severity == severity, diagnosis
    for part in says:
        assert part in diagnosis.line


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a host that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield "{}:{}".format(*listener.getsockname())


@pytest.fixture
def closed() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return "{}:{}".format(*listener.getsockname())


def test_a_file_and_its_disk_are_examined_and_nothing_is_created(tmp_path: Path) -> None:
    platform, disk = asyncio.run(examine_platform(f"file:{tmp_path / 'events.jsonl'}", (), ()))
    check(platform, "ok", "can be written")
    assert str(tmp_path) in disk.found
    assert list(tmp_path.iterdir()) == []


def test_a_webhook_is_connected_to_without_a_request(tmp_path: Path) -> None:
    with running_receiver(tmp_path / "received.jsonl") as receiver:
        check(found(receiver.url), "ok", "accepts connections")
        assert receiver.state()["requests"] == 0


def test_the_stream_of_a_subject_must_be_there(tmp_path: Path) -> None:
    with running_nats(tmp_path / "nats") as server:
        check(found(server.url("shop.orders")), "note", "no stream takes the subject shop.orders", "events wait")
        server.create_stream("shop.orders")
        check(found(server.url("shop.orders")), "ok", "the stream orders takes its events")
        assert server.call(lambda js: js.stream_info("orders")).state.messages == 0


def test_a_topic_must_be_there_and_is_not_created() -> None:
    with running_kafka() as cluster:
        for _ in range(2):
            check(found(cluster.url("shop-orders")), "note", "no topic shop-orders")
        cluster.create("shop-orders")
        check(found(cluster.url("shop-orders")), "ok", "the topic shop-orders has 4 partitions")


@pytest.mark.parametrize("kind", ["http", "https", "nats", "kafka"])
def test_a_platform_that_refuses_connections_is_noted(closed: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination, "PROBE_TIMEOUT_S", 1.0)
    reason = {"kafka": "refused"}.get(kind, "can't connect")
    check(found(f"{kind}://{closed}/orders"), "note", reason, "events wait in the database")


@pytest.mark.parametrize("kind", ["https", "nats", "kafka"])
def test_a_platform_that_says_nothing_is_noted_in_time(silent: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination, "PROBE_TIMEOUT_S", 0.5)
    started = monotonic()
    check(found(f"{kind}://{silent}/orders"), "note", "can't be reached")
    assert monotonic() - started < 10


def test_a_platform_that_no_server_would_start_with_is_a_danger(tmp_path: Path) -> None:
    check(found(f"file:{tmp_path}/nowhere/events.jsonl"), "danger", "is not there", "doesn't start")


def test_no_platform_is_noted() -> None:
    check(found("none"), "note", "--platform")
