"""A Kafka producer that remembers its connection's last error. It blocks, so it runs in a thread."""

from collections.abc import Callable, Mapping
from logging import Handler, LogRecord, getLogger
from typing import Any, Final

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from jangteo.delivery.sinks.base import REASON_CHARACTERS, PlatformUnavailable
from jangteo.delivery.sinks.event_fields import EventFields
from jangteo.foreign_text import one_line

CLOSE_TIMEOUT_S: Final = 0.1
"""How long a closing producer waits for the reports of purged records."""
_TOPIC_LOOKUP_MS: Final = 5_000
_ALL_DOWN: Final = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001 - the client names its own errors like this
_FATAL: Final = frozenset({_ALL_DOWN, KafkaError._AUTHENTICATION, KafkaError._FATAL})  # noqa: SLF001 - as above
_LOGGER: Final = getLogger(__name__)

log = structlog.get_logger()


class KafkaProducer:
    """A producer whose records are acknowledged by all in-sync replicas and stay in order within a partition.

    `settings` are the client's own. Raises PlatformUnavailable if the client refuses them.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.last_error: str | None = None
        """The last error that is not one of a single record."""
        self.has_failed = False
        """Whether such an error makes waiting pointless."""
        try:
            self._producer: Producer | None = Producer({**_SETTINGS, **settings, "error_cb": self._on_error})
        except KafkaException as error:
            raise PlatformUnavailable(f"Kafka: {describe(error.args[0])}") from error

    def produce(self, topic: str, record: EventFields, report: Callable[[KafkaError | None, Message], None]) -> None:
        """Queue a record; `report` is called with its delivery report. Raises BufferError, and KafkaException."""
        self._open_producer().produce(
            topic,
            value=bytes(record.data),
            key=record.subject,
            headers=_headers(record),
            on_delivery=report,
        )

    def wait(self, timeout_s: float) -> None:
        """Call back with delivery reports, until no record is waiting for one or the time is over."""
        self._open_producer().flush(timeout_s)

    def clear_error(self) -> None:
        """Disregard errors from before a batch, such as the end of an idle connection."""
        self._open_producer().poll(0)
        self.last_error, self.has_failed = None, False

    def partitions(self, timeout_s: float) -> Mapping[str, int]:
        """Return the number of partitions of each topic. Asking for one by name might create it.

        Raises KafkaException.
        """
        topics = self._open_producer().list_topics(timeout=timeout_s).topics
        return {name: len(topic.partitions) for name, topic in topics.items() if topic.error is None}

    def close(self) -> None:
        """Drop unsent records, so that none is delivered later, and destroy the producer.

        It is destroyed here, since that may take long for whichever thread collects it as garbage.
        """
        if self._producer is not None:
            self._producer.purge()
            self._producer.flush(CLOSE_TIMEOUT_S)
            self._producer = None

    def _open_producer(self) -> Producer:
        if self._producer is None:
            raise PlatformUnavailable("the Kafka producer is closed")
        return self._producer

    def _on_error(self, error: KafkaError) -> None:
        # "All brokers are down" comes after the reason of each.
        if error.code() != _ALL_DOWN or self.last_error is None:
            self.last_error = describe(error)
        self.has_failed |= error.fatal() or error.code() in _FATAL


def count_partitions(settings: Mapping[str, Any], topic: str, timeout_s: float) -> int:
    """Return the number of a topic's partitions, by a producer of its own. Blocks. Raises PlatformUnavailable."""
    producer = KafkaProducer(settings)
    try:
        partitions = producer.partitions(timeout_s)
    except KafkaException as error:
        producer.wait(0)
        raise PlatformUnavailable(f"Kafka: {producer.last_error or describe(error.args[0])}") from error
    finally:
        producer.close()
    if topic not in partitions:
        raise PlatformUnavailable(f"Kafka has no topic {topic}, or this user can't see it")
    return partitions[topic]


def describe(error: KafkaError) -> str:
    """Return the client's message in one line."""
    return one_line(error.str(), REASON_CHARACTERS)


def _headers(record: EventFields) -> list[tuple[str, str | bytes | None]]:
    """CloudEvents' binary mode: the attributes are headers, the value is the data alone."""
    return [
        ("ce_specversion", record.specversion),
        ("ce_id", record.id),
        ("ce_source", record.source),
        ("ce_type", record.type),
        ("ce_subject", record.subject),
        ("ce_time", record.time),
        ("content-type", record.datacontenttype),
    ]


class _LogHandler(Handler):
    """Logs the client's own lines at debug level; the relay logs the reason of a failure."""

    def emit(self, record: LogRecord) -> None:
        log.debug("Kafka client", message=record.getMessage())


_LOGGER.addHandler(_LogHandler())
_LOGGER.propagate = False
_SETTINGS: Final[Mapping[str, Any]] = {
    "acks": "all",
    "enable.idempotence": True,
    "client.id": "jangteo",
    # As in the Java clients, so that all producers that use the order as key choose the same partition.
    "partitioner": "murmur2_random",
    "reconnect.backoff.max.ms": 1_000,
    "topic.metadata.propagation.max.ms": _TOPIC_LOOKUP_MS,
    "logger": _LOGGER,
}
