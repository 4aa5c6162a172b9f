"""The pipeline to PostgreSQL: values come back unchanged, and it works on after errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from jangteo.storage.postgres.connecting import open_raw
from jangteo.storage.postgres.pipeline import Pipeline
from tests.postgres import Server


@pytest.fixture
def pipeline(postgres: Server) -> Iterator[Pipeline]:
    opened = Pipeline(open_raw(postgres.url("postgres")), 10)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("bigint", 0),
        ("bigint", 2**63 - 1),
        ("bigint", -(2**63)),
        ("bigint", None),
        ("text", "장터 🍊 'quoted' \\ \n"),
        ("text", ""),
        ("text", None),
        ("bigint[]", []),
        ("bigint[]", [1]),
        ("bigint[]", [-1, 2**63 - 1, 0, -(2**63)]),
        ("bigint[]", [None]),
        ("bigint[]", [None, None]),
        ("bigint[]", [None, 7]),
        ("bigint[]", [7, None, 8]),
        ("bigint[]", list(range(1_000))),
        ("text[]", ["장터"]),
        ("text[]", ["", "a", 'b"{}', "NULL"]),
        ("text[]", [None, "a"]),
        ("text[]", ["a", None]),
        ("text[]", [None, None]),
    ],
)
def test_values_come_back_unchanged(pipeline: Pipeline, kind: str, value: Any) -> None:
    assert list(pipeline.send(f"SELECT $1::{kind}", [value])) == [(value,)]


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, [2**63], [1, 2**63], "\ud800", ["\ud800"]])
def test_a_value_that_cannot_be_encoded_raises_before_anything_is_sent(pipeline: Pipeline, value: Any) -> None:
    with pytest.raises((OverflowError, UnicodeEncodeError)):
        pipeline.send("SELECT $1", [value])
    assert list(pipeline.send("SELECT 1")) == [(1,)]


def test_iterating_over_pending_rows_awaits_all_that_were_sent(pipeline: Pipeline) -> None:
    first, second = pipeline.send("SELECT 1"), pipeline.send("SELECT 2")
    assert (first.rows, second.rows) == (None, None)
    assert list(first) == [(1,)]
    assert second.rows == [(2,)]


def test_statements_can_be_sent_again_after_an_error_and_a_rollback(pipeline: Pipeline) -> None:
    pipeline.send("BEGIN")
    pipeline.send("SELECT 1 / $1", [0])
    skipped = pipeline.send("SELECT 2")
    with pytest.raises(psycopg.errors.DivisionByZero):
        list(skipped)
    pipeline.roll_back()
    # Whether the failed pipeline has prepared them or not, both are sent again.
    assert list(pipeline.send("SELECT 1 / $1", [1])) == [(1,)]
    assert list(pipeline.send("SELECT 2")) == [(2,)]


def test_statements_that_were_not_awaited_are_rolled_back_too(pipeline: Pipeline) -> None:
    pipeline.send("CREATE TEMPORARY TABLE numbers (id BIGINT)")
    pipeline.sync()
    pipeline.send("BEGIN")
    pipeline.send("INSERT INTO numbers VALUES (1)")
    pipeline.roll_back()
    assert list(pipeline.send("SELECT id FROM numbers")) == []


def test_rows_of_a_statement_skipped_after_an_error_raise(pipeline: Pipeline) -> None:
    pipeline.send("SELECT 1 / $1", [0])
    skipped = pipeline.send("SELECT 2")
    with pytest.raises(psycopg.errors.DivisionByZero):
        pipeline.sync()
    with pytest.raises(psycopg.InterfaceError):
        list(skipped)


def test_text_is_utf8_whatever_encoding_is_configured(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    other = Pipeline(open_raw(postgres.url("postgres") + "?client_encoding=EUC_KR"), 10)
    assert list(other.send("SELECT $1::text, LENGTH($1)::bigint", ["장터"])) == [("장터", 2)]
    other.close()


def test_more_data_than_the_socket_buffers_hold_is_sent_and_received(pipeline: Pipeline) -> None:
    texts = ["x" * 2_000_000 + str(number) for number in range(40)]
    sent = [pipeline.send("SELECT $1::text", [text]) for text in texts]
    assert [list(pending) for pending in sent] == [[(text,)] for text in texts]


def test_a_lost_connection_raises_and_is_closed(pipeline: Pipeline, postgres: Server) -> None:
    ((process,),) = list(pipeline.send("SELECT pg_backend_pid()::bigint"))
    postgres.run(f"SELECT pg_terminate_backend({process}, 5000)")
    with pytest.raises(psycopg.OperationalError):
        list(pipeline.send("SELECT 1"))
    with pytest.raises(psycopg.Error):
        pipeline.roll_back()
    assert pipeline.closed
