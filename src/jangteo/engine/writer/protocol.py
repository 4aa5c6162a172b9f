"""What goes between the process that speaks HTTP and the process that decides: frames of MessagePack.

A frame is its length, in four bytes, and that many bytes. Commands go one way, outcomes come back in the same order.
"""

from collections.abc import Iterator, Sequence
from struct import Struct
from typing import Final, cast

import msgspec

from jangteo.core import counting, coupons, health, orders, products, relay, wallets
from jangteo.core.book import Command
from jangteo.engine.batch import Asked
from jangteo.engine.outcomes import SerializedOutcome

_LENGTH: Final = Struct("<I")
_COMMANDS: Final = {
    each.__name__: msgspec.msgpack.Decoder(each).decode
    for each in (
        wallets.RegisterUser,
        wallets.ChargeBalance,
        products.AddProduct,
        products.ChangeProduct,
        products.MoveStock,
        coupons.StartCampaign,
        coupons.ClaimCoupon,
        orders.PlaceOrder,
        orders.CancelOrder,
        health.CheckWritable,
        relay.MarkSent,
        relay.AcquireLease,
        relay.RenewLease,
        relay.ReleaseLease,
        relay.RecordFailures,
        relay.RecordDelivered,
        relay.RetryEvents,
        relay.StartReplay,
        relay.RecordReplayProgress,
        relay.RecordPlatformStatus,
        relay.ResumePlatform,
        relay.PurgeEvents,
        counting.CountSales,
    )
}
_encode = msgspec.msgpack.Encoder().encode
_read_commands = msgspec.msgpack.Decoder(list[tuple[str, msgspec.Raw, str | None]]).decode


class Outcomes(msgspec.Struct, array_like=True):
    """The outcomes of one batch; a `None` failed for the reason given. `has_events`: some are for the platform."""

    has_events: bool
    outcomes: list[SerializedOutcome | None]
    failure: str | None = None


_read_outcomes = msgspec.msgpack.Decoder(Outcomes).decode


def packed(asked: Asked) -> msgspec.Raw:
    """One command. Raises ValueError, TypeError or OverflowError where it can't be put in writing."""
    command, key = asked
    return msgspec.Raw(_encode((type(command).__name__, command, key)))


def commands_frame(commands: Sequence[msgspec.Raw]) -> bytes:
    """Commands to be decided."""
    return _frame(_encode(commands))


def outcomes_frame(outcomes: Outcomes) -> bytes:
    """What came of a batch."""
    return _frame(_encode(outcomes))


class Frames:
    """Puts bytes that arrive in pieces together to whole frames."""

    def __init__(self) -> None:
        self._arrived = bytearray()

    def whole(self, data: bytes) -> Iterator[bytes]:
        """Take in what has arrived; every frame that is whole now."""
        self._arrived += data
        while len(self._arrived) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._arrived)[0]
            if len(self._arrived) < end:
                return
            frame = bytes(self._arrived[_LENGTH.size : end])
            del self._arrived[:end]
            yield frame


def read_commands(frame: bytes) -> list[Asked]:
    """The commands of a frame."""
    return [Asked(_command(kind, said), key) for kind, said, key in _read_commands(frame)]


def read_outcomes(frame: bytes) -> Outcomes:
    """The outcomes of a frame."""
    return _read_outcomes(frame)


def _command(kind: str, said: msgspec.Raw) -> Command:
    return cast("Command", _COMMANDS[kind](said))


def _frame(content: bytes) -> bytes:
    return _LENGTH.pack(len(content)) + content
