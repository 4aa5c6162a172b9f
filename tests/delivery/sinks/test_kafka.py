"""Events become records of a Kafka cluster, keyed by order, whatever becomes of the cluster meanwhile."""

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
from jangteo.delivery.sinks.base import Later
from jangteo.delivery.sinks.event_fields import Parts
from jangteo.delivery.sinks.kafka import Kafka
from jangteo.delivery.sinks.kafka_producer import NotedProducer
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


def run(told: Coroutine[Any, Any, None]) -> None:
    uvloop.run(asyncio.wait_for(told, 90))


def sink_of(url: str, deadline_s: float = 20) -> Kafka:
    return Kafka(parse_address(url), deadline_s=deadline_s)


def headers_of(record: Message[Any, Any]) -> dict[str, str]:
    return {name: value.decode() for name, value in dict(record.headers() or {}).items() if isinstance(value, bytes)}


def told_ids(records: list[Message[Any, Any]]) -> list[str]:
    """Each once, in the order of their first coming."""
    return list(dict.fromkeys(headers_of(record)["ce_id"] for record in records))


def test_an_event_is_a_record_in_binary_mode(cluster: KafkaCluster, topic: str) -> None:
    async def told() -> None:
        async with closed_after(sink_of(cluster.url(topic))) as sink:
            assert await sink.send(FIVE[:1]) == {}
            assert await sink.send([]) == {}

    run(told())
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


def test_the_events_of_an_order_stay_in_order(cluster: KafkaCluster, topic: str) -> None:
    paid = [event(order) for order in range(2_500)]
    cancelled = [event(order, "cancelled") for order in range(2_500)]

    async def told() -> None:
        async with closed_after(sink_of(cluster.url(topic))) as sink:
            assert await sink.send(paid) == {}
            assert await sink.send(cancelled) == {}

    run(told())
    records = cluster.read(topic)
    assert len({record.partition() for record in records}) > 1
    by_key: dict[bytes, list[str]] = {}
    for record in records:
        by_key.setdefault(record.key() or b"", []).append(headers_of(record)["ce_id"].rpartition("-")[2])
    assert len(by_key) == 2_500
    assert set(map(tuple, by_key.values())) == {("paid", "cancelled")}


def test_everything_is_acknowledged_by_all(cluster: KafkaCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, Any]] = []
    monkeypatch.setattr("jangteo.delivery.sinks.kafka_producer.Producer", made.append)
    NotedProducer({"bootstrap.servers": cluster.brokers})
    assert (made[0]["acks"], made[0]["enable.idempotence"]) == ("all", True)


def test_what_is_too_large_is_rejected_and_its_neighbours_are_not(cluster: KafkaCluster, topic: str) -> None:
    async def told() -> None:
        async with closed_after(sink_of(cluster.url(topic))) as sink:
            rejected = await sink.send([FIVE[0], event(2, note="x" * 1_100_000), b"{}", FIVE[3]])
            assert "too large" in rejected[1]
            assert rejected[2].startswith("it is no CloudEvent")
            assert sorted(rejected) == [1, 2]

    run(told())
    assert sorted(told_ids(cluster.read(topic))) == ids([FIVE[0], FIVE[3]])


class Strict(NotedProducer):
    """As if the cluster refused every request in which there is a certain order."""

    def produce(self, topic: str, record: Parts, hear: Callable[[KafkaError | None, Message], None]) -> None:
        def heard(error: KafkaError | None, message: Message) -> None:
            if record.subject == "3":
                error = KafkaError(KafkaError.INVALID_RECORD)
            elif record.subject == "4" and not self.is_alone:
                error = KafkaError(KafkaError._INVALID_DIFFERENT_RECORD)
            hear(error, message)

        super().produce(topic, record, heard)

    def __init__(self, settings: dict[str, Any]) -> None:
        self.is_alone = settings.get("batch.num.messages") == 1
        super().__init__(settings)


def test_what_a_broker_refuses_is_tried_alone(
    cluster: KafkaCluster, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_delivery, "NotedProducer", Strict)

    async def told() -> None:
        async with closed_after(sink_of(cluster.url(topic))) as sink:
            rejected = await sink.send(FIVE)
            assert list(rejected) == [2]
            assert "Broker" in rejected[2]

    run(told())
    assert {*ids(FIVE)} - {ids(FIVE)[2]} <= {*told_ids(cluster.read(topic))}


def test_a_cluster_that_hangs_is_for_later_and_all_come_in_order_when_it_goes_on(
    cluster: KafkaCluster, topic: str
) -> None:
    async def told() -> None:
        async with closed_after(sink_of(cluster.url(topic), deadline_s=3)) as sink:
            assert await sink.send([event(9)]) == {}
            cluster.suspend()
            try:
                with pytest.raises(Later, match="Kafka didn't acknowledge all events"):
                    await sink.send(FIVE)
            finally:
                cluster.go_on()
            assert await _sent_at_last(sink, FIVE) == {}
            assert await _sent_at_last(sink, [event(order, "cancelled") for order in range(1, 6)]) == {}

    run(told())
    came = told_ids(cluster.read(topic))
    assert sorted(came) == sorted(ids([*FIVE, event(9), *(event(order, "cancelled") for order in range(1, 6))]))
    for order in range(1, 6):
        assert came.index(ids([event(order)])[0]) < came.index(ids([event(order, "cancelled")])[0])


async def _sent_at_last(sink: Kafka, events: list[bytes]) -> Any:
    """As the relay does: again, as long as it is for later."""
    while True:
        try:
            return await sink.send(events)
        except Later:
            continue


def test_a_cancelled_send_leaves_it_usable(cluster: KafkaCluster, topic: str) -> None:
    async def told() -> None:
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
                cluster.go_on()
            assert await _sent_at_last(sink, FIVE) == {}

    run(told())
    assert sorted(told_ids(cluster.read(topic))) == ids(FIVE)


def test_a_cluster_that_is_gone_is_told_at_once() -> None:
    with running_kafka() as cluster:

        async def told() -> None:
            async with closed_after(sink_of(cluster.url("orders"), deadline_s=60)) as sink:
                assert await sink.send(FIVE) == {}
                await asyncio.to_thread(cluster.kill)
                for _ in range(2):
                    with pytest.raises(Later, match=r"Kafka.*(refused|disconnected|down)") as later:
                        await sink.send(FIVE)
                    assert "\n" not in str(later.value)

        run(told())


def test_a_user_is_never_told_with_the_password(cluster: KafkaCluster) -> None:
    """The mock speaks no SASL: what matters is what is said of it."""
    url = cluster.url("orders").replace("kafka://", f"kafka://ann:{PASSWORD}@") + "?security=sasl_plaintext"

    async def told() -> None:
        async with closed_after(sink_of(url, deadline_s=2)) as sink:
            with pytest.raises(Later) as later:
                await sink.send(FIVE)
            assert PASSWORD not in str(later.value) + repr(later.value.__cause__)

    run(told())
