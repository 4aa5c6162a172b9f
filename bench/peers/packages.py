"""Installs what the peers need into an environment that is thrown away afterwards; nothing of it is kept here."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.loads.load import CannotMeasure

PACKAGES: Final = (
    "fastapi",
    "uvicorn",
    "uvloop",
    "httptools",
    "sqlalchemy[asyncio]",
    "asyncpg",
    "redis[hiredis]",
    "orjson",
)
_REDIS: Final = "redis-server"


@contextmanager
def environment() -> Iterator[Path]:
    """The path of a Python that has the packages. Raises CannotMeasure when they can't be installed."""
    with TemporaryDirectory(prefix="peers-") as folder:
        python = Path(folder) / "bin" / "python"
        _run(sys.executable, "-m", "venv", folder)
        _run(str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install", *PACKAGES)
        yield python


def versions(python: Path) -> str:
    """The packages with their versions, as a sentence has them."""
    listed = subprocess.run(
        [python, "-m", "pip", "--disable-pip-version-check", "freeze"], capture_output=True, text=True, check=True
    )
    wanted = {name.partition("[")[0] for name in PACKAGES}
    pinned = (line.partition("==") for line in listed.stdout.splitlines())
    return ", ".join(f"{name} {version}" for name, _, version in pinned if name.lower() in wanted)


def find_redis() -> str | None:
    """Install Redis by apt when it is missing, and return None, or else why there is none."""
    if shutil.which(_REDIS) is None and shutil.which("apt-get") is not None:
        # The package would start a server of its own, which nobody needs.
        subprocess.run(
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", _REDIS],
            env={"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            capture_output=True,
            check=False,
        )
    return None if shutil.which(_REDIS) else "redis-server is missing: apt-get install redis-server"


def _run(*command: str) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        last = (ended.stderr.strip() or ended.stdout.strip()).rpartition("\n")[2]
        raise CannotMeasure(f"the peers' packages can't be installed: {last}")
