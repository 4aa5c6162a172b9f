"""The lease: one relay at a time sends to the platform."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from jangteo.core.book import Book
from jangteo.core.entities import Lease
from jangteo.core.relay import RELAY_LEASE, AcquireLease, LeaseOutcome, ReleaseLease, RenewLease
from tests.core.books import NOW, book

SECOND = timedelta(seconds=1)
HELD, NOT_HELD = LeaseOutcome(held=True), LeaseOutcome(held=False)


def leased(holder: str | None, expires_at: datetime | None) -> Book:
    """A book with a lease, or with none yet."""
    shop = book()
    if holder is not None and expires_at is not None:
        shop.leases.fill([(RELAY_LEASE, Lease(RELAY_LEASE, holder, expires_at))])
    return shop


@pytest.mark.parametrize(
    ("holder", "expires_at", "asks", "held"),
    [
        (None, None, "a", True),
        ("a", NOW + SECOND, "a", True),
        ("a", NOW - SECOND, "a", True),
        ("a", NOW + SECOND, "b", False),
        ("a", NOW, "b", True),
        ("a", NOW - SECOND, "b", True),
    ],
)
def test_a_lease_is_acquired_once_the_last_one_expired(
    holder: str | None, expires_at: datetime | None, asks: str, *, held: bool
) -> None:
    shop = leased(holder, expires_at)
    assert AcquireLease(asks, 6.0).decide(shop) == LeaseOutcome(held=held)
    changed = shop.leases.get(RELAY_LEASE)
    assert changed == (Lease(RELAY_LEASE, asks, NOW + 6 * SECOND) if held else Lease(RELAY_LEASE, "a", NOW + SECOND))


@pytest.mark.parametrize(
    ("holder", "expires_at", "held"),
    [
        (None, None, False),
        ("a", NOW + SECOND, True),
        ("a", NOW - SECOND, True),
        ("b", NOW + SECOND, False),
        ("b", NOW - SECOND, False),
    ],
)
def test_a_lease_is_renewed_unless_another_relay_took_it(
    holder: str | None, expires_at: datetime | None, *, held: bool
) -> None:
    shop = leased(holder, expires_at)
    before = shop.leases.get(RELAY_LEASE)
    assert RenewLease("a", 6.0).decide(shop) == LeaseOutcome(held=held)
    assert shop.leases.get(RELAY_LEASE) == (Lease(RELAY_LEASE, "a", NOW + 6 * SECOND) if held else before)


def test_a_released_lease_is_free_at_once() -> None:
    shop = book()
    assert AcquireLease("a", 6.0).decide(shop) == HELD
    assert AcquireLease("b", 6.0).decide(shop) == NOT_HELD
    assert ReleaseLease("a").decide(shop) == NOT_HELD
    assert AcquireLease("b", 6.0).decide(shop) == HELD


def test_another_relays_lease_is_not_released() -> None:
    shop = leased("b", NOW + SECOND)
    assert ReleaseLease("a").decide(shop) == NOT_HELD
    assert shop.leases.get(RELAY_LEASE) == Lease(RELAY_LEASE, "b", NOW + SECOND)
