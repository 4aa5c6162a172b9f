"""The Kafka platform: every event a record of its order's partition, acknowledged by all replicas in sync."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from jangteo.delivery.sinks.base import CannotUse, Later
from jangteo.delivery.sinks.kafka_delivery import Delivery
from jangteo.delivery.sinks.kafka_producer import Failed
from jangteo.delivery.sinks.urls import Address

DEADLINE_S: Final = 20.0
"""All of a batch must be acknowledged within this."""
_SECURITY: Final = {False: frozenset({"plaintext", "ssl"}), True: frozenset({"sasl_plaintext", "sasl_ssl"})}
"""What may be asked for, without and with a user."""
_MECHANISMS: Final = frozenset({"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"})
_LONGEST_TOPIC: Final = 249


class Kafka:
    """One topic. Times are in seconds.

    The client's calls block, so they are made in a thread. A producer serves until something goes wrong: then it is
    emptied and the next attempt makes a new one, so that nothing it still holds comes behind newer events.
    """

    def __init__(self, address: Address, *, deadline_s: float = DEADLINE_S) -> None:
        """Raises CannotUse where the address isn't one of Kafka with a topic."""
        self._topic = _topic(address)
        self._settings = _settings(address)
        self._deadline_s = deadline_s
        self._delivery: Delivery | None = None
        self._sending: asyncio.Future[Mapping[int, str]] | None = None

    async def send(self, events: Sequence[bytes]) -> Mapping[int, str]:
        """Produce the events, and wait for each one's delivery report. Raises Later."""
        await self._see_ended()
        delivery = self._delivery or Delivery(self._settings, self._topic)
        self._delivery = None
        self._sending = asyncio.ensure_future(asyncio.to_thread(delivery.deliver, events, self._deadline_s))
        try:
            rejected = await asyncio.shield(self._sending)
        except Failed as failure:
            raise Later(str(failure)) from failure
        except asyncio.CancelledError:
            # The thread goes on until it notices; who sends next waits for its end.
            delivery.give_up()
            raise
        self._delivery = delivery
        return rejected

    async def close(self) -> None:
        """Let go of the producer; it holds nothing by now."""
        await self._see_ended()
        delivery, self._delivery = self._delivery, None
        if delivery is not None:
            await asyncio.to_thread(delivery.end)

    async def _see_ended(self) -> None:
        if self._sending is not None:
            await asyncio.wait({self._sending})
            if not self._sending.cancelled():
                # It was told, or its send was cancelled: in either case it is no news.
                self._sending.exception()
            self._sending = None


def _topic(address: Address) -> str:
    topic = address.path
    allowed = topic.isascii() and topic.replace(".", "").replace("_", "").replace("-", "").isalnum()
    if not topic or "/" in topic:
        raise CannotUse("the platform must be named with one topic: kafka://HOST:PORT/TOPIC")
    if not allowed or len(topic) > _LONGEST_TOPIC:
        raise CannotUse(f"the platform's topic {topic!r} may only have letters, digits, dots, _ and -, up to 249")
    return topic


def _settings(address: Address) -> dict[str, Any]:
    if any(host.port is None for host in address.hosts):
        raise CannotUse("the platform must be named with ports: kafka://HOST:PORT[,HOST:PORT]/TOPIC")
    options = address.options(frozenset({"security", "mechanism"}))
    has_user = address.user is not None
    security = options.get("security", "sasl_ssl" if has_user else "plaintext").lower()
    if security not in _SECURITY[has_user]:
        allowed = " or ".join(sorted(_SECURITY[has_user]))
        raise CannotUse(f"the platform's security must be {allowed} {'with' if has_user else 'without'} a user")
    settings = {"bootstrap.servers": ",".join(map(str, address.hosts)), "security.protocol": security}
    if not has_user:
        if "mechanism" in options:
            raise CannotUse("the platform's mechanism is for a user: kafka://USER:PASSWORD@HOST:PORT/TOPIC")
        return settings
    if not address.user or not address.password:
        raise CannotUse("the platform must be named with user and password: kafka://USER:PASSWORD@HOST:PORT/TOPIC")
    mechanism = options.get("mechanism", "PLAIN").upper()
    if mechanism not in _MECHANISMS:
        raise CannotUse(f"the platform's mechanism must be one of {', '.join(sorted(_MECHANISMS))}")
    return settings | {
        "sasl.mechanism": mechanism,
        "sasl.username": address.user,
        "sasl.password": address.password,
    }
