"""The analysts' example agrees with the shop, however often and on whichever file it runs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.serving import ServedShop

PROGRAM = Path(__file__).parents[2] / "examples" / "analysts" / "load_events.py"
Answers = dict[str, list[list[str]]]


@pytest.fixture
def database(sqlite_database: str) -> str:
    """The events are the same on either database."""
    return sqlite_database


@pytest.fixture
def sold(shop: ServedShop) -> list[dict[str, Any]]:
    """The orders of a closed shop as its API returns them: three days, some with coupons, some cancelled."""
    http, random = shop.http, Random(11)
    users = [http.user(balance=10_000_000) for _ in range(6)]
    products = [http.product(price=price, stock=1_000) for price in (900, 1_700, 2_500, 40_000)]
    campaign = http.campaign(quantity=6, discount=1_500)
    coupons = [http.coupon(user, campaign) for user in users]
    placed: list[int] = []
    for day in range(3):
        shop.clock.ahead = timedelta(days=day)
        for user, coupon in zip(users, coupons, strict=True):
            for number in range(3):
                lines = [(product, random.randint(1, 3)) for product in random.sample(products, random.randint(1, 3))]
                with_coupon = coupon if day == user % 3 and number == 0 else None
                placed.append(http.order(user, *lines, coupon=with_coupon).json()["orderId"])
        for order_id in random.sample(placed, 3):
            http.post(f"/orders/{order_id}/cancel")
    orders = [order for user in users for order in http.get(f"/users/{user}/orders").json()]
    # What is left is sent before it is closed.
    shop.close()
    return orders


def load(events: Path) -> tuple[int, Answers]:
    """Run the program in the file's folder; return how many lines it read, and the only shop's answers."""
    lines, shops = load_shops(events)
    assert len(shops) <= 1
    return lines, next(iter(shops.values()), {})


def load_shops(events: Path, *options: str) -> tuple[int, dict[str, Answers]]:
    """Run the program in the file's folder; return how many lines it read, and its tables' rows."""
    command = [sys.executable, str(PROGRAM), events.name, "--top", "1000", *options]
    run = subprocess.run(command, cwd=events.parent, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    first, *shops = run.stdout.split("\n\nThe shop ")
    answers: dict[str, Answers] = {}
    for shop in shops:
        name, *tables = shop.split("\n\n")
        answers[name] = {}
        for table in tables:
            title, _, _, *rows = table.splitlines()
            answers[name][title] = [row.replace(",", "").split() for row in rows]
    return int(first.split()[0].replace(",", "")), answers


def expected(orders: list[dict[str, Any]]) -> Answers:
    paid = [order for order in orders if order["status"] == "paid"]
    return {
        "Sales by day (UTC)": _by_day(orders),
        "The best customers": _best_customers(paid),
        "Most often bought together": _bought_together(paid),
    }


def _by_day(orders: list[dict[str, Any]]) -> list[list[str]]:
    days: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for order in orders:
        paid = order["status"] == "paid"
        added = (1, not paid, order["discount"] * paid, order["total"] * paid)
        day = order["createdAt"][:10]
        days[day] = [before + more for before, more in zip(days[day], added, strict=True)]
    return [[day, *map(str, sums)] for day, sums in sorted(days.items())]


def _best_customers(paid: list[dict[str, Any]]) -> list[list[str]]:
    rows = []
    for user in {order["userId"] for order in paid}:
        totals = [order["total"] for order in paid if order["userId"] == user]
        given = sum(order["discount"] for order in paid if order["userId"] == user)
        spent, count = sum(totals), len(totals)
        rows.append((-spent, user, [user, count, (2 * spent + count) // (2 * count), given, spent]))
    return [[str(value) for value in row] for _, _, row in sorted(rows)]


def _bought_together(paid: list[dict[str, Any]]) -> list[list[str]]:
    pairs = Counter(
        pair for order in paid for pair in combinations(sorted(item["productId"] for item in order["items"]), 2)
    )
    ranked = sorted(pairs.items(), key=lambda each: (-each[1], each[0]))
    return [[str(one), str(other), str(count)] for (one, other), count in ranked]


def test_the_answers_agree_with_the_shop(shop: ServedShop, sold: list[dict[str, Any]]) -> None:
    assert {order["status"] for order in sold} == {"paid", "cancelled"}
    assert any(order["discount"] for order in sold)
    lines, answers = load(shop.events_file)
    assert lines == len(shop.events_file.read_bytes().splitlines())
    assert answers == expected(sold)


def test_days_are_in_the_given_time_zone(shop: ServedShop, sold: list[dict[str, Any]]) -> None:
    # Whatever the hour is now: in one of these two the day is another than in UTC.
    for zone, hours in {"Etc/GMT-12": 12, "Etc/GMT+12": -12}.items():
        local = [
            {**order, "createdAt": str(datetime.fromisoformat(order["createdAt"]) + timedelta(hours=hours))}
            for order in sold
        ]
        _, shops = load_shops(shop.events_file, "--zone", zone)
        assert [answers[f"Sales by day ({zone})"] for answers in shops.values()] == [_by_day(local)]


def test_a_second_run_reads_nothing_and_prints_the_same(shop: ServedShop, sold: list[dict[str, Any]]) -> None:
    first = load(shop.events_file)
    assert load(shop.events_file) == (0, first[1])
    assert first[1] == expected(sold)


def test_a_growing_file_is_continued_after_its_last_whole_line(shop: ServedShop, sold: list[dict[str, Any]]) -> None:
    whole = shop.events_file.read_bytes()
    growing = shop.events_file.with_name("growing.jsonl")
    read = 0
    for share in (0.0, 0.3, 0.301, 0.8, 1.0):
        growing.write_bytes(whole[: int(len(whole) * share)])
        lines, answers = load(growing)
        read += lines
    assert read == whole.count(b"\n")
    assert answers == expected(sold)


def test_a_torn_last_line_is_read_once_it_is_whole(shop: ServedShop, sold: list[dict[str, Any]]) -> None:
    whole = shop.events_file.read_bytes()
    shop.events_file.write_bytes(whole + b'{"specversion":"1.0","id":"')
    lines, answers = load(shop.events_file)
    assert (lines, answers) == (whole.count(b"\n"), expected(sold))
    # As the relay does: what a crash has torn is removed, and comes again.
    shop.events_file.write_bytes(whole + whole[: whole.index(b"\n") + 1])
    assert load(shop.events_file) == (1, expected(sold))


AGAIN: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "all of them three times": lambda lines: lines * 3,
    "the last ones first": lambda lines: lines[::-1],
    "in any order": lambda lines: Random(2).sample(lines, len(lines)),
}


@pytest.mark.parametrize("again", AGAIN.values(), ids=AGAIN)
def test_duplicate_and_late_events_change_nothing(
    shop: ServedShop, sold: list[dict[str, Any]], again: Callable[[list[bytes]], list[bytes]]
) -> None:
    lines = shop.events_file.read_bytes().splitlines(keepends=True)
    first = shop.events_file.with_name("shuffled.jsonl")
    first.write_bytes(b"".join(again(lines)))
    assert load(first) == (len(again(lines)), expected(sold))
    # Now into the same database, in another file, and by the same file again.
    assert load(shop.events_file) == (len(lines), expected(sold))
    with first.open("ab") as file:
        file.writelines(again(lines))
    assert load(first) == (len(again(lines)), expected(sold))


def test_a_cancelled_order_stays_cancelled_when_its_paid_event_is_repeated(
    shop: ServedShop, sold: list[dict[str, Any]]
) -> None:
    paid = [line for line in shop.events_file.read_bytes().splitlines(keepends=True) if b'"status":"paid"' in line]
    load(shop.events_file)
    with shop.events_file.open("ab") as file:
        file.writelines(paid)
    assert load(shop.events_file) == (len(paid), expected(sold))


def test_a_rotated_file_is_read_from_its_beginning(shop: ServedShop, sold: list[dict[str, Any]]) -> None:
    lines = shop.events_file.read_bytes().splitlines(keepends=True)
    half = len(lines) // 2
    shop.events_file.write_bytes(b"".join(lines[:half]))
    load(shop.events_file)
    shop.events_file.write_bytes(b"".join(lines[half:]))
    assert load(shop.events_file) == (len(lines) - half, expected(sold))


def test_unknown_fields_and_types_are_ignored(shop: ServedShop, sold: list[dict[str, Any]]) -> None:
    event = json.loads(shop.events_file.read_bytes().splitlines()[0])
    event["data"]["currency"] = event["traceparent"] = "new"
    unknown = {**event, "type": "jangteo.order.shipped", "data": {"orderId": 1, "parcels": [1, 2]}}
    with shop.events_file.open("a") as file:
        file.write(f"{json.dumps(event)}\n{json.dumps(unknown)}\n")
    assert load(shop.events_file)[1] == expected(sold)


def test_two_shops_are_kept_apart(shop: ServedShop, sold: list[dict[str, Any]]) -> None:
    events = [json.loads(line) for line in shop.events_file.read_text().splitlines()]
    other = shop.events_file.with_name("other.jsonl")
    other.write_text("".join(json.dumps({**event, "source": "/jangteo/zzz"}) + "\n" for event in events[:1]))
    load(shop.events_file)
    lines, shops = load_shops(other)
    assert lines == 1
    assert shops.pop("/jangteo/zzz")["The best customers"][0][0] == str(events[0]["data"]["userId"])
    assert list(shops.values()) == [expected(sold)]


@pytest.mark.parametrize(
    "damaged", [b"not JSON\n", b'{"source":"/jangteo/1","type":"jangteo.order.paid","data":{"orderId":1}}\n'], ids=repr
)
def test_a_line_that_is_no_event_ends_the_run_and_loads_nothing(tmp_path: Path, damaged: bytes) -> None:
    events = tmp_path / "events.jsonl"
    events.write_bytes(damaged)
    for _ in range(2):
        command = [sys.executable, str(PROGRAM), str(events), "--database", str(tmp_path / "shop.duckdb")]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert run.returncode == 1
        assert run.stderr.startswith("load_events: ")
        assert "Traceback" not in run.stderr


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    command = [sys.executable, str(PROGRAM), "absent.jsonl"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr.count("\n")) == (1, 1)
    assert "absent.jsonl" in run.stderr
