"""The loop of a writer: it receives its clients' commands, commits those that arrived as one batch, and sends outcomes.

A writer process has its own interpreter, so deciding commands and serving HTTP don't wait for each other. What a client
sent before it was gone is committed.
"""

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import islice
from time import monotonic
from typing import Final, NamedTuple

import structlog
from msgspec.structs import replace

from jangteo.engine.batch import BatchResult, Failed, Submission, commit
from jangteo.engine.deadlines import HOLD_PAUSE_S, Timeouts
from jangteo.engine.outcomes import SerializedOutcome
from jangteo.engine.writer.channels import Channel, Channels
from jangteo.engine.writer.protocol import Outcomes, outcomes_frame, read_submissions
from jangteo.storage.port import Connection

log = structlog.get_logger()

TOO_LATE: Final = "the database has not answered earlier commands in time; nothing was done"


class _Held(NamedTuple):
    channel: Channel
    submission: Submission
    since: float
    """When it was submitted, by the monotonic clock, which all processes of a machine share."""


def commit_until_closed(
    channels: Channels,
    connection: Connection,
    clock: Callable[[], datetime],
    batch_max: int,
    timeouts: Timeouts,
) -> None:
    """Commit batches of at most `batch_max` commands until no client is left and none can come."""
    loop = _WriterLoop(channels, connection, clock, batch_max, timeouts)
    try:
        while loop.receive():
            loop.commit_next()
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
        channels: Channels,
        connection: Connection,
        clock: Callable[[], datetime],
        batch_max: int,
        timeouts: Timeouts,
    ) -> None:
        self._channels = channels
        self._connection = connection
        self._clock = clock
        self._batch_max = batch_max
        self._timeouts = timeouts
        self._held: deque[_Held] = deque()
        """Received and not yet answered, in order of arrival."""
        self._is_unreachable = False

    def receive(self) -> bool:
        """Wait for commands; while some are held, only take what has arrived. False: all is answered, and none come."""
        while True:
            for channel, frame in self._channels.receive(self._timeout_s()):
                submissions = read_submissions(frame)
                if submissions is None:
                    channel.watches = True
                else:
                    self._held.extend(_Held(channel, each, submissions[0]) for each in submissions[1])
            if self._held or not self._channels.are_open:
                return bool(self._held)

    def commit_next(self) -> None:
        """Commit the next batch of the held commands, and refuse those that have been held too long."""
        while self._refuse(self._timeouts.database_s, TOO_LATE, among=self._batch_max):
            continue
        batch = [each.submission for each in islice(self._held, self._batch_max)]
        if not batch:
            return
        result = commit(self._connection, batch, self._clock)
        self._answer([self._held.popleft() for _ in result.outcomes], to_outcomes(result))
        if result.not_begun is not None:
            self._refuse(self._timeouts.hold_s, result.not_begun)
        self._note(result.not_begun)

    def _timeout_s(self) -> float | None:
        if not self._held:
            return None
        return HOLD_PAUSE_S if self._is_unreachable else 0.0

    def _note(self, not_begun: str | None) -> None:
        is_unreachable = not_begun is not None
        if is_unreachable and not self._is_unreachable:
            log.warning("database not reached, commands wait", commands=len(self._held), reason=not_begun)
        elif self._is_unreachable and not is_unreachable:
            log.info("database reached again", commands=len(self._held))
        self._is_unreachable = is_unreachable

    def _refuse(self, limit_s: float, reason: str, *, among: int | None = None) -> bool:
        """Answer commands that were submitted longer than the limit ago, without executing them; whether any were.

        Of several clients' commands an older one may be held behind newer ones. `among` is how many to look at.
        """
        before = monotonic() - limit_s
        late = [each for each in islice(self._held, among) if each.since <= before]
        if not late:
            return False
        log.warning("commands refused", commands=len(late), reason=reason)
        refused = {id(each) for each in late}
        self._held = deque(each for each in self._held if id(each) not in refused)
        self._answer(late, to_outcomes(BatchResult([Failed(reason)] * len(late), has_events=False)))
        return True

    def _answer(self, answered: Sequence[_Held], all_outcomes: Outcomes) -> None:
        """Send each client the outcomes of its own commands, in their order."""
        clients: dict[Channel, list[SerializedOutcome | None]] = {}
        for held, outcome in zip(answered, all_outcomes.outcomes, strict=True):
            clients.setdefault(held.channel, []).append(outcome)
        if all_outcomes.has_events:
            for channel in self._channels.watching:
                clients.setdefault(channel, [])
        for channel, outcomes in clients.items():
            self._channels.send(channel, outcomes_frame(replace(all_outcomes, outcomes=outcomes)))
