"""What goes between the two processes arrives as it was sent, in whatever pieces it comes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from jangteo.api.routes import ROUTES
from jangteo.core import relay
from jangteo.core.counting import CountSales, Step, Window, WrittenPage
from jangteo.core.coupons import ClaimCoupon, StartCampaign
from jangteo.core.entities import CouponTerms
from jangteo.core.health import CheckWritable
from jangteo.core.orders import CancelOrder, PlaceOrder, RequestedItem
from jangteo.core.products import AddProduct, ChangeProduct, MoveStock
from jangteo.core.relay import AcquireLease, MarkSent
from jangteo.core.wallets import ChargeBalance, RegisterUser
from jangteo.engine.batch import Asked
from jangteo.engine.outcomes import SerializedOutcome
from jangteo.engine.writer.protocol import (
    _COMMANDS,
    Frames,
    Outcomes,
    commands_frame,
    outcomes_frame,
    packed,
    read_commands,
    read_outcomes,
)
from tests.core.books import NOW

WINDOW = Window(2, 7, NOW - timedelta(days=7, microseconds=1), "building", NOW, NOW)
PAGE = WrittenPage(2**47 - 1, 2, 9, "[0,9]")
STEP = Step((1, 2), (WINDOW,), (replace(WINDOW, state="kept"),), (1,), (PAGE,), (PAGE, PAGE), (2**46,))
ASKED = [
    Asked(RegisterUser("김장터"), "key"),
    Asked(RegisterUser(None)),
    Asked(ChargeBalance(1, 2**53 - 1)),
    Asked(AddProduct("rice", 0, 1)),
    Asked(ChangeProduct(1, None, 5)),
    Asked(MoveStock(1, -5)),
    Asked(StartCampaign("c", CouponTerms(None, 10, 500, 0), 5, NOW, None, 30)),
    Asked(ClaimCoupon(1, None)),
    Asked(PlaceOrder(1, (RequestedItem(1, 2), RequestedItem(3, 4)), 5), "other"),
    Asked(CancelOrder(7)),
    Asked(CheckWritable()),
    Asked(MarkSent((8, 9))),
    Asked(AcquireLease("me", 5.0)),
    Asked(CountSales(7, STEP)),
    Asked(relay.RecordFailures((relay.FailedEvent(5, 3, 2, "too large", 1.5),))),
    Asked(relay.RecordDelivered((5, 6))),
    Asked(relay.RetryEvents((5,))),
    Asked(relay.StartReplay(NOW, NOW)),
    Asked(relay.RecordReplayProgress(1, 7, 12, finished=False)),
    Asked(relay.RecordPlatformStatus("none", None, stopped=False, sent_events=12, within_s=2.5)),
    Asked(relay.ResumePlatform()),
    Asked(relay.PurgeEvents((1, 9), 60.0)),
]


def test_every_command_arrives_as_it_was_sent() -> None:
    frame = commands_frame([packed(each) for each in ASKED])
    (whole,) = Frames().whole(frame)
    arrived = read_commands(whole)
    # A sequence may arrive as another kind of sequence; nothing else may differ.
    assert repr(arrived).replace("[", "(").replace("]", ")") == repr(ASKED).replace("[", "(").replace("]", ")")


def test_the_step_that_arrives_says_everything() -> None:
    assert all(getattr(STEP, name) for name in STEP.__struct_fields__)


def test_every_command_of_the_api_can_be_sent() -> None:
    said = {type(each.command).__name__ for each in ASKED}
    assert said == set(_COMMANDS)
    returned = {route.endpoint.__annotations__["return"] for route in ROUTES}
    commands = {kind for kind in returned if not get_args(kind) and hasattr(kind, "decide")}
    assert {kind.__name__ for kind in commands} <= said


@given(st.lists(st.integers(1, 40)), st.lists(st.booleans(), min_size=1, max_size=5))
def test_frames_are_put_together_from_any_pieces(cuts: list[int], told: list[bool]) -> None:
    sent = [Outcomes(flag, [SerializedOutcome("Order", b"{}", replayed=flag), None], "why") for flag in told]
    stream = b"".join(outcomes_frame(each) for each in sent)
    frames, arrived, start = Frames(), [], 0
    for size in [*cuts, len(stream)]:
        arrived += [read_outcomes(frame) for frame in frames.whole(stream[start : start + size])]
        start += size
    assert arrived == sent


@pytest.mark.parametrize("command", [AddProduct("\ud800", 1, 1), MoveStock(1, 2**70)])
def test_what_cannot_be_put_in_writing_is_the_senders_error(command: Any) -> None:
    with pytest.raises((ValueError, OverflowError)):
        packed(Asked(command))
