"""Running a program of this package: a shop in a folder that is removed, and an exit code for what was found."""

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from drill.waiting import DrillFailed
from fuzz.served import Served, prepared

_FAILED: Final = 1
_INTERRUPTED: Final = 130


def run(database: str | None, work: Callable[[Served], Coroutine[Any, Any, list[str]]]) -> int:
    """Do the work with a shop on a database, or on a new SQLite file; print what is wrong, and return the exit code."""
    try:
        with TemporaryDirectory(prefix="jangteo-fuzz-") as name:
            folder = Path(name)
            with prepared(folder, database or f"sqlite:///{folder}/shop.db") as served:
                wrong = asyncio.run(_until_terminated(work(served)))
    except DrillFailed as error:
        print(f"fuzz: {error}", file=sys.stderr)
        return _FAILED
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("fuzz: interrupted", file=sys.stderr)
        return _INTERRUPTED
    for line in (f"Wrong: {len(wrong)}", *wrong) if wrong else ("Nothing is wrong, and the audit passed.",):
        print(line)
    return _FAILED if wrong else 0


async def _until_terminated(work: Coroutine[Any, Any, list[str]]) -> list[str]:
    """Do the work. SIGTERM cancels it, so that no shop outlives it."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task
