"""The process that decides: takes commands from its socket, commits what has arrived as one batch, tells the outcomes.

It has an interpreter of its own, so deciding and HTTP don't wait for each other. It lives as long as its socket: what
it has taken in when the other side is gone, it still commits, and then it ends.
"""

import socket
from collections.abc import Callable
from datetime import datetime
from typing import Final

from jangteo.engine.batch import BatchResult, Failed, commit
from jangteo.engine.writer.protocol import Frames, Outcomes, outcomes_frame, read_submissions
from jangteo.storage.port import Connection

_RECEIVED_AT_ONCE: Final = 2**20


def commit_until_closed(
    channel: socket.socket, connection: Connection, clock: Callable[[], datetime], batch_max: int
) -> None:
    """Commit batches of at most `batch_max` commands until the channel is closed."""
    frames = Frames()
    try:
        while arrived := channel.recv(_RECEIVED_AT_ONCE):
            asked = [each for frame in frames.whole(arrived) for each in read_submissions(frame)]
            for start in range(0, len(asked), batch_max):
                done = commit(connection, asked[start : start + batch_max], clock)
                channel.sendall(outcomes_frame(to_outcomes(done)))
    except OSError:
        # The other side is gone: nobody is left to be told.
        return
    finally:
        connection.close()


def to_outcomes(result: BatchResult) -> Outcomes:
    """The batch's result as it is sent: the reason of the first failure stands for all of them."""
    failures = [each.reason for each in result.outcomes if isinstance(each, Failed)]
    return Outcomes(
        has_events=result.has_events,
        outcomes=[None if isinstance(each, Failed) else each for each in result.outcomes],
        failure=failures[0] if failures else None,
    )
