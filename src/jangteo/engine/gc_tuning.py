"""Python's collector of circular garbage, told what a shop's processes are like."""

import gc
from typing import Final

_COLLECT_AFTER: Final = 100_000


def tune_gc() -> None:
    """What lives as long as the process is not searched again and again, and requests leave no circles behind.

    Called once all is set up. Without it one request in a hundred waited 40 ms for the collector.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 50, 100)
