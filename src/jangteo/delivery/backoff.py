"""How long to wait before a platform is asked again: longer each time, and never all at the same moment."""

from random import uniform
from typing import Final

FIRST_DELAY_S: Final = 0.05
MAX_DELAY_S: Final = 10.0


class Backoff:
    """Grows with every failure, and is over with the first success."""

    def __init__(self) -> None:
        self._delay_s = FIRST_DELAY_S

    def reset(self) -> None:
        """It worked."""
        self._delay_s = FIRST_DELAY_S

    def next_delay_s(self, asked_for_s: float | None) -> float:
        """How long to wait now; at least as long as the platform has asked for.

        Between a half and the whole of what it has grown to, by chance: those who failed together don't come together.
        """
        delay_s = self._delay_s * uniform(0.5, 1)  # noqa: S311 - chance, not a secret
        self._delay_s = min(2 * self._delay_s, MAX_DELAY_S)
        return max(delay_s, asked_for_s or 0)
