"""Events go out by POST, signed, and whatever the receiver does, each is delivered, rejected or kept for later."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from jangteo.delivery.sinks.base import Gone, Later
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


def run(told: Coroutine[Any, Any, None]) -> None:
    uvloop.run(asyncio.wait_for(told, 60))


def webhook(receiver: RunningReceiver, secret: str | None = SECRET, deadline_s: float = 30) -> Webhook:
    return Webhook(parse_address(receiver.url), secret, deadline_s=deadline_s)


def test_events_arrive_signed_in_one_request(receiver: RunningReceiver) -> None:
    async def told() -> None:
        async with closed_after(webhook(receiver)) as sink:
            assert await sink.send(FIVE) == {}
            first = receiver.state()["headers"]
            assert await sink.send(FIVE) == {}
            second = receiver.state()["headers"]
        assert first["content-type"] == "application/cloudevents-batch+json; charset=utf-8"
        assert first["webhook-id"] == second["webhook-id"]

    run(told())
    assert receiver.ids() == ids(FIVE) * 2
    assert receiver.lines()[0]["event"]["data"]["items"][0]["name"] == "Hallabong"
    state = receiver.state()
    assert (state["requests"], state["connections"], state["unverified"]) == (2, 1, 0)


def test_large_batches_are_signed_as_well(receiver: RunningReceiver) -> None:
    many = [event(order) for order in range(3_000)]

    async def told() -> None:
        async with closed_after(webhook(receiver)) as sink:
            assert await sink.send(many) == {}

    run(told())
    assert receiver.ids() == ids(many)


def test_a_wrong_secret_is_for_later(receiver: RunningReceiver) -> None:
    async def told() -> None:
        async with closed_after(webhook(receiver, "whsec_" + "A" * 32)) as sink:
            with pytest.raises(Later, match="HTTP 401: No matching signature found"):
                await sink.send(FIVE)

    run(told())
    assert receiver.ids() == []


def test_without_a_secret_nothing_is_signed(tmp_path: Path) -> None:
    with running_receiver(tmp_path / "received.jsonl") as receiver:

        async def told() -> None:
            async with closed_after(webhook(receiver, None)) as sink:
                assert await sink.send(FIVE) == {}

        run(told())
        assert receiver.ids() == ids(FIVE)
        assert not any(name.startswith("webhook-") for name in receiver.state()["headers"])


def test_credentials_become_basic_authentication_and_nothing_tells_them(receiver: RunningReceiver) -> None:
    url = receiver.url.replace("http://", "http://ann:p%40ss%3Aw0rd@")

    async def told() -> None:
        async with closed_after(Webhook(parse_address(url), SECRET)) as sink:
            assert await sink.send(FIVE) == {}
            state = receiver.state()
            receiver.kill()
            with pytest.raises(Later) as later:
                await sink.send(FIVE)
        assert state["headers"]["authorization"] == "Basic YW5uOnBAc3M6dzByZA=="
        assert "@" not in state["headers"]["host"]
        assert "can't connect" in str(later.value)
        assert later.value.__cause__ is None
        for secret in ("p@ss", "p%40ss", SECRET, SECRET.removeprefix("whsec_")):
            assert secret not in str(later.value) + repr(sink)

    run(told())


@pytest.mark.parametrize("status", [401, 403, 404, 405, 408, 500, 502, 504])
def test_trouble_is_for_later_and_told_in_one_line(receiver: RunningReceiver, status: int) -> None:
    receiver.plan({"do": "answer", "status": status, "body": "it  is\r\n\tnot " + "x" * 500})

    async def told() -> None:
        async with closed_after(webhook(receiver)) as sink:
            with pytest.raises(Later) as later:
                await sink.send(FIVE)
            assert str(later.value) == f"HTTP {status}: it is not " + "x" * 190
            assert later.value.after_s is None
            assert await sink.send(FIVE) == {}

    run(told())
    assert receiver.ids() == ids(FIVE)


def test_redirects_are_not_followed(receiver: RunningReceiver) -> None:
    receiver.plan({"do": "answer", "status": 307, "headers": {"location": receiver.url}})

    async def told() -> None:
        async with closed_after(webhook(receiver)) as sink:
            with pytest.raises(Later, match="HTTP 307: redirects are not followed"):
                await sink.send(FIVE)

    run(told())
    assert receiver.ids() == []


def test_gone_is_gone(receiver: RunningReceiver) -> None:
    receiver.plan({"do": "answer", "status": 410, "body": "no more"})

    async def told() -> None:
        async with closed_after(webhook(receiver)) as sink:
            with pytest.raises(Gone, match="HTTP 410: no more"):
                await sink.send(FIVE)

    run(told())


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("retry_after", "after_s"), [("7", 7), ("99999", 3_600), ("soon", None), (None, None)])
def test_patience_is_asked_for(
    receiver: RunningReceiver, status: int, retry_after: str | None, after_s: float | None
) -> None:
    headers = {} if retry_after is None else {"retry-after": retry_after}
    receiver.plan({"do": "answer", "status": status, "headers": headers})

    async def told() -> None:
        async with closed_after(webhook(receiver)) as sink:
            with pytest.raises(Later, match=f"HTTP {status}") as later:
                await sink.send(FIVE)
        assert later.value.after_s == after_s

    run(told())


def test_what_is_refused_is_found_by_halving(receiver: RunningReceiver) -> None:
    many = [event(order) for order in range(100)]
    refused = [17, 18, 99]
    receiver.tell(refuse=[ids(many)[place] for place in refused])

    async def told() -> None:
        async with closed_after(webhook(receiver)) as sink:
            rejected = await sink.send(many)
        assert rejected == dict.fromkeys(refused, "HTTP 422: one of these is not welcome")

    run(told())
    assert sorted(receiver.ids()) == sorted(name for place, name in enumerate(ids(many)) if place not in refused)
    assert receiver.state()["requests"] < 50


def test_a_lone_event_that_is_refused_stands_alone_already(receiver: RunningReceiver) -> None:
    receiver.plan({"do": "answer", "status": 400, "body": ""})

    async def told() -> None:
        async with closed_after(webhook(receiver)) as sink:
            assert await sink.send(FIVE[:1]) == {0: "HTTP 400"}
            assert await sink.send([]) == {}

    run(told())
    assert receiver.state()["requests"] == 1


def test_after_one_that_was_too_large_requests_are_smaller(receiver: RunningReceiver) -> None:
    many = [event(order) for order in range(64)]
    receiver.tell(most_bytes=len(many[0]) * 20)

    async def told() -> None:
        async with closed_after(webhook(receiver)) as sink:
            assert await sink.send(many) == {}
            # 64 and 32 are too large, 16 are not; the other 32 are found out about once more.
            assert receiver.state()["requests"] == 7
            assert await sink.send(many) == {}
            assert receiver.state()["requests"] == 7 + 4
            assert await sink.send([many[0], event(1, note="x" * 50_000)]) == {1: "HTTP 413"}

    run(told())
    assert sorted(receiver.ids()) == sorted(ids(many) * 2 + ids(many[:1]))


@pytest.mark.parametrize("how", ["hang", "drip"])
def test_an_answer_must_end_within_the_deadline(receiver: RunningReceiver, how: str) -> None:
    receiver.plan({"do": how})

    async def told() -> None:
        async with closed_after(webhook(receiver, deadline_s=0.3)) as sink:
            with pytest.raises(Later, match=r"no whole answer within 0\.3 s"):
                await sink.send(FIVE)
        async with closed_after(webhook(receiver)) as patient:
            assert await patient.send(FIVE) == {}

    run(told())
    assert receiver.ids() == ids(FIVE)


def test_an_answer_cut_off_is_no_answer(receiver: RunningReceiver) -> None:
    receiver.plan({"do": "cut"})

    async def told() -> None:
        async with closed_after(webhook(receiver)) as sink:
            with pytest.raises(Later, match="the answer was cut off"):
                await sink.send(FIVE)
            assert await sink.send(FIVE) == {}

    run(told())
    # They had arrived, and come again with the same ids.
    assert receiver.ids() == ids(FIVE) * 2


def test_only_the_beginning_of_a_long_answer_is_read(receiver: RunningReceiver) -> None:
    receiver.plan({"do": "answer", "status": 200, "body": "y" * 50_000_000}, {"do": "answer", "status": 500})

    async def told() -> None:
        async with closed_after(webhook(receiver)) as sink:
            assert await sink.send(FIVE) == {}
            with pytest.raises(Later, match="HTTP 500"):
                await sink.send(FIVE)

    run(told())
    assert receiver.ids() == ids(FIVE)


def test_no_answer_at_all_is_asked_for_once_more(receiver: RunningReceiver) -> None:
    async def told() -> None:
        async with closed_after(webhook(receiver)) as sink:
            receiver.plan({"do": "vanish"})
            assert await sink.send(FIVE) == {}
            receiver.plan({"do": "vanish"}, {"do": "vanish"})
            with pytest.raises(Later, match="the connection was closed without an answer"):
                await sink.send(FIVE)

    run(told())
    assert receiver.ids() == ids(FIVE)


def test_idle_connections_may_be_closed_and_the_receiver_restarted(receiver: RunningReceiver) -> None:
    async def told() -> None:
        async with closed_after(webhook(receiver)) as sink:
            assert await sink.send(FIVE) == {}
            receiver.tell(close=True)
            assert await sink.send(FIVE) == {}
            receiver.kill()
            with pytest.raises(Later, match="can't connect: "):
                await sink.send(FIVE)
            receiver.start()
            assert await sink.send(FIVE) == {}

    run(told())
    assert receiver.ids() == ids(FIVE) * 3


def test_a_cancelled_send_leaves_it_usable(receiver: RunningReceiver) -> None:
    receiver.plan({"do": "hang"})

    async def told() -> None:
        async with closed_after(webhook(receiver)) as sink:
            sending = asyncio.ensure_future(sink.send(FIVE))
            await asyncio.to_thread(receiver.state, requests=1)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            assert await sink.send(FIVE) == {}
            await sink.close()

    run(told())
    assert receiver.ids() == ids(FIVE)


@pytest.mark.parametrize(
    ("answer", "says"),
    [(b"this is no HTTP\r\n\r\n", "no proper HTTP answer"), (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000, "HTTP answer")],
)
def test_what_is_no_http_is_for_later(answer: bytes, says: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def speak() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)

        speaking = threading.Thread(target=speak)
        speaking.start()

        async def told() -> None:
            async with closed_after(
                Webhook(parse_address(f"http://127.0.0.1:{server.getsockname()[1]}/x?key=pa55"), SECRET)
            ) as sink:
                with pytest.raises(Later, match=says) as later:
                    await sink.send(FIVE)
                assert "pa55" not in str(later.value)

        run(told())
        speaking.join()


def test_tls_is_not_spoken_to_who_speaks_none(receiver: RunningReceiver) -> None:
    async def told() -> None:
        async with closed_after(Webhook(parse_address(receiver.url.replace("http://", "https://")), SECRET)) as sink:
            with pytest.raises(Later, match="there is no TLS where it was looked for"):
                await sink.send(FIVE)

    run(told())
