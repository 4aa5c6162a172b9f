"""The picture of a run: orders a second of the shop beside what they are held against."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

from bench.contenders import comparisons as compared
from bench.contenders.rounds import Comparison

_SHOWN = (compared.SQLITE_CROWD, compared.POSTGRES_UNIFORM, compared.POSTGRES_HOT, compared.POSTGRES_CLAIMS)
_OURS, _REFERENCE = "#2a7f62", "#b8b8b8"


def draw(path: Path, measured: Sequence[Comparison]) -> None:
    """Draw the comparisons of a rush as bars into a PNG file."""
    mpl.use("Agg")
    shown = [comparison for comparison in measured if comparison.title in _SHOWN]
    heights = [len(comparison.contenders) + 1 for comparison in shown]
    figure, places = plt.subplots(len(shown), 1, figsize=(9, 0.42 * sum(heights)), height_ratios=heights)
    for place, comparison in zip(places, shown, strict=True):
        contenders = comparison.contenders[::-1]
        speeds = [each.requests_per_s for each in contenders]
        ours = [each.name not in (compared.ECHO, compared.PGBENCH) for each in contenders]
        bars = place.barh(
            [f"{each.name}, {each.connections} clients" for each in contenders],
            speeds,
            color=[_OURS if is_ours else _REFERENCE for is_ours in ours],
        )
        place.bar_label(bars, [f" {speed:,.0f}" for speed in speeds])
        place.set_title(comparison.title, loc="left", fontsize=10, fontweight="bold")
        place.set_xlim(0, 1.15 * max(speeds))
        place.xaxis.set_visible(False)
        place.spines[["top", "right", "bottom"]].set_visible(False)
    figure.suptitle("Requests a second, all durable; grey: what they are held against", x=0.01, ha="left")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
