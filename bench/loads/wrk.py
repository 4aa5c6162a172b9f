"""Runs `wrk` and reads its output."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from bench.loads.load import CannotMeasure, Load

_SCRIPTS: Final = Path(__file__).parent
_MS_PER: Final = {"us": 0.001, "ms": 1.0, "s": 1_000.0, "m": 60_000.0}
_REQUESTS: Final = re.compile(r"^\s*(\d+) requests in ", re.MULTILINE)
_REQUESTS_PER_S: Final = re.compile(r"^Requests/sec:\s+([\d.]+)", re.MULTILINE)
_PERCENTILE: Final = re.compile(r"^\s+(\d+)%\s+([\d.]+)(us|ms|s|m) *$", re.MULTILINE)
_NOT_2XX: Final = re.compile(r"Non-2xx or 3xx responses: (\d+)")
_FAILED_CALLS: Final = re.compile(r"^Calls not answered with 201: (\d+)", re.MULTILINE)
_SOCKET_ERRORS: Final = re.compile(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)")


def is_installed() -> bool:
    """Whether `wrk` is on the path."""
    return shutil.which("wrk") is not None


def version() -> str:
    """The version that `wrk -v` prints, or "unknown"."""
    words = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout.split()
    return words[1] if len(words) > 1 else "unknown"


def command(
    url: str,
    script: str | None,
    *,
    connections: int,
    seconds: int,
    first_user: int = 1,
    credentials: Path | None = None,
) -> list[str]:
    """The command that loads a URL from one thread. A script of this folder makes its requests.

    `credentials` is a file for `credentials.lua`.
    """
    options = ["--latency", "-t1", f"-c{connections}", f"-d{seconds}s"]
    if script is not None:
        options += ["-s", str(_SCRIPTS / script)]
    return ["wrk", *options, url, "--", str(first_user if credentials is None else credentials)]


def load(
    url: str,
    script: str | None,
    *,
    connections: int,
    seconds: int,
    first_user: int = 1,
    credentials: Path | None = None,
) -> Load:
    """Run `wrk` to its end. Raises CannotMeasure when it fails or no request was answered."""
    arguments = command(
        url, script, connections=connections, seconds=seconds, first_user=first_user, credentials=credentials
    )
    ended = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise CannotMeasure(f"wrk could not load {url}: {(ended.stderr or ended.stdout).strip()}")
    return read_output(ended.stdout)


def read_output(text: str) -> Load:
    """Parse what `wrk --latency` prints. Raises CannotMeasure when no request was answered."""
    requests, per_s = _REQUESTS.search(text), _REQUESTS_PER_S.search(text)
    latencies = {int(percent): float(value) * _MS_PER[unit] for percent, value, unit in _PERCENTILE.findall(text)}
    if requests is None or per_s is None or int(requests[1]) == 0 or not {50, 99} <= latencies.keys():
        raise CannotMeasure(f"no figures in what wrk printed:\n{text}")
    counted = (pattern.search(text) for pattern in (_NOT_2XX, _SOCKET_ERRORS, _FAILED_CALLS))
    failed = sum(sum(map(int, found.groups())) for found in counted if found)
    return Load(int(requests[1]), float(per_s[1]), latencies[50], latencies[99], failed)
