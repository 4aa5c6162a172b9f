"""One batch, one transaction: load what the commands name, decide each in order of arrival, write, commit.

A batch that the database refuses is halved until the command that broke it stands alone; its neighbours go on.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import structlog

from jangteo.core.book import Book, Command
from jangteo.core.refusals import KeyReused
from jangteo.engine.outcomes import fingerprint_of, kept, recalled
from jangteo.storage import idempotency
from jangteo.storage.book import Loading, save_book
from jangteo.storage.errors import Conflict, Unavailable
from jangteo.storage.port import Connection, Session

log = structlog.get_logger()

IDEMPOTENCY_TTL: Final = timedelta(hours=24)
"""An idempotency key's answer is kept at least so long."""

CONFLICT_RETRIES: Final = 10
"""So often a batch is tried again whole where another transaction came first."""


class Asked(NamedTuple):
    """A command as it was submitted, with its idempotency key if it has one."""

    command: Command
    key: str | None = None


class Answer(NamedTuple):
    """What came of a command, and whether that was known from an earlier request with the same key."""

    outcome: Any
    replayed: bool = False


class Failed(NamedTuple):
    """The command had no effect, and not because the shop said no: the database didn't keep it."""

    reason: str


class Done(NamedTuple):
    """The answers of a batch in the order of its commands, and whether it told of events."""

    answers: list[Answer | Failed]
    has_events: bool


def apply(session: Session, asked: Sequence[Asked], now: datetime) -> Done:
    """Decide a batch within a transaction, as of one moment. Nothing is durable before that has committed."""
    loading = Loading(session, [each.command for each in asked], now)
    keys = {each.key for each in asked if each.key is not None}
    # Asked for behind the rows: whoever had the same key and held them has left its answer by then.
    kept_before = idempotency.load(session, keys) if keys else ()
    book = loading.book()
    known = {answer.key: answer for answer in kept_before}
    new: list[idempotency.IdempotencyRecord] = []
    decided: list[Answer | Failed] = []
    for each in asked:
        if each.key is None:
            decided.append(Answer(each.command.decide(book)))
        else:
            decided.append(_decide_once(each.key, each.command, book, known, new))
    save_book(session, book)
    idempotency.save(session, sorted(new), now, now - IDEMPOTENCY_TTL)
    return Done(decided, bool(book.events))


def commit(connection: Connection, asked: Sequence[Asked], clock: Callable[[], datetime]) -> Done:
    """Decide a batch and make it durable. Whatever fails is answered as `Failed` and has left no mark."""
    try:
        return _commit_whole(connection, asked, clock)
    except Unavailable as error:
        log.warning("batch not written", commands=len(asked), reason=str(error))
        return Done([Failed(str(error))] * len(asked), has_events=False)
    except Conflict as error:
        if len(asked) == 1:
            log.warning("command not written", command=type(asked[0].command).__name__, reason=str(error))
            return Done([Failed(str(error))], has_events=False)
    except Exception as error:
        if len(asked) == 1:
            log.exception("command not written", command=type(asked[0].command).__name__, reason=str(error))
            return Done([Failed(str(error))], has_events=False)
    middle = len(asked) // 2
    first = commit(connection, asked[:middle], clock)
    second = commit(connection, asked[middle:], clock)
    return Done(first.answers + second.answers, first.has_events or second.has_events)


def _commit_whole(connection: Connection, asked: Sequence[Asked], clock: Callable[[], datetime]) -> Done:
    for attempt in range(CONFLICT_RETRIES):
        try:
            with connection.transaction() as session:
                return apply(session, asked, clock())
        except Conflict as error:
            log.info("batch tried again", attempt=attempt + 1, reason=str(error))
    raise Conflict(f"others changed the same rows {CONFLICT_RETRIES} times in a row")


def _decide_once(
    key: str,
    command: Command,
    book: Book,
    known: dict[str, idempotency.IdempotencyRecord],
    new: list[idempotency.IdempotencyRecord],
) -> Answer:
    fingerprint = fingerprint_of(command)
    before = known.get(key)
    if before is not None:
        same = before.fingerprint == fingerprint
        return Answer(recalled(before), replayed=True) if same else Answer(KeyReused())
    outcome = command.decide(book)
    answer = kept(key, fingerprint, outcome)
    known[key] = answer
    new.append(answer)
    return Answer(outcome)
