"""Whose turn it is to tell the platform: one relay's at a time."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from jangteo.core.entities import RelayTurn
from jangteo.core.relay import THE_TURN, HoldRelay, Turn
from tests.core.books import NOW, book

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("holder", "until", "asks", "held"),
    [
        (None, None, "a", True),
        ("a", NOW + SECOND, "a", True),
        ("a", NOW - SECOND, "a", True),
        ("a", NOW + SECOND, "b", False),
        ("a", NOW, "b", True),
        ("a", NOW - SECOND, "b", True),
    ],
)
def test_it_is_one_relays_turn(holder: str | None, until: datetime | None, asks: str, *, held: bool) -> None:
    shop = book()
    if holder is not None and until is not None:
        shop.upkeep.relay_turns.fill([(THE_TURN, RelayTurn(THE_TURN, holder, until))])
    assert HoldRelay(asks, 6.0).decide(shop) == Turn(held=held)
    changed = shop.upkeep.relay_turns.get(THE_TURN)
    assert changed == (RelayTurn(THE_TURN, asks, NOW + 6 * SECOND) if held else RelayTurn(THE_TURN, "a", NOW + SECOND))


def test_a_turn_that_was_given_back_is_free() -> None:
    shop = book()
    assert HoldRelay("a", 6.0).decide(shop) == Turn(held=True)
    assert HoldRelay("b", 6.0).decide(shop) == Turn(held=False)
    assert HoldRelay("a", 0).decide(shop) == Turn(held=True)
    assert HoldRelay("b", 6.0).decide(shop) == Turn(held=True)
