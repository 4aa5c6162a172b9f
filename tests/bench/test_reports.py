"""The documents get the bench's figures between markers, and nothing else of them changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from bench.contenders.comparisons import TAIL
from bench.contenders.rounds import Comparison, Contender
from bench.loads.load import Load
from bench.peers.contending import Peer
from bench.peers.judging import Verdict
from bench.peers.measuring import CLAIMS, HOT, ORDERS, Peers
from bench.peers.stacks import Stack
from bench.reports import peers_report
from bench.reports.markers import between
from bench.reports.sections import sections
from bench.reports.targets import partial_targets
from tests.documents.markdown import ROOT


def loaded(name: str, load: Load) -> Contender:
    return Contender(name, 64, lambda _: load, rounds=[load])


def test_only_what_is_between_the_markers_is_replaced() -> None:
    text = "before\n<!-- bench: peers -->\nold\n<!-- bench: end of peers -->\nafter\n"
    expected = "before\n<!-- bench: peers -->\n\nnew\n\n<!-- bench: end of peers -->\nafter\n"
    assert between(text, "peers", ["new"]) == expected
    assert between(expected, "peers", ["new"]) == expected


def test_missing_markers_are_named() -> None:
    with pytest.raises(ValueError, match="bench: peers"):
        between("nothing", "peers", [])


@pytest.mark.parametrize(
    ("document", "name"),
    [("README.md", "figures"), ("README.md", "peers"), ("docs/benchmarks.md", "peers")],
)
def test_the_documents_have_the_markers(document: str, name: str) -> None:
    assert between((ROOT / document).read_text(), name, ["x"])


def never(*_: object) -> Stack:
    raise AssertionError


def measured_peers() -> Peers:
    contending = [loaded("Jangteo on SQLite", Load(9, 15_000, 3, 8, 0)), loaded("Redis", Load(9, 12_000, 3, 9.5, 0))]
    described = (("Jangteo on SQLite", "on disk"), ("Redis", "in memory"), ("Absent", ""))
    return Peers(
        peers=[Peer(name, durability, never) for name, durability in described],
        comparisons=[Comparison(title, contending) for title in (ORDERS, HOT, CLAIMS)],
        verdicts={"Jangteo on SQLite": Verdict(50, 50, 1_000, 0), "Redis": Verdict(52, 50, 2_000, 3)},
        notes=["No apt here."],
    )


def test_a_peer_is_shown_with_speed_tail_oversold_lost_and_durability() -> None:
    lines = peers_report.markdown(measured_peers())
    assert "| Redis | 12,000 | 9.50 | 12,000 | 9.50 | 12,000 | 2 | 3 of 2,000 | in memory |" in lines
    assert "- No apt here." in lines


def test_a_peer_that_was_not_measured_has_no_row() -> None:
    assert not any("Absent" in line for line in peers_report.short_markdown(measured_peers()))


def test_a_narrow_terminal_shows_the_counts_in_columns_and_durability_below(capsys: pytest.CaptureFixture[str]) -> None:
    peers_report.print_all(Console(width=100), measured_peers())
    printed = capsys.readouterr().out
    assert "3 of 2,000" in printed
    assert "Redis: an answer is in memory." in printed


def test_the_picture_of_the_peers_is_drawn(tmp_path: Path) -> None:
    peers_report.draw(tmp_path / "peers.png", measured_peers())
    assert (tmp_path / "peers.png").stat().st_size > 0


def test_a_bench_in_which_jangteo_loses_an_order_has_failed() -> None:
    peers = measured_peers()
    assert peers.passed()
    peers.verdicts["Jangteo on SQLite"] = Verdict(50, 50, 1_000, 1)
    assert not peers.passed()


def test_processor_time_and_fairness_are_shown_where_they_were_measured() -> None:
    timed = loaded("orders", Load(9, 10_000, 3, 8, 0, cpu_us={"front end": 60, "writer": 40}))
    counted = loaded("clients", Load(9, 9_000, 3, 8, 0, fairness=0.987))
    found = {title: cells for title, _, cells in sections([Comparison("Crowd", [timed, counted])])}
    assert found["Processor time"] == [("Crowd: orders", "60", "40", "0", "0", "100")]
    assert found["What more cores would do"] == [("Crowd: orders", "25,000", "25,000", "25,000", "1.5")]
    assert found["Fairness"] == [("Crowd: clients", "64", "9,000", "0.987")]


def test_the_tail_of_a_long_load_is_judged_by_its_last_fifth() -> None:
    orders = Contender("orders", 64, lambda _: Load(9, 9, 1, 9, 0))
    orders.rounds = [Load(9, 9, 1, 2, 0)] * 8 + [Load(9, 9, 1, 4, 0)] * 2
    (target,) = partial_targets([Comparison(f"SQLite, {TAIL}", [orders])])
    assert (target.measured, target.met) == (4, False)
