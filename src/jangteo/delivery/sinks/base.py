"""The sink protocol, and the errors that every sink raises."""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

_REASON_CHARACTERS: Final = 500


class InvalidPlatform(Exception):
    """The platform's URL, secret or client library is unusable; the message is one line for the operator."""


class PlatformUnavailable(Exception):
    """The platform can't take any events now; the message says why, in one line.

    All events of the call are sent again, with the same ids, though some may have arrived.
    """

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        """`retry_after_s`: how long the platform has asked to be left alone."""
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class PlatformGone(Exception):
    """The platform wants no more events, ever; the message quotes its answer, in one line."""


class Sink(Protocol):
    """Delivers events to one platform. It serves one call at a time."""

    async def send(self, events: Sequence[bytes]) -> Mapping[int, str]:
        """Deliver events, each a CloudEvent in JSON and no two of one order.

        Returns the indexes of the events that the platform rejected, each with its reason in one line; all others
        have been delivered durably. May be cancelled. Raises PlatformUnavailable and PlatformGone.
        """

    async def probe(self) -> str:
        """Reach the platform without sending an event, and return what was found, in a few words.

        May be cancelled. Raises PlatformUnavailable.
        """

    async def close(self) -> None:
        """Close what is open to the platform."""


def one_line(reason: str) -> str:
    """Return a platform's message as one line of printable characters, short enough to be stored and read."""
    printable = "".join(each if each.isprintable() else " " for each in reason[: 4 * _REASON_CHARACTERS])
    return " ".join(printable.split())[:_REASON_CHARACTERS]
