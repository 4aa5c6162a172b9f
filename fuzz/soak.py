"""`make soak`: mixed valid requests at a steady rate, and what each process holds, minute by minute."""

import argparse
import asyncio
import sys
from random import Random
from time import monotonic
from typing import Final

from fuzz.calls import Call, Calls, route_to
from fuzz.faults import Fault
from fuzz.judgement import judge_valid
from fuzz.known import Known
from fuzz.running import run
from fuzz.served import Served
from fuzz.wire import Address, Connection, connect, encode

_CLIENTS: Final = 8
_SHARES: Final = {
    ("POST", "/users"): 30,
    ("POST", "/users/{userId}/balance"): 100,
    ("POST", "/products"): 1,
    ("PATCH", "/products/{productId}"): 5,
    ("POST", "/products/{productId}/stock"): 20,
    ("POST", "/campaigns"): 1,
    ("POST", "/coupons"): 50,
    ("POST", "/orders"): 250,
    ("POST", "/orders/{orderId}/cancel"): 40,
    ("GET", "/users/{userId}/balance"): 100,
    ("GET", "/users/{userId}/ledger"): 50,
    ("GET", "/users/{userId}/coupons"): 40,
    ("GET", "/users/{userId}/orders"): 60,
    ("GET", "/orders/{orderId}"): 60,
    ("GET", "/products"): 20,
    ("GET", "/products/{productId}"): 100,
    ("GET", "/products/top"): 50,
    ("GET", "/campaigns"): 10,
    ("GET", "/campaigns/{campaignId}"): 20,
    ("GET", "/health/ready"): 5,
}


class Soak:
    """Customers who send requests at a steady rate, until one of them is answered as it must not be."""

    def __init__(self, address: Address, rate: float) -> None:
        """`rate` is how many requests a second all of them send."""
        self._address = address
        self._pause_s = _CLIENTS / rate
        self._random = Random(15)
        self._known = Known()
        self._calls = Calls(self._random, self._known, "soak")
        self._routes = [route_to(*name) for name in _SHARES]
        self._connections: list[Connection] = []
        self.answered = 0
        self.faults: list[str] = []

    async def open(self) -> None:
        """Connect, and make what other requests build on."""
        self._connections = [await connect(self._address) for _ in range(_CLIENTS)]
        for call in self._calls.opening():
            await self._send(self._connections[0], call)

    async def send(self, seconds: float) -> None:
        """Send requests for so many seconds."""
        end_at = monotonic() + seconds
        await asyncio.gather(*(self._be_client(connection, end_at) for connection in self._connections))

    async def close(self) -> None:
        """Close the connections."""
        for connection in self._connections:
            await connection.close()

    async def _be_client(self, connection: Connection, end_at: float) -> None:
        next_at = monotonic() + self._random.uniform(0, self._pause_s)
        while next_at < end_at and not self.faults:
            await asyncio.sleep(max(next_at - monotonic(), 0))
            route = self._random.choices(self._routes, list(_SHARES.values()))[0]
            await self._send(connection, self._calls.call(route))
            next_at = max(next_at + self._pause_s, monotonic() - 1)

    async def _send(self, connection: Connection, call: Call) -> None:
        await connection.send(encode(call))
        try:
            result = judge_valid(call, await connection.answer())
        except Fault as fault:
            self.faults.append(str(fault))
            return
        self.answered += 1
        if result is not None:
            self._known.learn(call.route, result)


async def soak(served: Served, minutes: int, rate: float) -> list[str]:
    """Print what the processes hold after each minute, and return what is wrong."""
    await served.start()
    load = Soak(served.address, rate)
    await load.open()
    for minute in range(1, minutes + 1):
        if load.faults:
            break
        await load.send(60)
        print(f"{minute:4} min {load.answered:10,} requests  {'  '.join(map(str, served.footprints()))}", flush=True)
    await load.close()
    await served.end()
    audit = served.audit()
    return [*load.faults, *served.faults(), *([audit] if audit else [])]


def main() -> int:
    """Serve a shop, soak it, and return the exit code."""
    options = argparse.ArgumentParser(prog="python -m fuzz.soak", description="Watch the memory under a steady load.")
    options.add_argument("--minutes", type=int, default=60, help="for how long")
    options.add_argument("--rate", type=float, default=200, help="requests a second")
    options.add_argument("--database", help="of the shop, which is written to; a new SQLite file if it is not given")
    given = options.parse_args()
    return run(given.database, lambda served: soak(served, given.minutes, given.rate))


if __name__ == "__main__":
    sys.exit(main())
