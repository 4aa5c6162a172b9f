"""API keys: what is decided about them, without a database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from jangteo.core.book import Book
from jangteo.core.keys import PRESETS, SCOPES, CreateKey, KeyStanding, RecordKeyUse, RevokeKey
from jangteo.core.refusals import KeyNotFound, NeverValid
from tests.core.books import NOW, book

DIGEST = "00" * 32


def with_key(actor: str = "cli") -> Book:
    shop = book()
    shop.keys.new_ids = iter((7, 8))
    shop.actor = actor
    assert isinstance(CreateKey("storefront", ("read", "users"), None, DIGEST).decide(shop), KeyStanding)
    return shop


def test_a_new_key_names_its_maker_and_its_scopes_in_their_order() -> None:
    shop = book()
    shop.keys.new_ids = iter((7,))
    shop.actor = "key:3"
    created = CreateKey("storefront", ("read", "users"), NOW + timedelta(seconds=1), DIGEST).decide(shop)
    ends_at = NOW + timedelta(seconds=1)
    assert created == KeyStanding(7, "storefront", ("users", "read"), NOW, "key:3", ends_at, None, None, None)


def test_a_key_that_would_have_ended_is_refused() -> None:
    shop = book()
    assert CreateKey("storefront", ("read",), NOW, DIGEST).decide(shop) == NeverValid("endsAt", NOW)
    assert shop.keys.added() == []


def test_revoking_names_who_did_it_and_revoking_again_changes_nothing() -> None:
    shop = with_key()
    shop.actor = "key:3"
    revoked = RevokeKey(7).decide(shop)
    assert isinstance(revoked, KeyStanding)
    assert (revoked.revoked_at, revoked.revoked_by) == (NOW, "key:3")
    shop.actor = "cli"
    assert RevokeKey(7).decide(shop) == revoked
    assert RevokeKey(8).decide(shop) == KeyNotFound(8)


def test_the_last_use_is_kept_to_the_minute_and_never_moves_back() -> None:
    shop = with_key()
    shop.now = datetime(2026, 11, 23, 9, 5, 59, 999, tzinfo=UTC)
    RecordKeyUse((7, 99)).decide(shop)
    minute = datetime(2026, 11, 23, 9, 5, tzinfo=UTC)
    assert [key.last_used_at for key in shop.keys.rows.values()] == [minute]
    shop.now = minute - timedelta(minutes=2)
    RecordKeyUse((7,)).decide(shop)
    assert [key.last_used_at for key in shop.keys.rows.values()] == [minute]


def test_equal_requests_for_keys_are_equal_whatever_their_secrets_are() -> None:
    first, second = (CreateKey("storefront", ("read",), None, digest) for digest in (DIGEST, "11" * 32))
    assert first.requested() == second.requested()
    assert first.requested() != CreateKey("storefront", ("read", "users"), None, DIGEST).requested()


def test_the_presets_are_those_of_the_contract() -> None:
    assert set(PRESETS["storefront"]) == {
        "users",
        "wallets:charge",
        "orders:place",
        "orders:cancel",
        "coupons:claim",
        "read",
    }
    assert set(SCOPES) - set(PRESETS["operator"]) == {"keys"}
    assert PRESETS["analyst"] == ("read",)
    assert PRESETS["admin"] == SCOPES
