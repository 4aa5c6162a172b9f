"""The loop of a writer: it receives commands, commits those that arrived as one batch, and sends outcomes.

A writer process has its own interpreter, so deciding commands and serving HTTP don't wait for each other. When the
serving process is gone, it commits what it has received and ends.
"""

import socket
from collections import deque
from collections.abc import Callable
from datetime import datetime
from itertools import islice, takewhile
from select import POLLIN, poll
from time import monotonic, sleep
from typing import Final, NamedTuple

import structlog

from jangteo.engine.batch import BatchResult, Failed, Submission, commit
from jangteo.engine.deadlines import HOLD_PAUSE_S, Timeouts
from jangteo.engine.writer.protocol import Frames, Outcomes, outcomes_frame, read_submissions
from jangteo.storage.port import Connection

log = structlog.get_logger()

TOO_LATE: Final = "the database has not answered earlier commands in time; nothing was done"
_RECEIVE_BYTES: Final = 2**20


class _Held(NamedTuple):
    submission: Submission
    since: float
    """When it was submitted, by the monotonic clock, which all processes of a machine share."""


def commit_until_closed(
    channel: socket.socket,
    connection: Connection,
    clock: Callable[[], datetime],
    batch_max: int,
    timeouts: Timeouts,
) -> None:
    """Commit batches of at most `batch_max` commands until the other end closes the channel."""
    loop = _WriterLoop(channel, connection, clock, batch_max, timeouts)
    try:
        while loop.receive():
            loop.commit_next()
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


class _WriterLoop:
    def __init__(
        self,
        channel: socket.socket,
        connection: Connection,
        clock: Callable[[], datetime],
        batch_max: int,
        timeouts: Timeouts,
    ) -> None:
        self._channel = channel
        self._connection = connection
        self._clock = clock
        self._batch_max = batch_max
        self._timeouts = timeouts
        self._frames = Frames()
        self._held: deque[_Held] = deque()
        """Received and not yet answered, in order."""
        self._is_unreachable = False
        self._open = True
        self._arrivals = poll()
        self._arrivals.register(channel, POLLIN)

    def receive(self) -> bool:
        """Wait for commands; while some are held, only take what has arrived. False: all is answered, and none come."""
        if self._held and not self._has_arrivals():
            return True
        data = self._channel.recv(_RECEIVE_BYTES)
        if not data:
            self._open = False
            return bool(self._held)
        for frame in self._frames.receive(data):
            sent_at, submissions = read_submissions(frame)
            self._held.extend(_Held(each, sent_at) for each in submissions)
        return True

    def commit_next(self) -> None:
        """Commit the next batch of the held commands, and refuse those that have been held too long."""
        self._refuse(self._timeouts.database_s, TOO_LATE)
        batch = [each.submission for each in islice(self._held, self._batch_max)]
        if not batch:
            return
        result = commit(self._connection, batch, self._clock)
        self._answer(to_outcomes(result))
        if result.not_begun is not None:
            self._refuse(self._timeouts.hold_s, result.not_begun)
        self._note(result.not_begun)

    def _has_arrivals(self) -> bool:
        pause_s = HOLD_PAUSE_S if self._is_unreachable else 0.0
        if self._open:
            return bool(self._arrivals.poll(pause_s * 1000))
        sleep(pause_s)
        return False

    def _note(self, not_begun: str | None) -> None:
        is_unreachable = not_begun is not None
        if is_unreachable and not self._is_unreachable:
            log.warning("database not reached, commands wait", commands=len(self._held), reason=not_begun)
        elif self._is_unreachable and not is_unreachable:
            log.info("database reached again", commands=len(self._held))
        self._is_unreachable = is_unreachable

    def _refuse(self, limit_s: float, reason: str) -> None:
        """Answer the commands that were submitted longer than the limit ago, without executing them."""
        before = monotonic() - limit_s
        late = sum(1 for _ in takewhile(lambda each: each.since <= before, self._held))
        if late:
            log.warning("commands refused", commands=late, reason=reason)
            self._answer(to_outcomes(BatchResult([Failed(reason)] * late, has_events=False)))

    def _answer(self, outcomes: Outcomes) -> None:
        if outcomes.outcomes:
            self._channel.sendall(outcomes_frame(outcomes))
        for _ in outcomes.outcomes:
            self._held.popleft()
