"""Schemathesis tests the API against its document: no 5xx, no undocumented status, every answer as described."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from jangteo.api.routes import ROUTES
from jangteo.core.keys import SCOPES
from jangteo.core.limits import LARGEST
from tests.api.access.callers import bearer, key
from tests.serving import ServedShop

_OTHER_KEYS = 60
"""Keys that it may find and revoke, before the one that it uses."""


@pytest.mark.long
def test_schemathesis_finds_nothing(open_shop: Callable[..., ServedShop], tmp_path: Path) -> None:
    shop = open_shop(access="keys")
    for _ in range(_OTHER_KEYS):
        key(shop.shop.settings.database, "read")
    headers = bearer(key(shop.shop.settings.database, *SCOPES))
    http = shop.http
    http.headers.update(headers)
    for _ in range(3):
        user = http.user(balance=LARGEST // 2)
        product = http.product(price=3, stock=1_000_000)
        http.coupon(user, http.campaign(quantity=1_000))
        http.order(user, (product, 1))
    result = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            "run",
            f"{shop.address}/schema/openapi.json",
            f"--header=Authorization:{headers['authorization']}",
            "--checks=all",
            # This check takes a refusal (400, 422) for rejected input and 1.0 for an integer; the contract does not.
            "--exclude-checks=positive_data_acceptance",
            "--max-examples=40",
            "--seed=20261123",
            "--no-color",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    assert f"Tested: {len(ROUTES)}" in result.stdout, result.stdout
    # As if it had revoked the key that it uses.
    assert "Authentication failed" not in result.stdout, result.stdout
