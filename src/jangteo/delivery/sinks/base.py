"""The sink protocol, and the errors that every sink raises."""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from jangteo.foreign_text import one_line

REASON_CHARACTERS: Final = 500
"""The longest reason that is stored and shown."""


class InvalidPlatform(Exception):
    """The platform's URL, secret or client library is unusable; the message is one line for the operator."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class PlatformUnavailable(Exception):
    """The platform can't take any events now; the message says why, in one line.

    All events of the call are sent again, with the same ids, though some may have arrived.
    """

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        """`retry_after_s`: how long the platform has asked to be left alone."""
        super().__init__(one_line(reason, REASON_CHARACTERS))
        self.retry_after_s = retry_after_s


class PlatformGone(Exception):
    """The platform wants no more events, ever; the message quotes its answer, in one line."""

    def __init__(self, answer: str) -> None:
        super().__init__(one_line(answer, REASON_CHARACTERS))


class Sink(Protocol):
    """Delivers events to one platform. It serves one call at a time."""

    async def send(self, events: Sequence[bytes]) -> Mapping[int, str]:
        """Deliver events, each a CloudEvent in JSON and no two of one order.

        Returns the indexes of the events that the platform rejected, each with its reason in one line; all others
        have been delivered durably. May be cancelled. Raises PlatformUnavailable and PlatformGone.
        """

    async def probe(self, timeout_s: float) -> str:
        """Reach the platform within `timeout_s` without sending an event; return what was found, in a few words.

        Raises PlatformUnavailable.
        """

    async def close(self) -> None:
        """Close what is open to the platform."""
