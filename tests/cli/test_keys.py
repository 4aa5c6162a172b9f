"""`jangteo keys`: keys are made, listed and revoked, beside a server or without one."""

from __future__ import annotations

import json
from contextlib import closing

import httpx
import pytest

from tests.api.access.callers import bearer
from tests.cli.conftest import Jangteo
from tests.serving import serve_in_process
from tests.storage.shops import Shop


@pytest.fixture
def database(sqlite_database: str) -> str:
    return sqlite_database


def test_only_the_key_is_printed_to_standard_output(jangteo: Jangteo, database: str) -> None:
    made = jangteo(
        "keys", "create", "storefront 1", "--preset", "storefront", "--valid-days", "30", "--database", database
    )
    assert made.code == 0
    assert made.out.startswith("jt_1_")
    assert made.out.count("\n") == 1
    assert "not shown again" in made.err


def test_a_preset_and_scopes_add_up(jangteo: Jangteo, database: str) -> None:
    options = ("--preset", "analyst", "--scope", "catalog", "--scope", "read", "--json", "--database", database)
    made = json.loads(jangteo("keys", "create", "importer", *options).out)
    assert (made["name"], made["scopes"], made["createdBy"]) == ("importer", ["catalog", "read"], "cli")
    assert made["key"].startswith("jt_1_")


def test_keys_are_listed_without_their_secrets(jangteo: Jangteo, database: str) -> None:
    assert "There are no keys" in jangteo("keys", "list", "--database", database).out
    keys = [jangteo("keys", "create", f"key {n}", "--scope", "read", "--database", database).out for n in (1, 2)]
    jangteo("keys", "revoke", "1", "--database", database)
    listed = jangteo("keys", "list", "--database", database)
    first, second = listed.out.splitlines()
    assert "key 1" in first
    assert "revoked" in first
    assert "without an end" in second
    assert "never used" in second
    as_json = jangteo("keys", "list", "--json", "--database", database)
    assert [each["keyId"] for each in json.loads(as_json.out)["keys"]] == [1, 2]
    for key in keys:
        secret = key.strip().split("_", 2)[2]
        assert secret not in listed.out + as_json.out
        with closing(Shop(database)) as shop:
            assert not [row for row in shop.rows("SELECT * FROM api_keys") if secret in str(row)]


def test_a_wrong_request_is_reported_in_one_line(jangteo: Jangteo, database: str) -> None:
    jangteo("keys", "create", "a", "--database", database).complains("--preset storefront")
    jangteo("keys", "create", "a", "--scope", "reed", "--database", database).complains(
        "--scope reed", "wallets:adjust"
    )
    jangteo("keys", "create", " ", "--scope", "read", "--database", database).complains("a name")
    jangteo("keys", "create", "a", "--preset", "boss", "--database", database).complains("boss")
    jangteo("keys", "revoke", "7", "--database", database).complains("no key 7", "keys list")


@pytest.mark.long
def test_keys_are_made_and_revoked_beside_a_server(jangteo: Jangteo, database: str) -> None:
    server = serve_in_process(database, "--access", "keys", "--platform", "none")
    key = jangteo("keys", "create", "admin", "--preset", "admin", "--database", database).out.strip()
    assert httpx.post(f"{server.address}/users", headers=bearer(key)).status_code == 201
    assert "is revoked" in jangteo("keys", "revoke", "1", "--database", database).out
    while httpx.post(f"{server.address}/users", headers=bearer(key)).status_code == 201:
        pass
    code, printed = server.interrupt()
    assert code == 0
    assert "There is no API key yet" in printed
    assert "jangteo keys create" in printed
