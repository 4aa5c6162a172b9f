"""The protocol between the serving process and its writer process: frames are decoded as they were encoded."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from jangteo.core import relay
from jangteo.core.best_sellers import RefreshBestSellers
from jangteo.core.book import Command, RecordedCommand
from jangteo.core.commands import AnyCommand
from jangteo.core.coupons import ClaimCoupon, StartCampaign
from jangteo.core.entities import Bucket, CouponTerms, FailedEvent, Refresh, Window
from jangteo.core.health import CheckWritable
from jangteo.core.keys import CreateKey, RecordKeyUse, RevokeKey
from jangteo.core.orders import CancelOrder, PlaceOrder, RequestedItem
from jangteo.core.products import AddProduct, ChangeProduct, MoveStock
from jangteo.core.relay import AcquireLease, MarkSent, ReleaseLease, RenewLease
from jangteo.core.wallets import ChargeBalance, RegisterUser
from jangteo.engine.batch import Submission
from jangteo.engine.outcomes import SerializedOutcome
from jangteo.engine.writer.protocol import (
    Frames,
    Outcomes,
    commands_frame,
    outcomes_frame,
    pack,
    read_outcomes,
    read_submissions,
    watch_frame,
)
from tests.core.books import NOW

WINDOW = Window(2, 7, NOW - timedelta(days=7, microseconds=1), "backfilling", NOW, NOW, NOW)
BUCKET = Bucket(2, 5, 2**53 - 1, f"[0,{2**64}]")
CHANGED = replace(WINDOW, state="active", heartbeat_at=None)
REFRESH = Refresh((1, 2), (WINDOW,), (CHANGED,), (1,), (BUCKET,), (BUCKET, BUCKET), ((2, 2**46 - 1),))
SUBMISSIONS = [
    Submission(RegisterUser("김장터"), "key"),
    Submission(RegisterUser(None)),
    Submission(ChargeBalance(1, 2**53 - 1)),
    Submission(AddProduct("rice", 0, 1)),
    Submission(ChangeProduct(1, None, 5)),
    Submission(MoveStock(1, -5)),
    Submission(StartCampaign("c", CouponTerms(None, 10, 500, 0), 5, NOW, None, 30)),
    Submission(ClaimCoupon(1, None)),
    Submission(PlaceOrder(1, (RequestedItem(1, 2), RequestedItem(3, 4)), 5), "other"),
    Submission(CancelOrder(7)),
    Submission(CheckWritable()),
    Submission(CreateKey("shop", ("read", "users"), NOW, "00ff"), "key", "key:3"),
    Submission(RevokeKey(3), None, "cli"),
    Submission(RecordKeyUse((3, 4))),
    Submission(MarkSent((8, 9))),
    Submission(AcquireLease("me", 5.0)),
    Submission(RenewLease("me", 5.0)),
    Submission(ReleaseLease("me")),
    Submission(RefreshBestSellers(7, REFRESH)),
    Submission(relay.RecordFailures((FailedEvent(5, 3, 2, "too large", 1.5),))),
    Submission(relay.RecordDelivered((5, 6))),
    Submission(relay.RetryEvents((5,))),
    Submission(relay.StartReplay(NOW, NOW)),
    Submission(relay.RecordReplayProgress(1, 7, 12, finished=False)),
    Submission(relay.RecordPlatformStatus("none", None, stopped=False, sent_events=12, within_s=2.5)),
    Submission(relay.ResumePlatform()),
    Submission(relay.PurgeEvents((1, 9), 60.0)),
]


def test_every_command_is_decoded_as_it_was_encoded() -> None:
    sent = commands_frame(12.5, [pack(each) for each in SUBMISSIONS])
    (content,) = Frames().receive(sent)
    decoded = read_submissions(content)
    assert decoded is not None
    sent_at, received = decoded
    assert sent_at == 12.5
    # A tuple may be decoded as a list; nothing else may differ.
    assert repr(received).replace("[", "(").replace("]", ")") == repr(SUBMISSIONS).replace("[", "(").replace("]", ")")


def test_a_watch_frame_holds_no_commands() -> None:
    (content,) = Frames().receive(watch_frame())
    assert read_submissions(content) is None


def test_the_refresh_that_arrives_has_every_field() -> None:
    assert all(getattr(REFRESH, name) for name in REFRESH.__struct_fields__)


def test_the_union_names_every_command() -> None:
    """A command that is missing in the union can't be sent to the writer process."""
    in_union = set(get_args(AnyCommand))
    assert in_union == {each for each in _subclasses(Command) if each.__module__.startswith("jangteo.")} - {
        RecordedCommand
    }
    assert {type(each.command) for each in SUBMISSIONS} == in_union


def _subclasses(base: type[Command]) -> set[type[Command]]:
    direct = set(base.__subclasses__())
    return direct.union(*map(_subclasses, direct))


@given(st.lists(st.integers(1, 40)), st.lists(st.booleans(), min_size=1, max_size=5))
def test_frames_are_assembled_from_pieces_of_any_size(sizes: list[int], flags: list[bool]) -> None:
    sent = [Outcomes(flag, [SerializedOutcome("Order", b"{}", replayed=flag), None], "why") for flag in flags]
    stream = b"".join(outcomes_frame(each) for each in sent)
    frames, received, start = Frames(), [], 0
    for size in [*sizes, len(stream)]:
        received += [read_outcomes(frame) for frame in frames.receive(stream[start : start + size])]
        start += size
    assert received == sent


@pytest.mark.parametrize("command", [AddProduct("\ud800", 1, 1), MoveStock(1, 2**70)])
def test_a_command_that_cannot_be_encoded_raises_at_its_sender(command: Any) -> None:
    with pytest.raises((ValueError, OverflowError)):
        pack(Submission(command))
