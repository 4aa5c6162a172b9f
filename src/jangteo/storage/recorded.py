"""Dispatch of recorded commands: which function writes each type."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from jangteo.core import relay
from jangteo.core.book import Book, RecordedCommand
from jangteo.storage import platform_status, replay, retention, retry_queue
from jangteo.storage.port import Session
from jangteo.storage.timestamps import to_micros

# Any: each function takes the type of command that it is listed under.
_SAVE: Final[Mapping[type[RecordedCommand], Callable[[Session, Any, int], None]]] = {
    relay.RecordFailures: retry_queue.save_failures,
    relay.RecordDelivered: retry_queue.save_delivered,
    relay.RetryEvents: retry_queue.save_retries,
    relay.StartReplay: replay.save_start,
    relay.RecordReplayProgress: replay.save_progress,
    relay.RecordPlatformStatus: platform_status.save_status,
    relay.ResumePlatform: platform_status.save_resume,
    relay.PurgeEvents: retention.save_purge,
}


def save(session: Session, book: Book) -> None:
    """Write the batch's recorded commands, in their order."""
    now = to_micros(book.now)
    for command in book.recorded:
        _SAVE[type(command)](session, command, now)
