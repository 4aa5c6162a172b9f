"""Progress of long commands: a bar on a terminal, a line every few seconds elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from jangteo.cli.output import say

_LINE_INTERVAL_S: Final = 5.0

ReportProgress = Callable[[float], None]
"""Takes how much is done. May be called from any one thread."""


@contextmanager
def show_progress(label: str, line: Callable[[float], str], *, count: int | None = None) -> Iterator[ReportProgress]:
    """Show progress until the end of the block.

    The bar is labelled `label`; `line` makes the text of a line. What is reported is how many of `count` are done;
    without a count, the done share of 1.
    """
    if not sys.stdout.isatty():
        yield _print_lines(line)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), _numbers(count), TimeRemainingColumn())
    total = 1 if count is None else count
    with Progress(*columns) as progress:
        task = progress.add_task(label, total=total)
        yield lambda done: progress.update(task, completed=done)
        progress.update(task, completed=total)


def _numbers(count: int | None) -> MofNCompleteColumn | TaskProgressColumn:
    return TaskProgressColumn() if count is None else MofNCompleteColumn()


def _print_lines(line: Callable[[float], str]) -> ReportProgress:
    printed_at = monotonic()

    def report(done: float) -> None:
        nonlocal printed_at
        if monotonic() - printed_at >= _LINE_INTERVAL_S:
            printed_at = monotonic()
            say(line(done))

    return report
