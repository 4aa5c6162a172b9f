"""The relay's maintenance work, read in one snapshot."""

from typing import NamedTuple

from jangteo.storage.platform_status import read_stopped
from jangteo.storage.port import Snapshot
from jangteo.storage.replay import Replay, read_replay
from jangteo.storage.retry_queue import DueRetry, read_due_retries


class DueWork(NamedTuple):
    """What the relay has to do besides publishing new events."""

    stopped: bool
    """Whether the platform has stopped the relay: then nothing is sent."""
    retries: list[DueRetry]
    replay: Replay | None


def read_due_work(snapshot: Snapshot, platform: str, limit: int) -> DueWork:
    """Return what is due for the platform of this name, with at most `limit` retries."""
    return DueWork(read_stopped(snapshot, platform), read_due_retries(snapshot, limit), read_replay(snapshot))
