"""`jangteo top`: the status of the best sellers, and rebuilding a window, beside servers or without."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jangteo.cli import progress
from jangteo.core import best_sellers
from jangteo.core.entities import Window
from jangteo.core.orders import PlaceOrder, RequestedItem
from jangteo.engine.backfill import Backfill
from jangteo.storage.best_sellers import sold_units
from jangteo.storage.best_sellers.backfill import WindowRetired, plan_finish, plan_start, scan_orders
from jangteo.storage.best_sellers.refresh import plan_refresh
from jangteo.storage.best_sellers.windows import read_windows
from tests.cli.conftest import Jangteo
from tests.serving import JANGTEO, ServedShop
from tests.storage.shops import Shop
from tests.terminal import run_on_terminal

HOUR = timedelta(hours=1)
REBUILT = re.compile(r"(\d+) products? sold in (\d+ days?), backfilled in \d+\.\d s\.")


def now() -> datetime:
    return datetime.now(UTC)


def refresh_once(shop: Shop, at: datetime) -> None:
    """Refresh as a server does."""
    planned = shop.look(plan_refresh, frozenset(), at=at)
    if planned is not None:
        shop.do(planned.command, at=at)


def start_window(shop: Shop, days: int, at: datetime) -> Window:
    """Start a window, to be backfilled."""
    started = shop.look(plan_start, days, at=at)
    shop.do(started, at=at)
    return started.refresh.new_windows[0]


def add_window(shop: Shop, days: int, at: datetime) -> None:
    """Start and backfill a window."""
    started = start_window(shop, days, at)
    finish = shop.look(plan_finish, started, shop.look(scan_orders, started, lambda _: None, at=at), at=at)
    assert finish is not None
    shop.do(finish, at=at)


@pytest.fixture
def sold(kept: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """Three products have sold within the last hours; no refresh yet; backfills scan orders one by one."""
    monkeypatch.setattr(sold_units, "ORDERS_PER_CHUNK", 1)
    kept.do(*(PlaceOrder(user, (RequestedItem(user, 5),), None) for user in (1, 2, 3)), at=now() - 4 * HOUR)
    for hours in (2, 1):
        kept.order(2, at=now() - hours * HOUR)
    return kept


def states(shop: Shop) -> list[tuple[int, str]]:
    return [(window.days, window.state) for window in shop.look(read_windows)]


def status(jangteo: Jangteo, shop: Shop, *options: str) -> str:
    ran = jangteo("top", "status", "--database", shop.database, *options)
    assert (ran.code, ran.err) == (0, "")
    return ran.out


def rebuild(shop: Shop, *options: str) -> list[str]:
    return ["top", "rebuild", "--database", shop.database, *options]


def test_status_of_a_new_shop(kept: Shop, jangteo: Jangteo) -> None:
    assert status(jangteo, kept).splitlines() == [
        "3 days    active, 0 products, never refreshed",
        "waiting   0 deltas",
    ]


def test_status_shows_every_window_and_the_waiting_deltas(
    sold: Shop, jangteo: Jangteo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(best_sellers, "MIN_CHANGES", 1)
    at = now()
    add_window(sold, 1, at - 2 * HOUR)
    refresh_once(sold, at - HOUR)
    start_window(sold, 30, at - HOUR)
    start_window(sold, 5, at)
    sold.change("UPDATE best_seller_windows SET state = 'retired', heartbeat_at = NULL WHERE days = 5")
    start_window(sold, 7, at)
    sold.order(at=at)
    lines = [
        re.sub(r"20\S+Z \(([\d,]+) s ago\)", lambda ago: f"<{ago[1]}>", line)
        for line in status(jangteo, sold).splitlines()
    ]
    hour = r"<3,6\d\d>"
    patterns = [
        rf"1 day     active, 3 products, refreshed up to {hour}, requested about <7,2\d\d>",
        rf"3 days    active, 3 products, refreshed up to {hour}",
        r"5 days    retired, to be removed",
        r"7 days    backfilling since <\d+>",
        rf"30 days   backfilling since {hour}, no heartbeat since {hour}",
        r"waiting   1 delta",
    ]
    assert len(lines) == len(patterns), lines
    assert [line for line, pattern in zip(lines, patterns, strict=True) if not re.fullmatch(pattern, line)] == []


def test_status_is_json_for_programs(sold: Shop, jangteo: Jangteo) -> None:
    started = now().replace(microsecond=0)
    start_window(sold, 7, started)
    state = json.loads(status(jangteo, sold, "--json"))
    assert abs(datetime.fromisoformat(state.pop("at")) - now()) < timedelta(minutes=5)
    nothing = dict.fromkeys(("refreshedUntil", "startedAt", "heartbeatLostSince", "requestedAt", "products"))
    assert state == {
        "windows": [
            {**nothing, "days": 3, "state": "active", "products": 3},
            {**nothing, "days": 7, "state": "backfilling", "startedAt": f"{started:%Y-%m-%dT%H:%M:%SZ}"},
        ],
        "waitingDeltas": 3,
    }


def test_status_changes_nothing(sold: Shop, jangteo: Jangteo) -> None:
    before = [
        sold.rows(f"SELECT * FROM {table}") for table in ("best_seller_windows", "best_seller_version", "sales_deltas")
    ]
    status(jangteo, sold)
    after = [
        sold.rows(f"SELECT * FROM {table}") for table in ("best_seller_windows", "best_seller_version", "sales_deltas")
    ]
    assert after == before


@pytest.mark.parametrize(("options", "days", "window"), [((), 3, "3 days"), (("--days", "1"), 1, "1 day")])
def test_a_window_is_rebuilt(sold: Shop, jangteo: Jangteo, options: tuple[str, ...], days: int, window: str) -> None:
    ran = jangteo(*rebuild(sold, *options))
    assert (ran.code, ran.err) == (0, "")
    first, last = ran.out.splitlines()
    assert first == f"Rebuilding the best sellers of {window}."
    rebuilt = REBUILT.fullmatch(last)
    assert rebuilt is not None, last
    assert rebuilt.groups() == ("3", window)
    assert sorted(states(sold)) == sorted({(3, "active"), (days, "active")})
    assert sold.wrong(now()) == []


def test_damage_by_hand_is_found_and_repaired(sold: Shop, jangteo: Jangteo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(best_sellers, "MIN_CHANGES", 1)
    add_window(sold, 7, now())
    refresh_once(sold, now())
    sold.change("UPDATE best_seller_buckets SET units = '[0,90]', max_units = 90")
    audit = ("audit", "--database", sold.database)
    broken = jangteo(*audit)
    assert broken.code == 1
    assert "BROKEN the statistics equal the orders" in broken.out
    for days in ("3", "7"):
        assert jangteo(*audit).code == 1, "not before both are rebuilt"
        ran = jangteo(*rebuild(sold, "--days", days))
        assert ran.out.splitlines()[-1].startswith(f"3 products sold in {days} days, backfilled in ")
    assert jangteo(*audit).code == 0
    assert [state for _, state in states(sold)] == ["active", "active"], "the replaced windows are removed"
    assert len(sold.ids("best_seller_buckets")) == 2


def test_a_rebuild_beside_a_server_that_takes_orders(
    kept: Shop, open_shop: Callable[..., ServedShop], jangteo: Jangteo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(best_sellers, "MIN_CHANGES", 1)
    monkeypatch.setattr("jangteo.engine.refresher.REFRESH_EVERY_S", 0.02)
    kept.change(
        "INSERT INTO best_seller_buckets (id, window_id, max_units, units) VALUES (77, 1, 1000000, '[1,1000000]')"
    )
    server = open_shop()
    wrong: list[Any] = []

    def best(method: str) -> Any:
        return server.http.get("/products/top", params={"method": method}).json()

    stop = threading.Event()

    def buy() -> None:
        while not stop.is_set():
            placed = server.http.order(1, (1, 1)).json()
            server.http.order(2, (2, 1))
            server.http.post(f"/orders/{placed['orderId']}/cancel")

    buying = threading.Thread(target=buy)
    buying.start()
    try:
        for _ in range(3):
            ran = jangteo(*rebuild(kept))
            assert (ran.code, ran.err) == (0, ""), ran
            wrong += kept.wrong(now())
    finally:
        stop.set()
        buying.join()
    assert wrong == []
    assert best("summary") == best("direct")
    assert [days for days, state in states(kept) if state == "active"] == [3]
    server.close()
    assert kept.wrong(now()) == []


def test_a_rebuild_shows_a_bar_on_a_terminal(sold: Shop) -> None:
    code, shown = run_on_terminal([JANGTEO, *rebuild(sold)])
    assert code == 0, shown
    assert b"backfilling" in shown
    assert b"100%" in shown
    assert REBUILT.search(shown.decode().splitlines()[-1]), shown


def test_a_rebuild_prints_lines_elsewhere(sold: Shop, jangteo: Jangteo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_LINE_INTERVAL_S", 0)
    ran = jangteo(*rebuild(sold, "--days", "1"))
    # Of the 24 hours, up to each of the three times of an order, and at last all of it.
    assert ran.out.splitlines()[1:-1] == ["83% backfilled", "92% backfilled", "96% backfilled", "100% backfilled"]


def test_a_line_is_printed_every_few_seconds_at_most(
    sold: Shop, jangteo: Jangteo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "monotonic", lambda: 5.0)
    assert jangteo(*rebuild(sold)).out.count("\n") == 2


@pytest.mark.parametrize("pressed", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_aborts_a_rebuild_and_retires_its_window(
    sold: Shop, jangteo: Jangteo, monkeypatch: pytest.MonkeyPatch, pressed: signal.Signals
) -> None:
    rebuild_window, reported = Backfill.rebuild, []

    async def press_ctrl_c(self: Backfill, days: int, report: Callable[[float], None]) -> None:
        aborted = self._aborted

        def pressing(done: float) -> None:
            reported.append(done)
            os.kill(os.getpid(), pressed)
            while not aborted.is_set():
                continue

        await rebuild_window(self, days, pressing)

    monkeypatch.setattr(Backfill, "rebuild", press_ctrl_c)
    ran = jangteo(*rebuild(sold, "--days", "7"))
    assert (ran.code, ran.err) == (130, "")
    assert ran.out.splitlines()[1:] == ["Aborted: the best sellers are as before."]
    assert len(reported) == 1
    assert states(sold) == [(3, "active"), (7, "retired")]
    assert status(jangteo, sold).splitlines()[1] == "7 days    retired, to be removed"
    refresh_once(sold, now())
    assert states(sold) == [(3, "active")]


def test_a_retired_window_is_reported_in_one_line(
    sold: Shop, jangteo: Jangteo, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def retired(*_: Any) -> None:
        raise WindowRetired

    monkeypatch.setattr(Backfill, "rebuild", retired)
    ran = jangteo(*rebuild(sold))
    assert (ran.code, ran.err) == (
        2,
        "jangteo: this command could not record a heartbeat for minutes, so a server retired its window; try again\n",
    )


def test_a_database_error_is_reported_in_one_line(
    sold: Shop, jangteo: Jangteo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jangteo.engine.backfill.GIVE_UP_AFTER_S", 0)
    monkeypatch.setattr("jangteo.engine.backfill.RETRY_AFTER_S", 0)
    sold.change("ALTER TABLE best_seller_windows RENAME TO damaged")
    ran = jangteo(*rebuild(sold))
    assert ran.code == 2
    assert ran.err.count("\n") == 1
    assert "best_seller_windows" in ran.err


@pytest.mark.parametrize("days", ["0", "31", "-1", "three"])
def test_days_outside_the_range_are_refused(kept: Shop, jangteo: Jangteo, days: str) -> None:
    jangteo(*rebuild(kept, "--days", days)).complains("--days")
    assert states(kept) == [(3, "active")]


@pytest.fixture
def not_a_shop(tmp_path: Path, empty_database: Path) -> Iterator[None]:
    (tmp_path / "older.db").write_bytes(empty_database.read_bytes())
    for name, sql in (
        ("older.db", "UPDATE jangteo_version SET version_num = 'jangteo_2'"),
        ("other.db", "CREATE TABLE songs (title)"),
    ):
        with closing(sqlite3.connect(tmp_path / name)) as raw:
            raw.execute(sql)
            raw.commit()
    (tmp_path / "empty.db").touch()
    yield
    assert {path.name for path in tmp_path.iterdir()} == {"older.db", "other.db", "empty.db"}


@pytest.mark.usefixtures("not_a_shop")
@pytest.mark.parametrize("command", ["status", "rebuild"])
@pytest.mark.parametrize(
    ("database", "says"),
    [
        ("sqlite:///{}/none.db", "is not there: name the shop's database"),
        ("sqlite:///{}/empty.db", "holds no shop yet"),
        ("sqlite:///{}/older.db", "the schema of an older version: jangteo migrate brings it to this one"),
        ("sqlite:///{}/other.db", "another program's database"),
        ("postgresql://u:secret@127.0.0.1:1/y", "Connection refused"),
        ("mysql://x/y", "sqlite:///PATH"),
    ],
)
def test_a_database_without_a_shop_is_reported_in_one_line(
    tmp_path: Path, jangteo: Jangteo, command: str, database: str, says: str
) -> None:
    ran = jangteo("top", command, "--database", database.format(tmp_path))
    ran.complains(says)
    assert "secret" not in ran.err


def test_the_help_is_shown_without_a_command(jangteo: Jangteo) -> None:
    ran = jangteo("top")
    assert ran.code == 0
    assert "rebuild" in ran.out
