"""The audit recomputes every invariant from the raw rows and trusts no derived value."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from jangteo.core.actors import OPEN_ACTOR
from jangteo.core.limits import LARGEST
from jangteo.storage.best_sellers.audit import audit_best_sellers
from jangteo.storage.port import Snapshot
from jangteo.storage.sums import bounded_sum, exact_sum


class Finding(NamedTuple):
    """The result for one invariant: how many rows were checked, and a line of text for each violation."""

    invariant: str
    checked: int
    broken: list[str]


class Check(NamedTuple):
    """An invariant in SQL: one query counts the rows it covers, the other finds its violations as lines of text."""

    invariant: str
    count_sql: str
    violations_sql: str


# What each kind of actor is called: `core.actors`. A key is one of the shop's.
_UNKNOWN_ACTOR: Final = """
    NOT (actor IN ('open', 'cli') OR actor LIKE 'customer:_%' OR actor IN (SELECT 'key:' || id FROM api_keys))
"""
_LEDGER_SUM: Final = f"COALESCE({exact_sum('amount')}, 0)"
_PUT_IN_LESS_SOLD: Final = exact_sum("quantity")
# More than any order's amount can be.
_ITEM_TOTAL: Final = bounded_sum("CAST(order_items.quantity AS DOUBLE PRECISION) * order_items.unit_price", LARGEST + 1)

CHECKS: Final = (
    Check(
        "every balance is the sum of its ledger",
        "SELECT COUNT(*) FROM users",
        f"""
        SELECT 'user ' || users.id || ': balance ' || users.balance || ', ledger ' || {_LEDGER_SUM}
        FROM users LEFT JOIN ledger_entries ON ledger_entries.user_id = users.id
        GROUP BY users.id, users.balance HAVING users.balance <> {_LEDGER_SUM}
        """,
    ),
    Check(
        "every ledger is a chain without a gap, every balanceAfter the sum up to its entry",
        "SELECT COUNT(*) FROM ledger_entries",
        # Each balanceAfter is its sum if each is the one before it and its amount. These differ by less than 2^53.
        """
        SELECT 'entry ' || id || ' of user ' || user_id || ': ' || amount || ' lead from ' || balance_before || ' to '
            || balance_after || ', names entry ' || COALESCE(previous, 0) || ' before it, should be ' || before
        FROM (
            SELECT id, user_id, amount, balance_after, previous,
                LAG(balance_after, 1, 0) OVER (PARTITION BY user_id ORDER BY id) AS balance_before,
                LAG(id, 1, 0) OVER (PARTITION BY user_id ORDER BY id) AS before
            FROM ledger_entries
        ) AS entries
        WHERE balance_after - balance_before <> amount OR COALESCE(previous, 0) <> before
        UNION ALL
        SELECT 'user ' || users.id || ': last entry ' || COALESCE(last_entry, 0) || ', newest ' || COALESCE(newest, 0)
        FROM users LEFT JOIN (
            SELECT user_id, MAX(id) AS newest FROM ledger_entries GROUP BY user_id
        ) AS entries ON entries.user_id = users.id
        WHERE COALESCE(last_entry, 0) <> COALESCE(newest, 0)
        """,
    ),
    Check(
        "every order has its payment in the ledger, every cancelled one its refund",
        "SELECT COUNT(*) FROM orders",
        # An order has one payment, and one refund at most: the number of its entries says so, and no sum is needed.
        """
        SELECT 'order ' || orders.id || ' (' || status || '): payment ' || COALESCE(CAST(paid AS TEXT), 'none')
            || ', refund ' || COALESCE(CAST(refunded AS TEXT), 'none') || ', total ' || total
        FROM orders LEFT JOIN (
            SELECT order_id, user_id,
                MIN(CASE WHEN kind = 'payment' THEN amount END) AS paid,
                MAX(CASE WHEN kind = 'refund' THEN amount END) AS refunded,
                MAX(CASE WHEN kind = 'payment' THEN id END) AS payment,
                COUNT(*) AS entries
            FROM ledger_entries WHERE order_id IS NOT NULL GROUP BY order_id, user_id
        ) AS entries ON entries.order_id = orders.id AND entries.user_id = orders.user_id
        WHERE COALESCE(entries, 0) <> CASE status WHEN 'cancelled' THEN 2 ELSE 1 END
            OR COALESCE(paid, 1) <> -total
            OR COALESCE(payment, -1) <> payment_entry
            OR (status = 'cancelled' AND COALESCE(refunded, -1) <> total)
            OR (status = 'paid' AND refunded IS NOT NULL)
        UNION ALL
        SELECT 'entry ' || id || ' of user ' || user_id || ': ' || kind || ' of ' || amount || ', order '
            || COALESCE(CAST(order_id AS TEXT), 'none')
        FROM ledger_entries
        WHERE NOT CASE kind
            WHEN 'charge' THEN amount > 0 AND order_id IS NULL
            WHEN 'payment' THEN amount <= 0 AND order_id IS NOT NULL
            WHEN 'refund' THEN amount >= 0 AND order_id IS NOT NULL
            ELSE 1 = 0
        END
        """,
    ),
    Check(
        "every stock is what was put in less what was sold plus what came back",
        "SELECT COUNT(*) FROM products",
        # Either of the two may be beyond any integer of the database; their difference is not.
        f"""
        SELECT 'product ' || products.id || ': stock ' || stock || ', put in less sold ' || COALESCE(remaining, 0)
        FROM products LEFT JOIN (
            SELECT product_id, {_PUT_IN_LESS_SOLD} AS remaining
            FROM (
                SELECT product_id, quantity FROM stock_movements
                UNION ALL
                SELECT product_id, -quantity FROM order_items JOIN orders ON orders.id = order_items.order_id
                WHERE status = 'paid'
            ) AS moved
            GROUP BY product_id
        ) AS movements ON movements.product_id = products.id
        WHERE stock <> COALESCE(remaining, 0)
        """,
    ),
    Check(
        "never more coupons issued than there are, each of them counted",
        "SELECT COUNT(*) FROM campaigns",
        """
        SELECT 'campaign ' || campaigns.id || ': quantity ' || quantity || ', issued ' || issued
            || ', coupons ' || COUNT(coupons.id)
        FROM campaigns LEFT JOIN coupons ON coupons.campaign_id = campaigns.id
        GROUP BY campaigns.id, quantity, issued
        HAVING issued <> COUNT(coupons.id) OR COUNT(coupons.id) > quantity
        """,
    ),
    Check(
        "no coupon used twice, none by another user, each by the order that it names",
        "SELECT COUNT(*) FROM coupons",
        """
        SELECT 'coupon ' || coupons.id || ': names order ' || COALESCE(CAST(coupons.order_id AS TEXT), 'none')
            || ', used by ' || COUNT(orders.id) || ' paid order(s)'
        FROM coupons LEFT JOIN orders ON orders.coupon_id = coupons.id AND orders.status = 'paid'
        GROUP BY coupons.id, coupons.order_id, coupons.user_id
        HAVING COUNT(orders.id) > 1
            OR COALESCE(coupons.order_id, 0) <> COALESCE(MAX(orders.id), 0)
            OR MAX(orders.user_id) <> coupons.user_id
        UNION ALL
        SELECT 'order ' || orders.id || ': coupon ' || orders.coupon_id || ' does not exist'
        FROM orders LEFT JOIN coupons ON coupons.id = orders.coupon_id
        WHERE orders.coupon_id IS NOT NULL AND coupons.id IS NULL
        """,
    ),
    Check(
        "every order's amount is the sum of its lines, its discount what its coupon gives",
        "SELECT COUNT(*) FROM orders",
        f"""
        SELECT 'order ' || id || ': items ' || item_total || ', amount ' || amount || ', discount ' || discount
            || ' (coupon gives ' || given || '), total ' || total
        FROM (
            SELECT orders.id, orders.amount, orders.discount, orders.total,
                COALESCE({_ITEM_TOTAL}, -1) AS item_total,
                CASE
                    WHEN campaigns.id IS NULL THEN 0
                    WHEN campaigns.percent IS NULL THEN
                        CASE WHEN campaigns.discount < orders.amount THEN campaigns.discount ELSE orders.amount END
                    WHEN campaigns.max_discount < orders.amount / 100 * campaigns.percent
                        + orders.amount % 100 * campaigns.percent / 100 THEN campaigns.max_discount
                    ELSE orders.amount / 100 * campaigns.percent + orders.amount % 100 * campaigns.percent / 100
                END AS given
            FROM orders
            LEFT JOIN order_items ON order_items.order_id = orders.id
            LEFT JOIN coupons ON coupons.id = orders.coupon_id
            LEFT JOIN campaigns ON campaigns.id = coupons.campaign_id
            GROUP BY orders.id, orders.amount, orders.discount, orders.total,
                campaigns.id, campaigns.percent, campaigns.discount, campaigns.max_discount
        ) AS totals
        WHERE item_total <> amount OR discount <> given OR total <> amount - discount
        """,
    ),
    Check(
        "one event for every paid order and one more for every cancelled one",
        "SELECT COUNT(*) + (SELECT COALESCE(SUM(events), 0) FROM purged_events) FROM outbox",
        # Of events older than the newest purged one only the number is known.
        """
        SELECT 'order ' || orders.id || ' (' || status || '): ' || COALESCE(paid, 0) || ' paid and '
            || COALESCE(cancelled, 0) || ' cancelled event(s)'
        FROM orders LEFT JOIN (
            SELECT order_id,
                SUM(CASE type WHEN 'jangteo.order.paid' THEN 1 ELSE 0 END) AS paid,
                SUM(CASE type WHEN 'jangteo.order.cancelled' THEN 1 ELSE 0 END) AS cancelled
            FROM outbox GROUP BY order_id
        ) AS events ON events.order_id = orders.id
        LEFT JOIN purged_events ON purged_events.id = 1
        WHERE COALESCE(paid, 0) > 1 OR COALESCE(cancelled, 0) > CASE status WHEN 'cancelled' THEN 1 ELSE 0 END
            OR (COALESCE(paid, 0) = 0 AND orders.created_at > COALESCE(until, -1))
            OR (COALESCE(cancelled, 0) = 0 AND cancelled_at > COALESCE(until, -1))
        UNION ALL
        SELECT 'event ' || outbox.id || ' (' || type || '): order ' || outbox.order_id || ', text ' || event
        FROM outbox LEFT JOIN orders ON orders.id = outbox.order_id
        WHERE orders.id IS NULL OR type NOT IN ('jangteo.order.paid', 'jangteo.order.cancelled')
            OR event NOT LIKE '%"type":"' || type || '","subject":"' || outbox.order_id || '"%'
            OR event NOT LIKE '%"total":' || orders.total || ',%'
        UNION ALL
        SELECT 'events: ' || kept || ' kept and ' || purged || ' purged, paid and cancelled: ' || happened
        FROM (
            SELECT (SELECT COUNT(*) FROM outbox) AS kept,
                (SELECT COALESCE(SUM(events), 0) FROM purged_events) AS purged,
                (SELECT COUNT(*) + COUNT(cancelled_at) FROM orders) AS happened
        ) AS counts
        WHERE kept + purged <> happened
        """,
    ),
    Check(
        "every effect names its actor, every order those of its payment and its refund",
        "SELECT (SELECT COUNT(*) FROM ledger_entries) + (SELECT COUNT(*) FROM stock_movements) "
        "+ (SELECT COUNT(*) FROM catalog_changes)",
        f"""
        SELECT 'entry ' || id || ' of user ' || user_id || ': actor ' || actor
        FROM ledger_entries WHERE {_UNKNOWN_ACTOR}
        UNION ALL
        SELECT 'stock movement ' || id || ' of product ' || product_id || ': actor ' || actor
        FROM stock_movements WHERE {_UNKNOWN_ACTOR}
        UNION ALL
        SELECT 'change ' || id || ' of ' || subject || ' ' || subject_id || ': actor ' || actor
        FROM catalog_changes WHERE {_UNKNOWN_ACTOR}
        UNION ALL
        SELECT 'order ' || orders.id || ': placed by ' || orders.actor || ', cancelled by '
            || COALESCE(cancelled_by, 'nobody') || '; ' || kind || ' by ' || entry.actor
        FROM orders JOIN ledger_entries AS entry ON entry.order_id = orders.id
        WHERE (kind = 'payment' AND entry.actor <> orders.actor)
            OR (kind = 'refund' AND cancelled_at IS NOT NULL AND entry.actor <> COALESCE(cancelled_by, '{OPEN_ACTOR}'))
        """,
    ),
    Check(
        "every row belongs to something that exists",
        "SELECT COUNT(*) FROM order_items",
        """
        SELECT 'item of order ' || order_id FROM order_items
        WHERE NOT EXISTS (SELECT 1 FROM orders WHERE orders.id = order_id)
            OR NOT EXISTS (SELECT 1 FROM products WHERE products.id = product_id)
        UNION ALL
        SELECT 'order ' || id || ' of user ' || user_id FROM orders
        WHERE NOT EXISTS (SELECT 1 FROM users WHERE users.id = user_id)
        UNION ALL
        SELECT 'entry ' || id || ' of user ' || user_id FROM ledger_entries
        WHERE NOT EXISTS (SELECT 1 FROM users WHERE users.id = user_id)
        UNION ALL
        SELECT 'coupon ' || id || ' of user ' || user_id || ' and campaign ' || campaign_id FROM coupons
        WHERE NOT EXISTS (SELECT 1 FROM users WHERE users.id = user_id)
            OR NOT EXISTS (SELECT 1 FROM campaigns WHERE campaigns.id = campaign_id)
        UNION ALL
        SELECT 'stock movement ' || id || ' of product ' || product_id FROM stock_movements
        WHERE NOT EXISTS (SELECT 1 FROM products WHERE products.id = product_id)
        UNION ALL
        SELECT 'change ' || id || ' of ' || subject || ' ' || subject_id FROM catalog_changes
        WHERE NOT EXISTS (SELECT 1 FROM products WHERE subject = 'product' AND products.id = subject_id)
            AND NOT EXISTS (SELECT 1 FROM campaigns WHERE subject = 'campaign' AND campaigns.id = subject_id)
        UNION ALL
        SELECT 'event ' || id || ' of batch ' || event_batch_id FROM outbox
        WHERE NOT EXISTS (
            SELECT 1 FROM event_batches
            WHERE event_batches.id = event_batch_id AND outbox.id BETWEEN first_event AND last_event
        )
        UNION ALL
        SELECT 'failed event ' || id || ' of order ' || order_id FROM failed_events
        WHERE NOT EXISTS (
            SELECT 1 FROM outbox WHERE outbox.id = failed_events.id AND outbox.order_id = failed_events.order_id
        )
        """,
    ),
)


def findings(snapshot: Snapshot) -> Iterator[Finding]:
    """Check every invariant in turn, all in one snapshot."""
    for check in CHECKS:
        checked = int(snapshot.rows(check.count_sql)[0][0])
        yield Finding(check.invariant, checked, [row[0] for row in snapshot.rows(check.violations_sql)])
    checked, wrong = audit_best_sellers(snapshot)
    yield Finding("the statistics equal the orders", checked, wrong)
    yield _audit_ids(snapshot)


def _audit_ids(snapshot: Snapshot) -> Finding:
    counted = snapshot.counted_ids()
    behind = [
        f"sequence of {each.table}: last id {each.last_id}, largest {each.largest_id}"
        for each in counted
        if each.is_behind
    ]
    return Finding("no sequence is behind its table", len(counted), behind)
