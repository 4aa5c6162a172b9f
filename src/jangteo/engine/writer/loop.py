"""The loop of the writer process: it receives commands, commits those that arrived as one batch, and sends outcomes.

The process has its own interpreter, so deciding commands and serving HTTP don't wait for each other. When the serving
process is gone, it commits what it has received and ends.
"""

import socket
from collections.abc import Callable
from datetime import datetime
from typing import Final

from jangteo.engine.batch import BatchResult, Failed, commit
from jangteo.engine.writer.protocol import Frames, Outcomes, outcomes_frame, read_submissions
from jangteo.storage.port import Connection

_RECEIVE_BYTES: Final = 2**20


def commit_until_closed(
    channel: socket.socket, connection: Connection, clock: Callable[[], datetime], batch_max: int
) -> None:
    """Commit batches of at most `batch_max` commands until the other end closes the channel."""
    frames = Frames()
    try:
        while data := channel.recv(_RECEIVE_BYTES):
            submissions = [each for frame in frames.receive(data) for each in read_submissions(frame)]
            for start in range(0, len(submissions), batch_max):
                result = commit(connection, submissions[start : start + batch_max], clock)
                channel.sendall(outcomes_frame(to_outcomes(result)))
    except OSError:
        # The serving process is gone, and with it everyone who waited for outcomes.
        return
    finally:
        connection.close()


def to_outcomes(result: BatchResult) -> Outcomes:
    """Convert a batch's result for sending; the reason of the first failure stands for all of them."""
    failures = [each.reason for each in result.outcomes if isinstance(each, Failed)]
    return Outcomes(
        has_events=result.has_events,
        outcomes=[None if isinstance(each, Failed) else each for each in result.outcomes],
        failure=failures[0] if failures else None,
    )
