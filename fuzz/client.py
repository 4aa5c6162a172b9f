"""A client that fuzzes: its steps are valid requests, wrong values, wrong bytes and bad timing, as its seed decides."""

import asyncio
from collections.abc import Awaitable, Sequence
from random import Random
from typing import Final

from fuzz.calls import Call, Calls
from fuzz.faults import Fault, Finding
from fuzz.garbling import garble, stray
from fuzz.judgement import judge, judge_valid
from fuzz.known import Known
from fuzz.values import wrong_values
from fuzz.variations import pieces, vary
from fuzz.wire import Address, Connection, connect, connected, encode

_KINDS: Final = ("valid",) * 8 + ("values",) * 7 + ("bytes",) * 4 + ("timing",)
_PAUSE_S: Final = 0.002


class FuzzingClient:
    """One client. What it sends depends on its seed, and on the ids that it is given."""

    def __init__(self, address: Address, seed: str, answer_s: float) -> None:
        """`answer_s` is the longest that a step may take, in seconds."""
        self._address = address
        self._seed = seed
        self._random = Random(seed)
        self._answer_s = answer_s
        self._known = Known()
        self._calls = Calls(self._random, self._known, seed)
        self._kept: Connection | None = None
        """Valid requests share it, one after the other."""
        self.findings: list[Finding] = []
        self.steps = 0

    async def open(self) -> None:
        """Make what other requests build on."""
        for call in self._calls.opening():
            await self._attempt("opening", encode(call), self._have_answered([call], [encode(call)]))

    async def step(self) -> None:
        """Do the next step."""
        self.steps += 1
        kind = self._random.choice(_KINDS)
        match kind:
            case "valid":
                calls = [self._calls.any_route() for _ in range(self._random.choice((1, 1, 2, 5)))]
                sent = [vary(call, self._random) for call in calls]
                await self._attempt(kind, b"".join(sent), self._have_answered(calls, sent))
            case "values":
                request = wrong_values(self._calls.any_route(), self._random)
                await self._attempt(kind, request, self._have_refused(request))
            case "bytes":
                data = self._garbled()
                await self._attempt(kind, data, self._exchange([data]))
            case _:
                data = self._garbled() if self._random.random() < 0.5 else self._pipeline()
                await self._attempt(kind, data, self._send_badly(data))

    async def close(self) -> None:
        """Close the connection."""
        kept, self._kept = self._kept, None
        if kept is not None:
            await kept.close()

    async def _attempt(self, kind: str, sent: bytes, step: Awaitable[object]) -> None:
        try:
            async with asyncio.timeout(self._answer_s):
                await step
        except TimeoutError:
            await self._report(kind, f"no answer within {self._answer_s:.0f} s", sent)
        except (Fault, OSError) as error:
            await self._report(kind, str(error), sent)

    async def _report(self, kind: str, fault: str, sent: bytes) -> None:
        self.findings.append(Finding(f"step {self.steps} ({kind}) of seed {self._seed}", fault, sent))
        await self.close()

    async def _have_answered(self, calls: Sequence[Call], requests: Sequence[bytes]) -> None:
        """Send valid requests, in one write or in pieces, and have each answered as it deserves, in order."""
        if self._kept is None:
            self._kept = await connect(self._address)
        data = b"".join(requests)
        ends_badly = self._random.random() < 0.1
        if ends_badly:
            data += stray(self._random)
        for piece in pieces(data, self._random) if self._random.random() < 0.2 else [data]:
            await self._kept.send(piece)
        for call in calls:
            result = judge_valid(call, await self._kept.answer())
            if result is not None:
                self._known.learn(call.route, result)
        if ends_badly:
            await self._end(self._kept)
            await self.close()

    async def _have_refused(self, request: bytes) -> None:
        """Send one request, and have it answered once."""
        answers = await self._exchange([request])
        if answers != 1:
            raise Fault(f"one request has {answers} answers")

    async def _exchange(self, parts: Sequence[bytes]) -> int:
        """Send parts, end, and judge all answers. Returns how many there were."""
        async with connected(self._address) as connection:
            for part in parts:
                await connection.send(part)
            return await self._end(connection, parts[0].partition(b" ")[0].decode("latin-1"))

    @staticmethod
    async def _end(connection: Connection, method: str = "GET") -> int:
        connection.end()
        count = 0
        while (answer := await connection.answer(method)) is not None:
            judge(answer)
            count += 1
        return count

    def _pipeline(self) -> bytes:
        return b"".join(vary(self._calls.any_route(), self._random) for _ in range(self._random.choice((1, 1, 2, 5))))

    def _garbled(self) -> bytes:
        return garble(self._pipeline(), vary(self._calls.any_route(), self._random), self._random)

    async def _send_badly(self, data: bytes) -> None:
        """Send bytes slowly in pieces; go away in the middle, before the answers, or after them."""
        parts = list(pieces(data, self._random))
        leaves_after = self._random.choice((len(parts), len(parts), self._random.randint(0, len(parts))))
        async with connected(self._address) as connection:
            for part in parts[:leaves_after]:
                await connection.send(part)
                if self._random.random() < 0.3:
                    await asyncio.sleep(_PAUSE_S)
            if leaves_after == len(parts) and self._random.random() < 0.5:
                await self._end(connection)
            else:
                connection.abort()
