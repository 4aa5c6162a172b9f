"""Exponential backoff with jitter, for a platform that fails."""

from random import uniform
from typing import Final

FIRST_DELAY_S: Final = 0.05
MAX_DELAY_S: Final = 10.0


class Backoff:
    """Doubles the delay with every failure, up to a maximum; a success resets it."""

    def __init__(self) -> None:
        self._delay_s = FIRST_DELAY_S

    def reset(self) -> None:
        """Start again at the first delay."""
        self._delay_s = FIRST_DELAY_S

    def next_delay_s(self, retry_after_s: float | None) -> float:
        """Return the seconds to wait before the next attempt, at least what the platform asked for.

        The jitter takes off up to a half, so that clients that failed together don't come back together.
        """
        delay_s = self._delay_s * uniform(0.5, 1)  # noqa: S311 - jitter, not a secret
        self._delay_s = min(2 * self._delay_s, MAX_DELAY_S)
        return max(delay_s, retry_after_s or 0)
