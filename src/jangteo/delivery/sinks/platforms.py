"""From a platform's URL to its sink."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

from jangteo.delivery.sinks.base import CannotUse, Sink
from jangteo.delivery.sinks.json_lines import JsonLines
from jangteo.delivery.sinks.urls import Address, parse_address, shown_platform

__all__ = ["Nowhere", "open_sink", "shown_platform"]


class Nowhere:
    """No platform: every event counts as delivered at once, and is kept as long as others are."""

    async def send(self, events: Sequence[bytes]) -> Mapping[int, str]:  # noqa: ARG002 - the protocol's own signature
        """Nothing is sent."""
        return {}

    async def close(self) -> None:
        """Nothing is held."""


def open_sink(url: str, secret: str | None = None, taken: Collection[Path] = ()) -> Sink:
    """The sink at a URL; `secret` signs what goes to an HTTP platform.

    Raises CannotUse where there is no such kind, it can't be used as named, its extra isn't installed, or it is one of
    the files taken. Reaches nothing yet: a platform that isn't there may come.
    """
    kind = url.partition(":")[0].lower()
    if secret is not None and kind not in _SIGNING:
        raise CannotUse("a secret is for a platform that is reached over HTTP")
    if url == "none":
        return Nowhere()
    if kind == "file":
        return _open_file(url, taken)
    if kind not in _REACHED or not url[len(kind) :].startswith("://"):
        raise CannotUse(f"the platform must be named as one of {_NAMES}")
    extra, open_reached = _REACHED[kind]
    address = parse_address(url)
    try:
        return open_reached(address, secret)
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in _CLIENTS:
            raise
        raise CannotUse(f"{kind}:// needs the extra \"{extra}\": pip install 'jangteo[{extra}]'") from None


def _open_file(url: str, taken: Collection[Path]) -> Sink:
    path = url[len("file:") :]
    if not path:
        raise CannotUse("the platform needs a path: file:PATH")
    sink = JsonLines(Path(path))
    sink.check(taken)
    return sink


def _open_webhook(address: Address, secret: str | None) -> Sink:
    from jangteo.delivery.sinks.webhook import Webhook  # noqa: PLC0415 - its client is an extra

    return Webhook(address, secret)


def _open_jetstream(address: Address, _: str | None) -> Sink:
    from jangteo.delivery.sinks.jetstream import JetStream  # noqa: PLC0415 - its client is an extra

    return JetStream(address)


def _open_kafka(address: Address, _: str | None) -> Sink:
    from jangteo.delivery.sinks.kafka import Kafka  # noqa: PLC0415 - its client is an extra

    return Kafka(address)


_REACHED: Final[Mapping[str, tuple[str, Callable[[Address, str | None], Sink]]]] = {
    "http": ("http", _open_webhook),
    "https": ("http", _open_webhook),
    "nats": ("nats", _open_jetstream),
    "tls": ("nats", _open_jetstream),
    "kafka": ("kafka", _open_kafka),
}
"""By the URL's kind: the extra that brings its client, and what opens it."""
_SIGNING: Final = frozenset({"http", "https"})
_CLIENTS: Final = frozenset({"aiohttp", "nats", "confluent_kafka"})
_NAMES: Final = (
    "file:PATH, none, http://…, https://…, nats://HOST/SUBJECT, tls://HOST/SUBJECT (NATS) or kafka://HOST:PORT/TOPIC"
)
