"""Every rule of the shop has a guard behind `core`: a constraint of the schema, or an invariant of the audit.

Each case damages a sound shop by SQL, as a defect would, and names the guard that notices.
"""

from __future__ import annotations

import sqlite3
from typing import Final

import psycopg
import pytest
from sqlalchemy import CheckConstraint, Index, UniqueConstraint

from jangteo.storage.audit import CHECKS
from jangteo.storage.schema import metadata
from tests.storage.actor_damage import ACTOR_CASES
from tests.storage.damage import ORPHANS, Case, broken, damage

BALANCE: Final = "every balance is the sum of its ledger"
LEDGER: Final = "every ledger is a chain without a gap, every balanceAfter the sum up to its entry"
PAYMENT: Final = "every order has its payment in the ledger, every cancelled one its refund"
STOCK: Final = "every stock is what was put in less what was sold plus what came back"
ISSUED: Final = "never more coupons issued than there are, each of them counted"
COUPON: Final = "no coupon used twice, none by another user, each by the order that it names"
AMOUNT: Final = "every order's amount is the sum of its lines, its discount what its coupon gives"
EVENTS: Final = "one event for every paid order and one more for every cancelled one"

LAST_ENTRY: Final = "(SELECT last_entry FROM users WHERE id = 3)"
A_PAYMENT: Final = "(SELECT MIN(id) FROM ledger_entries WHERE user_id = 3 AND kind = 'payment')"
USED_COUPON: Final = "(SELECT MIN(id) FROM coupons WHERE order_id IS NOT NULL)"
NEW_ENTRY: Final = "INSERT INTO ledger_entries (id, user_id, previous, kind, amount, balance_after, created_at)"
WINDOW: Final = "INSERT INTO best_seller_windows (id, days, since, state, started_at, requested_at, heartbeat_at)"
TOO_LARGE: Final = 2**53


CASES: Final = (
    *ACTOR_CASES,
    # Balances and the ledger.
    Case("no balance below zero", "UPDATE users SET balance = -1 WHERE id = 3", "schema", "users.balance_in_range"),
    Case(
        "no balance beyond 2^53",
        f"UPDATE users SET balance = {TOO_LARGE} WHERE id = 3",
        "schema",
        "users.balance_in_range",
    ),
    Case("a balance is its ledger's sum", "UPDATE users SET balance = balance + 1 WHERE id = 3", "audit", BALANCE),
    Case(
        "no balance below zero in the ledger",
        f"UPDATE ledger_entries SET balance_after = -1 WHERE id = {A_PAYMENT}",
        "schema",
        "ledger_entries.balance_after_in_range",
    ),
    Case(
        "an entry has the balance after it",
        f"UPDATE ledger_entries SET balance_after = balance_after + 1 WHERE id = {A_PAYMENT}",
        "audit",
        LEDGER,
    ),
    Case(
        "entries are of known kinds",
        f"UPDATE ledger_entries SET kind = 'gift' WHERE id = {LAST_ENTRY}",
        "schema",
        "ledger_entries.kind_known",
    ),
    Case(
        "a ledger has one first entry",
        f"{NEW_ENTRY} VALUES (9999, 3, NULL, 'charge', 1, 1, 1)",
        "schema",
        "ledger_entries.ledger_entries_one_first",
    ),
    Case(
        "no two entries follow the same one",
        f"UPDATE ledger_entries SET previous = 3 WHERE id = {LAST_ENTRY}",
        "audit",
        LEDGER,
    ),
    Case(
        "a ledger has no gap",
        f"UPDATE ledger_entries SET previous = 9999 WHERE id = {LAST_ENTRY}",
        "audit",
        LEDGER,
    ),
    Case("a user names the newest entry", "UPDATE users SET last_entry = 3 WHERE id = 3", "audit", LEDGER),
    # Payments and refunds.
    Case(
        "a payment is of one order",
        "UPDATE orders SET payment_entry = (SELECT payment_entry FROM orders WHERE id = 10) WHERE id = 9",
        "schema",
        "orders.orders_one_per_payment",
    ),
    Case("an order names its payment", "UPDATE orders SET payment_entry = 9999 WHERE id = 9", "audit", PAYMENT),
    Case(
        "an order has a payment",
        f"UPDATE ledger_entries SET kind = 'charge', order_id = NULL WHERE id = {A_PAYMENT}",
        "audit",
        PAYMENT,
    ),
    Case("a charge is of no order", "UPDATE ledger_entries SET kind = 'refund' WHERE id = 3", "audit", PAYMENT),
    # Products and stock.
    Case("no stock below zero", "UPDATE products SET stock = -1 WHERE id = 2", "schema", "products.stock_in_range"),
    Case("no price below zero", "UPDATE products SET price = -1 WHERE id = 2", "schema", "products.price_in_range"),
    Case("stock is only moved", "UPDATE products SET stock = stock - 1 WHERE id = 2", "audit", STOCK),
    # Campaigns and coupons.
    Case(
        "a campaign has coupons",
        "UPDATE campaigns SET quantity = 0, issued = 0",
        "schema",
        "campaigns.quantity_in_range",
    ),
    Case(
        "no more coupons issued than there are",
        "UPDATE campaigns SET issued = quantity + 1",
        "schema",
        "campaigns.issued_in_range",
    ),
    Case("issued coupons are counted", "UPDATE campaigns SET issued = issued - 1", "audit", ISSUED),
    Case(
        "a coupon gives an amount or a percentage",
        "UPDATE campaigns SET percent = 10",
        "schema",
        "campaigns.discount_or_percent",
    ),
    Case(
        "a user has one coupon of a campaign",
        "INSERT INTO coupons (id, campaign_id, user_id, claimed_at) VALUES (9999, 1, 1, 1)",
        "schema",
        "coupons.coupons_one_for_each_user",
    ),
    Case(
        "a coupon is used by one paid order",
        f"UPDATE orders SET coupon_id = {USED_COUPON} WHERE id = 2",
        "schema",
        "orders.orders_one_paid_per_coupon",
    ),
    Case(
        "a used coupon names its order", f"UPDATE coupons SET order_id = NULL WHERE id = {USED_COUPON}", "audit", COUPON
    ),
    Case("a coupon is used by its user", f"UPDATE coupons SET user_id = 19 WHERE id = {USED_COUPON}", "audit", COUPON),
    # Orders.
    Case(
        "no amount beyond 2^53",
        f"UPDATE orders SET amount = {TOO_LARGE}, total = {TOO_LARGE} - discount WHERE id = 9",
        "schema",
        "orders.amount_in_range",
    ),
    Case(
        "no discount above the amount",
        "UPDATE orders SET discount = amount + 1, total = -1 WHERE id = 9",
        "schema",
        "orders.discount_in_range",
    ),
    Case("a total adds up", "UPDATE orders SET total = total + 1 WHERE id = 9", "schema", "orders.total_adds_up"),
    Case(
        "an order's status is known", "UPDATE orders SET status = 'lost' WHERE id = 9", "schema", "orders.status_known"
    ),
    Case(
        "a cancelled order has its timestamp",
        "UPDATE orders SET cancelled_at = 1 WHERE id = 9",
        "schema",
        "orders.cancelled_at_if_cancelled",
    ),
    Case(
        "an item has a quantity",
        "UPDATE order_items SET quantity = 0 WHERE order_id = 9",
        "schema",
        "order_items.quantity_in_range",
    ),
    Case(
        "no item's price below zero",
        "UPDATE order_items SET unit_price = -1 WHERE order_id = 9",
        "schema",
        "order_items.unit_price_in_range",
    ),
    Case(
        "an amount is the sum of its items",
        "UPDATE order_items SET unit_price = unit_price + 1 WHERE order_id = 9 AND position = 0",
        "audit",
        AMOUNT,
    ),
    Case("a discount is what the coupon gives", "UPDATE campaigns SET discount = discount - 1", "audit", AMOUNT),
    # Events: a purged one must have been counted, a counted one be purged, and only old ones are.
    Case("an order has its event", "DELETE FROM outbox WHERE id = 40", "audit", EVENTS),
    Case(
        "an event tells its order's total",
        "UPDATE outbox SET event = REPLACE(event, '\"total\":', '\"total\":1') WHERE id = 40",
        "audit",
        EVENTS,
    ),
    Case("an event is of an order", "UPDATE outbox SET order_id = 9999 WHERE id = 40", "audit", EVENTS),
    Case(
        "a cancelled order has both events",
        "UPDATE outbox SET type = 'jangteo.order.paid' WHERE type = 'jangteo.order.cancelled'",
        "audit",
        EVENTS,
    ),
    Case(
        "only counted events are gone",
        "DELETE FROM outbox WHERE type = 'jangteo.order.cancelled' AND id < 100",
        "audit",
        EVENTS,
    ),
    Case(
        "counted events are gone",
        "UPDATE purged_events SET events = 1, until = (SELECT MAX(created_at) FROM event_batches)",
        "audit",
        EVENTS,
    ),
    Case(
        "only old events are gone",
        "UPDATE purged_events SET events = 1; DELETE FROM outbox WHERE id = 40",
        "audit",
        EVENTS,
    ),
    Case(
        "an order has one event of a type",
        """
        UPDATE outbox SET (order_id, type, event) = (
            SELECT order_id, type, event FROM outbox AS other WHERE other.id = 40
        ) WHERE id = 41
        """,
        "audit",
        EVENTS,
    ),
    # References.
    Case("an item is of an order", "INSERT INTO order_items VALUES (9999, 0, 1, 1, 1)", "audit", ORPHANS),
    Case(
        "a stock movement is of a product",
        "INSERT INTO stock_movements (product_id, quantity, created_at) VALUES (9999, 1, 1)",
        "audit",
        ORPHANS,
    ),
    Case("an event is of a batch", "UPDATE outbox SET event_batch_id = 9999 WHERE id = 40", "audit", ORPHANS),
    Case(
        "a batch has its events",
        "UPDATE event_batches SET last_event = first_event - 1 WHERE id = 40",
        "audit",
        ORPHANS,
    ),
    Case("a failed event exists", "INSERT INTO failed_events VALUES (9999, 9, 1, 'no', 1, NULL)", "audit", ORPHANS),
    Case(
        "a failed event names its order",
        "INSERT INTO failed_events SELECT id, order_id + 1, 1, 'no', 1, NULL FROM outbox WHERE id = 40",
        "audit",
        ORPHANS,
    ),
    # Best sellers. That the views equal the orders is tested with them.
    Case(
        "a window is of 1 to 30 days",
        f"{WINDOW} VALUES (9, 31, 0, 'active', 0, 0, NULL)",
        "schema",
        "best_seller_windows.days_in_range",
    ),
    Case(
        "a window's state is known",
        f"{WINDOW} VALUES (9, 7, 0, 'lost', 0, 0, NULL)",
        "schema",
        "best_seller_windows.state_known",
    ),
    Case(
        "a backfilling window has a heartbeat",
        f"{WINDOW} VALUES (9, 7, 0, 'backfilling', 0, 0, NULL)",
        "schema",
        "best_seller_windows.heartbeat_while_backfilling",
    ),
)
BY_SCHEMA = [case for case in CASES if case.guard == "schema"]
BY_AUDIT = [case for case in CASES if case.guard == "audit"]


def declared_constraints() -> dict[str, str]:
    """Every named constraint and unique index, with what SQLite calls it in its refusal."""
    found: dict[str, str] = {}
    for table in metadata.tables.values():
        guards: list[CheckConstraint | UniqueConstraint | Index] = [
            each for each in table.constraints if isinstance(each, CheckConstraint | UniqueConstraint)
        ]
        guards += [index for index in table.indexes if index.unique]
        for guard in guards:
            columns = ", ".join(f"{table.name}.{column.name}" for column in guard.columns)
            is_check = isinstance(guard, CheckConstraint)
            said = f"CHECK constraint failed: {guard.name}" if is_check else f"UNIQUE constraint failed: {columns}"
            found[f"{table.name}.{guard.name}"] = said
    return found


@pytest.mark.parametrize("case", BY_SCHEMA, ids=lambda case: case.rule)
def test_the_schema_refuses_damage_on_sqlite(sqlite_demo: str, case: Case) -> None:
    with pytest.raises(sqlite3.IntegrityError) as refused:
        damage(sqlite_demo, case.sql)
    assert str(refused.value) == declared_constraints()[case.name]


@pytest.mark.parametrize("case", BY_SCHEMA, ids=lambda case: case.rule)
def test_the_schema_refuses_damage_on_postgresql(postgres_demo_template: str, case: Case) -> None:
    # Refused statements change nothing, so all cases share one shop.
    with pytest.raises(psycopg.IntegrityError) as refused:
        damage(postgres_demo_template, case.sql)
    said = refused.value.diag
    assert f"{said.table_name}.{said.constraint_name}" == case.name


@pytest.mark.parametrize("case", BY_AUDIT, ids=lambda case: case.rule)
def test_the_audit_finds_damage(demo_database: str, case: Case) -> None:
    damage(demo_database, case.sql)
    assert broken(demo_database) == [case.name]


def test_every_constraint_of_the_schema_has_a_case() -> None:
    assert {case.name for case in BY_SCHEMA} == set(declared_constraints())


def test_every_invariant_of_the_audit_has_a_case() -> None:
    assert {case.name for case in BY_AUDIT} == {check.invariant for check in CHECKS}
