"""Reads what is in the shop at the end, and what arrived at the platform."""

from pathlib import Path
from typing import Any, Final

import msgspec
import psycopg

from drill.judgement import ReceivedEvent, Row

_ORDERS: Final = "SELECT id, user_id, total, created_at FROM orders"
_CHARGES: Final = "SELECT user_id, amount, created_at FROM ledger_entries WHERE kind = 'charge'"
_COUPONS: Final = "SELECT id, user_id, campaign_id, claimed_at FROM coupons"
_USERS: Final = "SELECT id, name, created_at FROM users"
_BALANCES: Final = "SELECT id, balance FROM users"
_WAITING: Final = "SELECT COUNT(*) FROM event_batches WHERE sent_at IS NULL"


class _Envelope(msgspec.Struct):
    at: float
    event: dict[str, Any]


def read_rows(url: str) -> list[Row]:
    """Read every order, charge, coupon and user."""
    with psycopg.connect(url) as connection:
        orders = [Row("order", row[:3], row[1], row[3] / 1e6) for row in connection.execute(_ORDERS)]
        charges = [Row("charge", row[:2], row[0], row[2] / 1e6) for row in connection.execute(_CHARGES)]
        coupons = [Row("coupon", row[:3], row[1], row[3] / 1e6) for row in connection.execute(_COUPONS)]
        users = [Row("user", row[:2], row[1], row[2] / 1e6) for row in connection.execute(_USERS)]
    return [*orders, *charges, *coupons, *users]


def read_balances(url: str) -> dict[int | str, int]:
    """Read every user's balance."""
    with psycopg.connect(url) as connection:
        return dict(connection.execute(_BALANCES).fetchall())


def waiting_batches(url: str) -> int:
    """Count the event batches that were not sent yet."""
    with psycopg.connect(url) as connection:
        return int(connection.execute(_WAITING).fetchall()[0][0])


def read_events(file: Path) -> list[ReceivedEvent]:
    """Read the events that arrived, in their order."""
    found = []
    for line in file.read_bytes().splitlines():
        envelope = msgspec.json.decode(line, type=_Envelope)
        event, data = envelope.event, envelope.event["data"]
        order = (data["orderId"], data["userId"], data["total"])
        found.append(ReceivedEvent(event["id"], order, msgspec.json.encode(event).decode(), envelope.at))
    return found
