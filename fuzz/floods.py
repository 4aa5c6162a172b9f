"""Clients that take what they can: connections, bytes without an end, answers that they don't read."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import Final

from fuzz.faults import Fault
from fuzz.judgement import judge, problem_of
from fuzz.wire import Address, Connection, connect, connected

_IDLE: Final = 300
_GET: Final = b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n"
_POST: Final = b"POST /users HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
_CHUNKED: Final = _POST + b"transfer-encoding: chunked\r\n\r\n"
_ENDLESS: Final = (
    (b"GET /", b"x" * 1_000),
    (b"GET / HTTP/1.1\r\nhost: localhost\r\n", b"x-some: header\r\n" * 100),
    (b"GET / HTTP/1.1\r\nhost: localhost\r\nx-some: ", b"x" * 1_000),
    (b"", b"\r\n" * 100),
    (_POST + b"content-length: 1000000\r\n\r\n", b" " * 1_000),
    (_CHUNKED, b"5\r\n     \r\n" * 100),
    (_CHUNKED + b"1;", b"x" * 1_000),
    (_CHUNKED, b"1;a=b\r\n \r\n" * 100),
    (_CHUNKED + b"2\r\n{}\r\n0\r\n", b"x-some: trailer\r\n" * 100),
    (_CHUNKED + b"2\r\n{}\r\n0\r\nx-some: ", b"x" * 1_000),
)
_UNREAD: Final = b"GET /schema/openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n" * 100
_TAKEN_MAX_BYTES: Final = 2**26
"""More than the buffers of both sides' sockets."""
_STANDSTILL_S: Final = 0.5

Flood = Callable[[Address, float], Awaitable[None]]


async def open_many(address: Address, answer_s: float) -> None:
    """Open more connections than the server has descriptors, and see whether a new client is answered."""
    async with AsyncExitStack() as opened:
        for number in range(_IDLE):
            with suppress(ConnectionError):
                connection = await opened.enter_async_context(connected(address))
                await connection.send((b"", _GET, _GET[:20])[number % 3])
        async with connected(address) as connection:
            await connection.send(_GET)
            async with asyncio.timeout(answer_s):
                answer = await connection.answer()
        if answer is None:
            raise Fault("a new client is cut off while others are idle")
        judge(answer)


async def send_endless(address: Address, answer_s: float) -> None:
    """Send each part of a request without an end; all of them are to be refused."""
    await asyncio.gather(*(_send_endless(address, answer_s, *each) for each in _ENDLESS))


async def _send_endless(address: Address, answer_s: float, beginning: bytes, repeated: bytes) -> None:
    async with connected(address) as connection:
        sending = asyncio.create_task(_repeat(connection, beginning, repeated))
        try:
            async with asyncio.timeout(answer_s):
                answer = await connection.answer()
        except TimeoutError:
            raise Fault(f"without an end it takes {beginning!r} and {repeated[:20]!r}") from None
        finally:
            sending.cancel()
        connection.abort()
    if answer is not None:
        judge(answer)
        if not problem_of(answer):
            raise Fault(f"{beginning!r} and {repeated[:20]!r} without an end is answered with {answer}")


async def _repeat(connection: Connection, beginning: bytes, repeated: bytes) -> None:
    await connection.send(beginning)
    while True:
        await connection.send(repeated)
        await asyncio.sleep(0)


async def read_nothing(address: Address, _: float) -> None:
    """Send requests and read no answer; the server is to stop reading, too."""
    connection = await connect(address)
    try:
        taken = 0
        while taken < _TAKEN_MAX_BYTES:
            async with asyncio.timeout(_STANDSTILL_S):
                await connection.send(_UNREAD)
            taken += len(_UNREAD)
    except TimeoutError:
        return
    finally:
        connection.abort()
    raise Fault("requests are taken whose answers nobody reads")


FLOODS: Final[tuple[Flood, ...]] = (open_many, send_endless, read_nothing)
