"""One run of `wrk`: what it is told, and what it tells."""

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
_SOCKET_ERRORS: Final = re.compile(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)")


def is_installed() -> bool:
    """Whether there is a `wrk` on this machine."""
    return shutil.which("wrk") is not None


def version() -> str:
    """The version that `wrk` says it is."""
    told = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout.split()
    return told[1] if len(told) > 1 else "unknown"


def command(url: str, script: str | None, *, connections: int, seconds: int, first_user: int = 1) -> list[str]:
    """Load a URL from one thread, with a script of this folder that is told the first user to name."""
    options = ["--latency", "-t1", f"-c{connections}", f"-d{seconds}s"]
    if script is not None:
        options += ["-s", str(_SCRIPTS / script)]
    return ["wrk", *options, url, "--", str(first_user)]


def load(url: str, script: str | None, *, connections: int, seconds: int, first_user: int) -> Load:
    """Run it to its end. Raises CannotMeasure where that comes to nothing."""
    told = command(url, script, connections=connections, seconds=seconds, first_user=first_user)
    ended = subprocess.run(told, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise CannotMeasure(f"wrk could not load {url}: {(ended.stderr or ended.stdout).strip()}")
    return read_output(ended.stdout)


def read_output(text: str) -> Load:
    """What `wrk --latency` prints, as figures. Raises CannotMeasure where no request was answered."""
    requests, per_s = _REQUESTS.search(text), _REQUESTS_PER_S.search(text)
    latencies = {int(percent): float(value) * _MS_PER[unit] for percent, value, unit in _PERCENTILE.findall(text)}
    if requests is None or per_s is None or int(requests[1]) == 0 or not {50, 99} <= latencies.keys():
        raise CannotMeasure(f"no figures in what wrk printed:\n{text}")
    not_2xx, errors = _NOT_2XX.search(text), _SOCKET_ERRORS.search(text)
    failed = (int(not_2xx[1]) if not_2xx else 0) + (sum(map(int, errors.groups())) if errors else 0)
    return Load(int(requests[1]), float(per_s[1]), latencies[50], latencies[99], failed)
