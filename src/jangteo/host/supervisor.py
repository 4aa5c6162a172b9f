"""The supervisor: starts the processes of a host, replaces those that die or stand still, and ends them in order.

It serves nothing itself. Should it be killed, all of them hear it on their lifelines, and end as if it had ended them.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import IO, Final

from msgspec import structs

from jangteo.api.access.full_times import rate_file
from jangteo.api.access.rate_limits import TABLES
from jangteo.app import writer_start_of
from jangteo.engine.writer.start import writer_command
from jangteo.host.child import Child, launch
from jangteo.host.instructions import Instructions
from jangteo.host.place import Place
from jangteo.lifeline import DRAIN
from jangteo.settings import DATABASE_VARIABLE, Settings
from jangteo.storage.errors import CannotOpen
from jangteo.storage.port import Storage

FRONT_END_TIMEOUT_S: Final = 11.0
"""How long an ending host waits for its front ends: they answer what they have accepted."""
KEEPER_DELAY_S: Final = 6.0
"""How long it leaves the keeper running meanwhile, so that the last events are sent."""
KEEPER_TIMEOUT_S: Final = 6.0
WRITER_TIMEOUT_S: Final = 1.5
"""How long it waits for writers whose clients have all gone."""
_BACKLOG: Final = 128


class Supervisor:
    """The processes of one host."""

    def __init__(
        self, settings: Settings, front_ends: int, listening: socket.socket, storage: Storage, folder: Path
    ) -> None:
        """`storage` is prepared or taken. What the processes share is made in `folder`, which is for that only.

        Raises CannotOpen if they can't be made.
        """
        self._settings = replace(settings, queue_max=ceil(settings.queue_max / front_ends))
        self._storage = storage
        self._http = listening
        self._rates = _rate_file(folder)
        self._writer_sockets = [_listen(folder / f"writer-{number}") for number in range(settings.writers)]
        self._writers = [
            Place(f"writer {number}", self._writer_launch(each), _ignore)
            for number, each in enumerate(self._writer_sockets, 1)
        ]
        self._keeper = Place("keeper", self._launch_of("keeper"), _ignore)
        self._front_ends = [
            Place(f"front end {number}", self._launch_of("front-end"), self._keeper.send)
            for number in range(1, front_ends + 1)
        ]
        self._stopping = asyncio.Event()
        self._draining: asyncio.Task[None] | None = None

    async def run(self, received: Callable[[], Sequence[int]]) -> bool:
        """Run the host until SIGINT, or until SIGTERM and the drain; return whether the writers ended in time.

        `received` is called once: the signals that arrived before this process took over the handlers.
        """
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self._stopping.set)
        loop.add_signal_handler(signal.SIGTERM, self._drain)
        for signal_number in received():
            signal.raise_signal(signal_number)
        for place in (*self._writers, self._keeper, *self._front_ends):
            place.start()
        await self._stopping.wait()
        if self._draining is not None:
            self._draining.cancel()
        ended = await self._end()
        for each in self._writer_sockets:
            each.close()
        self._rates.close()
        return ended

    def _drain(self) -> None:
        """Begin the drain. Without one, or at another SIGTERM, end."""
        if self._draining is not None or not self._settings.drain_s:
            self._stopping.set()
        else:
            self._draining = asyncio.get_running_loop().create_task(self._drain_and_stop())

    async def _drain_and_stop(self) -> None:
        for place in self._front_ends:
            place.give_up(DRAIN)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_s):
                await asyncio.gather(*(each.wait_until_empty() for each in self._front_ends))
        self._stopping.set()

    async def _end(self) -> bool:
        """End the front ends, the keeper and the writers, in this order, since each needs those after it."""
        front_ends = asyncio.gather(*(each.end(FRONT_END_TIMEOUT_S) for each in self._front_ends))
        with suppress(TimeoutError):
            async with asyncio.timeout(KEEPER_DELAY_S):
                await asyncio.shield(front_ends)
        await asyncio.gather(front_ends, self._keeper.end(KEEPER_TIMEOUT_S))
        return all(await asyncio.gather(*(each.end(WRITER_TIMEOUT_S) for each in self._writers)))

    def _launch_of(self, role: str) -> Callable[[], Awaitable[Child]]:
        async def start() -> Child:
            child = await launch(
                lambda lifeline: (sys.executable, "-m", "jangteo.host", role, str(lifeline)),
                environment={},
                kept=(self._http.fileno(), self._rates.fileno(), *self._storage.kept_files()),
            )
            child.send(self._instructions().encode())
            return child

        return start

    def _writer_launch(self, listening: socket.socket) -> Callable[[], Awaitable[Child]]:
        async def start() -> Child:
            given = writer_start_of(self._settings, self._storage)
            return await launch(
                lambda lifeline: writer_command(
                    structs.replace(given, listening=listening.fileno(), lifeline=lifeline)
                ),
                environment={DATABASE_VARIABLE: self._settings.database},
                kept=(listening.fileno(), *self._storage.kept_files()),
            )

        return start

    def _instructions(self) -> Instructions:
        return Instructions(
            settings=self._settings,
            identity=self._storage.identity(),
            writers=tuple(each.getsockname() for each in self._writer_sockets),
            listening=self._http.fileno(),
            rates=self._rates.fileno(),
        )


def _listen(path: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX)
    try:
        listening.bind(os.fspath(path))
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise CannotOpen(
            f"the writer's socket {path} can't be made ({error}): name a shorter folder as TMPDIR"
        ) from error
    return listening


def _rate_file(folder: Path) -> IO[bytes]:
    try:
        return rate_file(TABLES, folder)
    except OSError as error:
        raise CannotOpen(
            f"the memory for rates can't be made in {folder} ({error}): name a folder with 8 MiB as TMPDIR"
        ) from error


def _ignore(_: str) -> None:
    """Writers and the keeper send nothing but their beats."""
