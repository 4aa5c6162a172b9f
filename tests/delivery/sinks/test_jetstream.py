"""The NATS platform: a real server's stream keeps each event once, whatever happens to server and connection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import nats
import pytest
import uvloop
from nats.aio.msg import Msg
from nats.errors import Error

from jangteo.delivery.sinks import jetstream
from jangteo.delivery.sinks.base import PlatformUnavailable
from jangteo.delivery.sinks.jetstream import JetStream
from jangteo.delivery.sinks.nats_connection import Connection, describe
from jangteo.delivery.sinks.urls import parse_address
from tests.nats_server import NatsServer, running_nats
from tests.sent_events import closed_after, event, ids

FIVE = [event(order) for order in range(1, 6)]
PASSWORD = "pa55:w@rd"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    with running_nats(tmp_path / "nats") as running:
        yield running


@pytest.fixture(autouse=True)
def the_client_prints_nothing(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    with caplog.at_level(logging.WARNING):
        yield
    assert caplog.messages == []
    assert "Traceback" not in capfd.readouterr().err


def run(scenario: Coroutine[Any, Any, None]) -> None:
    uvloop.run(asyncio.wait_for(scenario, 60))


def sink_of(url: str, timeout_s: float = 20) -> JetStream:
    return JetStream(parse_address(url), timeout_s=timeout_s)


def kept_ids(server: NatsServer) -> list[str]:
    return [(kept.headers or {})["Nats-Msg-Id"] for kept in server.kept()]


def test_the_stream_keeps_every_event_unchanged_and_once(server: NatsServer) -> None:
    server.create_stream("shop.orders")

    async def scenario() -> None:
        async with closed_after(sink_of(server.url("shop.orders"))) as sink:
            assert await sink.send(FIVE[:3]) == {}
            assert await sink.send(FIVE) == {}
            assert await sink.send([]) == {}

    run(scenario())
    kept = server.kept()
    assert [message.data for message in kept] == FIVE
    assert kept_ids(server) == ids(FIVE)
    assert {message.subject for message in kept} == {"shop.orders"}
    assert {(message.headers or {})["Content-Type"] for message in kept} == {
        "application/cloudevents+json; charset=utf-8"
    }


def test_the_stream_keeps_many_events_in_order(server: NatsServer) -> None:
    server.create_stream("orders")
    many = [event(order) for order in range(2_500)]

    async def scenario() -> None:
        async with closed_after(sink_of(server.url("orders"))) as sink:
            assert await sink.send(many) == {}

    run(scenario())
    state = server.call(lambda js: js.stream_info("orders")).state
    assert state.messages == len(many)
    last = server.call(lambda js: js.get_msg("orders", seq=len(many)))
    assert last.data == many[-1]


def test_a_missing_stream_is_unavailable_with_a_remedy(server: NatsServer) -> None:
    async def scenario() -> None:
        async with closed_after(sink_of(server.url("orders"))) as sink:
            with pytest.raises(PlatformUnavailable, match="no stream takes the subject orders: create one for it"):
                await sink.send(FIVE)
            await asyncio.to_thread(server.create_stream, "orders")
            assert await sink.send(FIVE) == {}

    run(scenario())
    assert kept_ids(server) == ids(FIVE)


async def _thank(message: Msg) -> None:
    await message.respond(b"thank you")


def test_a_reply_that_is_not_a_streams_is_no_acknowledgement(server: NatsServer) -> None:
    async def scenario() -> None:
        other = await nats.connect(f"nats://127.0.0.1:{server.port}")
        await other.subscribe("orders", cb=_thank)
        await other.flush()
        async with closed_after(sink_of(server.url("orders"))) as sink:
            with pytest.raises(PlatformUnavailable, match="what answers on the subject orders is no stream"):
                await sink.send(FIVE)
        await other.close()

    run(scenario())


@pytest.mark.parametrize("size", [1_048_576 - 100, 1_048_576 + 1])
def test_an_event_above_max_payload_is_rejected_before_it_is_sent(server: NatsServer, size: int) -> None:
    server.create_stream("orders")
    large = event(2, note="")
    large = event(2, note="x" * (size - len(large)))

    async def scenario() -> None:
        async with closed_after(sink_of(server.url("orders"))) as sink:
            rejected = await sink.send([FIVE[0], large, FIVE[2]])
            assert list(rejected) == [1]
            assert "more than the server's max_payload, 1048576" in rejected[1]

    run(scenario())
    assert kept_ids(server) == ids([FIVE[0], FIVE[2]])


def test_an_event_that_the_stream_refuses_is_rejected(server: NatsServer) -> None:
    server.create_stream("orders", max_msg_size=2_000)

    async def scenario() -> None:
        async with closed_after(sink_of(server.url("orders"))) as sink:
            rejected = await sink.send([FIVE[0], event(2, note="x" * 2_000), b"{}", FIVE[3]])
            assert rejected[1] == "message size exceeds maximum allowed (10054)"
            assert rejected[2].startswith("it is no CloudEvent")
            assert sorted(rejected) == [1, 2]

    run(scenario())
    assert kept_ids(server) == ids([FIVE[0], FIVE[3]])


def test_a_full_stream_is_unavailable(server: NatsServer) -> None:
    server.create_stream("orders", max_msgs=3, discard="new")

    async def scenario() -> None:
        async with closed_after(sink_of(server.url("orders"))) as sink:
            with pytest.raises(PlatformUnavailable, match="the stream says: maximum messages exceeded"):
                await sink.send(FIVE)
            await asyncio.to_thread(server.call, lambda js: js.update_stream(name="orders", subjects=["orders"]))
            assert await sink.send(FIVE) == {}

    run(scenario())
    assert kept_ids(server) == ids(FIVE)


def test_a_server_killed_while_sending_keeps_every_event_once(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.create_stream("orders")
    many = [event(order) for order in range(5_000)]
    publish = Connection.publish

    async def killed_before_the_third_window(connection: Connection, *window: Any) -> None:
        if window[2] == 2 * jetstream.WINDOW:
            server.kill()
        await publish(connection, *window)

    async def scenario() -> None:
        async with closed_after(sink_of(server.url("orders"))) as sink:
            monkeypatch.setattr(Connection, "publish", killed_before_the_third_window)
            with pytest.raises(PlatformUnavailable, match="NATS: "):
                await sink.send(many)
            monkeypatch.setattr(Connection, "publish", publish)
            with pytest.raises(PlatformUnavailable, match=r"can't connect to NATS: .*refused"):
                await sink.send(many)
            await asyncio.to_thread(server.start)
            assert await sink.send(many) == {}

    run(scenario())
    assert server.call(lambda js: js.stream_info("orders")).state.messages == len(many)


def test_a_restart_of_an_idle_server_fails_no_send(server: NatsServer) -> None:
    server.create_stream("orders")

    async def scenario() -> None:
        async with closed_after(sink_of(server.url("orders"))) as sink:
            assert await sink.send(FIVE[:2]) == {}
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)
            assert await sink.send(FIVE[2:]) == {}

    run(scenario())
    assert kept_ids(server) == ids(FIVE)


@pytest.mark.parametrize("count", [5, 30_000])
def test_a_hanging_server_is_unavailable(server: NatsServer, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """A few events fit into the socket, many are buffered in this process: neither may arrive after newer ones."""
    monkeypatch.setattr(jetstream, "WINDOW", count)
    monkeypatch.setattr(jetstream, "CLOSE_TIMEOUT_S", 0.05)
    server.create_stream("orders")
    many = [event(order) for order in range(1, count + 1)]

    async def scenario() -> None:
        async with closed_after(sink_of(server.url("orders"), timeout_s=1)) as sink:
            assert await sink.send(many[:1]) == {}
            server.suspend()
            with pytest.raises(PlatformUnavailable, match="NATS didn't answer within 1 s"):
                await sink.send(many)
            with pytest.raises(PlatformUnavailable, match="NATS"):
                await sink.send(many)
            server.resume()
            async with closed_after(sink_of(server.url("orders"))) as sink_after:
                assert await sink_after.send(many) == {}
                assert await sink_after.send([event(1, "cancelled")]) == {}

    run(scenario())
    state = server.call(lambda js: js.stream_info("orders")).state
    assert state.messages == count + 1
    last = server.call(lambda js: js.get_msg("orders", seq=state.last_seq))
    assert last.data == event(1, "cancelled")


def test_the_sink_works_after_a_cancelled_send(server: NatsServer) -> None:
    server.create_stream("orders")

    async def scenario() -> None:
        async with closed_after(sink_of(server.url("orders"))) as sink:
            assert await sink.send(FIVE[:1]) == {}
            server.suspend()
            sending = asyncio.ensure_future(sink.send(FIVE))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            server.resume()
            assert await sink.send(FIVE) == {}
            await sink.close()

    run(scenario())
    assert kept_ids(server) == ids(FIVE)


@pytest.mark.parametrize(
    ("options", "right", "wrong"),
    [
        (["--user", "ann", "--pass", PASSWORD], "ann:pa55%3Aw%40rd@", "ann:pa55@"),
        (["--auth", PASSWORD], "pa55%3Aw%40rd@", "pa55@"),
    ],
)
def test_credentials_are_decoded_and_never_quoted(tmp_path: Path, options: list[str], right: str, wrong: str) -> None:
    login: dict[str, Any] = {"user": "ann", "password": PASSWORD} if options[0] == "--user" else {"token": PASSWORD}
    with running_nats(tmp_path / "nats", *options) as server:
        server.call(lambda js: js.add_stream(name="orders", subjects=["orders"]), **login)

        async def scenario() -> None:
            async with closed_after(sink_of(server.url("orders", right))) as sink:
                assert await sink.send(FIVE) == {}
            async with closed_after(sink_of(server.url("orders", wrong))) as refused:
                with pytest.raises(
                    PlatformUnavailable, match=r"can't connect to NATS: .*Authorization Violation"
                ) as error:
                    await refused.send(FIVE)
                assert "pa55" not in str(error.value)
            # With tls://, credentials are not sent to a server without TLS.
            async with closed_after(sink_of(server.url("orders", right).replace("nats://", "tls://"))) as secured:
                with pytest.raises(PlatformUnavailable, match="the server doesn't ask for TLS"):
                    await secured.send(FIVE)

        run(scenario())


def test_missing_permission_to_publish_is_reported(tmp_path: Path) -> None:
    settings = tmp_path / "nats.conf"
    settings.write_text(
        'authorization { users = [ {user: ann, password: pa55, permissions: {publish: "other", subscribe: ">"}} ] }'
    )
    with running_nats(tmp_path / "nats", "-c", str(settings)) as server:

        async def scenario() -> None:
            async with closed_after(sink_of(server.url("orders", "ann:pa55@"))) as sink:
                with pytest.raises(PlatformUnavailable, match=r"(?i)permissions violation for publish"):
                    await sink.send(FIVE)

        run(scenario())


def test_one_reachable_host_of_several_is_enough(server: NatsServer) -> None:
    server.create_stream("orders")

    async def scenario() -> None:
        for hosts in (f"127.0.0.1:1,127.0.0.1:{server.port}", f"127.0.0.1:{server.port},127.0.0.1:1"):
            async with closed_after(sink_of(f"nats://{hosts}/orders")) as sink:
                assert await sink.send(FIVE) == {}

    run(scenario())
    assert kept_ids(server) == ids(FIVE)


def test_what_a_server_says_is_one_line_that_can_be_printed() -> None:
    assert describe(Error("nats: 'no\x1b[2J'\r\n\x9bx")) == "'no\\x1b[2J' \\x9bx"
