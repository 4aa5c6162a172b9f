"""What goes between the process that speaks HTTP and the process that decides: frames of MessagePack.

A frame is its length, in four bytes, and that many bytes. Commands go one way, outcomes come back in the same order.
"""

from collections.abc import Iterator, Sequence
from struct import Struct
from typing import Final

import msgspec

from jangteo.core.commands import AnyCommand
from jangteo.engine.batch import Submission
from jangteo.engine.outcomes import SerializedOutcome

_LENGTH: Final = Struct("<I")
_encode = msgspec.msgpack.Encoder().encode
_read_submissions = msgspec.msgpack.Decoder(list[tuple[AnyCommand, str | None]]).decode


class Outcomes(msgspec.Struct, array_like=True):
    """The outcomes of one batch; a `None` failed for the reason given. `has_events`: some are for the platform."""

    has_events: bool
    outcomes: list[SerializedOutcome | None]
    failure: str | None = None


_read_outcomes = msgspec.msgpack.Decoder(Outcomes).decode


def pack(submission: Submission) -> msgspec.Raw:
    """Encode one command with its key. Raises ValueError, TypeError or OverflowError for values that don't fit."""
    return msgspec.Raw(_encode(submission))


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


def read_submissions(frame: bytes) -> list[Submission]:
    """The commands of a frame, with their keys."""
    return [Submission(command, key) for command, key in _read_submissions(frame)]


def read_outcomes(frame: bytes) -> Outcomes:
    """The outcomes of a frame."""
    return _read_outcomes(frame)


def _frame(content: bytes) -> bytes:
    return _LENGTH.pack(len(content)) + content
