"""Requests as bytes, and answers read from a connection strictly: what is no HTTP/1.1 answer is a fault."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Final, NamedTuple

from fuzz.calls import Call
from fuzz.faults import Fault

Header = tuple[bytes, bytes]

_STATUS_LINE: Final = re.compile(rb"HTTP/1\.1 (\d{3}) [ -~]*")
_HEADER: Final = re.compile(rb"([a-z0-9-]+): ([ -~]*)")
_HEAD_MAX_BYTES: Final = 2**20
_FINAL: Final = 200
"""The first status that ends an answer; lower ones announce another."""


class Answer(NamedTuple):
    """One final answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def __str__(self) -> str:
        return f"{self.status} {self.body[:300]!r}"


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int


class Connection:
    """A client's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Send bytes. What the server does not want any more is dropped: it may have answered already."""
        if self._writer.is_closing():
            return
        with suppress(ConnectionError):
            self._writer.write(data)
            await self._writer.drain()

    def end(self) -> None:
        """End this side: nothing more is sent."""
        with suppress(OSError):
            self._writer.write_eof()

    async def answer(self, method: str = "GET") -> Answer | None:
        """Read the next final answer, to a request of this method; None where the connection ended. Raises Fault."""
        while True:
            answer = await self._next_answer(method)
            if answer is None or answer.status >= _FINAL:
                return answer

    async def answers(self) -> list[Answer]:
        """Read answers until the connection ends. Raises Fault."""
        answers = []
        while (answer := await self.answer()) is not None:
            answers.append(answer)
        return answers

    def abort(self) -> None:
        """Close at once, as a client that has crashed."""
        self._writer.transport.abort()

    async def close(self) -> None:
        """Close it."""
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    async def _next_answer(self, method: str) -> Answer | None:
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as ended:
            if ended.partial:
                raise Fault(f"half a head was answered: {ended.partial[:200]!r}") from None
            return None
        except asyncio.LimitOverrunError:
            raise Fault("a head without an end was answered") from None
        except ConnectionError:
            return None
        status, headers = _parse_head(head)
        length = headers.get("content-length", "")
        if status < _FINAL:
            return Answer(status, headers, b"")
        if not length.isdecimal():
            raise Fault(f"an answer has no length: {head!r}")
        if method == "HEAD":
            return Answer(status, headers, b"")
        try:
            return Answer(status, headers, await self._reader.readexactly(int(length)))
        except (asyncio.IncompleteReadError, ConnectionError):
            raise Fault(f"half a body was answered after {head!r}") from None


async def connect(address: Address) -> Connection:
    """Connect."""
    return Connection(*await asyncio.open_connection(*address, limit=_HEAD_MAX_BYTES))


@asynccontextmanager
async def connected(address: Address) -> AsyncIterator[Connection]:
    """Connect, and close at the end of the block."""
    connection = await connect(address)
    try:
        yield connection
    finally:
        await connection.close()


def encode(call: Call, more: Iterable[Header] = ()) -> bytes:
    """Return a call as a request whose body has a length."""
    content = call.content()
    headers = [*call.headers(), *more]
    if call.body is not None:
        headers.append((b"content-length", b"%d" % len(content)))
    return head(call.route.method, call.target, headers) + content


def head(method: str, target: str, headers: Iterable[Header]) -> bytes:
    """Return a request's head."""
    lines = [f"{method} {target} HTTP/1.1".encode("utf-8", "surrogatepass")]
    return b"\r\n".join([*lines, *(b"%b: %b" % header for header in headers), b"", b""])


def _parse_head(data: bytes) -> tuple[int, dict[str, str]]:
    lines = data.removesuffix(b"\r\n\r\n").split(b"\r\n")
    status_line = _STATUS_LINE.fullmatch(lines[0])
    headers = [_HEADER.fullmatch(line) for line in lines[1:]]
    if status_line is None or None in headers:
        raise Fault(f"this is no head of an answer: {data[:500]!r}")
    return int(status_line[1]), {each[1].decode(): each[2].decode() for each in headers if each}
