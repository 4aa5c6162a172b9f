"""Which schema of a PostgreSQL database holds the shop: one answer for every command, and never a second shop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from jangteo.storage.errors import CannotOpen, NoShopYet
from jangteo.storage.urls import open_storage
from tests.postgres import USER, Server
from tests.storage.shops import Shop

NAME = "search_path"


@pytest.fixture
def database(postgres: Server) -> Iterator[str]:
    """The URL of a database without tables."""
    yield postgres.create(NAME)
    postgres.drop(NAME)


def run(database: str, *statements: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        for sql in statements:
            connection.execute(sql.encode())


def tables_in(database: str, schema: str) -> set[str]:
    with psycopg.connect(database) as connection:
        found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [schema])
        return {str(name) for (name,) in found}


def prepare(database: str) -> None:
    with closing(open_storage(database)) as storage:
        storage.prepare()


def test_another_programs_tables_in_another_schema_do_not_matter(database: str) -> None:
    run(
        database,
        "CREATE TABLE public.alembic_version (version_num TEXT)",
        "INSERT INTO public.alembic_version VALUES ('1975ea83b712')",
        "CREATE TABLE public.users (name TEXT)",
        f"CREATE SCHEMA {USER}",
    )
    prepare(database)
    assert tables_in(database, "public") == {"alembic_version", "users"}
    assert {"jangteo_version", "ledger_entries"} <= tables_in(database, USER)
    with closing(Shop(database)) as shop:
        shop.set_up()
        assert shop.wrong() == []


def test_a_schema_made_later_hides_a_shop_from_nobody(database: str) -> None:
    prepare(database)
    run(database, f"CREATE SCHEMA {USER}")
    storage = open_storage(database)
    for use in (storage.prepare, storage.check, storage.take):
        with pytest.raises(CannotOpen) as refused:
            use()
        assert not isinstance(refused.value, NoShopYet)
        for part in (f'"{USER}" holds no shop', '"public"', "?options=-csearch_path%3Dpublic", "ALTER ROLE"):
            assert part in str(refused.value)
        assert "\n" not in str(refused.value)
    assert tables_in(database, USER) == set()


def test_the_url_may_choose_the_schema(database: str) -> None:
    prepare(database)
    run(database, f"CREATE SCHEMA {USER}")
    before = tables_in(database, "public")
    assert list(open_storage(f"{database}?options=-csearch_path%3Dpublic").check()) == []
    prepare(f"{database}?options=-csearch_path%3D{USER}")
    assert tables_in(database, USER) == before


def test_a_search_path_without_a_schema_is_refused(database: str) -> None:
    for use in (open_storage(f"{database}?options=-csearch_path%3Dmissing").prepare,):
        with pytest.raises(CannotOpen, match="no schema of the session's search_path exists"):
            use()


def test_a_schemas_name_may_need_quotes(database: str) -> None:
    run(
        database,
        'CREATE SCHEMA "My shop; DROP"',
        f'ALTER ROLE {USER} IN DATABASE {NAME} SET search_path = "My shop; DROP"',
    )
    prepare(database)
    assert "ledger_entries" in tables_in(database, "My shop; DROP")
    assert tables_in(database, "public") == set()


def test_a_shop_of_before_is_found_in_a_later_schema(database: str) -> None:
    prepare(database)
    run(database, "DROP TABLE jangteo_version, compatibility", f"CREATE SCHEMA {USER}")
    with pytest.raises(CannotOpen, match='"public"'):
        open_storage(database).check()
