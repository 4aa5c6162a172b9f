"""One batch, one transaction: load what the commands name, decide each in order of arrival, write, commit.

A batch that the database refuses is halved until the command that broke it stands alone; its neighbours go on.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import structlog

from jangteo.core.book import Book, Command
from jangteo.core.refusals import KeyReused
from jangteo.engine.outcomes import SerializedOutcome, fingerprint_of, from_record, serialize, to_record
from jangteo.storage import idempotency
from jangteo.storage.book import Loading, save_book
from jangteo.storage.errors import Conflict, Unavailable
from jangteo.storage.idempotency import IdempotencyRecord
from jangteo.storage.port import Connection, Session

log = structlog.get_logger()

IDEMPOTENCY_TTL: Final = timedelta(hours=24)
"""An idempotency key's answer is kept at least so long."""

CONFLICT_RETRIES: Final = 10
"""So often a batch is tried again whole where another transaction came first."""


class Submission(NamedTuple):
    """A command as it was submitted, with its idempotency key if it has one."""

    command: Command
    key: str | None = None


class Failed(NamedTuple):
    """The command had no effect, and not because the shop said no: the database didn't keep it."""

    reason: str


class BatchResult(NamedTuple):
    """The outcomes of a batch in the order of its commands, and whether it wrote events."""

    outcomes: list[SerializedOutcome | Failed]
    has_events: bool


def apply(session: Session, submissions: Sequence[Submission], now: datetime) -> BatchResult:
    """Decide a batch within a transaction, at one timestamp. Nothing is durable before the transaction commits."""
    loading = Loading(session, [each.command for each in submissions], now)
    keys = {each.key for each in submissions if each.key is not None}
    # Read after the rows are locked: a transaction that had the same key and these rows has left its record by then.
    stored = idempotency.load(session, keys) if keys else ()
    book = loading.book()
    known = {record.key: record for record in stored}
    new: list[IdempotencyRecord] = []
    outcomes: list[SerializedOutcome | Failed] = []
    for command, key in submissions:
        if key is None:
            outcomes.append(serialize(command.decide(book)))
        else:
            outcomes.append(_decide_once(key, command, book, known, new))
    save_book(session, book)
    idempotency.save(session, sorted(new), now, now - IDEMPOTENCY_TTL)
    return BatchResult(outcomes, bool(book.events))


def commit(connection: Connection, submissions: Sequence[Submission], clock: Callable[[], datetime]) -> BatchResult:
    """Decide a batch and make it durable. Whatever fails is answered as `Failed` and has left no mark."""
    try:
        return _commit_whole(connection, submissions, clock)
    except Unavailable as error:
        log.warning("batch not written", commands=len(submissions), reason=str(error))
        return BatchResult([Failed(str(error))] * len(submissions), has_events=False)
    except Conflict as error:
        if len(submissions) == 1:
            log.warning("command not written", command=type(submissions[0].command).__name__, reason=str(error))
            return BatchResult([Failed(str(error))], has_events=False)
    except Exception as error:
        if len(submissions) == 1:
            log.exception("command not written", command=type(submissions[0].command).__name__, reason=str(error))
            return BatchResult([Failed(str(error))], has_events=False)
    middle = len(submissions) // 2
    first = commit(connection, submissions[:middle], clock)
    second = commit(connection, submissions[middle:], clock)
    return BatchResult(first.outcomes + second.outcomes, first.has_events or second.has_events)


def _commit_whole(
    connection: Connection, submissions: Sequence[Submission], clock: Callable[[], datetime]
) -> BatchResult:
    for attempt in range(CONFLICT_RETRIES):
        try:
            with connection.transaction() as session:
                return apply(session, submissions, clock())
        except Conflict as error:
            log.info("batch tried again", attempt=attempt + 1, reason=str(error))
    raise Conflict(f"others changed the same rows {CONFLICT_RETRIES} times in a row")


def _decide_once(
    key: str, command: Command, book: Book, known: dict[str, IdempotencyRecord], new: list[IdempotencyRecord]
) -> SerializedOutcome:
    fingerprint = fingerprint_of(command)
    record = known.get(key)
    if record is not None:
        return from_record(record) if record.fingerprint == fingerprint else serialize(KeyReused())
    outcome = serialize(command.decide(book))
    known[key] = record = to_record(key, fingerprint, outcome)
    new.append(record)
    return outcome
