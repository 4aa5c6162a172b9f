"""Damage to what says who did something: the cases of `test_guards.py` about actors, keys and changes."""

from __future__ import annotations

from typing import Final

from tests.storage.damage import ORPHANS, Case

ACTORS: Final = "every effect names its actor, every order those of its payment and its refund"
KEY: Final = "INSERT INTO api_keys (id, name, scopes, digest, created_at, created_by, revoked_at, revoked_by)"
CHANGE: Final = "INSERT INTO catalog_changes (subject, subject_id, kind, change, created_at)"

ACTOR_CASES: Final = (
    Case(
        "an entry names a known kind of actor",
        "UPDATE ledger_entries SET actor = 'somebody' WHERE kind = 'charge' AND user_id = 3",
        "audit",
        ACTORS,
    ),
    Case("a key that did something exists", "UPDATE stock_movements SET actor = 'key:9' WHERE id = 3", "audit", ACTORS),
    Case("a change has an actor", "UPDATE catalog_changes SET actor = '' WHERE id = 3", "audit", ACTORS),
    Case("an order's actor paid it", "UPDATE orders SET actor = 'open' WHERE id = 3", "audit", ACTORS),
    Case(
        "who cancelled an order refunded it",
        "UPDATE orders SET cancelled_by = 'customer:1' WHERE status = 'cancelled'",
        "audit",
        ACTORS,
    ),
    Case(
        "a revoked key names who revoked it",
        f"{KEY} VALUES (1, 'shop', 'read', '00', 0, 'cli', 5, NULL)",
        "schema",
        "api_keys.revoked_by_if_revoked",
    ),
    Case(
        "a change is of a product or a campaign",
        f"{CHANGE} VALUES ('user', 1, 'changed', '{{}}', 0)",
        "schema",
        "catalog_changes.subject_known",
    ),
    Case(
        "a change's kind is known",
        f"{CHANGE} VALUES ('product', 1, 'lost', '{{}}', 0)",
        "schema",
        "catalog_changes.change_known",
    ),
    Case(
        "a change is of something that exists",
        f"{CHANGE} VALUES ('product', 9999, 'changed', '{{}}', 0)",
        "audit",
        ORPHANS,
    ),
)
