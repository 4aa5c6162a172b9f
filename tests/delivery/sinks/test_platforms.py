"""Platform URLs: which are valid, one-line errors for the others, and no secret in any output."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from jangteo.delivery.sinks.base import InvalidPlatform
from jangteo.delivery.sinks.extras import how_to_install
from jangteo.delivery.sinks.platforms import Nowhere, open_sink
from jangteo.delivery.sinks.urls import parse_address
from jangteo.url_secrets import shown_url

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://x", "must be named as one of file:PATH"),
        ("nonsense", "must be named as one of file:PATH"),
        ("http:x", "must be named as one of file:PATH"),
        ("file:", "file:PATH"),
        ("file:{folder}", "is no file"),
        ("file:/dev/null", "is no file"),
        ("file:{folder}/shop-file", "own database"),
        ("file:{folder}/missing/events.jsonl", "create it first"),
        ("file:{folder}/shop.db", "no JSON Lines file; nothing was changed"),
    ],
)
def test_an_unusable_file_is_an_error_in_one_line(tmp_path: Path, url: str, reason: str) -> None:
    (tmp_path / "shop.db").write_bytes(b"SQLite format 3\x00")
    with pytest.raises(InvalidPlatform) as error:
        open_sink(url.format(folder=tmp_path), shop_files=[tmp_path / "shop-file"])
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
    assert (tmp_path / "shop.db").read_bytes() == b"SQLite format 3\x00"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://", "needs a host"),
        ("https://:443/x", "needs a host"),
        ("http://ann:pa55@host:port/x", "HOST or HOST:PORT"),
        ("http://ann:pa55@host:0/x", "HOST or HOST:PORT"),
        ("http://ann:pa55@host:70000/x", "HOST or HOST:PORT"),
        ("http://ann:pa55@[::1/x", "is no URL"),
        ("http://ann:pa55@one,two/x", "has one host, not 2"),
        ("http://an%3An:pa55@host/x", "can't have a colon"),
        ("http://ann:pa55/word@host/x", "HOST or HOST:PORT"),
        ("nats://ann:pa55@host", "nats://HOST/SUBJECT"),
        ("nats://ann:pa55@host/a/b", "nats://HOST/SUBJECT"),
        ("nats://ann:pa55@/orders", "needs a host"),
        ("nats://ann:pa55@host/orders.*", "no * and no >"),
        ("nats://ann:pa55@host/orders.>", "no * and no >"),
        ("nats://ann:pa55@host/orders..x", "no empty parts"),
        ("nats://ann:pa55@host/or ders", "characters that a subject can't have"),
        ("nats://ann:pa55@host/$JS.API", "one of NATS's own"),
        ("nats://ann:pa55@host/orders?token=pa55", "it knows none"),
        ("nats://ann:pa55@one,bob:pa55@two/orders", "must share one"),
        ("nats://ann:pa55,word@host/orders", "HOST or HOST:PORT"),
        ("nats://ann:5,pa55@host/orders", "write each as %XX"),
        ("nats://ann:55/pa55@host", "write each as %XX"),
        ("kafka://ann:55/pa55@host:9092/orders", "write each as %XX"),
        ("tls://host", "tls://HOST/SUBJECT"),
        ("kafka://ann:pa55@host:9092", "kafka://HOST:PORT/TOPIC"),
        ("kafka://ann:pa55@host:9092/a/b", "kafka://HOST:PORT/TOPIC"),
        ("kafka://ann:pa55@host/orders", "must be named with ports"),
        ("kafka://ann:pa55@host:9092/or+ders", "may only have letters"),
        ("kafka://ann:pa55@host:9092/orders?key=pa55", "it knows mechanism, security"),
        ("kafka://ann:pa55@host:9092/orders?security=ssl", "must be sasl_plaintext or sasl_ssl with a user"),
        ("kafka://host:9092/orders?security=none", "must be plaintext or ssl without a user"),
        ("kafka://host:9092/orders?security=ssl&security=plaintext", "there twice"),
        ("kafka://ann:pa55@host:9092/orders?mechanism=GSSAPI", "must be one of PLAIN"),
        ("kafka://host:9092/orders?mechanism=PLAIN", "is for a user"),
        ("kafka://ann@host:9092/orders", "user and password"),
    ],
)
def test_a_malformed_url_is_an_error_in_one_line_without_its_password(url: str, reason: str) -> None:
    with pytest.raises(InvalidPlatform) as error:
        open_sink(url)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
    assert "pa55" not in str(error.value)
    assert "pa55" not in shown_url(url)


@pytest.mark.parametrize("url", ["none", "file:events.jsonl", "nats://host/orders", "kafka://host:9092/orders"])
def test_a_secret_needs_an_http_platform(url: str) -> None:
    with pytest.raises(InvalidPlatform, match="a secret is only for an HTTP platform"):
        open_sink(url, [SECRET])


@pytest.mark.parametrize("secret", ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_pa55!pa55", "whsec_ä"])
def test_a_malformed_secret_is_an_error(secret: str) -> None:
    with pytest.raises(InvalidPlatform) as error:
        open_sink("https://host/x", [secret])
    assert "the secret must be whsec_ and the base64" in str(error.value)
    assert "pa55" not in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://host",
        "HTTPS://ann:pa55@host:8443/events?token=x",
        "http://[::1]:8080/events",
        "nats://host/orders",
        "nats://t0ken@one,two:4222/shop.orders",
        "tls://ann:p%40ss@one:4222,ann:p%40ss@two:4222/orders",
        "kafka://one:9092,two:9092/shop-orders_1.x",
        "kafka://ann:p%40ss@one:9092/orders?security=sasl_plaintext&mechanism=scram-sha-256",
    ],
)
def test_opening_does_not_connect(url: str) -> None:
    asyncio.run(open_sink(url).close())


def test_nowhere_accepts_everything() -> None:
    sink = open_sink("none")
    assert isinstance(sink, Nowhere)
    assert asyncio.run(sink.send([b"{}"])) == {}
    asyncio.run(sink.close())


def test_an_address_has_decoded_credentials_and_does_not_show_them() -> None:
    address = parse_address("nats://a%40n:p%3Aa%2C55@one:1,a%40n:p%3Aa%2C55@[::2]/orders")
    assert (address.user, address.password) == ("a@n", "p:a,55")
    assert [str(host) for host in address.hosts] == ["one:1", "[::2]"]
    assert "p:a,55" not in repr(address)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("none", "none"),
        ("file:/var/events.jsonl", "file:/var/events.jsonl"),
        ("http://host/x", "http://host/x"),
        ("https://ann:pa55@host:1/x/y?key=pa55&flag#pa55", "https://ann:***@host:1/x/y?key=***&***"),
        ("https://t0ken@host/@me", "https://***@host/@me"),
        ("https://host/@me", "https://host/@me"),
        ("https://ann:pa/55@host/x", "https://***"),
        ("nats://pa55@one,two:1/orders", "nats://***@one,two:1/orders"),
        ("tls://ann:pa55@one,ann:pa55@two/orders", "tls://ann:***@one,ann:***@two/orders"),
        ("nats://ann:pa,55@one/orders", "nats://***"),
        ("nats://ann:5,pa55@one/orders", "nats://***"),
        ("https://host/hooks/T024/pa55word", "https://host/hooks/***/***#47b8"),
        ("https://host/hooks/T024/pa55other", "https://host/hooks/***/***#bb38"),
        ("https://ann:@host/events", "https://***:@host/events"),
        (
            "kafka://ann:pa55@one:1/orders?security=sasl_ssl&x=pa55",
            "kafka://ann:***@one:1/orders?security=sasl_ssl&x=***",
        ),
    ],
)
def test_a_platform_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert shown_url(url) == shown


@pytest.mark.parametrize(
    ("url", "client", "extra"),
    [
        ("http://host/x", "aiohttp", "http"),
        ("nats://host/orders", "nats", "nats"),
        ("tls://host/orders", "nats", "nats"),
        ("kafka://host:9092/orders", "confluent_kafka", "kafka"),
    ],
)
def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, url: str, client: str, extra: str) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == client or name in CLIENT_MODULES]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, client, None)
    with pytest.raises(InvalidPlatform) as error:
        open_sink(url)
    kind = url.partition(":")[0]
    assert str(error.value) == f'{kind}:// needs the extra "{extra}": {how_to_install(extra)}'


CLIENT_MODULES = {
    f"jangteo.delivery.sinks.{name}"
    for name in (
        "http_responses",
        "jetstream",
        "kafka",
        "kafka_delivery",
        "kafka_producer",
        "nats_connection",
        "nats_login",
        "webhook",
    )
}


def test_a_file_platform_imports_no_client() -> None:
    program = (
        "import sys; from jangteo.delivery.sinks.platforms import open_sink; open_sink('file:x.jsonl'); "
        "print({'aiohttp', 'nats', 'confluent_kafka'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
