"""A server of the shop: `jangteo serve` from this checkout."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import aiohttp

from drill.cluster.balancer import CHECK_INTERVAL_S, FALL
from drill.programs import Program, free_port

_DRAIN_S: Final = CHECK_INTERVAL_S * (FALL + 1)
"""Until the balancer has noticed that a server drains, with a check to spare."""
_RECEIVER: Final = Path(__file__).parents[2] / "tests" / "receiver.py"


class Server:
    """One server, and the processes that it starts."""

    def __init__(self, folder: Path, database: str, platform: str, options: Sequence[str]) -> None:
        self.name = folder.name
        self.port = free_port()
        command = [sys.executable, "-m", "jangteo", "serve", "--port", str(self.port), "--database", database]
        self.program = Program(folder, [*command, "--platform", platform, *options], JANGTEO_DRAIN=str(_DRAIN_S))

    @property
    def address(self) -> str:
        """The server's own address, without the balancer."""
        return f"http://127.0.0.1:{self.port}"

    async def is_ready(self, session: aiohttp.ClientSession) -> bool:
        """Whether it can sell."""
        return await answers(session, f"{self.address}/health/ready")


class Platform:
    """A platform that accepts every event, and writes it to `events` with the time of its arrival."""

    def __init__(self, folder: Path) -> None:
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}/events"
        self.events = folder / "events"
        command = [sys.executable, str(_RECEIVER), str(self.events), "--port", str(self._port)]
        self.program = Program(folder, command)

    async def is_ready(self, session: aiohttp.ClientSession) -> bool:
        """Whether it accepts events."""
        return await answers(session, f"http://127.0.0.1:{self._port}/control")


async def answers(session: aiohttp.ClientSession, url: str) -> bool:
    """Whether a GET of this URL is answered with 200."""
    try:
        async with session.get(url) as answer:
            return answer.status == 200  # noqa: PLR2004 - HTTP's number for success
    except (aiohttp.ClientError, TimeoutError):
        return False
