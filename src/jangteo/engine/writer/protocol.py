"""The protocol between a writer and its clients: frames of MessagePack.

A frame is a length (4 bytes, little-endian) and that many bytes. Outcomes come back in the order of the commands.
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
_read_submissions = msgspec.msgpack.Decoder(tuple[float, list[tuple[AnyCommand, str | None, str]]] | None).decode


class Outcomes(msgspec.Struct, array_like=True):
    """The outcomes of one batch, in the order of its commands."""

    has_events: bool
    """Whether the batch wrote events."""
    outcomes: list[SerializedOutcome | None]
    """None for each command that failed."""
    failure: str | None = None
    """Why those commands failed."""


_read_outcomes = msgspec.msgpack.Decoder(Outcomes).decode


def pack(submission: Submission) -> msgspec.Raw:
    """Encode a submission. Raises ValueError, TypeError or OverflowError if a value can't be encoded."""
    return msgspec.Raw(_encode(submission))


def commands_frame(sent_at: float, commands: Sequence[msgspec.Raw]) -> bytes:
    """Make a frame of packed commands that were submitted at `sent_at` by the monotonic clock."""
    return _frame(_encode((sent_at, commands)))


def watch_frame() -> bytes:
    """Make the frame by which a client asks to be told of every batch that wrote events, whoever's it was."""
    return _frame(_encode(None))


def outcomes_frame(outcomes: Outcomes) -> bytes:
    """Make a frame of a batch's outcomes."""
    return _frame(_encode(outcomes))


class Frames:
    """Splits a stream of bytes into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def receive(self, data: bytes) -> Iterator[bytes]:
        """Buffer the data and yield the content of every complete frame."""
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._buffer)[0]
            if len(self._buffer) < end:
                return
            frame = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            yield frame


def read_submissions(frame: bytes) -> tuple[float, list[Submission]] | None:
    """Decode a frame of commands, and when they were submitted; None if it is a watch frame."""
    decoded = _read_submissions(frame)
    if decoded is None:
        return None
    sent_at, submissions = decoded
    return sent_at, [Submission(*each) for each in submissions]


def read_outcomes(frame: bytes) -> Outcomes:
    """Decode a frame of outcomes."""
    return _read_outcomes(frame)


def _frame(content: bytes) -> bytes:
    return _LENGTH.pack(len(content)) + content
