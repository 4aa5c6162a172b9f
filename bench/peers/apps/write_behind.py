"""Stores in PostgreSQL what Redis has accepted, many at once; how far it came is stored in the same transaction.

So nothing is stored twice, and nothing that Redis still has is left out.
Run as `python -m bench.peers.apps.write_behind`.
"""

import asyncio
import json
import os
from collections import Counter
from typing import Any

import asyncpg
from redis import asyncio as redis

_ENTRIES_MAX = 2_000
_WAIT_MS = 1_000
_TAKEN = "FROM unnest($1::BIGINT[], $2::BIGINT[]) AS t (key, taken) WHERE id = key"
_CHANGES = {
    "users": f"UPDATE users SET balance = balance - taken {_TAKEN}",
    "products": f"UPDATE products SET stock = stock - taken {_TAKEN}",
    "campaigns": f"UPDATE campaigns SET issued = issued + taken {_TAKEN}",
}
Fields = dict[str, str]


class Accepted:
    """The rows of some accepted orders and claims."""

    def __init__(self) -> None:
        self._rows: dict[str, list[tuple[object, ...]]] = {
            table: [] for table in ("orders", "order_lines", "ledger", "outbox", "coupons")
        }
        self._taken: dict[str, Counter[int]] = {table: Counter() for table in _CHANGES}

    def add(self, fields: Fields) -> None:
        """Add one entry of the stream."""
        if "coupon" in fields:
            campaign = int(fields["campaign"])
            self._rows["coupons"].append((int(fields["coupon"]), campaign, int(fields["user"])))
            self._taken["campaigns"][campaign] += 1
            return
        order, user, total = int(fields["order"]), int(fields["user"]), int(fields["total"])
        self._rows["orders"].append((order, user, total))
        for position, line in enumerate(fields["lines"].split(",")):
            product, quantity, price = map(int, line.split(":"))
            self._rows["order_lines"].append((order, position, product, quantity, price))
            self._taken["products"][product] += quantity
        self._rows["ledger"].append((user, -total, int(fields["after"]), order))
        event = json.dumps({"type": "order.paid", "orderId": order, "userId": user, "total": total})
        self._rows["outbox"].append((order, event))
        self._taken["users"][user] += total

    async def store(self, database: Any) -> None:
        """Write all rows."""
        for table, columns in (
            ("orders", ["id", "user_id", "total"]),
            ("order_lines", ["order_id", "position", "product_id", "quantity", "unit_price"]),
            ("ledger", ["user_id", "amount", "balance_after", "order_id"]),
            ("outbox", ["order_id", "event"]),
            ("coupons", ["id", "campaign_id", "user_id"]),
        ):
            if self._rows[table]:
                await database.copy_records_to_table(table, records=self._rows[table], columns=columns)
        for table, sql in _CHANGES.items():
            if taken := self._taken[table]:
                await database.execute(sql, list(taken), list(taken.values()))


async def main() -> None:
    """Store until the process is ended."""
    stream: Any = redis.Redis(port=int(os.environ["PEER_REDIS_PORT"]), decode_responses=True)
    database = await asyncpg.connect(os.environ["PEER_DATABASE"])
    last = await database.fetchval("SELECT entry FROM stored_up_to")
    while True:
        for _, entries in await stream.xread({"accepted": last}, count=_ENTRIES_MAX, block=_WAIT_MS):
            accepted = Accepted()
            for _, fields in entries:
                accepted.add(fields)
            last = entries[-1][0]
            async with database.transaction():
                await accepted.store(database)
                await database.execute("UPDATE stored_up_to SET entry = $1", last)
            time, _, sequence = last.partition("-")
            await stream.xtrim("accepted", minid=f"{time}-{int(sequence) + 1}", approximate=False)


if __name__ == "__main__":
    asyncio.run(main())
