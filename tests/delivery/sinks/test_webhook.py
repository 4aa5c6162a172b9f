"""The HTTP platform: signed POSTs, and what each misbehaviour of the receiver means."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from jangteo.delivery.sinks.base import PlatformGone, PlatformUnavailable
from jangteo.delivery.sinks.urls import parse_address
from jangteo.delivery.sinks.webhook import Webhook
from tests.receiving import RunningReceiver, running_receiver
from tests.sent_events import closed_after, event, ids

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
FIVE = [event(order) for order in range(1, 6)]


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[RunningReceiver]:
    with running_receiver(tmp_path / "received.jsonl", SECRET) as running:
        yield running


def run(scenario: Coroutine[Any, Any, None]) -> None:
    uvloop.run(asyncio.wait_for(scenario, 60))


def webhook(receiver: RunningReceiver, secrets: tuple[str, ...] = (SECRET,), timeout_s: float = 30) -> Webhook:
    return Webhook(parse_address(receiver.url), secrets, timeout_s=timeout_s)


def test_events_arrive_signed_in_one_request(receiver: RunningReceiver) -> None:
    async def scenario() -> None:
        async with closed_after(webhook(receiver)) as sink:
            assert await sink.send(FIVE) == {}
            first = receiver.state()["headers"]
            assert await sink.send(FIVE) == {}
            second = receiver.state()["headers"]
        assert first["content-type"] == "application/cloudevents-batch+json; charset=utf-8"
        assert first["webhook-id"] == second["webhook-id"]

    run(scenario())
    assert receiver.ids() == ids(FIVE) * 2
    assert receiver.lines()[0]["event"]["data"]["items"][0]["name"] == "Hallabong"
    state = receiver.state()
    assert (state["requests"], state["connections"], state["unverified"]) == (2, 1, 0)


def test_large_batches_are_signed_as_well(receiver: RunningReceiver) -> None:
    many = [event(order) for order in range(3_000)]

    async def scenario() -> None:
        async with closed_after(webhook(receiver)) as sink:
            assert await sink.send(many) == {}

    run(scenario())
    assert receiver.ids() == ids(many)


def test_a_wrong_secret_is_unavailable(receiver: RunningReceiver) -> None:
    async def scenario() -> None:
        async with closed_after(webhook(receiver, ("whsec_" + "A" * 32,))) as sink:
            with pytest.raises(PlatformUnavailable, match="HTTP 401: No matching signature found"):
                await sink.send(FIVE)

    run(scenario())
    assert receiver.ids() == []


def test_without_a_secret_nothing_is_signed(tmp_path: Path) -> None:
    with running_receiver(tmp_path / "received.jsonl") as receiver:

        async def scenario() -> None:
            async with closed_after(webhook(receiver, ())) as sink:
                assert await sink.send(FIVE) == {}

        run(scenario())
        assert receiver.ids() == ids(FIVE)
        assert not any(name.startswith("webhook-") for name in receiver.state()["headers"])


def test_credentials_become_basic_authentication_and_are_never_quoted(receiver: RunningReceiver) -> None:
    url = receiver.url.replace("http://", "http://ann:p%40ss%3Aw0rd@")

    async def scenario() -> None:
        async with closed_after(Webhook(parse_address(url), [SECRET])) as sink:
            assert await sink.send(FIVE) == {}
            state = receiver.state()
            receiver.kill()
            with pytest.raises(PlatformUnavailable) as error:
                await sink.send(FIVE)
        assert state["headers"]["authorization"] == "Basic YW5uOnBAc3M6dzByZA=="
        assert "@" not in state["headers"]["host"]
        assert "can't connect" in str(error.value)
        assert error.value.__cause__ is None
        for secret in ("p@ss", "p%40ss", SECRET, SECRET.removeprefix("whsec_")):
            assert secret not in str(error.value) + repr(sink)

    run(scenario())


@pytest.mark.parametrize("status", [401, 403, 404, 405, 408, 500, 502, 504])
def test_an_error_status_is_unavailable_with_a_reason_in_one_line(receiver: RunningReceiver, status: int) -> None:
    receiver.plan({"do": "answer", "status": status, "body": "it  is\r\n\tnot " + "x" * 500})

    async def scenario() -> None:
        async with closed_after(webhook(receiver)) as sink:
            with pytest.raises(PlatformUnavailable) as error:
                await sink.send(FIVE)
            assert str(error.value) == f"HTTP {status}: it is not " + "x" * 190
            assert error.value.retry_after_s is None
            assert await sink.send(FIVE) == {}

    run(scenario())
    assert receiver.ids() == ids(FIVE)


def test_redirects_are_not_followed(receiver: RunningReceiver) -> None:
    receiver.plan({"do": "answer", "status": 307, "headers": {"location": receiver.url}})

    async def scenario() -> None:
        async with closed_after(webhook(receiver)) as sink:
            with pytest.raises(PlatformUnavailable, match="HTTP 307: redirects are not followed"):
                await sink.send(FIVE)

    run(scenario())
    assert receiver.ids() == []


def test_status_410_is_gone(receiver: RunningReceiver) -> None:
    receiver.plan({"do": "answer", "status": 410, "body": "no more"})

    async def scenario() -> None:
        async with closed_after(webhook(receiver)) as sink:
            with pytest.raises(PlatformGone, match="HTTP 410: no more"):
                await sink.send(FIVE)

    run(scenario())


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("retry_after", "retry_after_s"), [("7", 7), ("99999", 3_600), ("soon", None), (None, None)])
def test_retry_after_is_read(
    receiver: RunningReceiver, status: int, retry_after: str | None, retry_after_s: float | None
) -> None:
    headers = {} if retry_after is None else {"retry-after": retry_after}
    receiver.plan({"do": "answer", "status": status, "headers": headers})

    async def scenario() -> None:
        async with closed_after(webhook(receiver)) as sink:
            with pytest.raises(PlatformUnavailable, match=f"HTTP {status}") as error:
                await sink.send(FIVE)
        assert error.value.retry_after_s == retry_after_s

    run(scenario())


def test_rejected_events_are_found_by_halving_the_batch(receiver: RunningReceiver) -> None:
    many = [event(order) for order in range(100)]
    rejected_indexes = [17, 18, 99]
    receiver.control(refuse=[ids(many)[index] for index in rejected_indexes])

    async def scenario() -> None:
        async with closed_after(webhook(receiver)) as sink:
            rejected = await sink.send(many)
        assert rejected == dict.fromkeys(rejected_indexes, "HTTP 422: one of these is not welcome")

    run(scenario())
    assert sorted(receiver.ids()) == sorted(
        name for index, name in enumerate(ids(many)) if index not in rejected_indexes
    )
    assert receiver.state()["requests"] < 50


def test_a_rejected_batch_of_one_event_is_sent_once(receiver: RunningReceiver) -> None:
    receiver.plan({"do": "answer", "status": 400, "body": ""})

    async def scenario() -> None:
        async with closed_after(webhook(receiver)) as sink:
            assert await sink.send(FIVE[:1]) == {0: "HTTP 400"}
            assert await sink.send([]) == {}

    run(scenario())
    assert receiver.state()["requests"] == 1


def test_requests_stay_smaller_after_one_was_too_large(receiver: RunningReceiver) -> None:
    many = [event(order) for order in range(64)]
    receiver.control(max_bytes=len(many[0]) * 20)

    async def scenario() -> None:
        async with closed_after(webhook(receiver)) as sink:
            assert await sink.send(many) == {}
            # 64 and 32 are too large, 16 are not; the second 32 are tried once more.
            assert receiver.state()["requests"] == 7
            assert await sink.send(many) == {}
            assert receiver.state()["requests"] == 7 + 4
            assert await sink.send([many[0], event(1, note="x" * 50_000)]) == {1: "HTTP 413"}

    run(scenario())
    assert sorted(receiver.ids()) == sorted(ids(many) * 2 + ids(many[:1]))


@pytest.mark.parametrize("how", ["hang", "drip"])
def test_a_response_must_end_within_the_timeout(receiver: RunningReceiver, how: str) -> None:
    receiver.plan({"do": how})

    async def scenario() -> None:
        async with closed_after(webhook(receiver, timeout_s=0.3)) as sink:
            with pytest.raises(PlatformUnavailable, match=r"no complete response within 0\.3 s"):
                await sink.send(FIVE)
        async with closed_after(webhook(receiver)) as sink:
            assert await sink.send(FIVE) == {}

    run(scenario())
    assert receiver.ids() == ids(FIVE)


def test_a_response_that_is_cut_off_is_unavailable(receiver: RunningReceiver) -> None:
    receiver.plan({"do": "cut"})

    async def scenario() -> None:
        async with closed_after(webhook(receiver)) as sink:
            with pytest.raises(PlatformUnavailable, match="the response was cut off"):
                await sink.send(FIVE)
            assert await sink.send(FIVE) == {}

    run(scenario())
    # The first send had arrived too; the second has the same ids.
    assert receiver.ids() == ids(FIVE) * 2


def test_only_the_start_of_a_long_response_is_read(receiver: RunningReceiver) -> None:
    receiver.plan({"do": "answer", "status": 200, "body": "y" * 50_000_000}, {"do": "answer", "status": 500})

    async def scenario() -> None:
        async with closed_after(webhook(receiver)) as sink:
            assert await sink.send(FIVE) == {}
            with pytest.raises(PlatformUnavailable, match="HTTP 500"):
                await sink.send(FIVE)

    run(scenario())
    assert receiver.ids() == ids(FIVE)


def test_a_closed_connection_is_retried_once(receiver: RunningReceiver) -> None:
    async def scenario() -> None:
        async with closed_after(webhook(receiver)) as sink:
            receiver.plan({"do": "vanish"})
            assert await sink.send(FIVE) == {}
            receiver.plan({"do": "vanish"}, {"do": "vanish"})
            with pytest.raises(PlatformUnavailable, match="the connection was closed without a response"):
                await sink.send(FIVE)

    run(scenario())
    assert receiver.ids() == ids(FIVE)


def test_the_sink_survives_closed_idle_connections_and_a_restarted_receiver(receiver: RunningReceiver) -> None:
    async def scenario() -> None:
        async with closed_after(webhook(receiver)) as sink:
            assert await sink.send(FIVE) == {}
            receiver.control(close=True)
            assert await sink.send(FIVE) == {}
            receiver.kill()
            with pytest.raises(PlatformUnavailable, match="can't connect: "):
                await sink.send(FIVE)
            receiver.start()
            assert await sink.send(FIVE) == {}

    run(scenario())
    assert receiver.ids() == ids(FIVE) * 3


def test_the_sink_works_after_a_cancelled_send(receiver: RunningReceiver) -> None:
    receiver.plan({"do": "hang"})

    async def scenario() -> None:
        async with closed_after(webhook(receiver)) as sink:
            sending = asyncio.ensure_future(sink.send(FIVE))
            await asyncio.to_thread(receiver.state, requests=1)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            assert await sink.send(FIVE) == {}
            await sink.close()

    run(scenario())
    assert receiver.ids() == ids(FIVE)


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (b"this is no HTTP\r\n\r\n", "no valid HTTP response"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000, "HTTP response"),
    ],
)
def test_an_invalid_http_response_is_unavailable(response: bytes, reason: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def speak() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(response)

        speaking = threading.Thread(target=speak)
        speaking.start()

        async def scenario() -> None:
            async with closed_after(
                Webhook(parse_address(f"http://127.0.0.1:{server.getsockname()[1]}/x?key=pa55"), [SECRET])
            ) as sink:
                with pytest.raises(PlatformUnavailable, match=reason) as error:
                    await sink.send(FIVE)
                assert "pa55" not in str(error.value)

        run(scenario())
        speaking.join()


def test_a_server_without_tls_is_unavailable_over_https(receiver: RunningReceiver) -> None:
    async def scenario() -> None:
        async with closed_after(Webhook(parse_address(receiver.url.replace("http://", "https://")), [SECRET])) as sink:
            with pytest.raises(PlatformUnavailable, match="the server doesn't speak TLS"):
                await sink.send(FIVE)

    run(scenario())
