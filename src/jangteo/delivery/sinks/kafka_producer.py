"""A Kafka producer that remembers what troubles it. All of it blocks: it is for a thread."""

from collections.abc import Callable, Mapping
from logging import Handler, LogRecord, getLogger
from typing import Any, Final

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from jangteo.delivery.sinks.event_fields import Parts

SHUTDOWN_TIMEOUT_S: Final = 0.1
"""So long it may take to hear of what was thrown away."""
_TOPIC_SOUGHT_MS: Final = 5_000
_ALL_DOWN: Final = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001 - so named by the client, as are all errors of its own
_HOPELESS: Final = frozenset({_ALL_DOWN, KafkaError._AUTHENTICATION, KafkaError._FATAL})  # noqa: SLF001 - as above
_LOGGER: Final = getLogger(__name__)

log = structlog.get_logger()


class Failed(Exception):
    """Not all was acknowledged; the message is one line."""


class NotedProducer:
    """A producer whose records all replicas in sync acknowledge, and that keeps the order within a partition.

    `settings` are the client's own. Raises Failed where it can't be made of them.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.trouble: str | None = None
        """What it last told of outside of delivery reports."""
        self.is_hopeless = False
        """Whether that is nothing to wait out."""
        try:
            self._producer: Producer | None = Producer({**_SETTINGS, **settings, "error_cb": self._note})
        except KafkaException as error:
            raise Failed(f"Kafka: {told(error.args[0])}") from error

    def produce(self, topic: str, record: Parts, hear: Callable[[KafkaError | None, Message], None]) -> None:
        """Queue a record; `hear` gets its delivery report. Raises BufferError, and KafkaException."""
        self._made().produce(
            topic,
            value=bytes(record.data),
            key=record.subject,
            headers=_headers(record),
            on_delivery=hear,
        )

    def wait(self, seconds: float) -> None:
        """Hear delivery reports, until there are no more to come or the time is over."""
        self._made().flush(seconds)

    def forget_trouble(self) -> None:
        """What was told while nothing was sent, like the end of an idle connection, is no reason to give up."""
        self._made().poll(0)
        self.trouble, self.is_hopeless = None, False

    def end(self) -> None:
        """Throw away what it holds, so that none of it is ever delivered, and end it: here, and not on some other
        thread that finds it unused, since that may take its time.
        """
        if self._producer is not None:
            self._producer.purge()
            self._producer.flush(SHUTDOWN_TIMEOUT_S)
            self._producer = None

    def _made(self) -> Producer:
        if self._producer is None:
            raise Failed("the producer was ended")
        return self._producer

    def _note(self, error: KafkaError) -> None:
        # That all are down comes after the reason of each.
        if error.code() != _ALL_DOWN or self.trouble is None:
            self.trouble = told(error)
        self.is_hopeless |= error.fatal() or error.code() in _HOPELESS


def told(error: KafkaError) -> str:
    """What is wrong, in one line."""
    return " ".join(error.str().split())


def _headers(record: Parts) -> list[tuple[str, str | bytes | None]]:
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


class _Told(Handler):
    """What the client would print, in our own log; the reason of a failure is told by whoever sends."""

    def emit(self, record: LogRecord) -> None:
        log.debug("Kafka client", says=record.getMessage())


_LOGGER.addHandler(_Told())
_LOGGER.propagate = False
_SETTINGS: Final[Mapping[str, Any]] = {
    "acks": "all",
    "enable.idempotence": True,
    "client.id": "jangteo",
    # As the Java clients do, so that all who key by order find the same partition.
    "partitioner": "murmur2_random",
    "reconnect.backoff.max.ms": 1_000,
    "topic.metadata.propagation.max.ms": _TOPIC_SOUGHT_MS,
    "logger": _LOGGER,
}
