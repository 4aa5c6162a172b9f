"""How long to wait before a platform is asked again: longer each time, and never all at the same moment."""

from random import uniform
from typing import Final

FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 10.0


class Patience:
    """Grows with every failure, and is over with the first success."""

    def __init__(self) -> None:
        self._pause_s = FIRST_PAUSE_S

    def reset(self) -> None:
        """It worked."""
        self._pause_s = FIRST_PAUSE_S

    def next_pause_s(self, asked_for_s: float | None) -> float:
        """How long to wait now; at least as long as the platform has asked for.

        Between a half and the whole of what it has grown to, by chance: those who failed together don't come together.
        """
        pause_s = self._pause_s * uniform(0.5, 1)  # noqa: S311 - chance, not a secret
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        return max(pause_s, asked_for_s or 0)
