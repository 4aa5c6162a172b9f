"""What a platform is to the relay: something that takes events, and may say no to one or ask for backoff."""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

_LONGEST_REASON: Final = 500


class CannotUse(Exception):
    """The platform can't be used as it was named; the message is one line for the operator."""


class Later(Exception):
    """The platform can't take events now, whichever they are; the message says why, in one line.

    All that were sent are sent again, with the same ids, though some may have arrived.
    """

    def __init__(self, reason: str, after_s: float | None = None) -> None:
        """`after_s`: so long the platform has asked to be left alone."""
        super().__init__(reason)
        self.after_s = after_s


class Gone(Exception):
    """The platform wants no more events, ever; the message says how it said so, in one line."""


class Sink(Protocol):
    """A platform that takes events. It is asked by one task at a time."""

    async def send(self, events: Sequence[bytes]) -> Mapping[int, str]:
        """Deliver these, each a CloudEvent in JSON; no two of them are of one order.

        All but those in the answer have been delivered durably: it names the places of events that the platform
        rejects for what they are, each with the reason in one line. May be cancelled. Raises Later and Gone.
        """

    async def close(self) -> None:
        """Let go of it."""


def one_line(reason: str) -> str:
    """What a platform has said, as a database can keep it and an operator can read it: printable, and not endless."""
    printable = "".join(each if each.isprintable() else " " for each in reason[: 4 * _LONGEST_REASON])
    return " ".join(printable.split())[:_LONGEST_REASON]
