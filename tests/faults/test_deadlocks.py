"""Ten thousand batches of several writers that change the same few rows: they wait for each other without deadlocks."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from multiprocessing import get_context
from random import Random
from time import monotonic

import psycopg
import pytest

from jangteo.core.book import Command
from jangteo.core.coupons import ClaimCoupon, HeldCoupon, StartCampaign
from jangteo.core.entities import CouponTerms, Order
from jangteo.core.health import CheckWritable
from jangteo.core.orders import CancelOrder, PlaceOrder, RequestedItem
from jangteo.core.products import AddProduct, ChangeProduct, MoveStock
from jangteo.core.refusals import KeyReused
from jangteo.core.relay import AcquireLease, MarkSent, ReleaseLease
from jangteo.core.wallets import ChargeBalance, RegisterUser
from jangteo.engine.batch import Submission, apply, commit
from jangteo.engine.outcomes import SerializedOutcome
from jangteo.storage import outbox
from jangteo.storage.port import Connection
from jangteo.storage.urls import open_storage
from tests.serving import audit

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
WRITERS = 4
BATCHES = 10_000
USERS, PRODUCTS, CAMPAIGNS = 12, 8, 6
SHARED_KEYS = 40
OLD_RECORDS = 100_000


class Writer:
    """Commits random batches and counts their outcomes."""

    def __init__(self, connection: Connection, number: int) -> None:
        self._connection = connection
        self._number = number
        self._random = Random(number)
        self._newest_order = 1
        self._coupons: dict[int, list[int]] = {}
        self.counted: Counter[str] = Counter()

    def write(self, batches: int) -> None:
        for _ in range(batches):
            submissions = [self._submission() for _ in range(self._random.randint(1, 7))]
            if self._random.random() < 0.2:
                submissions.append(Submission(self._internal_command()))
            outcomes = commit(self._connection, submissions, lambda: NOW).outcomes
            for submission, outcome in zip(submissions, outcomes, strict=True):
                assert isinstance(outcome, SerializedOutcome), (submission, outcome)
                assert not isinstance(outcome.value(), KeyReused)
                self._count(outcome)
            self.counted["batch"] += 1

    def _count(self, serialized: SerializedOutcome) -> None:
        outcome = serialized.value()
        if isinstance(outcome, Order):
            self._newest_order = max(self._newest_order, outcome.order_id)
        elif isinstance(outcome, HeldCoupon) and not serialized.replayed:
            self._coupons.setdefault(outcome.user_id, []).append(outcome.coupon_id)
        kind = outcome.status if isinstance(outcome, Order) else type(outcome).__name__
        self.counted[f"{kind} replayed" if serialized.replayed else kind] += 1

    def _submission(self) -> Submission:
        kind = self._random.random()
        if kind < 0.1:
            # Every writer submits the same command with a shared key.
            number = self._random.randrange(SHARED_KEYS)
            return Submission(self._command(Random(number), coupon=False), f"shared-{number}")
        key = f"{self._number}-{self._random.getrandbits(64)}" if kind < 0.4 else None
        return Submission(self._command(self._random, coupon=True), key)

    def _command(self, random: Random, *, coupon: bool) -> Command:
        command: Command
        user, product = random.randint(1, USERS), random.randint(1, PRODUCTS)
        match random.choices(range(7), (40, 15, 15, 12, 10, 4, 4))[0]:
            case 0:
                items = [RequestedItem(random.randint(1, PRODUCTS), random.randint(1, 3)) for _ in range(4)]
                command = PlaceOrder(user, tuple(items), self._coupon(user) if coupon else None)
            case 1:
                command = ChargeBalance(user, random.randint(1, 9_000))
            case 2:
                command = ClaimCoupon(user, random.choice([None, random.randint(1, CAMPAIGNS)]))
            case 3:
                # Perhaps an order of another writer.
                command = CancelOrder(random.randint(1, self._newest_order if coupon else SHARED_KEYS))
            case 4:
                command = MoveStock(product, random.choice([-1, 5, 50]))
            case 5:
                command = ChangeProduct(product, None, random.randint(1, 1_000))
            case _:
                # With fewer coupons than users, so that the open campaigns keep changing.
                command = StartCampaign("more", CouponTerms(100, None, None, 0), USERS // 3, None, None, None)
        return command

    def _coupon(self, user: int) -> int | None:
        # Sometimes one that may be another user's: its row is loaded and locked as well.
        return self._random.choice([None, None, *self._coupons.get(user, [])[-4:], self._random.randint(1, 100)])

    def _internal_command(self) -> Command:
        """A command of the readiness check or the relay."""
        match self._random.randrange(3):
            case 0:
                return CheckWritable()
            case 1:
                holder = f"relay {self._number}"
                return AcquireLease(holder, 60) if self._random.random() < 0.5 else ReleaseLease(holder)
            case _:
                # As if leases overlapped: several relays mark the same event batches.
                with self._connection.snapshot(NOW) as snapshot:
                    waiting = outbox.read_waiting(snapshot, frozenset(), self._random.randint(1, 40))
                return CheckWritable() if waiting is None else MarkSent(waiting.event_batches)


def write(url: str, number: int) -> Counter[str]:
    with closing(open_storage(url).connect()) as connection:
        writer = Writer(connection, number)
        writer.write(BATCHES // WRITERS)
    return writer.counted


def set_up(url: str) -> None:
    users: list[Command] = [RegisterUser(None) for _ in range(USERS)]
    products: list[Command] = [AddProduct("rice", 100, 500) for _ in range(PRODUCTS)]
    campaign = StartCampaign("c", CouponTerms(50, None, None, 0), 5, None, None, None)
    with closing(open_storage(url).connect()) as connection:
        result = commit(
            connection, [Submission(each) for each in (*users, *products, *[campaign] * CAMPAIGNS)], lambda: NOW
        )
        assert all(isinstance(outcome, SerializedOutcome) for outcome in result.outcomes)


def insert_old_records(url: str, number: int) -> None:
    with psycopg.connect(url, autocommit=True) as other:
        other.execute(
            """
            INSERT INTO idempotency_records (key, fingerprint, kind, body, created_at)
            SELECT md5(number::text), '', '', '', number FROM generate_series(1, %s) AS number
            """,
            [number],
        )


@pytest.mark.long
@pytest.mark.timeout(300)
def test_concurrent_batches_never_deadlock(postgres_database: str) -> None:
    set_up(postgres_database)
    # Enough that every batch deletes some; all writers select the same ones.
    insert_old_records(postgres_database, OLD_RECORDS)
    with ProcessPoolExecutor(WRITERS, mp_context=get_context("spawn")) as pool:
        counted = sum(pool.map(write, [postgres_database] * WRITERS, range(WRITERS)), Counter[str]())
    assert counted["batch"] == BATCHES
    with psycopg.connect(postgres_database, autocommit=True) as other:
        wait_until_alone(other)
        (deadlocks, commits), *_ = other.execute(
            "SELECT deadlocks, xact_commit FROM pg_stat_database WHERE datname = current_database()"
        ).fetchall()
        assert commits > BATCHES, "the statistics are not complete"
        assert deadlocks == 0
        # The outcomes agree with the rows: nothing was executed twice, and nothing acknowledged is missing.
        assert counted["paid"] == count(other, "FROM orders") > 1_000
        assert counted["cancelled"] == count(other, "FROM orders WHERE status = 'cancelled'") > 100
        assert counted["UserBalance"] == count(other, "FROM ledger_entries WHERE kind = 'charge'") > 1_000
        assert counted["HeldCoupon"] == count(other, "FROM coupons") > 100
        assert counted["paid replayed"] > 100
        # Every batch deletes old records, twice as many as it adds, although other writers delete, too.
        assert 0 < count(other, "FROM idempotency_records WHERE fingerprint = ''") < OLD_RECORDS - 10_000
    audited = audit(postgres_database)
    assert audited.returncode == 0, audited.stdout


def test_old_idempotency_records_are_deleted_without_waiting_for_other_transactions(postgres_database: str) -> None:
    insert_old_records(postgres_database, 10)
    storage = open_storage(postgres_database)
    with closing(storage.connect()) as one, closing(storage.connect()) as another, one.transaction() as session:
        apply(session, [Submission(RegisterUser(None), "one"), Submission(RegisterUser(None), "two")], NOW)
        # The first transaction has deleted the oldest, and hasn't committed yet.
        (outcome,) = commit(another, [Submission(RegisterUser(None), "three")], lambda: NOW).outcomes
        assert isinstance(outcome, SerializedOutcome), outcome
    with psycopg.connect(postgres_database, autocommit=True) as other:
        assert count(other, "FROM idempotency_records WHERE fingerprint = ''") == 4


def wait_until_alone(connection: psycopg.Connection) -> None:
    """Wait until the writers' sessions have ended: a session reports the last of its statistics when it ends."""
    deadline = monotonic() + 60
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    while count(connection, others):
        assert monotonic() < deadline, "the writers' sessions haven't ended"


def count(connection: psycopg.Connection, from_clause: str) -> int:
    row = connection.execute(f"SELECT COUNT(*) {from_clause}".encode()).fetchone()
    assert row is not None
    return int(row[0])
