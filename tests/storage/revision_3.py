"""A shop of revision jangteo_3, as SQL text: every table has rows, and every state of an event and a window occurs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from jangteo.storage.timestamps import to_micros

OPENED: Final = datetime(2026, 11, 1, tzinfo=UTC)
NOW: Final = OPENED + timedelta(days=3)
_T: Final = to_micros(OPENED)
_DAY: Final = 86_400_000_000
_PAGE: Final = 2**46
"""The ids of a window's pages count down from the end of its range, which is that long."""


def _event(kind: str, order: int, total: int) -> str:
    return f"""'{{"type":"jangteo.order.{kind}","subject":"{order}","total":{total},"n":"{order}-{kind}"}}'"""


ROWS: Final = f"""
    DELETE FROM shops;
    DELETE FROM prunings;
    DELETE FROM top_tally;
    DELETE FROM top_windows;
    INSERT INTO shops (id, name) VALUES (1, 'old');
    INSERT INTO users (id, name, balance, last_entry, created_at)
        VALUES (1, 'Kim', 98470, 6, {_T}), (2, NULL, 50000, 5, {_T});
    INSERT INTO products (id, name, price, stock, created_at)
        VALUES (1, 'rice', 1000, 8, {_T}), (2, 'tea', 3000, 5, {_T}), (200, 'salt', 10, 97, {_T});
    INSERT INTO stock_movements (id, product_id, quantity, created_at)
        VALUES (1, 1, 10, {_T}), (2, 2, 5, {_T}), (3, 200, 100, {_T});
    INSERT INTO campaigns (id, name, discount, min_amount, quantity, issued, opens_at, created_at)
        VALUES (1, 'opening', 500, 0, 10, 1, {_T}, {_T});
    INSERT INTO coupons (id, campaign_id, user_id, claimed_at, order_id) VALUES (1, 1, 1, {_T}, 1);
    INSERT INTO orders (id, user_id, status, amount, discount, total, coupon_id, payment_entry,
        created_at, cancelled_at)
        VALUES (1, 1, 'paid', 2000, 500, 1500, 1, 3, {_T}, NULL),
            (2, 2, 'cancelled', 3000, 0, 3000, NULL, 4, {_T + _DAY}, {_T + 2 * _DAY}),
            (3, 1, 'paid', 30, 0, 30, NULL, 6, {_T + 2 * _DAY}, NULL);
    INSERT INTO order_lines (order_id, position, product_id, quantity, unit_price)
        VALUES (1, 0, 1, 2, 1000), (2, 0, 2, 1, 3000), (3, 0, 200, 3, 10);
    INSERT INTO ledger_entries (id, user_id, previous, kind, amount, balance_after, order_id, created_at)
        VALUES (1, 1, NULL, 'charge', 100000, 100000, NULL, {_T}), (2, 2, NULL, 'charge', 50000, 50000, NULL, {_T}),
            (3, 1, 1, 'payment', -1500, 98500, 1, {_T}), (4, 2, 2, 'payment', -3000, 47000, 2, {_T + _DAY}),
            (5, 2, 4, 'refund', 3000, 50000, 2, {_T + 2 * _DAY}), (6, 1, 3, 'payment', -30, 98470, 3, {_T + 2 * _DAY});
    INSERT INTO prunings (id, events, until) VALUES (1, 1, {_T});
    INSERT INTO bundles (id, first_event, last_event, created_at, sent_at)
        VALUES (2, 2, 2, {_T + _DAY}, {_T + _DAY + 1}), (3, 3, 3, {_T + 2 * _DAY}, {_T + 2 * _DAY + 1}),
            (4, 4, 4, {_T + 2 * _DAY}, NULL);
    INSERT INTO outbox (id, bundle_id, order_id, type, event)
        VALUES (2, 2, 2, 'jangteo.order.paid', {_event("paid", 2, 3000)}),
            (3, 3, 2, 'jangteo.order.cancelled', {_event("cancelled", 2, 3000)}),
            (4, 4, 3, 'jangteo.order.paid', {_event("paid", 3, 30)});
    INSERT INTO rejections (id, order_id, tries, reason, rejected_at, next_try_at)
        VALUES (2, 2, 3, 'HTTP 422', {_T + _DAY + 1}, {_T + 9 * _DAY}),
            (3, 2, 6, 'HTTP 400', {_T + 2 * _DAY + 1}, NULL);
    INSERT INTO replays (id, since, until, done_bundle, last_bundle, events, started_at, finished_at)
        VALUES (1, {_T}, {_T + 2 * _DAY}, 2, 3, 1, {_T + 2 * _DAY}, NULL);
    INSERT INTO platforms (id, name, sent_events, within_us, reported_at)
        VALUES (1, 'file', 3, 60000000, {_T + 2 * _DAY});
    INSERT INTO relay_turns (id, holder, until) VALUES (1, 'an old relay', {_T + 2 * _DAY});
    INSERT INTO answers (key, fingerprint, kind, body, created_at)
        VALUES ('a key', 'a fingerprint', 'Order', '{{}}', {_T + 2 * _DAY});
    INSERT INTO uncounted_sales (id, moment, units) VALUES (7, {_T + _DAY}, '[2,-1]'), (8, {_T + 2 * _DAY}, '[200,3]');
    INSERT INTO top_tally (id, steps) VALUES (1, 5);
    INSERT INTO top_windows (id, days, since, state, begun_at, asked_at)
        VALUES (1, 3, 0, 'kept', 0, {_T}), (2, 7, 0, 'building', {_T + _DAY}, {_T + 2 * _DAY}),
            (3, 14, 0, 'let-go', {_T}, {_T + _DAY});
    INSERT INTO top_pages (id, window_id, best, sold) VALUES ({2 * _PAGE - 1}, 1, 2, '[0,2,1]'),
        ({3 * _PAGE - 1}, 2, 1, '[0,0,1]'), ({4 * _PAGE - 1}, 3, 2, '[0,2]');
    INSERT INTO writers (id, transactions, seen_at) VALUES (77, 12, {_T});
    INSERT INTO readiness (id, checked_at) VALUES (1, {_T});
"""
SEQUENCES: Final = """
    SELECT setval('users_ids', 2), setval('products_ids', 200), setval('campaigns_ids', 1), setval('coupons_ids', 1),
        setval('orders_ids', 3), setval('ledger_entries_ids', 6), setval('outbox_ids', 4), setval('bundles_ids', 4),
        setval('stock_movements_id_seq', 3), setval('uncounted_sales_id_seq', 8);
"""
NEW_NAMES: Final = {
    "answers": "idempotency_records",
    "order_lines": "order_items",
    "bundles": "event_batches",
    "rejections": "failed_events",
    "prunings": "purged_events",
    "relay_turns": "leases",
    "uncounted_sales": "sales_deltas",
    "top_tally": "best_seller_version",
    "top_pages": "best_seller_buckets",
    "top_windows": "best_seller_windows",
}
WINDOWS: Final = [
    (1, 3, 0, "active", 0, _T, None),
    (2, 7, 0, "backfilling", _T + _DAY, _T + 2 * _DAY, _T + 2 * _DAY),
    (3, 14, 0, "retired", _T, _T + _DAY, None),
]
"""What the windows become: their columns in order."""
