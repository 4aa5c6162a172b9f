"""Describes the machine that the figures were measured on."""

import os
import platform
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryFile
from time import perf_counter
from typing import Final

import uvicorn
from msgspec import Struct

from bench.contenders.postgres import SETTINGS, Postgres
from bench.loads import wrk

_CPUS: Final = Path("/proc/cpuinfo")
_SYNCS: Final = 100
_SYNCED: Final = b"\0" * 4096


class Machine(Struct, frozen=True):
    """A machine, and the versions of what runs on it."""

    cpu: str
    cores: int
    memory_gb: float
    python: str
    sqlite: str
    postgres: str
    uvicorn: str
    wrk: str
    sync_ms: float
    """The median time to write and sync 4 KiB, in the folder of the databases."""

    def facts(self) -> list[tuple[str, str]]:
        """Names and values for the report's table."""
        settings = ", ".join(f"{name} {value}" for name, value in SETTINGS.items())
        return [
            ("CPU", self.cpu),
            ("cores", f"{self.cores}, the load generator's too"),
            ("memory", f"{self.memory_gb:.0f} GB"),
            ("Python", self.python),
            ("SQLite", f"{self.sqlite}, write-ahead log, every commit synced"),
            ("PostgreSQL", f"{self.postgres}; {settings}"),
            ("uvicorn", self.uvicorn),
            ("wrk", self.wrk),
            ("disk", f"4 KiB synced in {self.sync_ms:.3f} ms (median of {_SYNCS})"),
        ]


def describe(folder: Path, server: Postgres) -> Machine:
    """Describe this machine, and the disk that the folder is on."""
    return Machine(
        cpu=_cpu(),
        cores=os.cpu_count() or 1,
        memory_gb=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9,
        python=platform.python_version(),
        sqlite=sqlite3.sqlite_version,
        postgres=server.version(),
        uvicorn=uvicorn.__version__,
        wrk=wrk.version(),
        sync_ms=median(_sync_times_ms(folder)),
    )


def _cpu() -> str:
    lines = _CPUS.read_text().splitlines() if _CPUS.exists() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())


def _sync_times_ms(folder: Path) -> Iterator[float]:
    with TemporaryFile(dir=folder, buffering=0) as file:
        for _ in range(_SYNCS):
            file.write(_SYNCED)
            start = perf_counter()
            os.fsync(file.fileno())
            yield (perf_counter() - start) * 1_000
