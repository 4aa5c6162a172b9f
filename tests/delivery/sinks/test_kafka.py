"""The Kafka platform: events become records keyed by order, whatever happens to the cluster."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from typing import Any
from uuid import uuid4

import pytest
import uvloop
from confluent_kafka import KafkaError, Message

from jangteo.delivery.sinks import kafka_delivery
from jangteo.delivery.sinks.base import PlatformUnavailable
from jangteo.delivery.sinks.event_fields import EventFields
from jangteo.delivery.sinks.kafka import Kafka
from jangteo.delivery.sinks.kafka_producer import KafkaProducer
from jangteo.delivery.sinks.urls import parse_address
from tests.kafka_cluster import KafkaCluster, running_kafka
from tests.sent_events import closed_after, event, ids

FIVE = [event(order) for order in range(1, 6)]
PASSWORD = "pa55word"


@pytest.fixture(scope="module")
def cluster() -> Iterator[KafkaCluster]:
    with running_kafka() as running:
        yield running


@pytest.fixture
def topic() -> str:
    return f"orders-{uuid4().hex}"


@pytest.fixture(autouse=True)
def the_client_prints_nothing(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    assert capfd.readouterr().err == ""


def run(scenario: Coroutine[Any, Any, None]) -> None:
    uvloop.run(asyncio.wait_for(scenario, 90))


def sink_of(url: str, timeout_s: float = 20) -> Kafka:
    return Kafka(parse_address(url), timeout_s=timeout_s)


def headers_of(record: Message[Any, Any]) -> dict[str, str]:
    return {name: value.decode() for name, value in dict(record.headers() or {}).items() if isinstance(value, bytes)}


def unique_ids(records: list[Message[Any, Any]]) -> list[str]:
    """The records' ids without duplicates, in the order of their first occurrence."""
    return list(dict.fromkeys(headers_of(record)["ce_id"] for record in records))


def test_an_event_is_a_record_in_binary_mode(cluster: KafkaCluster, topic: str) -> None:
    async def scenario() -> None:
        async with closed_after(sink_of(cluster.url(topic))) as sink:
            assert await sink.send(FIVE[:1]) == {}
            assert await sink.send([]) == {}

    run(scenario())
    [record] = cluster.read(topic)
    whole = json.loads(FIVE[0])
    assert record.key() == b"1"
    assert record.value() == FIVE[0][FIVE[0].index(b'"data":') + len(b'"data":') : -1]
    assert json.loads(record.value() or b"") == whole["data"]
    assert headers_of(record) == {
        "ce_specversion": "1.0",
        "ce_id": whole["id"],
        "ce_source": whole["source"],
        "ce_type": whole["type"],
        "ce_subject": "1",
        "ce_time": whole["time"],
        "content-type": "application/json",
    }


def test_events_of_an_order_stay_in_order(cluster: KafkaCluster, topic: str) -> None:
    paid = [event(order) for order in range(2_500)]
    cancelled = [event(order, "cancelled") for order in range(2_500)]

    async def scenario() -> None:
        async with closed_after(sink_of(cluster.url(topic))) as sink:
            assert await sink.send(paid) == {}
            assert await sink.send(cancelled) == {}

    run(scenario())
    records = cluster.read(topic)
    assert len({record.partition() for record in records}) > 1
    by_key: dict[bytes, list[str]] = {}
    for record in records:
        by_key.setdefault(record.key() or b"", []).append(headers_of(record)["ce_id"].rpartition("-")[2])
    assert len(by_key) == 2_500
    assert set(map(tuple, by_key.values())) == {("paid", "cancelled")}


def test_records_are_acknowledged_by_all_in_sync_replicas(
    cluster: KafkaCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[dict[str, Any]] = []
    monkeypatch.setattr("jangteo.delivery.sinks.kafka_producer.Producer", made.append)
    KafkaProducer({"bootstrap.servers": cluster.brokers})
    assert (made[0]["acks"], made[0]["enable.idempotence"]) == ("all", True)


def test_a_record_that_is_too_large_is_rejected_alone(cluster: KafkaCluster, topic: str) -> None:
    async def scenario() -> None:
        async with closed_after(sink_of(cluster.url(topic))) as sink:
            rejected = await sink.send([FIVE[0], event(2, note="x" * 1_100_000), b"{}", FIVE[3]])
            assert "too large" in rejected[1]
            assert rejected[2].startswith("it is no CloudEvent")
            assert sorted(rejected) == [1, 2]

    run(scenario())
    assert sorted(unique_ids(cluster.read(topic))) == ids([FIVE[0], FIVE[3]])


class RejectingProducer(KafkaProducer):
    """Behaves as if the cluster rejected every request with order 3 in it."""

    def produce(self, topic: str, record: EventFields, report: Callable[[KafkaError | None, Message], None]) -> None:
        def on_delivery(error: KafkaError | None, message: Message) -> None:
            if record.subject == "3":
                error = KafkaError(KafkaError.INVALID_RECORD)
            elif record.subject == "4" and not self.is_alone:
                error = KafkaError(KafkaError._INVALID_DIFFERENT_RECORD)
            report(error, message)

        super().produce(topic, record, on_delivery)

    def __init__(self, settings: dict[str, Any]) -> None:
        self.is_alone = settings.get("batch.num.messages") == 1
        super().__init__(settings)


def test_a_record_that_a_broker_rejects_is_sent_again_alone(
    cluster: KafkaCluster, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_delivery, "KafkaProducer", RejectingProducer)

    async def scenario() -> None:
        async with closed_after(sink_of(cluster.url(topic))) as sink:
            rejected = await sink.send(FIVE)
            assert list(rejected) == [2]
            assert "Broker" in rejected[2]

    run(scenario())
    assert {*ids(FIVE)} - {ids(FIVE)[2]} <= {*unique_ids(cluster.read(topic))}


def test_a_hanging_cluster_is_unavailable_and_later_gets_all_events_in_order(cluster: KafkaCluster, topic: str) -> None:
    async def scenario() -> None:
        async with closed_after(sink_of(cluster.url(topic), timeout_s=3)) as sink:
            assert await sink.send([event(9)]) == {}
            cluster.suspend()
            try:
                with pytest.raises(PlatformUnavailable, match="Kafka didn't acknowledge all events"):
                    await sink.send(FIVE)
            finally:
                cluster.resume()
            assert await _send_until_accepted(sink, FIVE) == {}
            assert await _send_until_accepted(sink, [event(order, "cancelled") for order in range(1, 6)]) == {}

    run(scenario())
    arrived = unique_ids(cluster.read(topic))
    assert sorted(arrived) == sorted(ids([*FIVE, event(9), *(event(order, "cancelled") for order in range(1, 6))]))
    for order in range(1, 6):
        assert arrived.index(ids([event(order)])[0]) < arrived.index(ids([event(order, "cancelled")])[0])


async def _send_until_accepted(sink: Kafka, events: list[bytes]) -> Any:
    """Send again while the platform is unavailable, as the relay does."""
    while True:
        try:
            return await sink.send(events)
        except PlatformUnavailable:
            continue


def test_the_sink_works_after_a_cancelled_send(cluster: KafkaCluster, topic: str) -> None:
    async def scenario() -> None:
        async with closed_after(sink_of(cluster.url(topic))) as sink:
            assert await sink.send(FIVE[:1]) == {}
            cluster.suspend()
            try:
                sending = asyncio.ensure_future(sink.send(FIVE))
                await asyncio.sleep(0)
                sending.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await sending
            finally:
                cluster.resume()
            assert await _send_until_accepted(sink, FIVE) == {}

    run(scenario())
    assert sorted(unique_ids(cluster.read(topic))) == ids(FIVE)


def test_a_cluster_that_is_down_is_unavailable_at_once() -> None:
    with running_kafka() as cluster:

        async def scenario() -> None:
            async with closed_after(sink_of(cluster.url("orders"), timeout_s=60)) as sink:
                assert await sink.send(FIVE) == {}
                await asyncio.to_thread(cluster.kill)
                for _ in range(2):
                    with pytest.raises(PlatformUnavailable, match=r"Kafka.*(refused|disconnected|down)") as error:
                        await sink.send(FIVE)
                    assert "\n" not in str(error.value)

        run(scenario())


def test_errors_do_not_quote_the_password(cluster: KafkaCluster) -> None:
    """The mock speaks no SASL, so logging in fails; only the error matters here."""
    url = cluster.url("orders").replace("kafka://", f"kafka://ann:{PASSWORD}@") + "?security=sasl_plaintext"

    async def scenario() -> None:
        async with closed_after(sink_of(url, timeout_s=2)) as sink:
            with pytest.raises(PlatformUnavailable) as error:
                await sink.send(FIVE)
            assert PASSWORD not in str(error.value) + repr(error.value.__cause__)

    run(scenario())
