"""A real NATS server with JetStream for tests: on loopback, in a folder of its own."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

import nats
from nats.js import JetStreamContext
from nats.js.api import RawStreamMsg

T = TypeVar("T")
PROGRAM = str(Path(sys.executable).with_name("nats-server"))
_LISTENS = re.compile(r"Listening for client connections on 127\.0\.0\.1:(\d+)")


class NatsServer:
    """One server. It keeps its port and its streams when it is stopped or killed and started again."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[str] | None = None
        self.port = -1
        self.start()

    @property
    def process_id(self) -> int:
        assert self._process is not None
        return self._process.pid

    def url(self, subject: str, credentials: str = "") -> str:
        return f"nats://{credentials}127.0.0.1:{self.port}/{subject}"

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        options = ["-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self._folder)]
        command = [PROGRAM, *options, *self._options]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        lines = []
        for line in self._process.stderr:
            lines.append(line)
            if found := _LISTENS.search(line):
                self.port = int(found[1])
            if "Server is ready" in line:
                break
        else:
            raise AssertionError("".join(lines))
        # A full pipe would block the server.
        threading.Thread(target=_drain, args=(self._process.stderr,), daemon=True).start()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        self._process.wait()
        self._process = None

    def suspend(self) -> None:
        """Suspend the process; its connections stay open."""
        os.kill(self.process_id, signal.SIGSTOP)
        # Wait until every thread is suspended.
        os.waitpid(self.process_id, os.WUNTRACED)

    def resume(self) -> None:
        os.kill(self.process_id, signal.SIGCONT)

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def call(self, function: Callable[[JetStreamContext], Awaitable[T]], **login: Any) -> T:
        """Call JetStream over a connection of its own."""

        async def run() -> T:
            client = await nats.connect(f"nats://127.0.0.1:{self.port}", **login)
            try:
                return await function(client.jetstream())
            finally:
                await client.close()

        return asyncio.run(run())

    def create_stream(self, subject: str, **settings: Any) -> None:
        self.call(lambda js: js.add_stream(name="orders", subjects=[subject], **settings))

    def kept(self) -> list[RawStreamMsg]:
        """The stream's messages, in order."""

        async def read(js: JetStreamContext) -> list[RawStreamMsg]:
            state = (await js.stream_info("orders")).state
            return [await js.get_msg("orders", seq=seq) for seq in range(state.first_seq, state.last_seq + 1)]

        return self.call(read)


def _drain(pipe: IO[str]) -> None:
    with pipe:
        for _ in pipe:
            pass


@contextmanager
def running_nats(folder: Path, *options: str) -> Iterator[NatsServer]:
    server = NatsServer(folder, *options)
    try:
        yield server
    finally:
        server.kill()
