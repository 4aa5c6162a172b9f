from __future__ import annotations

import pytest

from jangteo.core.limits import LARGEST
from jangteo.core.refusals import InvalidAmount, UserNotFound
from jangteo.core.wallets import ChargeBalance, RegisterUser, UserBalance
from tests.core.books import NO_CHANGES, book, changes


def test_a_new_wallet_is_empty() -> None:
    shop = book()
    assert RegisterUser("Kim").decide(shop) == UserBalance(101, 0)
    assert shop.names == {101: "Kim"}


def test_a_charge_adds_a_ledger_entry() -> None:
    shop = book({1: 1_500})
    assert ChargeBalance(1, 1_000).decide(shop) == UserBalance(1, 2_500)
    assert [(entry.kind, entry.amount, entry.balance_after) for entry in shop.ledger] == [("charge", 1_000, 2_500)]


def test_each_ledger_entry_names_the_users_entry_before_it() -> None:
    shop = book({1: 1_500, 2: 0})
    for user in (1, 2, 1, 1):
        ChargeBalance(user, 1_000).decide(shop)
    entries = [(entry.entry_id, entry.user_id, entry.previous_entry_id) for entry in shop.ledger]
    assert entries == [(101, 1, None), (102, 2, None), (103, 1, 101), (104, 1, 103)]
    assert (shop.wallets.rows[1].last_entry, shop.wallets.rows[2].last_entry) == (104, 102)


REFUSED = [
    (ChargeBalance(9, 0), UserNotFound(9)),
    (ChargeBalance(1, 0), InvalidAmount(1_500)),
    (ChargeBalance(1, -1), InvalidAmount(1_500)),
    (ChargeBalance(1, LARGEST - 1_499), InvalidAmount(1_500)),
]


@pytest.mark.parametrize(("command", "refusal"), REFUSED)
def test_refusals_in_order_of_precedence(command: ChargeBalance, refusal: object) -> None:
    shop = book({1: 1_500})
    assert command.decide(shop) == refusal
    assert changes(shop) == NO_CHANGES


def test_a_balance_may_reach_the_limit() -> None:
    assert ChargeBalance(1, LARGEST - 1_500).decide(book({1: 1_500})) == UserBalance(1, LARGEST)
