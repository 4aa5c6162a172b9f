"""Tables that gather one figure from all comparisons: processor time, what more cores would do, and fairness."""

import math
from collections.abc import Iterator, Sequence
from typing import Final

from bench.contenders.processes import FRONT_END, KEEPER, POSTGRES, WRITER
from bench.contenders.rounds import Comparison, Contender

Section = tuple[str, Sequence[str], list[tuple[str, ...]]]

_CORES: Final = (8, 32)
_CPU: Final = ("µs of one request", "front ends", "writer", "keeper", "PostgreSQL", "together")
_MORE: Final = (
    "requests/s, calculated",
    *(f"{cores} cores" for cores in _CORES),
    "one writer at most",
    "front ends then",
)
_FAIRNESS: Final = ("", "clients", "requests/s", "Jain's index")


def sections(measured: Sequence[Comparison]) -> Iterator[Section]:
    """The tables that have any rows: title, headings and cells."""
    all_contenders = [(comparison, each) for comparison in measured for each in comparison.contenders]
    timed = [(f"{comparison.title}: {each.name}", each) for comparison, each in all_contenders if each.cpu_us]
    counted = [
        (f"{comparison.title}: {each.name}", each)
        for comparison, each in all_contenders
        if not math.isnan(each.fairness)
    ]
    if timed:
        yield "Processor time", _CPU, [_cpu_cells(name, each) for name, each in timed]
        yield "What more cores would do", _MORE, [_more_cells(name, each) for name, each in timed]
    if counted:
        yield "Fairness", _FAIRNESS, [_fairness_cells(name, each) for name, each in counted]


def on_cores(cores: int, front_end_us: float, writer_us: float, others_us: float) -> float:
    """Requests a second on so many cores: all of them busy, or the one writer if that is less.

    The load generator isn't among them, and what processes cost each other by sharing memory and caches isn't either.
    """
    return min(1_000_000 / writer_us, cores * 1_000_000 / (front_end_us + writer_us + others_us))


def _cpu_cells(name: str, contender: Contender) -> tuple[str, ...]:
    times = _times(contender)
    return name, *(f"{time:.0f}" for time in times), f"{sum(times):.0f}"


def _more_cells(name: str, contender: Contender) -> tuple[str, ...]:
    front_end, writer, *others = _times(contender)
    if not writer:
        return name, *[""] * (len(_MORE) - 1)
    most = 1_000_000 / writer
    speeds = (f"{on_cores(cores, front_end, writer, sum(others)):,.0f}" for cores in _CORES)
    return name, *speeds, f"{most:,.0f}", f"{most * front_end / 1_000_000:.1f}"


def _times(contender: Contender) -> tuple[float, ...]:
    return tuple(contender.cpu_us.get(role, 0) for role in (FRONT_END, WRITER, KEEPER, POSTGRES))


def _fairness_cells(name: str, contender: Contender) -> tuple[str, ...]:
    return name, str(contender.connections), f"{contender.requests_per_s:,.0f}", f"{contender.fairness:.3f}"
