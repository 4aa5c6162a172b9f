"""Runs the HTTP platform of `tests/receiver.py` in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

PROGRAM = Path(__file__).with_name("receiver.py")


class RunningReceiver:
    """One receiver at `url`. It can be killed and started again at the same address."""

    def __init__(self, file: Path, secret: str | None = None) -> None:
        self.file = file
        self._secret = secret
        self._process: subprocess.Popen[str] | None = None
        self.url = ""
        self.start()

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    @property
    def process_id(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        command = [sys.executable, str(PROGRAM), str(self.file), "--port", str(self.port)]
        if self._secret is not None:
            command += ["--secret", self._secret]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        assert self.url, "the receiver didn't start"

    def kill(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None

    def control(self, **settings: Any) -> None:
        httpx.post(self._control_url, json=settings).raise_for_status()

    def plan(self, *plans: dict[str, Any]) -> None:
        """Set what to do with the next requests, one plan each, like `{"do": "answer", "status": 503}`."""
        self.control(plans=plans)

    def state(self, requests: int = 0) -> dict[str, Any]:
        """Counts, and the headers of the last request, once `requests` requests have arrived."""
        response = httpx.get(self._control_url, params={"requests": requests}, timeout=60)
        state: dict[str, Any] = response.raise_for_status().json()
        return state

    def lines(self) -> list[dict[str, Any]]:
        """The accepted events, each with `at` and `event`."""
        return [json.loads(line) for line in self.file.read_text().splitlines()]

    def ids(self) -> list[str]:
        return [line["event"]["id"] for line in self.lines()]

    @property
    def _control_url(self) -> str:
        return self.url.replace("/events", "/control")


@contextmanager
def running_receiver(file: Path, secret: str | None = None) -> Iterator[RunningReceiver]:
    receiver = RunningReceiver(file, secret)
    try:
        yield receiver
    finally:
        receiver.kill()
