"""The provider's keys: loaded beside the requests, seldom, and kept while the provider is out."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from jangteo.api.access import key_source
from jangteo.api.access.cached_keys import FIRST_LOAD_MIN_S, FRESH_S, RELOAD_MIN_S, CachedKeys, KeysUnavailable
from jangteo.api.access.key_source import MAX_BYTES, InvalidSource, open_source
from tests.api.access.provider import ALL_KEYS, jwk, jwks


class Provider:
    """Gives what it is set to, and counts how often it was asked."""

    def __init__(self, raw: bytes | Exception = ALL_KEYS) -> None:
        self.raw = raw
        self.loads = 0
        self.now = 0.0

    def __call__(self) -> bytes:
        self.loads += 1
        if isinstance(self.raw, Exception):
            raise self.raw
        return self.raw

    def clock(self) -> float:
        return self.now


def cached(provider: Provider) -> CachedKeys:
    return CachedKeys(provider, provider.clock)


def test_keys_are_loaded_once_for_all_who_wait_for_them() -> None:
    provider = Provider()

    async def scenario() -> None:
        keys = cached(provider)
        found = await asyncio.gather(*(keys.find("ES256") for _ in range(10)))
        assert all(each is found[0] is not None for each in found)
        assert await keys.find("RS256") is not None

    asyncio.run(scenario())
    assert provider.loads == 1


def test_an_unknown_key_has_them_loaded_again_at_most_once_a_minute() -> None:
    provider = Provider(jwks(jwk("ES256", "old")))

    async def scenario() -> None:
        keys = cached(provider)
        assert await keys.find("old") is not None
        provider.raw = jwks(jwk("ES256", "new", number=1))
        assert await keys.find("new") is None, "the first load is less than a minute ago"
        provider.now += RELOAD_MIN_S
        assert await keys.find("new") is not None
        assert await keys.find("old") is None
        for _ in range(100):
            assert await keys.find("forged") is None
        assert keys.version == 2

    asyncio.run(scenario())
    assert provider.loads == 2


def test_the_last_good_keys_are_kept_through_an_outage() -> None:
    provider = Provider()

    async def scenario() -> None:
        keys = cached(provider)
        await keys.find("ES256")
        for broken in (OSError("HTTP 503"), b"<html>", b'{"keys": []}', ValueError("too large")):
            provider.raw = broken
            provider.now += FRESH_S + 1
            assert await keys.find("unknown") is None
            assert await keys.find("ES256") is not None
        assert keys.version == 1

    asyncio.run(scenario())
    assert provider.loads == 5


def test_old_keys_are_loaded_again_while_requests_go_on_with_them() -> None:
    provider = Provider()

    async def scenario() -> None:
        keys = cached(provider)
        await keys.find("ES256")
        provider.raw = jwks(jwk("RS256", "RS256"))
        provider.now += FRESH_S + 1
        assert await keys.find("ES256") is not None, "this request doesn't wait"
        assert keys._loading is not None
        await keys._loading
        assert await keys.find("ES256") is None, "the provider has withdrawn it"

    asyncio.run(scenario())


def test_before_the_first_keys_nothing_can_be_verified_and_loading_is_tried_every_few_seconds() -> None:
    provider = Provider(OSError("down"))

    async def scenario() -> None:
        keys = cached(provider)
        for _ in range(3):
            with pytest.raises(KeysUnavailable):
                await keys.find("ES256")
        assert provider.loads == 1
        provider.raw = ALL_KEYS
        provider.now += FIRST_LOAD_MIN_S
        assert await keys.find("ES256") is not None

    asyncio.run(scenario())


def test_loading_leaves_the_event_loop_free() -> None:
    asked, answer = threading.Event(), threading.Event()

    def load() -> bytes:
        asked.set()
        assert answer.wait(30)
        return ALL_KEYS

    async def scenario() -> None:
        finding = asyncio.ensure_future(CachedKeys(load).find("ES256"))
        assert await asyncio.to_thread(asked.wait, 30)
        assert not finding.done()
        answer.set()
        assert await finding is not None

    asyncio.run(scenario())


@contextmanager
def answering(status: int, body: bytes, **headers: str) -> Iterator[str]:
    """A provider's HTTP server; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/certs"
    server.shutdown()
    thread.join()
    server.server_close()


def test_keys_are_read_from_a_file_or_a_url(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_bytes(ALL_KEYS)
    assert open_source(str(tmp_path / "keys.json"))() == ALL_KEYS
    with answering(200, ALL_KEYS) as url:
        assert open_source(url)() == ALL_KEYS


@pytest.mark.parametrize(
    ("status", "body", "headers", "reason"),
    [
        (503, b"", {}, "HTTP 503"),
        (404, b"", {}, "HTTP 404"),
        (302, b"", {"Location": "file:///etc/passwd"}, "redirects are not followed|HTTP 302"),
        (302, b"", {"Location": "http://127.0.0.1:1/"}, "redirects are not followed"),
        (200, b" " * (MAX_BYTES + 1), {}, "more than 262,144 bytes"),
    ],
)
def test_any_other_answer_of_the_provider_is_an_error(
    status: int, body: bytes, headers: dict[str, str], reason: str
) -> None:
    with answering(status, body, **headers) as url, pytest.raises((OSError, ValueError), match=reason):
        open_source(url)()


def test_a_provider_that_never_ends_its_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_source, "TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            client, _ = server.accept()
            with client:
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                try:
                    while True:
                        client.sendall(b" ")
                        stopped.wait(0.01)
                except OSError:
                    return

        stopped = threading.Event()
        thread = threading.Thread(target=drip)
        thread.start()
        with pytest.raises(OSError, match="no complete answer within"):
            open_source(f"http://127.0.0.1:{server.getsockname()[1]}/")()
        thread.join(30)
        assert not thread.is_alive()


@pytest.mark.parametrize(
    "name",
    ["http://id.example.com/keys", "ftp://host/x", "file:///etc/passwd", "https://", "https://ann:pw@host/", "https://h:x/"],
)  # fmt: skip
def test_keys_come_from_a_file_or_over_https_only(name: str) -> None:
    with pytest.raises(InvalidSource, match="must be a file, or a URL"):
        open_source(name)
