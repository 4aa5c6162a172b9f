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
    """One server. It keeps its port and what its streams lock over a stop, or a kill, and a start."""

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
        """Returns when it takes connections."""
        place = ["-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self._folder)]
        command = [PROGRAM, *place, *self._options]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        told = []
        for line in self._process.stderr:
            told.append(line)
            if found := _LISTENS.search(line):
                self.port = int(found[1])
            if "Server is ready" in line:
                break
        else:
            raise AssertionError("".join(told))
        # Nobody reads on, but a full pipe would stop it.
        threading.Thread(target=_drain, args=(self._process.stderr,), daemon=True).start()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        self._process.wait()
        self._process = None

    def suspend(self) -> None:
        """Stop it in the middle of whatever it does, with its connections open."""
        os.kill(self.process_id, signal.SIGSTOP)
        # A stop takes its time to reach every thread.
        os.waitpid(self.process_id, os.WUNTRACED)

    def go_on(self) -> None:
        os.kill(self.process_id, signal.SIGCONT)

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def ask(self, question: Callable[[JetStreamContext], Awaitable[T]], **login: Any) -> T:
        """Ask JetStream something, over a connection of our own."""

        async def asked() -> T:
            client = await nats.connect(f"nats://127.0.0.1:{self.port}", **login)
            try:
                return await question(client.jetstream())
            finally:
                await client.close()

        return asyncio.run(asked())

    def create_stream(self, subject: str, **settings: Any) -> None:
        self.ask(lambda js: js.add_stream(name="orders", subjects=[subject], **settings))

    def kept(self) -> list[RawStreamMsg]:
        """What the stream holds, in order."""

        async def read(js: JetStreamContext) -> list[RawStreamMsg]:
            state = (await js.stream_info("orders")).state
            return [await js.get_msg("orders", seq=seq) for seq in range(state.first_seq, state.last_seq + 1)]

        return self.ask(read)


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
