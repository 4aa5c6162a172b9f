"""How far something is that takes long: a bar on a terminal, elsewhere a line every few seconds."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

_TELL_EVERY_S: Final = 5.0

Tell = Callable[[float], None]
"""Is told how much is done. It may be called in another thread than the command's."""


@contextmanager
def shown(what: str, line: Callable[[float], str], *, count: int | None = None) -> Iterator[Tell]:
    """Show it until the end of the block. `what` is a few words for the bar, `line` what a line says at a point.

    What is told is how many of `count` are done; without a count, how much of 1.
    """
    if not sys.stdout.isatty():
        yield _lines(line)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), _numbers(count), TimeRemainingColumn())
    total = 1 if count is None else count
    with Progress(*columns) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.update(task, completed=done)
        progress.update(task, completed=total)


def _numbers(count: int | None) -> MofNCompleteColumn | TaskProgressColumn:
    return TaskProgressColumn() if count is None else MofNCompleteColumn()


def _lines(line: Callable[[float], str]) -> Tell:
    told_at = monotonic()

    def tell(done: float) -> None:
        nonlocal told_at
        if monotonic() - told_at >= _TELL_EVERY_S:
            told_at = monotonic()
            typer.echo(line(done))

    return tell
