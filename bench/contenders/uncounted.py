"""A shop without best sellers: it writes no deltas and applies no refreshes. Measured beside a shop with both.

`python -m bench.contenders.uncounted serve …` takes what `jangteo serve` takes; with `writer …` it is what that
starts in place of `python -m jangteo.engine.writer …`.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any
from unittest.mock import patch

from jangteo import app
from jangteo.cli.main import main as run_command
from jangteo.engine.refresher import Refresher
from jangteo.engine.writer import __main__
from jangteo.engine.writer.process import WriterProcess
from jangteo.storage.best_sellers import deltas

_WRITER = "jangteo.engine.writer"


class _WriterWithoutDeltas(WriterProcess):
    def __init__(self, command: Callable[[int], Sequence[str]], **others: Any) -> None:
        super().__init__(lambda descriptor: _without_deltas(command(descriptor)), **others)


def _without_deltas(command: Sequence[str]) -> list[str]:
    module = command.index(_WRITER)
    return [*command[:module], "bench.contenders.uncounted", "writer", *command[module + 1 :]]


def _nothing(*_: object) -> None:
    pass


def main() -> None:
    """Serve, or be the writer process of a server."""
    with (
        patch.object(deltas, "save", _nothing),
        patch.object(Refresher, "start", _nothing),
        patch.object(app, "WriterProcess", _WriterWithoutDeltas),
    ):
        if sys.argv[1:2] == ["writer"]:
            del sys.argv[1]
            __main__.main()
        else:
            run_command()


if __name__ == "__main__":
    main()
