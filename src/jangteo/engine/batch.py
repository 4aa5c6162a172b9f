"""Group commit: each batch is one transaction that loads the rows, decides every command in order, writes and commits.

A batch that fails is split in half until the command that causes the failure is alone; the other commands succeed.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import structlog

from jangteo.core.actors import OPEN_ACTOR
from jangteo.core.book import Book, Command
from jangteo.core.refusals import KeyReused
from jangteo.engine.outcomes import SerializedOutcome, fingerprint_of, from_record, serialize, to_record
from jangteo.storage import idempotency
from jangteo.storage.book import Loading, save_book
from jangteo.storage.errors import Conflict, Unavailable, Unreachable, Unusable
from jangteo.storage.idempotency import IdempotencyRecord, owned_key
from jangteo.storage.port import Connection, Session

log = structlog.get_logger()

IDEMPOTENCY_TTL: Final = timedelta(hours=24)
"""How long an idempotency record is kept, at least."""

CONFLICT_RETRIES: Final = 10
"""How often a whole batch is attempted while it conflicts with other transactions."""


class Submission(NamedTuple):
    """A command, its idempotency key, if it has one, and who sent it."""

    command: Command
    key: str | None = None
    """The sender's own: another one's equal key is another key."""
    actor: str = OPEN_ACTOR


class Failed(NamedTuple):
    """A command that had no effect because of an error (a refusal is an outcome, not a failure)."""

    reason: str


class BatchResult(NamedTuple):
    """The outcomes of a batch, in the order of its commands."""

    outcomes: list[SerializedOutcome | Failed]
    has_events: bool
    """Whether the batch wrote events to the outbox."""
    not_begun: str | None = None
    """Why the last commands have no outcome: the database could not be reached, and nothing of them has begun."""


def apply(session: Session, submissions: Sequence[Submission], now: datetime) -> BatchResult:
    """Decide a batch within a transaction and write its changes, all with the timestamp `now`.

    Nothing is durable before the transaction commits.
    """
    loading = Loading(session, [each.command for each in submissions], now)
    keys = {owned_key(each.actor, each.key) for each in submissions if each.key is not None}
    # Read after the rows are locked: a transaction with the same key and the same rows has stored its record by then.
    stored = idempotency.load(session, keys) if keys else ()
    book = loading.book()
    known = {record.key: record for record in stored}
    new: list[IdempotencyRecord] = []
    outcomes: list[SerializedOutcome | Failed] = []
    for command, key, actor in submissions:
        book.actor = actor
        if key is None:
            outcomes.append(serialize(command.decide(book)))
        else:
            outcomes.append(_decide_once(owned_key(actor, key), command, book, known, new))
    save_book(session, book)
    idempotency.save(session, sorted(new), now, now - IDEMPOTENCY_TTL)
    return BatchResult(outcomes, bool(book.events))


def commit(connection: Connection, submissions: Sequence[Submission], clock: Callable[[], datetime]) -> BatchResult:
    """Decide a batch and make it durable. Never raises: a command that fails has changed nothing and is `Failed`.

    Where the database can't be reached, the last commands of the batch may be left without an outcome (`not_begun`).
    """
    try:
        return _commit_whole(connection, submissions, clock)
    except Unreachable as error:
        return BatchResult([], has_events=False, not_begun=str(error))
    except Unavailable as error:
        # That the database is unusable has been logged once.
        if not isinstance(error, Unusable):
            log.warning("batch failed", commands=len(submissions), reason=str(error))
        return BatchResult([Failed(str(error))] * len(submissions), has_events=False)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is logged, and other commands go on
        if len(submissions) == 1:
            report = log.warning if isinstance(error, Conflict) else log.exception
            report("command failed", command=type(submissions[0].command).__name__, reason=str(error))
            return BatchResult([Failed(str(error))], has_events=False)
    middle = len(submissions) // 2
    first = commit(connection, submissions[:middle], clock)
    if first.not_begun is not None:
        return first
    second = commit(connection, submissions[middle:], clock)
    outcomes = first.outcomes + second.outcomes
    return BatchResult(outcomes, first.has_events or second.has_events, second.not_begun)


def _commit_whole(
    connection: Connection, submissions: Sequence[Submission], clock: Callable[[], datetime]
) -> BatchResult:
    for attempt in range(CONFLICT_RETRIES):
        try:
            with connection.transaction() as session:
                return apply(session, submissions, clock())
        except Conflict as error:
            log.info("retrying batch", attempt=attempt + 1, reason=str(error))
    raise Conflict(f"the batch conflicted with other transactions {CONFLICT_RETRIES} times in a row")


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
