"""Draws the picture of a run: the shop's requests per second beside the references."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

from bench.contenders import comparisons as compared
from bench.contenders.rounds import Comparison

_SHOWN = (compared.SQLITE_CROWD, compared.POSTGRES_UNIFORM, compared.POSTGRES_HOT, compared.POSTGRES_CLAIMS)
_OURS, _REFERENCE = "#2a7f62", "#b8b8b8"


def draw(path: Path, measured: Sequence[Comparison]) -> None:
    """Draw the rush comparisons as bars into a PNG file."""
    mpl.use("Agg")
    shown = [comparison for comparison in measured if comparison.title in _SHOWN]
    heights = [len(comparison.contenders) + 1 for comparison in shown]
    figure, axes = plt.subplots(len(shown), 1, figsize=(9, 0.42 * sum(heights)), height_ratios=heights)
    for axis, comparison in zip(axes, shown, strict=True):
        contenders = comparison.contenders[::-1]
        speeds = [each.requests_per_s for each in contenders]
        ours = [each.name not in (compared.ECHO, compared.PGBENCH) for each in contenders]
        bars = axis.barh(
            [f"{each.name}, {each.connections} clients" for each in contenders],
            speeds,
            color=[_OURS if is_ours else _REFERENCE for is_ours in ours],
        )
        axis.bar_label(bars, [f" {speed:,.0f}" for speed in speeds])
        axis.set_title(comparison.title, loc="left", fontsize=10, fontweight="bold")
        axis.set_xlim(0, 1.15 * max(speeds))
        axis.xaxis.set_visible(False)
        axis.spines[["top", "right", "bottom"]].set_visible(False)
    figure.suptitle("Requests per second, all durable; grey: the references", x=0.01, ha="left")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
