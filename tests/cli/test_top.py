"""`jangteo top`: how far the best sellers are counted, and counting a window anew, beside servers or without."""

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
from jangteo.core.counting import Window
from jangteo.core.orders import PlaceOrder, RequestedItem
from jangteo.engine.best_sellers import Counting
from jangteo.storage.best_sellers import refresh
from jangteo.storage.best_sellers.refresh import (
    WindowGone,
    count_window,
    plan_building,
    plan_finish,
    plan_step,
    read_windows,
)
from tests.cli.conftest import Jangteo
from tests.serving import JANGTEO, ServedShop
from tests.storage.shops import Shop
from tests.terminal import run_on_terminal

HOUR = timedelta(hours=1)
COUNTED = re.compile(r"(\d+) products? sold in (\d+ days?), counted in \d+\.\d s\.")


def now() -> datetime:
    return datetime.now(UTC)


def step(shop: Shop, at: datetime) -> None:
    """What a server does."""
    planned = shop.look(plan_step, frozenset(), at=at)
    if planned is not None:
        shop.do(planned.command, at=at)


def begin(shop: Shop, days: int, at: datetime) -> Window:
    """A window that is being counted."""
    begun = shop.look(plan_building, days, at=at)
    shop.do(begun, at=at)
    return begun.step.new_windows[0]


def build(shop: Shop, days: int, at: datetime) -> None:
    """A window that is kept."""
    begun = begin(shop, days, at)
    finish = shop.look(plan_finish, begun, shop.look(count_window, begun, lambda _: None, at=at), at=at)
    assert finish is not None
    shop.do(finish, at=at)


@pytest.fixture
def sold(kept: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """Sold of three products within the last hours, of which none is counted yet; orders are counted one by one."""
    monkeypatch.setattr(refresh, "ORDERS_AT_ONCE", 1)
    kept.do(*(PlaceOrder(user, (RequestedItem(user, 5),), None) for user in (1, 2, 3)), at=now() - 4 * HOUR)
    for hours in (2, 1):
        kept.order(2, at=now() - hours * HOUR)
    return kept


def states(shop: Shop) -> list[tuple[int, str]]:
    return [(window.days, window.state) for window in shop.look(read_windows)]


def status(jangteo: Jangteo, shop: Shop, *options: str) -> str:
    told = jangteo("top", "status", "--database", shop.database, *options)
    assert (told.code, told.err) == (0, "")
    return told.out


def rebuild(shop: Shop, *options: str) -> list[str]:
    return ["top", "rebuild", "--database", shop.database, *options]


def test_status_of_a_new_shop(kept: Shop, jangteo: Jangteo) -> None:
    assert status(jangteo, kept).splitlines() == [
        "3 days        kept, 0 products, nothing counted yet",
        "to be counted 0 notes of sales",
    ]


def test_status_tells_of_every_window_and_of_what_waits(
    sold: Shop, jangteo: Jangteo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh, "FEW", 1)
    at = now()
    build(sold, 1, at - 2 * HOUR)
    step(sold, at - HOUR)
    begin(sold, 30, at - HOUR)
    begin(sold, 5, at)
    sold.change("UPDATE best_seller_windows SET state = 'retired' WHERE days = 5")
    begin(sold, 7, at)
    sold.order(at=at)
    lines = [
        re.sub(r"20\S+Z \(([\d,]+) s ago\)", lambda ago: f"<{ago[1]}>", line)
        for line in status(jangteo, sold).splitlines()
    ]
    hour = r"<3,6\d\d>"
    patterns = [
        rf"1 day         kept, 3 products, counted up to {hour}, last asked for about <7,2\d\d>",
        rf"3 days        kept, 3 products, counted up to {hour}",
        r"5 days        let go, to be removed",
        r"7 days        being counted since <\d+>",
        rf"30 days       being counted since {hour}, but nobody has been heard of since {hour}",
        r"to be counted 1 note of sales",
    ]
    assert len(lines) == len(patterns), lines
    assert [line for line, pattern in zip(lines, patterns, strict=True) if not re.fullmatch(pattern, line)] == []


def test_status_is_json_for_programs(sold: Shop, jangteo: Jangteo) -> None:
    begun = now().replace(microsecond=0)
    begin(sold, 7, begun)
    state = json.loads(status(jangteo, sold, "--json"))
    assert abs(datetime.fromisoformat(state.pop("at")) - now()) < timedelta(minutes=5)
    nothing = dict.fromkeys(("countedUntil", "begunAt", "silentSince", "askedAt", "products"))
    assert state == {
        "windows": [
            {**nothing, "days": 3, "state": "active", "products": 3},
            {**nothing, "days": 7, "state": "backfilling", "begunAt": f"{begun:%Y-%m-%dT%H:%M:%SZ}"},
        ],
        "uncountedNotes": 3,
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
def test_a_window_is_counted_anew(
    sold: Shop, jangteo: Jangteo, options: tuple[str, ...], days: int, window: str
) -> None:
    told = jangteo(*rebuild(sold, *options))
    assert (told.code, told.err) == (0, "")
    first, last = told.out.splitlines()
    assert first == f"Counting the best sellers of {window} anew."
    counted = COUNTED.fullmatch(last)
    assert counted is not None, last
    assert counted.groups() == ("3", window)
    assert sorted(states(sold)) == sorted({(3, "active"), (days, "active")})
    assert sold.wrong(now()) == []


def test_damage_by_hand_is_found_and_repaired(sold: Shop, jangteo: Jangteo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refresh, "FEW", 1)
    build(sold, 7, now())
    step(sold, now())
    sold.change("UPDATE best_seller_buckets SET sold = '[0,90]', best = 90")
    audit = ("audit", "--database", sold.database)
    broken = jangteo(*audit)
    assert broken.code == 1
    assert "BROKEN the statistics equal the orders" in broken.out
    for days in ("3", "7"):
        assert jangteo(*audit).code == 1, "not before both are counted anew"
        told = jangteo(*rebuild(sold, "--days", days))
        assert told.out.splitlines()[-1].startswith(f"3 products sold in {days} days, counted in ")
    assert jangteo(*audit).code == 0
    assert [state for _, state in states(sold)] == ["active", "active"], "what was replaced is removed"
    assert len(sold.ids("best_seller_buckets")) == 2


def test_beside_a_server_with_orders_going_on(
    kept: Shop, open_shop: Callable[..., ServedShop], jangteo: Jangteo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh, "FEW", 1)
    monkeypatch.setattr("jangteo.engine.best_sellers.LOOK_EVERY_S", 0.02)
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
            told = jangteo(*rebuild(kept))
            assert (told.code, told.err) == (0, ""), told
            wrong += kept.wrong(now())
    finally:
        stop.set()
        buying.join()
    assert wrong == []
    assert best("summary") == best("direct")
    assert [days for days, state in states(kept) if state == "active"] == [3]
    server.close()
    assert kept.wrong(now()) == []


def test_on_a_terminal_it_shows_a_bar(sold: Shop) -> None:
    code, shown = run_on_terminal([JANGTEO, *rebuild(sold)])
    assert code == 0, shown
    assert b"counting" in shown
    assert b"100%" in shown
    assert COUNTED.search(shown.decode().splitlines()[-1]), shown


def test_elsewhere_it_tells_lines(sold: Shop, jangteo: Jangteo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_LINE_INTERVAL_S", 0)
    told = jangteo(*rebuild(sold, "--days", "1"))
    # Of the 24 hours, up to the three moments at which something was ordered, and at last all of it.
    assert told.out.splitlines()[1:-1] == ["83% counted", "92% counted", "96% counted", "100% counted"]


def test_a_line_is_not_told_more_often_than_every_few_seconds(
    sold: Shop, jangteo: Jangteo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "monotonic", lambda: 5.0)
    assert jangteo(*rebuild(sold)).out.count("\n") == 2


@pytest.mark.parametrize("pressed", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_it_and_leaves_nothing_half_counted(
    sold: Shop, jangteo: Jangteo, monkeypatch: pytest.MonkeyPatch, pressed: signal.Signals
) -> None:
    count, told_after = Counting.rebuild, []

    async def press_ctrl_c(self: Counting, days: int, tell: Callable[[float], None]) -> None:
        closing = self._closing

        def pressing(done: float) -> None:
            told_after.append(done)
            os.kill(os.getpid(), pressed)
            while not closing.is_set():
                continue

        await count(self, days, pressing)

    monkeypatch.setattr(Counting, "rebuild", press_ctrl_c)
    told = jangteo(*rebuild(sold, "--days", "7"))
    assert (told.code, told.err) == (130, "")
    assert told.out.splitlines()[1:] == ["Ended: the best sellers are counted as before."]
    assert len(told_after) == 1
    assert states(sold) == [(3, "active"), (7, "retired")]
    assert status(jangteo, sold).splitlines()[1] == "7 days        let go, to be removed"
    step(sold, now())
    assert states(sold) == [(3, "active")]


def test_a_window_that_others_have_let_go_of_is_one_clear_line(
    sold: Shop, jangteo: Jangteo, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(*_: Any) -> None:
        raise WindowGone

    monkeypatch.setattr(Counting, "rebuild", gone)
    told = jangteo(*rebuild(sold))
    assert (told.code, told.err) == (
        2,
        "jangteo: nothing was heard of this command for minutes, so others have let go of what it counted; try again\n",
    )


def test_what_the_database_says_is_one_clear_line(
    sold: Shop, jangteo: Jangteo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jangteo.engine.best_sellers.PATIENCE_S", 0)
    monkeypatch.setattr("jangteo.engine.best_sellers.STAND_BACK_S", 0)
    sold.change("ALTER TABLE best_seller_windows RENAME TO damaged")
    told = jangteo(*rebuild(sold))
    assert told.code == 2
    assert told.err.count("\n") == 1
    assert "best_seller_windows" in told.err


@pytest.mark.parametrize("days", ["0", "31", "-1", "three"])
def test_days_are_those_that_are_answered(kept: Shop, jangteo: Jangteo, days: str) -> None:
    jangteo(*rebuild(kept, "--days", days)).complains("--days")
    assert states(kept) == [(3, "active")]


@pytest.fixture
def not_a_shop(tmp_path: Path, empty_database: Path) -> Iterator[None]:
    (tmp_path / "older.db").write_bytes(empty_database.read_bytes())
    for name, sql in (
        ("older.db", "UPDATE alembic_version SET version_num = 'jangteo_2'"),
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
def test_what_is_no_shop_is_one_clear_line(
    tmp_path: Path, jangteo: Jangteo, command: str, database: str, says: str
) -> None:
    told = jangteo("top", command, "--database", database.format(tmp_path))
    told.complains(says)
    assert "secret" not in told.err


def test_the_help_is_shown_without_a_command(jangteo: Jangteo) -> None:
    told = jangteo("top")
    assert told.code == 0
    assert "rebuild" in told.out
