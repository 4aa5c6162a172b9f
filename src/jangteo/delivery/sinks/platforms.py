"""Opens the sink for a platform's URL."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

from jangteo.delivery.sinks.base import InvalidPlatform, Sink
from jangteo.delivery.sinks.extras import how_to_install
from jangteo.delivery.sinks.json_lines import JsonLines
from jangteo.delivery.sinks.signing import forms_of
from jangteo.delivery.sinks.urls import Address, parse_address
from jangteo.redaction import redaction
from jangteo.url_secrets import secrets_of


class Nowhere:
    """No platform: every event counts as delivered at once, and is kept for its retention."""

    async def send(self, events: Sequence[bytes]) -> Mapping[int, str]:  # noqa: ARG002 - the protocol's own signature
        """Accept every event."""
        return {}

    async def probe(self, timeout_s: float) -> str:  # noqa: ARG002 - the protocol's own signature
        """Find that every event is accepted."""
        return "every event counts as sent at once"

    async def close(self) -> None:
        """Do nothing."""


def open_sink(url: str, secrets: Collection[str] = (), shop_files: Collection[Path] = ()) -> Sink:
    """Return the sink for a URL; `secrets` sign what is sent to an HTTP platform.

    Raises InvalidPlatform if the kind is unknown, the URL or a secret is unusable, the kind's extra isn't installed, or
    the file is one of `shop_files`. Doesn't connect: a platform that isn't up now may be up later.
    """
    redaction.hide(secrets_of(url))
    for secret in secrets:
        redaction.hide(forms_of(secret))
    kind = url.partition(":")[0].lower()
    if secrets and kind not in _SIGNED:
        raise InvalidPlatform("a secret is only for an HTTP platform")
    if url == "none":
        return Nowhere()
    if kind == "file":
        return _open_file(url, shop_files)
    if kind not in _NETWORK_SINKS or not url[len(kind) :].startswith("://"):
        raise InvalidPlatform(f"the platform must be named as one of {_FORMS}")
    extra, open_network_sink = _NETWORK_SINKS[kind]
    address = parse_address(url)
    try:
        return open_network_sink(address, secrets)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _CLIENTS:
            raise
        raise InvalidPlatform(f'{kind}:// needs the extra "{extra}": {how_to_install(extra)}') from None


def _open_file(url: str, shop_files: Collection[Path]) -> Sink:
    path = url[len("file:") :]
    if not path:
        raise InvalidPlatform("the platform needs a path: file:PATH")
    sink = JsonLines(Path(path))
    sink.check(shop_files)
    return sink


def _open_webhook(address: Address, secrets: Collection[str]) -> Sink:
    from jangteo.delivery.sinks.webhook import Webhook  # noqa: PLC0415 - its client is an extra

    return Webhook(address, tuple(secrets))


def _open_jetstream(address: Address, _: Collection[str]) -> Sink:
    from jangteo.delivery.sinks.jetstream import JetStream  # noqa: PLC0415 - its client is an extra

    return JetStream(address)


def _open_kafka(address: Address, _: Collection[str]) -> Sink:
    from jangteo.delivery.sinks.kafka import Kafka  # noqa: PLC0415 - its client is an extra

    return Kafka(address)


_NETWORK_SINKS: Final[Mapping[str, tuple[str, Callable[[Address, Collection[str]], Sink]]]] = {
    "http": ("http", _open_webhook),
    "https": ("http", _open_webhook),
    "nats": ("nats", _open_jetstream),
    "tls": ("nats", _open_jetstream),
    "kafka": ("kafka", _open_kafka),
}
"""By the URL's kind: the extra with its client library, and the function that opens its sink."""
_SIGNED: Final = frozenset({"http", "https"})
_CLIENTS: Final = frozenset({"aiohttp", "nats", "confluent_kafka"})
_FORMS: Final = (
    "file:PATH, none, http://…, https://…, nats://HOST/SUBJECT, tls://HOST/SUBJECT (NATS) or kafka://HOST:PORT/TOPIC"
)
