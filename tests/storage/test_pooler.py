"""A pooler that changes a session's backend between transactions is refused; one that keeps it is not."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from time import monotonic

import psycopg
import pytest

from jangteo.core.wallets import RegisterUser
from jangteo.engine.batch import Failed, Submission, commit
from jangteo.storage.errors import CannotOpen, Unavailable
from jangteo.storage.port import Connection
from jangteo.storage.postgres import pipeline
from jangteo.storage.postgres.connecting import POOLED
from jangteo.storage.postgres.connection import open_connection
from jangteo.storage.postgres.pooler import refuse_moving_backend
from jangteo.storage.urls import open_storage
from tests.pgbouncer import running_pgbouncer
from tests.postgres import EMPTY_SHOP, PASSWORD_ROLE, USER, Server

NOW = datetime(2026, 11, 28, tzinfo=UTC)
ROTATION = {"server_round_robin": "1"}
POOLS = [{}, {"default_pool_size": "1"}, {"min_pool_size": "4"}, ROTATION, {**ROTATION, "min_pool_size": "2"}]


def url_of(port: int) -> str:
    return f"postgresql://{USER}@127.0.0.1:{port}/{EMPTY_SHOP}"


def count_often(*connections: Connection) -> None:
    for connection in connections * 10:
        with connection.snapshot(NOW) as snapshot:
            snapshot.rows("SELECT COUNT(*) FROM users")


@pytest.mark.parametrize("pool", POOLS, ids=str)
@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_a_backend_that_moves_is_noticed_whatever_the_pool_prefers(
    postgres: Server, mode: str, pool: dict[str, str]
) -> None:
    with running_pgbouncer(postgres, mode, **pool) as port:
        # The later ones find backends that the first one has left in the pool.
        for _ in range(3):
            started = monotonic()
            with pytest.raises(CannotOpen, match="pooler in transaction \\(or statement\\) mode"):
                open_storage(url_of(port)).check()
            assert monotonic() - started < 2


def test_a_running_server_refuses_to_commit_on_another_sessions_backend(
    postgres: Server, postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pooler that is set to transaction mode after the start: what is answered is right, and the rest is one line."""
    with running_pgbouncer(postgres, "transaction", **ROTATION, min_pool_size="3") as port:
        storage = open_storage(postgres_database.replace(f":{postgres.port}/", f":{port}/"))
        with closing(storage.connect(10)) as one, closing(storage.connect(10)) as another:
            results = [
                commit(connection, [Submission(RegisterUser(None))], lambda: NOW).outcomes[0]
                for connection in (one, another) * 10
            ]
            monkeypatch.setattr(pipeline, "PLAN_TTL_S", 0.0)
            with pytest.raises(Unavailable, match="pooler"):
                count_often(one, another)
    refused = [each for each in results if isinstance(each, Failed)]
    assert {each.reason for each in refused} == {POOLED}
    with psycopg.connect(postgres_database) as raw:
        assert raw.execute("SELECT COUNT(*) FROM users").fetchall() == [(len(results) - len(refused),)]


@pytest.mark.parametrize("pool", [{}, ROTATION], ids=str)
def test_a_pooler_in_session_mode_is_accepted(postgres: Server, pool: dict[str, str]) -> None:
    with running_pgbouncer(postgres, "session", **pool) as port:
        for _ in range(3):
            open_storage(url_of(port)).check()


def test_a_session_pool_of_one_is_refused_rather_than_waited_for(postgres: Server) -> None:
    with running_pgbouncer(postgres, "session", default_pool_size="1") as port:
        started = monotonic()
        with pytest.raises(CannotOpen, match="no second session"):
            open_storage(url_of(port)).check()
        assert monotonic() - started < 10


def test_a_server_without_room_for_a_second_session_is_accepted(postgres: Server) -> None:
    postgres.run(f"CREATE ROLE {PASSWORD_ROLE} LOGIN PASSWORD 'secret' CONNECTION LIMIT 1")
    try:
        url = postgres.url("postgres").replace(f"//{USER}@", f"//{PASSWORD_ROLE}:secret@")
        with closing(open_connection(url)) as first:
            refuse_moving_backend(first, url)
            assert first.execute("SELECT 1").fetchall() == [(1,)]
    finally:
        postgres.run(f"DROP ROLE {PASSWORD_ROLE}")
