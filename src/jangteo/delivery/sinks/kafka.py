"""The Kafka platform: every event a record in its order's partition, acknowledged by all in-sync replicas."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from jangteo.delivery.sinks.base import InvalidPlatform
from jangteo.delivery.sinks.kafka_delivery import Delivery
from jangteo.delivery.sinks.kafka_producer import count_partitions
from jangteo.delivery.sinks.urls import Address

TIMEOUT_S: Final = 20.0
"""All events of a call must be acknowledged within this."""
_SECURITY: Final = {False: frozenset({"plaintext", "ssl"}), True: frozenset({"sasl_plaintext", "sasl_ssl"})}
"""The allowed protocols, without and with a user."""
_MECHANISMS: Final = frozenset({"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"})
_TOPIC_CHARACTERS: Final = 249


class Kafka:
    """Produces to one topic.

    The client blocks, so it runs in a thread. After any error the producer is purged and the next call makes a new
    one, so that nothing the old one still holds arrives after later events.
    """

    def __init__(self, address: Address, *, timeout_s: float = TIMEOUT_S) -> None:
        """Raises InvalidPlatform if the address isn't one of Kafka with a topic."""
        self._topic = _topic(address)
        self._settings = _settings(address)
        self._timeout_s = timeout_s
        self._delivery: Delivery | None = None
        self._sending: asyncio.Future[Mapping[int, str]] | None = None

    async def send(self, events: Sequence[bytes]) -> Mapping[int, str]:
        """Produce the events, and wait for each one's delivery report. Raises PlatformUnavailable."""
        await self._wait_until_sent()
        delivery = self._delivery or Delivery(self._settings, self._topic)
        # Kept only after a success.
        self._delivery = None
        self._sending = asyncio.ensure_future(asyncio.to_thread(delivery.deliver, events, self._timeout_s))
        try:
            rejected = await asyncio.shield(self._sending)
        except asyncio.CancelledError:
            # The thread runs until it notices; the next call waits for its end.
            delivery.cancel()
            raise
        self._delivery = delivery
        return rejected

    async def probe(self) -> str:
        """Find the topic. Raises PlatformUnavailable."""
        partitions = await asyncio.to_thread(count_partitions, self._settings, self._topic, self._timeout_s)
        return f"the topic {self._topic} has {partitions} partitions"

    async def close(self) -> None:
        """Close the producer, which holds no records by now."""
        await self._wait_until_sent()
        delivery, self._delivery = self._delivery, None
        if delivery is not None:
            await asyncio.to_thread(delivery.close)

    async def _wait_until_sent(self) -> None:
        if self._sending is not None:
            await asyncio.wait({self._sending})
            if not self._sending.cancelled():
                # Retrieved so that asyncio doesn't warn: it was raised to the caller, or the caller was cancelled.
                self._sending.exception()
            self._sending = None


def _topic(address: Address) -> str:
    topic = address.path
    is_allowed = topic.isascii() and topic.replace(".", "").replace("_", "").replace("-", "").isalnum()
    if not topic or "/" in topic:
        raise InvalidPlatform("the platform must be named with one topic: kafka://HOST:PORT/TOPIC")
    if not is_allowed or len(topic) > _TOPIC_CHARACTERS:
        raise InvalidPlatform(f"the platform's topic {topic!r} may only have letters, digits, dots, _ and -, up to 249")
    return topic


def _settings(address: Address) -> dict[str, Any]:
    if any(host.port is None for host in address.hosts):
        raise InvalidPlatform("the platform must be named with ports: kafka://HOST:PORT[,HOST:PORT]/TOPIC")
    options = address.options(frozenset({"security", "mechanism"}))
    has_user = address.user is not None
    security = options.get("security", "sasl_ssl" if has_user else "plaintext").lower()
    if security not in _SECURITY[has_user]:
        allowed = " or ".join(sorted(_SECURITY[has_user]))
        raise InvalidPlatform(f"the platform's security must be {allowed} {'with' if has_user else 'without'} a user")
    settings = {"bootstrap.servers": ",".join(map(str, address.hosts)), "security.protocol": security}
    if not has_user:
        if "mechanism" in options:
            raise InvalidPlatform("the platform's mechanism is for a user: kafka://USER:PASSWORD@HOST:PORT/TOPIC")
        return settings
    if not address.user or not address.password:
        raise InvalidPlatform(
            "the platform must be named with user and password: kafka://USER:PASSWORD@HOST:PORT/TOPIC"
        )
    mechanism = options.get("mechanism", "PLAIN").upper()
    if mechanism not in _MECHANISMS:
        raise InvalidPlatform(f"the platform's mechanism must be one of {', '.join(sorted(_MECHANISMS))}")
    return settings | {
        "sasl.mechanism": mechanism,
        "sasl.username": address.user,
        "sasl.password": address.password,
    }
