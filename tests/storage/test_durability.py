"""What endangers committed data on PostgreSQL is found, each by its own setting on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from jangteo.storage.diagnosis import Diagnosis
from jangteo.storage.urls import open_storage
from tests.postgres import EMPTY_SHOP, USER, Server, running_server

WITHOUT_RIGHTS = "onlooker"


@pytest.fixture(scope="module")
def safe_server() -> Iterator[Server]:
    with running_server(fsync="on") as server:
        open_storage(server.create(EMPTY_SHOP)).prepare()
        server.run(f"CREATE ROLE {WITHOUT_RIGHTS} LOGIN")
        yield server


@pytest.fixture
def shop(safe_server: Server) -> str:
    return safe_server.url(EMPTY_SHOP)


def found(database: str) -> dict[str, Diagnosis]:
    return {each.subject: each for each in open_storage(database).durability()}


def check(diagnosis: Diagnosis, severity: str, *says: str) -> None:
    assert diagnosis.severity == severity, diagnosis
    for part in says:
        assert part in diagnosis.line


def test_nothing_endangers_a_server_with_its_defaults(shop: str) -> None:
    assert {each.severity for each in found(shop).values()} == {"ok"}


def test_fsync_off_is_a_danger(postgres_database: str) -> None:
    check(found(postgres_database)["fsync"], "danger", "fsync = on")


def test_full_page_writes_off_is_a_danger(safe_server: Server, shop: str) -> None:
    with safe_server.setting("full_page_writes", "off"):
        check(found(shop)["full_page_writes"], "danger", "full_page_writes = on")


def test_an_unlogged_table_of_ours_is_a_danger_and_another_is_not(safe_server: Server) -> None:
    name = f"shop_{uuid4().hex}"
    database = safe_server.create(name, template=EMPTY_SHOP)
    safe_server.run("CREATE UNLOGGED TABLE scratch (id BIGINT)", name)
    check(found(database)["unlogged tables"], "ok")
    safe_server.run("ALTER TABLE orders SET UNLOGGED", name)
    check(found(database)["unlogged tables"], "danger", "orders", "SET LOGGED")
    safe_server.drop(name)


def test_a_standby_that_nothing_names_as_synchronous_is_noted(safe_server: Server, shop: str) -> None:
    with safe_server.standby("copy"):
        check(found(shop)["standbys"], "note", "1 connected (copy)", "a failover loses the last commits")


@pytest.mark.parametrize(
    ("names", "severity", "says"),
    [
        ("copy", "ok", "synchronous: copy"),
        ("ANY 1 (copy, other)", "ok", "synchronous: copy"),
        ("other", "danger", "0 of 1 synchronous connected (named: other; asynchronous: copy), so commits wait"),
        ("FIRST 2 (copy, other)", "danger", "1 of 2"),
    ],
)
def test_standbys_named_as_synchronous_must_be_connected_as_such(
    safe_server: Server, shop: str, names: str, severity: str, says: str
) -> None:
    with safe_server.standby("copy"), safe_server.setting("synchronous_standby_names", names):
        check(found(shop)["standbys"], severity, says)


def test_a_default_that_waits_for_no_standby_is_noted_and_overridden(safe_server: Server, shop: str) -> None:
    weak = f"{shop}?options=-csynchronous_commit%3Dlocal"
    assert "synchronous_commit" not in found(weak)
    with safe_server.standby("copy"), safe_server.setting("synchronous_standby_names", "copy"):
        check(found(weak)["synchronous_commit"], "note", "local by default", "sessions use on")
        check(found(shop)["synchronous_commit"], "ok")


def test_what_a_role_may_not_see_is_said_with_the_grant(safe_server: Server, shop: str) -> None:
    without_rights = shop.replace(f"//{USER}@", f"//{WITHOUT_RIGHTS}@")
    with safe_server.standby("copy"), safe_server.setting("synchronous_standby_names", "copy"):
        check(found(without_rights)["standbys"], "note", "not visible to this role", "GRANT pg_monitor")
