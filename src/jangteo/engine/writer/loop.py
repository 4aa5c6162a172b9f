"""The process that decides: takes commands from its socket, commits what has arrived as one batch, tells the outcomes.

It has an interpreter of its own, so deciding and HTTP don't wait for each other. It lives as long as its socket: what
it has taken in when the other side is gone, it still commits, and then it ends.
"""

import socket
from collections.abc import Callable
from datetime import datetime
from typing import Final

from jangteo.engine.batch import Answer, Done, commit
from jangteo.engine.outcomes import told
from jangteo.engine.writer.protocol import Frames, Outcomes, outcomes_frame, read_commands
from jangteo.storage.port import Connection

_RECEIVED_AT_ONCE: Final = 2**20


def commit_until_closed(
    channel: socket.socket, connection: Connection, clock: Callable[[], datetime], batch_max: int
) -> None:
    """Commit batches of at most `batch_max` commands until the channel is closed."""
    frames = Frames()
    try:
        while arrived := channel.recv(_RECEIVED_AT_ONCE):
            asked = [each for frame in frames.whole(arrived) for each in read_commands(frame)]
            for start in range(0, len(asked), batch_max):
                done = commit(connection, asked[start : start + batch_max], clock)
                channel.sendall(outcomes_frame(serialize_batch(done)))
    except OSError:
        # The other side is gone: nobody is left to be told.
        return
    finally:
        connection.close()


def serialize_batch(done: Done) -> Outcomes:
    """What came of a batch, as it is told."""
    failures = [answer.reason for answer in done.answers if not isinstance(answer, Answer)]
    return Outcomes(
        has_events=done.has_events,
        outcomes=[
            told(answer.outcome, replayed=answer.replayed) if isinstance(answer, Answer) else None
            for answer in done.answers
        ],
        failure=failures[0] if failures else None,
    )
