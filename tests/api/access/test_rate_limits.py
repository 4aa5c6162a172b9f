"""Rate limits: as many requests as the rate says, in bounded memory, and answers that say when to come back."""

from __future__ import annotations

import pytest

from jangteo.api.access.full_times import RateMemory
from jangteo.api.access.rate import InvalidRate, Rate, read_rates
from jangteo.api.access.rate_limits import TABLES, Limit, RateLimits, Standing


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def limit(rate: str, clock: Clock) -> Limit:
    return Limit("key", read_rates([rate])["key"], RateMemory(1).table(0), clock)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("100/s", Rate(100, 100)),
        ("100/s:500", Rate(100, 500)),
        ("6/m", Rate(0.1, 6)),
        ("3600/h:1", Rate(1, 1)),
    ],
)
def test_a_rate_is_read_as_it_is_written(text: str, rate: Rate) -> None:
    assert read_rates([text]) == {"key": rate, "customer": rate, "address": rate}


def test_a_kinds_own_rate_comes_before_that_of_all() -> None:
    rates = read_rates(["customer=5/s", "100/s"])
    assert (rates["customer"].per_s, rates["key"].per_s) == (5, 100)
    assert set(read_rates(["address=5/s"])) == {"address"}
    assert read_rates([]) == {}


@pytest.mark.parametrize(
    "text", ["", "100", "0/s", "-1/s", "1/d", "1.5/s", "user=1/s", "1/s:", "1/s:0x", "=1/s", "\uff11/s"]
)
def test_what_is_no_rate_is_an_error(text: str) -> None:
    with pytest.raises(InvalidRate, match="write 100/s"):
        read_rates([text])


def test_a_burst_is_allowed_and_then_the_rate() -> None:
    clock = Clock()
    keys = limit("10/s:5", clock)
    assert [keys.take("a").allowed for _ in range(7)] == [True] * 5 + [False] * 2
    clock.now += 0.1
    assert [keys.take("a").allowed for _ in range(2)] == [True, False]
    clock.now += 100
    assert [keys.take("a").allowed for _ in range(7)] == [True] * 5 + [False] * 2, "a pause gives one burst, no more"


@pytest.mark.parametrize("rate", ["10/s:5", "7/m:3", "1000/s", "999999/s"])
def test_over_time_exactly_the_rate_is_allowed(rate: str) -> None:
    clock = Clock()
    keys = limit(rate, clock)
    terms = read_rates([rate])["key"]
    interval_s = 1 / terms.per_s
    allowed = 0
    for _ in range(2_000):
        allowed += keys.take("a").allowed
        clock.now += interval_s / 4
    assert allowed == pytest.approx(min(terms.burst + 500, 2_000), abs=2)


def test_one_caller_does_not_use_up_anothers() -> None:
    keys = limit("1/s", Clock())
    assert keys.take("a").allowed
    assert not keys.take("a").allowed
    assert keys.take("b").allowed


def test_a_refused_request_costs_nothing() -> None:
    clock = Clock()
    keys = limit("1/s", clock)
    assert [keys.take("a").allowed for _ in range(50)].count(True) == 1
    clock.now += 1
    assert keys.take("a").allowed


@pytest.mark.long
def test_a_million_addresses_leave_who_has_sent_too_much_limited() -> None:
    clock = Clock()
    addresses = limit("1/s:100", clock)
    assert [addresses.take("10.0.0.1").allowed for _ in range(101)].count(True) == 100
    for number in range(1_000_000):
        clock.now += 0.00001
        addresses.take(str(number))
    assert addresses.take("10.0.0.1").remaining < 15


def test_standings_count_down_and_say_when_to_come_back() -> None:
    clock = Clock()
    keys = limit("10/m:3", clock)
    assert [keys.take("a").remaining for _ in range(3)] == [2, 1, 0]
    refused = keys.take("a")
    assert (refused.allowed, refused.remaining) == (False, 0)
    assert refused.wait_s == pytest.approx(6)
    assert dict(refused.headers()) == {b"ratelimit-policy": b'"key";q=3;w=18', b"ratelimit": b'"key";r=0;t=6'}
    clock.now += 7
    assert keys.look("a").remaining == 1
    assert keys.look("a").remaining == 1, "looking counts nothing"


def test_a_refused_caller_waits_a_whole_second_at_least() -> None:
    standing = Standing("customer", Rate(10, 10), allowed=False, remaining=0, wait_s=0.1)
    assert standing.retry_after() == (b"retry-after", b"1")
    assert dict(standing.headers()) == {
        b"ratelimit-policy": b'"customer";q=10;w=1',
        b"ratelimit": b'"customer";r=0;t=1',
    }


def test_failed_attempts_are_limited_harder_and_without_any_rate() -> None:
    clock = Clock()
    limits = RateLimits({}, RateMemory(TABLES), Rate(1, 3), clock)
    assert not limits.has("key")
    for _ in range(3):
        assert limits.too_many_failed("10.0.0.1") is None
        limits.count_failed("10.0.0.1")
    standing = limits.too_many_failed("10.0.0.1")
    assert standing is not None
    assert standing.retry_after() == (b"retry-after", b"1")
    assert limits.too_many_failed("10.0.0.2") is None
    clock.now += 1
    assert limits.too_many_failed("10.0.0.1") is None
