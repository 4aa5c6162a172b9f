"""Delivers batches of events to Kafka, every record acknowledged or rejected. It blocks, so it runs in a thread."""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from threading import Event
from typing import Any, Final

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message

from jangteo.delivery.sinks.base import PlatformUnavailable
from jangteo.delivery.sinks.event_fields import READ_FIELDS, EventFields
from jangteo.delivery.sinks.kafka_producer import KafkaProducer, describe

_POLL_INTERVAL_S: Final = 0.1
"""How often the thread looks whether it was cancelled."""
_RECORD_ERRORS: Final = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_MSG_SIZE,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError._INVALID_DIFFERENT_RECORD,  # noqa: SLF001 - the client's name for an error of another record
    }
)
"""Errors of a record, or of another one in its request; all others are errors of the cluster."""
_NO_TOPIC: Final = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 - the client's name for what it found out itself
    }
)


class Delivery:
    """Delivers one batch after the other with one producer. After a failure it is closed and must not be used again.

    `settings` are the client's settings for this platform.
    """

    def __init__(self, settings: Mapping[str, Any], topic: str) -> None:
        self._settings = settings
        self._topic = topic
        self._producer: KafkaProducer | None = None
        self._unreported: set[int] = set()
        self._errors: dict[int, KafkaError] = {}
        self._rejected: dict[int, str] = {}
        self._cancelled = Event()

    def deliver(self, events: Sequence[bytes], timeout_s: float) -> Mapping[int, str]:
        """Send the events, wait until each is acknowledged or rejected, and return the rejected ones' indexes.

        A record that was rejected together with others is sent again alone: the error may be another's. Raises
        PlatformUnavailable.
        """
        deadline = time.monotonic() + timeout_s
        self._rejected = {}
        try:
            self._producer = self._producer or KafkaProducer(self._settings)
            records = self._read(events)
            errors = self._produce_all(self._producer, records, deadline)
            if errors:
                self._send_alone({index: records[index] for index in errors}, deadline)
        except BaseException:
            self.close()
            raise
        return self._rejected

    def cancel(self) -> None:
        """Make `deliver` fail soon. Called from another thread."""
        self._cancelled.set()

    def close(self) -> None:
        """Close the producer, so that no record it still holds is delivered."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.close()

    def _send_alone(self, records: Mapping[int, EventFields], deadline: float) -> None:
        producer = KafkaProducer({**self._settings, "batch.num.messages": 1})
        try:
            errors = self._produce_all(producer, records, deadline)
        finally:
            producer.close()
        self._rejected |= {index: describe(error) for index, error in errors.items()}

    def _produce_all(
        self, producer: KafkaProducer, records: Mapping[int, EventFields], deadline: float
    ) -> dict[int, KafkaError]:
        """Send records, wait for all delivery reports, and return the errors of records. Raises PlatformUnavailable."""
        producer.clear_error()
        self._unreported, self._errors = set(records), {}
        for index, record in records.items():
            self._produce(producer, index, record, deadline)
        while self._unreported:
            self._wait(producer, deadline)
        for error in self._errors.values():
            if error.code() not in _RECORD_ERRORS:
                raise PlatformUnavailable(self._describe(error))
        return self._errors

    def _wait(self, producer: KafkaProducer, deadline: float) -> None:
        producer.wait(_POLL_INTERVAL_S)
        if self._cancelled.is_set():
            raise PlatformUnavailable("sending was cancelled")
        if self._unreported and (producer.has_failed or time.monotonic() >= deadline):
            reason = producer.last_error or "no answer in time"
            raise PlatformUnavailable(f"Kafka didn't acknowledge all events: {reason}")

    def _produce(self, producer: KafkaProducer, index: int, record: EventFields, deadline: float) -> None:
        while True:
            try:
                producer.produce(self._topic, record, partial(self._on_delivery, index))
            except BufferError:
                # The producer's queue is full: delivery reports make room.
                self._wait(producer, deadline)
            except KafkaException as error:
                self._reject(index, error.args[0])
                return
            else:
                return

    def _reject(self, index: int, error: KafkaError) -> None:
        """Reject a record that the producer itself refused: that has nothing to do with other records."""
        if error.code() not in _RECORD_ERRORS:
            raise PlatformUnavailable(self._describe(error))
        self._unreported.discard(index)
        self._rejected[index] = describe(error)

    def _on_delivery(self, index: int, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._errors[index] = error
        self._unreported.discard(index)

    def _read(self, events: Sequence[bytes]) -> dict[int, EventFields]:
        records: dict[int, EventFields] = {}
        for index, event in enumerate(events):
            try:
                records[index] = READ_FIELDS(event)
            except msgspec.DecodeError as error:
                self._rejected[index] = f"it is no CloudEvent: {error}"
        return records

    def _describe(self, error: KafkaError) -> str:
        if error.code() in _NO_TOPIC:
            return f"Kafka has no topic {self._topic}: create it"
        return f"Kafka: {describe(error)}"
