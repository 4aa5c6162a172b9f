"""What becomes of a batch that is given to Kafka: every record acknowledged or rejected. For a thread: it blocks."""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from threading import Event
from typing import Any, Final

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message

from jangteo.delivery.sinks.event_fields import READ_PARTS, Parts
from jangteo.delivery.sinks.kafka_producer import Failed, NotedProducer, told

_LOOK_EVERY_S: Final = 0.1
"""So often the thread looks whether it is still wanted."""
_RECORD_ERRORS: Final = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_MSG_SIZE,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError._INVALID_DIFFERENT_RECORD,  # noqa: SLF001 - the client's name for what a neighbour has caused
    }
)
"""What is wrong with a record, or with one that went out beside it; anything else is the cluster's trouble."""
_NO_TOPIC: Final = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 - what the client itself has found out
    }
)


class Delivery:
    """Delivers batches, one after the other, over one producer; after a failure that is ended, and this not used again.

    `settings` are those of the client that differ from shop to shop.
    """

    def __init__(self, settings: Mapping[str, Any], topic: str) -> None:
        self._settings = settings
        self._topic = topic
        self._producer: NotedProducer | None = None
        self._unreported: set[int] = set()
        self._errors: dict[int, KafkaError] = {}
        self._rejected: dict[int, str] = {}
        self._unwanted = Event()

    def deliver(self, events: Sequence[bytes], deadline_s: float) -> Mapping[int, str]:
        """Wait until every record is acknowledged, or rejected, within so many seconds. Raises Failed.

        A record that was refused together with others is sent again alone: what is wrong may be wrong with another.
        """
        until = time.monotonic() + deadline_s
        self._rejected = {}
        try:
            self._producer = self._producer or NotedProducer(self._settings)
            records = self._read(events)
            refused = self._round(self._producer, records, until)
            if refused:
                self._again_alone({place: records[place] for place in refused}, until)
        except BaseException:
            self.end()
            raise
        return self._rejected

    def give_up(self) -> None:
        """From another thread: end soon what `deliver` is doing."""
        self._unwanted.set()

    def end(self) -> None:
        """Let nothing that is still held be delivered."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.end()

    def _again_alone(self, records: Mapping[int, Parts], until: float) -> None:
        alone = NotedProducer({**self._settings, "batch.num.messages": 1})
        try:
            refused = self._round(alone, records, until)
        finally:
            alone.end()
        self._rejected |= {place: told(error) for place, error in refused.items()}

    def _round(self, producer: NotedProducer, records: Mapping[int, Parts], until: float) -> dict[int, KafkaError]:
        """Send these and wait for all reports: the errors of those refused for what they are. Raises Failed."""
        producer.forget_trouble()
        self._unreported, self._errors = set(records), {}
        for place, record in records.items():
            self._produce(producer, place, record, until)
        while self._unreported:
            self._wait(producer, until)
        for error in self._errors.values():
            if error.code() not in _RECORD_ERRORS:
                raise Failed(self._told(error))
        return self._errors

    def _wait(self, producer: NotedProducer, until: float) -> None:
        producer.wait(_LOOK_EVERY_S)
        if self._unwanted.is_set():
            raise Failed("no longer wanted")
        if self._unreported and (producer.is_hopeless or time.monotonic() >= until):
            raise Failed(f"Kafka didn't acknowledge all events: {producer.trouble or 'no answer in time'}")

    def _produce(self, producer: NotedProducer, place: int, record: Parts, until: float) -> None:
        while True:
            try:
                producer.produce(self._topic, record, partial(self._hear, place))
            except BufferError:
                # Its queue is full: room comes with the reports.
                self._wait(producer, until)
            except KafkaException as error:
                self._refuse(place, error.args[0])
                return
            else:
                return

    def _refuse(self, place: int, error: KafkaError) -> None:
        """What the producer itself doesn't take has nothing to do with other records."""
        if error.code() not in _RECORD_ERRORS:
            raise Failed(self._told(error))
        self._unreported.discard(place)
        self._rejected[place] = told(error)

    def _hear(self, place: int, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._errors[place] = error
        self._unreported.discard(place)

    def _read(self, events: Sequence[bytes]) -> dict[int, Parts]:
        records: dict[int, Parts] = {}
        for place, event in enumerate(events):
            try:
                records[place] = READ_PARTS(event)
            except msgspec.DecodeError as error:
                self._rejected[place] = f"it is no CloudEvent: {error}"
        return records

    def _told(self, error: KafkaError) -> str:
        if error.code() in _NO_TOPIC:
            return f"Kafka has no topic {self._topic}: create it"
        return f"Kafka: {told(error)}"
