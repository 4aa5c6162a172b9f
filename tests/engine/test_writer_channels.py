"""Several clients of one writer: their commands share batches, and none of them holds up another."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import contextmanager
from threading import Thread
from time import monotonic
from typing import Any

import pytest

from jangteo.app import system_clock
from jangteo.core.orders import PlaceOrder, RequestedItem
from jangteo.core.products import AddProduct
from jangteo.core.wallets import ChargeBalance, RegisterUser
from jangteo.engine.batch import Submission
from jangteo.engine.deadlines import Timeouts
from jangteo.engine.outcomes import SerializedOutcome
from jangteo.engine.writer import channels as engine
from jangteo.engine.writer.channels import Channels
from jangteo.engine.writer.loop import commit_until_closed
from jangteo.engine.writer.protocol import Frames, Outcomes, commands_frame, pack, read_outcomes, watch_frame
from jangteo.storage.port import Connection
from jangteo.storage.urls import open_storage

LARGE = 20_000


class Client:
    """The other end of a channel."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        connection.settimeout(30)
        self._frames = Frames()

    def send(self, *commands: Any, age_s: float = 0.0) -> None:
        self.connection.sendall(commands_frame(monotonic() - age_s, [pack(Submission(each)) for each in commands]))

    def receive(self) -> list[Outcomes]:
        """The next batches' outcomes, at least one."""
        batches: list[Outcomes] = []
        while not batches:
            data = self.connection.recv(65_536)
            assert data, "the writer has closed the channel"
            batches = [read_outcomes(frame) for frame in self._frames.receive(data)]
        return batches

    def outcomes(self, count: int) -> list[SerializedOutcome | None]:
        """The next outcomes; None for a command that failed."""
        found: list[SerializedOutcome | None] = []
        while len(found) < count:
            found += [each for batch in self.receive() for each in batch.outcomes]
        return found

    def bodies(self, count: int) -> list[bytes]:
        """The bodies of the next outcomes, none of which failed."""
        return [each.body for each in self.outcomes(count) if each is not None]


class Counting:
    """A connection that counts its transactions."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.transactions = 0

    def transaction(self) -> Any:
        self.transactions += 1
        return self._connection.transaction()

    def close(self) -> None:
        self._connection.close()


Run = Callable[[Channels], Any]


@pytest.fixture
def run(sqlite_database: str) -> Any:
    """Runs a writer on channels in a thread, and yields its connection."""

    @contextmanager
    def running(channels: Channels) -> Any:
        opened: list[Counting] = []

        def work() -> None:
            opened.append(Counting(open_storage(sqlite_database).connect()))
            commit_until_closed(channels, opened[0], system_clock, 50_000, Timeouts())  # type: ignore[arg-type]  # counts

        thread = Thread(target=work)
        thread.start()
        yield opened
        thread.join(30)
        assert not thread.is_alive()

    return running


def pair() -> tuple[Client, socket.socket]:
    ours, theirs = socket.socketpair()
    return Client(ours), theirs


def test_what_several_clients_send_is_one_batch_and_each_gets_its_own_outcomes(run: Any) -> None:
    (first, one), (second, two) = pair(), pair()
    # Both have sent before the writer looks.
    first.send(RegisterUser("a"), ChargeBalance(1, 5))
    second.send(RegisterUser("b"))
    first.send(ChargeBalance(1, 7))
    with run(Channels([one, two])) as opened:
        assert first.bodies(3) == [
            b'{"userId":1,"balance":0}',
            b'{"userId":1,"balance":5}',
            b'{"userId":1,"balance":12}',
        ]
        assert second.bodies(1) == [b'{"userId":2,"balance":0}']
        assert opened[0].transactions == 1
        first.connection.close()
        second.connection.close()


def test_a_command_that_waited_too_long_is_refused_also_behind_newer_ones_of_another_client(run: Any) -> None:
    (first, one), (second, two) = pair(), pair()
    first.send(RegisterUser("new"))
    second.send(RegisterUser("old"), age_s=100)
    second.send(RegisterUser("new"))
    with run(Channels([one, two])):
        assert first.bodies(1) == [b'{"userId":1,"balance":0}']
        late, new = second.outcomes(2)
        assert late is None
        assert new is not None
        assert new.body == b'{"userId":2,"balance":0}'
        first.connection.close()
        second.connection.close()


def test_a_client_that_reads_nothing_holds_up_no_other_and_gets_all_when_it_reads(run: Any) -> None:
    (silent, one), (other, two) = pair(), pair()
    with run(Channels([one, two])):
        silent.send(*[RegisterUser(None)] * LARGE)
        for _ in range(5):
            other.send(ChargeBalance(1, 1))
            other.receive()
        assert len(silent.bodies(LARGE)) == LARGE
        silent.connection.close()
        other.connection.close()


def test_what_a_client_sent_before_it_was_gone_is_committed(run: Any) -> None:
    (gone, one), (other, two) = pair(), pair()
    gone.send(RegisterUser(None), ChargeBalance(1, 5))
    gone.connection.close()
    with run(Channels([one, two])):
        other.send(ChargeBalance(1, 2))
        assert other.bodies(1) == [b'{"userId":1,"balance":7}']
        other.connection.close()


def test_a_watching_client_hears_of_every_batch_with_events_and_of_no_other(run: Any) -> None:
    (watching, one), (buyer, two) = pair(), pair()
    watching.connection.sendall(watch_frame())
    with run(Channels([one, two])):
        buyer.send(RegisterUser(None), ChargeBalance(1, 5), AddProduct("rice", 5, 1))
        buyer.bodies(3)
        buyer.send(PlaceOrder(1, (RequestedItem(1, 1),), None))
        buyer.bodies(1)
        assert watching.receive() == [Outcomes(has_events=True, outcomes=[])]
        watching.connection.close()
        buyer.connection.close()


def test_clients_come_until_the_supervisor_ends_the_writer(run: Any, tmp_path: Any) -> None:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "writer"))
    listening.listen()
    supervisor, closing = socket.socketpair()
    channels = Channels([], listening=listening, closing=closing)
    with run(channels):
        for number in range(1, 4):
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(str(tmp_path / "writer"))
            client = Client(connection)
            client.send(RegisterUser(None))
            assert client.bodies(1) == [b'{"userId":%d,"balance":0}' % number]
            connection.close()
        supervisor.close()
    for each in (listening, closing):
        each.close()
    channels.remove_socket()
    assert not (tmp_path / "writer").exists()


def test_a_writer_that_is_to_end_does_not_wait_for_ever_for_a_client_to_go(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "CLOSING_TIMEOUT_S", 0.1)
    staying, one = pair()
    supervisor, closing = socket.socketpair()
    with run(Channels([one], closing=closing)):
        staying.send(RegisterUser(None))
        staying.bodies(1)
        supervisor.close()
    closing.close()
    assert staying.connection.recv(1) == b""
    staying.connection.close()
