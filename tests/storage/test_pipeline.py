"""Values to PostgreSQL and back as they were; and a pipeline that goes on after whatever has failed on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from jangteo.storage.postgres.connection import open_connection
from jangteo.storage.postgres.pipeline import Pipeline
from tests.postgres import Server


@pytest.fixture
def pipeline(postgres: Server) -> Iterator[Pipeline]:
    opened = Pipeline(open_connection(postgres.url("postgres")))
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
def test_values_come_back_as_they_were(pipeline: Pipeline, kind: str, value: Any) -> None:
    assert list(pipeline.send(f"SELECT $1::{kind}", [value])) == [(value,)]


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, [2**63], [1, 2**63], "\ud800", ["\ud800"]])
def test_what_can_not_be_sent_is_refused_before_it_is(pipeline: Pipeline, value: Any) -> None:
    with pytest.raises((OverflowError, UnicodeEncodeError)):
        pipeline.send("SELECT $1", [value])
    assert list(pipeline.send("SELECT 1")) == [(1,)]


def test_all_is_asked_before_the_first_is_awaited(pipeline: Pipeline) -> None:
    first, second = pipeline.send("SELECT 1"), pipeline.send("SELECT 2")
    assert (first.rows, second.rows) == (None, None)
    assert list(first) == [(1,)]
    assert second.rows == [(2,)]


def test_what_fails_is_told_and_what_comes_after_goes_on(pipeline: Pipeline) -> None:
    pipeline.send("BEGIN")
    pipeline.send("SELECT 1 / $1", [0])
    left_out = pipeline.send("SELECT 2")
    with pytest.raises(psycopg.errors.DivisionByZero):
        list(left_out)
    pipeline.roll_back()
    # Both were prepared, or not, on a way that came to nothing.
    assert list(pipeline.send("SELECT 1 / $1", [1])) == [(1,)]
    assert list(pipeline.send("SELECT 2")) == [(2,)]


def test_what_was_asked_and_not_awaited_is_undone_too(pipeline: Pipeline) -> None:
    pipeline.send("CREATE TEMPORARY TABLE kept (id BIGINT)")
    pipeline.sync()
    pipeline.send("BEGIN")
    pipeline.send("INSERT INTO kept VALUES (1)")
    pipeline.roll_back()
    assert list(pipeline.send("SELECT id FROM kept")) == []


def test_what_was_asked_with_something_that_failed_found_nothing_out(pipeline: Pipeline) -> None:
    pipeline.send("SELECT 1 / $1", [0])
    left_out = pipeline.send("SELECT 2")
    with pytest.raises(psycopg.errors.DivisionByZero):
        pipeline.sync()
    with pytest.raises(psycopg.InterfaceError):
        list(left_out)


def test_text_is_utf8_whatever_the_connection_was_to_use(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    other = Pipeline(open_connection(postgres.url("postgres") + "?client_encoding=EUC_KR"))
    assert list(other.send("SELECT $1::text, LENGTH($1)::bigint", ["장터"])) == [("장터", 2)]
    other.close()


def test_more_than_the_line_can_hold_at_once_goes_both_ways(pipeline: Pipeline) -> None:
    texts = ["x" * 2_000_000 + str(number) for number in range(40)]
    asked = [pipeline.send("SELECT $1::text", [text]) for text in texts]
    assert [list(found) for found in asked] == [[(text,)] for text in texts]


def test_a_connection_that_is_lost_under_way_is_an_error(pipeline: Pipeline, postgres: Server) -> None:
    ((process,),) = list(pipeline.send("SELECT pg_backend_pid()::bigint"))
    postgres.run(f"SELECT pg_terminate_backend({process}, 5000)")
    with pytest.raises(psycopg.OperationalError):
        list(pipeline.send("SELECT 1"))
    with pytest.raises(psycopg.Error):
        pipeline.roll_back()
    assert pipeline.closed
