"""The tables of rate limits: of fixed size, shared by processes; a full one gives up whoever has least to wait for."""

from __future__ import annotations

import resource
from contextlib import closing
from pathlib import Path

import pytest

from jangteo.api.access.full_times import SLOTS, WAYS, RateMemory, rate_file


def test_a_caller_that_is_not_in_the_table_may_send_a_burst() -> None:
    assert RateMemory(1).table(0).get("10.0.0.1") == 0


def test_each_table_has_times_of_its_own() -> None:
    memory = RateMemory(2)
    memory.table(0).put("a", 5.5)
    memory.table(1).put("a", 7.5)
    assert [memory.table(number).get("a") for number in (0, 1)] == [5.5, 7.5]


def test_all_who_map_a_file_share_its_tables(tmp_path: Path) -> None:
    with closing(rate_file(1, tmp_path)) as file:
        one, other = RateMemory(1, file.fileno()).table(0), RateMemory(1, file.fileno()).table(0)
        one.put("a", 3.0)
        assert other.get("a") == 3.0
        other.put("a", 4.0)
        assert one.get("a") == 4.0


def test_a_full_table_gives_up_whoever_has_the_least_to_wait_for() -> None:
    table = RateMemory(1).table(0)
    table.put("limited", 1_000_000.0)
    for number in range(2 * SLOTS):
        table.put(str(number), 1.0 + number / SLOTS)
    assert table.get("limited") == 1_000_000.0
    kept = sum(table.get(str(number)) > 0 for number in range(2 * SLOTS))
    assert SLOTS - SLOTS // WAYS < kept < SLOTS


def test_a_file_that_the_disk_has_no_room_for_is_an_error_before_it_is_used(tmp_path: Path) -> None:
    room = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, room[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            rate_file(1, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, room)
