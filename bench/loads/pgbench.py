"""Runs `pgbench`: one transaction per order, decided inside PostgreSQL by a stored function."""

import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.contenders.postgres import Postgres
from bench.loads.load import CannotMeasure, Load, load_of

_SCRIPTS: Final = Path(__file__).parent
_FUNCTION: Final = _SCRIPTS / "place_order.sql"
_THREADS_MAX: Final = 2


def prepare(postgres: Postgres, database: str) -> None:
    """Create the function that places an order, and the table for bare commits. Raises CannotMeasure."""
    _run(postgres, "psql", "-q", "-v", "ON_ERROR_STOP=1", "-f", str(_FUNCTION), database)


def load(postgres: Postgres, database: str, script: str, clients: int, seconds: int) -> Load:
    """Run a script of this folder with prepared statements, and time each transaction. Raises CannotMeasure."""
    with TemporaryDirectory(prefix="pgbench-") as folder:
        _run(
            postgres,
            "pgbench",
            *("--no-vacuum", "--protocol=prepared", "--log", f"--log-prefix={folder}/times"),
            *(f"--client={clients}", f"--jobs={min(clients, _THREADS_MAX)}", f"--time={seconds}"),
            *("-f", str(_SCRIPTS / script), database),
        )
        lines = [line for path in Path(folder).iterdir() for line in path.read_text().splitlines()]
    # A line is: client, transaction, microseconds, …
    return load_of([int(line.split()[2]) / 1_000 for line in lines], seconds)


def _run(postgres: Postgres, program: str, *arguments: str) -> None:
    where = ("-h", "127.0.0.1", "-p", str(postgres.port), "-U", postgres.user)
    ended = subprocess.run([postgres.program(program), *where, *arguments], capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise CannotMeasure(f"{program} failed: {ended.stderr.strip()}")
